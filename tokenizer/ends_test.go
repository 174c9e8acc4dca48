package tokenizer

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llamac/llamac/runtime/gguf"
)

// TestEndsOfGGUF: the keys of a GGUF file, and pieces that end turns by their names.
func TestEndsOfGGUF(t *testing.T) {
	text := []string{"<unk>", "<s>", "</s>", "a", "<|im_end|>", "<|eot_id|>", "b", "<end_of_turn>"}
	kind := []int32{2, 3, 3, 1, 3, 1, 1, 4} // <|eot_id|> is text here
	for name, c := range map[string]struct {
		kv   []gguf.KeyValue
		ends []int32
		err  string
		bos  []string // contradictions where the spec has BOS
	}{
		"by name":       {nil, []int32{4, 7}, "", nil},
		"EOS":           {[]gguf.KeyValue{{Key: "eos_token_id", Value: uint32(2)}}, []int32{2, 4, 7}, "", nil},
		"end of turn":   {[]gguf.KeyValue{{Key: "eot_token_id", Value: uint32(6)}, {Key: "eom_token_id", Value: int32(3)}}, []int32{3, 4, 6, 7}, "", nil},
		"none":          {[]gguf.KeyValue{{Key: "eot_token_id", Value: ^uint32(0)}}, []int32{4, 7}, "", nil},
		"behind":        {[]gguf.KeyValue{{Key: "eot_token_id", Value: uint32(8)}}, []int32{4, 7}, "x.gguf: tokenizer.ggml.eot_token_id is 8, and the vocabulary has the ids 0 to 7", nil},
		"EOS behind":    {[]gguf.KeyValue{{Key: "eos_token_id", Value: uint64(1) << 63}}, []int32{4, 7}, "x.gguf: tokenizer.ggml.eos_token_id is ", nil},
		"of other type": {[]gguf.KeyValue{{Key: "eom_token_id", Value: "7"}}, []int32{4, 7}, "tokenizer.ggml.eom_token_id: 7 is no value of this key", nil},
		"no BOS":        {[]gguf.KeyValue{{Key: "add_bos_token", Value: false}}, []int32{4, 7}, "", []string{"add_bos_token is false, and tokenizer.bos of the spec true"}},
		"BOS":           {[]gguf.KeyValue{{Key: "add_bos_token", Value: true}, {Key: "bos_token_id", Value: uint32(1)}}, []int32{4, 7}, "", nil},
	} {
		scores := make([]float32, len(text))
		kv := []gguf.KeyValue{{Key: "model", Value: "llama"}, {Key: "tokens", Value: text}, {Key: "token_type", Value: kind}, {Key: "scores", Value: scores}}
		kv = append(kv, c.kv...)
		for i := range kv {
			kv[i].Key = ggufPrefix + kv[i].Key
		}
		path := filepath.Join(t.TempDir(), "x.gguf")
		if err := os.WriteFile(path, ggufBytes(t, kv), 0o666); err != nil {
			t.Fatal(err)
		}
		tok, err := Open(path)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		claims := ClaimsOf(path)
		ends, err := claims.Ends(tok)
		if !slices.Equal(ends, c.ends) || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, %v, want %v, %q", name, ends, err, c.ends, c.err)
		}
		got := claims.Prompt(tok, true)
		if len(got) != len(c.bos) || len(got) > 0 && !strings.Contains(got[0], c.bos[0]) {
			t.Errorf("%s: %q, want %q", name, got, c.bos)
		}
		// They are written into checkpoints, and are no part of the vocabulary.
		again, err := ParseClaims("x", FormatEnds(ends)).Ends(tok)
		if err != nil || !slices.Equal(again, ends) {
			t.Errorf("%s: read again as %v, %v", name, again, err)
		}
		// Writers that put other weights beside have not named theirs.
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), "generation_config.json"), []byte(`{"eos_token_id": 6}`), 0o666); err != nil {
			t.Fatal(err)
		}
		if beside, _ := ClaimsOf(path).Ends(tok); !slices.Equal(beside, c.ends) {
			t.Errorf("%s: %v with a file beside", name, beside)
		}
	}
	if _, err := ParseClaims("x: ends", "2,x").Ends(Byte()); err == nil || !strings.Contains(err.Error(), `x: ends: "2,x" is no list of ids`) {
		t.Error(err)
	}
}

// TestPostProcessorPutsBOS: that is a word on prompts as well, but one of
// tokenizer_config.json has more weight.
func TestPostProcessorPutsBOS(t *testing.T) {
	const file = `{"added_tokens": [{"id": 1, "content": "<s>", "special": true}, {"id": 2, "content": "</s>", "special": true}],
 "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]},
 "model": {"type": "BPE", "vocab": {"a": 0, "<s>": 1, "</s>": 2}, "merges": []}}`
	dir := t.TempDir()
	path := filepath.Join(dir, "tokenizer.json")
	if err := os.WriteFile(path, []byte(file), 0o666); err != nil {
		t.Fatal(err)
	}
	tok, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		config string
		bos    bool
		want   string
	}{
		{`{}`, true, ""},
		{`{}`, false, "the post-processor of the tokenizer puts BOS before a text"},
		{`{"add_bos_token": false}`, false, ""},
		{`{"add_bos_token": false}`, true, "add_bos_token is false"},
		{`{"add_bos_token": 1}`, true, ""}, // an error of Ends
	} {
		if err := os.WriteFile(filepath.Join(dir, "tokenizer_config.json"), []byte(c.config), 0o666); err != nil {
			t.Fatal(err)
		}
		got := strings.Join(ClaimsOf(path).Prompt(tok, c.bos), "\n")
		if !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s, %v: %q, want %q", c.config, c.bos, got, c.want)
		}
	}
	if _, err := ClaimsOf(dir).Ends(tok); err == nil || !strings.Contains(err.Error(), "tokenizer_config.json: add_bos_token: neither true nor false") {
		t.Error(err)
	}
	config := `{"add_eos_token": true, "text_config": {"eos_token_id": [0]}}`
	for _, name := range []string{"tokenizer_config.json", "config.json"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(config), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if ends, err := ClaimsOf(dir).Ends(tok); err != nil || !slices.Equal(ends, []int32{0, 2}) {
		t.Errorf("%v, %v", ends, err)
	}
	if d := ClaimsOf(dir).Documents(false); len(d) != 2 || !strings.Contains(d[0], "add_eos_token is true, and tokenizer.eos of the spec false") {
		t.Errorf("%q", d)
	}
	if d := ClaimsOf(dir).Documents(true); len(d) != 0 {
		t.Errorf("%q", d)
	}
}
