package data

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// All held-out sequences together have every held-out token as a target once,
// but the first of each source, and their bytes add up to the text.
func TestValidationCoversTheHeldOutText(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for trial := range 18 {
		ts := &testSet{vocab: 300, bos: 298, eos: -1}
		if trial%3 == 1 {
			ts.bos, ts.eos = -1, 299
		}
		if trial%3 == 2 {
			ts.eos = 299
		}
		for i := range 1 + rng.IntN(4) {
			s := testSource{name: string(rune('a' + i)), share: 0.1 + rng.Float64(), perShard: rng.IntN(5), train: randomDocs(rng, 1, 5, 298)}
			if i != 1 {
				s.val = randomDocs(rng, 1+rng.IntN(30), 1+rng.IntN(60), 298)
			}
			ts.sources = append(ts.sources, s)
		}
		context := 1 + rng.IntN(40)
		set := ts.open(t, trial%2 == 0)
		st, err := set.Stream(StreamConfig{Context: context, Seed: rng.Uint64()})
		must(t, err)

		text, want := 0, map[int32]int{}
		for _, s := range ts.sources {
			flat := ts.flat(s.val)
			for i, id := range flat {
				if i > 0 {
					want[id]++
				}
			}
			for i, d := range s.val {
				text += ts.textBytes(d)
				// Without BOS the first token is text and nobody's target.
				if i == 0 && ts.bos < 0 {
					text -= ts.bytesOf(d.ids[0]) + int(d.fix)
				}
			}
		}
		seq := make([]int32, context+1)
		for i := range st.ValidationLen() {
			for k := range seq {
				seq[k] = 12345 // poison: all must be written
			}
			text -= st.Validation(i, seq)
			if seq[0] < 0 || seq[1] < 0 {
				t.Fatalf("held-out sequence %d has no target: %v", i, seq)
			}
			for k, id := range seq[1:] {
				if id == -1 {
					if slices.ContainsFunc(seq[k+1:], func(x int32) bool { return x != -1 }) {
						t.Fatalf("held-out sequence %d has tokens after its end: %v", i, seq)
					}
					break
				}
				want[id]--
			}
		}
		if text != 0 {
			t.Errorf("trial %d, context %d: bytes of the held-out sequences are off by %d", trial, context, -text)
		}
		for id, n := range want {
			if n != 0 {
				t.Errorf("trial %d, context %d: token %d is a target %d times too few", trial, context, id, n)
			}
		}
	}
}

// A short evaluation reads the first sequences: they must stand for the
// mixture, and be the same ones for every seed.
func TestValidationOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	ts := countedSet(rng, 0, 70000, 7000, 70000)
	ts.sources[0].share, ts.sources[1].share, ts.sources[2].share = 0.7, 0.2, 0
	set := ts.open(t, true)
	a, err := set.Stream(StreamConfig{Context: 10, Seed: 1})
	must(t, err)
	b, err := set.Stream(StreamConfig{Context: 10, Seed: 2})
	must(t, err)
	if a.ValidationLen() != 1000+100 {
		t.Fatalf("%d held-out sequences, want 1100", a.ValidationLen())
	}
	counts := [3]int{}
	sorted := true
	last := int32(0)
	x, y := make([]int32, 11), make([]int32, 11)
	for i := range a.ValidationLen() {
		a.Validation(i, x)
		b.Validation(i, y)
		if !slices.Equal(x, y) {
			t.Fatalf("held-out sequence %d depends on the seed", i)
		}
		counts[a.ValidationSource(i)]++
		if i == 90-1 && counts != [3]int{70, 20, 0} {
			t.Errorf("the first 90 sequences come from %v, want 70, 20 and 0", counts)
		}
		if a.ValidationSource(i) == 0 {
			sorted = sorted && x[0] >= last
			last = x[0]
		}
	}
	if sorted {
		t.Error("the held-out text is read from its beginning, not shuffled")
	}
}

// Batches hold what the sequences hold, with -1 and 0 where there is nothing.
func TestValidationBatch(t *testing.T) {
	rng := rand.New(rand.NewPCG(15, 16))
	ts := &testSet{vocab: 300, bos: -1, eos: 299, sources: []testSource{
		{name: "a", share: 0.5, train: randomDocs(rng, 1, 9, 290), val: randomDocs(rng, 9, 30, 290)},
		{name: "b", share: 0.5, train: randomDocs(rng, 1, 9, 290), val: randomDocs(rng, 3, 30, 290)},
	}}
	const context, rows = 7, 4
	st, err := ts.open(t, true).Stream(StreamConfig{Context: context})
	must(t, err)
	in, out := make([]int32, rows*context), make([]int32, rows*context)
	seq, wantIn, wantOut := make([]int32, context+1), make([]int32, context), make([]int32, context)
	for first := 0; first < st.ValidationLen()+rows; first += rows {
		for i := range in {
			in[i], out[i] = 12345, 12345
		}
		bytes := st.ValidationBatch(first, in, out)
		for r := range rows {
			for k := range seq {
				seq[k] = -1
			}
			if first+r < st.ValidationLen() {
				bytes -= st.Validation(first+r, seq)
			}
			Split(seq, wantIn, wantOut)
			for k := range wantIn {
				// An input whose target does not exist is as good as none.
				if wantOut[k] < 0 {
					wantIn[k] = 0
				}
			}
			if !slices.Equal(in[r*context:(r+1)*context], wantIn) || !slices.Equal(out[r*context:(r+1)*context], wantOut) {
				t.Fatalf("sequence %d is %v and %v, want %v and %v", first+r, in[r*context:(r+1)*context], out[r*context:(r+1)*context], wantIn, wantOut)
			}
		}
		if bytes != 0 {
			t.Errorf("batch at %d: bytes differ by %d", first, bytes)
		}
	}
}

func TestNoValidation(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	ts := countedSet(rng, 0, 100)
	ts.sources[0].val = nil
	st, err := ts.open(t, true).Stream(StreamConfig{Context: 10})
	must(t, err)
	if st.ValidationLen() != 0 {
		t.Errorf("%d held-out sequences of nothing", st.ValidationLen())
	}
}
