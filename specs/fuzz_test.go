package specs

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/llamac/llamac/internal/diag"
)

// FuzzLoad gives the loader a document and an override. Whatever they are, it
// answers within its limits: with a spec that holds together, or with errors
// that all have a position.
func FuzzLoad(f *testing.F) {
	for _, name := range Shipped() {
		src, err := fs.ReadFile(ShippedFS(), name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(src), "model.dim=64")
	}
	archives, _ := filepath.Glob("testdata/errors/*.txtar")
	for _, path := range archives {
		a, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range a.Files {
			if file.Name == "x.jsonnet" {
				f.Add(string(file.Data), "parallel.tp=3")
			}
		}
	}
	for _, b := range bombs {
		if len(b.code) < 200 {
			f.Add(b.code, "a={}")
		}
	}
	f.Fuzz(func(t *testing.T, src, set string) {
		start := time.Now()
		s, err := Load("x.jsonnet", Options{
			FS:     fstest.MapFS{"x.jsonnet": {Data: []byte(src)}},
			Set:    []string{set},
			Limits: Limits{Time: 500 * time.Millisecond, Memory: 128 << 20},
		})
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
		if err != nil {
			var l diag.List
			if !errors.As(err, &l) || len(l) == 0 {
				t.Fatalf("error of type %T", err)
			}
			for _, e := range l {
				if e.Pos.File == "" || e.Msg == "" {
					t.Errorf("error without a file or a text: %+v", e)
				}
			}
			return
		}
		m := &s.Model
		if len(m.Block) == 0 || len(m.Network) == 0 || m.Dim < 1 || m.Heads%m.KVHeads != 0 || m.HeadDim < 1 || len(s.JSON) == 0 || s.Pos("model.dim").File == "" {
			t.Errorf("a spec that does not hold together: %+v", s)
		}
	})
}
