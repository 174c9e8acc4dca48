package ir_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/llamac/llamac/ir"
)

var update = flag.Bool("update", false, "rewrite expectations in testdata")

// An invalid case is a module that parses and does not verify. Lines that
// start with "// want " hold the verifier's complaints, one each.
type invalid struct {
	file, name string
	src, want  string
}

func invalidCases(t testing.TB) []invalid {
	t.Helper()
	files, err := filepath.Glob("testdata/invalid/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no invalid cases: %v", err)
	}
	var all []invalid
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range a.Files {
			c := invalid{file: file, name: f.Name, src: string(f.Data)}
			for line := range strings.Lines(c.src) {
				if s, ok := strings.CutPrefix(line, "// want "); ok {
					c.want += s
				}
			}
			all = append(all, c)
		}
	}
	return all
}

// TestInvalid rejects each case with its exact message.
func TestInvalid(t *testing.T) {
	got := map[string]string{}
	for _, c := range invalidCases(t) {
		m, err := ir.Parse(c.name, []byte(c.src))
		if err != nil {
			t.Errorf("%s: %v", c.file, err)
			continue
		}
		message := ""
		if err := ir.Verify(m); err != nil {
			message = err.Error() + "\n"
		}
		if message != c.want && !*update {
			t.Errorf("%s: %s:\n got %swant %s", c.file, c.name, message, c.want)
		}
		got[c.file+c.name] = message
	}
	if *update {
		updateInvalid(t, got)
	}
}

// updateInvalid rewrites the expectations of all cases.
func updateInvalid(t *testing.T, got map[string]string) {
	files, _ := filepath.Glob("testdata/invalid/*.txtar")
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range a.Files {
			message, ok := got[file+f.Name]
			if !ok {
				continue
			}
			var b strings.Builder
			for line := range strings.Lines(message) {
				b.WriteString("// want " + line)
			}
			for line := range strings.Lines(string(f.Data)) {
				if !strings.HasPrefix(line, "// want ") {
					b.WriteString(line)
				}
			}
			a.Files[i].Data = []byte(b.String())
		}
		if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
