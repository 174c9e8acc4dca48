package ir_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/llamac/llamac/ir"
)

// seeds are all texts in testdata, good and bad.
func seeds(t testing.TB) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, glob := range []string{"testdata/samples/*.ir", "testdata/graphs/*.ir", "testdata/invalid/*.txtar", "testdata/*.txtar"} {
		files, err := filepath.Glob(glob)
		if err != nil || len(files) == 0 {
			t.Fatalf("no seeds in %s: %v", glob, err)
		}
		for _, name := range files {
			src, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(name, ".txtar") {
				all[name] = src
				continue
			}
			for _, f := range txtar.Parse(src).Files {
				all[name+":"+f.Name] = f.Data
			}
		}
	}
	return all
}

// FuzzParse: no text makes the parser or the verifier panic. What verifies
// prints to a text that parses to itself, and still verifies once its
// dimensions are numbers.
func FuzzParse(f *testing.F) {
	for _, src := range seeds(f) {
		f.Add(src)
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
		least := map[string]int64{}
		for _, d := range m.Dims {
			least[d.Name] = d.Min
		}
		bound := ir.Clone(m, least)
		if err := ir.Verify(bound); err != nil && !strings.Contains(err.Error(), "too large") {
			t.Fatalf("bound to %v: %v in\n%s", least, err, text)
		}
	})
}
