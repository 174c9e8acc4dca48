package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Everything is printed through the variable stdout, which notices what does not
// arrive. Only a program that replaces llamac gets the file itself.
func TestOutput(t *testing.T) {
	around := regexp.MustCompile(`\bfmt\.Print(f|ln)?\(|\bos\.Stdout\b`)
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 10 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || name == "become_other.go" {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			if around.MatchString(line) && !strings.Contains(line, "console.NewOutput(os.Stdout)") {
				t.Errorf("%s:%d: print to the variable stdout: %s", name, i+1, strings.TrimSpace(line))
			}
		}
	}
}
