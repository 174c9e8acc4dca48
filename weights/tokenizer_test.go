package weights

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llamac/llamac/runtime/gguf"
	"github.com/llamac/llamac/tokenizer"
)

// sentencePiece is a vocabulary of 700 pieces, in all of its forms.
const sentencePiece = "../tokenizer/testdata/llama_like.model"

func openBPE(t *testing.T, path string) *tokenizer.BPE {
	t.Helper()
	tok, err := tokenizer.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return tok.(*tokenizer.BPE)
}

// formOf is the vocabulary as the file of that name.
func formOf(t *testing.T, tok *tokenizer.BPE, name string) []byte {
	t.Helper()
	var b bytes.Buffer
	var err error
	switch filepath.Ext(name) {
	case ".json":
		err = tokenizer.WriteJSON(&b, tok)
	case ".bin":
		err = tokenizer.WriteBin(&b, tok)
	default:
		err = tokenizer.WriteModel(&b, tok)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// tree writes files below a folder.
func tree(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestOwnTokenizer finds the tokenizer of weights where each kind of weights has
// it.
func TestOwnTokenizer(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	a := openBPE(t, sentencePiece)
	b := openBPE(t, "../tokenizer/testdata/gpt2.json")
	info := llama(8, 1, 1, 1, 2, 700, 8, true, "interleaved")
	st := safetensorsFile(nil, modelTensors(r, info, hf, F32))
	c, _ := llama2cOf(r, info, true)
	pth, err := os.ReadFile("testdata/torch_dict.pt")
	if err != nil {
		t.Fatal(err)
	}
	arch := []gguf.KeyValue{{Key: "general.architecture", Value: "llama"}}
	pairs, err := tokenizer.GGUF(a)
	if err != nil {
		t.Fatal(err)
	}
	inside := ggufBytes(t, append(arch[:1:1], pairs...), modelTensors(r, info, ggufNames("llama"), F32))
	// Not a byte-pair encoding that this program reads.
	for i := range pairs {
		if pairs[i].Key == "tokenizer.ggml.model" {
			pairs[i].Value = "t5"
		}
	}
	t5 := ggufBytes(t, append(arch[:1:1], pairs...), modelTensors(r, info, ggufNames("llama"), F32))
	none := ggufBytes(t, append(arch[:1:1], gguf.KeyValue{Key: "tokenizer.ggml.model", Value: "no_vocab"}), modelTensors(r, info, ggufNames("llama"), F32))
	model, js, bin := formOf(t, a, "x.model"), formOf(t, a, "x.json"), formOf(t, a, "x.bin")
	other, err := os.ReadFile("../tokenizer/testdata/gpt2.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		files map[string][]byte
		of    string
		from  string // "" for none
		is    *tokenizer.BPE
		notes string
		err   string
	}{
		"GGUF":                        {map[string][]byte{"x.gguf": inside, "tokenizer.json": other}, "x.gguf", "x.gguf", a, "", ""},
		"GGUF of another kind":        {map[string][]byte{"x.gguf": t5}, "x.gguf", "x.gguf", nil, "", `tokenizer.ggml.model "t5" is not supported`},
		"GGUF without":                {map[string][]byte{"x.gguf": none, "tokenizer.model": model}, "x.gguf", "tokenizer.model", a, "", ""},
		"folder":                      {map[string][]byte{"h/model.safetensors": st, "h/tokenizer.model": model, "tokenizer.json": other}, "h", "h/tokenizer.model", a, "", ""},
		"folder, both":                {map[string][]byte{"h/model.safetensors": st, "h/tokenizer.model": model, "h/tokenizer.json": js}, "h", "h/tokenizer.json", a, "", ""},
		"folder, two that differ":     {map[string][]byte{"h/model.safetensors": st, "h/tokenizer.model": model, "h/tokenizer.json": other}, "h", "h/tokenizer.json", b, "tokenizer.json and tokenizer.model differ: id ", ""},
		"folder, one unreadable":      {map[string][]byte{"h/model.safetensors": st, "h/tokenizer.model": model, "h/tokenizer.json": []byte("{}")}, "h", "h/tokenizer.model", a, "not used: ", ""},
		"folder, none readable":       {map[string][]byte{"h/model.safetensors": st, "h/tokenizer.json": []byte("{}")}, "h", "h/tokenizer.json", nil, "", "no model"},
		"folder without":              {map[string][]byte{"h/model.safetensors": st, "tokenizer.json": other}, "h", "", nil, "", ""},
		"beside":                      {map[string][]byte{"x.safetensors": st, "tokenizer.json": js}, "x.safetensors", "tokenizer.json", a, "", ""},
		"llama2.c":                    {map[string][]byte{"x.bin": c, "tokenizer.bin": bin}, "x.bin", "tokenizer.bin", a, "", ""},
		"llama2.c by size":            {map[string][]byte{"x.bin": c, "tok700.bin": bin, "tokenizer.bin": []byte("of another model")}, "x.bin", "tok700.bin", a, "", ""},
		"safetensors, not llama2.c's": {map[string][]byte{"x.safetensors": st, "tokenizer.bin": bin}, "x.safetensors", "", nil, "", ""},
		"Meta":                        {map[string][]byte{"7B/consolidated.00.pth": pth, "7B/tokenizer.model": model}, "7B", "7B/tokenizer.model", a, "", ""},
		"Meta, one up":                {map[string][]byte{"7B/consolidated.00.pth": pth, "tokenizer.model": model}, "7B", "tokenizer.model", a, "", ""},
		"Meta, a part":                {map[string][]byte{"7B/consolidated.00.pth": pth, "tokenizer.model": model}, "7B/consolidated.00.pth", "tokenizer.model", a, "", ""},
		"Meta, its own first":         {map[string][]byte{"7B/consolidated.00.pth": pth, "tokenizer.model": model, "7B/tokenizer.json": other}, "7B", "7B/tokenizer.json", b, "", ""},
	} {
		dir := tree(t, c.files)
		own, err := OwnTokenizer(filepath.Join(dir, c.of))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := ""
		if c.from != "" {
			want = filepath.Join(dir, c.from)
		}
		if own.From != want {
			t.Errorf("%s: from %q, want %q", name, own.From, want)
		}
		switch {
		case c.is == nil && own.Tokenizer != nil, c.is != nil && (own.Tokenizer == nil || own.Tokenizer.Hash() != c.is.Hash() && tokenizer.Compare(own.Tokenizer, c.is).Text != ""):
			t.Errorf("%s: another tokenizer: %+v", name, own)
		case c.is != nil:
			content, err := own.Content()
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if again, err := tokenizer.Parse(name, content); err != nil || again.Hash() != own.Tokenizer.Hash() {
				t.Errorf("%s: its content makes another one: %v", name, err)
			}
		}
		if notes := strings.Join(own.Notes, "\n"); !strings.Contains(notes, c.notes) || c.notes == "" && notes != "" {
			t.Errorf("%s: notes %q, want %q", name, notes, c.notes)
		}
		if (own.Err == nil) != (c.err == "") || own.Err != nil && !strings.Contains(own.Err.Error(), c.err) {
			t.Errorf("%s: error %v, want %q", name, own.Err, c.err)
		}
		if own.Known() != (c.from != "") {
			t.Errorf("%s: known is %v", name, own.Known())
		}
	}
}

// TestOwnTokenizerOfCheckpoints: those of now hold it, those of earlier versions
// know its hash, by which the run's copy is found.
func TestOwnTokenizerOfCheckpoints(t *testing.T) {
	info := llama(4, 1, 1, 1, 2, 5, 4, true, "half")
	a := randomArena(rand.New(rand.NewPCG(1, 7)), info)
	model, err := os.ReadFile(sentencePiece)
	if err != nil {
		t.Fatal(err)
	}
	tok := openBPE(t, sentencePiece)
	at := func(run string, c Checkpoint) string {
		path := filepath.Join(run, "checkpoints", "step-00000007.safetensors")
		if err := os.Rename(writeCheckpoint(t, info, c, a, a, a), path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	c := state
	c.Tokenizer, c.Vocabulary = tok.Hash(), string(model)
	run := tree(t, map[string][]byte{"checkpoints/.keep": nil})
	path := at(run, c)
	for _, of := range []string{path, run} {
		own, err := OwnTokenizer(of)
		if err != nil || own.From != path || own.Tokenizer == nil || own.Tokenizer.Hash() != tok.Hash() {
			t.Fatalf("%s: %+v, %v", of, own, err)
		}
		if content, err := own.Content(); err != nil || !bytes.Equal(content, model) {
			t.Errorf("another content, %v", err)
		}
	}
	// Loading passes it over.
	p := arena(info)
	if from, err := LoadRun(info, run, p, func(s string) { t.Error(s) }); err != nil || from != path {
		t.Errorf("%s, %v", from, err)
	}
	sameBits(t, "loaded", info, p, a)

	// A tensor that only claims to be a file.
	c.Vocabulary = "no tokenizer"
	at(run, c)
	if own, err := OwnTokenizer(path); err != nil || own.Tokenizer != nil || own.Err == nil {
		t.Errorf("%+v, %v", own, err)
	}

	// Earlier versions.
	c.Vocabulary = ""
	at(run, c)
	own, err := OwnTokenizer(path)
	if err != nil || own.Tokenizer != nil || own.Hash != tok.Hash() {
		t.Errorf("%+v, %v", own, err)
	}
	if differs, _ := own.Differs(tok); differs != "" {
		t.Error(differs)
	}
	if differs, _ := own.Differs(tokenizer.Byte()); !strings.Contains(differs, "hash") {
		t.Error(differs)
	}
	if err := os.WriteFile(filepath.Join(run, "tokenizer.json"), []byte("{}"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(run, "tokenizer.model"), model, 0o666); err != nil {
		t.Fatal(err)
	}
	if own, err := OwnTokenizer(run); err != nil || own.Tokenizer == nil || own.From != filepath.Join(run, "tokenizer.model") {
		t.Errorf("%+v, %v", own, err)
	}
	// Bytes need no file.
	c.Tokenizer = tokenizer.Byte().Hash()
	at(run, c)
	if own, err := OwnTokenizer(run); err != nil || own.Tokenizer != tokenizer.Byte() || own.Name() != "bytes" {
		t.Errorf("%+v, %v", own, err)
	}
}

// TestLoadRun takes the newest checkpoint, by number, that is not damaged, and
// stops at one that is good and does not fit.
func TestLoadRun(t *testing.T) {
	info := llama(4, 1, 1, 1, 2, 5, 4, true, "half")
	r := rand.New(rand.NewPCG(1, 8))
	run := tree(t, map[string][]byte{"checkpoints/step-x.safetensors": nil, "checkpoints/step-00000300.safetensors.tmp": nil})
	write := func(step string, a []float32) string {
		path := filepath.Join(run, "checkpoints", "step-"+step+".safetensors")
		if err := os.Rename(writeCheckpoint(t, info, state, a, a, a), path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	first, second, third := randomArena(r, info), randomArena(r, info), randomArena(r, info)
	write("00000200", first)
	middle := write("99999999", second)
	newest := write("100000000", third)
	p := arena(info)
	if from, err := LoadRun(info, run, p, func(s string) { t.Error(s) }); err != nil || from != newest {
		t.Fatalf("%s, %v", from, err)
	}
	sameBits(t, "newest", info, p, third)
	b, err := os.ReadFile(newest)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	if err := os.WriteFile(newest, b, 0o666); err != nil {
		t.Fatal(err)
	}
	told := 0
	if from, err := LoadRun(info, run, p, func(string) { told++ }); err != nil || from != middle || told != 1 {
		t.Fatalf("%s, %v, told %d", from, err, told)
	}
	sameBits(t, "the one before", info, p, second)
	wide := llama(8, 1, 1, 1, 2, 5, 4, true, "half")
	if from, err := LoadRun(wide, run, arena(wide), func(string) {}); err == nil || from != middle {
		t.Errorf("another model: %s, %v", from, err)
	}
	if _, err := LoadRun(info, t.TempDir(), p, func(string) {}); err == nil || !strings.Contains(err.Error(), "holds no checkpoint") {
		t.Error(err)
	}
}
