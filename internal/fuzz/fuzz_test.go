package fuzz

import (
	"flag"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
)

var (
	many = flag.Int("cases", 0, "random graphs and specs to check, each; 0 for a few")
	from = flag.Uint64("from", 1, "first seed")
	try  = flag.Int("tries", 0, "smaller cases to try where one fails; 0 for many, negative for none")
	keep = flag.String("reproducers", "", "folder for failing cases; empty for the temporary one")
)

// few is how many cases of a kind go test checks.
var few = map[string]int{"graph": 300, "spec": 120}

// TestRandom checks random cases of every kind; -cases says how many.
func TestRandom(t *testing.T) {
	for _, k := range Kinds {
		n := few[k.Name]
		if *many > 0 {
			n = *many
		}
		t.Run(k.Name, func(t *testing.T) { checkCases(t, k, *from, n) })
	}
}

// checkCases checks n cases with seeds from the first on, on all processors.
func checkCases(t *testing.T, k Kind, first uint64, n int) {
	r := Run{Kind: k, From: first, N: uint64(n), Workers: runtime.GOMAXPROCS(0), MaxFailures: 3, Dir: *keep, Tries: *try}.Do()
	for _, f := range r.Failures {
		t.Error(f)
	}
	for _, what := range slices.Sorted(maps.Keys(r.Counts)) {
		t.Logf("%7d %s", r.Counts[what], what)
	}
	t.Logf("%.1f cases a second", float64(n)/r.Seconds)
	if err := TooManyForgiven(r.Counts); err != nil {
		t.Error(err)
	}
	if r.Counts["checked"] < n*6/10 {
		t.Errorf("of %d cases only %d were checked to the end", n, r.Counts["checked"])
	}
}

// TestReproducers checks the cases in testdata, all of which failed once.
func TestReproducers(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	c := NewChecker()
	defer c.Device.Close()
	for _, file := range files {
		k, err := LoadCase(file)
		if err != nil {
			t.Error(err)
			continue
		}
		k.Extra = true
		before := c.Counts["checked"]
		if err := c.Check(k); err != nil {
			t.Errorf("%s: %v", file, err)
		} else if c.Counts["checked"] == before {
			t.Errorf("%s was not compared to the end: %v", file, c.Counts)
		}
	}
}
