package weights

import (
	"math"
	"slices"
	"testing"

	"github.com/llamac/llamac/runtime/model"
)

// TestInit checks kinds, spread, gaps, and that neither workers nor the order
// of weights change an element.
func TestInit(t *testing.T) {
	info := llama(64, 2, 4, 2, 100, 1100, 8, false, "half")
	for i := range info.Weights {
		w := &info.Weights[i]
		switch len(w.Shape) {
		case 1:
			w.Init = model.Init{Kind: "ones"}
		default:
			w.Init = model.Init{Kind: "normal", Std: 0.02}
		}
	}
	info.Weights[1].Init.Kind = "zeros"
	a := arena(info)
	Init(info, 7, a, 1)
	checkGaps(t, info, a)
	for _, w := range info.Weights {
		x := a[w.Offset : w.Offset+w.Len()]
		sum, sq := 0.0, 0.0
		for _, v := range x {
			sum += float64(v)
			sq += float64(v) * float64(v)
		}
		n := float64(len(x))
		switch w.Init.Kind {
		case "ones":
			if sum != n || sq != n {
				t.Errorf("%s is not all ones", w.Name)
			}
		case "zeros":
			if sq != 0 {
				t.Errorf("%s is not all zeros", w.Name)
			}
		default: // the variance of a sample variance is 2σ⁴/n
			if math.Abs(sum/n) > 5*0.02/math.Sqrt(n) || math.Abs(sq/n/4e-4-1) > 5*math.Sqrt(2/n) {
				t.Errorf("%s: mean %g, mean square %g", w.Name, sum/n, sq/n)
			}
		}
	}
	b := arena(info)
	Init(info, 7, b, 5)
	sameBits(t, "five workers", info, b, a)
	turned := info
	turned.Weights = slices.Clone(info.Weights)
	slices.Reverse(turned.Weights)
	c := make([]float32, len(a))
	for i := range c {
		c[i] = float32(math.NaN())
	}
	Init(turned, 7, c, 2)
	sameBits(t, "turned order", info, c, a)
	Init(info, 8, b, 2)
	if w := info.Weights[0]; slices.Equal(a[w.Offset:w.Offset+8], b[w.Offset:w.Offset+8]) {
		t.Error("another seed gave the same weights")
	}
}
