package passes

import (
	"slices"

	"github.com/llamac/llamac/ir"
)

// place is where a rotation of some value is done.
type place struct {
	x    *ir.Value
	axis int                         // of the positions
	back func(y *ir.Value) *ir.Value // from x rotated to the value rotated; nil if they are the same
}

// rise follows x back to where the rotation is best done: as [B, T, heads, d],
// before numbers are scaled or heads repeated. If that tensor is not there but
// a reshape away, the reshape is made.
//
// A rotation in front of a repetition is done once for a KV head instead of
// once for each query head that it serves.
func rise(b *ir.Builder, name string, x *ir.Value, axis int) place {
	c := trace(x, true)
	// The factor of the whole chain. A place in front of all factors has passed
	// all of it.
	all := c.scale[len(c.scale)-1]
	type way struct {
		i     int
		w     view
		axes  [][]digit
		group int64 // repetitions of a head behind it
		cost  effort
	}
	// First in front of the factors, so that fuse_attention finds them between
	// the rotation and the product; then in front of the most repetitions; then
	// where the least has to be moved. Of equals the later one wins, which lies
	// further back.
	better := func(p, q way) bool {
		if passed := c.scale[p.i] == all; passed != (c.scale[q.i] == all) {
			return passed
		}
		if p.group != q.group {
			return p.group > q.group
		}
		return p.cost <= q.cost
	}
	var best *way
	for i := range c.vals {
		w, ok := c.view(i)
		if !ok {
			continue
		}
		p := way{i: i, w: w}
		if p.axes, p.group, ok = byHead(w.axes, axis); !ok {
			continue
		}
		var dims []ir.Dim
		for _, ds := range p.axes {
			dims = append(dims, sizeOf(ds))
		}
		// A transpose made only for the rotation would cost more than it saves;
		// a reshape is free.
		if p.cost = w.effort(p.axes, dims); p.cost <= oneReshape && (best == nil || better(p, *best)) {
			best = &p
		}
	}
	if best == nil {
		return place{x: x, axis: axis}
	}
	p := place{x: best.w.produce(b, name+".x", best.axes), axis: 1}
	// The same moves again, of the rotated value. They are read from the chain,
	// which the match leaves in place: sweep takes away what then has no
	// reader.
	if p.x != x {
		p.back = func(y *ir.Value) *ir.Value {
			at := c.vals[best.i]
			return c.replay(b, name, best.i, b.Reshape(name+".reshape", y, at.Type.Dims...))
		}
	}
	return p
}

// byHead orders the axes of a tensor as batch, positions, heads, elements,
// without repetitions of heads. Batch and heads may be one axis.
func byHead(axes [][]digit, seq int) (out [][]digit, group int64, ok bool) {
	last := len(axes) - 1
	if seq == last || last < 2 || last > 3 {
		return nil, 0, false
	}
	lead := slices.Delete(slices.Clone(axes[:last]), seq, seq+1)
	// Batch and heads may be one axis of two digits; if it is one digit nothing
	// tells them apart.
	if len(lead) == 1 {
		if len(lead[0]) < 2 {
			return nil, 0, false
		}
		lead = [][]digit{lead[0][:1], lead[0][1:]}
	}
	heads := lead[1]
	group = 1
	// An inner repetition is the group of a KV head, see heads.operands.
	if k := len(heads) - 1; k >= 0 && heads[k].axis < 0 && heads[k].size.IsConst() {
		group, heads = heads[k].size.N, heads[:k]
	}
	out = [][]digit{lead[0], axes[seq], heads, axes[last]}
	return out, group, !slices.ContainsFunc(out, hasRepeat)
}
