package data

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// countedSet has sources whose tokens count up, so that a token tells which
// source it is from and where it stands: source i begins at i<<17.
func countedSet(rng *rand.Rand, perShard int, sizes ...int) *testSet {
	ts := &testSet{vocab: len(sizes)<<17 + 1, bos: -1, eos: -1}
	for i, n := range sizes {
		ts.sources = append(ts.sources, testSource{
			name: string(rune('a' + i)), share: 1 / float64(len(sizes)), perShard: perShard,
			train: countedDocs(rng, i<<17, n, 40),
			val:   countedDocs(rng, i<<17+n, n/7, 40),
		})
	}
	return ts
}

// Within an epoch every sequence is a window of its source, no token is twice
// a target, and fewer than a window's are left out. Across epochs and sources
// windows lie elsewhere and come in another order.
func TestEpochsDrawWithoutReplacement(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, context := range []int{1, 2, 7, 32, 1000} {
		sizes := []int{1, 5, 997, 2048, 9000}
		ts := countedSet(rng, 9, sizes...)
		for i, share := range []float64{0.05, 0.05, 0.2, 0.3, 0.4} {
			ts.sources[i].share = share
		}
		set := ts.open(t, true)
		st, err := set.Stream(StreamConfig{Context: context, Seed: rng.Uint64()})
		must(t, err)

		seq := make([]int32, context+1)
		seen := make([]map[int]bool, len(sizes)) // targets of the source's current epoch
		starts := make([][]int32, len(sizes))    // first tokens of its sequences, in order
		windows := make([]int, len(sizes))
		for i, n := range sizes {
			seen[i] = map[int]bool{}
			windows[i] = max(1, n/context)
		}
		for n := range int64(2500) {
			st.Sequence(n, seq)
			i := st.Source(n)
			size := sizes[i]
			for k, id := range seq {
				if want := i<<17 + (int(seq[0])-i<<17+k)%size; int(id) != want {
					t.Fatalf("context %d, sequence %d: token %d is %d, want %d", context, n, k, id, want)
				}
			}
			for _, id := range seq[1:] {
				if seen[i][int(id)] && size >= context {
					t.Fatalf("context %d, sequence %d: target %d comes twice in an epoch of source %d", context, n, id, i)
				}
				seen[i][int(id)] = true
			}
			starts[i] = append(starts[i], seq[0])
			if len(starts[i])%windows[i] == 0 {
				if left := size - len(seen[i]); left >= context && size >= context || left < 0 {
					t.Fatalf("context %d, source %d: an epoch leaves out %d of %d tokens", context, i, left, size)
				}
				clear(seen[i])
			}
		}
		// Two epochs in the same order are one chance in a thousand factorial.
		if s, w := starts[3], windows[3]; context <= 7 && len(s) >= 2*w {
			if slices.Equal(s[:w], s[w:2*w]) {
				t.Errorf("context %d: two epochs are the same", context)
			}
		}
	}
}

// A sequence is a function of the set, the seed, the context and n: not of the
// order in which sequences are asked for, of who asks, of how the tokens are
// cut into shards, or of how files are read.
func TestSequenceIsPure(t *testing.T) {
	const context, n = 24, 1000
	read := func(st *Stream, i int64) []int32 {
		seq := make([]int32, context+1)
		st.Sequence(i, seq)
		return seq
	}
	var want [][]int32
	for k, perShard := range []int{0, 1, 13} {
		for _, mapped := range []bool{true, false} {
			ts := countedSet(rand.New(rand.NewPCG(9, 9)), perShard, 300, 900, 4000)
			set := ts.open(t, mapped)
			st, err := set.Stream(StreamConfig{Context: context, Seed: 77})
			must(t, err)
			if want == nil {
				for i := range int64(n) {
					want = append(want, read(st, i))
				}
				continue
			}
			var wg sync.WaitGroup
			for w := range 4 {
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(w), uint64(k)))
					for range n / 2 {
						i := rng.Int64N(n)
						if got := read(st, i); !slices.Equal(got, want[i]) {
							t.Errorf("%d documents a shard, mapped %v: sequence %d is %v, want %v", perShard, mapped, i, got, want[i])
							return
						}
					}
				})
			}
			wg.Wait()
		}
	}
	// Another seed gives another order of the same source.
	ts := countedSet(rand.New(rand.NewPCG(9, 9)), 0, 300, 900, 4000)
	st, err := ts.open(t, true).Stream(StreamConfig{Context: context, Seed: 78})
	must(t, err)
	same := 0
	for i := range int64(n) {
		if slices.Equal(read(st, i), want[i]) {
			same++
		}
	}
	if same > n/20 {
		t.Errorf("%d of %d sequences are the same under another seed", same, n)
	}
}

// The golden pins the order down: a change of it breaks the resuming of every
// run that was begun before.
func TestSequenceOrderIsFixed(t *testing.T) {
	ts := countedSet(rand.New(rand.NewPCG(4, 4)), 5, 1000, 5000)
	ts.sources[0].share, ts.sources[1].share = 0.25, 0.75
	st, err := ts.open(t, true).Stream(StreamConfig{Context: 8, Seed: 42})
	must(t, err)
	var got []int32
	seq := make([]int32, 9)
	for _, n := range []int64{0, 1, 2, 3, 4, 999, 123456789, 1 << 40} {
		st.Sequence(n, seq)
		got = append(got, seq[0])
	}
	want := []int32{133132, 313, 131076, 135148, 131964, 133673, 334, 135720}
	if !slices.Equal(got, want) {
		t.Errorf("sequences begin with %v, want %v", got, want)
	}
}

// The sources of Table 1, a millionth of their size: the paper's budget goes
// through each as often as the paper says.
func TestEpochsOfTable1(t *testing.T) {
	const budget, context = 1.4e6, 16
	rng := rand.New(rand.NewPCG(2, 3))
	ts := &testSet{vocab: 8 << 20, bos: -1, eos: -1}
	for i, s := range table1 {
		tokens := int(math.Round(s.share * budget / s.epochs))
		ts.sources = append(ts.sources, testSource{name: s.name, share: s.share, perShard: 500, train: countedDocs(rng, i<<20, tokens, 100)})
	}
	st, err := ts.open(t, true).Stream(StreamConfig{Context: context, Seed: 1})
	must(t, err)
	const n = budget / context
	visits := make([]int, ts.vocab)
	seq := make([]int32, context+1)
	for i := range int64(n) {
		st.Sequence(i, seq)
		for _, id := range seq[1:] {
			visits[id]++
		}
	}
	for i, s := range table1 {
		size := int(st.src[i].train.tokens)
		total, most, least := 0, 0, math.MaxInt
		for _, v := range visits[i<<20 : i<<20+size] {
			total += v
			most, least = max(most, v), min(least, v)
		}
		// A sequence more or less, and the size rounded to a token.
		tol := (context + 1) / float64(size) * s.epochs
		got := float64(total) / float64(size)
		if math.Abs(got-s.epochs) > tol || math.Abs(st.Epochs(n)[i]-got) > 1e-9 {
			t.Errorf("%s: %.4f epochs (Epochs says %.4f), Table 1 has %.2f", s.name, got, st.Epochs(n)[i], s.epochs)
		}
		// Visits differ by one for the epoch that is under way, and by one for
		// each rest that a whole epoch leaves out.
		if whole := int(s.epochs); most > whole+1 || least < 0 || least > whole {
			t.Errorf("%s: %.2f epochs visit tokens %d to %d times", s.name, s.epochs, least, most)
		}
	}
}

func TestStarts(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	const bos = 50
	ts := &testSet{vocab: 51, bos: bos, eos: -1, sources: []testSource{
		{name: "a", share: 0.5, perShard: 3, train: randomDocs(rng, 80, 30, 50), val: randomDocs(rng, 20, 30, 50)},
		{name: "b", share: 0.5, train: randomDocs(rng, 1, 5, 50)},
	}}
	for _, mapped := range []bool{true, false} {
		st, err := ts.open(t, mapped).Stream(StreamConfig{Context: 33, Seed: 5})
		must(t, err)
		seq := make([]int32, 34)
		check := func(what string, n int, got []int32) {
			t.Helper()
			var want []int32
			for i, id := range seq[:33] {
				if id == bos {
					want = append(want, int32(i))
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%s sequence %d: documents start at %v, want %v", what, n, got, want)
			}
		}
		for n := range 300 {
			st.Sequence(int64(n), seq)
			check("training", n, st.Starts(int64(n), nil))
		}
		for n := range st.ValidationLen() {
			st.Validation(n, seq)
			check("held-out", n, st.ValidationStarts(n, nil))
		}
	}
}

func TestIdentity(t *testing.T) {
	ts := countedSet(rand.New(rand.NewPCG(1, 5)), 0, 100, 100)
	set := ts.open(t, true)
	id := func(cfg StreamConfig) string {
		st, err := set.Stream(cfg)
		must(t, err)
		return st.Identity()
	}
	a := id(StreamConfig{Context: 8, Seed: 1})
	for _, c := range []struct {
		cfg  StreamConfig
		same bool
	}{
		{StreamConfig{Context: 8, Seed: 1}, true},
		{StreamConfig{Context: 8, Seed: 1, Shares: map[string]float64{"a": 2, "b": 2}}, true},
		{StreamConfig{Context: 9, Seed: 1}, false},
		{StreamConfig{Context: 8, Seed: 2}, false},
		{StreamConfig{Context: 8, Seed: 1, Shares: map[string]float64{"a": 2, "b": 1}}, false},
	} {
		if (id(c.cfg) == a) != c.same {
			t.Errorf("%+v: the same identity: %v", c.cfg, !c.same)
		}
	}
}

func TestStreamRejects(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 5))
	ts := countedSet(rng, 0, 100, 100)
	ts.sources[1].train = nil
	set := ts.open(t, true)
	for _, c := range []struct {
		cfg  StreamConfig
		want string
	}{
		{StreamConfig{Context: 0}, "context of 0 tokens"},
		{StreamConfig{Context: 8}, `source "b" has a share of 0.5 and no training tokens`},
		{StreamConfig{Context: 8, Shares: map[string]float64{"c": 1}}, `the set has no source "c"`},
		{StreamConfig{Context: 8, Shares: map[string]float64{}}, "the shares of the mixture add up to 0"},
	} {
		_, err := set.Stream(c.cfg)
		if err == nil || err.Error() != set.Dir+": "+c.want {
			t.Errorf("%+v: error %v, want %s", c.cfg, err, c.want)
		}
	}
	st, err := set.Stream(StreamConfig{Context: 8, Shares: map[string]float64{"a": 2}})
	must(t, err)
	if c := st.Count(10); c[0] != 10 || c[1] != 0 {
		t.Errorf("a alone gives %v", c)
	}
}

func TestSequenceDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("allocations are counted without the race detector")
	}
	rng := rand.New(rand.NewPCG(1, 8))
	st, err := countedSet(rng, 4, 3000, 3000).open(t, true).Stream(StreamConfig{Context: 64, Seed: 3})
	must(t, err)
	seq := make([]int32, 65)
	n := int64(0)
	if a := testing.AllocsPerRun(500, func() { st.Sequence(n, seq); n++ }); a != 0 {
		t.Errorf("Sequence allocates %g times", a)
	}
	if a := testing.AllocsPerRun(50, func() { st.Validation(int(n)%st.ValidationLen(), seq); n++ }); a != 0 {
		t.Errorf("Validation allocates %g times", a)
	}
	starts := make([]int32, 0, 65)
	if a := testing.AllocsPerRun(50, func() { st.Starts(n, starts); n++ }); a != 0 {
		t.Errorf("Starts allocates %g times", a)
	}
}
