package cpu

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// task is a kernel's work cut into chunks by shape. Kernels keep one task
// value each inside Device.tasks, fill its fields and pass its address to run,
// so that a launch allocates nothing.
type task interface {
	// do computes one chunk. worker, below Device.Workers(), selects
	// per-worker scratch; results must not depend on it. Chunks are started
	// in order, so a chunk may wait for an earlier one.
	do(chunk, worker int)
}

// pool runs the chunks of one task at a time on persistent goroutines. The
// caller is worker 0.
//
// A worker that has nothing to do spins for a short time, since the next
// kernel usually follows within microseconds, then yields, then sleeps. The
// caller waits for chunks, never for workers: one that was not scheduled in
// time costs nothing, so more workers than cores only help less.
type pool struct {
	workers int
	patience
	current task
	// claims is the number of chunks in its high half and the next chunk in
	// its low half. Whoever adds one to it, with compare-and-swap, owns that
	// chunk of the current task, which cannot end before the chunk is done.
	claims   atomic.Uint64
	done     counter // chunks
	sleepers sleepers
	closed   atomic.Bool
	exited   sync.WaitGroup
}

// The caller is worker 0 and no goroutine of the pool: with one worker there is
// none.
func (p *pool) start(workers int) {
	p.workers = workers
	p.patience = patienceFor(workers)
	p.sleepers.init()
	p.done.init(p.patience)
	for w := 1; w < workers; w++ {
		p.exited.Go(func() { p.work(w) })
	}
}

// Afterwards the device still works, with its caller alone.
func (p *pool) stop() {
	p.closed.Store(true)
	p.sleepers.wake()
	p.exited.Wait()
	p.workers = 1
}

// work is the life of a worker.
func (p *pool) work(worker int) {
	for idle := 0; ; idle++ {
		switch {
		case p.step(worker):
			idle = -1
		case p.closed.Load():
			return
		case !p.wait(idle):
			// Enter first and look again afterwards, or a task that came in
			// between would be slept through.
			p.sleepers.enter()
			for !p.ready() {
				p.sleepers.cond.Wait()
			}
			p.sleepers.leave()
			idle = -1
		}
	}
}

// step claims and computes one chunk, if there is one.
func (p *pool) step(worker int) bool {
	for {
		// The number of chunks and the next one are one word, so that they can
		// only be read together. A worker that comes late finds either old
		// chunks, all of them claimed, or new ones.
		s := p.claims.Load()
		chunk := s & (1<<32 - 1)
		if chunk >= s>>32 {
			return false
		}
		if p.claims.CompareAndSwap(s, s+1) {
			// The task is read after the claim: run stores it before it
			// publishes the claims, and replaces it only when this chunk is
			// done.
			p.current.do(int(chunk), worker)
			p.done.add(1)
			return true
		}
	}
}

// ready says that a sleeping worker should wake.
func (p *pool) ready() bool {
	s := p.claims.Load()
	return s&(1<<32-1) < s>>32 || p.closed.Load()
}

// run computes chunks 0..chunks-1 of t and returns when all are done.
func (d *Device) run(t task, chunks int) {
	p := &d.pool
	if p.workers == 1 || chunks <= 1 {
		for c := range chunks {
			t.do(c, 0)
		}
		return
	}
	// The order matters: task, count, and then the claims that let workers in.
	p.current = t
	p.done.reset()
	p.claims.Store(uint64(chunks) << 32)
	p.sleepers.wake()
	// The caller takes chunks like everybody else.
	for p.step(0) {
	}
	// The last chunks may be with workers still.
	p.done.wait(int64(chunks))
	p.current = nil
}

// patience is how long to spin and to yield before sleeping.
type patience struct{ spins, yields int }

// patienceFor gives about 20 µs of spinning and 1 ms of yielding, longer than
// what lies between two kernels of a training step: to wake a sleeping thread
// takes the system 0.1 ms, and at times several. Workers that outnumber the
// cores do not spin, since that would take time from the one they wait for.
func patienceFor(workers int) patience {
	if workers > min(runtime.GOMAXPROCS(0), runtime.NumCPU()) {
		return patience{0, 100}
	}
	return patience{1500, 5000}
}

// wait passes a little time; false says that it is time to sleep.
func (p patience) wait(idle int) bool {
	switch {
	case idle < p.spins:
		pause(1)
	case idle < p.spins+p.yields:
		runtime.Gosched()
	default:
		return false
	}
	return true
}

// sleepers are goroutines that sleep until others make a condition true.
type sleepers struct {
	count atomic.Int32
	mu    sync.Mutex
	cond  *sync.Cond
}

func (s *sleepers) init() { s.cond = sync.NewCond(&s.mu) }

// enter begins a wait, of the form enter; for !condition { cond.Wait() };
// leave. count is raised before the condition is looked at, and wake looks at
// count after the condition has changed: one of the two sees the other.
func (s *sleepers) enter() {
	s.mu.Lock()
	s.count.Add(1)
}

func (s *sleepers) leave() {
	s.count.Add(-1)
	s.mu.Unlock()
}

func (s *sleepers) wake() {
	if s.count.Load() > 0 {
		s.mu.Lock()
		s.cond.Broadcast()
		s.mu.Unlock()
	}
}

// counter counts events and lets goroutines wait for a number of them.
type counter struct {
	n atomic.Int64
	patience
	sleepers sleepers
}

func (c *counter) init(p patience) {
	c.patience = p
	c.sleepers.init()
}

// Only between tasks, when nobody waits.
func (c *counter) reset() { c.n.Store(0) }

func (c *counter) add(n int64) {
	c.n.Add(n)
	c.sleepers.wake()
}

// wait returns when n events were counted.
func (c *counter) wait(n int64) {
	for idle := 0; c.n.Load() < n; idle++ {
		if c.patience.wait(idle) {
			continue
		}
		c.sleepers.enter()
		for c.n.Load() < n {
			c.sleepers.cond.Wait()
		}
		c.sleepers.leave()
	}
}
