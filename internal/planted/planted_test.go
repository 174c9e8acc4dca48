package planted

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// root is the module's folder.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// plant is the file of a bug with the bug in it.
func (b Bug) plant(t *testing.T) (file, text string) {
	t.Helper()
	file = filepath.Join(root(t), filepath.FromSlash(b.File))
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(src), b.Old); n != 1 || b.Old == b.New {
		t.Fatalf("%s: %q occurs %d times in %s, want once: plant the bug where the code is now", b.Name, b.Old, n, b.File)
	}
	return file, strings.Replace(string(src), b.Old, b.New, 1)
}

// TestBugsFit: every bug can still be planted, and by more than one kind of
// test they are caught.
func TestBugsFit(t *testing.T) {
	names := map[string]bool{}
	fuzzed := 0
	for _, b := range Bugs {
		t.Run(b.Name, func(t *testing.T) { b.plant(t) })
		if names[b.Name] {
			t.Errorf("two bugs are called %q", b.Name)
		}
		names[b.Name] = true
		if b.Test.Package == "./internal/fuzz" {
			fuzzed++
		}
	}
	if len(Bugs) < 20 || fuzzed < len(Bugs)/2 {
		t.Errorf("%d bugs, %d of them for the fuzzer", len(Bugs), fuzzed)
	}
}
