package passes

import (
	"slices"

	"github.com/llamac/llamac/ir"
)

// An exporter splits heads, swaps axes, merges batches and repeats KV heads in
// many ways, all of which only move elements. A view says what such a detour
// comes to: each axis of the final value as the digits, outermost first, of
// which its index consists, each digit a part of the index along one axis of
// the source.
//
//	[B, T, H*d] → reshape [B, T, H, d] → transpose [0, 2, 1, 3]
//	axes of the result in terms of the source: B | 2/H | T | 2%d
//
// Digits work as in a number with mixed bases: an index of the axis is the sum
// of each digit's value times its stride. Sizes and strides count elements
// along the axis of the source, not in memory.
type view struct {
	src  *ir.Value
	axes [][]digit
	off  []int64 // the first index used along each axis of the source
}

// digit is size consecutive steps of stride along an axis of the source, or a
// repetition, with axis -1. Digits of size 1 are left out.
type digit struct {
	axis         int
	size, stride ir.Dim
}

var one = ir.Const(1)

func repeat(n ir.Dim) digit { return digit{-1, n, one} }

// whole is the axis a of t as a list of digits.
//
// An axis of size 1 has index 0 only, so there is nothing to count.
func whole(t ir.Type, a int) []digit {
	if t.Dims[a].Is(1) {
		return nil
	}
	return []digit{{a, t.Dims[a], one}}
}

func identity(v *ir.Value) view {
	w := view{src: v, axes: make([][]digit, v.Type.Rank()), off: make([]int64, v.Type.Rank())}
	for i := range w.axes {
		w.axes[i] = whole(v.Type, i)
	}
	return w
}

// is reports that axis i of the view is exactly axis a of the source.
//
// A slice from the beginning has offset 0 and another size, so both are
// compared.
func (w view) is(i, a int) bool {
	return w.off[a] == 0 && slices.Equal(w.axes[i], whole(w.src.Type, a))
}

// hasRepeat reports a repetition among digits.
func hasRepeat(ds []digit) bool {
	return slices.ContainsFunc(ds, func(d digit) bool { return d.axis < 0 })
}

// moved is the operand whose elements n moves about without computing
// anything, or nil.
//
// Concatenations and gathers count if they do nothing but repeat.
func moved(n *ir.Node) *ir.Value {
	switch n.Op.Name {
	case "reshape", "transpose", "broadcast", "slice":
		return n.Operands[0]
	case "concat":
		x, _, _ := concatOfSame(n)
		return x
	case "gather":
		if _, ok := gatherRepeats(n); ok {
			return n.Operands[0]
		}
	}
	return nil
}

// concatOfSame recognises the concatenations that repeat a tensor x: of x with
// itself (outer repetitions), or of its rows one by one, each several times
// (inner repetitions).
func concatOfSame(n *ir.Node) (x *ir.Value, outer, inner int64) {
	first := n.Operands[0]
	if len(n.Operands) < 2 {
		return nil, 0, 0
	}
	// All operands are the same value: outer repetitions, x x x.
	if !slices.ContainsFunc(n.Operands, func(v *ir.Value) bool { return v != first }) {
		return first, int64(len(n.Operands)), 1
	}
	a := n.Int("axis")
	s := def(first, "slice")
	if s == nil || s.Int("axis") != a {
		return nil, 0, 0
	}
	x = s.Operands[0]
	// Single rows in order, each so many times: as many operands as rows, times
	// a whole number.
	rows := x.Type.Dims[a].N
	times := int64(len(n.Operands)) / rows
	if times*rows != int64(len(n.Operands)) {
		return nil, 0, 0
	}
	for i, v := range n.Operands {
		row := int64(i) / times
		s := def(v, "slice")
		if s == nil || s.Operands[0] != x || s.Int("axis") != a || int64(s.Int("from")) != row || !v.Type.Dims[a].Is(1) {
			return nil, 0, 0
		}
	}
	return x, 1, times
}

// gatherRepeats gives the factor k of a gather whose indices are 0 k times,
// then 1 k times, and so on through the table.
//
// That is how an exporter repeats KV heads along the first axis.
func gatherRepeats(n *ir.Node) (int64, bool) {
	rows := n.In(0).Dims[0]
	ids := n.Operands[1]
	if !rows.IsConst() || ids.Type.Rank() != 1 || !ids.Type.Dims[0].IsConst() {
		return 0, false
	}
	k := ids.Type.Dims[0].N / rows.N
	if k == 0 || k*rows.N != ids.Type.Dims[0].N {
		return 0, false
	}
	// Integer division: iota() / k counts each number k times.
	if q := def(ids, "div"); q != nil { // iota / k, integers
		by, ok := scalar(q.Operands[1])
		i := def(q.Operands[0], "iota")
		return k, ok && i != nil && by == float64(k)
	}
	c := def(ids, "const")
	if c == nil {
		return 0, false
	}
	for i, x := range c.Floats("values") {
		if x != float64(int64(i)/k) {
			return 0, false
		}
	}
	return k, true
}

// then is the view after the node n, which moves the elements of the view's
// value; ok is false where digits cannot express the result.
func (w view) then(n *ir.Node) (view, bool) {
	out := view{src: w.src, off: w.off}
	in := moved(n).Type
	switch n.Op.Name {
	case "reshape":
		// A reshape keeps the order of elements, so the digits of all axes stay
		// in a row and are only dealt out anew.
		var all []digit
		for _, ds := range w.axes {
			all = append(all, ds...)
		}
		axes, ok := cut(all, n.DimsOf("dims"))
		out.axes = axes
		return out, ok
	// Axis i of the result is axis perm[i] of the operand.
	case "transpose":
		for _, p := range n.Ints("perm") {
			out.axes = append(out.axes, w.axes[p])
		}
		return out, true
	case "broadcast":
		// Axes are aligned at the end, and what is new or grows from 1 is a
		// repetition.
		dims := n.DimsOf("dims")
		lead := len(dims) - in.Rank()
		for i, d := range dims {
			switch {
			case i >= lead && in.Dims[i-lead] == d:
				out.axes = append(out.axes, w.axes[i-lead])
			case d.Is(1):
				out.axes = append(out.axes, nil)
			default:
				out.axes = append(out.axes, []digit{repeat(d)})
			}
		}
		return out, true
	case "slice":
		return w.slice(n.Int("axis"), int64(n.Int("from")), int64(n.Int("to")), int64(n.Int("step")), in)
	case "concat":
		_, outer, inner := concatOfSame(n)
		return w.repeated(n.Int("axis"), outer, inner)
	case "gather":
		k, _ := gatherRepeats(n)
		return w.repeated(0, 1, k)
	}
	return out, false
}

// An outer repetition is the slowest digit of its axis, an inner one the
// fastest.
func (w view) repeated(axis int, outer, inner int64) (view, bool) {
	out := view{w.src, slices.Clone(w.axes), w.off}
	ds := slices.Clone(w.axes[axis])
	if outer > 1 {
		ds = append([]digit{repeat(ir.Const(outer))}, ds...)
	}
	if inner > 1 {
		ds = append(ds, repeat(ir.Const(inner)))
	}
	out.axes[axis] = merge(ds)
	return out, true
}

// An axis of several digits can only be cut at whole values of the outermost:
// anything else would leave a ragged remainder, which no digits describe.
func (w view) slice(a int, from, to, step int64, in ir.Type) (view, bool) {
	count := (to - from + step - 1) / step
	if in.Dims[a].Is(count) {
		return w, true // all of it
	}
	ds := w.axes[a]
	out := view{w.src, slices.Clone(w.axes), slices.Clone(w.off)}
	inner := int64(1) // a slice of whole blocks cuts the outermost digit
	// How many indices one value of the outermost digit covers.
	for _, d := range ds[min(1, len(ds)):] {
		if !d.size.IsConst() {
			return out, false
		}
		inner *= d.size.N
	}
	if inner > 1 {
		if step != 1 || from%inner != 0 || to%inner != 0 {
			return out, false
		}
		from, count = from/inner, count/inner
	}
	// The first index moves by whole steps of the digit, and a step over
	// elements makes the steps longer. In a repetition all are the same, so
	// nothing moves.
	d := ds[0]
	if d.axis >= 0 {
		if !d.stride.IsConst() {
			return out, false
		}
		out.off[d.axis] += from * d.stride.N
		d.stride = ir.Const(d.stride.N * step)
	}
	d.size = ir.Const(count)
	out.axes[a] = slices.Clone(ds[1:])
	// Of a single value nothing is left to count.
	if count > 1 {
		out.axes[a] = merge(append([]digit{d}, ds[1:]...))
	}
	return out, true
}

// cut deals digits out to axes of the given sizes, splitting digits where a
// boundary falls inside one.
func cut(ds []digit, dims []ir.Dim) ([][]digit, bool) {
	rest := slices.Clone(ds)
	var axes [][]digit
	for _, want := range dims {
		var axis []digit
		// Fill this axis until its size is used up. A digit that fits goes in
		// whole; one that is too large is split, its outer part closing the
		// axis and its inner part opening the next.
		for !want.Is(1) {
			if len(rest) == 0 {
				return nil, false
			}
			d := rest[0]
			if q, ok := want.Div(d.size); ok {
				axis, rest, want = append(axis, d), rest[1:], q
			} else if q, ok := d.size.Div(want); ok {
				// The outer part counts in steps of what is left: stride times
				// the number of inner values.
				axis = append(axis, digit{d.axis, want, d.stride.Mul(q)})
				rest[0].size, want = q, one
			} else {
				// Axes of 6 and 4 into 8 and 3: a digit would have to cross the
				// boundary, which is not expressible.
				return nil, false
			}
		}
		axes = append(axes, merge(axis))
	}
	return axes, len(rest) == 0
}

// merge joins neighbouring digits that run on along one axis.
//
// Two digits run on if the outer steps exactly over the inner: 2 of stride 4
// and 4 of stride 1 are 8 of stride 1. Repetitions always do.
func merge(ds []digit) []digit {
	var out []digit
	for _, d := range ds {
		if k := len(out) - 1; k >= 0 && out[k].axis == d.axis && (d.axis < 0 || out[k].stride == d.stride.Mul(d.size)) {
			out[k] = digit{d.axis, out[k].size.Mul(d.size), d.stride}
		} else {
			out = append(out, d)
		}
	}
	return out
}

// sizeOf is the product of the sizes of digits.
func sizeOf(ds []digit) ir.Dim {
	n := one
	for _, d := range ds {
		n = n.Mul(d.size)
	}
	return n
}

// chain is a value followed back through nodes that only move elements.
//
// The values are in the order of the walk, from the one that was asked for to
// the source.
type chain struct {
	vals  []*ir.Value // vals[0] is the value itself
	nodes []*ir.Node  // nodes[i] makes vals[i] of vals[i+1]
	scale []float64   // vals[0] is vals[i], moved, times scale[i]
}

// trace follows v back. With scaled, products with a constant are passed as
// well and their factors collected.
func trace(v *ir.Value, scaled bool) chain {
	c := chain{vals: []*ir.Value{v}, scale: []float64{1}}
	for {
		v, factor := c.vals[len(c.vals)-1], 1.0
		if v.Def == nil {
			return c
		}
		next := moved(v.Def)
		if next == nil && scaled {
			next, factor = scaledBy(v)
		}
		if next == nil {
			return c
		}
		c.nodes = append(c.nodes, v.Def)
		c.vals = append(c.vals, next)
		c.scale = append(c.scale, c.scale[len(c.scale)-1]*factor)
	}
}

// view is vals[0] in terms of vals[i].
//
// Nodes that only scale leave elements where they are.
func (c chain) view(i int) (view, bool) {
	w, ok := identity(c.vals[i]), true
	for j := i - 1; j >= 0 && ok; j-- {
		if moved(c.nodes[j]) != nil {
			w, ok = w.then(c.nodes[j])
		}
	}
	return w, ok
}

// scaledBy recognises x times or over a constant.
//
// The other operand must have the result's type, so that nothing is broadcast.
func scaledBy(v *ir.Value) (*ir.Value, float64) {
	n := def(v, "mul", "div")
	if n == nil {
		return nil, 0
	}
	a, b := n.Operands[0], n.Operands[1]
	if c, ok := scalar(b); ok && a.Type.Equal(v.Type) {
		if n.Op.Name == "div" {
			c = 1 / c
		}
		return a, c
	}
	if c, ok := scalar(a); ok && n.Op.Name == "mul" && b.Type.Equal(v.Type) {
		return b, c
	}
	return nil, 0
}
