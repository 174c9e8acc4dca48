package data

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"
)

// Ranks that read ahead, at any depth, get exactly the sequences that a single
// reader gets.
func TestPrefetchGivesTheStream(t *testing.T) {
	rng := rand.New(rand.NewPCG(30, 31))
	st, err := countedSet(rng, 7, 2000, 5000).open(t, true).Stream(StreamConfig{Context: 16, Seed: 9})
	must(t, err)
	const rows, ranks, steps = 3, 4, 40
	seq := make([]int32, 17)
	for _, depth := range []int{0, 1, 5} {
		for rank := range ranks {
			first := int64(100 + rank*rows)
			p := NewPrefetcher(st, PrefetchConfig{First: first, Rows: rows, Stride: ranks * rows, Depth: depth, Starts: rank%2 == 0})
			for step := range int64(steps) {
				b := p.Next()
				if want := first + step*ranks*rows; b.First != want {
					t.Fatalf("rank %d, step %d: batch begins with sequence %d, want %d", rank, step, b.First, want)
				}
				for i := range rows {
					st.Sequence(b.First+int64(i), seq)
					if !slices.Equal(b.Tokens[i*16:(i+1)*16], seq[:16]) || !slices.Equal(b.Targets[i*16:(i+1)*16], seq[1:]) {
						t.Fatalf("rank %d, step %d: row %d differs from the stream", rank, step, i)
					}
					if rank%2 == 1 {
						if b.Starts != nil {
							t.Fatalf("rank %d has starts that nobody asked for", rank)
						}
						continue
					}
					at := int32(0)
					begins := st.Starts(b.First+int64(i), nil)
					for k, got := range b.Starts[i*16 : (i+1)*16] {
						if slices.Contains(begins, int32(k)) {
							at = int32(k)
						}
						if got != at {
							t.Fatalf("rank %d, step %d, row %d: token %d has start %d, documents begin at %v", rank, step, i, k, got, begins)
						}
					}
				}
			}
			p.Close()
			p.Close()
		}
	}
}

func TestPrefetchDoesNotAllocateOrStall(t *testing.T) {
	rng := rand.New(rand.NewPCG(32, 33))
	st, err := countedSet(rng, 7, 5000).open(t, true).Stream(StreamConfig{Context: 64, Seed: 9})
	must(t, err)
	p := NewPrefetcher(st, PrefetchConfig{Rows: 4, Starts: true})
	defer p.Close()
	p.Next()
	if a := testing.AllocsPerRun(100, func() { p.Next() }); a != 0 && !raceEnabled {
		t.Errorf("Next allocates %g times", a)
	}
	// While the caller is busy with a batch, all of the next ones are read, and
	// taking them does not wait.
	for range 20 {
		p.Next()
		for begin := time.Now(); len(p.full) < cap(p.full); time.Sleep(50 * time.Microsecond) {
			if time.Since(begin) > 20*time.Second {
				t.Fatalf("only %d of %d batches are read ahead", len(p.full), cap(p.full))
			}
		}
		before, _ := p.Stalls()
		for range cap(p.full) {
			p.Next()
		}
		if n, wait := p.Stalls(); n != before {
			t.Fatalf("%d steps waited with batches ready, %v in all", n-before, wait)
		}
	}
}

func TestPrefetchEndsItsGoroutine(t *testing.T) {
	rng := rand.New(rand.NewPCG(34, 35))
	st, err := countedSet(rng, 7, 500).open(t, true).Stream(StreamConfig{Context: 8})
	must(t, err)
	before := runtime.NumGoroutine()
	for range 20 {
		p := NewPrefetcher(st, PrefetchConfig{Rows: 1, Depth: 1})
		p.Next()
		p.Close()
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines before, %d after", before, n)
	}
}

// Damage that the reading goroutine meets is reported to the caller.
func TestPrefetchReportsDamage(t *testing.T) {
	dir, shard := smallSet(t)
	change(t, shard, func(b []byte) []byte {
		binary.LittleEndian.PutUint16(b[headerSize:], 300)
		return b
	})
	set, err := Open(dir)
	must(t, err)
	defer set.Close()
	st, err := set.Stream(StreamConfig{Context: 1000})
	must(t, err)
	p := NewPrefetcher(st, PrefetchConfig{Rows: 1})
	defer p.Close()
	defer func() {
		if _, ok := recover().(*Error); !ok {
			t.Error("Next does not pass on the *Error")
		}
	}()
	p.Next()
	t.Error("Next gave out a damaged batch")
}

func TestSplit(t *testing.T) {
	in, out := make([]int32, 4), make([]int32, 4)
	Split([]int32{5, 6, 7, -1, -1}, in, out)
	if !slices.Equal(in, []int32{5, 6, 7, 0}) || !slices.Equal(out, []int32{6, 7, -1, -1}) {
		t.Errorf("inputs %v, targets %v", in, out)
	}
}

// benchStream is a set of 64M tokens in pages that are in memory.
func benchStream(b *testing.B, context int) *Stream {
	const doc, docs = 1000, 16000
	ts := &testSet{vocab: 32000, bos: 1, eos: -1}
	rng := rand.New(rand.NewPCG(1, 2))
	for i, share := range []float64{0.67, 0.15, 0.045, 0.135} {
		s := testSource{name: string(rune('a' + i)), share: share, perShard: docs / 8}
		ids := make([]int32, doc)
		for k := range ids {
			ids[k] = rng.Int32N(32000)
		}
		for range docs {
			s.train = append(s.train, testDoc{ids: ids})
		}
		ts.sources = append(ts.sources, s)
	}
	st, err := ts.open(b, true).Stream(StreamConfig{Context: context, Seed: 1})
	must(b, err)
	for i := range st.src { // fault the pages in
		buf := make([]int32, 1<<16)
		for at := int64(0); at < st.src[i].train.tokens; at += 1 << 16 {
			st.src[i].train.read(at, buf)
		}
	}
	return st
}

func BenchmarkSequence(b *testing.B) {
	for _, context := range []int{256, 2048} {
		b.Run(map[int]string{256: "context=256", 2048: "context=2048"}[context], func(b *testing.B) {
			st := benchStream(b, context)
			seq := make([]int32, context+1)
			b.ResetTimer()
			for i := range b.N {
				st.Sequence(int64(i), seq)
			}
			b.ReportMetric(float64(b.N)*float64(context)/b.Elapsed().Seconds()/1e6, "Mtokens/s")
		})
	}
}

func BenchmarkPrefetch(b *testing.B) {
	st := benchStream(b, 256)
	p := NewPrefetcher(st, PrefetchConfig{Rows: 32})
	defer p.Close()
	b.ResetTimer()
	for range b.N {
		p.Next()
	}
	b.ReportMetric(float64(b.N)*32*256/b.Elapsed().Seconds()/1e6, "Mtokens/s")
}

// BenchmarkStep is a training step of 5 ms, which is short, on one core, with
// the reader on another: how often does it wait for its batch, and how long?
func BenchmarkStep(b *testing.B) {
	st := benchStream(b, 256)
	p := NewPrefetcher(st, PrefetchConfig{Rows: 32})
	defer p.Close()
	p.Next()
	before, waited := p.Stalls()
	b.ResetTimer()
	for range b.N {
		p.Next()
		for begin := time.Now(); time.Since(begin) < 5*time.Millisecond; {
		}
	}
	n, wait := p.Stalls()
	b.ReportMetric(float64(n-before)/float64(b.N), "stalls/step")
	b.ReportMetric(float64(wait-waited)/float64(b.N), "ns-waited/step")
}

// Spread writes the last start at or before each place; several documents may
// begin at one, of which all but the last are empty.
func TestSpread(t *testing.T) {
	for _, c := range []struct{ starts, want []int32 }{
		{nil, []int32{0, 0, 0, 0, 0}},
		{[]int32{0}, []int32{0, 0, 0, 0, 0}},
		{[]int32{2, 3}, []int32{0, 0, 2, 3, 3}},
		{[]int32{0, 1, 1, 4}, []int32{0, 1, 1, 1, 4}},
	} {
		got := []int32{9, 9, 9, 9, 9}
		Spread(c.starts, got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%v spreads to %v, want %v", c.starts, got, c.want)
		}
	}
}
