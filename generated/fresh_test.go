package generated

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/llamac/llamac/internal/generate"
)

// TestFresh regenerates every package twice in memory: both must be the bytes
// that are checked in, and nothing else may lie in their folders.
func TestFresh(t *testing.T) {
	made := map[string]bool{}
	for _, p := range generate.Packages {
		files, err := p.Files("..")
		if err != nil {
			t.Fatal(err)
		}
		again, err := p.Files("..")
		if err != nil {
			t.Fatal(err)
		}
		for name, data := range files {
			made[filepath.FromSlash(name)] = true
			if !bytes.Equal(data, again[name]) {
				t.Errorf("%s comes out differently when generated twice", name)
			}
			old, err := os.ReadFile(filepath.FromSlash(name))
			if err != nil || !bytes.Equal(old, data) {
				t.Errorf("%s is not what the compiler makes: run go generate ./...", name)
			}
		}
	}
	filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if path == generate.Foreign {
			return fs.SkipDir
		}
		if err == nil && !d.IsDir() && filepath.Dir(path) != "." && !made[path] {
			t.Errorf("%s is made by nothing: run go generate ./...", path)
		}
		return err
	})
}
