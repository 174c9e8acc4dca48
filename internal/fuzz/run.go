package fuzz

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

// Kind is a way to make random cases.
// A seed and a kind name a model for as long as the generator stays the same.
type Kind struct {
	Name string
	Make func(*Choices) *Case
}

// Kinds are all of them.
var Kinds = []Kind{{"graph", Graph}, {"spec", Spec}}

// Run is a range of seeds of one kind that is checked.
// It ends at N seeds, at a time, or at a number of failures, whichever comes first.
type Run struct {
	Kind        Kind
	From        uint64 // first seed
	N           uint64 // seeds
	Workers     int
	Until       time.Time // start no more seeds then; zero for no limit
	MaxFailures int       // as many are made small; the run ends behind the last of them
	Dir         string    // where failing cases are written; empty for the temporary folder
	Tries       int       // to make a failing case smaller; 0 for 3000, negative for none

	New func() *Checker // makes the workers' checkers; nil for NewChecker

	// Progress, if set, is called every few seconds and at the end.
	Progress func(Result)
	Every    time.Duration
}

// Result is what came of a run so far.
type Result struct {
	Next     uint64 // the first seed that was not checked, so that a run can go on
	Counts   map[string]int
	Failures []Failure
	Excused  []string // cases that differ and are no failures: seed and why
	Seconds  float64
}

// TooManyForgiven is an error if more than one case in a thousand, and more
// than one, differed for some weights and tokens and not for others. Correct
// float32 does that hardly ever; a bug that few inputs show does it often.
// The same holds for one case in ten thousand that differed by what rounding
// moves the module that the compiler made of it.
func TooManyForgiven(counts map[string]int) error {
	all := counts["cases"]
	if n := counts[forgiven]; n > 1+all/1000 {
		return fmt.Errorf("%d of %d cases differ for some weights and tokens and not for others: that is more than rounding does", n, all)
	}
	if n := counts[enlarged]; n > all/10000 { // none of a few
		return fmt.Errorf("%d of %d graphs became modules that enlarge rounding beyond comparison", n, all)
	}
	return nil
}

// Failure is a case that failed, and what became of it when it was made small.
// Small is an empty case if the generator itself failed.
type Failure struct {
	Kind  string
	Seed  uint64
	First error  // of the case as it was drawn
	Small *Case  // a smaller one that fails in the same way
	Err   error  // of that
	File  string // that holds it
}

// String says what failed and what to do with it.
func (f Failure) String() string {
	first, _, _ := strings.Cut(f.First.Error(), "\n")
	return fmt.Sprintf("%s %d: %s\nmade smaller, in %s: add it to internal/fuzz/testdata, where a test checks it from then on;\n"+
		"llamac bisect names the pass after which it differs\n%.2000v\n%s", f.Kind, f.Seed, first, f.File, f.Err, f.Small.Train)
}

// Do checks the seeds of a run.
// Seeds are handed out in order to whoever is free. What a seed gives does not depend on
// who checks it, so a run that ended by N has the same counts for any number of workers;
// Next makes one that ended by time go on without a gap.
func (r Run) Do() Result {
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // many small modules, each soon dead
	if r.New == nil {
		r.New = NewChecker
	}
	start := time.Now()
	var mu sync.Mutex
	res := Result{Next: r.From, Counts: map[string]int{}}
	open := map[uint64]bool{} // seeds that workers have
	next := r.From            // the next to hand out
	// take hands out a seed.
	take := func() (uint64, bool) {
		mu.Lock()
		defer mu.Unlock()
		// Seeds that others have are still finished.
		full := r.MaxFailures > 0 && len(res.Failures) >= r.MaxFailures
		if next == r.From+r.N || full || !r.Until.IsZero() && time.Now().After(r.Until) {
			return 0, false
		}
		open[next] = true
		next++
		return next - 1, true
	}
	// state is the result so far: a seed counts when all before it are done.
	state := func() Result {
		now := res
		now.Seconds = time.Since(start).Seconds()
		// The lowest seed that is still open, or the next to be handed out.
		now.Next = next
		for seed := range open {
			now.Next = min(now.Next, seed)
		}
		return now
	}
	last := start
	done := func(c *Checker, seed uint64, f *Failure) {
		mu.Lock()
		defer mu.Unlock()
		delete(open, seed)
		for what, n := range c.Counts {
			res.Counts[what] += n
		}
		for _, what := range c.Excused {
			res.Excused = append(res.Excused, fmt.Sprintf("%d %s", seed, what))
		}
		// Counts are added once, and the checker goes on with none.
		clear(c.Counts)
		c.Excused = nil
		if f != nil {
			res.Counts["failed"]++
			res.Failures = append(res.Failures, *f)
		}
		if r.Progress != nil && time.Since(last) > r.Every {
			last = time.Now()
			r.Progress(state())
		}
	}
	var wg sync.WaitGroup
	for range max(1, r.Workers) {
		wg.Go(func() {
			// A checker, and a device, for each worker.
			c := r.New()
			defer c.Device.Close()
			for {
				seed, ok := take()
				if !ok {
					return
				}
				var f *Failure
				if err := c.made(r.Kind, Random(seed)); err != nil {
					// The worker that found it makes it smaller; the others go on.
					x := r.minimise(seed, err)
					f = &x
				}
				done(c, seed, f)
			}
		})
	}
	wg.Wait()
	if r.Progress != nil {
		r.Progress(state())
	}
	return state()
}

// made makes a case and checks it; a panic of the generator is a failure too.
// Check catches the panics of the compiler itself.
func (k *Checker) made(kind Kind, c *Choices) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("making the case: %v", r)
		}
	}()
	return k.Check(kind.Make(c))
}

// minimise makes the case of a seed that failed smaller and writes it down.
// It shrinks the draws and not the module: every shorter list is a valid model again,
// which no rule for cutting graphs could promise.
func (r Run) minimise(seed uint64, first error) Failure {
	tries, kind := r.Tries, r.Kind
	if tries == 0 {
		tries = 3000
	}
	c := r.New()
	defer c.Device.Close()
	f := Failure{Kind: kind.Name, Seed: seed, First: first, Err: first, Small: &Case{}}
	made := Random(seed)
	// There is no case to make smaller.
	if strings.HasPrefix(first.Error(), "making the case") {
		return f
	}
	// To learn what is drawn: the list is in made.Made.
	kind.Make(made)
	small := Shrink(made.Made, tries, func(made []int) bool {
		err := c.made(kind, Given(made))
		// It must fail in the same way.
		if err == nil || likeness(err) != likeness(first) {
			return false
		}
		// The last smaller one that failed is what Shrink returns.
		f.Err = err
		return true
	})
	// Made once more from the list that remained.
	f.Small = kind.Make(Given(small))
	dir := r.Dir
	if dir == "" {
		dir = os.TempDir()
	}
	f.File = filepath.Join(dir, fmt.Sprintf("llamac-%s-%d.txtar", kind.Name, seed))
	what, _, _ := strings.Cut(f.Err.Error(), "\n")
	// A folder that cannot be written must not lose the report.
	if err := os.WriteFile(f.File, f.Small.Format(fmt.Sprintf("Random %s %d: %s", kind.Name, seed, what)), 0o644); err != nil {
		// The report then says why there is no file.
		f.File = err.Error()
	}
	return f
}

// likeness is what a failure says without its numbers and names, so that
// shrinking does not slide from one bug to another.
// 24 bytes hold the station, as in "after fuse_rope, policy", and seldom a name.
func likeness(err error) string {
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
