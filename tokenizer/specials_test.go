package tokenizer

import (
	"slices"
	"strings"
	"testing"
)

// Control tokens that merging makes, that are one character, or that whole
// words are, are text all the same in documents.
func TestSpecialsThatMerge(t *testing.T) {
	for _, ignore := range []string{"false", "true"} {
		tok, err := ParseJSON("x", []byte(`{"added_tokens": [{"id": 7, "content": "<s>", "special": true}, {"id": 5, "content": "€", "special": true},
			{"id": 9, "content": "s>", "special": false}],
			"model": {"type": "BPE", "unk_token": "?", "ignore_merges": `+ignore+`, "vocab": {"<": 0, "s": 1, ">": 2, "a": 3, "?": 4, "€": 5, "<s": 6, "<s>": 7, "<s>a": 8},
			"merges": ["< s", "<s >", "<s> a"]}}`))
		if err != nil {
			t.Fatal(err)
		}
		plain := tok.WithoutSpecials()
		for text, want := range map[string][2][]int32{
			"<s>":    {{7}, {6, 2}}, // "s>" is not looked for within it
			"a<s><":  {{3, 7, 0}, {3, 6, 2, 0}},
			"€a":     {{5, 3}, {4, 3}},
			"<a":     {{0, 3}, {0, 3}},
			"< s>":   {{0, 4, 9}, {0, 4, 9}},
			"<s<s>a": {{6, 7, 3}, {6, 8}},
			"<s>s>":  {{7, 9}, {6, 2, 9}},
		} {
			for i, tok := range []*BPE{tok, plain} {
				if got := tok.Encode(nil, []byte(text)); !slices.Equal(got, want[i]) {
					t.Errorf("ignore_merges %s: %q with specials %v: %v, want %v", ignore, text, i == 0, got, want[i])
				}
			}
		}
	}
	// Without the token in between, merging makes the control token itself.
	tok, err := ParseJSON("x", []byte(`{"added_tokens": [{"id": 7, "content": "<s>", "special": true}],
		"model": {"type": "BPE", "ignore_merges": true, "vocab": {"<": 0, "s": 1, ">": 2, "a": 3, "?": 4, "€": 5, "<s": 6, "<s>": 7, "<s>a": 8},
		"merges": ["< s", "<s >", "<s> a"]}, "decoder": {"type": "Fuse"}}`))
	if err != nil {
		t.Fatal(err)
	}
	plain := tok.WithoutSpecials()
	for text, want := range map[string][]int32{"<s>": {6, 2}, "<s><s>a": {6, 2, 8}, "a<s>": {3, 6, 2}} {
		if got := plain.Encode(nil, []byte(text)); !slices.Equal(got, want) || string(plain.Decode(nil, got)) != text {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// Every form of a vocabulary keeps the spellings of its control tokens as text,
// and gives them back.
func TestSpecialSpellingsRoundTrip(t *testing.T) {
	for _, name := range allTestdata {
		tok := openTestdata(t, name)
		if tok.cfg.Family == SentencePiece && !tok.cfg.ByteFallback {
			continue // characters that it lacks are lost
		}
		if tok.hf != nil && tok.hf.decodes(decodeJoin) {
			continue // it has no decoder that would put pieces together
		}
		plain := tok.WithoutSpecials()
		for id, p := range tok.pieces {
			if p.Kind != KindControl || p.Text == "" {
				continue
			}
			for _, text := range []string{p.Text, "a" + p.Text + "b", p.Text + p.Text + " x", "x " + p.Text} {
				ids := plain.Encode(nil, []byte(text))
				got := string(plain.Decode(nil, ids))
				if name == "gpt2_prefix.json" {
					got = strings.TrimPrefix(got, " ") // decoding there does not take back what encoding added
				}
				if got != text || slices.Contains(ids, int32(id)) {
					t.Errorf("%s: %q became %v, %q", name, text, ids, got)
				}
			}
		}
	}
}

// A control piece of one character is found by its spelling in a .model.
func TestModelControlCharacter(t *testing.T) {
	pieces := []Piece{{Text: "<unk>", Kind: KindUnknown}, {Text: "€", Kind: KindControl}, {Text: "a", Kind: KindNormal}, {Text: "a€", Kind: KindNormal, Score: -1}}
	tok, err := newBPE(pieces, Config{EscapeSpaces: true, UnknownSurface: "?"})
	if err != nil {
		t.Fatal(err)
	}
	if got := tok.Encode(nil, []byte("€")); !slices.Equal(got, []int32{1}) {
		t.Fatalf("%v: not what SentencePiece does", got)
	}
	plain := tok.WithoutSpecials()
	if got := plain.Encode(nil, []byte("€")); !slices.Equal(got, []int32{0}) {
		t.Errorf("€ became %v", got)
	}
	if got := plain.Encode(nil, []byte("a€")); !slices.Equal(got, []int32{3}) {
		t.Errorf("a€ became %v", got)
	}
}
