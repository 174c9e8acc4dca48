package fuzz

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	many = flag.Int("cases", 0, "random graphs and specs to check, each; 0 for a few")
	from = flag.Uint64("from", 1, "first seed")
	keep = flag.String("reproducers", "", "folder for failing cases; empty for the temporary one")
)

// A kind of random case.
type kind struct {
	name string
	make func(*Choices) *Case
	few  int // checked by go test
}

var kinds = []kind{{"graph", Graph, 300}, {"spec", Spec, 200}}

// TestRandom checks random cases of every kind; -cases says how many.
func TestRandom(t *testing.T) {
	for _, k := range kinds {
		n := k.few
		if *many > 0 {
			n = *many
		}
		t.Run(k.name, func(t *testing.T) { runCases(t, k, *from, n) })
	}
}

// runCases checks n cases with seeds from the first on, on all processors.
func runCases(t *testing.T, k kind, first uint64, n int) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // many small modules, each soon dead
	start := time.Now()
	seeds := make(chan uint64)
	counts := map[string]int{}
	failures := 0
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		c := NewChecker()
		wg.Go(func() {
			defer c.Device.Close()
			for seed := range seeds {
				if err := checkSeed(c, k, seed); err != nil {
					mu.Lock()
					if failures++; failures <= 3 {
						mu.Unlock()
						report(t, k, seed, err)
						mu.Lock()
					}
					mu.Unlock()
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for what, n := range c.Counts {
				counts[what] += n
			}
		})
	}
	for i := range n {
		mu.Lock()
		stop := failures > 3
		mu.Unlock()
		if stop {
			break
		}
		seeds <- first + uint64(i)
	}
	close(seeds)
	wg.Wait()
	if failures > 0 {
		t.Errorf("%d cases failed", failures)
	}
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%7d %s", counts[what], what)
	}
	t.Logf("%.1f cases a second", float64(counts["cases"])/time.Since(start).Seconds())
	if counts["checked"] < counts["cases"]*6/10 {
		t.Errorf("of %d cases only %d were checked to the end", counts["cases"], counts["checked"])
	}
}

// checkSeed checks one case; a panic of the generator is a failure too.
func checkSeed(c *Checker, k kind, seed uint64) error { return checkMade(c, k, Random(seed)) }

func checkMade(c *Checker, k kind, made *Choices) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("making the case: %v", r)
		}
	}()
	return c.Check(k.make(made))
}

// report makes a failing case small and writes it down.
func report(t *testing.T, k kind, seed uint64, first error) {
	made := Random(seed)
	k.make(made)
	c := NewChecker()
	defer c.Device.Close()
	last := first
	small := Shrink(made.Made, 3000, func(made []int) bool {
		err := checkMade(c, k, Given(made))
		if err == nil || strings.HasPrefix(err.Error(), "making the case") || kindOf(err) != kindOf(first) {
			return false
		}
		last = err
		return true
	})
	dir := *keep
	if dir == "" {
		dir = os.TempDir()
	}
	file := filepath.Join(dir, fmt.Sprintf("llamac-%s-%d.txtar", k.name, seed))
	case_ := k.make(Given(small))
	err := os.WriteFile(file, case_.Format(fmt.Sprintf("Random %s %d: %s", k.name, seed, strings.SplitN(last.Error(), "\n", 2)[0])), 0o644)
	t.Errorf("seed %d: %v\nsmaller, in %s (%v):\n%.2000v\n%s", seed, strings.SplitN(first.Error(), "\n", 2)[0], file, err, last, case_.Train)
}

// kindOf is what a failure says without its numbers and names, so that
// shrinking does not slide from one bug to another.
func kindOf(err error) string {
	s := err.Error()
	if len(s) > 24 {
		s = s[:24]
	}
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, s)
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
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		k, err := ParseCase(file, text)
		if err != nil {
			t.Error(err)
			continue
		}
		k.Extra = true
		if err := c.Check(k); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}
