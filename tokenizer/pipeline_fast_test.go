package tokenizer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestShortcuts: passing over parts of a pipeline gives the ids of the long way.
func TestShortcuts(t *testing.T) {
	const added = `[{"id": 9, "content": "<s>", "special": true, "normalized": %v}, {"id": 10, "content": "ab", "special": false, "normalized": %v}, {"id": 11, "content": " b", "special": false, "normalized": %v}]`
	const vocab = `"model": {"type": "BPE", "unk_token": "u", "vocab": {"u": 0, "▁": 1, "a": 2, "b": 3, "▁▁": 4, "▁a": 5, "a▁": 6, "s": 7, "▁a▁": 8}, "merges": [["▁","▁"],["▁","a"],["a","▁"],["▁a","▁"]]}`
	shapes := map[string]string{
		"LLaMA":   `"normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},`,
		"bare":    `"normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},`,
		"reverse": `"normalizer": {"type": "Sequence", "normalizers": [{"type": "Replace", "pattern": {"String": " "}, "content": "▁"}, {"type": "Prepend", "prepend": "▁"}]},`,
	}
	for _, scheme := range []string{"always", "first", "never"} {
		for _, split := range []bool{false, true} {
			shapes[fmt.Sprintf("Metaspace %s %v", scheme, split)] = fmt.Sprintf(`"pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": %q, "split": %v},`, scheme, split)
		}
	}
	rng := rand.New(rand.NewPCG(3, 3))
	parts := []string{"a", "b", " ", "  ", "▁", "<s>", "ab", "s", "x", "é", "\xff", "a b", "\n"}
	for shape, part := range shapes {
		for _, normalized := range []bool{false, true} {
			for _, tokens := range []string{fmt.Sprintf(added, normalized, normalized, false), fmt.Sprintf(added, false, normalized, normalized), "[]"} {
				parsed, err := ParseJSON(shape, []byte(`{"added_tokens": `+tokens+`, `+part+vocab+`}`))
				if err != nil {
					t.Fatalf("%s: %v", shape, err)
				}
				for _, fast := range []*BPE{parsed, parsed.WithoutSpecials()} {
					slow := fast.withoutShortcuts()
					if shape != "reverse" && tokens == "[]" && !fast.hf.fast.spaced {
						t.Errorf("%s takes the long way", shape)
					}
					for range 2000 {
						var s strings.Builder
						for range rng.IntN(8) {
							s.WriteString(parts[rng.IntN(len(parts))])
						}
						got, want := fast.Encode(nil, []byte(s.String())), slow.Encode(nil, []byte(s.String()))
						if !slices.Equal(got, want) {
							t.Fatalf("%s, %s: %q becomes %v, the long way %v", shape, tokens, s.String(), got, want)
						}
					}
				}
			}
		}
	}
	for _, name := range []string{"gpt2", "llama3", "qwen2", "smollm", "gpt2_prefix", "metaspace_first", "metaspace_always"} {
		tok, err := Open("testdata/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		slow := tok.(*BPE).withoutShortcuts()
		for _, c := range golden(t, name) {
			if got, want := tok.Encode(nil, []byte(c.text)), slow.Encode(nil, []byte(c.text)); !slices.Equal(got, want) {
				t.Fatalf("%s: %q becomes %v, the long way %v", name, c.text, got, want)
			}
		}
	}
}

// withoutShortcuts is t by the long way.
func (t *BPE) withoutShortcuts() *BPE {
	p := *t.hf
	p.fast = shortcut{steps: len(p.steps)}
	p.raw.only, p.norm.only = -1, -1
	return &BPE{
		cfg: t.cfg, pieces: t.pieces, unk: t.unk, bos: t.bos, eos: t.eos, bytes: t.bytes, rules: t.rules, emit: t.emit, split: t.split,
		unused: t.unused, keepUnknowns: t.keepUnknowns, hf: &p, texts: t.texts, byteOf: t.byteOf, special: t.special, hash: t.hash,
	}
}
