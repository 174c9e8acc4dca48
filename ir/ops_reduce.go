package ir

import "slices"

// Reductions over axes.
// Softmax is among them, since it has two of them inside.
func reduceOps() []*Op {
	// red makes a row that takes away axes, or leaves them with size 1 for a later
	// broadcast. Axes are listed ascending and once, so that equal reductions have
	// equal attributes and merge.
	red := func(name, doc string) *Op {
		return &Op{
			Name: name, Doc: doc, Operands: []string{"x"}, Results: []string{"y"},
			Attrs: []AttrSpec{
				{"axes", IntsAttr, nil, "axes that vanish, ascending"},
				{"keep", BoolAttr, false, "keep them with size 1"},
			},
			Infer: func(n *Node) ([]Type, error) {
				x, axes := n.In(0), n.Ints("axes")
				c := check(n).float(0).that(ascending(axes) && len(axes) > 0, "axes %v", axes)
				t := Type{DType: x.DType}
				for i, d := range x.Dims {
					switch gone := slices.Contains(axes, int64(i)); {
					case !gone:
						t.Dims = append(t.Dims, d)
					// A kept axis has size 1 and broadcasts against x again.
					case n.Flag("keep"):
						t.Dims = append(t.Dims, Const(1))
					}
				}
				for _, a := range axes {
					// An axis out of range was ignored above, so the type is wrong by
					// now, and is not handed out.
					c.that(a >= 0 && int(a) < x.Rank(), "axis %d of %s", a, x)
				}
				return c.types(t)
			},
			// One addition or comparison for each element that goes in.
			FLOPs: func(n *Node) int64 { return n.In(0).Elems() },
		}
	}
	// spread gives the gradient of a reduction's result the shape of its
	// operand with the reduced axes of size 1.
	// Whether or not the axes were kept, what comes out broadcasts against x.
	spread := func(g *Grads, n *Node, d *Value) *Value {
		dims := slices.Clone(n.In(0).Dims)
		for _, a := range n.Ints("axes") {
			dims[a] = Const(1)
		}
		return g.Reshape(d.Name, d, dims...)
	}
	sum := red("reduce_sum", "Sum over axes.")
	// Every element had the weight 1: repeat d along the axes.
	sum.Grad = func(g *Grads, n *Node) {
		x := n.Operands[0]
		g.Add(x, g.Op("broadcast", gradName(x), Attrs{"dims": x.Type.Dims}, spread(g, n, g.Of(n.Result()))))
	}
	mean := red("reduce_mean", "Mean over axes.")
	// dx = d / count. The count may be a symbol, B or T, so it cannot be a
	// constant here: it is the sum of ones along the axes.
	mean.Grad = func(g *Grads, n *Node) {
		x := n.Operands[0]
		ones := g.Op("broadcast", gradName(x), Attrs{"dims": x.Type.Dims}, g.Scalar("one", x.Type.DType, 1))
		share := g.Op("reduce_mean", gradName(x), Attrs{"axes": n.Ints("axes"), "keep": true}, ones) // 1
		count := g.Op("reduce_sum", gradName(x), Attrs{"axes": n.Ints("axes"), "keep": true}, ones)
		w := g.Op("div", gradName(x), nil, share, count)
		g.Add(x, g.Op("mul", gradName(x), nil, ones, g.Op("mul", gradName(x), nil, spread(g, n, g.Of(n.Result())), w)))
	}
	maxOp := red("reduce_max", "Largest element over axes.")
	// dx = d · [x = y] / number of such x. The mask compares with what the
	// reduction itself picked out, so equality of floats is exact.
	maxOp.Grad = func(g *Grads, n *Node) {
		x := n.Operands[0]
		// Ties share the gradient equally.
		top := g.Op("broadcast", gradName(x), Attrs{"dims": x.Type.Dims}, spread(g, n, n.Result()))
		hit := g.Op("cast", gradName(x), Attrs{"dtype": x.Type.DType.String()}, g.Op("equal", gradName(x), nil, x, top))
		hits := g.Op("reduce_sum", gradName(x), Attrs{"axes": n.Ints("axes"), "keep": true}, hit)
		d := g.Op("div", gradName(x), nil, spread(g, n, g.Of(n.Result())), hits)
		g.Add(x, g.Op("mul", gradName(x), nil, hit, d))
	}
	// Five operations for an element: the largest, minus it, exp, sum, division.
	softmax := &Op{
		Name: "softmax", Doc: "exp(%x) over its sum along the last axis.", Operands: []string{"x"}, Results: []string{"y"},
		Infer: func(n *Node) ([]Type, error) {
			return check(n).float(0).that(n.In(0).Rank() > 0, "scalar").types(n.In(0))
		},
		FLOPs:   func(n *Node) int64 { return 5 * n.In(0).Elems() },
		InPlace: map[int]int{0: 0},
		// ∂y_j/∂x_i = y_j (δ_ij - y_i), so dx_i = y_i (dy_i - Σ_j dy_j y_j): it
		// reads y and not x, which need not be stored.
		Grad: func(g *Grads, n *Node) {
			x := n.Operands[0]
			g.Add(x, g.Op("softmax_grad", gradName(x), nil, g.Of(n.Result()), n.Result()))
		},
		// softmax(x) = softmax(x - c); with c the row's largest no exp overflows
		// and the sum is 1 at least.
		Expand: func(b *Builder, n *Node) []*Value {
			x := n.Operands[0]
			last := Attrs{"axes": []int64{int64(x.Type.Rank() - 1)}, "keep": true}
			e := b.Op("exp", "e", nil, b.Op("sub", "shifted", nil, x, b.Op("reduce_max", "top", last, x)))
			return []*Value{b.Op("div", n.Result().Name, nil, e, b.Op("reduce_sum", "sum", last, e))}
		},
	}
	// Product, sum, difference, product: four for an element. Over dy in place,
	// because the kernel has the row's sum before it writes the row.
	softmaxGrad := &Op{
		Name: "softmax_grad", Doc: "%y · (%dy - sum(%dy · %y)) along the last axis.", Operands: []string{"dy", "y"}, Results: []string{"dx"},
		Group: Gradient, NoGrad: "second derivatives are not taken", InPlace: map[int]int{0: 0},
		Infer: func(n *Node) ([]Type, error) { return check(n).float(0).atLeast(0, 1).same(0, 1).types(n.In(0)) },
		FLOPs: func(n *Node) int64 { return 4 * n.In(0).Elems() },
	}
	return []*Op{sum, mean, maxOp, softmax, softmaxGrad}
}

// ascending reports whether each number is larger than the one before.
func ascending(xs []int64) bool {
	for i := 1; i < len(xs); i++ {
		if xs[i] <= xs[i-1] {
			return false
		}
	}
	return true
}
