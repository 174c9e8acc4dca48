package ir

import "math"

// Elementwise ops. Binary ones broadcast as NumPy does.
func elementwiseOps() []*Op {
	un := func(name, doc string, grad func(g *Grads, n *Node, x, y, d *Value) *Value) *Op {
		op := &Op{
			Name: name, Doc: doc, Operands: []string{"x"}, Results: []string{"y"}, Elementwise: true,
			Infer:   func(n *Node) ([]Type, error) { return check(n).float(0).types(n.In(0)) },
			InPlace: map[int]int{0: 0},
		}
		if grad == nil {
			op.NoGrad = "its derivative is 0 almost everywhere"
			return op
		}
		op.Grad = func(g *Grads, n *Node) {
			x, y := n.Operands[0], n.Result()
			g.Add(x, grad(g, n, x, y, g.Of(y)))
		}
		return op
	}
	bin := func(name, doc string, commutative bool, grad func(g *Grads, n *Node, a, b, y, d *Value)) *Op {
		op := &Op{
			Name: name, Doc: doc, Operands: []string{"a", "b"}, Results: []string{"y"},
			Elementwise: true, Commutative: commutative, InPlace: map[int]int{0: 0},
			Infer: func(n *Node) ([]Type, error) {
				c := check(n).that(n.In(0).DType == n.In(1).DType, "operands have types %s and %s", n.In(0), n.In(1)).
					that(n.In(0).DType != Bool, "operands have types %s and %s, want numbers", n.In(0), n.In(1))
				dims, ok := broadcastDims(n.In(0).Dims, n.In(1).Dims)
				return c.that(ok, "shapes %s and %s do not broadcast", n.In(0), n.In(1)).types(Type{n.In(0).DType, dims})
			},
		}
		if grad == nil {
			op.NoGrad = "its derivative is 0 almost everywhere"
			return op
		}
		op.Grad = func(g *Grads, n *Node) {
			grad(g, n, n.Operands[0], n.Operands[1], n.Result(), g.Of(n.Result()))
		}
		return op
	}
	cmp := func(name, doc string) *Op {
		return &Op{
			Name: name, Doc: doc, Operands: []string{"a", "b"}, Results: []string{"y"}, Elementwise: true,
			NoGrad: "its result is a truth value",
			Infer: func(n *Node) ([]Type, error) {
				c := check(n).that(n.In(0).DType == n.In(1).DType, "operands have types %s and %s", n.In(0), n.In(1))
				dims, ok := broadcastDims(n.In(0).Dims, n.In(1).Dims)
				return c.that(ok, "shapes %s and %s do not broadcast", n.In(0), n.In(1)).types(Type{Bool, dims})
			},
		}
	}
	return []*Op{
		un("neg", "-%x.", func(g *Grads, n *Node, x, y, d *Value) *Value { return g.Op("neg", gradName(x), nil, d) }),
		un("exp", "e to the %x.", func(g *Grads, n *Node, x, y, d *Value) *Value { return g.Op("mul", gradName(x), nil, d, y) }),
		un("log", "Natural logarithm.", func(g *Grads, n *Node, x, y, d *Value) *Value { return g.Op("div", gradName(x), nil, d, x) }),
		un("sqrt", "Square root.", func(g *Grads, n *Node, x, y, d *Value) *Value {
			return g.Op("div", gradName(x), nil, g.scale(d, 0.5), y)
		}),
		un("rsqrt", "1 / sqrt(%x).", func(g *Grads, n *Node, x, y, d *Value) *Value {
			return g.Op("mul", gradName(x), nil, g.scale(d, -0.5), g.Op("div", gradName(x), nil, y, x))
		}),
		un("reciprocal", "1 / %x.", func(g *Grads, n *Node, x, y, d *Value) *Value {
			return g.Op("neg", gradName(x), nil, g.Op("mul", gradName(x), nil, d, g.Op("square", gradName(x), nil, y)))
		}),
		un("square", "%x times itself.", func(g *Grads, n *Node, x, y, d *Value) *Value {
			return g.Op("mul", gradName(x), nil, g.scale(d, 2), x)
		}),
		un("abs", "Absolute value.", func(g *Grads, n *Node, x, y, d *Value) *Value {
			return g.Op("mul", gradName(x), nil, d, g.Op("sign", gradName(x), nil, x))
		}),
		un("sign", "-1, 0 or 1.", nil),
		un("step", "1 where %x > 0, else 0.", nil),
		un("relu", "max(%x, 0).", func(g *Grads, n *Node, x, y, d *Value) *Value {
			return g.Op("mul", gradName(x), nil, d, g.Op("step", gradName(x), nil, x))
		}),
		un("sigmoid", "1 / (1 + exp(-%x)).", func(g *Grads, n *Node, x, y, d *Value) *Value {
			slope := g.Op("mul", gradName(x), nil, y, g.Op("sub", gradName(x), nil, g.one(x), y))
			return g.Op("mul", gradName(x), nil, d, slope)
		}),
		un("silu", "%x · sigmoid(%x) (Hendrycks and Gimpel 2016; Ramachandran et al. 2017).", func(g *Grads, n *Node, x, y, d *Value) *Value {
			s := g.Op("sigmoid", gradName(x), nil, x)
			// d silu = s + y (1 - s)
			rest := g.Op("mul", gradName(x), nil, y, g.Op("sub", gradName(x), nil, g.one(x), s))
			return g.Op("mul", gradName(x), nil, d, g.Op("add", gradName(x), nil, s, rest))
		}),
		un("softplus", "log(1 + exp(%x)): relu without its corner (Dugas et al. 2001).", func(g *Grads, n *Node, x, y, d *Value) *Value {
			return g.Op("mul", gradName(x), nil, d, g.Op("sigmoid", gradName(x), nil, x))
		}),
		un("tanh", "Hyperbolic tangent.", func(g *Grads, n *Node, x, y, d *Value) *Value {
			slope := g.Op("sub", gradName(x), nil, g.one(x), g.Op("square", gradName(x), nil, y))
			return g.Op("mul", gradName(x), nil, d, slope)
		}),
		un("erf", "Error function.", func(g *Grads, n *Node, x, y, d *Value) *Value {
			e := g.Op("exp", gradName(x), nil, g.Op("neg", gradName(x), nil, g.Op("square", gradName(x), nil, x)))
			return g.Op("mul", gradName(x), nil, g.scale(d, 2/math.Sqrt(math.Pi)), e)
		}),
		un("sin", "Sine.", func(g *Grads, n *Node, x, y, d *Value) *Value {
			return g.Op("mul", gradName(x), nil, d, g.Op("cos", gradName(x), nil, x))
		}),
		un("cos", "Cosine.", func(g *Grads, n *Node, x, y, d *Value) *Value {
			return g.Op("neg", gradName(x), nil, g.Op("mul", gradName(x), nil, d, g.Op("sin", gradName(x), nil, x)))
		}),

		bin("add", "%a + %b.", true, func(g *Grads, n *Node, a, b, y, d *Value) {
			g.addBroadcast(a, d)
			g.addBroadcast(b, d)
		}),
		bin("sub", "%a - %b.", false, func(g *Grads, n *Node, a, b, y, d *Value) {
			g.addBroadcast(a, d)
			if g.Needs(b) {
				g.addBroadcast(b, g.Op("neg", gradName(b), nil, d))
			}
		}),
		bin("mul", "%a · %b.", true, func(g *Grads, n *Node, a, b, y, d *Value) {
			if g.Needs(a) {
				g.addBroadcast(a, g.Op("mul", gradName(a), nil, d, b))
			}
			if g.Needs(b) {
				g.addBroadcast(b, g.Op("mul", gradName(b), nil, d, a))
			}
		}),
		bin("div", "%a / %b.", false, func(g *Grads, n *Node, a, b, y, d *Value) {
			q := g.Op("div", gradName(a), nil, d, b)
			g.addBroadcast(a, q)
			if g.Needs(b) {
				g.addBroadcast(b, g.Op("neg", gradName(b), nil, g.Op("mul", gradName(b), nil, q, y)))
			}
		}),
		bin("pow", "%a to the %b.", false, func(g *Grads, n *Node, a, b, y, d *Value) {
			if g.Needs(a) {
				p := g.Op("pow", gradName(a), nil, a, g.Op("sub", gradName(a), nil, b, g.one(b)))
				g.addBroadcast(a, g.Op("mul", gradName(a), nil, d, g.Op("mul", gradName(a), nil, b, p)))
			}
			if g.Needs(b) {
				g.addBroadcast(b, g.Op("mul", gradName(b), nil, d, g.Op("mul", gradName(b), nil, y, g.Op("log", gradName(b), nil, a))))
			}
		}),
		bin("max", "The larger of %a and %b; a tie counts as %a.", true, func(g *Grads, n *Node, a, b, y, d *Value) {
			pick(g, g.Op("greater_equal", gradName(y), nil, a, b), a, b, d)
		}),
		bin("min", "The smaller of %a and %b; a tie counts as %a.", true, func(g *Grads, n *Node, a, b, y, d *Value) {
			pick(g, g.Op("less_equal", gradName(y), nil, a, b), a, b, d)
		}),

		cmp("less", "%a < %b."), cmp("less_equal", "%a <= %b."),
		cmp("greater", "%a > %b."), cmp("greater_equal", "%a >= %b."), cmp("equal", "%a = %b."),
		{
			Name: "where", Doc: "%a where %c holds, %b elsewhere.", Operands: []string{"c", "a", "b"}, Results: []string{"y"},
			Elementwise: true,
			Infer: func(n *Node) ([]Type, error) {
				c := check(n).that(n.In(0).DType == Bool, "c has type %s, want bool", n.In(0)).
					that(n.In(1).DType == n.In(2).DType, "a and b have types %s and %s", n.In(1), n.In(2))
				dims, ok := broadcastDims(n.In(1).Dims, n.In(2).Dims)
				if ok {
					dims, ok = broadcastDims(n.In(0).Dims, dims)
				}
				return c.that(ok, "shapes %s, %s and %s do not broadcast", n.In(0), n.In(1), n.In(2)).types(Type{n.In(1).DType, dims})
			},
			Grad: func(g *Grads, n *Node) { pick(g, n.Operands[0], n.Operands[1], n.Operands[2], g.Of(n.Result())) },
		},
	}
}

// pick sends the gradient d to a where c holds and to b elsewhere.
func pick(g *Grads, c, a, b, d *Value) {
	zero := g.Scalar("zero", d.Type.DType, 0)
	if g.Needs(a) {
		g.addBroadcast(a, g.Op("where", gradName(a), nil, c, d, zero))
	}
	if g.Needs(b) {
		g.addBroadcast(b, g.Op("where", gradName(b), nil, c, zero, d))
	}
}

// addBroadcast adds d to the gradient of v, summed over the axes along which
// v was repeated.
func (g *Grads) addBroadcast(v, d *Value) {
	if g.Needs(v) {
		g.Add(v, g.SumTo(gradName(v), d, v.Type))
	}
}

func (g *Grads) scale(d *Value, by float64) *Value {
	return g.Op("mul", d.Name, nil, d, g.Scalar("c", d.Type.DType, by))
}

func (g *Grads) one(like *Value) *Value { return g.Scalar("one", like.Type.DType, 1) }
