package prepare

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

// The texts for a tokenizer are the training documents of the set, in its
// order, without what is held out.
func TestTextsAreTheTrainingDocuments(t *testing.T) {
	dir := t.TempDir()
	corpus(t, dir)
	cfg := corpusConfig(dir, t.TempDir())
	cfg.Sources[0].Dedup = false // Texts does not drop duplicates
	var want []string
	set := run(t, cfg)
	for _, d := range docsOf(t, set) {
		if !d.held {
			want = append(want, d.text)
		}
	}
	cfg.Tokenizer, cfg.OutDir = nil, ""
	key, docs, err := Texts(context.Background(), cfg)
	must(t, err)
	var got []string
	for text, err := range docs {
		must(t, err)
		got = append(got, string(text))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d texts, want %d; or they differ", len(got), len(want))
	}
	n := 0
	for range docs { // a second time, and stopping
		if n++; n == 7 {
			break
		}
	}
	cfg.Tokenizer = byteTok{}
	again, _, err := Texts(context.Background(), cfg)
	must(t, err)
	cfg.Validation = 0.3
	other, _, err := Texts(context.Background(), cfg)
	must(t, err)
	if again != key || other == key || key == set.Key {
		t.Errorf("keys are %.8s, with a tokenizer %.8s, with more held out %.8s", key, again, other)
	}
}

func TestTextsOfBrokenInput(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.jsonl", []byte("{\"text\": \"x\"}\n{\n{\"text\": \"y\"}"))
	must(t, os.WriteFile(dir+"/b.jsonl.gz", gz(t, []byte("{\"text\": \"z\"}\n"))[:15], 0o666))
	put(t, dir, "c.jsonl", []byte("{\"text\": \"w\"}\n"))
	cfg := Config{Sources: []Source{{Name: "s", Share: 1, Kind: "jsonl", Paths: []string{"*"}, Field: "text"}}, Base: dir}
	read := func(ctx context.Context) (texts string, last error) {
		_, docs, err := Texts(ctx, cfg)
		if err != nil {
			return "", err
		}
		for text, err := range docs {
			texts, last = texts+string(text), err
		}
		return texts, last
	}
	texts, err := read(context.Background())
	var bad *InputError
	if texts != "x" || !errors.As(err, &bad) || bad.Line != 2 {
		t.Errorf("got %q and %v", texts, err)
	}
	var skipped []string
	cfg.SkipBad, cfg.OnSkip = true, func(err error) { skipped = append(skipped, err.Error()) }
	if texts, err = read(context.Background()); texts != "xyw" || err != nil || len(skipped) != 2 || !strings.Contains(skipped[1], "cut short") {
		t.Errorf("got %q, %v, skipped %q", texts, err, skipped)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if texts, err = read(ctx); texts != "" || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %q, %v", texts, err)
	}
}
