package cpu

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// adamwReference is AdamW in float64, as in PyTorch's documentation.
func adamwReference(p, g, m, v []float64, h AdamWStep) {
	for i := range p {
		x := g[i] * h.GradScale
		p[i] -= h.LR * h.WeightDecay * p[i]
		m[i] = h.Beta1*m[i] + (1-h.Beta1)*x
		v[i] = h.Beta2*v[i] + (1-h.Beta2)*x*x
		mh := m[i] / (1 - math.Pow(h.Beta1, float64(h.Step)))
		vh := v[i] / (1 - math.Pow(h.Beta2, float64(h.Step)))
		p[i] -= h.LR * mh / (math.Sqrt(vh) + h.Eps)
	}
}

func TestAdamW(t *testing.T) {
	r := rand.New(rand.NewPCG(19, 20))
	for _, n := range []int{0, 1, 7, 8, 15, 16, 17, 100, adamwChunk - 1, adamwChunk + 1, 3*adamwChunk + 21} {
		p := randomPoisoned(r, 1, n, n)
		m, v := newPoisoned(1, n, n), newPoisoned(1, n, n)
		clear(m.x)
		clear(v.x)
		wide := func(x []float32) []float64 {
			y := make([]float64, len(x))
			for i := range x {
				y[i] = float64(x[i])
			}
			return y
		}
		var twins [][]*poisonedMatrix // per instruction set: p, m, v
		ds := devices(t, 3)
		for range ds {
			var c []*poisonedMatrix
			for _, q := range []*poisonedMatrix{p, m, v} {
				c = append(c, &poisonedMatrix{all: slices.Clone(q.all), rows: 1, cols: n, ld: n})
				c[len(c)-1].x = c[len(c)-1].all[guard : guard+n]
			}
			twins = append(twins, c)
		}
		p64, m64, v64 := wide(p.x), wide(m.x), wide(v.x)
		for step := 1; step <= 4; step++ {
			g := randomPoisoned(r, 1, n, n)
			for i := range g.x {
				if r.IntN(10) == 0 {
					g.x[i] = 0 // with zero moments: 0/eps
				}
			}
			h := AdamWStep{LR: 3e-3, Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, WeightDecay: 0.1, GradScale: 0.37, Step: step}
			adamwReference(p64, wide(g.x), m64, v64, h)
			for i, d := range ds {
				c := twins[i]
				d.AdamW(c[0].x, g.x, c[1].x, c[2].x, h)
				for j := range c {
					if err := c[j].intact(); err != nil {
						t.Fatal(err)
					}
					if err := sameBits(twins[0][j], c[j]); err != nil {
						t.Fatalf("%s and %s: buffer %d: %v", ds[0].ISA(), d.ISA(), j, err)
					}
				}
			}
		}
		// A step does a dozen roundings, of p itself twice, and moments carry
		// theirs on; the quotient m/√v is below 1/√(1-β2) and LR scales it.
		for i := range p64 {
			limit := 4 * 0x1p-24 * (3*math.Abs(p64[i]) + 12*3e-3*4.5)
			if got := float64(twins[0][0].x[i]); !(math.Abs(got-p64[i]) <= limit) {
				t.Fatalf("n %d: parameter %d is %v, want %v ± %.2g", n, i, got, p64[i], limit)
			}
			if got := float64(twins[0][2].x[i]); !(math.Abs(got-v64[i]) <= 16*0x1p-24*v64[i]) {
				t.Fatalf("n %d: second moment %d is %v, want %v", n, i, got, v64[i])
			}
		}
	}
}

func TestSumSquares(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	for _, n := range []int{0, 1, 15, 16, 17, 1000, 1<<14 + 5, 3<<14 - 1, 17_000_003} {
		if testing.Short() && n > 1<<20 {
			continue
		}
		x := newPoisoned(1, n, n)
		want := 0.0
		for i := range x.x {
			x.x[i] = r.Float32() - 0.3
			want += float64(x.x[i]) * float64(x.x[i])
		}
		first := 0.0
		for workers := 1; workers <= 3; workers++ {
			for _, d := range devices(t, workers) {
				got := d.SumSquares(x.x)
				if workers == 1 && d.isa == portable {
					first = got
				}
				if math.Float64bits(got) != math.Float64bits(first) {
					t.Fatalf("n %d, %s, %d workers: %v, before it was %v", n, d.ISA(), workers, got, first)
				}
				// Both sums are of n positive terms: error <= n·2^-53 each.
				if !(math.Abs(got-want) <= 2*float64(n)*0x1p-53*want) {
					t.Fatalf("n %d, %s: %v, want %v", n, d.ISA(), got, want)
				}
			}
		}
	}
}

func TestPeakFLOPS(t *testing.T) {
	one, _ := PeakFLOPS(1)
	// The slowest core on which this could run and the fastest.
	if one < 1e8 || one > 1e12 {
		t.Errorf("one worker reaches %.3g FLOP/s", one)
	}
}
