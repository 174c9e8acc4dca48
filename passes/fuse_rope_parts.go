package passes

import (
	"slices"

	"github.com/llamac/llamac/ir"
)

// part is a value as one half of the pairs of x. The pairs are x's last axis,
// or its last two: [.., d/2, 2] interleaved, [.., 2, d/2] in halves.
type part struct {
	x      *ir.Value
	half   bool
	second bool
}

// fits reports that x has the dims once its pairs are one axis.
//
// A part with its pairs in two axes counts as one with them merged.
func (p part) fits(dims []ir.Dim) bool {
	x := p.x.Type.Dims
	if k := len(dims) - 1; len(x) > len(dims) {
		x = append(slices.Clone(x[:k]), x[k].Mul(x[k+1]))
	}
	return slices.Equal(x, dims)
}

// partOf reads v as the first or second elements of the pairs of some x with
// the same other axes. If col is not -1, v has an axis col of size 1 besides.
// An x with its pairs in one axis is preferred.
func partOf(v *ir.Value, col int) (p part, found bool) {
	// Where v has the axis of the pairs: the last, or the one before the column
	// of size 1.
	last := v.Type.Rank() - 1
	if col >= 0 {
		last--
	}
	c := trace(v, false)
	for i, x := range c.vals {
		w, ok := c.view(i)
		if !ok || x.Type.Rank() < last+1 {
			continue
		}
		axes := dropAxis(w.axes, col)
		// Each part has one number of a pair, so one digit must count the
		// pairs.
		if len(axes[last]) != 1 {
			continue
		}
		// All other axes must be x's own, whole and in their places.
		for j := range last {
			ok = ok && slices.Equal(axes[j], whole(x.Type, j)) && w.off[j] == 0
		}
		if !ok {
			continue
		}
		// In one axis of d: halves are d/2 neighbours from 0 or from d/2,
		// interleaved numbers every second from 0 or from 1. In two axes the
		// one of size 2 tells, and where it stands tells the layout.
		d, dims := axes[last][0], x.Type.Dims
		switch k := x.Type.Rank() - last; {
		case k == 1 && dims[last].IsConst() && d.axis == last && dims[last] == d.size.Mul(ir.Const(2)):
			off := w.off[last]
			if d.stride.Is(1) && (off == 0 || off == d.size.N) {
				return part{x, true, off > 0}, true
			}
			if d.stride.Is(2) && (off == 0 || off == 1) {
				return part{x, false, off > 0}, true
			}
		case k == 2 && !found && dims[last+1].Is(2) && d == digit{last, dims[last], one} && w.off[last] == 0:
			p, found = part{x, false, w.off[last+1] > 0}, true
		case k == 2 && !found && dims[last].Is(2) && d == digit{last + 1, dims[last+1], one} && w.off[last+1] == 0:
			p, found = part{x, true, w.off[last] > 0}, true
		}
	}
	return p, found
}

// dropAxis leaves out axis col, if there is one.
func dropAxis[T any](axes []T, col int) []T {
	if col < 0 {
		return axes
	}
	return slices.Delete(slices.Clone(axes), col, col+1)
}

// sides are two values that a node puts side by side as the halves of its
// result's last axis or, interleaved, as the columns of its pairs.
type sides struct {
	parts [2]*ir.Value
	dims  []ir.Dim // of both together, the pairs in one axis
	half  bool
	col   [2]int // axis of size 1 that each part has besides, or -1
	inner []*ir.Node
}

// sidesOf reads v as a concatenation of halves, or of columns, which a reshape
// may merge.
func sidesOf(v *ir.Value) *sides {
	n := def(v, "concat")
	var inner []*ir.Node
	if r := def(v, "reshape"); r != nil {
		n, inner = def(r.Operands[0], "concat"), []*ir.Node{r}
	}
	// Two operands of one type: halves of different widths are no pairs.
	if n == nil || len(n.Operands) != 2 || !n.In(0).Equal(n.In(1)) {
		return nil
	}
	z, a := n.Result(), n.Int("axis")
	last := z.Type.Rank() - 1
	// Columns of size 1 put together along the last axis give [.., d/2, 2],
	// along the one before it [.., 2, d/2]; anything wider along the last axis
	// are halves.
	s := &sides{parts: [2]*ir.Value(n.Operands), dims: z.Type.Dims, half: a != last, col: [2]int{-1, -1}, inner: append(inner, n)}
	size := n.In(0).Dims[a]
	switch {
	case a == last && !size.Is(1):
		s.half = true
	case size.Is(1) && last > 0 && (a == last || a == last-1):
		s.col = [2]int{a, a}
		s.dims = append(slices.Clone(z.Type.Dims[:last-1]), z.Type.Dims[last-1].Mul(z.Type.Dims[last]))
	default:
		return nil
	}
	// A reshape must do no more than merge the axes of the pairs.
	if z != v && !slices.Equal(v.Type.Dims, s.dims) {
		return nil
	}
	s.stripColumns(z.Type)
	return s
}

// stripColumns looks behind the reshapes that gave parts their column axis.
func (s *sides) stripColumns(t ir.Type) {
	for i, u := range s.parts {
		// Without its column of size 1 the part has the axes of x, which is
		// what partOf compares.
		want := dropAxis(t.Dims, s.col[i])
		for r := def(u, "reshape"); r != nil && s.col[i] >= 0; r = def(u, "reshape") {
			if u = r.Operands[0]; slices.Equal(u.Type.Dims, want) {
				s.parts[i], s.col[i] = u, -1
			}
		}
	}
}

// turn is one product of a rotated half: a part of x times a table.
type turn struct {
	sign float64
	part part
	tab  *ir.Value
}

// turns reads v as the sum of two such products.
//
// Nothing is said yet about which of the two reads the first part: the caller
// sorts them.
func turns(v *ir.Value, col int) (t [2]turn, inner []*ir.Node, ok bool) {
	terms, inner, ok := sum(v)
	for i, term := range terms {
		if !ok {
			return t, nil, false
		}
		ok = false
		for _, p := range products(term.v) {
			// Factors besides 1 and -1 would not be a rotation.
			if len(p.num) != 2 || len(p.den) != 0 || p.coef*p.coef != 1 {
				continue
			}
			for k, f := range p.num {
				if !f.Type.Equal(v.Type) {
					continue
				}
				if pt, is := partOf(f, col); is {
					t[i], ok = turn{term.sign * p.coef, pt, p.num[1-k]}, true
					inner = append(inner, p.inner...)
					break
				}
			}
			if ok {
				break
			}
		}
	}
	return t, inner, ok
}
