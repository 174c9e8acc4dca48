package llamac_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxLines is the size of a file at which it should have become two.
const maxLines = 700

// written are the kinds of files that people write; made are the folders in
// which programs write some, with a header that says so.
var (
	written         = []string{".go", ".s", ".js", ".css", ".html", ".jsonnet", ".libsonnet", ".md", ".sh", ".py"}
	made            = regexp.MustCompile(`^(generated/.+|runtime/cpu/\w+_amd64\.(go|s))$`)
	generatedHeader = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)
)

// TestFileSizes holds every file that people wrote, testdata aside, to maxLines.
func TestFileSizes(t *testing.T) {
	files := 0
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if d.IsDir() {
			if name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "runs") {
				return fs.SkipDir
			}
			return nil
		}
		if !slices.Contains(written, path.Ext(name)) {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil || made.MatchString(name) && generatedHeader.Match(text) {
			return err
		}
		files++
		if lines := strings.Count(string(text), "\n"); lines > maxLines {
			t.Errorf("%s has %d lines, at most %d: it wants to be two", name, lines, maxLines)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 300 {
		t.Fatalf("found %d files: the walk does not see the house", files)
	}
}
