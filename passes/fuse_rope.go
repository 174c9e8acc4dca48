package passes

import (
	"slices"

	"github.com/llamac/llamac/ir"
)

// FuseRope finds rotary position embeddings (Touvron et al. 2023, section 2.2;
// Su et al. 2021): pairs (a, b) of the last axis turned by an angle,
//
//	a' = a·cos - b·sin        b' = a·sin + b·cos
//
//	before                                     after
//	%x  = transpose(%h) {[0, 2, 1, 3]}         %y   = rope(%h, %cos, %sin) {layout}
//	%a  = slice(%x) {from 0, step 2}           %y.t = transpose(%y) {[0, 2, 1, 3]}
//	%b  = slice(%x) {from 1, step 2}
//	... four products, sub, add ...
//	%y  = reshape(concat(%y0, %y1))
//
// The rotation acts on each head alone, so it commutes with the transposition
// of heads, with their repetition and with a constant factor: it moves in
// front of all of these, to [B, T, heads, d], and fuse_attention then finds
// the transposes side by side.
//
// Two layouts exist: interleaved pairs (2i, 2i+1), Meta's; half pairs
// (i, i + d/2), Hugging Face's. Spellings found: strided or contiguous slices;
// pairs split off by a reshape to [..., d/2, 2] or [..., 2, d/2], as a complex
// product exports; x·cos + rotate(x)·sin with tables of full width that repeat
// those of half width; tables shaped by hand or broadcast. Different tables
// for the two halves, or pairs that overlap, are no rotation and stay.
var FuseRope = Pass{
	Name: "fuse_rope",
	Doc:  "Finds rotary position embeddings, interleaved and half, and puts them on [B, T, heads, d].",
	Run: func(u *Unit) error {
		for _, f := range u.Module.Funcs {
			mergePairs(f)
		}
		return fuse(u, matchRope)
	},
}

// rotation is what a match found.
type rotation struct {
	x        *ir.Value
	half     bool // layout
	cos, sin table
	inverse  bool
	inner    []*ir.Node
}

func matchRope(g *graph, n *ir.Node) *match {
	var r *rotation
	switch n.Op.Name {
	case "concat", "reshape":
		r = ropeByParts(n)
	case "add", "sub":
		r = g.ropeByRotate(n)
	}
	if r == nil || r.cos.axis != r.sin.axis || !r.x.Type.Equal(n.Result().Type) {
		return nil
	}
	layout := "interleaved"
	if r.half {
		layout = "half"
	}
	y := n.Result()
	m := &match{root: n, rule: "rope." + layout}
	m.build = func(b *ir.Builder) *ir.Value {
		c, i, axis := rise(r.x, r.cos.axis)
		v := b.Op("rope", y.Name, ir.Attrs{"layout": layout, "seq_axis": int64(axis), "inverse": r.inverse},
			c.vals[i], r.cos.produce(b, y.Name+".cos"), r.sin.produce(b, y.Name+".sin"))
		if i == 0 {
			return v
		}
		// The rotation keeps the name; what the moves make of it gets another.
		name := y.Name
		y.Name, v.Name = b.Name(name+".moved"), name
		return c.replay(b, name, i, v)
	}
	return m.with(r.inner)
}

// rise follows x back to where the rotation is best done: [B, T, heads, d],
// before heads are repeated. It returns the chain, the place in it, and the
// axis of the positions there.
func rise(x *ir.Value, axis int) (c chain, best, bestAxis int) {
	c, bestAxis = trace(x, true), axis
	last := x.Type.Rank() - 1
	for i, v := range c.vals {
		w, ok := c.view(i)
		if !ok || v.Type.Rank() != 4 || !w.is(last, 3) || v.Type.Last() != x.Type.Last() || !covers(distinct(w.axes), v.Type) {
			continue
		}
		if v.Type.Dims[1] == x.Type.Dims[axis] && w.is(axis, 1) {
			best, bestAxis = i, 1
		}
	}
	return c, best, bestAxis
}

// part is a value as one half of the pairs of x.
type part struct {
	x      *ir.Value
	half   bool
	second bool
}

// partOf reads v as the first or second elements of the pairs of some x with
// the same other axes. If col is not -1, v has an axis col of size 1 besides.
func partOf(v *ir.Value, col int) (part, bool) {
	last := v.Type.Rank() - 1
	if col >= 0 {
		last--
	}
	c := trace(v, false)
	for i, x := range c.vals {
		w, ok := c.view(i)
		if !ok || x.Type.Rank() != last+1 || !x.Type.Last().IsConst() {
			continue
		}
		axes := dropAxis(w.axes, col)
		if len(axes) != last+1 || len(axes[last]) != 1 {
			continue
		}
		for j := range last {
			ok = ok && slices.Equal(axes[j], whole(x.Type, j)) && w.off[j] == 0
		}
		n := x.Type.Last().N / 2
		d, off := axes[last][0], w.off[last]
		if !ok || d.axis != last || !d.size.Is(n) || 2*n != x.Type.Last().N {
			continue
		}
		switch {
		case d.stride.Is(1) && (off == 0 || off == n):
			return part{x, true, off == n}, true
		case d.stride.Is(2) && (off == 0 || off == 1):
			return part{x, false, off == 1}, true
		}
	}
	return part{}, false
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
	half  bool
	col   int // axis of size 1 that the parts have besides, or -1
	inner []*ir.Node
}

// sidesOf reads v as a concatenation of halves, or of columns that a reshape
// then merges.
func sidesOf(v *ir.Value) *sides {
	rank := v.Type.Rank()
	s := &sides{col: -1, half: true}
	n := def(v, "concat")
	r := def(v, "reshape")
	if r != nil {
		n, s.inner = def(r.Operands[0], "concat"), []*ir.Node{r}
	}
	if n == nil || len(n.Operands) != 2 || !v.Type.Last().IsConst() || !n.In(0).Equal(n.In(1)) {
		return nil
	}
	z, a := n.Result(), n.Int("axis")
	s.inner = append(s.inner, n)
	s.parts = [2]*ir.Value(n.Operands)
	if r == nil {
		if a != rank-1 {
			return nil
		}
		return s
	}
	w, ok := identity(z).then(r)
	pairs := v.Type.Last().N / 2
	count := func(axis int, n int64) digit { return digit{axis, ir.Const(n), one} }
	switch {
	case !ok || z.Type.Rank() != rank+1:
		return nil
	case a == rank && slices.Equal(w.axes[rank-1], []digit{count(rank-1, pairs), count(rank, 2)}):
		s.half = false
	case a == rank-1 && slices.Equal(w.axes[rank-1], []digit{count(rank-1, 2), count(rank, pairs)}):
	default:
		return nil
	}
	// The columns may get their axis of size 1 only here, from a reshape.
	want := append(slices.Clone(v.Type.Dims[:rank-1]), ir.Const(pairs))
	var behind [2]*ir.Value
	for i, u := range s.parts {
		for behind[i] = u; behind[i] != nil && behind[i].Type.Rank() != rank; {
			if r := def(behind[i], "reshape"); r != nil {
				behind[i] = r.Operands[0]
			} else {
				behind[i] = nil
			}
		}
		if behind[i] != nil && !slices.Equal(behind[i].Type.Dims, want) {
			return nil
		}
	}
	if behind[0] != nil && behind[1] != nil {
		s.parts = behind
	} else {
		s.col = a
	}
	return s
}

// turn is one product of a rotated half: a part of x times a table.
type turn struct {
	sign float64
	part part
	tab  *ir.Value
}

// turns reads v as the sum of two such products.
func turns(v *ir.Value, col int) (t [2]turn, inner []*ir.Node, ok bool) {
	terms, inner, ok := sum(v)
	for i, term := range terms {
		if !ok {
			return t, nil, false
		}
		ok = false
		for _, p := range products(term.v) {
			if len(p.num) != 2 || len(p.den) != 0 || p.coef*p.coef != 1 {
				continue
			}
			for k, f := range p.num {
				if pt, is := partOf(f, col); is && f.Type.Equal(v.Type) {
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

// ropeByParts matches the two rotated halves put side by side by n.
func ropeByParts(n *ir.Node) *rotation {
	s := sidesOf(n.Result())
	if s == nil {
		return nil
	}
	inner := s.inner
	var rows [2][2]turn // by half, then by the part of x it reads
	for i, v := range s.parts {
		t, in, ok := turns(v, s.col)
		if !ok || t[0].part.second == t[1].part.second || t[0].part.x != t[1].part.x ||
			t[0].part.half != s.half || t[1].part.half != s.half {
			return nil
		}
		if t[0].part.second {
			t[0], t[1] = t[1], t[0]
		}
		rows[i], inner = t, append(inner, in...)
	}
	y0, y1, x := rows[0], rows[1], rows[0][0].part.x
	// y0 = a·cos - b·sin, y1 = a·sin + b·cos; the inverse swaps sin's signs.
	if rows[1][0].part.x != x || y0[0].sign != 1 || y1[1].sign != 1 || y0[1].sign != -y1[0].sign {
		return nil
	}
	r := &rotation{x: x, half: s.half, inverse: y1[0].sign < 0, inner: inner}
	var is [4]bool
	var other table
	r.cos, is[0] = tableOf(y0[0].tab, s.parts[0].Type, s.col, widthHalf)
	r.sin, is[1] = tableOf(y0[1].tab, s.parts[0].Type, s.col, widthHalf)
	other, is[2] = tableOf(y1[1].tab, s.parts[0].Type, s.col, widthHalf)
	same := other.equal(r.cos)
	other, is[3] = tableOf(y1[0].tab, s.parts[0].Type, s.col, widthHalf)
	if is != [4]bool{true, true, true, true} || !same || !other.equal(r.sin) {
		return nil
	}
	return r
}

// ropeByRotate matches n = x·cos ± rotate(x)·sin, where rotate(x) puts -b in
// the place of a and a in that of b, and the tables have full width.
func (g *graph) ropeByRotate(n *ir.Node) *rotation {
	terms, inner, ok := sum(n.Result())
	if !ok {
		return nil
	}
	for i := range terms {
		for _, p := range products(terms[i].v) {
			for _, q := range products(terms[1-i].v) {
				if len(p.num) != 2 || len(p.den) != 0 || len(q.num) != 2 || len(q.den) != 0 || terms[i].sign*p.coef != 1 {
					continue
				}
				for k, turned := range q.num {
					for l, x := range p.num {
						sign := terms[1-i].sign * q.coef
						if r := g.rotated(turned, x, sign, p.num[1-l], q.num[1-k]); r != nil {
							r.inner = slices.Concat(r.inner, inner, p.inner, q.inner)
							return r
						}
					}
				}
			}
		}
	}
	return nil
}

// rotated checks that v is sign·rotate(x) and reads the tables.
func (g *graph) rotated(v, x *ir.Value, sign float64, cos, sin *ir.Value) *rotation {
	s := sidesOf(v)
	if s == nil || !v.Type.Equal(x.Type) {
		return nil
	}
	r := &rotation{x: x, half: s.half, inner: s.inner}
	var signs [2]float64
	for i, u := range s.parts {
		for _, p := range products(u) {
			if len(p.num) != 1 || len(p.den) != 0 || p.coef*p.coef != 1 {
				continue
			}
			if pt, ok := partOf(p.num[0], s.col); ok && pt.x == x && pt.half == s.half && pt.second == (i == 0) {
				signs[i] = p.coef * sign
				r.inner = append(r.inner, p.inner...)
				break
			}
		}
	}
	if signs[0]*signs[1] != -1 {
		return nil
	}
	r.inverse = signs[0] > 0
	width := widthRepeated
	if s.half {
		width = widthTwice
	}
	var fine bool
	if r.cos, fine = g.fullTable(cos, x.Type, width); !fine {
		return nil
	}
	if r.sin, fine = g.fullTable(sin, x.Type, width); !fine {
		return nil
	}
	return r
}
