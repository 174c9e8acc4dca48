package tokenizer

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"
)

// ggufBytes builds a GGUF file of nothing but key/value pairs.
func ggufBytes(t testing.TB, kv []KeyValue) []byte {
	t.Helper()
	le := binary.LittleEndian
	b := append([]byte(ggufMagic), 3, 0, 0, 0)
	b = le.AppendUint64(b, 0)
	b = le.AppendUint64(b, uint64(len(kv)))
	str := func(s string) { b = append(le.AppendUint64(b, uint64(len(s))), s...) }
	array := func(kind uint32, n int) {
		b = le.AppendUint32(b, ggufArray)
		b = le.AppendUint32(b, kind)
		b = le.AppendUint64(b, uint64(n))
	}
	for _, p := range kv {
		str(p.Key)
		switch v := p.Value.(type) {
		case string:
			b = le.AppendUint32(b, ggufString)
			str(v)
		case uint32:
			b = le.AppendUint32(le.AppendUint32(b, 4), v)
		case bool:
			b = le.AppendUint32(b, 7)
			if v {
				b = append(b, 1)
			} else {
				b = append(b, 0)
			}
		case []string:
			array(ggufString, len(v))
			for _, s := range v {
				str(s)
			}
		case []float32:
			array(6, len(v))
			for _, x := range v {
				b = le.AppendUint32(b, math.Float32bits(x))
			}
		case []int32:
			array(5, len(v))
			for _, x := range v {
				b = le.AppendUint32(b, uint32(x))
			}
		default:
			t.Fatalf("%s: %T", p.Key, v)
		}
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
