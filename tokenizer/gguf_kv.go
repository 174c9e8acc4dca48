package tokenizer

import (
	"fmt"
	"math"
	"strings"

	"github.com/llamac/llamac/runtime/gguf"
)

// FromGGUF makes a tokenizer of GGUF's key/value pairs; keys other than
// tokenizer.ggml.* are ignored. Types are those of gguf.Pairs.
func FromGGUF(kv map[string]any) (*BPE, error) {
	g := ggufKeys(kv)
	model := g.str("model")
	if model != "llama" && model != "gpt2" {
		return nil, fmt.Errorf("%smodel %q is not supported%s: llama and gpt2 are", ggufPrefix, model, ggufOther[model])
	}
	tokens, _ := kv[ggufPrefix+"tokens"].([]string)
	// Everything else is found by the places of tokens.
	if len(tokens) == 0 {
		return nil, fmt.Errorf("no %stokens", ggufPrefix)
	}
	kinds, _ := kv[ggufPrefix+"token_type"].([]int32)
	scores, _ := kv[ggufPrefix+"scores"].([]float32)
	if kinds != nil && len(kinds) != len(tokens) || scores != nil && len(scores) != len(tokens) {
		return nil, fmt.Errorf("%d tokens, but %d kinds and %d scores", len(tokens), len(kinds), len(scores))
	}
	pieces := make([]Piece, len(tokens))
	// Type 0 is "undefined", which some converters leave on normal tokens.
	for i, text := range tokens {
		pieces[i] = Piece{Text: text, Kind: KindNormal}
		if scores != nil {
			pieces[i].Score = scores[i]
		}
		if kinds != nil && kinds[i] != 0 {
			if kinds[i] < 0 || kinds[i] > 6 {
				return nil, fmt.Errorf("token %d has unknown type %d", i, kinds[i])
			}
			pieces[i].Kind = Kind(kinds[i])
			// Without kinds a byte piece is known by its spelling.
		} else if _, ok := byteOfPiece(text); ok && model == "llama" {
			pieces[i].Kind = KindByte
		}
	}
	bos, eos, unk := g.id("bos_token_id", len(tokens)), g.id("eos_token_id", len(tokens)), g.id("unknown_token_id", len(tokens))
	if model == "gpt2" {
		return g.byteLevel(pieces, bos, eos)
	}
	// Without scores there is no order of merging to guess.
	if scores == nil {
		return nil, fmt.Errorf("no %sscores", ggufPrefix)
	}
	// Before the vocabulary is checked: it wants an unknown piece.
	ggufSpecials(pieces, bos, eos, unk)
	// llama.cpp has LLaMA's rules built in, and keys for the few that vary.
	cfg := llamaConfig()
	cfg.ByteFallback = allBytes(pieces)
	cfg.DummyPrefix = g.flag("add_space_prefix", true)
	cfg.RemoveExtraSpaces = g.flag("remove_extra_whitespaces", false)
	t, err := newBPE(pieces, cfg, fixedSpecials(bos, eos))
	if err != nil {
		return nil, err
	}
	return t, nil
}

// ggufSpecials marks pieces that writers leave marked as normal ones.
func ggufSpecials(pieces []Piece, bos, eos, unk int32) {
	// A file may name its unknown piece by a key only, and may leave BOS and EOS
	// of type normal; text must not become either.
	have := -1
	for i, p := range pieces {
		if p.Kind != KindUnknown {
			continue
		}
		// Padding of the vocabulary is of this type in some files: the piece
		// that the key names counts, or else the first.
		if have >= 0 || unk >= 0 && int(unk) != i && pieces[unk].Kind == KindUnknown {
			pieces[i].Kind = KindControl
			continue
		}
		have = i
	}
	if unk >= 0 && have < 0 {
		pieces[unk].Kind = KindUnknown
	}
	for _, id := range []int32{bos, eos} {
		if id >= 0 && pieces[id].Kind == KindNormal {
			pieces[id].Kind = KindControl
		}
	}
}

// fixedSpecials gives BOS and EOS by number.
//
// A key counts, even if the piece of that number has an unusual spelling.
func fixedSpecials(bos, eos int32) option {
	return func(t *BPE) error {
		t.bosName, t.eosName = "", ""
		if bos >= 0 {
			t.bos, t.bosName = bos, t.pieces[bos].Text
		}
		if eos >= 0 {
			t.eos, t.eosName = eos, t.pieces[eos].Text
		}
		return nil
	}
}

// byteLevel makes a byte-level tokenizer: tokens as tokenizer.json spells them
// and merges as "left right".
func (g ggufKeys) byteLevel(pieces []Piece, bos, eos int32) (*BPE, error) {
	name := g.str("pre")
	if name == "" {
		return nil, fmt.Errorf("no %spre: the file does not say how text is cut into words; convert it again", ggufPrefix)
	}
	// Names that are not listed cut in other ways; a near miss would change
	// ids.
	pre, ok := ggufPres[name]
	if !ok {
		return nil, fmt.Errorf("%spre %q is not supported", ggufPrefix, name)
	}
	// Text must not become BOS or EOS, whatever type a writer has left on them.
	for _, id := range []int32{bos, eos} {
		if id >= 0 && pieces[id].Kind == KindNormal {
			pieces[id].Kind = KindControl
		}
	}
	// The keys say what tokenizer.json says, so they go the same way.
	merges, _ := g[ggufPrefix+"merges"].([]string)
	f := &jsonFile{Model: &jsonModel{Type: "BPE", Vocab: make(map[string]int32, len(pieces)), IgnoreMerges: pre.whole}, loose: true}
	for i, p := range pieces {
		switch p.Kind {
		case KindNormal, KindUnused:
			f.Model.Vocab[p.Text] = int32(i)
		case KindUserDefined:
			f.Model.Vocab[p.Text] = int32(i) // merges may make it as well
			fallthrough
		default:
			f.AddedTokens = append(f.AddedTokens, addedToken{ID: int32(i), Content: p.Text, Special: p.Kind != KindUserDefined})
		}
	}
	// Spaces inside of pieces are spelt Ġ, so that one space parts the two.
	for i, m := range merges {
		left, right, ok := strings.Cut(m, " ")
		if !ok {
			return nil, fmt.Errorf("%smerges[%d]: %q is not two pieces", ggufPrefix, i, m)
		}
		f.Model.Merges = append(f.Model.Merges, jsonMerge{left, right})
	}
	var err error
	if f.PreTokenizer, err = marshalJSON(pre.part()); err != nil {
		return nil, err
	}
	f.Decoder = []byte(byteLevelPart)
	t, err := f.build()
	if err != nil {
		return nil, err
	}
	// As the keys say, whatever their spelling suggests.
	t.bos, t.eos = bos, eos
	t.finish()
	return t, nil
}

// GGUF returns t as GGUF's key/value pairs, in the order in which llama.cpp's
// converter writes them.
func GGUF(t *BPE) ([]gguf.KeyValue, error) {
	var kv []gguf.KeyValue
	add := func(key string, value any) { kv = append(kv, gguf.KeyValue{Key: ggufPrefix + key, Value: value}) }
	tokens, kinds, scores := make([]string, len(t.pieces)), make([]int32, len(t.pieces)), make([]float32, len(t.pieces))
	for i, p := range t.pieces {
		tokens[i], kinds[i], scores[i] = p.Text, int32(p.Kind), p.Score
	}
	// A byte-level vocabulary is told by how it cuts, which has to have a name
	// there.
	if t.cfg.Family == ByteLevel {
		pre := t.ggufPre()
		if pre == "" {
			return nil, fmt.Errorf("GGUF has no name for the way in which this tokenizer cuts text into words")
		}
		// "gpt2" stands for all byte-level encodings, "llama" for SentencePiece.
		add("model", "gpt2")
		// Scores would mean nothing: the list of merges is the order.
		add("pre", pre)
		add("tokens", tokens)
		add("token_type", kinds)
		add("merges", t.mergeList())
	} else {
		// llama.cpp merges by score and knows no table of replacements.
		if t.hf != nil || t.chars != nil {
			return nil, fmt.Errorf("GGUF holds scored SentencePiece vocabularies without a normaliser only, not %s", t.kindName())
		}
		add("model", "llama")
		add("pre", "default")
		add("tokens", tokens)
		add("scores", scores)
		add("token_type", kinds)
	}
	// Absent keys mean that there is no such token.
	for _, s := range []struct {
		key string
		id  int32
	}{{"bos_token_id", t.bos}, {"eos_token_id", t.eos}, {"unknown_token_id", t.unk}} {
		if s.id >= 0 {
			add(s.key, uint32(s.id))
		}
	}
	// llama.cpp adds BOS itself if this says so, as it does for LLaMA's models.
	add("add_bos_token", t.bos >= 0 && t.cfg.Family == SentencePiece)
	add("add_eos_token", false)
	if t.cfg.Family == SentencePiece {
		add("add_space_prefix", t.cfg.DummyPrefix)
		if t.cfg.RemoveExtraSpaces {
			add("remove_extra_whitespaces", true)
		}
	}
	return kv, nil
}

// mergeList lists the merges in order, each as "left right".
func (t *BPE) mergeList() []string {
	slots := t.rules.pairs.sorted()
	out := make([]string, len(slots))
	for i, s := range slots {
		out[i] = t.pieces[s.left].Text + " " + t.pieces[s.right].Text
	}
	return out
}

// ggufKeys reads single keys.
type ggufKeys map[string]any

// str reads a string, "" if it is absent.
func (g ggufKeys) str(key string) string {
	s, _ := g[ggufPrefix+key].(string)
	return s
}

// flag reads a bool.
func (g ggufKeys) flag(key string, otherwise bool) bool {
	if v, ok := g[ggufPrefix+key].(bool); ok {
		return v
	}
	return otherwise
}

// id reads the id of a special token; -1 if it is absent or, as some writers
// put it, out of range.
func (g ggufKeys) id(key string, vocab int) int32 {
	var n int64 = -1
	// Writers differ in the width.
	switch v := g[ggufPrefix+key].(type) {
	case uint32:
		n = int64(v)
	case int32:
		n = int64(v)
	case uint64:
		n = int64(min(v, math.MaxInt64))
	}
	if n < 0 || n >= int64(vocab) {
		return -1
	}
	return int32(n)
}
