package ir

import "slices"

// Linear layers that share their input, packed into one matrix product. The
// weights lie one behind the other in memory and so do the columns of the
// results: a plan gives a pack one buffer and its members strided views.
func packOps() []*Op {
	return []*Op{
		{
			// x is read once, and one large product keeps cores busier than three small
			// ones. The weights stay separate operands, with names and gradients of
			// their own: that they lie together is for the plan.
			Name: "linear_pack", Doc: "linear(%x, %w[i]) for each weight, as one product.",
			// One result for each weight, [..., out_i].
			Operands: []string{"x", "w..."}, Results: []string{"..."}, Group: Fused, Expensive: true,
			Infer: func(n *Node) ([]Type, error) {
				x := n.In(0)
				c := check(n).float(0).atLeast(0, 1).that(len(n.Operands) > 1, "no weights")
				var t []Type
				for i := 1; i < len(n.Operands) && c.err == nil; i++ {
					if c.float(i).rank(i, 2); c.err == nil {
						c.that(n.In(i).Dims[1] == x.Last(), "x has type %s and %s %s", x, n.Op.operand(i), n.In(i))
						t = append(t, Type{x.DType, append(slices.Clone(x.Dims[:x.Rank()-1]), n.In(i).Dims[0])})
					}
				}
				return c.types(t...)
			},
			FLOPs: func(n *Node) int64 {
				var f int64
				for i := 1; i < len(n.Operands); i++ {
					f += 2 * n.In(0).Elems() * n.In(i).Dims[0].N
				}
				return f
			},
			Grad: func(g *Grads, n *Node) {
				x, ws := n.Operands[0], n.Operands[1:]
				var d []*Value
				for i, y := range n.Results {
					dy := g.Of(y)
					if dy == nil { // unused member
						zero := g.Scalar("zero", y.Type.DType, 0)
						dy = g.Op("broadcast", gradName(y), Attrs{"dims": n.Results[i].Type.Dims}, zero)
					}
					// Results and gradients come in the order of the weights.
					d = append(d, dy)
				}
				// Results are named d.w as those of single layers are.
				names := ""
				for i, w := range ws {
					if i > 0 {
						names += ","
					}
					names += gradName(w)
				}
				// All weights at once, needed or not: their gradients are rows of one product,
				// as dy is one matrix [rows, Σ out_i].
				r := g.Node("linear_pack_grad_w", names, nil, append([]*Value{x}, d...)...)
				for i, w := range ws {
					g.Add(w, r.Results[i])
				}
				if g.Needs(x) {
					// An absent acc is nil and is printed "_".
					operands := append([]*Value{g.Take(x)}, d...)
					g.Add(x, g.Op("linear_pack_grad_x", gradName(x), nil, append(operands, ws...)...))
				}
			},
			Expand: func(b *Builder, n *Node) []*Value {
				var y []*Value
				for i, w := range n.Operands[1:] {
					y = append(y, b.Op("linear", n.Results[i].Name, nil, n.Operands[0], w))
				}
				return y
			},
		},
		{
			// [dy_1 dy_2 ...] times the stacked weights: the sum over i happens inside
			// of the product, along the packed columns, and needs no additions.
			Name: "linear_pack_grad_x", Doc: "The sum of %dy[i] times %w[i], plus %acc; operands are %acc, all dy, then all w.",
			// A row has one variadic tail, so both lists share it: 2k operands behind
			// acc, the first k gradients.
			Operands: []string{"acc?", "dy_w..."}, Results: []string{"dx"}, Group: Gradient, Expensive: true,
			NoGrad: "second derivatives are not taken", InPlace: map[int]int{0: 0},
			Infer: func(n *Node) ([]Type, error) {
				k := (len(n.Operands) - 1) / 2
				c := check(n).that(k > 0 && len(n.Operands) == 1+2*k, "%d operands", len(n.Operands))
				if c.err != nil {
					return nil, c.err
				}
				// The first pair sets the type that the others must fit.
				w, dy := n.In(1+k), n.In(1)
				if c.float(1).atLeast(1, 1).rank(1+k, 2); c.err != nil {
					return nil, c.err
				}
				t := Type{dy.DType, append(slices.Clone(dy.Dims[:dy.Rank()-1]), w.Last())}
				for i := range k {
					dy, w := n.In(1+i), n.In(1+k+i)
					// Leading axes of all dy are equal: they are columns of one matrix.
					fits := w.Rank() == 2 && w.DType.Float() && dy.DType == t.DType && dy.Last() == w.Dims[0] && w.Last() == t.Last() &&
						dy.Rank() == t.Rank() && slices.Equal(dy.Dims[:t.Rank()-1], t.Dims[:t.Rank()-1])
					c.that(fits, "dy[%d] has type %s and w[%d] %s", i, dy, i, w)
				}
				return c.that(!n.Has(0) || n.In(0).Equal(t), "acc does not have type %s", t).types(t)
			},
			FLOPs: func(n *Node) int64 {
				var f int64
				k := (len(n.Operands) - 1) / 2
				for i := range k {
					// rows·out_i·in multiply-adds for each member.
					f += 2 * n.In(1+i).Elems() * n.In(1+k+i).Last().N
				}
				return f
			},
		},
		{
			// [dy_1 dy_2 ...]ᵀ x: the results lie below each other as the weights do.
			Name: "linear_pack_grad_w", Doc: "The transpose of each %dy[i] times %x.",
			Operands: []string{"x", "dy..."}, Results: []string{"..."}, Group: Gradient, Expensive: true,
			NoGrad: "second derivatives are not taken",
			Infer: func(n *Node) ([]Type, error) {
				var t []Type
				c := check(n).float(0).atLeast(0, 1)
				for i := 1; i < len(n.Operands); i++ {
					c.float(i).atLeast(i, 1).that(n.In(i).Rows() == n.In(0).Rows(), "x has type %s and %s %s", n.In(0), n.Op.operand(i), n.In(i))
					// f32, as linear_grad_w gives.
					t = append(t, TensorOf(F32, n.In(i).Last(), n.In(0).Last()))
				}
				return c.types(t...)
			},
			FLOPs: func(n *Node) int64 {
				var f int64
				for i := 1; i < len(n.Operands); i++ {
					f += 2 * n.In(i).Elems() * n.In(0).Last().N
				}
				return f
			},
		},
	}
}
