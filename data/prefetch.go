package data

import (
	"sync"
	"sync/atomic"
	"time"
)

// Batch is Rows sequences, each split into inputs and targets of Context
// tokens, row after row.
type Batch struct {
	First   int64   // number of the first sequence
	Tokens  []int32 // [Rows*Context]
	Targets []int32 // [Rows*Context]
	Starts  []int32 // [Rows*Context], see Spread; nil unless asked for
}

// PrefetchConfig says which sequences a Prefetcher reads. Batch k holds the
// sequences First + k*Stride up to First + k*Stride + Rows - 1.
type PrefetchConfig struct {
	First  int64
	Rows   int   // sequences in a batch
	Stride int64 // 0 for Rows; rank r of R has First + r*Rows and a stride of R*Rows
	Depth  int   // batches read ahead; 0 for 4
	Starts bool  // look up where each token's document begins
}

// Prefetcher reads batches ahead of their use in a goroutine of its own, so
// that a page of a shard that is not in memory does not hold up a training
// step. The batches are those of Stream.Sequence whatever the depth.
type Prefetcher struct {
	// Batches go round between the two channels: nothing is allocated after the
	// start.
	full  chan *Batch
	free  chan *Batch
	quit  chan struct{}
	done  sync.WaitGroup
	held  *Batch
	fault any // what the reader panicked with, before full was closed

	// Counted, because a run that waits for its data looks just like a slow
	// model.
	stalls atomic.Int64
	waited atomic.Int64
}

// NewPrefetcher starts reading.
func NewPrefetcher(st *Stream, cfg PrefetchConfig) *Prefetcher {
	if cfg.Rows < 1 || cfg.First < 0 || cfg.Stride < 0 || cfg.Depth < 0 {
		panic("data: prefetch configuration")
	}
	if cfg.Stride == 0 {
		cfg.Stride = int64(cfg.Rows)
	}
	if cfg.Depth == 0 {
		cfg.Depth = 4
	}
	p := &Prefetcher{
		full: make(chan *Batch, cfg.Depth),
		free: make(chan *Batch, cfg.Depth+1),
		quit: make(chan struct{}),
	}
	// One batch more than the depth: the one that the caller is using.
	for range cfg.Depth + 1 {
		n := cfg.Rows * st.context
		b := &Batch{Tokens: make([]int32, n), Targets: make([]int32, n)}
		if cfg.Starts {
			b.Starts = make([]int32, n)
		}
		p.free <- b
	}
	p.done.Add(1)
	go p.read(st, cfg)
	return p
}

func (p *Prefetcher) read(st *Stream, cfg PrefetchConfig) {
	defer p.done.Done()
	defer close(p.full)
	// A damaged shard is found here, but must be reported where the caller
	// can see it.
	defer func() { p.fault = recover() }()
	seq, starts := make([]int32, st.context+1), []int32(nil)
	for first := cfg.First; ; first += cfg.Stride {
		var b *Batch
		select {
		case b = <-p.free:
		case <-p.quit:
			return
		}
		b.First = first
		for i := range cfg.Rows {
			st.Sequence(first+int64(i), seq)
			Split(seq, b.Tokens[i*st.context:(i+1)*st.context], b.Targets[i*st.context:(i+1)*st.context])
			if cfg.Starts {
				starts = st.Starts(first+int64(i), starts[:0])
				Spread(starts, b.Starts[i*st.context:(i+1)*st.context])
			}
		}
		select {
		case p.full <- b:
		case <-p.quit:
			return
		}
	}
}

// Next returns the next batch. It stays valid until the call after: the
// caller must not keep it longer.
func (p *Prefetcher) Next() *Batch {
	if p.held != nil {
		p.free <- p.held
		p.held = nil
	}
	var b *Batch
	var ok bool
	select {
	case b, ok = <-p.full:
	default:
		t := time.Now()
		b, ok = <-p.full
		p.stalls.Add(1)
		p.waited.Add(int64(time.Since(t)))
	}
	if !ok {
		if p.fault != nil {
			panic(p.fault)
		}
		panic("data: Next after Close")
	}
	p.held = b
	return b
}

// Stalls returns how often Next found nothing ready and how long it waited in
// all. The first batch always counts as one unless the caller came late.
func (p *Prefetcher) Stalls() (n int64, wait time.Duration) {
	return p.stalls.Load(), time.Duration(p.waited.Load())
}

// Close stops the reading. It may be called more than once, from the goroutine
// that calls Next.
func (p *Prefetcher) Close() {
	select {
	case <-p.quit:
	default:
		close(p.quit)
	}
	p.done.Wait()
	for range p.full { // until closed: a later Next must not find old batches
	}
}

// Split writes a sequence's inputs and targets. An input that does not exist
// (-1, at the end of the held-out text) becomes token 0, whose target stays -1.
func Split(seq, inputs, targets []int32) {
	c := len(seq) - 1
	copy(targets[:c], seq[1:])
	inputs = inputs[:c]
	for i, t := range seq[:c] {
		inputs[i] = max(t, 0)
	}
}

// Spread writes for each token of a sequence the position at which its document
// begins, from the rising positions that Starts gives. In the rest of a document
// that began in an earlier sequence that is 0.
func Spread(starts, dst []int32) {
	at := int32(0)
	for i := range dst {
		for len(starts) > 0 && int(starts[0]) <= i {
			at, starts = starts[0], starts[1:]
		}
		dst[i] = at
	}
}
