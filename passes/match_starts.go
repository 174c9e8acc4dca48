package passes

import (
	"slices"

	"github.com/llamac/llamac/ir"
)

// The places where documents begin reach a mask as integers that the program is
// given: [B, T], reshaped to meet scores [B, heads, T, S], or one for each
// sequence, as left padding has it. What a mask reads is such a start seen
// through a view, whose axes an elementwise op aligns at the end.

// startOf takes integers of unknown origin for starts.
//
// Nothing is lost by that guess: what is no start is compared with nothing that
// makes a mask, and the match fails later.
func startOf(v *ir.Value) (affine, bool) {
	if t := v.Type.DType; t != ir.I32 && t != ir.I64 {
		return affine{}, false
	}
	w := identity(v).plain()
	return affine{coef: map[int]int64{}, start: &w, times: 1}, true
}

// plain leaves out what does not matter to an elementwise op: axes that only
// repeat, and axes of size 1 in front.
func (w view) plain() view {
	out := view{src: w.src, off: w.off}
	for _, ds := range w.axes {
		if !slices.ContainsFunc(ds, func(d digit) bool { return d.axis >= 0 }) {
			ds = nil
		}
		// Leading axes without digits are dropped, so that [B, 1, 1, T] over a
		// single head and [T] compare alike where they are the same.
		if ds != nil || out.axes != nil {
			out.axes = append(out.axes, ds)
		}
	}
	return out
}

// over is a plain view as a tensor of type t has it after an elementwise op.
func (w view) over(t ir.Type) (view, bool) {
	out := view{src: w.src, off: w.off, axes: make([][]digit, t.Rank())}
	lead := t.Rank() - len(w.axes)
	if lead < 0 {
		return out, false
	}
	for i, d := range t.Dims {
		switch {
		case i >= lead && w.axes[i-lead] != nil:
			out.axes[i] = w.axes[i-lead]
			if sizeOf(out.axes[i]) != d {
				return out, false
			}
		case !d.Is(1):
			out.axes[i] = []digit{repeat(d)}
		}
	}
	return out, true
}

// sameAs reports that two plain views are of the same elements.
//
// The sources must be one value: two parameters with equal numbers are not
// known to be equal.
func (w view) sameAs(x view) bool {
	return w.src == x.src && slices.Equal(w.off, x.off) && slices.EqualFunc(w.axes, x.axes, slices.Equal[[]digit])
}

// without reports that a plain view does not depend on an axis, counted from
// the end.
func (w view) without(fromEnd int) bool {
	return fromEnd > len(w.axes) || w.axes[len(w.axes)-fromEnd] == nil
}

// startAfter follows a plain view through a node that moves elements.
func startAfter(w *view, n *ir.Node) (*view, bool) {
	x, ok := w.over(n.In(0))
	if !ok {
		return nil, false
	}
	x, ok = x.then(n)
	x = x.plain()
	return &x, ok
}

// startAxes gives, of a mask over scores of type t, the start's axes as two: all
// that lie before the last two, and the rows. Scores may be regrouped along
// those before without changing that.
func startAxes(w *view, t ir.Type) (*view, bool) {
	x, ok := w.over(t)
	if !ok {
		return nil, false
	}
	r := t.Rank()
	rows := x.axes[r-2]
	if w.without(2) {
		rows = nil
	}
	return &view{src: w.src, off: w.off, axes: [][]digit{merge(slices.Concat(x.axes[:r-2]...)), rows}}, true
}

// startOperand finds what attention's start is read from: one number for each
// sequence, or for each of its queries, whatever the head.
func (h *heads) startOperand(w *view) bool {
	if w == nil {
		return true
	}
	parts, ok := cut(w.axes[0], []ir.Dim{h.batch, h.n})
	if !ok {
		return false
	}
	// What the source's elements are told apart by must be the batch and the rows
	// alone: neither heads nor keys.
	o := &operand{view: *w, axes: [][]digit{parts[0]}}
	dims := []ir.Dim{h.batch}
	if w.axes[1] != nil {
		o.axes, dims = append(o.axes, w.axes[1]), append(dims, h.t)
	}
	h.start = o
	return w.effort(o.axes, dims) < impossible
}
