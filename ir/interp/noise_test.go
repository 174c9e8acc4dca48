package interp_test

import (
	"math"
	"strings"
	"testing"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/ir/interp"
)

// TestNoise: the terms of a sum are those of hand calculation, signs left out,
// and what is changed is what later nodes read.
func TestNoise(t *testing.T) {
	for _, c := range []struct {
		name, params, node, shape string
		args                      []*interp.Tensor
		want                      []float64 // nil for no terms
	}{
		// 1·4 - 2·3 and 5·4 - 6·3
		{"linear", "%x: f32[1, 2], %w: f32[2, 2]", "linear(%x, %w)", "f32[1, 2]",
			[]*interp.Tensor{interp.FromF32([]float32{4, -3}, 1, 2), interp.FromF32([]float32{1, 2, 5, 6}, 2, 2)}, []float64{10, 38}},
		{"reduce_mean", "%x: f32[2, 2]", "reduce_mean(%x) {axes = [1]}", "f32[2]",
			[]*interp.Tensor{interp.FromF32([]float32{1, -1, -4, -2}, 2, 2)}, []float64{1, 3}},
		// One key: 1·(7 - 7) is 0, of terms 7 and 7.
		{"softmax_grad", "%x: f32[1, 1], %w: f32[1, 1]", "softmax_grad(%x, %w)", "f32[1, 1]",
			[]*interp.Tensor{interp.FromF32([]float32{-7}, 1, 1), interp.FromF32([]float32{1}, 1, 1)}, []float64{14}},
		{"cross_entropy_grad", "%d: f32[], %x: f32[2, 2], %t: i32[2]", "cross_entropy_grad(%d, %x, %t)", "f32[2, 2]",
			[]*interp.Tensor{interp.FromF32([]float32{3}), interp.FromF32([]float32{1, 1, 2, 2}, 2, 2), interp.FromI32([]int32{1, -1}, 2)},
			[]float64{1.5, 1.5 + 6, 0, 0}},
		{"exp", "%x: f32[1]", "exp(%x)", "f32[1]", []*interp.Tensor{interp.FromF32([]float32{1}, 1)}, nil},
	} {
		text := "module m\n\nfunc @f main(" + c.params + ") -> (%z) {\n  %y = " + c.node + " : " + c.shape + "\n  %z = neg(%y) : " + c.shape + "\n}\n"
		m, err := ir.Parse(c.name, []byte(text))
		if err != nil {
			t.Error(err)
			continue
		}
		mach := interp.NewMachine(nil)
		mach.Noise = func(n *ir.Node, results, terms []*interp.Tensor) {
			if !strings.HasPrefix(c.node, n.Op.Name+"(") {
				return
			}
			if (terms == nil) != (c.want == nil) {
				t.Fatalf("%s: terms %v", c.name, terms)
			}
			for i, want := range c.want {
				if got := terms[0].F[i]; math.Abs(got-want) > 1e-12 {
					t.Errorf("%s: %v is added up to element %d, want %v", c.name, got, i, want)
				}
			}
			results[0].F[0] = 99
		}
		if out, err := mach.Run(m, "f", c.args...); err != nil || out[0].F[0] != -99 {
			t.Errorf("%s: gives %v, %v", c.name, out, err)
		}
	}
}
