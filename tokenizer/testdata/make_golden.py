#!/usr/bin/env python3
"""Makes the small vocabularies and golden ids in this folder.

The oracles are SentencePiece and Hugging Face's tokenizers:

    pip install sentencepiece tokenizers
    python3 make_golden.py

Each NAME.golden has one text a line: the text in double quotes with \\xNN for
bytes that are not printable ASCII, a tab, the ids. The vocabularies are small:
what matters is the ugliness of the texts, not the quality of the pieces.
"""
import io
import os
import random
import shutil
import subprocess
import tempfile

import sentencepiece
import tokenizers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

HERE = os.path.dirname(os.path.abspath(__file__))

WORDS = [
    "the", "of", "and", "token", "Tokenizer", "don't", "we'll", "I'm", "they've", "it's", "'S", "'LL", "'re", "'ſ",
    "naïve", "café", "cafe\u0301", "Straße", "ﬁn", "İstanbul", "Привет", "мир", "ελληνικά", "עברית", "العربية", "हिन्दी",
    "日本語", "中文字", "漢字かな交じり文", "カタカナ", "한국어", "ไทย", "\U0001F600", "\U0001F468\u200D\U0001F469\u200D\U0001F467",
    "🇯🇵", "\U0001F3FB", "\u0301", "e\u0301\u0323", "\u200b", "\ufeff", "\u00a0", "\u3000", "\u2028", "\u2581", "\u2585", "\ufffd", "\U00010348",
    "0", "7", "42", "123", "1234", "3.14159", "1,000,000", "0x1F", "１２３", "Ⅷ", "½", "٣٤",
    "func", "return", "x[i]", "a==b", "->", "//", "/*", "*/", "{", "}", "();", "\"s\"", "`", "\\n", "<s>", "</s>", "<unk>", "<0x0A>", "<|endoftext|>",
    "\t", "\t\t", "\r", "\n", "\n\n", "\r\n", " ", "  ", "    ", "        ", "\v", "\f", "\x00", "\x01", "\x7f", "\x1b[0m",
]

FIXED = [
    "", " ", "  ", "   ", "\n", "\n\n", " \n ", "\t", "a", " a", "a ", " a ", "  a  b  ", "\x00", "a\x00b", "\u2581", "\u2581\u2581a", "a\u2581 b",
    "Hello, world!", "hello  world", "1234567890", " 1 2", "x = 10;\n\treturn x\n", "if a { b() }  // c\n\n\n\td",
    "don't DON'T dOn'T ''s 's't", "we'll'd've", "\u00a0\u00a0x", "\u3000あ", "a\u2028b", "trailing   ", "\n   indented", "  \n  \n x", "\r\n\r\n", "a\r\nb",
    "<s>", "a<s>b", "<s> </s>", "<0x41>", "<unk>", "▁<s>", " <s>", "x<|endoftext|>y", "<|endoftext|> <|endoftext|>",
    "a" * 300, "ab" * 150, "é" * 70, "日" * 70, " " * 70, "\U0001F600" * 10, "1" * 50, "." * 80, "-" * 33 + "=" * 65, "\n" * 20,
    "𝕳𝖊𝖑𝖑𝖔", "e\u0301" * 5, "\u0301abc", "ａｂｃ１２３", "x²+y³=z", "C++/C#", "https://example.org/a?b=c&d=%20#e", "snake_case camelCase",
    "  leading and   inner    spaces ", "\U0010FFFF", "\ue000", "\ufffe", "\U000E0001",
]

# SentencePiece takes any bytes; Hugging Face only valid UTF-8.
BROKEN = [
    b"\xff", b"\xc3", b"\xe6\x97", b"\xf0\x9f\x98", b"a\xc3 b", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x96", b"\xe2\x96\x81\xe2\x96",
    b"\x80\x81\x82", b"\xf8\x88\x80\x80\x80", b"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa", b"ok\xffok", b"\xc3\xa9\xc3", b" \xff \xff ",
]


def texts(seed, n=160):
    rng = random.Random(seed)
    out = list(FIXED)
    for _ in range(n):
        out.append("".join(rng.choice(WORDS) + rng.choice(["", "", " ", " ", "  ", "\n"]) for _ in range(rng.randint(1, 14))))
    return out


def corpus():
    """Text of this project, the words above and runs of letters, frozen."""
    return open(os.path.join(HERE, "corpus.txt"), encoding="utf-8", newline="\n").read().rstrip("\n").split("\n")


def quote(b):
    s = ""
    for c in b:
        if c in b'"\\':
            s += "\\" + chr(c)
        elif 0x20 <= c < 0x7F:
            s += chr(c)
        else:
            s += "\\x%02x" % c
    return '"' + s + '"'


def write(name, pairs):
    with open(os.path.join(HERE, name + ".golden"), "w") as f:
        for text, ids in pairs:
            f.write(quote(text) + "\t" + " ".join(map(str, ids)) + "\n")


def spm(name, **options):
    model = io.BytesIO()
    settings = dict(
        sentence_iterator=iter(corpus()), model_writer=model, model_type="bpe", vocab_size=700, character_coverage=0.99,
        normalization_rule_name="identity", remove_extra_whitespaces=False, split_digits=True, byte_fallback=True,
        allow_whitespace_only_pieces=True, num_threads=1, minloglevel=2)
    settings.update(options)
    sentencepiece.SentencePieceTrainer.train(**settings)
    with open(os.path.join(HERE, name + ".model"), "wb") as f:
        f.write(model.getvalue())
    p = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    inputs = [t.encode() for t in texts(1)] + BROKEN
    write(name, [(t, p.encode(t)) for t in inputs])


LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace("{1,3}", "")


def byte_level(name, pre, specials=("<|endoftext|>",), ignore_merges=False, extra=()):
    t = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    t.pre_tokenizer = pre
    t.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=list(specials), show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    t.train_from_iterator(corpus(), trainer)
    t.add_tokens(list(extra))
    hugging(name, t)


def hugging(name, t):
    t.save(os.path.join(HERE, name + ".json"), pretty=False)
    write(name, [(x.encode(), t.encode(x, add_special_tokens=False).ids) for x in texts(2)])


def metaspace(name, scheme, split):
    """A SentencePiece-style vocabulary with listed merges."""
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split)
    specials = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=specials, show_progress=False, limit_alphabet=90)
    t.train_from_iterator(corpus(), trainer)
    hugging(name, t)


def trained(name, version, **options):
    """What spm_train makes of the corpus: version 1 is Debian's 0.1.97, 2 is PyPI's."""
    settings = dict(model_type="bpe", character_coverage=0.9995, normalization_rule_name="identity", remove_extra_whitespaces=False,
                    split_digits=True, byte_fallback=True, allow_whitespace_only_pieces=True, num_threads=1, minloglevel=2)
    settings.update(options)
    settings.update(input="corpus.txt", model_prefix="x")  # the model keeps these names
    with tempfile.TemporaryDirectory() as d:
        shutil.copy(os.path.join(HERE, "corpus.txt"), d)
        os.chdir(d)
        if version == 1:
            subprocess.run(["spm_train"] + ["--%s=%s" % (k, str(v).lower() if isinstance(v, bool) else v) for k, v in settings.items()],
                           check=True, stderr=subprocess.DEVNULL)
        else:
            sentencepiece.SentencePieceTrainer.train(**settings)
        shutil.copy("x.model", os.path.join(HERE, "train_" + name + ".model"))
        os.chdir(HERE)


if __name__ == "__main__":
    B = pre_tokenizers.ByteLevel
    spm("llama_like")
    rules = {"ﬁ": "fi", "½": "1/2", "\t": " ", "\r": "", "\u00a0": " ", "\u3000": " ", "e\u0301": "é", "\ufeff": "", "１": "1", "\u2585": "#"}
    points = lambda s: " ".join("%X" % ord(c) for c in s)
    with tempfile.TemporaryDirectory() as d:
        os.chdir(d)
        with open("rules.tsv", "w") as f:
            f.write("".join(points(a) + "\t" + points(b) + "\n" for a, b in rules.items()))
        spm("rules", normalization_rule_name="", normalization_rule_tsv="rules.tsv", remove_extra_whitespaces=True, byte_fallback=False,
            split_digits=False, user_defined_symbols=["<sep>", "  ", "日本", "don't"], vocab_size=450)
        os.chdir(HERE)
    byte_level("gpt2", B(add_prefix_space=False))
    byte_level("gpt2_prefix", B(add_prefix_space=True))
    byte_level("llama3", pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"), B(add_prefix_space=False, use_regex=False)]),
               ignore_merges=True, extra=[tokenizers.AddedToken("don't", normalized=False), tokenizers.AddedToken("func", single_word=True, lstrip=True)])
    byte_level("qwen2", pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN2), "isolated"), B(add_prefix_space=False, use_regex=False)]),
               extra=[tokenizers.AddedToken("the", rstrip=True)])
    byte_level("smollm", pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), B(add_prefix_space=False)]))
    metaspace("metaspace_first", "first", False)
    metaspace("metaspace_always", "always", True)
    trained("llama", 1, vocab_size=1200)
    trained("plain", 1, vocab_size=1000, split_digits=False, byte_fallback=False, remove_extra_whitespaces=True, character_coverage=1.0,
            allow_whitespace_only_pieces=False, split_by_number=False, max_sentencepiece_length=6, max_sentence_length=60)
    trained("scripts", 1, vocab_size=1000, split_by_unicode_script=False, add_dummy_prefix=False)
    trained("overlaps", 2, vocab_size=1200)
