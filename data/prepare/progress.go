package prepare

import (
	"sync"
	"sync/atomic"
	"time"
)

// Progress is how far a preparation is.
// Bytes over BytesTotal is the share that is done; documents and tokens are not
// known beforehand.
type Progress struct {
	Phase      string // "read", "finish" or "done"
	Source     string // that a unit was last begun of
	Units      int    // done, of this and earlier runs
	UnitsTotal int    // of this job's share
	Bytes      int64  // of input files read, as stored; units done earlier included
	BytesTotal int64
	Docs       int64 // of this run
	Text       int64 // bytes of text tokenized in this run
	Tokens     int64 // of this run
	Skipped    int64 // broken documents and files
	Elapsed    time.Duration
}

// tracker gathers the counts of all goroutines and reports them ten times a
// second, one call at a time.
// Counts are atomic because every batch adds to them; the report is not worth a
// lock for each.
type tracker struct {
	report func(Progress)
	begun  time.Time

	// Counted by all goroutines, and gathered into state when it is sent.
	bytes, docs, text, tokens, skipped atomic.Int64

	mu    sync.Mutex
	state Progress
	last  time.Time
}

// newTracker takes nil for nobody who watches.
func newTracker(report func(Progress)) *tracker {
	if report == nil {
		report = func(Progress) {}
	}
	return &tracker{report: report, begun: time.Now()}
}

// set changes the state and reports at once.
func (t *tracker) set(f func(*Progress)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.state)
	t.send()
}

// tick reports if the last report is a while ago.
// It is called for every batch, so it never waits: if another goroutine is
// reporting, there is nothing to report.
func (t *tracker) tick() {
	if !t.mu.TryLock() {
		return
	}
	defer t.mu.Unlock()
	if time.Since(t.last) >= 100*time.Millisecond {
		t.send()
	}
}

// send gathers the counts and calls report, with mu held.
func (t *tracker) send() {
	t.last = time.Now()
	t.state.Bytes = t.bytes.Load()
	t.state.Docs = t.docs.Load()
	t.state.Text = t.text.Load()
	t.state.Tokens = t.tokens.Load()
	t.state.Skipped = t.skipped.Load()
	t.state.Elapsed = time.Since(t.begun)
	t.report(t.state)
}
