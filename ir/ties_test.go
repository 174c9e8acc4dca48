package ir_test

import (
	"slices"
	"testing"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/ir/interp"
)

// TestCorners fixes the slope that each rule takes where a function has a
// corner and central differences say nothing.
func TestCorners(t *testing.T) {
	for _, c := range []struct {
		name, function string
		args           [][]float64
		want           [][]float64 // gradients of the sum of the result
	}{
		{"a tie of max counts as a", "(%a: f32[3], %b: f32[3]) -> (%y) { %y = max(%a, %b) : f32[3] }",
			[][]float64{{1, 2, 3}, {1, 3, 2}}, [][]float64{{1, 0, 1}, {0, 1, 0}}},
		{"a tie of min counts as a", "(%a: f32[3], %b: f32[3]) -> (%y) { %y = min(%a, %b) : f32[3] }",
			[][]float64{{1, 2, 3}, {1, 3, 2}}, [][]float64{{1, 1, 0}, {0, 0, 1}}},
		{"the largest of one operand", "(%a: f32[2]) -> (%y) { %y = max(%a, %a) : f32[2] }",
			[][]float64{{1, -1}}, [][]float64{{1, 1}}},
		{"ties of reduce_max share", "(%x: f32[2, 4]) -> (%y) { %y = reduce_max(%x) {axes = [1]} : f32[2] }",
			[][]float64{{5, 1, 5, 5, -2, -1, -3, -2}}, [][]float64{{1. / 3, 0, 1. / 3, 1. / 3, 0, 1, 0, 0}}},
		{"relu at 0 is flat", "(%x: f32[3]) -> (%y) { %y = relu(%x) : f32[3] }",
			[][]float64{{-1, 0, 1}}, [][]float64{{0, 0, 1}}},
		{"abs at 0 is flat", "(%x: f32[3]) -> (%y) { %y = abs(%x) : f32[3] }",
			[][]float64{{-1, 0, 1}}, [][]float64{{-1, 0, 1}}},
		{"a number that no branch takes", "(%x: f32[2]) -> (%y) { %z = const() {values = [0.0]} : f32[] %c = greater(%x, %z) : bool[2] " +
			"%l = log(%x) : f32[2] %w = where(%c, %x, %z) : f32[2] %y = square(%w) : f32[2] }",
			[][]float64{{-3, 3}}, [][]float64{{0, 6}}},
	} {
		m := parse(t, c.name, "module m\n\nfunc @f main"+c.function)
		f := withLoss(m.Funcs[0])
		p := &problem{m: m, f: f, mach: machine(m, newRNG(c.name))}
		for i := range f.Params {
			x := arguments(f, newRNG(c.name))[i]
			for j := range x.F {
				x.F[j] = 1 // the weights of the results
			}
			if i < len(c.args) {
				copy(x.F, c.args[i])
			}
			p.args = append(p.args, x)
		}
		for i, d := range p.analytic(t, f.Params[:len(c.args)]) {
			if d == nil {
				d = interp.New(ir.F32, len(c.want[i]))
			}
			if !slices.Equal(d.F, c.want[i]) {
				t.Errorf("%s: the gradient of %s is %v, want %v", c.name, f.Params[i], d.F, c.want[i])
			}
		}
	}
}

// TestThrough: learned angles of a rotation have gradients although the rule
// of rope is for x alone (the samples of rope check all three).
func TestThrough(t *testing.T) {
	m := parse(t, "angles", `module m
weight $freq: f32[1, 2]

func @f main(%x: f32[2, 3, 2, 4], %t: f32[3, 1]) -> (%y) {
  %a = matmul(%t, $freq) : f32[3, 2]
  %c = cos(%a) : f32[3, 2]
  %s = sin(%a) : f32[3, 2]
  %y = rope(%x, %c, %s) {layout = "half"} : f32[2, 3, 2, 4]
}
`)
	newProblem(m, m.Funcs[0], newRNG("angles")).check(t)
}
