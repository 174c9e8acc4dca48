package passes

import "github.com/llamac/llamac/ir"

// FuseSwiGLU finds the gate of LLaMA's feed-forward (Touvron et al. 2023,
// section 2.2; Shazeer 2020):
//
//	before                     after
//	%s = silu(%g)              %m = swiglu(%g, %u)
//	%m = mul(%s, %u)
//
// The backward of the one op computes silu again from g, so that neither it
// nor the sigmoid in it is ever stored.
//
// Found as well: g·sigmoid(g), g / (1 + exp(-g)), g times the reciprocal of
// that, each with u multiplied on any side and in any association. Another
// activation in the place of silu is another function and stays.
var FuseSwiGLU = Pass{
	Name: "fuse_swiglu",
	Doc:  "Finds silu(g) · u and makes it one swiglu.",
	Run:  func(u *Unit) error { return fuse(u, matchSwiGLU) },
}

func matchSwiGLU(g *graph, n *ir.Node) *match {
	if n.Op.Name != "mul" && n.Op.Name != "div" {
		return nil
	}
	y := n.Result()
	for _, p := range products(y) {
		if p.coef != 1 {
			continue
		}
		// Any factor may be u; what is left must be silu of one value.
		for i := range p.num { // the factor that is u
			gate := p
			gate.num = without(p.num, i)
			a, inner := siluOf(gate)
			u := p.num[i]
			if a == nil || !a.Type.Equal(y.Type) || !u.Type.Equal(y.Type) {
				continue
			}
			m := &match{root: n, inner: inner, rule: "swiglu", build: func(b *ir.Builder) *ir.Value {
				return b.Op("swiglu", y.Name, nil, a, u)
			}}
			return m.with(p.inner)
		}
	}
	return nil
}

// siluOf is the x of which the factors are silu.
func siluOf(p product) (x *ir.Value, inner []*ir.Node) {
	switch {
	case len(p.num) == 1 && len(p.den) == 0:
		if n := def(p.num[0], "silu"); n != nil {
			return n.Operands[0], []*ir.Node{n}
		}
	// x·sigmoid(x), with the same x: the sigmoid of something else is a plain
	// gate (GLU), which is another function.
	case len(p.num) == 2 && len(p.den) == 0:
		for i, x := range p.num {
			if n := def(p.num[1-i], "sigmoid"); n != nil && n.Operands[0] == x {
				return x, []*ir.Node{n}
			}
		}
	// x / (1 + exp(-x)): the denominator must be made of the numerator.
	case len(p.num) == 1 && len(p.den) == 1:
		if inner := onePlusExpNeg(p.den[0], p.num[0]); inner != nil {
			return p.num[0], inner
		}
	}
	return nil, nil
}

// onePlusExpNeg reads v as 1 + exp(-x).
//
// In exact arithmetic that is 1 / sigmoid(x). The op's kernel has the spelling
// that does not overflow, whatever the graph had.
func onePlusExpNeg(v, x *ir.Value) []*ir.Node {
	e, c, add := addend(v)
	n := def(e, "exp")
	if n == nil || c != 1 {
		return nil
	}
	for _, p := range products(n.Operands[0]) {
		if p.coef == -1 && len(p.num) == 1 && len(p.den) == 0 && p.num[0] == x {
			return append(p.inner, n, add)
		}
	}
	return nil
}
