package fuzz

import (
	"fmt"
	"slices"

	"github.com/llamac/llamac/ir"
)

// maxElems bounds the values of random graphs, with every symbol at 3.
// The interpreter runs a case many times over, behind each pass and with nudges, so
// its time decides how many cases a run sees.
const maxElems = 600

// step appends one random piece to the function and puts what it makes into
// the pool. A piece that finds nothing to work on makes nothing.
// A piece's share of the table is how often it comes. unary stands first, for the
// decision 0 should make the simplest model.
func (s *scope) step(x *ir.Value) {
	pieces := []func(*ir.Value) *ir.Value{
		s.unary, s.unary, s.binary, s.binary, s.binary, s.linear, s.linear, s.pack, s.norm, s.norm, s.gate, s.attention, s.attention,
		s.reduce, s.reduce, s.softmax, s.matmul, s.transpose, s.reshape, s.slice, s.pad, s.concat, s.broadcast,
		s.constant, s.index, s.choose, s.gather, s.weighted, s.twice, s.layerNorm, s.gelu, s.scores, s.cast,
		s.sumAndNorm, s.sumAndNorm, s.feedForward, s.feedForward,
	}
	// x is where the function started; pieces pick from the pool and ignore it.
	v := pieces[s.N(len(pieces))](x)
	if v != nil {
		s.pool = append(s.pool, v)
	}
}

// small reports whether a type may have a value.
// Rank 6 is what reshapes and broadcasts of attention come to.
func small(t ir.Type) bool {
	n := int64(1)
	for _, d := range t.Dims {
		// 3 is what cases use at most for B; T may be larger, by little.
		n *= d.Bind(map[string]int64{"B": 3, "T": 3}).N
	}
	return n <= maxElems && t.Rank() <= 6
}

// try appends a node if it is well typed and small.
// Pieces need not know all rules of types: what does not fit is not made. The
// function's names then have a gap, which harms nobody.
func (s *scope) try(op, name string, attrs ir.Attrs, operands ...*ir.Value) *ir.Value {
	// An ill-typed request is an answer here, and no bug.
	n, err := s.TryOp(op, name, attrs, operands...)
	if err != nil {
		return nil
	}
	if !small(n.Results[0].Type) {
		// It was appended last.
		s.Nodes = s.Nodes[:len(s.Nodes)-1]
		return nil
	}
	return n.Results[0]
}

// A quarter have shape [1], as exporters write scalars; fusions must see both.
func (s *scope) number(x float64) *ir.Value {
	if s.Rare(4) {
		return s.Op("const", "c", ir.Attrs{"values": []float64{x}, "shape": []int64{1}})
	}
	// Rank 0, as ir/build writes numbers.
	return s.Scalar("c", ir.F32, x)
}

// positive is v² + c, on which roots and powers are tame.
// It is 1/2 at least, so no logarithm or root has a slope above 2.
func (s *scope) positive(v *ir.Value) *ir.Value {
	return s.Op("add", "positive", nil, s.Op("square", "sq", nil, v), s.number(0.5))
}

// Functions that grow or have a pole get a bounded argument, so that numbers stay where
// float32 and float64 can be compared.
func (s *scope) unary(*ir.Value) *ir.Value {
	v := s.pick(isFloat)
	// Ops with a corner or a step among them: abs, relu, sign, step.
	ops := []string{"tanh", "neg", "silu", "sigmoid", "relu", "abs", "sin", "cos", "erf", "step", "sign",
		"square", "exp", "log", "sqrt", "rsqrt", "reciprocal", "pow"}
	switch op := ops[s.N(len(ops))]; op {
	case "square":
		return s.Op("square", "sq", nil, s.Op("tanh", "bounded", nil, v))
	case "exp":
		// At most e.
		return s.Op("exp", "e", nil, s.Op("min", "low", nil, v, s.number(1)))
	case "log", "sqrt", "rsqrt", "reciprocal":
		return s.Op(op, op, nil, s.positive(v))
	// Exponents that canonicalize has rules for, 2, 1/2, -1/2, -1, 1 and 0, and one
	// that it has not.
	case "pow":
		return s.Op("pow", "p", nil, s.positive(v), s.number([]float64{2, -0.5, 0.5, -1, 1.5, 1, 0}[s.N(7)]))
	default:
		return s.Op(op, op, nil, v)
	}
}

// other picks a value that goes with v under an elementwise op.
// A fifth of them are numbers, among them 0, 1 and -1, which algebraic rules look for.
func (s *scope) other(v *ir.Value) *ir.Value {
	if s.Rare(5) {
		return s.number([]float64{2, 0.5, 1, 0, -1, 0.37}[s.N(6)])
	}
	return s.pick(func(w *ir.Value) bool {
		return isFloat(w) && s.broadcasts(v.Type, w.Type)
	})
}

// broadcasts reports whether two shapes go together.
// It is NumPy's rule, on Dims: a symbol meets itself or 1.
func (s *scope) broadcasts(a, b ir.Type) bool {
	for i, j := a.Rank()-1, b.Rank()-1; i >= 0 && j >= 0; i, j = i-1, j-1 {
		if x, y := a.Dims[i], b.Dims[j]; x != y && !x.Is(1) && !y.Is(1) {
			return false
		}
	}
	return true
}

// max and min may tie when both operands are the same value, which gradients must bear.
func (s *scope) binary(*ir.Value) *ir.Value {
	a := s.pick(isFloat)
	b := s.other(a)
	if b == nil {
		return nil
	}
	// Elementwise ops take the smaller shape on either side.
	if s.Coin() {
		a, b = b, a
	}
	switch op := []string{"add", "mul", "sub", "max", "min", "div"}[s.N(6)]; op {
	// By 1/2 or more, whatever b is.
	case "div":
		return s.try("div", "q", nil, a, s.positive(b))
	default:
		return s.try(op, op, nil, a, b)
	}
}

// The output is at most 6 wide, so that values stay small.
func (s *scope) linear(*ir.Value) *ir.Value {
	// A weight needs a width that is a number.
	v := s.pick(constLast)
	if v == nil {
		return nil
	}
	return s.speller().Linear(v, s.weightLike("w", int64(s.Between(1, 6)), v.Type.Last().N))
}

// pack makes several projections of one value, and something of each.
// fuse_qkv looks for these. Biases, and one weight that is used twice, are in its way.
func (s *scope) pack(x *ir.Value) *ir.Value {
	v := s.pick(constLast)
	if v == nil {
		return nil
	}
	var parts []*ir.Value
	// The same width for all, as k and v have.
	n := int64(s.Between(1, 6))
	for range s.Between(2, 3) {
		y := s.speller().Linear(v, s.weightLike("p", n, v.Type.Last().N))
		// Biases stand between the projections and what reads them.
		if s.Rare(3) {
			y = s.Op("add", "biased", nil, y, s.weight("bias", n))
		}
		// Read later or never: a member without readers has a gradient of zeros.
		s.pool = append(s.pool, y)
		parts = append(parts, y)
	}
	// Or all by themselves, read by whatever picks them.
	if s.Coin() {
		return nil // each by itself
	}
	return s.Op([]string{"mul", "add"}[s.N(2)], "both", nil, parts[0], parts[1])
}

// Over [.., .., width], in any spelling of package spelling.
func (s *scope) norm(*ir.Value) *ir.Value {
	// Package spelling writes norms of rank 3: its reshapes of the gain say so.
	v := s.pick(func(v *ir.Value) bool { return constLast(v) && v.Type.Rank() == 3 })
	if v == nil {
		return nil
	}
	return s.speller().Norm(v, s.weight("gain", v.Type.Last().N))
}

// sumAndNorm adds two values and norms the sum, both to be read.
// fuse_add_rmsnorm looks for these.
func (s *scope) sumAndNorm(*ir.Value) *ir.Value {
	a := s.pick(func(v *ir.Value) bool { return constLast(v) && v.Type.Rank() == 3 })
	if a == nil {
		return nil
	}
	// a itself has the type, so there is always one.
	b := s.pick(func(v *ir.Value) bool { return v.Type.Equal(a.Type) })
	r := s.Op("add", "r", nil, a, b)
	// The sum goes on as the residual stream.
	s.pool = append(s.pool, r)
	return s.speller().Norm(r, s.weight("gain", a.Type.Last().N))
}

// feedForward is a gated network around a residual connection.
// In a quarter of them the gate, or the product, has another reader, which fusions
// must then leave alive.
func (s *scope) feedForward(x *ir.Value) *ir.Value {
	v := s.pick(func(v *ir.Value) bool { return constLast(v) && v.Type.Rank() == 3 })
	if v == nil {
		return nil
	}
	width, hidden := v.Type.Last().N, int64(s.Between(1, 5))
	sp := s.speller()
	n := v
	if s.Coin() {
		n = sp.Norm(v, s.weight("gain", width))
	}
	g, u := sp.Linear(n, s.weight("w1", hidden, width)), sp.Linear(n, s.weight("w3", hidden, width))
	// A second reader of what fuse_swiglu would take away.
	if s.Rare(4) {
		s.pool = append(s.pool, g)
	}
	m := sp.Gate(g, u)
	if s.Rare(4) {
		s.pool = append(s.pool, m)
	}
	// The residual connection goes around the norm too.
	return s.Op("add", "out", nil, v, sp.Linear(m, s.weight("w2", width, hidden)))
}

// Near to RMSNorm, which must not be found in it: the mean is taken off first. eps is
// large because rows of two numbers may have hardly any variance.
func (s *scope) layerNorm(*ir.Value) *ir.Value {
	v := s.pick(constLast)
	if v == nil {
		return nil
	}
	last := ir.Attrs{"axes": []int64{int64(v.Type.Rank() - 1)}, "keep": true}
	c := s.Op("sub", "centred", nil, v, s.Op("reduce_mean", "mean", last, v))
	r := s.Op("rsqrt", "r", nil, s.Op("add", "mse", nil, s.Op("reduce_mean", "ms", last, s.Op("square", "sq", nil, c)), s.number(1e-2)))
	return s.Op("mul", "scaled", nil, s.Op("mul", "hat", nil, c, r), s.weight("gain", v.Type.Last().N))
}

func (s *scope) gelu(*ir.Value) *ir.Value {
	v := s.pick(isFloat)
	// x/2 (1 + erf(x/√2)).
	e := s.Op("erf", "erf", nil, s.Op("mul", "in", nil, v, s.number(0.7071067811865476)))
	return s.Op("mul", "gelu", nil, s.Op("mul", "half", nil, v, s.number(0.5)), s.Op("add", "phi", nil, e, s.number(1)))
}

// g is bounded: silu of a large number is that number, and gates of gates would square
// from layer to layer.
func (s *scope) gate(*ir.Value) *ir.Value {
	g := s.pick(isFloat)
	// Possibly g itself.
	u := s.pick(func(v *ir.Value) bool { return v.Type.Equal(g.Type) })
	return s.speller().Gate(s.Op("tanh", "bounded", nil, g), u)
}

// attention spells causal attention over x [B, T, width] with rotated heads.
// Sizes are those at which grouping, windows and rotation can go wrong: few heads, two
// or four numbers in each, windows shorter than the sequence.
func (s *scope) attention(*ir.Value) *ir.Value {
	// [B, T, width] and no other batch or length.
	v := s.pick(func(v *ir.Value) bool {
		d := v.Type.Dims
		return constLast(v) && len(d) == 3 && d[0] == s.b && d[1] == s.t
	})
	if v == nil {
		return nil
	}
	sp := s.speller()
	sp.KVHeads = int64(s.Between(1, 2))
	// Groups of one or two query heads.
	sp.Heads = sp.KVHeads * int64(s.Between(1, 2))
	// Even, for pairs to rotate.
	sp.HeadDim = int64(2 * s.Between(1, 2))
	// Windows are shorter and longer than T.
	if s.Rare(4) {
		sp.Window = int64(s.Between(1, 4))
	}
	cos, sin := s.tables(sp.HeadDim / 2)
	// In a second segment whose stack has no tables.
	if cos == nil {
		return nil
	}
	width := v.Type.Last().N
	q := sp.Linear(v, s.weight("q", sp.Heads*sp.HeadDim, width))
	k := sp.Linear(v, s.weight("k", sp.KVHeads*sp.HeadDim, width))
	w := sp.Linear(v, s.weight("v", sp.KVHeads*sp.HeadDim, width))
	return sp.Attention(q, k, w, cos, sin)
}

// tables are the cosines and sines of positions, [T, half].
// Frequencies are made up: no pass may rely on rope's usual ones. The key holds the
// size, so that layers with equal heads share a table.
func (s *scope) tables(half int64) (cos, sin *ir.Value) {
	angles := func(m *scope) *ir.Value {
		// Positions from 0, as in training.
		pos := m.Op("cast", "pos", ir.Attrs{"dtype": "f32"}, m.Op("iota", "row", ir.Attrs{"dims": []ir.Dim{m.t}}))
		var freq []float64
		for i := range half {
			freq = append(freq, 1/float64(1+3*i))
		}
		c := m.Op("const", "freq", ir.Attrs{"values": freq, "shape": []int64{1, half}})
		return m.Op("mul", "angles", nil, m.Reshape("pos.rows", pos, m.t, ir.Const(1)), c)
	}
	// Cosines and sines share nothing but the angles' spelling: merging those is
	// for canonicalize.
	cos = s.invariant(fmt.Sprintf("cos%d", half), func(m *scope) *ir.Value { return m.Op("cos", "cos", nil, angles(m)) })
	sin = s.invariant(fmt.Sprintf("sin%d", half), func(m *scope) *ir.Value { return m.Op("sin", "sin", nil, angles(m)) })
	if cos == nil || sin == nil {
		return nil, nil
	}
	return cos, sin
}

// scores is attention's shape without its parts: products of positions with
// each other, softmax, and a mixture.
// There is no mask, so it is no attention for the compiler.
func (s *scope) scores(*ir.Value) *ir.Value {
	v := s.pick(func(v *ir.Value) bool { return constLast(v) && v.Type.Rank() == 3 })
	if v == nil {
		return nil
	}
	// Scores of v with a function of itself.
	p := s.try("matmul", "scores", ir.Attrs{"trans_b": true}, v, s.Op("tanh", "bounded", nil, v))
	if p == nil {
		return nil
	}
	// Scores with a reader of their own.
	s.pool = append(s.pool, p)
	if s.Coin() {
		p = s.Op("softmax", "p", nil, p)
	}
	return s.try("matmul", "mixed", nil, p, v)
}

// Axes that do not follow each other are among them, which plans may refuse.
func (s *scope) reduce(*ir.Value) *ir.Value {
	v := s.pick(has(1))
	if v == nil {
		return nil
	}
	var axes []int64
	// Each axis goes with a third.
	for i := range v.Type.Rank() {
		if s.Rare(3) {
			axes = append(axes, int64(i))
		}
	}
	// An axis at least, the last if no other was drawn.
	if axes == nil {
		axes = []int64{int64(v.Type.Rank() - 1)}
	}
	op := []string{"reduce_mean", "reduce_sum", "reduce_max"}[s.N(3)]
	return s.Op(op, "reduced", ir.Attrs{"axes": axes, "keep": s.N(3) > 0}, v)
}

func (s *scope) softmax(*ir.Value) *ir.Value {
	v := s.pick(has(1))
	if v == nil {
		return nil
	}
	return s.Op("softmax", "p", nil, v)
}

// A third multiply by a weight, the others by another value, with a batch or without.
func (s *scope) matmul(*ir.Value) *ir.Value {
	a := s.pick(has(2))
	if a == nil {
		return nil
	}
	// All four combinations, whose gradient rules differ.
	attrs := ir.Attrs{"trans_a": s.Coin(), "trans_b": s.Coin()}
	// The inner size must be a number, for weights have no symbols.
	if s.Rare(3) {
		k := a.Type.Last()
		if attrs["trans_a"] == true {
			k = a.Type.Dims[a.Type.Rank()-2]
		}
		if !k.IsConst() {
			return nil
		}
		n := int64(s.Between(1, 4))
		if attrs["trans_b"] == true {
			return s.try("matmul", "product", attrs, a, s.weightLike("m", n, k.N))
		}
		return s.try("matmul", "product", attrs, a, s.weightLike("m", k.N, n))
	}
	// Most of these do not fit; those that do have equal batches, or b has none.
	b := s.pick(has(2))
	return s.try("matmul", "product", attrs, a, b)
}

// Fisher and Yates, drawn so that zeros leave the axes where they are.
func (s *scope) transpose(*ir.Value) *ir.Value {
	v := s.pick(has(2))
	if v == nil {
		return nil
	}
	perm := make([]int64, v.Type.Rank())
	for i := range perm {
		perm[i] = int64(i)
	}
	for i := len(perm) - 1; i > 0; i-- {
		j := i - s.N(i+1)
		perm[i], perm[j] = perm[j], perm[i]
	}
	return s.Op("transpose", "turned", ir.Attrs{"perm": perm}, v)
}

// reshape merges two axes, cuts one in two, or adds or removes a one.
// Chains of these are what canonicalize has to see through.
func (s *scope) reshape(*ir.Value) *ir.Value {
	v := s.pick(has(1))
	if v == nil {
		return nil
	}
	d := slices.Clone(v.Type.Dims)
	at := s.N(len(d))
	switch s.N(4) {
	case 0:
		if at+1 < len(d) {
			d = slices.Replace(d, at, at+2, d[at].Mul(d[at+1]))
		}
	case 1:
		// Of a symbol the coefficient counts: 2*T can be cut.
		if n := d[at]; n.N%2 == 0 {
			half := n
			half.N /= 2
			two := []ir.Dim{half, ir.Const(2)}
			if s.Coin() {
				slices.Reverse(two)
			}
			d = slices.Replace(d, at, at+1, two...)
		}
	case 2:
		d = slices.Insert(d, at, ir.Const(1))
	// All ones at once.
	case 3:
		d = slices.DeleteFunc(d, func(n ir.Dim) bool { return n.Is(1) })
	}
	return s.try("reshape", "shaped", ir.Attrs{"dims": d}, v)
}

// constAxis picks a value with an axis whose size is a number of at least n.
// Slices, pads and concatenations work along such axes alone.
func (s *scope) constAxis(n int64) (*ir.Value, int) {
	// A symbol is no number, even if its coefficient is large.
	ok := func(d ir.Dim) bool { return d.IsConst() && d.N >= n }
	v := s.pick(func(v *ir.Value) bool { return isFloat(v) && slices.ContainsFunc(v.Type.Dims, ok) })
	if v == nil {
		return nil, 0
	}
	var axes []int
	for i := range v.Type.Dims {
		if ok(v.Type.Dims[i]) {
			axes = append(axes, i)
		}
	}
	return v, axes[s.N(len(axes))]
}

// Along longer axes half of them are slices of slices, with steps, whose composition is
// easy to get wrong by one.
func (s *scope) slice(*ir.Value) *ir.Value {
	v, axis := s.constAxis(2)
	if v == nil {
		return nil
	}
	if n := v.Type.Dims[axis].N; n > 3 && s.Coin() { // of which a slice is taken
		v = s.try("slice", "half", ir.Attrs{"axis": int64(axis), "from": int64(s.N(2)), "to": n, "step": int64(2 - s.N(2))}, v)
	}
	// from and to leave an element at least.
	n := int(v.Type.Dims[axis].N)
	from := s.N(n)
	to := n - s.N(n-from)
	return s.try("slice", "part", ir.Attrs{"axis": int64(axis), "from": int64(from), "to": int64(to), "step": int64(s.Between(1, 2))}, v)
}

// There may be room behind the last element, and a distance between elements.
func (s *scope) pad(*ir.Value) *ir.Value {
	v, axis := s.constAxis(1)
	if v == nil {
		return nil
	}
	// size is what the last element needs, and up to two more.
	n, before, step := v.Type.Dims[axis].N, int64(s.N(3)), int64(s.Between(1, 2))
	return s.try("pad", "padded", ir.Attrs{"axis": int64(axis), "before": before, "step": step,
		"size": before + (n-1)*step + 1 + int64(s.N(3))}, v)
}

// The same value may come twice, as in the rotation of halves.
func (s *scope) concat(*ir.Value) *ir.Value {
	v, axis := s.constAxis(1)
	if v == nil {
		return nil
	}
	parts := []*ir.Value{v}
	// pick finds v itself if nothing else goes with it.
	for range s.Between(1, 2) {
		parts = append(parts, s.pick(func(w *ir.Value) bool {
			if !isFloat(w) || w.Type.Rank() != v.Type.Rank() || !w.Type.Dims[axis].IsConst() {
				return false
			}
			for i, d := range w.Type.Dims {
				if i != axis && d != v.Type.Dims[i] {
					return false
				}
			}
			return true
		}))
	}
	return s.try("concat", "joined", ir.Attrs{"axis": int64(axis)}, parts...)
}

// A third get a new leading axis.
func (s *scope) broadcast(*ir.Value) *ir.Value {
	v := s.pick(isFloat)
	d := slices.Clone(v.Type.Dims)
	// Symbols as well as numbers.
	sizes := []ir.Dim{ir.Const(2), s.t, ir.Const(3), s.b}
	for i, n := range d {
		if n.Is(1) && s.Coin() {
			d[i] = sizes[s.N(len(sizes))]
		}
	}
	if s.Rare(3) {
		d = append([]ir.Dim{sizes[s.N(len(sizes))]}, d...)
	}
	return s.try("broadcast", "wide", ir.Attrs{"dims": d}, v)
}

// constant is a tensor of numbers that goes with some value.
// Values are few and may repeat, so that equal constants can be merged and constant
// axes be noticed.
func (s *scope) constant(*ir.Value) *ir.Value {
	v := s.pick(isFloat)
	var shape []int64
	// Two axes at most, of what aligns at the end with v.
	n := 1
	for i := v.Type.Rank() - 1; i >= 0 && len(shape) < 2; i-- {
		d := v.Type.Dims[i]
		if !d.IsConst() || d.N > 8 || s.Rare(3) {
			d = ir.Const(1)
		}
		shape = append([]int64{d.N}, shape...)
		n *= int(d.N)
	}
	var x []float64
	for i := range n {
		// Multiples of a quarter, which float32 has exactly.
		x = append(x, float64(i%5)/4-0.5+float64(s.N(3)))
	}
	return s.Op("const", "fixed", ir.Attrs{"values": x, "shape": shape})
}

// index is a function of the index along an axis of some value.
// The sine keeps numbers small whatever the length.
func (s *scope) index(*ir.Value) *ir.Value {
	v := s.pick(has(1))
	if v == nil {
		return nil
	}
	axis := s.N(v.Type.Rank())
	// It broadcasts against v: ones stand behind the axis.
	dims := []ir.Dim{v.Type.Dims[axis]}
	for range v.Type.Rank() - 1 - axis {
		dims = append(dims, ir.Const(1))
	}
	if s.Rare(3) {
		dims = slices.Clone(v.Type.Dims[axis:])
	}
	i := s.try("iota", "index", ir.Attrs{"dims": dims})
	if i == nil {
		return nil
	}
	// Indices are i32, and arithmetic is on floats.
	f := s.Op("cast", "real", ir.Attrs{"dtype": "f32"}, i)
	return s.Op("sin", "wave", nil, s.Op("mul", "slow", nil, f, s.number(0.7)))
}

// choose compares two values and picks from two others.
// A comparison of floats may come out differently in float32: see Check.
func (s *scope) choose(*ir.Value) *ir.Value {
	a := s.pick(isFloat)
	b := s.other(a)
	if b == nil {
		return nil
	}
	op := []string{"less", "less_equal", "greater", "greater_equal", "equal"}[s.N(5)]
	c := s.try(op, "holds", nil, a, b)
	if c == nil {
		return nil
	}
	// A truth value, which cast and where take.
	s.pool = append(s.pool, c)
	x := s.pick(func(v *ir.Value) bool { return isFloat(v) && s.broadcasts(v.Type, c.Type) })
	if x == nil {
		return nil
	}
	y := s.other(x)
	if y == nil {
		return nil
	}
	if s.Coin() {
		x, y = y, x
	}
	return s.try("where", "chosen", nil, c, x, y)
}

// cast makes numbers of truth values.
func (s *scope) cast(*ir.Value) *ir.Value {
	v := s.pick(isBool)
	if v == nil {
		return nil
	}
	return s.Op("cast", "mask", ir.Attrs{"dtype": "f32"}, v)
}

// gather looks tokens up once more, in a table of the function's own.
// In a layer the tokens are an invariant, the same for all.
func (s *scope) gather(*ir.Value) *ir.Value {
	ids := s.ids
	if s.stack != nil {
		if ids = s.invariant("ids", func(m *scope) *ir.Value { return m.ids }); ids == nil {
			return nil
		}
	}
	if s.Rare(4) { // the ids as numbers, made once
		return s.invariant("wave", func(m *scope) *ir.Value {
			// Plans refuse to compute with inputs of integers unless they are cast.
			f := m.Op("cast", "real", ir.Attrs{"dtype": "f32"}, m.ids)
			return m.Reshape("column", m.Op("sin", "wave", nil, f), append(slices.Clone(m.ids.Type.Dims), ir.Const(1))...)
		})
	}
	// Half the stream's width, or all of it.
	return s.Op("gather", "looked", nil, s.weightLike("table", s.vocab, int64(s.Between(1, 2))*s.width/2), ids)
}

// weighted adds or multiplies a weight of few axes.
// Biases, gains and broadcast axes of size 1: gradients of these are sums.
func (s *scope) weighted(*ir.Value) *ir.Value {
	v := s.pick(isFloat)
	var shape []int64
	// The bound is drawn anew each time around: an axis at least, three at most.
	for i := v.Type.Rank() - 1; i >= 0 && len(shape) < 1+s.N(3); i-- {
		d := v.Type.Dims[i]
		if !d.IsConst() || s.Rare(4) {
			d = ir.Const(1)
		}
		shape = append([]int64{d.N}, shape...)
	}
	return s.try([]string{"add", "mul"}[s.N(2)], "weighted", nil, v, s.weightLike("v", shape...))
}

// twice computes something twice, or of one value twice.
// Merging equal nodes must keep both gradients.
func (s *scope) twice(*ir.Value) *ir.Value {
	v := s.pick(isFloat)
	if s.Coin() {
		return s.Op("add", "double", nil, v, v)
	}
	a, b := s.Op("tanh", "one", nil, v), s.Op("tanh", "same", nil, v)
	s.pool = append(s.pool, a)
	return s.Op("mul", "both", nil, a, b)
}
