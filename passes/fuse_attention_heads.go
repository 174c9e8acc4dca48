package passes

import (
	"slices"

	"github.com/llamac/llamac/ir"
)

// heads is how attention's operands lie in the graph: which digits of each are
// the batch, the positions, the heads and the elements of a head.
//
// Sizes are symbolic throughout: B and T are names, so that a match does not
// depend on the sizes of a run.
type heads struct {
	pv             *ir.Node // the product with v
	scale          float64
	scaled         bool
	batch, n, t, d ir.Dim // n heads, t positions
	q, k, v        operand
	start          *operand // nil where the mask has none
	inner          []*ir.Node
}

// operand is one way to get q, k or v as [B, T, heads, d].
//
// An op takes KV heads without repetition; a chain that repeats them is read
// from in front of that, and group tells how often it was done.
type operand struct {
	view  view
	axes  [][]digit
	group int64 // queries a KV head serves
	cost  effort
	scale float64
}

func (o operand) produce(b *ir.Builder, name string) *ir.Value {
	return o.view.produce(b, name, o.axes)
}

// newHeads works out the layouts, or gives nil if they are not attention's.
func newHeads(s *scores, pv *ir.Node) *heads {
	qk := s.product
	q, k, v := qk.Operands[0], qk.Operands[1], pv.Operands[1]
	rank := q.Type.Rank()
	if k.Type.Rank() != rank {
		return nil
	}
	// Which axis has the positions and which the elements of a head, given
	// whether the product takes the operand transposed.
	rows := func(x *ir.Value, swapped bool) (row, col int) {
		r := x.Type.Rank()
		if swapped {
			return r - 1, r - 2
		}
		return r - 2, r - 1
	}
	qRow, qCol := rows(q, qk.Flag("trans_a"))
	// A product takes its right operand as [.., d, S]; with trans_b it is [..,
	// S, d], which is how keys come.
	kRow, kCol := rows(k, !qk.Flag("trans_b"))
	vRow, vCol := rows(v, pv.Flag("trans_b"))
	h := &heads{pv: pv, scale: s.scale, scaled: s.scaled, t: q.Type.Dims[qRow], d: v.Type.Dims[vCol]}
	// As many keys as queries: with fewer queries the row index would not be
	// the position, and the mask would mean something else.
	if k.Type.Dims[kRow] != h.t || q.Type.Dims[qCol] != h.d || q.Type.DType != v.Type.DType {
		return nil
	}
	total := one
	for _, d := range q.Type.Dims[:rank-2] {
		total = total.Mul(d)
	}
	h.batch = batchSize(q, qRow)
	var ok bool
	if h.n, ok = total.Div(h.batch); !ok {
		return nil
	}

	// A factor on q or k scales the scores, so that their chains may pass
	// products with constants. A factor on v would scale the result and is no
	// part of this op.
	qs := h.operands(trace(q, true), qRow, qCol)
	ks := h.operands(trace(k, true), kRow, kCol)
	vs := h.operands(trace(v, false), vRow, vCol)
	// Queries are never repeated.
	qs = slices.DeleteFunc(qs, func(o operand) bool { return o.group != 1 })
	found := false
	for _, kk := range ks {
		for _, vv := range vs {
			// k and v must be repeated alike, or the op's one number of KV
			// heads would be wrong for one of them.
			if kk.group == vv.group && (!found || better(kk, vv, h.k, h.v)) {
				h.k, h.v, found = kk, vv, true
			}
		}
	}
	if len(qs) == 0 || !found {
		return nil
	}
	h.q = qs[0]
	for _, o := range qs {
		if better(o, o, h.q, h.q) {
			h.q = o
		}
	}
	// Factors found on the way to the operands join that of the scores. A
	// negative one, or zero, is left to the primitives.
	if f := h.q.scale * h.k.scale; f > 0 {
		h.scale *= f
		h.scaled = h.scaled || f != 1
	} else {
		return nil
	}
	return h
}

// better prefers more repetition absorbed, then less to be moved, then the
// source that lies further back.
//
// Repetition that is absorbed is memory and work that is saved, as many times
// as the group is large; a move costs one pass over the operand.
func better(k, v, k2, v2 operand) bool {
	if k.group != k2.group {
		return k.group > k2.group
	}
	return k.cost+v.cost <= k2.cost+v2.cost
}

// batchSize tells the batch from the heads in q's leading axes: the first of
// several is the batch. If they are merged into one, q's source tells: what
// lies before the positions there is batch, what lies behind them heads.
func batchSize(q *ir.Value, row int) ir.Dim {
	// A matrix without leading axes is one head of one sequence.
	switch rank := q.Type.Rank(); {
	case rank == 2:
		return one
	case rank > 3:
		return q.Type.Dims[0]
	}
	c := trace(q, true)
	// The value furthest back whose leading axis can be told in digits decides.
	// Of several digits the first is the batch.
	for i := len(c.vals) - 1; i >= 0; i-- {
		w, ok := c.view(i)
		if !ok || hasRepeat(w.axes[0]) {
			continue
		}
		switch ds := w.axes[0]; {
		case len(ds) > 1:
			return ds[0].size
		// Heads behind the positions and nothing before them: a single
		// sequence.
		case len(ds) == 1 && len(w.axes[row]) > 0 && w.axes[row][0].axis < ds[0].axis:
			return one
		}
		return q.Type.Dims[0]
	}
	return q.Type.Dims[0]
}

// operands lists the ways to get a chain's value as [B, T, heads, d].
func (h *heads) operands(c chain, row, col int) []operand {
	var out []operand
	for i := range c.vals {
		// The value is read from behind all factors, or else the scale that is
		// taken out here would be applied twice or not at all.
		if c.scale[len(c.scale)-1] != c.scale[i] {
			continue // a factor still lies behind
		}
		w, ok := c.view(i)
		if !ok {
			continue
		}
		// Batch and heads together, in whatever number of axes; the sizes tell
		// where one ends and the other begins.
		var lead []digit
		for a, ds := range w.axes {
			if a != row && a != col {
				lead = append(lead, ds...)
			}
		}
		parts, ok := cut(merge(lead), []ir.Dim{h.batch, h.n})
		if !ok {
			continue
		}
		o := operand{view: w, group: 1, scale: c.scale[i]}
		heads := parts[1]
		// The innermost digit of the heads may be a repetition: head h of the
		// queries reads KV head h / group. A repetition on the outside, h mod
		// heads, is another grouping and not attention's.
		if k := len(heads) - 1; k >= 0 && heads[k].axis < 0 && heads[k].size.IsConst() {
			o.group, heads = heads[k].size.N, heads[:k]
		}
		o.axes = [][]digit{parts[0], w.axes[row], heads, w.axes[col]}
		if slices.ContainsFunc(o.axes, hasRepeat) {
			continue
		}
		kv, _ := h.n.Div(ir.Const(o.group))
		o.cost = w.effort(o.axes, []ir.Dim{h.batch, h.t, kv, h.d})
		if o.cost < impossible {
			out = append(out, o)
		}
	}
	return out
}

// outcome finds the value that attention's result [B, T, heads, d] can stand
// for: one that the product with v is only moved to. If its shape is another,
// or if there is none and the product itself must be made, back has its axes
// in terms of attention's result.
//
// It follows single readers forward from the product as long as they only move
// elements, and takes the last value with the wanted order and shape.
func (h *heads) outcome(g *graph) (root *ir.Node, back [][]digit) {
	o := h.pv.Result()
	rank := o.Type.Rank()
	w := identity(o)
	// The result's order in terms of the product with v: batch, positions,
	// heads, elements.
	parts, ok := cut(slices.Concat(w.axes[:rank-2]...), []ir.Dim{h.batch, h.n})
	if !ok {
		return nil, nil
	}
	want := merge(slices.Concat(parts[0], w.axes[rank-2], parts[1], w.axes[rank-1]))
	result := ir.Type{Dims: []ir.Dim{h.batch, h.t, h.n, h.d}}
	var passed []*ir.Node
	for n := h.pv; ; {
		v := n.Result()
		if slices.Equal(merge(slices.Concat(w.axes...)), want) {
			same := slices.Equal(v.Type.Dims, result.Dims)
			if same || root == nil {
				root, h.inner = n, slices.Clone(passed)
			}
			if same {
				return root, nil
			}
		}
		user := g.user(v)
		// A slice takes part of the result away, and another reader needs the
		// value as it is: both end the way.
		if user == nil || moved(user) != v || user.Op.Name == "slice" {
			break
		}
		if w, ok = w.then(user); !ok {
			break
		}
		passed, n = append(passed, n), user
	}
	axis := func(a int) []digit { return whole(result, a) }
	if root != nil {
		back, ok = cut(slices.Concat(axis(0), axis(1), axis(2), axis(3)), root.Result().Type.Dims)
		// The result is moved back to the shape that the product has: batch and
		// heads in front, positions and elements behind.
	} else {
		root = h.pv
		back, ok = cut(append(axis(0), axis(2)...), o.Type.Dims[:rank-2])
		back = append(back, axis(1), axis(3))
	}
	if !ok {
		return nil, nil
	}
	return root, back
}
