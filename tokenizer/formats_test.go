package tokenizer

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/llamac/llamac/runtime/gguf"
)

// ggufBytes builds a GGUF file of nothing but key/value pairs.
func ggufBytes(t testing.TB, kv []gguf.KeyValue) []byte {
	t.Helper()
	b, err := gguf.Append(nil, kv, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// checkFormats writes tok in all formats that can hold it and compares what is
// read back.
func checkFormats(t *testing.T, tok *BPE, lines []string) {
	t.Helper()
	files := map[string][]byte{}
	var b bytes.Buffer
	if tok.hf == nil {
		if err := WriteModel(&b, tok); err != nil {
			t.Fatal(err)
		}
		files["model"] = slices.Clone(b.Bytes())
		b.Reset()
		if err := WriteBin(&b, tok); err != nil {
			t.Fatal(err)
		}
		files["bin"] = slices.Clone(b.Bytes())
		b.Reset()
	}
	kv, err := GGUF(tok)
	if err != nil {
		t.Fatal(err)
	}
	files["gguf"] = ggufBytes(t, kv)
	if err := WriteJSON(&b, tok); err != nil {
		t.Fatal(err)
	}
	files["json"] = b.Bytes()
	for format, data := range files {
		again, err := Parse(format, data)
		if err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		if again.BOS() != tok.BOS() || again.EOS() != tok.EOS() || again.Vocab() != tok.Vocab() {
			t.Errorf("%s: BOS %d, EOS %d, %d pieces; want %d, %d, %d", format, again.BOS(), again.EOS(), again.Vocab(), tok.BOS(), tok.EOS(), tok.Vocab())
		}
		if format != "json" && tok.hf == nil && again.Hash() != tok.Hash() {
			t.Errorf("%s: the hash differs", format)
		}
		for _, line := range lines {
			want := tok.Encode(nil, []byte(line))
			if got := again.Encode(nil, []byte(line)); !slices.Equal(got, want) {
				t.Errorf("%s: %q becomes %v, want %v", format, line, got, want)
				break
			}
			if got, want := string(again.Decode(nil, want)), string(tok.Decode(nil, want)); got != want {
				t.Errorf("%s: decoded %q, want %q", format, got, want)
				break
			}
		}
	}
}

func TestFormats(t *testing.T) {
	for _, name := range []string{"llama_like.model", "gpt2.json", "llama3.json", "qwen2.json", "smollm.json"} {
		t.Run(name, func(t *testing.T) {
			tok, err := Open("testdata/" + name)
			if err != nil {
				t.Fatal(err)
			}
			bpe := tok.(*BPE)
			var lines []string
			stem, _, _ := strings.Cut(name, ".")
			for _, c := range golden(t, stem) {
				// A list of merges and GGUF know no words around added tokens,
				// and only SentencePiece leaves special pieces alone.
				if !strings.Contains(c.text, "<") && !strings.Contains(c.text, "func") && !strings.Contains(c.text, "the") {
					lines = append(lines, c.text)
				}
			}
			checkFormats(t, bpe, lines)
		})
	}
}
