package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llamac/llamac/data/prepare"
	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/tokenizer"
)

// prepared makes a real data set of this package's source.
func prepared(t *testing.T, tok prepare.Tokenizer) string {
	t.Helper()
	dir := t.TempDir()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	_, err = prepare.Run(context.Background(), prepare.Config{
		Sources:   []prepare.Source{{Name: "app", Share: 1, Kind: "files", Paths: []string{filepath.Join(here, "*.go")}}},
		Tokenizer: tok, Validation: 0.3, OutDir: dir,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func realData(e *env) { e.open = openData }

// TestRealData trains on a set that package data reads, in one go and with a
// stop: the same run.
func TestRealData(t *testing.T) {
	set, whole, dir := prepared(t, tokenizer.Byte()), t.TempDir(), t.TempDir()
	train(t, whole, realData, "--data", set).want(t, 0, "1 source", "tokens held out", "bits per byte")
	stop := broken(func(micro int) int {
		if micro == 30 {
			return 1
		}
		return 0
	})
	train(t, dir, func(e *env) { realData(e); stop(e) }, "--data", set).want(t, 1)
	// The folder is remembered, wherever the command is called.
	call(t, realData, "train", "--run", dir, "--resume").want(t, 0)
	sameRun(t, dir, whole)
	if v := *history(t, whole)[39].BitsPerByte; v < 2 || v > 8 {
		t.Errorf("%v bits per byte", v)
	}
}

// TestRealDataRefused names a set that does not fit or is damaged.
func TestRealDataRefused(t *testing.T) {
	set := prepared(t, tokenizer.Byte())
	train(t, t.TempDir(), realData, "--data", t.TempDir()).want(t, 1, "not a prepared data set")
	train(t, t.TempDir(), realData, "--data", prepared(t, endless{tokenizer.Byte(), -1})).want(t, 0)
	train(t, t.TempDir(), realData, "--data", prepared(t, renamed{tokenizer.Byte()})).want(t, 1, "the data set was made with another tokenizer")

	// A token outside the vocabulary is damage that only reading finds; it
	// must end as an error that names the file, not as a crash.
	shards, err := filepath.Glob(filepath.Join(set, "*.train.tok"))
	if err != nil || len(shards) == 0 {
		t.Fatal(shards, err)
	}
	b, err := os.ReadFile(shards[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := 256 + 1; i < len(b)/2; i += 2 {
		b[i] = 0xff
	}
	if err := os.WriteFile(shards[0], b, 0o666); err != nil {
		t.Fatal(err)
	}
	train(t, t.TempDir(), realData, "--data", set).want(t, 1, filepath.Base(shards[0]), "offset")
}

// TestMaskedData trains a model that reads where documents begin. In the set each
// document begins with a token that occurs nowhere else, so that every batch,
// training or not, shows what its starts must be.
func TestMaskedData(t *testing.T) {
	corpus, set := t.TempDir(), t.TempDir()
	for i := range 200 {
		text := strings.Repeat(fmt.Sprintf("%d ", i), 3+i%20)
		if err := os.WriteFile(filepath.Join(corpus, fmt.Sprintf("%d.txt", i)), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := prepare.Run(context.Background(), prepare.Config{
		Sources:   []prepare.Source{{Name: "texts", Share: 1, Kind: "files", Paths: []string{filepath.Join(corpus, "*.txt")}}},
		Tokenizer: marked{tokenizer.Byte()}, AddBOS: true, Validation: 0.3, OutDir: set,
	}, nil); err != nil {
		t.Fatal(err)
	}
	documents, batches := 0, map[bool]int{}
	masked := func(e *env) {
		realData(e)
		e.info.Masked = true
		info := e.info
		e.info.NewTrainer = func(model.Options) (model.Trainer, error) {
			f := newFakeTrainer(info)
			f.seen = func(in model.Batch, training bool) {
				batches[training]++
				at := int32(0)
				for i, id := range in.Tokens {
					switch {
					case i%fakeContext == 0:
						at = 0
					case id == mark:
						at = int32(i % fakeContext)
						documents++
					}
					if in.Starts[i] != at {
						t.Fatalf("training %v: token %d has start %d, want %d", training, i, in.Starts[i], at)
					}
				}
			}
			return f, nil
		}
	}
	train(t, t.TempDir(), masked, "--data", set).want(t, 0)
	if batches[true] != 80 || batches[false] == 0 || documents == 0 {
		t.Errorf("%d batches of training, %d of evaluation, %d documents begin in them", batches[true], batches[false], documents)
	}

	// The set is not marked by it: a program without the mask reads it as well,
	// and is given no starts.
	plain := func(e *env) {
		realData(e)
		info := e.info
		e.info.NewTrainer = func(model.Options) (model.Trainer, error) {
			f := newFakeTrainer(info)
			f.seen = func(in model.Batch, _ bool) {
				if in.Starts != nil {
					t.Fatalf("a program without the mask is given starts: %v", in.Starts)
				}
			}
			return f, nil
		}
	}
	train(t, t.TempDir(), plain, "--data", set).want(t, 0)
}

// marked puts a byte in front of each text that no source has.
type marked struct{ tokenizer.Tokenizer }

const mark = 1

func (marked) BOS() int32 { return mark }

type renamed struct{ tokenizer.Tokenizer }

func (renamed) Hash() string { return "another" }
