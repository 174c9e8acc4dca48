#!/usr/bin/env python3
"""Makes vectors.jsonl: tokenizer.json files in many combinations of parts, with
what Hugging Face's library makes of ugly texts.

    pip install tokenizers
    python3 make_vectors.py SEED FILES TEXTS >vectors.jsonl

Each line is a file and cases for it: a text, its ids, its ids with
encode_special_tokens, random ids and what they decode to.
"""
import json
import random
import sys

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers as N, pre_tokenizers as P, trainers

seed, files, texts = map(int, sys.argv[1:4])
rng = random.Random(seed)
WORDS = ["the", "of", "and", "token", "Tokenizer", "don't", "I'M", "naïve", "cafe\u0301", "Straße", "ﬁn", "İst", "Привет", "ΣΑΣ", "עברית", "हिन्दी",
         "日本語", "한국어", "\u1112\u1161\u11ab", "ไทย", "😀", "👨\u200d👩\u200d👧", "\u0301", "e\u0301\u0323", "\u200b", "\u00a0", "\u3000", "\u2028", "▁", "▁▁a", "\ufffd", "𐍈",
         "7", "42", "1234", "１２", "Ⅷ", "½", "²", "٣", "x[i]", "->", "();", "«q»", "，。", "\t", "\n", "\n\n", "\r\n", " ", "  ", "   ", "\x00", "\x01", "é", "Å", "Ǆ", "ſ", "㎏", "ﷺ"]
TOKENS = ["<s>", "</s>", "<sep>", "<SEP>", "sep", "ab", "abc", "bcd", " x", "x ", "\n", "  ", "é", "e\u0301", "▁q", "don't", "日本", "<pad> ", "the", "42", "<｜b▁c｜>", "Ａ", "ﬁ"]
CORPUS = [" ".join(rng.choice(WORDS) for _ in range(12)) for _ in range(150)] + ["the token of Tokenizer and the cafe don't abc abcd 123 456"] * 10


def text(extra):
    pool = WORDS + extra * 3
    return "".join(rng.choice(pool) + rng.choice(["", "", " ", "  "]) for _ in range(rng.randint(0, 9)))


def normalizer():
    one = [lambda: N.NFC(), lambda: N.NFD(), lambda: N.NFKC(), lambda: N.NFKD(), lambda: N.Lowercase(), lambda: N.StripAccents(),
           lambda: N.Strip(left=rng.random() < .5, right=rng.random() < .5), lambda: N.Replace(" ", "▁"), lambda: N.Prepend("▁"),
           lambda: N.Replace(Regex(r"\s+"), " "), lambda: N.Replace("a", "b "), lambda: N.Replace(Regex(" {2,}"), "▁"), lambda: N.Prepend(" ")]
    r = rng.random()
    if r < .3:
        return None
    if r < .45:
        return N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")])
    if r < .6:
        return rng.choice(one)()
    return N.Sequence([rng.choice(one)() for _ in range(rng.randint(1, 3))])


LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
PATTERNS = [LLAMA3, LLAMA3.replace("{1,3}", ""), r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
            r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"\s+$", r"[一-龥ࠀ-一가-퟿]+", r"\p{N}", r"\p{N}+", r"[0-9][0-9][0-9]", r" ?[^(\s|.,!?…。，、।۔،)]+", r"\s+", r"\w+|[^\w\s]+", r"(?<=x)|y?" if False else r"\d{1,3}(?=(?:\d{3}){1,4}\b)" if False else r"\d{1,2}(?=\d)",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
            r"^.", r"x*", r"a+?", r"\p{Han}|\p{Lu}\p{Ll}*"]
BEHAVIOURS = ["isolated", "removed", "merged_with_previous", "merged_with_next", "contiguous"]


def pre_tokenizer(level):
    b = lambda: rng.choice(BEHAVIOURS)
    one = [lambda: P.Digits(individual_digits=rng.random() < .5), lambda: P.Punctuation(b()), lambda: P.Split(Regex(rng.choice(PATTERNS)), b(), invert=rng.random() < .2),
           lambda: P.Split(rng.choice([" ", "e", "▁", "the"]), b(), invert=rng.random() < .2), lambda: P.Whitespace(), lambda: P.WhitespaceSplit(), lambda: P.CharDelimiterSplit(rng.choice("e 日"))]
    meta = lambda: P.Metaspace(prepend_scheme=rng.choice(["always", "first", "never"]), split=rng.random() < .5)
    byte = lambda: P.ByteLevel(add_prefix_space=rng.random() < .3, use_regex=rng.random() < .5)
    if level:
        parts = [rng.choice(one)() for _ in range(rng.randint(0, 2))] + [byte()]
        if rng.random() < .2:
            parts += [rng.choice(one)()]
        return parts[0] if len(parts) == 1 else P.Sequence(parts)
    r = rng.random()
    if r < .2:
        return None
    if r < .6:
        return meta()
    parts = [rng.choice(one)() for _ in range(rng.randint(0, 2))] + ([meta()] if rng.random() < .5 else [])
    rng.shuffle(parts)
    return P.Sequence(parts) if parts else None


def decoder(level):
    D = decoders
    strip = lambda: D.Strip(rng.choice(" ▁a"), rng.randint(0, 2), rng.randint(0, 2))
    if level:
        return D.ByteLevel()
    r = rng.random()
    if r < .35:
        return D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)])
    if r < .45:
        return D.Metaspace(prepend_scheme=rng.choice(["always", "first", "never"]))
    if r < .55:
        return None
    one = [D.Replace("▁", " "), D.Replace("a", "bc"), D.ByteFallback(), D.Fuse(), strip(), D.Metaspace(), D.Replace("the", "<"), D.Strip(" ", 1, 0)]
    return D.Sequence([rng.choice(one) for _ in range(rng.randint(1, 4))])


def one():
    level = rng.random() < .4
    unk = None if rng.random() < .3 else "<unk>"
    t = Tokenizer(models.BPE(unk_token=unk, fuse_unk=rng.random() < .5, byte_fallback=not level and rng.random() < .6, ignore_merges=rng.random() < .4))
    fallback = t.model.byte_fallback
    t.normalizer, t.pre_tokenizer, t.decoder = normalizer(), pre_tokenizer(level), decoder(level)
    specials = (["<unk>"] if unk else [])
    trainer = trainers.BpeTrainer(vocab_size=rng.choice([350, 500]) if level or fallback else 120, show_progress=False, special_tokens=specials + (["<0x%02X>" % b for b in range(256)] if fallback else []),
                                  initial_alphabet=P.ByteLevel.alphabet() if level and rng.random() < .9 else [], limit_alphabet=60 if not level else 1000)
    t.train_from_iterator(CORPUS, trainer)
    f = json.loads(t.to_str())
    if fallback:  # bytes are pieces, not special tokens
        f["added_tokens"] = [a for a in f["added_tokens"] if not a["content"].startswith("<0x")]
        t = Tokenizer.from_str(json.dumps(f))
    flag = lambda p=.3: rng.random() < p
    extra = rng.sample(TOKENS, rng.randint(0, 6))
    vocab = [p for p in f["model"]["vocab"] if len(p) > 1 and not p.startswith("<")]
    extra += rng.sample(vocab, min(len(vocab), rng.choice([0, 0, 1, 2])))
    for c in extra:
        a = AddedToken(c, single_word=flag(.2), lstrip=flag(), rstrip=flag(), normalized=flag(.5))
        (t.add_special_tokens if flag(.4) else t.add_tokens)([a])
    return t, extra


for _ in range(files):
    try:
        t, extra = one()
        t.encode("x y")
    except BaseException as e:  # a combination that the library itself refuses
        continue
    cases = []
    size = t.get_vocab_size(True)
    for _ in range(texts):
        x = text(extra)
        ids = [rng.randrange(size + 2) for _ in range(rng.randint(0, 8))]
        try:
            t.encode_special_tokens = False
            a, a2 = t.encode(x, add_special_tokens=False).ids, t.decode(t.encode(x, add_special_tokens=False).ids)
            t.encode_special_tokens = True
            cases.append([x, a, t.encode(x, add_special_tokens=False).ids, a2, ids, t.decode(ids)])
        except BaseException:
            continue
    json.dump({"version": tokenizers.__version__, "file": json.loads(t.to_str()), "cases": cases}, sys.stdout, ensure_ascii=True, separators=(",", ":"))
    print()
