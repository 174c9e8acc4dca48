package cpu

import (
	"sync"
	"sync/atomic"
)

// task is a kernel's work cut into chunks by shape. Kernels keep one task
// value each inside Device.tasks, fill its fields and pass its address to run,
// so that a launch allocates nothing.
type task interface {
	// do computes one chunk. worker, below Device.Workers(), selects
	// per-worker scratch; results must not depend on it.
	do(chunk, worker int)
}

// pool runs the chunks of one task at a time on persistent goroutines. The
// caller is worker 0.
type pool struct {
	workers int
	wake    []chan struct{}
	done    sync.WaitGroup
	current task
	chunks  int64
	next    atomic.Int64
}

func (p *pool) start(workers int) {
	p.workers = workers
	for w := 1; w < workers; w++ {
		c := make(chan struct{}, 1)
		p.wake = append(p.wake, c)
		go func() {
			for range c {
				p.drain(w)
				p.done.Done()
			}
		}()
	}
}

func (p *pool) stop() {
	for _, c := range p.wake {
		close(c)
	}
	p.wake = nil
	p.workers = 1
}

func (p *pool) drain(worker int) {
	for {
		c := p.next.Add(1) - 1
		if c >= p.chunks {
			return
		}
		p.current.do(int(c), worker)
	}
}

// run computes chunks 0..chunks-1 of t and returns when all are done.
func (d *Device) run(t task, chunks int) {
	p := &d.pool
	if p.workers == 1 || chunks == 1 {
		for c := range chunks {
			t.do(c, 0)
		}
		return
	}
	p.current, p.chunks = t, int64(chunks)
	p.next.Store(0)
	p.done.Add(len(p.wake))
	for _, c := range p.wake {
		c <- struct{}{}
	}
	p.drain(0)
	p.done.Wait()
	p.current = nil
}
