package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes this binary stand for the command llamac, in scripts and for
// tests that start it, and gives all of them one cache: the model of
// specs/testdata/pocket.jsonnet is built once.
func TestMain(m *testing.M) {
	testscript.Main(cached{m}, map[string]func(){"llamac": main})
}

// cached runs the tests with a cache of their own.
type cached struct{ *testing.M }

func (c cached) Run() int {
	dir, err := os.MkdirTemp("", "llamac-test-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	os.Setenv("LLAMAC_CACHE", dir)
	return c.M.Run()
}

// needGo skips a test that builds programs where nothing can.
func needGo(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("go not found")
	}
}

// specDir is the folder of the shipped specs.
func specDir(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "..", "specs"))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// writeCorpus writes the files that runs of these tests learn from, about 200 kB
// of text in which the next byte can be learned: the same every time.
func writeCorpus(dir string) error {
	words := strings.Fields("func return if else for range package import type struct var const nil err true false int string byte len append make")
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 24 {
		var b strings.Builder
		for b.Len() < 8<<10 {
			for range 2 + r.IntN(9) {
				b.WriteString(words[r.IntN(len(words))])
				b.WriteByte(" \t.("[r.IntN(4)])
			}
			b.WriteByte('\n')
		}
		name := filepath.Join(dir, "corpus", fmt.Sprintf("%02d.txt", i))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// localPocket is the spec of the small trained model on that corpus, with files
// written so often that a kill hits one. It keeps its name, so that all tests
// share what is built of the runtime.
const localPocket = `local pocket = import 'pocket.jsonnet';

pocket {
  train+: { steps: 60, save_every: 3, eval: { every: 5, batches: 2 }, sample: { every: 7, count: 1, tokens: 20, prompt: 'f', temperature: 0.7, top_p: 0.95 } },
  schedule+: { warmup: 5 },
  data+: { sources: [{ name: 'text', share: 1, kind: 'files', paths: ['corpus/*.txt'] }], validation: 0.2 },
}
`

// writePocket writes the corpus and the spec local.jsonnet into a folder.
func writePocket(specs, dir string) error {
	b, err := os.ReadFile(filepath.Join(specs, "testdata", "pocket.jsonnet"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "pocket.jsonnet"), b, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "local.jsonnet"), []byte(localPocket), 0o644); err != nil {
		return err
	}
	return writeCorpus(dir)
}
