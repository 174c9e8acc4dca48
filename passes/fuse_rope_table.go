package passes

import (
	"slices"

	"github.com/llamac/llamac/ir"
)

// table is a rope table as the pattern uses it, and how to get it as [T, d/2].
type table struct {
	axis int // of x, that positions run along
	src  view
	axes [][]digit // T and d/2, as digits of the source
	cost effort
	cut  width // of a parameter of full width the first of each two equal numbers
}

// width says how the last axis of a table relates to the d/2 angles.
//
// A table that enters the layer as a parameter cannot be traced further; it is
// cut by a slice.
type width int

const (
	widthHalf     width = iota // d/2 numbers
	widthTwice                 // c0 .. cn c0 .. cn, for the half layout
	widthRepeated              // c0 c0 c1 c1 .., for the interleaved layout
)

// tableOf reads v, multiplied with a tensor of type t, as a table that depends
// on the position and the pair only. Axis col of t, if not -1, has size 1 and
// does not count.
func tableOf(v *ir.Value, t ir.Type, col int, form width) (table, bool) {
	best := table{cost: impossible}
	c := trace(v, false)
	// An elementwise op aligns axes at the end, so v's axis j is t's axis lead
	// + j.
	lead := t.Rank() - v.Type.Rank()
	pair := v.Type.Rank() - 1 // v's axis of the pairs
	if col == t.Rank()-1 {
		pair--
	}
	if lead < 0 || pair < 0 {
		return best, false
	}
	// Every value of the chain is a candidate. The cheapest to bring to [T,
	// d/2] wins, the first of equals.
	for i := range c.vals {
		w, ok := c.view(i)
		if !ok {
			continue
		}
		last, ok := pairDigits(w.axes[pair], form)
		axis := -1
		var seq []digit
		for j, ds := range w.axes {
			if j == pair {
				continue
			}
			// Repetitions along batch and heads do not matter: the table is the
			// same for all of them.
			real := slices.DeleteFunc(slices.Clone(ds), func(d digit) bool { return d.axis < 0 })
			if len(real) == 0 {
				continue
			}
			// One axis alone may carry the positions, it must lie before the
			// pairs, and no repetition may be mixed into it.
			ok = ok && j < pair && axis < 0 && len(real) == len(ds)
			axis, seq = lead+j, ds
		}
		if !ok || axis < 0 || sizeOf(seq) != t.Dims[axis] {
			continue
		}
		axes := [][]digit{seq, last}
		cost := w.effort(axes, []ir.Dim{sizeOf(seq), sizeOf(last)})
		if cost < best.cost {
			best = table{axis: axis, src: w, axes: axes, cost: cost}
		}
	}
	return best, best.cost < impossible
}

// pairDigits takes the repetition off the last axis of a table of full width.
//
// The repetition is a digit of size 2 without a source: outside of the angles
// in c0 .. cn c0 .. cn, inside of them in c0 c0 c1 c1.
func pairDigits(ds []digit, form width) ([]digit, bool) {
	if form == widthHalf {
		return ds, len(ds) > 0 && !hasRepeat(ds)
	}
	two := repeat(ir.Const(2))
	switch k := len(ds); {
	case k < 2:
		return nil, false
	case form == widthTwice && ds[0] == two:
		return ds[1:], !hasRepeat(ds[1:])
	case form == widthRepeated && ds[k-1] == two:
		return ds[:k-1], !hasRepeat(ds[:k-1])
	}
	return nil, false
}

// Views of one source with the same axes are the same numbers, whatever nodes
// lead there.
func (t table) equal(u table) bool {
	return t.axis == u.axis && t.cut == u.cut && t.src.src == u.src.src &&
		slices.EqualFunc(t.axes, u.axes, slices.Equal[[]digit])
}

// produce builds the table as [T, d/2].
func (t table) produce(b *ir.Builder, name string) *ir.Value {
	v := t.src.produce(b, name, t.axes)
	full := v.Type.Last().N
	switch t.cut {
	case widthTwice:
		v = b.Op("slice", name, ir.Attrs{"axis": int64(1), "from": int64(0), "to": full / 2}, v)
	case widthRepeated:
		v = b.Op("slice", name, ir.Attrs{"axis": int64(1), "from": int64(0), "to": full, "step": int64(2)}, v)
	}
	return v
}

// fullTable reads a table of full width. In a layer's function the table is a
// parameter; whether it repeats itself is then to be seen where the layers are
// run.
func (g *graph) fullTable(v *ir.Value, t ir.Type, form width) (table, bool) {
	if tab, ok := tableOf(v, t, -1, form); ok {
		return tab, true
	}
	tab, ok := tableOf(v, t, -1, widthHalf) // all of the last axis
	if !ok {
		return tab, false
	}
	// Callers see what the parameter is given. All of them must give a table
	// that repeats itself, since the layer's code is one for all.
	i := slices.Index(g.f.Params, tab.src.src)
	args := g.arguments(i)
	full := tab.src.src.Type.Last()
	ok = len(args) > 0 && full.IsConst() && full == sizeOf(tab.axes[1])
	for _, arg := range args {
		c := trace(arg, false)
		ok = ok && slices.ContainsFunc(c.vals, func(s *ir.Value) bool {
			w, fine := c.view(slices.Index(c.vals, s))
			_, twice := pairDigits(w.axes[len(w.axes)-1], form)
			return fine && twice
		})
	}
	tab.cut = form
	return tab, ok
}

// arguments lists what the callers of a layer's function give it as parameter
// i.
func (g *graph) arguments(i int) []*ir.Value {
	if i < 0 {
		return nil
	}
	var args []*ir.Value
	for _, f := range g.m.Funcs {
		for _, n := range f.Nodes {
			if n.Op.Name != "stack" {
				continue
			}
			s := g.m.Stack(n.Str("name"))
			if s != nil && slices.ContainsFunc(s.Segments, func(seg ir.Segment) bool { return seg.Forward == g.f }) {
				args = append(args, n.Operands[i])
			}
		}
	}
	return args
}
