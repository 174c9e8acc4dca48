package ir_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/llamac/llamac/ir"
)

// FuzzParse: no text makes the parser panic, and what parses prints to a text
// that parses to itself.
func FuzzParse(f *testing.F) {
	for _, glob := range []string{"testdata/samples/*.ir", "testdata/graphs/*.ir"} {
		files, err := filepath.Glob(glob)
		if err != nil || len(files) == 0 {
			f.Fatalf("no seeds in %s: %v", glob, err)
		}
		for _, name := range files {
			src, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		m, err := ir.Parse("fuzz.ir", src)
		if err != nil || ir.Verify(m) != nil {
			return
		}
		text := m.String()
		again, err := ir.Parse("fuzz.ir", []byte(text))
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if got := again.String(); got != text {
			t.Fatalf("prints as\n%s\nand then as\n%s", text, got)
		}
	})
}
