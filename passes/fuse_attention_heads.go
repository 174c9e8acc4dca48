package passes

import (
	"slices"

	"github.com/llamac/llamac/ir"
)

// heads is how attention's operands lie in the graph: which digits of each are
// the batch, the positions, the heads and the elements of a head.
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
	rows := func(x *ir.Value, swapped bool) (row, col int) {
		r := x.Type.Rank()
		if swapped {
			return r - 1, r - 2
		}
		return r - 2, r - 1
	}
	qRow, qCol := rows(q, qk.Flag("trans_a"))
	kRow, kCol := rows(k, !qk.Flag("trans_b"))
	vRow, vCol := rows(v, pv.Flag("trans_b"))
	h := &heads{pv: pv, scale: s.scale, scaled: s.scaled, t: q.Type.Dims[qRow], d: v.Type.Dims[vCol]}
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

	qs := h.operands(trace(q, true), qRow, qCol)
	ks := h.operands(trace(k, true), kRow, kCol)
	vs := h.operands(trace(v, false), vRow, vCol)
	qs = slices.DeleteFunc(qs, func(o operand) bool { return o.group != 1 })
	found := false
	for _, kk := range ks {
		for _, vv := range vs {
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
	switch rank := q.Type.Rank(); {
	case rank == 2:
		return one
	case rank > 3:
		return q.Type.Dims[0]
	}
	c := trace(q, true)
	for i := len(c.vals) - 1; i >= 0; i-- {
		w, ok := c.view(i)
		if !ok || hasRepeat(w.axes[0]) {
			continue
		}
		switch ds := w.axes[0]; {
		case len(ds) > 1:
			return ds[0].size
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
		if c.scale[len(c.scale)-1] != c.scale[i] {
			continue // a factor still lies behind
		}
		w, ok := c.view(i)
		if !ok {
			continue
		}
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
func (h *heads) outcome(g *graph) (root *ir.Node, back [][]digit) {
	o := h.pv.Result()
	rank := o.Type.Rank()
	w := identity(o)
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
