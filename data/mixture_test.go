package data

import (
	"math"
	"math/rand/v2"
	"testing"
)

// table1 is Table 1 of the LLaMA paper: share, epochs of 1.4T tokens.
var table1 = []struct {
	name          string
	share, epochs float64
}{
	{"commoncrawl", 0.67, 1.10},
	{"c4", 0.15, 1.06},
	{"github", 0.045, 0.64},
	{"wikipedia", 0.045, 2.45},
	{"books", 0.045, 2.23},
	{"arxiv", 0.025, 1.06},
	{"stackexchange", 0.02, 1.03},
}

func TestMixtureCountsAndOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	cases := [][]float64{{1}, {0.5, 0.5}, {0, 1, 0}, {0.9, 0.1}, {1, 2, 3, 4}, {0.999, 0.001}, {1e-9, 1}}
	var t1 []float64
	for _, s := range table1 {
		t1 = append(t1, s.share)
	}
	cases = append(cases, t1)
	for range 12 {
		s := make([]float64, 1+rng.IntN(9))
		for i := range s {
			s[i] = rng.Float64()
		}
		cases = append(cases, s)
	}
	for _, shares := range cases {
		m, err := newMixture(shares)
		must(t, err)
		sum := 0.0
		for _, s := range shares {
			sum += s
		}
		given := make([]int64, len(shares))
		for n := range int64(20000) {
			s, k := m.at(n)
			if k != given[s] {
				t.Fatalf("%v: sequence %d is number %d of source %d, want %d", shares, n, k, s, given[s])
			}
			given[s]++
			if n%997 == 0 {
				for i, c := range m.count(n + 1) {
					if c != given[i] {
						t.Fatalf("%v: count(%d)[%d] = %d, want %d", shares, n+1, i, c, given[i])
					}
				}
			}
			for i, c := range given {
				// Furthest behind goes first: nobody is more than a sequence
				// ahead, and with k sources nobody more than k-1 behind. Two
				// further hundredths are for the rounding of the shares.
				due := shares[i] / sum * float64(n+1)
				if d := float64(c) - due; d > 1.02 || d < -float64(len(shares)-1)-0.02 {
					t.Fatalf("%v: after %d sequences source %d has %d, due are %.2f", shares, n+1, i, c, due)
				}
				if shares[i] == 0 && c > 0 {
					t.Fatalf("%v: source %d without a share was drawn", shares, i)
				}
			}
		}
		// Realised shares within 0.1% after 100k sequences, of the share
		// itself where the share is a hundred sequences or more.
		for i, c := range m.count(100000) {
			due := shares[i] / sum * 1e5
			if math.Abs(float64(c)-due) > max(1, 0.001*due) {
				t.Errorf("%v: source %d has %d of 100000 sequences, due are %.1f", shares, i, c, due)
			}
		}
	}
}

func TestMixtureOfTable1IsExact(t *testing.T) {
	var shares []float64
	for _, s := range table1 {
		shares = append(shares, s.share)
	}
	m, err := newMixture(shares)
	must(t, err)
	want := []int64{67000, 15000, 4500, 4500, 4500, 2500, 2000}
	for i, c := range m.count(100000) {
		if c != want[i] {
			t.Errorf("%s: %d of 100000 sequences, want %d", table1[i].name, c, want[i])
		}
	}
	// Far along a run, where counts no longer fit 32 bits.
	for i, c := range m.count(1e15) {
		if c != want[i]*1e10 {
			t.Errorf("%s: %d of 1e15 sequences", table1[i].name, c)
		}
	}
}

func TestMixtureRejects(t *testing.T) {
	for _, shares := range [][]float64{nil, {0}, {0, 0}, {-1, 2}, {math.NaN()}, {math.Inf(1)}} {
		if _, err := newMixture(shares); err == nil {
			t.Errorf("shares %v make a mixture", shares)
		}
	}
}

// Every apportionment gives out exactly the period and nobody gets a unit
// more or less than the whole part of what is due.
func TestApportion(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range 2000 {
		exact := make([]float64, 1+rng.IntN(12))
		sum := 0.0
		for i := range exact {
			exact[i] = rng.ExpFloat64()
			sum += exact[i]
		}
		for i := range exact {
			exact[i] /= sum
		}
		p := 1 + rng.Int64N(1000)
		left := p
		for i, c := range apportion(exact, p) {
			left -= c
			if d := float64(c) - exact[i]*float64(p); d <= -1 || d >= 1 {
				t.Fatalf("%v over %d: source %d gets %d", exact, p, i, c)
			}
		}
		if left != 0 {
			t.Fatalf("%v over %d: %d units are left", exact, p, left)
		}
	}
}
