package tokenizer

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/llamac/llamac/runtime/gguf"
)

func TestEncodeLines(t *testing.T) {
	tok := openTestdata(t, "llama_like.model")
	long := strings.Repeat("word ", 40000) // more than a buffer
	for _, c := range []struct {
		text  string
		opt   LineOptions
		lines int
	}{
		{"a b\n\nc", LineOptions{}, 3},
		{"a b\n\nc\n", LineOptions{BOS: true, EOS: true}, 3},
		{"a b\n\nc\n", LineOptions{Whole: true}, 1},
		{long + "\nx\n" + long, LineOptions{}, 3},
		{"", LineOptions{}, 0},
	} {
		var ids, back bytes.Buffer
		if err := EncodeLines(tok, iotest.OneByteReader(strings.NewReader(c.text)), &ids, c.opt); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(ids.String(), "\n"); n != c.lines {
			t.Errorf("%.20q: %d lines, want %d", c.text, n, c.lines)
		}
		if c.opt.BOS && !strings.HasPrefix(ids.String(), "1 ") {
			t.Errorf("no BOS in %q", ids.String())
		}
		if err := DecodeLines(tok, &ids, &back); err != nil {
			t.Fatal(err)
		}
		want := c.text
		if want != "" && !strings.HasSuffix(want, "\n") || c.opt.Whole {
			want += "\n"
		}
		if back.String() != want {
			t.Errorf("%.20q comes back as %.40q", want, back.String())
		}
	}
	// Any number of workers writes the same; an error of the writer ends it.
	many := strings.Repeat("some words 日本\nand more\n\n", 40000)
	var one bytes.Buffer
	if err := EncodeLines(tok, strings.NewReader(many), &one, LineOptions{}); err != nil {
		t.Fatal(err)
	}
	var three bytes.Buffer
	if err := EncodeLines(tok, strings.NewReader(many), &three, LineOptions{Workers: 3}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Bytes(), three.Bytes()) {
		t.Error("three workers write something else than one")
	}
	if err := EncodeLines(tok, strings.NewReader(many), fullDisk{}, LineOptions{Workers: 2}); !errors.Is(err, os.ErrInvalid) {
		t.Errorf("error %v of a full disk", err)
	}
	if err := EncodeLines(Byte(), strings.NewReader("a"), &bytes.Buffer{}, LineOptions{BOS: true}); err == nil {
		t.Error("bytes have no BOS")
	}
	err := DecodeLines(tok, strings.NewReader("1 2\n3 x 4\n"), &bytes.Buffer{})
	if err == nil || !strings.HasPrefix(err.Error(), `line 2: "x" is not an id`) {
		t.Errorf("error %v", err)
	}
	if err := EncodeLines(tok, iotest.ErrReader(os.ErrClosed), &bytes.Buffer{}, LineOptions{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("error %v", err)
	}
}

// fullDisk fails at every write.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, os.ErrInvalid }

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	contents := []string{"a\nb\n", "", "no end", strings.Repeat("x", 3<<20) + "\nlast\n", strings.Repeat("some words\n", 200000)}
	var paths []string
	for i, text := range contents {
		paths = append(paths, filepath.Join(dir, string(rune('a'+i))))
		if err := os.WriteFile(paths[i], []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var got strings.Builder
	for block, err := range Files(paths...) {
		if err != nil {
			t.Fatal(err)
		}
		got.Write(block)
	}
	want := strings.Join(contents, "")
	if got.String() != want {
		t.Error("the blocks are not the files")
	}
	var err error
	for _, err = range Files(paths[0], filepath.Join(dir, "missing")) {
	}
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestParseErrors(t *testing.T) {
	model, err := os.ReadFile("testdata/llama_like.model")
	if err != nil {
		t.Fatal(err)
	}
	tok := openTestdata(t, "llama_like.model")
	var bin bytes.Buffer
	if err := WriteBin(&bin, tok); err != nil {
		t.Fatal(err)
	}
	kv, err := GGUF(tok)
	if err != nil {
		t.Fatal(err)
	}
	gguf := ggufBytes(t, kv)
	huge := bytes.Clone(gguf)
	copy(huge[16:], "\xff\xff\xff\xff\xff\xff\xff\xff") // number of pairs
	piece := func(text string, kind Kind) Piece { return Piece{text, 0, kind} }
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "empty: not a tokenizer: this is an empty file"},
		{"text", []byte("hello, this is no tokenizer"), "text: not a tokenizer"},
		{"m", model[:len(model)-3], "does not fit the file"},
		{"m", append(bytes.Clone(model), 0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f), "does not fit the file"},
		{"b", bin.Bytes()[:bin.Len()-1], "more than fit"},
		{"b", bin.Bytes()[:20], "piece 1 is cut off"},
		{"g", gguf[:len(gguf)-40], "the file is cut off"},
		{"g", huge, "g: offset"},
		{"j", []byte("{\n\"model\": {,"), "j:2: invalid character"},
		{"j", []byte(`{"model": {"type": "Unigram"}}`), `model.type "Unigram" is not BPE`},
		{"j", []byte(`{"model": {"type": "BPE", "vocab": {"a": 4000000}}}`), "ids go up to 4000000 with only 1 pieces"},
		{"j", []byte(`{"model": {"vocab": {"a": 0, "b": 0}}}`), "have the same id 0"},
		{"j", []byte(`{"model": {"vocab": {"a": 0}, "merges": ["a c"]}}`), "model.merges[0]"},
		{"j", []byte(`{"normalizer": {"type": "Nmt"}, "model": {"vocab": {"a": 0}}}`), "normalizer Nmt is not supported"},
		{"j", []byte(`{"normalizer": {"type": "NFC", "form": 2}, "model": {"vocab": {"a": 0}}}`), `normalizer: json: unknown field "form"`},
		{"j", []byte(`{"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(x+)+"}, "behavior": "Isolated"}, "model": {"vocab": {"a": 0}}}`), `pattern "(x+)+" is not supported`},
		{"j", []byte(`{"pre_tokenizer": {"type": "UnicodeScripts"}, "model": {"vocab": {"a": 0}}}`), "pre-tokenizer UnicodeScripts is not supported"},
		{"j", []byte(`{"decoder": {"type": "CTC"}, "model": {"vocab": {"a": 0}}}`), "decoder CTC is not supported"},
		{"j", []byte(`{"post_processor": {"type": "Other"}, "model": {"vocab": {"a": 0}}}`), "post-processor Other is not supported"},
		{"j", []byte(`{"more": 1, "model": {"vocab": {"a": 0}}}`), `unknown field "more"`},
		{"j", []byte(`{"added_tokens": [{"id": 9, "content": "x"}], "model": {"vocab": {"a": 0}}}`), `added token "x" has id 9, but its place in the vocabulary is 1`},
	} {
		if _, err := Parse(c.name, c.data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	for want, pieces := range map[string][]Piece{
		"no pieces":                    {},
		"no unknown piece":             {piece("a", KindNormal)},
		"a second unknown piece":       {piece("a", KindUnknown), piece("b", KindUnknown)},
		`piece 2: "a" is piece 1`:      {piece("u", KindUnknown), piece("a", KindNormal), piece("a", KindNormal)},
		"not of the form <0x0A>":       {piece("u", KindUnknown), piece("<0x0a>", KindByte)},
		"piece 1 is empty":             {piece("u", KindUnknown), piece("", KindNormal)},
		"unknown kind 9":               {piece("u", KindUnknown), piece("a", 9)},
		"byte fallback without <0x00>": nil,
	} {
		cfg := Config{EscapeSpaces: true}
		if pieces == nil {
			pieces, cfg.ByteFallback, want = []Piece{piece("u", KindUnknown)}, true, "byte fallback without piece <0x00>"
		}
		if _, err := newBPE(pieces, cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// Nothing is allocated for lengths that the file does not bear out.
func TestParseBounds(t *testing.T) {
	le := func(n int, b ...byte) []byte { return append(b, make([]byte, n)...) }
	header := append([]byte(gguf.Magic), 3, 0, 0, 0)
	header = append(header, le(8)...)
	header = append(header, 1, 0, 0, 0, 0, 0, 0, 0)
	key := append([]byte{21, 0, 0, 0, 0, 0, 0, 0}, ggufPrefix+"tokens"...)
	huge := []byte{0xff, 0xff, 0xff, 0, 0, 0, 0, 0}
	array := append(append([]byte{9, 0, 0, 0, 8, 0, 0, 0}, 0xff, 0xff, 0x3f, 0, 0, 0, 0, 0), huge...)
	data := append(append(header, key...), array...)
	bin := []byte{0, 8, 0, 0, 0, 0, 0, 0, 0xff, 7, 0, 0}
	for name, file := range map[string][]byte{"gguf": data, "bin": append(bin, 1, 2, 3)} {
		n := testing.AllocsPerRun(1, func() {
			if _, err := Parse(name, file); err == nil {
				t.Errorf("%s: no error", name)
			}
		})
		if n > 200 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
