package specs

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the expected errors in testdata/errors")

// TestErrors loads x.jsonnet of each archive, with the overrides in `set`, one
// a line, and compares the whole text of the error with `want`.
func TestErrors(t *testing.T) {
	archives, err := filepath.Glob("testdata/errors/*.txtar")
	if err != nil || len(archives) < 40 {
		t.Fatalf("found %d archives: %v", len(archives), err)
	}
	for _, path := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			fsys := fstest.MapFS{}
			var sets []string
			var want *txtar.File
			for i, f := range a.Files {
				switch f.Name {
				case "set":
					sets = strings.Split(strings.TrimSpace(string(f.Data)), "\n")
				case "want":
					want = &a.Files[i]
				default:
					fsys[f.Name] = &fstest.MapFile{Data: f.Data}
				}
			}
			_, err = Load("x.jsonnet", Options{FS: fsys, Set: sets})
			if err == nil {
				t.Fatal("loaded without an error")
			}
			got := err.Error() + "\n"
			if *update {
				want.Data = []byte(got)
				if err := os.WriteFile(path, txtar.Format(a), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(want.Data), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
