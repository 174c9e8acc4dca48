package prepare

import (
	"context"
	"os"
	"path/filepath"
	"sync"

	"github.com/llamac/llamac/data"
)

// runner is one run of a preparation.
type runner struct {
	cfg        *Config
	plan       *plan
	dir        string
	progress   *tracker
	tokenBytes []uint16

	slots chan struct{} // one for each batch in memory
	jobs  chan *batch   // to the workers

	mu sync.Mutex
	// Records are written once and then only read.
	done map[int]*unitMeta // by unit.index, of this and earlier runs
	skip sync.Mutex        // one call of OnSkip at a time
}

// onSkip tells the caller of broken input, one call at a time.
func (r *runner) onSkip(err error) {
	if r.cfg.OnSkip != nil {
		r.skip.Lock()
		defer r.skip.Unlock()
		r.cfg.OnSkip(err)
	}
}

// note tells the caller what a user should know, one call at a time.
func (r *runner) note(what string) {
	if r.cfg.OnNote != nil && what != "" {
		r.skip.Lock()
		defer r.skip.Unlock()
		r.cfg.OnNote(what)
	}
}

// unitsAtOnce bounds the units that are open at the same time. A few readers
// keep many tokenizers busy, and each has decompression buffers.
const unitsAtOnce = 8

// run does this job's units and, when none is missing any more, finishes the
// set.
func (r *runner) run(ctx context.Context) error {
	err := r.units(ctx)
	if err == nil {
		err = r.finish(ctx)
	}
	// The set is there, by this job or another. That one may have removed the work
	// folder while this was still busy with what the set can do without: an error of
	// that is none, and what was written since goes as well.
	if m, e := data.ReadManifest(r.dir); e == nil && m.Key == r.plan.key {
		r.tidy(shardsOf(m))
		err = nil
	}
	return err
}

// units does what is left of this job's share. Records of other jobs' units are
// read as well: a source's limit counts them.
func (r *runner) units(ctx context.Context) error {
	// The set's folder itself stays empty until the end.
	work := filepath.Join(r.dir, workDir)
	if err := os.MkdirAll(work, 0o777); err != nil {
		return err
	}
	// What killed runs left behind, before this one adds its own.
	clean(r.dir)
	clean(work)
	// Every id is decoded once here, and looked up for every token of the corpus.
	r.tokenBytes = tokenBytes(r.cfg.Tokenizer)
	r.done = map[int]*unitMeta{}
	// In the plan's order.
	var todo []*unit
	var bytes int64
	// Gathered here and shown at once, not unit by unit.
	state := Progress{Phase: "read"}
	for _, u := range r.plan.units {
		m := r.readMeta(u)
		if m != nil {
			r.done[u.index] = m
		}
		// Every n-th unit, so that a large source is spread over all jobs.
		if u.index%r.cfg.Shard.Count != r.cfg.Shard.Index {
			continue
		}
		state.UnitsTotal++
		state.BytesTotal += u.bytes
		if m != nil {
			state.Units++
			bytes += u.bytes
		} else {
			todo = append(todo, u)
		}
	}
	r.progress.bytes.Store(bytes)
	// From the first moment with what earlier runs have done.
	r.progress.set(func(p *Progress) { *p = state })
	return r.each(ctx, todo)
}

// each does units, several at a time, and stops at the first error.
func (r *runner) each(ctx context.Context, todo []*unit) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Two batches a worker, one in work and one waiting, and one for each unit
	// whose reader is filling it.
	r.slots = make(chan struct{}, 2*r.cfg.Workers+unitsAtOnce)
	// Without a buffer: pending is the queue, and slots bound it.
	r.jobs = make(chan *batch)
	// open counts the units that are at work.
	var workers, open sync.WaitGroup
	for range r.cfg.Workers {
		workers.Go(func() {
			for b := range r.jobs {
				r.work(b)
			}
		})
	}
	// Without a buffer: a unit is handed out when somebody is free to do it.
	next := make(chan *unit)
	var first error
	// Each of them reads and writes; the workers of all tokenize.
	for range min(r.cfg.Workers, unitsAtOnce) {
		open.Go(func() {
			for u := range next {
				if err := r.one(ctx, u); err != nil {
					// The first error is the cause; those that follow are of
					// units that it cancelled.
					r.mu.Lock()
					if first == nil {
						first = err
					}
					r.mu.Unlock()
					cancel()
				}
			}
		})
	}
	// In order, and none ahead of a free place: so that a source with a limit
	// reads hardly more units than it needs.
feed:
	for _, u := range todo {
		select {
		case next <- u:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	open.Wait() // all readers have ended, so nobody sends to jobs any more
	close(r.jobs)
	workers.Wait()
	if first == nil {
		// The caller gave up.
		first = ctx.Err()
	}
	return first
}

// one does a unit, unless the units before it already have all the text that
// its source may give.
func (r *runner) one(ctx context.Context, u *unit) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	src := &r.cfg.Sources[u.source]
	// Units before it that are still at work count as nothing: at worst one too
	// many is done, and not looked at in the end.
	if src.MaxBytes == 0 || r.textBefore(u) < src.MaxBytes {
		r.progress.set(func(p *Progress) { p.Source = src.Name })
		m, err := r.unit(ctx, u)
		if err != nil {
			return err
		}
		r.mu.Lock()
		r.done[u.index] = m
		r.mu.Unlock()
	}
	r.progress.set(func(p *Progress) { p.Units++ })
	return nil
}

// textBefore is the text of the units of u's source before u, as far as they
// are done: what is known to come before u's.
func (r *runner) textBefore(u *unit) (n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := u.index - u.number; i < u.index; i++ {
		if m := r.done[i]; m != nil {
			n += m.text()
		}
	}
	return n
}
