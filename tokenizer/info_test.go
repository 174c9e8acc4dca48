package tokenizer

import (
	"strings"
	"testing"
)

// The facts of LLaMA's own tokenizer.model.
func TestInfoLlama(t *testing.T) {
	r, err := InfoFile(asset(t, "tokenizer/llama/tokenizer.model"))
	if err != nil {
		t.Fatal(err)
	}
	text := r.String()
	t.Log("\n" + text)
	for _, fact := range []string{
		"bytes 499723", "sha256 9e556afd44213b6bd1be2b850ebbbd98f5481437a8021afaf58ee7fb1818d347",
		"vocabulary 32000 pieces", "unknown 1 (id 0)", "control 2 (<s> 1, </s> 2)", "byte 256 (ids 3..258)", "normal 31741",
		"merges 61249", "BOS, EOS 1, 2", "scores -(rank), except ▁ (29871) at -1e+09, ▁▁ (259) at -1e+09, ▁▁▁ (1678) at -1e+09, ▁▁▁▁ (268) at -1e+09 and 12 more",
		"normalizer identity", "add_dummy_prefix 1", "remove_extra_whitespaces 0", "split_digits 1", "byte_fallback 1",
		"allow_whitespace_only_pieces 1", "character_coverage 0.99995", "max_sentencepiece_length 16",
		"input_sentence_size 200000000", "pad_id -1", `unk_surface " ⁇ "`,
	} {
		if !strings.Contains(strings.Join(strings.Fields(text), " "), fact) {
			t.Errorf("missing: %s", fact)
		}
	}
}

func TestInfoKinds(t *testing.T) {
	for name, want := range map[string]string{
		"testdata/rules.model": "user defined 4 (<sep> 3,    4, 日本 5, don't 6)",
		"testdata/smollm.json": "pre_tokenizer single digits pre_tokenizer GPT-2's pattern",
	} {
		r, err := InfoFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if s := strings.Join(strings.Fields(r.String()), " "); !strings.Contains(s, strings.Join(strings.Fields(want), " ")) {
			t.Errorf("%s: %q is not in\n%s", name, want, r)
		}
	}
	if s := Info(Byte()).String(); !strings.Contains(s, "256 pieces") {
		t.Error(s)
	}
}
