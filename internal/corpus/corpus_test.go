package corpus

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/llamac/llamac/data"
	"github.com/llamac/llamac/specs"
	"github.com/llamac/llamac/tokenizer"
)

// spec writes a spec that learns a vocabulary of a corpus beside it.
func spec(t *testing.T, dir, text string) *specs.Spec {
	t.Helper()
	must(t, os.MkdirAll(filepath.Join(dir, "corpus"), 0o777))
	must(t, os.WriteFile(filepath.Join(dir, "corpus", "x.txt"), []byte(text), 0o666))
	path := filepath.Join(dir, "m.jsonnet")
	must(t, os.WriteFile(path, []byte(`local llama = import 'llamac/llama.libsonnet';
llama {
  name: 'm',
  model+: { dim: 8, n_layers: 1, n_heads: 2, ffn_dim: 16, vocab: 270, context: 16 },
  train+: { micro_batch: 2, steps: 4 }, optim+: { lr: 1e-3 }, schedule+: { warmup: 1 },
  data+: { sources: [{ name: 't', share: 1, kind: 'files', paths: ['corpus/*'] }], validation: 0.1 },
  tokenizer+: { kind: 'bpe', bos: true },
}
`), 0o666))
	s, err := specs.Load(path, specs.Options{})
	must(t, err)
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// made prepares and gives the set's folder, its tokenizer's file and what that
// learned of a word.
func made(t *testing.T, s *specs.Spec, o Options) (dir, file string, tok tokenizer.Tokenizer) {
	t.Helper()
	dir, file, err := Prepare(context.Background(), s, o)
	must(t, err)
	tok, err = tokenizer.Open(file)
	must(t, err)
	return dir, file, tok
}

// A vocabulary and a set are those of the text, whatever the cache has seen, and
// wherever names, sizes and times are equal.
func TestVocabularyIsOfTheText(t *testing.T) {
	cats := strings.Repeat("the cat sat on the mat.\n", 200)
	zyxw := strings.Repeat("zyxw dddd zzzz qqqq w u.\n", 192)
	zyxw = (zyxw + strings.Repeat("z", len(cats)))[:len(cats)]
	shared := Options{Cache: t.TempDir()}
	first, second := t.TempDir(), t.TempDir()
	old := time.Now().Add(-time.Hour)
	a, b := spec(t, first, cats), spec(t, second, zyxw)
	for _, dir := range []string{first, second} {
		must(t, os.Chtimes(filepath.Join(dir, "corpus", "x.txt"), old, old))
	}
	dirA, fileA, _ := made(t, a, shared)
	dirB, fileB, tokB := made(t, b, shared)
	if dirA == dirB || fileA == fileB {
		t.Fatalf("two texts share %s and %s", dirB, fileB)
	}
	_, _, fresh := made(t, b, Options{Cache: t.TempDir()})
	if fresh.Hash() != tokB.Hash() {
		t.Error("a fresh cache gives another vocabulary")
	}
	if dir, file, _ := made(t, a, shared); dir != dirA || file != fileA {
		t.Error("the same text is prepared twice")
	}
	// The first project's text becomes the second's, with its old time.
	path := filepath.Join(first, "corpus", "x.txt")
	must(t, os.WriteFile(path, []byte(zyxw), 0o666))
	must(t, os.Chtimes(path, old, old))
	if dir, file, _ := made(t, a, shared); dir != dirB || file != fileB {
		t.Errorf("the changed text gives %s and %s, want %s and %s", dir, file, dirB, fileB)
	}
	// A set has its tokenizer and its list of inputs with it.
	kept, err := tokenizer.Open(filepath.Join(dirB, TokenizerFile))
	must(t, err)
	in, err := data.ReadInputs(dirB)
	must(t, err)
	now, err := Inputs(context.Background(), a, shared)
	must(t, err)
	if kept.Hash() != tokB.Hash() || !data.CompareInputs(in, now).None() {
		t.Errorf("the set keeps tokenizer %.8s and inputs %v", kept.Hash(), in)
	}
}

// A corpus of one line is learned from, and told of.
func TestLongLinesAreTold(t *testing.T) {
	var report *tokenizer.TrainReport
	o := Options{Cache: t.TempDir(), Learned: func(_ tokenizer.TrainOptions, r *tokenizer.TrainReport) { report = r }}
	_, _, tok := made(t, spec(t, t.TempDir(), strings.Repeat("zzqq abcd ", 2000)), o)
	if ids := tok.Encode(nil, []byte("zzqq")); len(ids) > 3 {
		t.Errorf("zzqq is %v", ids)
	}
	if report == nil || report.LongLines != 1 {
		t.Errorf("the report is %+v", report)
	}
}

// Errors name the file that they are about.
func TestErrorsNameFiles(t *testing.T) {
	for want, text := range map[string]string{
		"x.txt: is text in UTF-16LE":                                 "\xff\xfea\x00",
		`from "corpus/*": no text to learn from: the input is empty`: "",
		"x.txt: offset 0: not UTF-8":                                 "f\xfcnf Stunden und mehr",
	} {
		s := spec(t, t.TempDir(), text)
		_, _, err := Prepare(context.Background(), s, Options{Cache: t.TempDir()})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error is %v, want %s", text, err, want)
		}
	}
}
