package passes

import (
	"maps"
	"slices"

	"github.com/llamac/llamac/ir"
)

// Producing a tensor whose axes are given as digits of a source. The cheapest
// way counts: the source itself, one reshape, one transpose, or a transpose
// between two reshapes.

// effort ranks the ways.
type effort int

// In the order of their price. A reshape is free at run time, and ranked
// because a graph with fewer nodes is the better one.
const (
	nothing effort = iota
	oneReshape
	oneTranspose
	severalMoves
	impossible
)

// effort says what it takes to produce the axes from w's source. They must use
// every element of the source exactly once.
func (w view) effort(axes [][]digit, dims []ir.Dim) effort {
	// An element that is left out, or repeated, cannot be had by moving alone.
	flat := slices.Concat(axes...)
	if !covers(flat, w.src.Type) || slices.ContainsFunc(w.off, func(o int64) bool { return o != 0 }) {
		return impossible
	}
	switch {
	// In the order of the source's memory: at most the shape is another.
	case slices.IsSortedFunc(flat, outermost):
		if slices.Equal(w.src.Type.Dims, dims) {
			return nothing
		}
		return oneReshape
	case permutation(axes, w.src.Type) != nil:
		return oneTranspose
	}
	return severalMoves
}

// outermost orders digits as they lie in the source.
//
// Digits of one axis are ordered by stride, since the larger stride is the
// outer part of the index.
func outermost(a, b digit) int {
	if a.axis != b.axis {
		return a.axis - b.axis
	}
	// Of two digits of one axis the outer one's stride is a multiple of the
	// inner one's.
	if _, ok := a.stride.Div(b.stride); ok {
		return -1
	}
	return 1
}

// covers reports that digits enumerate every element of t exactly once.
//
// Sorted as they lie and joined, they must be the source's axes, whole.
func covers(ds []digit, t ir.Type) bool {
	ds = slices.Clone(ds)
	slices.SortStableFunc(ds, outermost)
	ds = merge(ds)
	var all []digit
	for a := range t.Dims {
		all = append(all, whole(t, a)...)
	}
	return slices.Equal(ds, all)
}

// permutation is the transpose that brings the axes of t into the wanted
// order, axes of size 1 filling the gaps, or nil.
//
// An axis of size 1 has no digits, and which of several fills a gap does not
// matter.
func permutation(axes [][]digit, t ir.Type) []int64 {
	if len(axes) != t.Rank() {
		return nil
	}
	var ones []int64
	for a, d := range t.Dims {
		if d.Is(1) {
			ones = append(ones, int64(a))
		}
	}
	var perm []int64
	for _, ds := range axes {
		switch {
		// No digits: any axis of size 1 will do, each once.
		case len(ds) == 0 && len(ones) > 0:
			perm, ones = append(perm, ones[0]), ones[1:]
		case len(ds) == 1 && slices.Equal(ds, whole(t, ds[0].axis)):
			perm = append(perm, int64(ds[0].axis))
		default:
			return nil
		}
	}
	return perm
}

// produce builds the tensor with the given axes from w's source; effort must
// have allowed it.
func (w view) produce(b *ir.Builder, name string, axes [][]digit) *ir.Value {
	x := w.src
	var dims []ir.Dim
	for _, ds := range axes {
		dims = append(dims, sizeOf(ds))
	}
	flat := slices.Concat(axes...)
	// The same three cases as in effort, and in the same order.
	if slices.IsSortedFunc(flat, outermost) {
		return b.Reshape(name, x, dims...)
	}
	if perm := permutation(axes, x.Type); perm != nil {
		return b.Op("transpose", name, ir.Attrs{"perm": perm}, x)
	}
	// In general: split the source's axes into the digits, order them as
	// wanted, merge them. Digits that run on are joined first, so that the
	// transpose has as few axes as possible.
	flat = merge(flat)
	lie := slices.Clone(flat)
	slices.SortStableFunc(lie, outermost)
	var split []ir.Dim
	for _, d := range lie {
		split = append(split, d.size)
	}
	var perm []int64
	for _, d := range flat {
		perm = append(perm, int64(slices.Index(lie, d)))
	}
	x = b.Reshape(name+".split", x, split...)
	x = b.Op("transpose", name+".moved", ir.Attrs{"perm": perm}, x)
	return b.Reshape(name, x, dims...)
}

// replay repeats the nodes of a chain above x, which stands for vals[i], and
// returns what then stands for vals[0].
//
// Nodes are made anew, with other operands, and the old ones stay for whoever
// reads them.
func (c chain) replay(b *ir.Builder, name string, i int, x *ir.Value) *ir.Value {
	for j := i - 1; j >= 0; j-- {
		n := c.nodes[j]
		operands := slices.Clone(n.Operands)
		for k, v := range operands {
			if v == c.vals[j+1] {
				operands[k] = x
				// A concatenation of single rows reads the value by way of slices,
				// which are cut from the new one too.
			} else if s := def(v, "slice"); s != nil && n.Op.Name == "concat" { // rows of vals[j+1]
				operands[k] = b.Op("slice", name+".row", maps.Clone(s.Attrs), x)
			}
		}
		x = b.Op(n.Op.Name, name+"."+n.Op.Name, maps.Clone(n.Attrs), operands...)
	}
	return x
}
