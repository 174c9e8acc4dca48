package sample

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func randomLogits(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(3 * r.NormFloat64())
	}
	return x
}

// kept is the definition, written without any shortcut: which tokens may be
// drawn, and with which probability.
func kept(logits []float32, cfg Config) map[int32]float64 {
	type tok struct {
		id int32
		p  float64
	}
	var toks []tok
	norm := func() {
		s := 0.0
		for _, t := range toks {
			s += t.p
		}
		for i := range toks {
			toks[i].p /= s
		}
	}
	top := slices.Max(logits)
	for i, x := range logits {
		toks = append(toks, tok{int32(i), math.Exp((float64(x) - float64(top)) / cfg.Temperature)})
	}
	slices.SortStableFunc(toks, func(a, b tok) int {
		if a.p != b.p {
			return map[bool]int{true: -1, false: 1}[a.p > b.p]
		}
		return int(a.id - b.id)
	})
	norm()
	if cfg.TopK > 0 && cfg.TopK < len(toks) {
		toks = toks[:cfg.TopK]
		norm()
	}
	if cfg.TopP > 0 && cfg.TopP < 1 {
		s := 0.0
		for i, t := range toks {
			if s += t.p; s >= cfg.TopP {
				toks = toks[:i+1]
				break
			}
		}
		norm()
	}
	m := map[int32]float64{}
	for _, t := range toks {
		m[t.id] = t.p
	}
	return m
}

// TestDistribution draws many times and compares the counts with the
// definition: nothing outside the kept set, and each count within five
// standard deviations.
func TestDistribution(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const draws = 20000
	for i, cfg := range []Config{
		{Temperature: 1},
		{Temperature: 0.7, TopP: 0.9},
		{Temperature: 1.3, TopK: 5},
		{Temperature: 1, TopK: 1},
		{Temperature: 1, TopK: 20, TopP: 0.5},
		{Temperature: 2, TopP: 0.999},
		{Temperature: 1, TopP: 1e-9},
		{Temperature: 1, TopK: 1000, TopP: 1.5},
	} {
		logits := randomLogits(r, []int{1, 2, 3, 17, 64}[i%5]+7*(i/5))
		cfg.Seed = uint64(i)
		want := kept(logits, cfg)
		s := New(len(logits), cfg)
		counts := map[int32]int{}
		for pos := range draws {
			id, err := s.Next(logits, pos)
			if err != nil {
				t.Fatal(err)
			}
			counts[id]++
		}
		for id, n := range counts {
			if _, ok := want[id]; !ok {
				t.Errorf("%+v: token %d drawn %d times, but it is outside", cfg, id, n)
			}
		}
		for id, p := range want {
			sd := math.Sqrt(draws * p * (1 - p))
			if d := math.Abs(float64(counts[id]) - draws*p); d > 5*sd+1 {
				t.Errorf("%+v: token %d drawn %d times, expected %.0f ± %.0f", cfg, id, counts[id], draws*p, sd)
			}
		}
	}
}

// TestTopKExact compares the kept set with a full sort, ties included.
func TestTopKExact(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for n := 1; n < 60; n++ {
		c := make([]candidate, n)
		for i := range c {
			c[i] = candidate{int32(i), float64(r.IntN(6))}
		}
		r.Shuffle(n, func(i, j int) { c[i], c[j] = c[j], c[i] })
		want := slices.Clone(c)
		slices.SortFunc(want, before)
		for k := 1; k <= n; k++ {
			if got := topK(slices.Clone(c), k); !slices.Equal(got, want[:k]) {
				t.Fatalf("n %d, k %d: %v, want %v", n, k, got, want[:k])
			}
		}
	}
}

// TestNucleusExact compares the nucleus with a full sort, for weights from
// nearly equal to very unequal, where what is dropped before sorting differs.
func TestNucleusExact(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for range 3000 {
		c := make([]candidate, 1+r.IntN(60))
		spread := math.Pow(10, 3*r.Float64()-2)
		total := 0.0
		for i := range c {
			c[i] = candidate{int32(i), math.Exp(spread * r.NormFloat64())}
			total += c[i].weight
		}
		p := r.Float64()
		want := slices.Clone(c)
		slices.SortFunc(want, before)
		reached := 0.0
		for i, x := range want {
			if reached += x.weight; reached >= p*total {
				want = want[:i+1]
				break
			}
		}
		if got := nucleus(c, p, total); !slices.Equal(got, want) {
			t.Fatalf("p %v, spread %v: %v, want %v", p, spread, got, want)
		}
	}
}

// TestGreedy takes the first of equal maxima and never a masked token.
func TestGreedy(t *testing.T) {
	inf := float32(math.Inf(1))
	s := New(5, Config{})
	for _, c := range []struct {
		logits []float32
		want   int32
	}{
		{[]float32{1, 3, 3, 2}, 1},
		{[]float32{-inf, -5, -inf}, 1},
		{[]float32{-math.MaxFloat32, -inf}, 0},
		{[]float32{7}, 0},
	} {
		if got, err := s.Next(c.logits, 0); err != nil || got != c.want {
			t.Errorf("%v: %d, %v; want %d", c.logits, got, err, c.want)
		}
	}
	for _, bad := range [][]float32{{1, float32(math.NaN())}, {inf, 1}, {-inf, -inf}, {}} {
		if _, err := s.Next(bad, 0); !errors.Is(err, ErrNotFinite) {
			t.Errorf("%v: error %v", bad, err)
		}
	}
}

// TestMaskedNeverDrawn draws at a high temperature beside masked tokens.
func TestMaskedNeverDrawn(t *testing.T) {
	inf := float32(math.Inf(-1))
	s := New(4, Config{Temperature: 1e6, TopP: 0.99, TopK: 3})
	for pos := range 2000 {
		id, err := s.Next([]float32{inf, 0, inf, 1}, pos)
		if err != nil || id%2 == 0 {
			t.Fatalf("position %d: token %d, %v", pos, id, err)
		}
	}
}

// TestPure checks that a choice depends on seed and position only, and that
// another seed chooses otherwise.
func TestPure(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	logits := randomLogits(r, 1000)
	cfg := Config{Temperature: 1, TopP: 0.95, Seed: 42}
	a, b := New(1000, cfg), New(1000, cfg)
	cfg.Seed = 43
	other := New(1000, cfg)
	differ := 0
	for pos := range 200 {
		x, _ := a.Next(logits, pos)
		b.Next(randomLogits(r, 1000), 1000-pos) // another history
		y, _ := b.Next(logits, pos)
		z, _ := other.Next(logits, pos)
		if x != y {
			t.Fatalf("position %d: %d and %d", pos, x, y)
		}
		if x != z {
			differ++
		}
	}
	if differ < 100 {
		t.Errorf("another seed differed at only %d of 200 positions", differ)
	}
}

func TestNoAllocation(t *testing.T) {
	logits := randomLogits(rand.New(rand.NewPCG(7, 8)), 32000)
	for _, cfg := range []Config{{}, {Temperature: 1}, {Temperature: 1, TopK: 40, TopP: 0.9}, {Temperature: 1, TopP: 0.9}} {
		s := New(len(logits), cfg)
		pos := 0
		if n := testing.AllocsPerRun(10, func() { s.Next(logits, pos); pos++ }); n != 0 {
			t.Errorf("%+v: %v allocations a token", cfg, n)
		}
	}
}

func BenchmarkTopP32k(b *testing.B) {
	logits := randomLogits(rand.New(rand.NewPCG(9, 10)), 32000)
	s := New(len(logits), Config{Temperature: 0.8, TopP: 0.9})
	for i := 0; b.Loop(); i++ {
		s.Next(logits, i)
	}
}
