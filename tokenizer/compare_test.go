package tokenizer

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llamac/llamac/runtime/gguf"
)

// reparsed writes a tokenizer in another form and reads it back.
func reparsed(t *testing.T, write func(*bytes.Buffer) error) Tokenizer {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	tok, err := Parse("reparsed", b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// changedJSON reads a tokenizer.json of testdata after a change of its text or
// of its values.
func changedJSON(t *testing.T, name string, change func(file map[string]any)) Tokenizer {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]any
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	change(file)
	if data, err = json.Marshal(file); err != nil {
		t.Fatal(err)
	}
	tok, err := Parse(name, data)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// changedModel is a vocabulary of pieces that were changed.
func changedModel(t *testing.T, b *BPE, change func([]Piece) []Piece) Tokenizer {
	t.Helper()
	tok, err := newBPE(change(slices.Clone(b.pieces)), b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// TestCompareForms: one vocabulary in several forms is one vocabulary.
func TestCompareForms(t *testing.T) {
	llama := openTestdata(t, "llama_like.model")
	forms := map[string]Tokenizer{
		"model": llama,
		"bin":   reparsed(t, func(b *bytes.Buffer) error { return WriteBin(b, llama) }),
		"json":  reparsed(t, func(b *bytes.Buffer) error { return WriteJSON(b, llama) }),
		"gguf":  reparsed(t, func(b *bytes.Buffer) error { return writeGGUF(b, llama) }),
		// llama.cpp's converter pads the vocabulary up to the rows of the model.
		"padded gguf": reparsed(t, func(b *bytes.Buffer) error { return writeGGUF(b, padded(t, llama)) }),
	}
	for x, a := range forms {
		for y, b := range forms {
			if d := Compare(a, b); d != (Difference{}) {
				t.Errorf("%s and %s differ: %+v", x, y, d)
			}
		}
	}
	for _, name := range []string{"gpt2.json", "qwen2.json", "smollm.json"} {
		a := openTestdata(t, name)
		b := reparsed(t, func(b *bytes.Buffer) error { return writeGGUF(b, a) })
		if d := Compare(a, b); d.Text != "" {
			t.Errorf("%s and its GGUF differ: %+v", name, d)
		}
	}
}

func padded(t *testing.T, b *BPE) *BPE {
	return changedModel(t, b, func(p []Piece) []Piece {
		for _, name := range []string{"[PAD0]", "[PAD1]", "[PAD2]"} {
			p = append(p, Piece{Text: name, Kind: KindUnused})
		}
		return p
	}).(*BPE)
}

func writeGGUF(b *bytes.Buffer, t *BPE) error {
	kv, err := GGUF(t)
	if err != nil {
		return err
	}
	head, err := gguf.Append(nil, kv, nil)
	b.Write(head)
	return err
}

// TestCompareDifferences names what differs, whichever way round.
func TestCompareDifferences(t *testing.T) {
	llama, gpt2 := openTestdata(t, "llama_like.model"), openTestdata(t, "gpt2.json")
	normal := slices.IndexFunc(llama.pieces, func(p Piece) bool { return p.Kind == KindNormal })
	for _, c := range []struct {
		name string
		a, b Tokenizer
		want string
	}{
		{"another piece", llama, changedModel(t, llama, func(p []Piece) []Piece {
			p[len(p)-1].Text = "\u00a7\u00a7"
			return p
		}), "id 699 is"},
		{"places changed", llama, changedModel(t, llama, func(p []Piece) []Piece {
			p[normal], p[normal+1] = p[normal+1], p[normal]
			return p
		}), "id "},
		{"a piece more", llama, changedModel(t, llama, func(p []Piece) []Piece {
			return append(p, Piece{"more", -1e6, KindNormal}, Piece{"evenmore", -1e6, KindNormal})
		}), `"more" (700) is in one of them alone, and 1 more`},
		{"scores changed", llama, changedModel(t, llama, func(p []Piece) []Piece {
			p[normal].Score, p[normal+1].Score = p[normal+1].Score, p[normal].Score
			return p
		}), "merge in another order"},
		{"merges changed", gpt2, changedJSON(t, "gpt2.json", func(f map[string]any) {
			m := f["model"].(map[string]any)["merges"].([]any)
			m[3], m[4] = m[4], m[3]
		}), "merge in another order"},
		{"a merge less", gpt2, changedJSON(t, "gpt2.json", func(f map[string]any) {
			m := f["model"].(map[string]any)
			list := m["merges"].([]any)
			m["merges"] = list[:len(list)-1]
		}), "merges there and "},
		{"no space in front", llama, func() Tokenizer {
			cfg := llama.cfg
			cfg.DummyPrefix = false
			u, err := newBPE(llama.pieces, cfg)
			if err != nil {
				t.Fatal(err)
			}
			return u
		}(), `" " becomes`},
		// An added token that takes the space before it, which GGUF cannot say.
		{"flags of added tokens", openTestdata(t, "llama3.json"), reparsed(t, func(b *bytes.Buffer) error {
			return writeGGUF(b, openTestdata(t, "llama3.json"))
		}), "func"},
		{"bytes", llama, Byte(), `id 0 is "<unk>" there and "\x00" here`},
	} {
		for i, d := range []Difference{Compare(c.a, c.b), Compare(c.b, c.a)} {
			if d.Text == "" || i == 0 && !strings.Contains(d.Text, c.want) {
				t.Errorf("%s, %d: %q, want %q", c.name, i, d.Text, c.want)
			}
		}
	}
}

// TestCompareEnds: another end of text is another thing than another vocabulary.
func TestCompareEnds(t *testing.T) {
	a := openTestdata(t, "gpt2.json")
	b := reparsed(t, func(b *bytes.Buffer) error { return WriteJSON(b, a) })
	c := b.(*BPE)
	c.bos, c.eos = -1, 7
	c.finish()
	d := Compare(a, c)
	if d.Text != "" || !strings.Contains(d.Ends, "EOS is ") || !strings.Contains(d.Ends, "BOS is ") {
		t.Errorf("%+v", d)
	}
}

// TestCompareAssets: LLaMA's vocabulary by three programs, and another's.
func TestCompareAssets(t *testing.T) {
	llama := openAsset(t, "tokenizer/llama/tokenizer.model")
	for _, name := range []string{"tokenizer/llama/tokenizer.bin", "tokenizer/llama/ggml-vocab-llama-spm.gguf", "weights/gguf/llama-2-tiny-random.gguf"} {
		if d := Compare(llama, openAsset(t, name)); d != (Difference{}) {
			t.Errorf("%s: %+v", name, d)
		}
	}
	// This file has three tokens of its own, behind LLaMA's.
	data, err := os.ReadFile(asset(t, "tokenizer/llama/llama-hf-tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	own, err := Parse("llama-hf-tokenizer.json", data)
	if err != nil {
		t.Fatal(err)
	}
	if d := Compare(llama, own); !strings.HasPrefix(d.Text, `32000 pieces there and 32003 here: "|||EMAIL_ADDRESS|||" (32000) is in one of them alone`) {
		t.Errorf("%+v", d)
	}
	var file map[string]any
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	added := file["added_tokens"].([]any)
	file["added_tokens"] = slices.DeleteFunc(added, func(a any) bool { return a.(map[string]any)["id"].(float64) >= 32000 })
	data, err = json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := Parse("llama-hf-tokenizer.json without its own tokens", data)
	if err != nil {
		t.Fatal(err)
	}
	if d := Compare(llama, plain); d != (Difference{}) {
		t.Errorf("Hugging Face's list of merges: %+v", d)
	}
}

// TestContent keeps what makes the same tokenizer, and of GGUF no more.
func TestContent(t *testing.T) {
	llama := openTestdata(t, "llama_like.model")
	kv, err := GGUF(llama)
	if err != nil {
		t.Fatal(err)
	}
	kv = append([]gguf.KeyValue{{Key: "general.name", Value: "x"}}, kv...)
	head, err := gguf.Append(nil, kv, nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.gguf")
	if err := os.WriteFile(path, append(head, make([]byte, 1<<20)...), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{path, "testdata/llama_like.model", "testdata/gpt2.json"} {
		data, err := Content(path)
		if err != nil {
			t.Fatal(err)
		}
		a, err := Parse("content", data)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := Open(path); err != nil || a.Hash() != b.Hash() {
			t.Errorf("%s: another tokenizer, %v", path, err)
		}
		if len(data) > 1<<20 {
			t.Errorf("%s: %d bytes are kept", path, len(data))
		}
	}
}
