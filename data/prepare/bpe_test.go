package prepare

import (
	"context"
	"testing"

	"github.com/llamac/llamac/data"
	"github.com/llamac/llamac/tokenizer"
)

// Tokenizers of package tokenizer fit.
var _ Tokenizer = tokenizer.Tokenizer(nil)

// A vocabulary is trained on the very texts that are then prepared with it,
// and the set's documents decode to the input.
func TestTrainedVocabulary(t *testing.T) {
	dir := t.TempDir()
	corpus(t, dir)
	plain := corpusConfig(dir, t.TempDir())
	text := map[string]string{}
	for _, d := range docsOf(t, run(t, plain)) {
		text[d.source+d.name] = d.text
	}

	cfg := corpusConfig(dir, t.TempDir())
	_, docs, err := Texts(context.Background(), cfg)
	must(t, err)
	opt := tokenizer.LlamaOptions(320)
	tok, err := tokenizer.Train(context.Background(), docs, opt)
	must(t, err)
	cfg.Tokenizer = tok
	set := run(t, cfg)
	must(t, set.CheckTokenizer(tok.Hash()))
	must(t, set.Documents(func(d *data.Document) bool {
		if got := string(tok.Decode(nil, d.Read(nil))); got != text[d.Source+d.Name] {
			t.Errorf("document %s decodes to %.40q, want %.40q", d.Name, got, text[d.Source+d.Name])
		}
		return true
	}))
	st, err := set.Stream(data.StreamConfig{Context: 50})
	must(t, err)
	seq := make([]int32, 51)
	total, want := int64(0), int64(0)
	for i := range st.ValidationLen() {
		total += int64(st.Validation(i, seq))
	}
	for _, s := range set.Stats() {
		want += s.HeldOut.Bytes
	}
	if total != want {
		t.Errorf("the held-out sequences stand for %d bytes, the text has %d", total, want)
	}
}
