package ir

import "math"

// Elementwise ops. Binary ones broadcast as NumPy does.
//
// In the rules below d is the gradient of the result y, and a rule that can be
// written with y in place of x is: y is at hand where x may have to be stored.
// One node is made for each step of the formula, since elementwise chains are
// short here; the hot ones (silu in swiglu) have fused ops with rules of their
// own. Constants are scalars that broadcast.
func elementwiseOps() []*Op {
	// un makes a row of one operand. A kernel has the op's name, by which the
	// targets find it: such a row is all that a new function needs.
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
	// bin makes a row of two operands, whose shapes are joined as NumPy joins them.
	// Only operand 0 may be overwritten, as it stands; of a commutative op the
	// planner tries the other as well. A row says nothing of shapes there: that the
	// operand is as large as the result is checked where buffers are joined.
	bin := func(name, doc string, commutative bool, grad func(g *Grads, n *Node, a, b, y, d *Value)) *Op {
		op := &Op{
			Name: name, Doc: doc, Operands: []string{"a", "b"}, Results: []string{"y"},
			Elementwise: true, Commutative: commutative, InPlace: map[int]int{0: 0},
			Infer: func(n *Node) ([]Type, error) {
				c := check(n).that(n.In(0).DType == n.In(1).DType, "operands have types %s and %s", n.In(0), n.In(1)).
					// Index arithmetic on i32 is allowed: masks are made of it.
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
	// cmp makes a comparison: of operands of any one type, giving bool.
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
		// y' = y.
		un("exp", "e to the %x.", func(g *Grads, n *Node, x, y, d *Value) *Value { return g.Op("mul", gradName(x), nil, d, y) }),
		// y' = 1/x.
		un("log", "Natural logarithm.", func(g *Grads, n *Node, x, y, d *Value) *Value { return g.Op("div", gradName(x), nil, d, x) }),
		// y' = 1/(2y), infinite at 0 as the function's slope is.
		un("sqrt", "Square root.", func(g *Grads, n *Node, x, y, d *Value) *Value {
			return g.Op("div", gradName(x), nil, g.scale(d, 0.5), y)
		}),
		// y = x^(-1/2), so y' = -1/2 x^(-3/2) = -1/2 · y/x.
		un("rsqrt", "1 / sqrt(%x).", func(g *Grads, n *Node, x, y, d *Value) *Value {
			return g.Op("mul", gradName(x), nil, g.scale(d, -0.5), g.Op("div", gradName(x), nil, y, x))
		}),
		// y' = -1/x² = -y².
		un("reciprocal", "1 / %x.", func(g *Grads, n *Node, x, y, d *Value) *Value {
			return g.Op("neg", gradName(x), nil, g.Op("mul", gradName(x), nil, d, g.Op("square", gradName(x), nil, y)))
		}),
		// y' = 2x.
		un("square", "%x times itself.", func(g *Grads, n *Node, x, y, d *Value) *Value {
			return g.Op("mul", gradName(x), nil, g.scale(d, 2), x)
		}),
		// y' = sign(x), which is 0 at 0: a subgradient.
		un("abs", "Absolute value.", func(g *Grads, n *Node, x, y, d *Value) *Value {
			return g.Op("mul", gradName(x), nil, d, g.Op("sign", gradName(x), nil, x))
		}),
		un("sign", "-1, 0 or 1.", nil),
		// Not a half at 0, as some define it: relu's rule wants 0 there.
		un("step", "1 where %x > 0, else 0.", nil),
		// y' = step(x): 0 at 0, as PyTorch and JAX choose.
		un("relu", "max(%x, 0).", func(g *Grads, n *Node, x, y, d *Value) *Value {
			return g.Op("mul", gradName(x), nil, d, g.Op("step", gradName(x), nil, x))
		}),
		// y' = y (1 - y).
		un("sigmoid", "1 / (1 + exp(-%x)).", func(g *Grads, n *Node, x, y, d *Value) *Value {
			slope := g.Op("mul", gradName(x), nil, y, g.Op("sub", gradName(x), nil, g.one(x), y))
			return g.Op("mul", gradName(x), nil, d, slope)
		}),
		// With s = sigmoid(x): y' = s + x s (1 - s).
		un("silu", "%x · sigmoid(%x) (Hendrycks and Gimpel 2016; Ramachandran et al. 2017).", func(g *Grads, n *Node, x, y, d *Value) *Value {
			s := g.Op("sigmoid", gradName(x), nil, x)
			// d silu = s + y (1 - s)
			rest := g.Op("mul", gradName(x), nil, y, g.Op("sub", gradName(x), nil, g.one(x), s))
			return g.Op("mul", gradName(x), nil, d, g.Op("add", gradName(x), nil, s, rest))
		}),
		// y' = exp(x) / (1 + exp(x)) = sigmoid(x).
		un("softplus", "log(1 + exp(%x)): relu without its corner (Dugas et al. 2001).", func(g *Grads, n *Node, x, y, d *Value) *Value {
			return g.Op("mul", gradName(x), nil, d, g.Op("sigmoid", gradName(x), nil, x))
		}),
		// y' = 1 - y².
		un("tanh", "Hyperbolic tangent.", func(g *Grads, n *Node, x, y, d *Value) *Value {
			slope := g.Op("sub", gradName(x), nil, g.one(x), g.Op("square", gradName(x), nil, y))
			return g.Op("mul", gradName(x), nil, d, slope)
		}),
		// y' = 2/sqrt(π) · exp(-x²); GELU is made of it.
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

		// Each operand gets d, summed over the axes along which it was repeated; so
		// with all rules below, by addBroadcast.
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
		// With q = d/b: da = q, and db = -d a/b² = -q y.
		bin("div", "%a / %b.", false, func(g *Grads, n *Node, a, b, y, d *Value) {
			q := g.Op("div", gradName(a), nil, d, b)
			g.addBroadcast(a, q)
			if g.Needs(b) {
				g.addBroadcast(b, g.Op("neg", gradName(b), nil, g.Op("mul", gradName(b), nil, q, y)))
			}
		}),
		// da = d b a^(b-1), and db = d y ln(a), which is NaN for a negative base: it is
		// asked for only if b depends on a weight.
		bin("pow", "%a to the %b.", false, func(g *Grads, n *Node, a, b, y, d *Value) {
			if g.Needs(a) {
				p := g.Op("pow", gradName(a), nil, a, g.Op("sub", gradName(a), nil, b, g.one(b)))
				g.addBroadcast(a, g.Op("mul", gradName(a), nil, d, g.Op("mul", gradName(a), nil, b, p)))
			}
			if g.Needs(b) {
				g.addBroadcast(b, g.Op("mul", gradName(b), nil, d, g.Op("mul", gradName(b), nil, y, g.Op("log", gradName(b), nil, a))))
			}
		}),
		// All of a tie's gradient goes to one operand, so that max(x, x) has
		// the slope 1 and one comparison decides.
		bin("max", "The larger of %a and %b; a tie counts as %a.", true, func(g *Grads, n *Node, a, b, y, d *Value) {
			pick(g, g.Op("greater_equal", gradName(y), nil, a, b), a, b, d)
		}),
		bin("min", "The smaller of %a and %b; a tie counts as %a.", true, func(g *Grads, n *Node, a, b, y, d *Value) {
			pick(g, g.Op("less_equal", gradName(y), nil, a, b), a, b, d)
		}),

		// equal is made of exact bits: what it is for are indices and masks.
		cmp("less", "%a < %b."), cmp("less_equal", "%a <= %b."),
		cmp("greater", "%a > %b."), cmp("greater_equal", "%a >= %b."), cmp("equal", "%a = %b."),
		{
			// Not InPlace: the operand of the result's type is the second, and which
			// elements of it are still wanted depends on the first. The gradient reads c
			// alone, so neither branch has to be stored for it. The branch that was not
			// taken gets an exact 0, whatever stands there: a masked score of -inf harms
			// nobody.
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
// The zero is a scalar, so a mask costs one where and no tensor of zeros.
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
// The node that computed d is dead if v does not need it, and goes away then.
func (g *Grads) addBroadcast(v, d *Value) {
	if g.Needs(v) {
		g.Add(v, g.SumTo(gradName(v), d, v.Type))
	}
}

// scale is d times a number, in d's own type.
func (g *Grads) scale(d *Value, by float64) *Value {
	return g.Op("mul", d.Name, nil, d, g.Scalar("c", d.Type.DType, by))
}

// one is the number 1 in the type of like.
func (g *Grads) one(like *Value) *Value { return g.Scalar("one", like.Type.DType, 1) }
