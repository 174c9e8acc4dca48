//go:build slow

package prepare

import (
	"context"
	"testing"
	"time"

	"github.com/llamac/llamac/data"
)

// The corpus of specs/gopher.jsonnet, as it comes from the Go distribution.
func TestGoDistribution(t *testing.T) {
	cfg := Config{
		Sources: []Source{
			{Name: "go_source", Share: 0.9, Kind: "go_source"},
			{Name: "go_docs", Share: 0.1, Kind: "go_docs"},
		},
		Tokenizer: byteTok{}, AddBOS: true, Validation: 0.02, Dedup: true, OutDir: t.TempDir(),
	}
	begin := time.Now()
	dir, err := Run(context.Background(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("prepared in %v", time.Since(begin))
	set, err := data.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	if err := set.Verify(nil); err != nil {
		t.Fatal(err)
	}
	for _, s := range set.Manifest.Sources {
		t.Logf("%s: %d files, train %+v, held out %+v, duplicates %+v, left out %d, empty %d", s.Name, s.Files, s.Train, s.HeldOut, s.Duplicates, s.LeftOut, s.Empty)
		if s.Train.Docs < 500 || s.HeldOut.Docs < 5 {
			t.Errorf("%s: suspiciously few documents", s.Name)
		}
	}
}
