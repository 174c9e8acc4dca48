package ir

import "slices"

// Ops that fusions find in primitive graphs, and their gradients.
//
// Each has an expansion that says what it means and a gradient that reads less
// than that of the expansion would.
func fusedOps() []*Op {
	eps := []AttrSpec{{"eps", FloatAttr, nil, "added to the mean square"}}
	// LLaMA's own files rotate neighbours, Hugging Face's the two halves of a head:
	// the same model under a permutation of the projections' rows.
	layout := []AttrSpec{
		{"layout", StringAttr, nil, `"interleaved": pairs (2i, 2i+1); "half": pairs (i, i+d/2)`},
		{"seq_axis", IntAttr, int64(1), "axis of x that positions run along"},
		{"inverse", BoolAttr, false, "rotate by the negative angle"},
	}
	return []*Op{
		{
			// Square and sum, times 1/sqrt, times w: four operations for an element. eps
			// stands under the root, inside of the mean: LLaMA's place for it.
			Name: "rms_norm", Doc: "%x / sqrt(mean(%x²) + eps) · %w along the last axis (Zhang and Sennrich 2019).",
			Operands: []string{"x", "w"}, Results: []string{"y"}, Group: Fused, Attrs: eps,
			Infer: func(n *Node) ([]Type, error) { return normTypes(n, 0, 1) },
			FLOPs: func(n *Node) int64 { return 4 * n.In(0).Elems() },
			// With r = (mean(x²) + eps)^(-1/2), h = x r and e = dy w:
			// dx = r (e - h · mean(e h)), and dw = Σ over rows of dy h. Nothing is read
			// from the forward but x, of which r is computed again.
			Grad: func(g *Grads, n *Node) {
				x, w := n.Operands[0], n.Operands[1]
				r := g.Node("rms_norm_grad", gradName(x)+","+gradName(w), Attrs{"eps": n.Float("eps")}, g.Of(n.Result()), x, w, g.Take(x))
				g.Add(x, r.Results[0])
				g.Add(w, r.Results[1])
			},
			Expand: func(b *Builder, n *Node) []*Value {
				return []*Value{expandRMSNorm(b, n.Result().Name, n.Operands[0], n.Operands[1], n.Float("eps"))}
			},
		},
		{
			// res is the gradient that came by the residual connection around the norm.
			// The result may lie on it.
			Name: "rms_norm_grad", Doc: "Gradients of rms_norm, with %res added to that of %x; the norm is computed again from %x.",
			Operands: []string{"dy", "x", "w", "res?"}, Results: []string{"dx", "dw"}, Group: Gradient, Attrs: eps,
			NoGrad: "second derivatives are not taken", InPlace: map[int]int{0: 3},
			Infer: func(n *Node) ([]Type, error) {
				c := check(n).same(0, 1)
				if _, err := normTypes(n, 1, 2); c.err == nil {
					c.err = err
				}
				return c.that(!n.Has(3) || n.In(3).Equal(n.In(1)), "res does not have the type of x").
					// dw is a sum over all rows, so f32.
					types(n.In(1), n.In(2).With(F32))
			},
			FLOPs: func(n *Node) int64 { return 10 * n.In(0).Elems() },
		},
		{
			// r goes on as the residual stream and is also what the norm reads: together
			// they pass over memory once. r may lie on a; y may not, since the next
			// layer still reads r.
			Name: "add_rms_norm", Doc: "%r = %a + %b and %y = rms_norm(%r, %w): a residual connection and the norm behind it.",
			Operands: []string{"a", "b", "w"}, Results: []string{"r", "y"}, Group: Fused, Attrs: eps,
			InPlace: map[int]int{0: 0},
			Infer: func(n *Node) ([]Type, error) {
				c := check(n).same(0, 1)
				if c.err != nil {
					return nil, c.err
				}
				t, err := normTypes(n, 0, 2)
				if err != nil {
					return nil, err
				}
				return []Type{t[0], t[0]}, nil
			},
			FLOPs: func(n *Node) int64 { return 5 * n.In(0).Elems() },
			Grad: func(g *Grads, n *Node) {
				a, b, w := n.Operands[0], n.Operands[1], n.Operands[2]
				r, y := n.Results[0], n.Results[1]
				// d collects all of r's gradient: what reached it from behind, and through
				// the norm. Both terms of the sum get it as it is.
				d := g.Of(r)
				// The kernel adds d itself; a nil d is an absent operand.
				if dy := g.Of(y); dy != nil {
					k := g.Node("rms_norm_grad", gradName(r)+","+gradName(w), Attrs{"eps": n.Float("eps")}, dy, r, w, d)
					g.Add(w, k.Results[1])
					d = k.Results[0]
				}
				g.Add(a, d)
				g.Add(b, d)
			},
			Expand: func(b *Builder, n *Node) []*Value {
				r := b.Op("add", n.Results[0].Name, nil, n.Operands[0], n.Operands[1])
				return []*Value{r, b.Op("rms_norm", n.Results[1].Name, Attrs{"eps": n.Float("eps")}, r, n.Operands[2])}
			},
			// y can be had from r by the plain norm, whose kernel gives the same bits.
			// r cannot be had from y.
			Rederive: func(b *Builder, n *Node, i int, stored func(*Value) *Value) *Value {
				r := stored(n.Results[0])
				if i != 1 || r == nil {
					return nil
				}
				return b.Op("rms_norm", n.Results[1].Name, Attrs{"eps": n.Float("eps")}, r, n.Operands[2])
			},
		},
		{
			// Tables hold cos and sin of position times frequency, one row a position, so
			// that the kernel computes no angle and inference may read any row.
			Name: "rope", Doc: "Pairs of the last axis of %x rotated by the angles of %cos and %sin [positions, d/2] (Su et al. 2021).",
			Operands: []string{"x", "cos", "sin"}, Results: []string{"y"}, Group: Fused, Attrs: layout,
			InPlace: map[int]int{0: 0},
			Infer: func(n *Node) ([]Type, error) {
				x, cos := n.In(0), n.In(1)
				c := check(n).float(0).float(1).rank(1, 2).same(1, 2)
				if c.err != nil {
					return nil, c.err
				}
				a := n.Int("seq_axis")
				// Positions run along an axis before the last, which is a head's.
				c.that(a >= 0 && a < x.Rank()-1, "seq_axis %d of %s", a, x).
					that(n.Str("layout") == "interleaved" || n.Str("layout") == "half", "layout %q", n.Str("layout"))
				if c.err != nil {
					return nil, c.err
				}
				half, ok := x.Last().Div(Const(2))
				return c.that(ok && half.IsConst() && cos.Dims[1] == half && cos.Dims[0] == x.Dims[a], "x has type %s and cos %s", x, cos).types(x)
			},
			// Two products and a sum for each number.
			FLOPs: func(n *Node) int64 { return 3 * n.In(0).Elems() },
			// A rotation is orthogonal, so its transpose, which gradients want, is the
			// rotation back. Neither x nor y is read, and it may happen in place.
			Grad: func(g *Grads, n *Node) {
				x := n.Operands[0]
				if g.Needs(n.Operands[1]) || g.Needs(n.Operands[2]) {
					g.through(n, expandRope) // learned angles are not worth a rule of their own
					return
				}
				g.Add(x, g.Op("rope", gradName(x), Attrs{"layout": n.Str("layout"), "seq_axis": int64(n.Int("seq_axis")),
					"inverse": !n.Flag("inverse")}, g.Of(n.Result()), n.Operands[1], n.Operands[2]))
			},
			Expand: expandRope,
		},
		{
			// silu as exp, sum, division and product, times u: five operations.
			Name: "swiglu", Doc: "silu(%g) · %u (Shazeer 2020).", Operands: []string{"g", "u"}, Results: []string{"y"}, Group: Fused,
			Infer: func(n *Node) ([]Type, error) { return check(n).float(0).same(0, 1).types(n.In(0)) },
			FLOPs: func(n *Node) int64 { return 5 * n.In(0).Elems() },
			// With s = sigmoid(g): du = dy g s, and dg = dy u (s + g s (1 - s)). One op
			// for both, for they share s.
			Grad: func(g *Grads, n *Node) {
				a, u := n.Operands[0], n.Operands[1]
				r := g.Node("swiglu_grad", gradName(a)+","+gradName(u), nil, g.Of(n.Result()), a, u)
				g.Add(a, r.Results[0])
				g.Add(u, r.Results[1])
			},
			Expand: func(b *Builder, n *Node) []*Value {
				s := b.Op("silu", n.Result().Name+".silu", nil, n.Operands[0])
				return []*Value{b.Op("mul", n.Result().Name, nil, s, n.Operands[1])}
			},
		},
		{
			Name: "swiglu_grad", Doc: "Gradients of swiglu; silu is computed again from %g.",
			Operands: []string{"dy", "g", "u"}, Results: []string{"dg", "du"}, Group: Gradient,
			NoGrad: "second derivatives are not taken",
			Infer:  func(n *Node) ([]Type, error) { return check(n).float(0).same(0, 1).same(1, 2).types(n.In(1), n.In(2)) },
			FLOPs:  func(n *Node) int64 { return 10 * n.In(0).Elems() },
		},
	}
}

// normTypes checks x [..., d] and w [d], which broadcast over the rows.
func normTypes(n *Node, x, w int) ([]Type, error) {
	c := check(n).float(x).float(w).atLeast(x, 1).rank(w, 1)
	if c.err != nil {
		return nil, c.err
	}
	return c.that(n.In(x).Last() == n.In(w).Dims[0], "x has type %s and w %s", n.In(x), n.In(w)).types(n.In(x))
}

// The order of the two products is fixed, (x r) w: rounding depends on it.
func expandRMSNorm(b *Builder, name string, x, w *Value, eps float64) *Value {
	t := x.Type
	last := Attrs{"axes": []int64{int64(t.Rank() - 1)}, "keep": true}
	ms := b.Op("reduce_mean", name+".ms", last, b.Op("square", name+".sq", nil, x))
	r := b.Op("rsqrt", name+".r", nil, b.Op("add", name+".mse", nil, ms, b.Scalar(name+".eps", t.DType, eps)))
	return b.Op("mul", name, nil, b.Op("mul", name+".hat", nil, x, r), w)
}

// expandRope spells the rotation with slices, products and a concatenation.
func expandRope(b *Builder, n *Node) []*Value {
	x, name := n.Operands[0], n.Result().Name
	t := x.Type
	half := t.Last().N / 2
	axis := n.Int("seq_axis")

	// The tables [T, d/2] as [T, 1, ..., 1, d/2] beside x's axes after T.
	shape := []Dim{t.Dims[axis]}
	for range t.Dims[axis+1 : t.Rank()-1] {
		shape = append(shape, Const(1))
	}
	shape = append(shape, Const(half))
	cos := b.Reshape(name+".cos", n.Operands[1], shape...)
	sin := b.Reshape(name+".sin", n.Operands[2], shape...)
	// cos(-a) = cos(a), sin(-a) = -sin(a).
	if n.Flag("inverse") {
		sin = b.Op("neg", name+".nsin", nil, sin)
	}

	interleaved := n.Str("layout") == "interleaved"
	// part is one number of each pair: every other one, or one half of the axis.
	part := func(which int64, as string) *Value {
		a := Attrs{"axis": int64(t.Rank() - 1), "from": which * half, "to": (which + 1) * half}
		if interleaved {
			a["from"], a["to"], a["step"] = which, 2*half, int64(2)
		}
		return b.Op("slice", name+as, a, x)
	}
	first, second := part(0, ".a"), part(1, ".b")
	mul := func(p, q *Value) *Value { return b.Op("mul", name+".m", nil, p, q) }
	// (a, b) becomes (a cos - b sin, a sin + b cos).
	y0 := b.Op("sub", name+".y0", nil, mul(first, cos), mul(second, sin))
	y1 := b.Op("add", name+".y1", nil, mul(first, sin), mul(second, cos))
	if !interleaved {
		return []*Value{b.Op("concat", name, Attrs{"axis": int64(t.Rank() - 1)}, y0, y1)}
	}
	// Interleaving again: a new axis of 2 behind the pairs, then flattened.
	pair := append(slices.Clone(y0.Type.Dims), Const(1))
	y := b.Op("concat", name+".pairs", Attrs{"axis": int64(t.Rank())}, b.Reshape(name+".y0", y0, pair...), b.Reshape(name+".y1", y1, pair...))
	return []*Value{b.Reshape(name, y, t.Dims...)}
}
