package rng

import (
	"math"
	"testing"
)

// TestKnownAnswers holds the published vectors of Philox4x32-10 (the
// kat_vectors file of the authors' Random123 library).
func TestKnownAnswers(t *testing.T) {
	const f = 0xffffffff
	for _, c := range []struct {
		ctr  [4]uint32
		key  [2]uint32
		want [4]uint32
	}{
		{[4]uint32{}, [2]uint32{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[4]uint32{f, f, f, f}, [2]uint32{f, f}, [4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, [2]uint32{0xa4093822, 0x299f31d0},
			[4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		if got := Philox(c.ctr, c.key); got != c.want {
			t.Errorf("Philox(%x, %x) = %x, want %x", c.ctr, c.key, got, c.want)
		}
	}
}

// TestFillCut checks that a tensor drawn in pieces is the tensor drawn whole.
func TestFillCut(t *testing.T) {
	s := Named(7, "layers.3.attention.wq")
	whole := make([]float32, 101)
	s.Fill(whole, 0, 0.02)
	for cut := 0; cut <= len(whole); cut++ {
		parts := make([]float32, len(whole))
		s.Fill(parts[:cut], 0, 0.02)
		s.Fill(parts[cut:], cut, 0.02)
		for i := range whole {
			if parts[i] != whole[i] {
				t.Fatalf("cut at %d: element %d is %v, want %v", cut, i, parts[i], whole[i])
			}
		}
	}
}

// TestNormal checks the first four moments of 2^20 numbers against five
// standard errors of each, and that streams and seeds differ.
func TestNormal(t *testing.T) {
	const n = 1 << 20
	x := make([]float32, n)
	Named(1, "w").Fill(x, 0, 1)
	var m [5]float64
	for _, v := range x {
		p := 1.0
		for k := 1; k <= 4; k++ {
			p *= float64(v)
			m[k] += p / n
		}
	}
	// Variances of x, x², x³, x⁴ for a standard normal: 1, 2, 15, 96.
	for k, c := range map[int]struct{ mean, variance float64 }{1: {0, 1}, 2: {1, 2}, 3: {0, 15}, 4: {3, 96}} {
		if d := math.Abs(m[k] - c.mean); d > 5*math.Sqrt(c.variance/n) {
			t.Errorf("moment %d is %v, want %v", k, m[k], c.mean)
		}
	}
	for _, other := range []Source{Named(2, "w"), Named(1, "v")} {
		y := make([]float32, n)
		other.Fill(y, 0, 1)
		var dot float64
		for i := range x {
			dot += float64(x[i]) * float64(y[i]) / n
		}
		if math.Abs(dot) > 5/math.Sqrt(n) {
			t.Errorf("streams are correlated: %v", dot)
		}
	}
}

// TestFloat64 checks the range and the mean.
func TestFloat64(t *testing.T) {
	s := New(3, 4)
	const n = 1 << 18
	sum := 0.0
	for i := range uint64(n) {
		v := s.Float64(i)
		if v < 0 || v >= 1 {
			t.Fatalf("%v at %d is outside [0, 1)", v, i)
		}
		sum += v
	}
	if d := math.Abs(sum/n - 0.5); d > 5*math.Sqrt(1.0/12/n) {
		t.Errorf("mean %v", sum/n)
	}
}
