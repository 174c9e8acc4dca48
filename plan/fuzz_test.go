package plan_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/llamac/llamac/plan"
)

// FuzzParse: no text makes the parser or the verifier panic, and what verifies
// prints to a text that parses to itself.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("../generated/*/plan.txt")
	if err != nil || len(files) == 0 {
		f.Fatalf("no plans: %v", err)
	}
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if len(src) < 40<<10 { // a long seed makes slow mutants
			f.Add(src)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		p, err := plan.Parse("fuzz.txt", src)
		if err != nil || p.Verify() != nil {
			return
		}
		text := p.String()
		again, err := plan.Parse("fuzz.txt", []byte(text))
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if got := again.String(); got != text {
			t.Fatalf("prints as\n%s\nand then as\n%s", text, got)
		}
		if err := again.Verify(); err != nil {
			t.Fatalf("read back it does not verify: %v\n%s", err, text)
		}
	})
}
