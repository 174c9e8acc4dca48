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
	Run:  func(u *Unit) error { return fuse(u, matchRope) },
}

// rotation is what a match found.
type rotation struct {
	x        *ir.Value
	dims     []ir.Dim // of x when its pairs are one axis
	half     bool     // layout
	cos, sin table
	inverse  bool
	inner    []*ir.Node
}

func matchRope(g *graph, n *ir.Node) *match {
	var r *rotation
	switch n.Op.Name {
	case "concat", "reshape":
		// A concatenation whose columns a reshape merges afterwards is left to
		// that reshape.
		if !g.merged(n) {
			r = ropeByParts(n)
		}
	case "add", "sub":
		r = g.ropeByRotate(n)
	}
	// cos and sin must run along the same axis of x. That axis is the
	// positions'.
	if r == nil || r.cos.axis != r.sin.axis {
		return nil
	}
	layout := "interleaved"
	if r.half {
		layout = "half"
	}
	y := n.Result()
	m := &match{root: n, rule: "rope." + layout}
	// The rotation is made where x is [B, T, heads, d], and what moved elements
	// between there and here is repeated behind it.
	m.build = func(b *ir.Builder) *ir.Value {
		at := rise(b, y.Name, b.Reshape(y.Name+".x", r.x, r.dims...), r.cos.axis)
		v := b.Op("rope", y.Name, ir.Attrs{"layout": layout, "seq_axis": int64(at.axis), "inverse": r.inverse},
			at.x, r.cos.produce(b, y.Name+".cos"), r.sin.produce(b, y.Name+".sin"))
		if at.back == nil && v.Type.Equal(y.Type) {
			return v
		}
		// The rotation keeps the name; what the moves make of it gets another.
		name := y.Name
		y.Name, v.Name = b.Name(name+".moved"), name
		moved := v
		if at.back != nil {
			moved = at.back(v)
		}
		return b.Reshape(name, moved, y.Type.Dims...)
	}
	return m.with(r.inner)
}

// merged reports that a reader of n, a concatenation of columns, makes pairs
// one axis: the pattern's root is that reader then.
func (g *graph) merged(n *ir.Node) bool {
	s := sidesOf(n.Result())
	return s != nil && slices.ContainsFunc(g.uses[n.Result()], func(user *ir.Node) bool {
		return user.Op.Name == "reshape" && slices.Equal(user.DimsOf("dims"), s.dims)
	})
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
		// Each half of the result is a sum of two products, one with the first
		// part of the pairs and one with the second, both of the same x and in
		// the same layout as the result.
		t, in, ok := turns(v, s.col[i])
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
	r := &rotation{x: x, dims: s.dims, half: s.half, inverse: y1[0].sign < 0, inner: inner}
	if !rows[0][0].part.fits(s.dims) {
		return nil
	}
	// Four tables, of which two pairs must be the same: those beside cos and
	// those beside sin. They are compared by what they are read from and not as
	// values, as each may be broadcast by a node of its own.
	var is [4]bool
	var other table
	r.cos, is[0] = tableOf(y0[0].tab, s.parts[0].Type, s.col[0], widthHalf)
	r.sin, is[1] = tableOf(y0[1].tab, s.parts[0].Type, s.col[0], widthHalf)
	other, is[2] = tableOf(y1[1].tab, s.parts[1].Type, s.col[1], widthHalf)
	same := other.equal(r.cos)
	other, is[3] = tableOf(y1[0].tab, s.parts[1].Type, s.col[1], widthHalf)
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
	// Either term may be the one with cos.
	for i := range terms {
		for _, p := range products(terms[i].v) {
			for _, q := range products(terms[1-i].v) {
				// The term with cos has the sign 1 in both directions.
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
	r := &rotation{x: x, dims: x.Type.Dims, half: s.half, inner: s.inner}
	// The sign in front of the first half and that in front of the second.
	var signs [2]float64
	for i, u := range s.parts {
		for _, p := range products(u) {
			if len(p.num) != 1 || len(p.den) != 0 || p.coef*p.coef != 1 {
				continue
			}
			// The first half of rotate(x) holds the second parts, and the other
			// way round.
			if pt, ok := partOf(p.num[0], s.col[i]); ok && pt.x == x && pt.half == s.half && pt.second == (i == 0) {
				signs[i] = p.coef * sign
				r.inner = append(r.inner, p.inner...)
				break
			}
		}
	}
	// One of the two is negated, else it is a reflection and no rotation.
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
