// Package spelling writes the pieces of a transformer's layer in primitive ops,
// each in one of the ways in which people and exporters write it: x·x or a
// power, a mask that is added or chosen, heads repeated by a broadcast, a
// concatenation or a gather. Tests of the fusions choose among them at random.
package spelling

import (
	"slices"

	"github.com/llamac/llamac/ir"
)

// Speller appends spellings to a function.
// Choose is all the randomness there is: a test that draws from a seed repeats a
// spelling, one that draws from a list shrinks it, and one that counts what it is asked
// knows which spellings it has not seen. Choice 0 need not be the plainest.
type Speller struct {
	*ir.Builder
	// Choose gives a number below n; what says what it is for.
	Choose func(what string, n int) int
	// NewWeight declares a weight of the function.
	NewWeight func(name string, dims ...int64) *ir.Value

	B, T                    ir.Dim // sequences and positions
	Heads, KVHeads, HeadDim int64  // HeadDim even
	Window                  int64  // keys that a query sees at most, 0 for all before it
	Biases                  int    // additions so far that are not residual

	Starts *ir.Value // [B, T], the first key of each query; nil where there is none
}

// half is the number of pairs that a head's rotation turns.
func (s *Speller) half() int64 { return s.HeadDim / 2 }

func (s *Speller) coin(what string) bool { return s.Choose(what, 2) == 1 }

// num is a number: of rank 0, or in a quarter of the cases of shape [1]. Matchers must
// take both for the same.
func (s *Speller) num(x float64) *ir.Value {
	switch s.Choose("number", 4) {
	case 0:
		return s.Op("const", "c", ir.Attrs{"values": []float64{x}, "shape": []int64{1}})
	}
	return s.Scalar("c", ir.F32, x)
}

func (s *Speller) un(op string, x *ir.Value) *ir.Value { return s.Op(op, op, nil, x) }

// bin has the operands of a commutative op in either order, so that no matcher can rely
// on which comes first.
func (s *Speller) bin(op string, a, b *ir.Value) *ir.Value {
	if ir.Lookup(op).Commutative && s.coin("commute") {
		a, b = b, a
	}
	return s.Op(op, op, nil, a, b)
}

func (s *Speller) reshape(x *ir.Value, dims ...ir.Dim) *ir.Value {
	return s.Op("reshape", "reshape", ir.Attrs{"dims": dims}, x)
}

func (s *Speller) transpose(x *ir.Value, perm ...int64) *ir.Value {
	return s.Op("transpose", "transpose", ir.Attrs{"perm": perm}, x)
}

func (s *Speller) slice(x *ir.Value, axis, from, to, step int64) *ir.Value {
	return s.Op("slice", "slice", ir.Attrs{"axis": axis, "from": from, "to": to, "step": step}, x)
}

func (s *Speller) concat(axis int64, xs ...*ir.Value) *ir.Value {
	return s.Op("concat", "concat", ir.Attrs{"axis": axis}, xs...)
}

func (s *Speller) broadcast(x *ir.Value, dims ...ir.Dim) *ir.Value {
	return s.Op("broadcast", "broadcast", ir.Attrs{"dims": dims}, x)
}

// Layer writes a whole LLaMA layer over parameters x, cos and sin, and makes it
// the function's result.
// The feed-forward network is 5 wide, which no tile and no head size divides. Matching
// this layer is what the fusions are for: whatever was chosen, the result must be the
// same few fused ops.
func (s *Speller) Layer() {
	width := s.Heads * s.HeadDim
	x := s.Param("x", ir.TensorOf(ir.F32, s.B, s.T, ir.Const(width)))
	table := ir.TensorOf(ir.F32, s.T, ir.Const(s.half()))
	cos, sin := s.Param("cos", table), s.Param("sin", table)

	// The first half: r = x + wo · attention(norm(x)).
	n := s.Norm(x, s.NewWeight("attention_norm", width))
	q := s.Linear(n, s.NewWeight("wq", width, width))
	k := s.Linear(n, s.NewWeight("wk", s.KVHeads*s.HeadDim, width))
	v := s.Linear(n, s.NewWeight("wv", s.KVHeads*s.HeadDim, width))
	o := s.Attention(q, k, v, cos, sin)
	r := s.bin("add", x, s.Linear(o, s.NewWeight("wo", width, width)))
	// The second: r + w2 · (silu(w1 n) · w3 n).
	n = s.Norm(r, s.NewWeight("ffn_norm", width))
	g := s.Linear(n, s.NewWeight("w1", 5, width))
	u := s.Linear(n, s.NewWeight("w3", 5, width))
	out := s.bin("add", r, s.Linear(s.Gate(g, u), s.NewWeight("w2", width, 5)))
	s.Flush()
	s.F.Results = []*ir.Value{out}
}

// Linear is x times the transpose of w.
// w is [out, in]. As a matmul it needs w turned, by an op or by the flag; canonicalize
// makes linear of both.
func (s *Speller) Linear(x, w *ir.Value) *ir.Value {
	switch s.Choose("linear", 4) {
	case 0:
		return s.Op("matmul", "y", nil, x, s.transpose(w, 1, 0))
	case 1:
		return s.Op("matmul", "y", ir.Attrs{"trans_b": true}, x, w)
	}
	return s.Op("linear", "y", nil, x, w)
}

// x·x has its operand twice: two uses by one node.
func (s *Speller) square(x *ir.Value) *ir.Value {
	switch s.Choose("square", 3) {
	case 0:
		return s.bin("mul", x, x)
	case 1:
		return s.Op("pow", "pow", nil, x, s.num(2))
	}
	return s.un("square", x)
}

// product multiplies in any order and association.
// Of three factors there are twelve ways. Each draws a factor, and the one to multiply it
// with, so every association can come.
func (s *Speller) product(xs ...*ir.Value) *ir.Value {
	xs = slices.Clone(xs)
	for len(xs) > 1 {
		i := s.Choose("factor", len(xs))
		a := xs[i]
		xs = slices.Delete(xs, i, i+1)
		j := s.Choose("factor", len(xs))
		xs[j] = s.bin("mul", a, xs[j])
	}
	return xs[0]
}

// Norm is RMSNorm with the gain w.
// The choices are independent: how to square, mean as a sum or not, kept axis or a
// reshape behind, where eps is added to either form, which root, and in what order the
// three factors meet.
func (s *Speller) Norm(x, w *ir.Value) *ir.Value {
	t := x.Type
	last := int64(t.Rank() - 1)
	width := float64(t.Last().N)
	keep := s.coin("keep the axis")
	axes := ir.Attrs{"axes": []int64{last}, "keep": keep}
	sq := s.square(x)
	var ms *ir.Value
	switch s.Choose("mean", 3) {
	case 0:
		ms = s.bin("mul", s.Op("reduce_sum", "sum", axes, sq), s.num(1/width))
	case 1:
		ms = s.Op("div", "mean", nil, s.Op("reduce_sum", "sum", axes, sq), s.num(width))
	default:
		ms = s.Op("reduce_mean", "mean", axes, sq)
	}
	// [.., 1], to meet x again if the axis was not kept.
	column := append(slices.Clone(t.Dims[:last]), ir.Const(1))
	shape := func(v *ir.Value, here bool) *ir.Value {
		if here && v.Type.Rank() < t.Rank() {
			return s.reshape(v, column...)
		}
		return v
	}
	// Before eps is added or only where the root meets x.
	early := s.coin("reshape early")
	mse := s.bin("add", shape(ms, early), s.num(1e-5))
	// [1, 1, width] broadcasts like [width].
	if s.coin("shape the gain") {
		w = s.reshape(w, ir.Const(1), ir.Const(1), t.Last())
	}
	switch s.Choose("root", 5) {
	case 0:
		root := shape(s.un("sqrt", mse), true)
		// (x w) / root, and (x / root) w below.
		if s.coin("gain first") {
			return s.Op("div", "norm", nil, s.bin("mul", x, w), root)
		}
		return s.bin("mul", s.Op("div", "hat", nil, x, root), w)
	case 1:
		return s.product(x, w, shape(s.Op("div", "r", nil, s.num(1), s.un("sqrt", mse)), true))
	case 2:
		return s.product(x, w, shape(s.un("reciprocal", s.un("sqrt", mse)), true))
	case 3:
		return s.product(x, w, shape(s.Op("pow", "r", nil, mse, s.num(-0.5)), true))
	}
	// LLaMA's own.
	return s.product(x, w, shape(s.un("rsqrt", mse), true))
}

// Gate is silu(g) times u.
// silu(g) = g · sigmoid(g) = g / (1 + exp(-g)), and u may be multiplied in anywhere.
func (s *Speller) Gate(g, u *ir.Value) *ir.Value {
	onePlus := func() *ir.Value {
		minus := s.un("neg", g)
		if s.coin("minus one") {
			minus = s.bin("mul", g, s.num(-1))
		}
		return s.bin("add", s.un("exp", minus), s.num(1))
	}
	switch s.Choose("silu", 5) {
	case 0:
		return s.product(g, u, s.un("sigmoid", g))
	case 1:
		return s.bin("mul", u, s.Op("div", "silu", nil, g, onePlus()))
	case 2:
		return s.product(g, u, s.un("reciprocal", onePlus()))
	// The product first: no subexpression is a silu.
	case 3:
		return s.Op("div", "gated", nil, s.bin("mul", g, u), onePlus())
	}
	return s.bin("mul", s.un("silu", g), u)
}

// scaled multiplies by c, or divides by its inverse.
// Dividing by sqrt(d) is how the paper on attention writes it (Vaswani et al. 2017).
func (s *Speller) scaled(x *ir.Value, c float64) *ir.Value {
	if s.coin("divide") {
		return s.Op("div", "scaled", nil, x, s.num(1/c))
	}
	return s.bin("mul", x, s.num(c))
}
