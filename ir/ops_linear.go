package ir

import "slices"

// Matrix products.
// A product of [m, k] and [k, p] has m·p·k multiply-adds, so 2·m·p·k FLOPs.
// matmul is the general form, with batches and transposes, and stands for the
// products of activations; linear has a weight on its right, as files store it.
func linearOps() []*Op {
	return []*Op{
		{
			// Leading axes do not broadcast beyond one case, a single b for all: grouped
			// heads repeat keys by a broadcast of their own, which fuse_attention then
			// recognises by structure.
			Name: "matmul", Doc: "Products of the matrices in the last two axes; leading axes are equal, or absent in %b.",
			Operands: []string{"a", "b"}, Results: []string{"y"}, Expensive: true,
			Attrs: []AttrSpec{
				{"trans_a", BoolAttr, false, "transpose the last two axes of a"},
				{"trans_b", BoolAttr, false, "transpose the last two axes of b"},
			},
			Infer: func(n *Node) ([]Type, error) {
				a, b := n.In(0), n.In(1)
				c := check(n).that(a.DType == b.DType, "operands have types %s and %s", a, b).float(0).
					that(a.Rank() >= 2 && b.Rank() >= 2, "operands have types %s and %s, want matrices", a, b)
				if c.err != nil {
					return nil, c.err
				}
				// y [..., m, p] = a [..., m, k] · b [..., k, p], after the transposes.
				m, k := lastTwo(a, n.Flag("trans_a"))
				k2, p := lastTwo(b, n.Flag("trans_b"))
				batch := a.Dims[:a.Rank()-2]
				c.that(k == k2, "inner sizes %s and %s differ (%s, %s)", k, k2, a, b).
					that(b.Rank() == 2 || slices.Equal(batch, b.Dims[:b.Rank()-2]), "leading axes of %s and %s differ", a, b)
				return c.types(Type{a.DType, append(slices.Clone(batch), m, p)})
			},
			// The result's elements already count the batch.
			FLOPs: func(n *Node) int64 {
				_, k := lastTwo(n.In(0), n.Flag("trans_a"))
				return 2 * n.Result().Type.Elems() * k.N
			},
			Grad: matmulGrad,
		},
		{
			// w is [out, in], row-major, the layout of PyTorch's nn.Linear and of all
			// checkpoints: each output is a dot product of two contiguous rows. There is no
			// bias, as in LLaMA; one is an add behind it.
			Name: "linear", Doc: "%x times the transpose of %w [out, in] along the last axis.",
			Operands: []string{"x", "w"}, Results: []string{"y"}, Expensive: true,
			Infer: func(n *Node) ([]Type, error) {
				x, w := n.In(0), n.In(1)
				c := check(n).float(0).float(1).atLeast(0, 1).rank(1, 2)
				if c.err != nil {
					return nil, c.err
				}
				// The result has x's element type: weights may be stored narrower.
				c.that(x.Last() == w.Dims[1], "x has type %s and w %s: widths differ", x, w)
				return c.types(Type{x.DType, append(slices.Clone(x.Dims[:x.Rank()-1]), w.Dims[0])})
			},
			// With rows X and Y = X Wᵀ: dW = dYᵀ X and dX = dY W. So the gradient of w
			// needs the forward's x, that of x none of the forward's values.
			FLOPs: linearFLOPs,
			Grad: func(g *Grads, n *Node) {
				x, w, d := n.Operands[0], n.Operands[1], g.Of(n.Result())
				if g.Needs(w) {
					g.Add(w, g.Op("linear_grad_w", gradName(w), nil, d, x))
				}
				if g.Needs(x) {
					// Take hands over the sum so far, for instance that of the
					// residual branch, to be added inside the kernel.
					g.Add(x, g.Op("linear_grad_x", gradName(x), nil, d, w, g.Take(x)))
				}
			},
		},
		{
			// dy [..., out] times w [out, in] gives [..., in].
			Name: "linear_grad_x", Doc: "%dy times %w, plus %acc: the gradient of linear's x.",
			Operands: []string{"dy", "w", "acc?"}, Results: []string{"dx"}, Group: Gradient, Expensive: true,
			NoGrad: "second derivatives are not taken", InPlace: map[int]int{0: 2},
			Infer: func(n *Node) ([]Type, error) {
				dy, w := n.In(0), n.In(1)
				c := check(n).float(0).float(1).atLeast(0, 1).rank(1, 2)
				if c.err != nil {
					return nil, c.err
				}
				t := Type{dy.DType, append(slices.Clone(dy.Dims[:dy.Rank()-1]), w.Dims[1])}
				return c.that(dy.Last() == w.Dims[0], "dy has type %s and w %s", dy, w).
					that(!n.Has(2) || n.Operands[2].Type.Equal(t), "acc does not have type %s", t).types(t)
			},
			FLOPs: func(n *Node) int64 { return 2 * n.In(0).Elems() * n.In(1).Dims[1].N },
		},
		{
			// f32 whatever the operands are: it is a sum over all rows of a batch, and
			// the optimiser's moments are made of it.
			Name: "linear_grad_w", Doc: "The transpose of %dy times %x over all rows: the gradient of linear's w.",
			Operands: []string{"dy", "x"}, Results: []string{"dw"}, Group: Gradient, Expensive: true,
			NoGrad: "second derivatives are not taken",
			Infer: func(n *Node) ([]Type, error) {
				dy, x := n.In(0), n.In(1)
				// Only the numbers of rows must agree, not how they are split into axes:
				// one side may have been reshaped by then.
				return check(n).float(0).float(1).atLeast(0, 1).atLeast(1, 1).that(dy.Rows() == x.Rows(), "dy has type %s and x %s", dy, x).
					types(TensorOf(F32, dy.Last(), x.Last()))
			},
			FLOPs: func(n *Node) int64 { return 2 * n.In(0).Elems() * n.In(1).Last().N },
		},
	}
}

// linearFLOPs is 2·rows·in·out: x has rows·in elements, w has out rows.
func linearFLOPs(n *Node) int64 { return 2 * n.In(0).Elems() * n.In(1).Dims[0].N }

// lastTwo gives the rows and columns of the matrices in t.
func lastTwo(t Type, transposed bool) (rows, cols Dim) {
	rows, cols = t.Dims[t.Rank()-2], t.Dims[t.Rank()-1]
	if transposed {
		rows, cols = cols, rows
	}
	return rows, cols
}

// matmulGrad: with op(A)·op(B) = Y, dA = dY·op(B)ᵀ and dB = op(A)ᵀ·dY, each
// transposed once more if its operand was.
// When A was transposed, A's gradient is the transpose of that of op(A):
// (dY·op(B)ᵀ)ᵀ = op(B)·dYᵀ. The flags of matmul express all eight cases, so
// nothing is moved, except where b has no batch: the product's left operand
// must have all leading axes.
func matmulGrad(g *Grads, n *Node) {
	a, b, d := n.Operands[0], n.Operands[1], g.Of(n.Result())
	ta, tb := n.Flag("trans_a"), n.Flag("trans_b")
	product := func(name string, x, y *Value, tx, ty bool) *Value {
		return g.Op("matmul", name, Attrs{"trans_a": tx, "trans_b": ty}, x, y)
	}
	if g.Needs(a) {
		switch {
		case !ta:
			g.Add(a, product(gradName(a), d, b, false, !tb))
		case b.Type.Rank() == a.Type.Rank():
			g.Add(a, product(gradName(a), b, d, tb, true))
		default: // b has no leading axes and cannot stand on the left
			g.Add(a, swapLast(g, a, product(gradName(a), d, b, false, !tb)))
		}
	}
	if !g.Needs(b) {
		return
	}
	if b.Type.Rank() == a.Type.Rank() {
		if tb {
			g.Add(b, product(gradName(b), d, a, true, ta))
		} else {
			g.Add(b, product(gradName(b), a, d, !ta, false))
		}
		return
	}
	// One b for all leading axes: flatten them into the rows.
	if ta {
		a = swapLast(g, a, a)
	}
	// dB = Σ over the batch of op(A)ᵀ·dY, which is one product of the tall
	// matrices [batch·m, k] and [batch·m, p].
	x := g.Reshape(gradName(b), a, a.Type.Rows(), a.Type.Last())
	dy := g.Reshape(gradName(b), d, d.Type.Rows(), d.Type.Last())
	if tb {
		g.Add(b, product(gradName(b), dy, x, true, false))
	} else {
		g.Add(b, product(gradName(b), x, dy, true, false))
	}
}

// swapLast transposes the last two axes of x.
// Its name is that of a gradient of name.
func swapLast(g *Grads, name, x *Value) *Value {
	perm := make([]int64, x.Type.Rank())
	for i := range perm {
		perm[i] = int64(i)
	}
	k := len(perm)
	perm[k-1], perm[k-2] = perm[k-2], perm[k-1]
	return g.Op("transpose", gradName(name), Attrs{"perm": perm}, x)
}
