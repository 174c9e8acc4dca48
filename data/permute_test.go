package data

import (
	"math/rand/v2"
	"testing"
)

func TestPermutationIsOneToOne(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	sizes := []int64{}
	for n := int64(1); n <= 300; n++ {
		sizes = append(sizes, n)
	}
	for range 40 {
		sizes = append(sizes, 1+rng.Int64N(30000))
	}
	for _, n := range sizes {
		p := newPermutation(n, rng.Uint64())
		seen := make([]bool, n)
		for i := range n {
			j := p.at(i)
			if j < 0 || j >= n || seen[j] {
				t.Fatalf("n %d: %d goes to %d, which is outside or taken", n, i, j)
			}
			seen[j] = true
		}
	}
}

// Every element must be equally likely to land anywhere, and neighbours must
// not stay neighbours: chi-squared over many keys.
func TestPermutationIsEven(t *testing.T) {
	for _, n := range []int64{2, 3, 4, 7, 16, 30} {
		const draws = 20000
		place := make([]float64, n)
		step := make([]float64, n) // distance between the images of 0 and 1
		for key := range uint64(draws) {
			p := newPermutation(n, mix(key))
			a, b := p.at(0), p.at(1)
			place[a]++
			step[(b-a+n)%n]++
		}
		if step[0] != 0 {
			t.Fatalf("n %d: two elements land on one place", n)
		}
		// Mean n-1 and standard deviation sqrt(2(n-1)): six of them are no
		// accident.
		check := func(what string, counts []float64) {
			want := float64(draws) / float64(len(counts))
			chi := 0.0
			for _, c := range counts {
				chi += (c - want) * (c - want) / want
			}
			free := float64(len(counts) - 1)
			if free > 0 && (chi-free)*(chi-free) > 36*2*free {
				t.Errorf("n %d: %s: chi-squared %.1f for %.0f degrees of freedom: %v", n, what, chi, free, counts)
			}
		}
		check("places of 0", place)
		check("distances of 0 and 1", step[1:])
	}
}
