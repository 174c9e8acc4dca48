// Command run checks random models in numbers that no test has the time for:
//
//	go run ./internal/fuzz/run -n 1000000 -workers 2 -state million.json
//
// It draws the seeds from -from on, prints what came of them, and stops after
// a few failures, each made small and written to a file. With -state it goes on
// where the run that wrote the file ended, whatever ended it.
//
// A line of progress says how far the seeds are checked without a gap, so that
// -from with that number continues as well. At the end stand the cases by what
// came of them: "checked" to the end; "wild", whose numbers leave the range in
// which float32 can be compared; "refused" with the compiler's reason. "rule"
// lines count how often each fusion fired: one that never does tests nothing.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/llamac/llamac/internal/fuzz"
)

var (
	kind     = flag.String("kind", "graph", "kind of model: graph or spec")
	from     = flag.Uint64("from", 0, "first seed")
	n        = flag.Uint64("n", 10000, "seeds to check")
	workers  = flag.Int("workers", runtime.NumCPU(), "cases at a time")
	limit    = flag.Duration("time", 0, "start no more cases after this long; 0 for no limit")
	failures = flag.Int("failures", 3, "stop after so many failures")
	dir      = flag.String("dir", "", "folder for failing cases; empty for the temporary one")
	state    = flag.String("state", "", "file that a run is kept in, to go on with")
	every    = flag.Duration("every", 10*time.Second, "time between lines of progress")
)

// kept is what the file of -state holds: JSON, to be read by people as well.
type kept struct {
	Kind    string
	From    uint64         // first seed: -from of all calls
	Next    uint64         // all seeds below are checked
	Seconds float64        // that took, in all calls
	Counts  map[string]int // cases by what came of them
	Excused []string       // cases that differ and are no failures: seed and why
}

// main ends with status 0 if no case failed, 1 if one did, and 2 if the call is
// wrong.
func main() {
	flag.Parse()
	failed, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if failed {
		os.Exit(1)
	}
}

// run does what the flags say and reports whether a case failed.
func run() (failed bool, err error) {
	// The flags are checked before anything runs for hours.
	i := slices.IndexFunc(fuzz.Kinds, func(k fuzz.Kind) bool { return k.Name == *kind })
	if i < 0 {
		return false, fmt.Errorf("-kind %s: graph or spec", *kind)
	}
	// What an earlier call has done already, of the same range.
	before := kept{Kind: *kind, From: *from, Next: *from, Counts: map[string]int{}}
	if *state != "" {
		text, err := os.ReadFile(*state)
		if err == nil {
			err = json.Unmarshal(text, &before)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("%s: %w", *state, err)
		}
		if before.Kind != *kind || before.From != *from {
			return false, fmt.Errorf("%s is of -kind %s -from %d", *state, before.Kind, before.From)
		}
	}
	if before.Next-*from >= *n {
		fmt.Printf("%s: all %d seeds are checked\n", *state, *n)
		return false, nil
	}
	var unsaved error
	r := fuzz.Run{Kind: fuzz.Kinds[i], From: before.Next, N: *from + *n - before.Next, Workers: *workers, MaxFailures: *failures, Dir: *dir, Every: *every}
	if *limit > 0 {
		r.Until = time.Now().Add(*limit)
	}
	// Each line of progress is kept too: whatever ends the run, the next one
	// loses what was done since the last line.
	r.Progress = func(now fuzz.Result) {
		// The rate is that of this call alone: the machine may be another.
		checked := now.Next - before.Next
		fmt.Printf("%s %s: seeds to %d, %.0f a second, %d failed\n", time.Now().Format(time.TimeOnly), *kind, now.Next, float64(checked)/now.Seconds, len(now.Failures))
		if *state != "" && unsaved == nil {
			unsaved = save(before.and(now))
		}
	}
	now := r.Do() // until the range, the time or the patience with failures ends
	// Failures come last but for the counts, where the terminal still shows
	// them.
	for _, f := range now.Failures {
		fmt.Println(f)
	}
	all := before.and(now)
	for _, what := range slices.Sorted(maps.Keys(all.Counts)) {
		fmt.Printf("%8d %s\n", all.Counts[what], what)
	}
	if err := fuzz.TooManyForgiven(all.Counts); err != nil {
		fmt.Println(err)
		failed = true
	}
	fmt.Printf("%d seeds of %d in %.0f s with %d workers\n", all.Next-all.From, *n, all.Seconds, *workers)
	return failed || len(now.Failures) > 0, unsaved
}

// and adds what a run has done so far. A case whose numbers are compared again
// with other weights counts as two.
func (k kept) and(now fuzz.Result) kept {
	k.Next, k.Seconds, k.Counts = now.Next, k.Seconds+now.Seconds, maps.Clone(k.Counts)
	for what, n := range now.Counts {
		k.Counts[what] += n
	}
	k.Excused = slices.Concat(k.Excused, now.Excused)
	return k
}

// save writes the state file in one piece: a run that is killed while it does
// so leaves the old one.
func save(k kept) error {
	text, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(*state+".new", append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(*state+".new", *state)
}
