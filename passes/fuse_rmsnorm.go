package passes

import (
	"slices"

	"github.com/llamac/llamac/ir"
)

// FuseRMSNorm finds the root-mean-square norm of LLaMA (Touvron et al. 2023,
// section 2.2; Zhang and Sennrich 2019) in its primitives:
//
//	before                                 after
//	%sq  = square(%x)                      %n = rms_norm(%x, $w) {eps}
//	%ms  = reduce_mean(%sq) {keep}
//	%mse = add(%ms, eps)
//	%r   = rsqrt(%mse)
//	%hat = mul(%x, %r)
//	%n   = mul(%hat, $w)
//
// One kernel then reads x once and stores nothing but its result, where the
// primitives store five tensors for the backward.
//
// Found as well: x·x or x² by pow; the mean as a sum times 1/n or over n;
// 1/sqrt, a quotient by sqrt, or a power; factors in any order and
// association; the reduced axis kept or put back by a reshape. The weight
// must be a vector over the normalised last axis, and eps must stand under the
// root.
var FuseRMSNorm = Pass{
	Name: "fuse_rmsnorm",
	Doc:  "Finds x / sqrt(mean(x²) + eps) · w and makes it one rms_norm.",
	Run:  func(u *Unit) error { return fuse(u, matchRMSNorm) },
}

func matchRMSNorm(g *graph, n *ir.Node) *match {
	if n.Op.Name != "mul" && n.Op.Name != "div" {
		return nil
	}
	y := n.Result()
	// A norm is one product of three factors, or a quotient of two and one.
	// Which mul holds which of them is up to whoever wrote the graph.
	for _, p := range products(y) {
		if p.coef != 1 {
			continue
		}
		// x · w · 1/root: every factor may be the root.
		for i, r := range p.num {
			if rest := without(p.num, i); len(rest) == 2 && len(p.den) == 0 {
				if m := normOf(y, rest, r, "rsqrt", -0.5); m != nil {
					return m.with(p.inner)
				}
			}
		}
		// x · w / root.
		if len(p.num) == 2 && len(p.den) == 1 {
			if m := normOf(y, p.num, p.den[0], "sqrt", 0.5); m != nil {
				return m.with(p.inner)
			}
		}
	}
	return nil
}

// with adds nodes to the inner ones of a match, leaving out its root.
//
// The root's result stays, so the root must not count as a node that vanishes.
func (m *match) with(inner []*ir.Node) *match {
	m.inner = append(m.inner, inner...)
	m.inner = slices.DeleteFunc(m.inner, func(n *ir.Node) bool { return n == m.root })
	return m
}

func without(vs []*ir.Value, i int) []*ir.Value {
	return append(slices.Clone(vs[:i]), vs[i+1:]...)
}

// normOf tries the two factors as x and w and r as the root of the mean
// square, taken by the op root or a power.
func normOf(y *ir.Value, factors []*ir.Value, r *ir.Value, root string, power float64) *match {
	// Both orders are tried: x is the factor with the result's type, and the
	// gain may have it too, if it was broadcast by hand.
	for i, x := range factors {
		if !x.Type.Equal(y.Type) {
			continue
		}
		w := gain(factors[1-i], x.Type)
		if w == nil {
			continue
		}
		// The root is one number for each row. It may have been reshaped or
		// broadcast before it meets x.
		for _, v := range rowwise(r, x.Type) {
			if eps, inner, ok := meanSquareRoot(v, x, root, power); ok {
				return &match{
					root: y.Def, inner: inner, rule: "rmsnorm",
					build: func(b *ir.Builder) *ir.Value {
						return b.Op("rms_norm", y.Name, ir.Attrs{"eps": eps}, x, w)
					},
				}
			}
		}
	}
	return nil
}

// gain is the vector over the last axis of t that v is, or is broadcast from.
//
// Only the axes matter: a gain that is broadcast over the rows, by an op or by
// the product itself, is the same vector.
func gain(v *ir.Value, t ir.Type) *ir.Value {
	c := trace(v, false)
	for i, w := range c.vals {
		if view, ok := c.view(i); ok && w.Type.Rank() == 1 && v.Type.Rank() > 0 &&
			w.Type.Dims[0] == t.Last() && view.is(v.Type.Rank()-1, 0) {
			return w
		}
	}
	return nil
}

// meanSquareRoot reads v as root(mean(x²) + eps).
func meanSquareRoot(v, x *ir.Value, root string, power float64) (eps float64, inner []*ir.Node, ok bool) {
	n := def(v, root)
	// Either the op itself or a power with the same exponent.
	if p := def(v, "pow"); p != nil && isScalar(p.Operands[1], power) {
		n = p
	}
	if n == nil {
		// 1 / sqrt behind a reshape, where the product could not be opened.
		for _, p := range products(v) {
			if root == "rsqrt" && p.coef == 1 && len(p.num) == 0 && len(p.den) == 1 {
				for _, d := range rowwiseOrFlat(p.den[0], x.Type) {
					if eps, inner, ok := meanSquareRoot(d, x, "sqrt", 0.5); ok {
						return eps, append(inner, p.inner...), true
					}
				}
			}
		}
		return 0, nil, false
	}
	// Without an addition under the root there is no match: eps = 0 is legal
	// for the op, but then the graph must say so.
	ms, eps, add := addend(n.Operands[0])
	if ms == nil || eps < 0 {
		return 0, nil, false
	}
	for _, v := range rowwiseOrFlat(ms, x.Type) {
		if in, ok := meanSquare(v, x); ok {
			return eps, append(in, n, add), true
		}
	}
	return 0, nil, false
}

// rowwiseOrFlat is rowwise for a value that may still lack the reduced axis.
func rowwiseOrFlat(v *ir.Value, t ir.Type) []*ir.Value {
	if v.Type.Rank() == t.Rank()-1 {
		return []*ir.Value{v}
	}
	return rowwise(v, t)
}

// meanSquare reads v as the mean of x² over the last axis.
func meanSquare(v, x *ir.Value) ([]*ir.Node, bool) {
	if n, sq := reduction(v, "reduce_mean", x.Type); n != nil {
		s, ok := squareOf(sq, x)
		return []*ir.Node{n, s}, ok
	}
	// A sum over the axis, times 1/n or over n: the coefficient has to be 1/n,
	// up to how an exporter rounds it.
	width := x.Type.Last()
	for _, p := range products(v) {
		if len(p.num) != 1 || len(p.den) != 0 || !width.IsConst() || !near(p.coef*float64(width.N), 1) {
			continue
		}
		for _, v := range rowwiseOrFlat(p.num[0], x.Type) {
			if n, sq := reduction(v, "reduce_sum", x.Type); n != nil {
				s, ok := squareOf(sq, x)
				return append(p.inner, n, s), ok
			}
		}
	}
	return nil, false
}

// squareOf is the node that makes v = x².
func squareOf(v, x *ir.Value) (*ir.Node, bool) {
	switch n := def(v, "square", "mul", "pow"); {
	case n == nil || n.Operands[0] != x:
	case n.Op.Name == "mul":
		return n, n.Operands[1] == x
	case n.Op.Name == "pow":
		return n, isScalar(n.Operands[1], 2)
	default:
		return n, true
	}
	return nil, false
}
