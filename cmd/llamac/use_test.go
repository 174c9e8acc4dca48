package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/llamac/llamac/data/prepare"
	"github.com/llamac/llamac/internal/gobuild"
)

// TestDataInUse holds sets while they are prepared, and those that --data names,
// as long as the process lives.
func TestDataInUse(t *testing.T) {
	dir := t.TempDir()
	cache := filepath.Join(dir, "cache")
	t.Setenv("LLAMAC_CACHE", cache)
	if err := writePocket(specDir(t), dir); err != nil {
		t.Fatal(err)
	}
	s, err := loadSpec(filepath.Join(dir, "local.jsonnet"), nil)
	if err != nil {
		t.Fatal(err)
	}
	o, err := corpusOptions(false)
	if err != nil {
		t.Fatal(err)
	}
	seen, held := 0, 0
	o.Reading = func(prepare.Progress) {
		found, _ := os.ReadDir(filepath.Join(cache, "data"))
		for _, f := range found {
			seen++
			if e := (&gobuild.Entry{Kind: "data", Path: filepath.Join(cache, "data", f.Name())}); e.Held() {
				held++
			}
		}
	}
	set, _, err := prepareData(s, o)
	if err != nil {
		t.Fatal(err)
	}
	if seen == 0 || held != seen {
		t.Errorf("held %d of %d times while it was prepared", held, seen)
	}
	other := filepath.Join(cache, "data", "0123456789abcdef")
	if err := os.CopyFS(other, os.DirFS(set)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := (&trainCmd{Data: other}).text(s, o); err != nil {
		t.Fatal(err)
	}
	if e := (&gobuild.Entry{Kind: "data", Path: other}); !e.Held() {
		t.Errorf("%s is not held", other)
	}
}
