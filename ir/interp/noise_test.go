package interp_test

import (
	"math"
	"slices"
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
		mach.Noise = func(n *ir.Node, _, results, terms []*interp.Tensor) {
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

// TestAttentionNoise: a query that sees one key gives its value, whatever the
// score, and has no gradient; the terms are those of hand calculation all the same.
func TestAttentionNoise(t *testing.T) {
	const text = `module m

func @f main(%q: f32[1, 1, 1, 2], %k: f32[1, 1, 1, 2], %v: f32[1, 1, 1, 2], %do: f32[1, 1, 1, 2]) -> (%dq) {
  %o, %lse = attention(%q, %k, %v) {causal = true, scale = 0.5} : f32[1, 1, 1, 2], f32[1, 1, 1]
  %dq, %dk, %dv = attention_grad(%do, %o, %lse, %q, %k, %v) {causal = true, scale = 0.5} : f32[1, 1, 1, 2], f32[1, 1, 1, 2], f32[1, 1, 1, 2]
}
`
	m, err := ir.Parse("attention", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	two := func(x, y float32) *interp.Tensor { return interp.FromF32([]float32{x, y}, 1, 1, 1, 2) }
	// The score is (2·3 - 1·6)/2 = 0, of terms 6; do·v and do·o are 4 - 7, of terms 11.
	const s, ds = 6, 0.5 * (1 + 6) * (11 + 11)
	want := map[string][][]float64{
		"attention":      {{4 * (1 + s), 7 * (1 + s)}, {s}},
		"attention_grad": {{ds * 3, ds * 6}, {ds * 2, ds * 1}, {1 + s, 1 + s}},
	}
	mach := interp.NewMachine(nil)
	mach.Noise = func(n *ir.Node, _, _, terms []*interp.Tensor) {
		for i, x := range want[n.Op.Name] {
			if !slices.Equal(terms[i].F, x) {
				t.Errorf("%s: terms of result %d are %v, want %v", n.Op.Name, i, terms[i].F, x)
			}
		}
		delete(want, n.Op.Name)
	}
	out, err := mach.Run(m, "f", two(2, -1), two(3, 6), two(4, -7), two(1, 1))
	if err != nil || out[0].MaxAbs() != 0 || len(want) != 0 {
		t.Errorf("dq is %v, %v; nothing is told of %v", out, err, want)
	}
}
