//go:build slow

package tokenizer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// These tests measure SentencePiece and this package on the same work, one
// after the other in one run, each as a process of its own: this test program
// stands for llamac when the variable below is set. They print medians of wall
// and of processor time, start included; docs/benchmarks-tokenizer.md has some.

const childVar = "LLAMAC_TOKENIZER_CHILD"

func TestMain(m *testing.M) {
	if args := strings.Split(os.Getenv(childVar), "\t"); len(args) == 3 {
		if err := child(args[0], args[1], args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(task, model, arg string) error {
	if task == "train" {
		vocab, err := strconv.Atoi(arg)
		if err != nil {
			return err
		}
		t, err := Train(context.Background(), Files(model), LlamaOptions(vocab))
		if err != nil {
			return err
		}
		return WriteModel(os.Stdout, t)
	}
	t, err := Open(model)
	if err != nil {
		return err
	}
	return EncodeLines(t, os.Stdin, os.Stdout, LineOptions{})
}

// timing is one run of a program.
type timing struct{ wall, cpu time.Duration }

func timed(t *testing.T, stdin string, env []string, name string, args ...string) timing {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout = io.Discard
	if stdin != "" {
		f, err := os.Open(stdin)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cmd.Stdin = f
	}
	start := time.Now()
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return timing{time.Since(start), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
}

func median(runs []timing) (m timing) {
	pick := func(of func(timing) time.Duration) time.Duration {
		slices.SortFunc(runs, func(a, b timing) int { return int(of(a) - of(b)) })
		return of(runs[len(runs)/2])
	}
	return timing{pick(func(t timing) time.Duration { return t.wall }), pick(func(t timing) time.Duration { return t.cpu })}
}

func report(t *testing.T, what string, bytes int, them, us []timing) {
	a, b := median(them), median(us)
	rate := func(d time.Duration) float64 { return float64(bytes) / 1e6 / d.Seconds() }
	t.Logf("%-8s %5.1f MB  SentencePiece %6.2f MB/s (CPU %6.2f)  llamac %6.1f MB/s (CPU %6.1f)  ratio %5.1f (CPU %5.1f)  n=%d", what, float64(bytes)/1e6,
		rate(a.wall), rate(a.cpu), rate(b.wall), rate(b.cpu), a.wall.Seconds()/b.wall.Seconds(), a.cpu.Seconds()/b.cpu.Seconds(), len(us))
}

func TestPairedEncode(t *testing.T) {
	spm := oracle(t, "spm_encode")
	model := asset(t, "tokenizer/llama/tokenizer.model")
	texts := benchTexts(t)
	for _, kind := range []string{"prose", "code", "chinese"} {
		file := filepath.Join(t.TempDir(), kind)
		text := bytes.Repeat(texts[kind], (5<<20)/len(texts[kind])+1)
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		var them, us []timing
		for range 5 {
			them = append(them, timed(t, file, nil, spm, "--model="+model, "--output_format=id"))
			us = append(us, timed(t, file, []string{childVar + "=encode\t" + model + "\t-", "GOMAXPROCS=1"}, os.Args[0]))
		}
		report(t, kind, len(text), them, us)
	}
}

// TestPairedTrain learns 8000 pieces of 8 MB, or of LLAMAC_TRAIN_MB megabytes
// and 32000 pieces, of the Go distribution's source.
func TestPairedTrain(t *testing.T) {
	spm := oracle(t, "spm_train")
	size, vocab, rounds := 8, "8000", 3
	if s := os.Getenv("LLAMAC_TRAIN_MB"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		size, vocab, rounds = n, "32000", 1
	}
	text := goSource(t, size*1e6)
	dir := t.TempDir()
	file := filepath.Join(dir, "text")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	var them, us []timing
	for range rounds {
		us = append(us, timed(t, "", []string{childVar + "=train\t" + file + "\t" + vocab}, os.Args[0]))
		them = append(them, timed(t, "", nil, spm, "--input="+file, "--model_prefix="+filepath.Join(dir, "x"), "--vocab_size="+vocab, "--model_type=bpe",
			"--split_digits=true", "--allow_whitespace_only_pieces=true", "--byte_fallback=true", "--normalization_rule_name=identity",
			"--remove_extra_whitespaces=false", "--num_threads=2", "--self_test_sample_size=0", "--character_coverage=0.99995", "--minloglevel=2"))
	}
	report(t, "train", len(text), them, us)
}
