package tokenizer

import (
	"bytes"
	"compress/gzip"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func openAsset(t testing.TB, name string) Tokenizer {
	t.Helper()
	tok, err := Open(asset(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// idLines parses lines of ids separated by spaces.
func idLines(t testing.TB, data []byte) [][]int32 {
	t.Helper()
	var lines [][]int32
	for _, line := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n") {
		var ids []int32
		for _, f := range strings.Fields(line) {
			n, err := strconv.Atoi(f)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, int32(n))
		}
		lines = append(lines, ids)
	}
	return lines
}

func gunzip(t testing.TB, data []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func checkIDs(t *testing.T, tok Tokenizer, text string, want []int32) {
	t.Helper()
	if got := tok.Encode(nil, []byte(text)); !slices.Equal(got, want) {
		i := 0
		for i < len(got) && i < len(want) && got[i] == want[i] {
			i++
		}
		t.Errorf("%.60q: ids differ from number %d on\n got %v\nwant %v", text, i, got[i:min(i+20, len(got))], want[i:min(i+20, len(want))])
	}
}

// Ids and texts that SentencePiece gave for 768 lines of ugly text, with two
// models: LLaMA's, and one that removes extra spaces and so loses them.
func TestMixedLines(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(string(readAsset(t, "tokenizer/encode/mixed_lines.txt")), "\n"), "\n")
	for _, m := range []struct{ model, ids string }{
		{"tokenizer/llama/tokenizer.model", "llama"},
		{"tokenizer/train/botchan_bpe1000.model", "botchan_bpe1000"},
	} {
		tok := openAsset(t, m.model)
		ids := idLines(t, readAsset(t, "tokenizer/encode/mixed_lines."+m.ids+".ids"))
		back := strings.Split(strings.TrimSuffix(string(readAsset(t, "tokenizer/encode/mixed_lines."+m.ids+".decoded.txt")), "\n"), "\n")
		if len(ids) != len(lines) || len(back) != len(lines) {
			t.Fatalf("%d lines, %d of ids, %d decoded", len(lines), len(ids), len(back))
		}
		for i, line := range lines {
			checkIDs(t, tok, line, ids[i])
			if got := string(tok.Decode(nil, ids[i])); got != back[i] {
				t.Errorf("line %d: decoded %q, want %q", i+1, got, back[i])
			}
		}
		whole := strings.Join(lines, "\n")
		checkIDs(t, tok, whole, idLines(t, gunzip(t, readAsset(t, "tokenizer/encode/mixed_whole."+m.ids+".ids.gz")))[0])
	}
}

// The 47 hard strings of llama.cpp.
func TestGGMLVectors(t *testing.T) {
	texts := strings.Split(string(readAsset(t, "tokenizer/llama/ggml-vocab-llama-spm.gguf.inp")), "\n__ggml_vocab_test__\n")
	ids := idLines(t, readAsset(t, "tokenizer/llama/ggml-vocab-llama-spm.gguf.out"))
	for _, file := range []string{"tokenizer.model", "tokenizer.bin", "ggml-vocab-llama-spm.gguf", "llama-hf-tokenizer.json"} {
		t.Run(file, func(t *testing.T) {
			tok := openAsset(t, "tokenizer/llama/"+file)
			n := 0
			for i, text := range texts {
				if i < len(ids) {
					checkIDs(t, tok, text, ids[i])
					n++
				}
			}
			if n < 46 {
				t.Errorf("only %d strings", n)
			}
		})
	}
}

// spm_encode of the training text, with models of other options.
func TestBotchanIDs(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(string(readAsset(t, "tokenizer/train/botchan.txt")), "\n"), "\n")
	for _, name := range []string{"botchan_bpe1000", "botchan_bpe4096_nodigits"} {
		tok := openAsset(t, "tokenizer/train/"+name+".model")
		ids := idLines(t, gunzip(t, readAsset(t, "tokenizer/train/"+name+".ids.gz")))
		if len(ids) != len(lines) {
			t.Fatalf("%d lines, %d of ids", len(lines), len(ids))
		}
		for i, line := range lines {
			checkIDs(t, tok, line, ids[i])
		}
	}
}
