package plan

import (
	"fmt"
	"slices"

	"github.com/llamac/llamac/ir"
)

// How kernels over strided data walk the operands of a launch: what every
// target that prints or runs launches computes alike.

// Strides are the distances in elements of the axes of a row-major tensor x,
// aligned at the end with dims, and 0 where x repeats.
// Of [T, 1] among [B, T, 4] they are [0, 1, 0]; of [4] they are [0, 0, 1]. A kernel
// that steps by them reads a broadcast operand without copying it. Distances are
// Dims, since a step over T elements is a symbol until run time.
func Strides(x ir.Type, dims []ir.Dim) []ir.Dim {
	s := make([]ir.Dim, len(dims))
	step := ir.Const(1)
	for i := len(dims) - 1; i >= 0; i-- {
		j := i - len(dims) + x.Rank()
		s[i] = ir.Const(0)
		if j >= 0 {
			// Else it is of size 1, and stays where it is.
			if x.Dims[j] == dims[i] {
				s[i] = step
			}
			step = step.Mul(x.Dims[j])
		}
	}
	return s
}

// Collapse merges neighbouring axes that all operands walk alike, so that a
// kernel sees as few axes as there are. At least one is left.
// Axes i-1 and i are one if each operand's distance at i-1 is that at i times the
// size of i; that holds for repetition too, with both 0. So a row-major tensor is a
// single axis, and the transpose of heads keeps its four.
func Collapse(dims []ir.Dim, operands ...[]ir.Dim) ([]ir.Dim, [][]ir.Dim) {
	var out []ir.Dim
	merged := make([][]ir.Dim, len(operands))
	for i, d := range dims {
		// Nothing is ever stepped along it.
		if d.Is(1) {
			continue
		}
		k := len(out) - 1
		join := k >= 0
		for j, s := range operands {
			if join {
				// Dims have a normal form, so == decides this for all sizes at once.
				join = merged[j][k] == s[i].Mul(d)
			}
		}
		if join {
			out[k] = out[k].Mul(d)
			for j, s := range operands {
				merged[j][k] = s[i]
			}
			continue
		}
		out = append(out, d)
		for j, s := range operands {
			merged[j] = append(merged[j], s[i])
		}
	}
	// A single number is one axis of size 1, for kernels that want one.
	if len(out) == 0 {
		out = []ir.Dim{ir.Const(1)}
		for j := range merged {
			merged[j] = []ir.Dim{ir.Const(1)}
		}
	}
	return out, merged
}

// Move is a strided copy of Dims elements from X to Y, which start at an
// offset in elements.
// Offsets may be symbols, as the number of elements before a slice is when a
// longer axis stands behind it.
type Move struct {
	Y, X       Operand
	YAt, XAt   ir.Dim
	Dims       []ir.Dim
	YStr, XStr []ir.Dim
}

// Moves lists the copies that a launch which only moves data is made of:
// transpose, broadcast, slice, pad (onto zeros) and concat. Other ops have none.
// All are loops over the elements of one of the two sides: of y, where each comes
// from somewhere, or of x, where each goes somewhere.
func Moves(l *Launch) []Move {
	if len(l.Results) == 0 || len(l.Args) == 0 {
		return nil
	}
	x, y := l.Args[0], l.Results[0]
	none := ir.Const(0)
	whole := func(o Operand) []ir.Dim { return Strides(o.Type, o.Type.Dims) }
	// Attributes at their default are left out of a launch.
	axis := l.Int("axis", 0)
	// along is the offset of element i of o's axis.
	along := func(o Operand, i int64) ir.Dim { return whole(o)[axis].Mul(ir.Const(i)) }
	var ms []Move
	add := func(y, x Operand, yAt, xAt ir.Dim, dims, yStr, xStr []ir.Dim) {
		dims, s := Collapse(dims, yStr, xStr)
		ms = append(ms, Move{y, x, yAt, xAt, dims, s[0], s[1]})
	}
	switch l.Op {
	// Axis i of y is axis perm[i] of x, so it steps by that axis's distance.
	case "transpose":
		perm := l.Attrs["perm"].([]int64)
		src := make([]ir.Dim, len(perm))
		for i, k := range perm {
			src[i] = whole(x)[k]
		}
		add(y, x, none, none, y.Type.Dims, whole(y), src)
	case "broadcast":
		add(y, x, none, none, y.Type.Dims, whole(y), Strides(x.Type, y.Type.Dims))
	// Every step-th element, from the first wanted one on.
	case "slice":
		src := whole(x)
		src[axis] = along(x, l.Int("step", 1))
		add(y, x, none, along(x, l.Int("from", 0)), y.Type.Dims, whole(y), src)
	// The target sets y to zero first.
	case "pad":
		dst := whole(y)
		dst[axis] = along(y, l.Int("step", 1))
		add(y, x, along(y, l.Int("before", 0)), none, x.Type.Dims, dst, whole(x))
	// One copy for each operand, behind those before it.
	case "concat":
		at := int64(0)
		for _, x := range l.Args {
			add(y, x, along(y, at), none, x.Type.Dims, whole(y), whole(x))
			at += x.Type.Dims[axis].N
		}
	}
	return ms
}

// Reduced sees the operand of a reduction as [outer, n, inner], where n is what
// is reduced. It fails if the axes do not follow each other.
// [B, T, 4] over axis 1 is outer B, n T, inner 4. A kernel then needs no strides.
// Axes with a kept one in between would need two reductions.
func Reduced(l *Launch) (outer, n, inner ir.Dim, err error) {
	axes := l.Attrs["axes"].([]int64)
	outer, n, inner = ir.Const(1), ir.Const(1), ir.Const(1)
	for i, d := range l.Args[0].Type.Dims {
		switch {
		case slices.Contains(axes, int64(i)):
			n = n.Mul(d)
		case int64(i) < axes[0]:
			outer = outer.Mul(d)
		case int64(i) > axes[len(axes)-1]:
			inner = inner.Mul(d)
		default:
			return outer, n, inner, fmt.Errorf("reduction over axes %v, which do not follow each other: %s", axes, l.Text)
		}
	}
	return outer, n, inner, nil
}

// Product is a batch of matrix products as a kernel sees it: [M, K] times
// [K, N], and the distances in elements from one matrix to the next. B's is 0
// where all share one.
type Product struct {
	Batch, M, N, K     ir.Dim
	NextA, NextB, Next ir.Dim
	TransA, TransB     bool
}

// MatMul gives the sizes of a matmul.
// An operand's matrices lie behind each other, as all tensors here are row-major.
func MatMul(l *Launch) (Product, error) {
	a, b, y := l.Args[0].Type, l.Args[1].Type, l.Results[0].Type
	p := Product{TransA: l.Flag("trans_a", false), TransB: l.Flag("trans_b", false)}
	r := a.Rank()
	p.M, p.N = y.Dims[y.Rank()-2], y.Dims[y.Rank()-1]
	p.K = a.Dims[r-1]
	if p.TransA {
		p.K = a.Dims[r-2]
	}
	batch, ok := y.Size().Div(p.M.Mul(p.N))
	if !ok {
		return p, fmt.Errorf("matmul of %s and %s to %s", a, b, y)
	}
	p.Batch = batch
	// Elements of one matrix; a transpose changes none of them.
	p.NextA, p.NextB, p.Next = p.M.Mul(p.K), p.K.Mul(p.N), p.M.Mul(p.N)
	if b.Rank() == 2 && r > 2 {
		p.NextB = ir.Const(0)
	}
	return p, nil
}

// Around sees a tensor as [outer, axis, inner].
// A kernel that works along one axis steps by inner and repeats outer times.
func Around(t ir.Type, axis int) (outer, inner ir.Dim) {
	outer, inner = ir.Const(1), ir.Const(1)
	for i, d := range t.Dims {
		if i < axis {
			outer = outer.Mul(d)
		}
		if i > axis {
			inner = inner.Mul(d)
		}
	}
	return outer, inner
}

// Rotated sees the operand of a rope as rows of whole heads, [B, T, heads, d],
// or of single ones, [B, heads, T, d]: row r reads the tables at r mod T.
// In the first form row r is token r of B·T, in the second it is one head of one
// token, and T is the innermost of its axes; both count positions by r mod T.
func Rotated(l *Launch) (T ir.Dim, heads, hd int64, err error) {
	d := l.Args[0].Type.Dims
	axis, k := int(l.Int("seq_axis", 1)), len(d)
	hd, heads = d[k-1].N, 1
	switch {
	case axis == k-2:
	case axis == k-3 && d[k-2].IsConst():
		heads = d[k-2].N
	default:
		return T, 0, 0, fmt.Errorf("rope over axis %d of %s", axis, l.Args[0].Type)
	}
	return d[axis], heads, hd, nil
}

// Flag is a boolean attribute that may be left at its default.
func (l *Launch) Flag(name string, def bool) bool {
	if v, ok := l.Attrs[name].(bool); ok {
		return v
	}
	return def
}

// Int is an integer attribute that may be left at its default.
func (l *Launch) Int(name string, def int64) int64 {
	if v, ok := l.Attrs[name].(int64); ok {
		return v
	}
	return def
}

// Distance is how far an operand's rows of the given width are apart.
// It is Ld in a pack, and the row's own width where rows follow each other.
func (o *Operand) Distance(width ir.Dim) ir.Dim {
	if o.Ld > 0 {
		return ir.Const(o.Ld)
	}
	return width
}

// Rows is the number of rows of the given width. It panics if there is no
// whole number of them.
func (o *Operand) Rows(width ir.Dim) ir.Dim {
	d, ok := o.Type.Size().Div(width)
	if !ok {
		panic(fmt.Sprintf("plan: %s of type %s has no rows of %s", o.Name, o.Type, width))
	}
	return d
}

// Same reports whether two operands are the same memory of a buffer.
// Shapes do not matter: a reshape is the same memory.
func Same(a, b Operand) bool {
	return a.Kind == InBuffer && b.Kind == InBuffer && a.Buffer == b.Buffer && a.Col == b.Col && a.Layer == b.Layer
}
