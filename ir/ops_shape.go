package ir

import "slices"

// Ops that make, move and reshape data.
//
// Their gradients move data back: each is the transpose of the forward as a
// linear map, so none reads a forward value. They count no FLOPs. Reshape alone
// is a View; the others copy unless a fusion makes them disappear.
func shapeOps() []*Op {
	return []*Op{
		{
			// Values are float64 whatever the type, so integers beyond 2^53 cannot be
			// written. Nothing large belongs here: tables are computed from iota.
			Name: "const", Doc: "The numbers of an attribute as a tensor.",
			Results: []string{"y"},
			Attrs: []AttrSpec{
				{"values", FloatsAttr, nil, "elements, row-major"},
				{"shape", IntsAttr, []int64{}, "empty for a scalar"},
				{"dtype", StringAttr, "f32", "element type"},
			},
			NoGrad: "has no operands", FLOPs: none,
			Infer: func(n *Node) ([]Type, error) {
				dt, ok := ParseDType(n.Str("dtype"))
				t := Type{DType: dt}
				// A scalar has an empty shape and one value.
				size := int64(1)
				for _, d := range n.Ints("shape") {
					t.Dims = append(t.Dims, Const(d))
					size *= d
				}
				return check(n).that(ok, "unknown dtype %q", n.Str("dtype")).
					that(size == int64(len(n.Floats("values"))), "%d values for shape %s", len(n.Floats("values")), t).types(t)
			},
		},
		{
			// The dims may be symbols, so that positions 0..T-1 exist before T is known;
			// a mask is the comparison of two of these.
			Name: "iota", Doc: "The index along one axis: 0, 1, 2, ... of type i32.",
			Results: []string{"y"},
			Attrs: []AttrSpec{
				{"dims", DimsAttr, nil, "shape of the result"},
				{"axis", IntAttr, int64(0), "axis that counts"},
			},
			NoGrad: "has no operands", FLOPs: none,
			Infer: func(n *Node) ([]Type, error) {
				t := Type{I32, n.DimsOf("dims")}
				return check(n).that(n.Int("axis") >= 0 && n.Int("axis") < t.Rank(), "axis %d of %s", n.Int("axis"), t).types(t)
			},
		},
		{
			// From real to bf16 or f16 ties go to the even neighbour, as IEEE 754 has
			// it. The gradient is cast back, as if rounding had the slope 1.
			Name: "cast", Doc: "%x with another element type, rounded to nearest even.",
			Operands: []string{"x"}, Results: []string{"y"},
			Attrs:       []AttrSpec{{"dtype", StringAttr, nil, "element type of the result"}},
			Elementwise: true,
			Infer: func(n *Node) ([]Type, error) {
				dt, ok := ParseDType(n.Str("dtype"))
				return check(n).that(ok, "unknown dtype %q", n.Str("dtype")).types(n.In(0).With(dt))
			},
			Grad: func(g *Grads, n *Node) {
				x := n.Operands[0]
				g.Add(x, g.Op("cast", gradName(x), Attrs{"dtype": x.Type.DType.String()}, g.Of(n.Result())))
			},
		},
		{
			// Row-major order is kept, so memory is too. A gradient is one as well.
			Name: "reshape", Doc: "%x under another shape with as many elements.",
			Operands: []string{"x"}, Results: []string{"y"},
			Attrs: []AttrSpec{{"dims", DimsAttr, nil, "new shape"}},
			View:  true, FLOPs: none,
			Infer: func(n *Node) ([]Type, error) {
				t := Type{n.In(0).DType, n.DimsOf("dims")}
				// Products of symbols have a normal form, so [B, T, 64] to [B*T, 64] is
				// seen to fit for all B and T.
				return check(n).that(t.Size() == n.In(0).Size(), "%s to %s changes the number of elements", n.In(0), t).types(t)
			},
			Grad: func(g *Grads, n *Node) {
				x := n.Operands[0]
				g.Add(x, g.Reshape(gradName(x), g.Of(n.Result()), x.Type.Dims...))
			},
		},
		{
			// It moves memory: plans have row-major buffers and columns of packs, and
			// no other strides. Fusions take the transposes of heads out.
			Name: "transpose", Doc: "%x with its axes permuted: axis i of the result is axis perm[i] of %x.",
			Operands: []string{"x"}, Results: []string{"y"},
			Attrs: []AttrSpec{{"perm", IntsAttr, nil, "source axis of each axis"}}, FLOPs: none,
			Infer: func(n *Node) ([]Type, error) {
				x, perm := n.In(0), n.Ints("perm")
				c := check(n).that(isPermutation(perm, x.Rank()), "perm %v of %s", perm, x)
				if c.err != nil {
					return nil, c.err
				}
				t := Type{DType: x.DType}
				for _, p := range perm {
					// perm reads like NumPy's: [0, 2, 1, 3] swaps heads and positions.
					t.Dims = append(t.Dims, x.Dims[p])
				}
				return c.types(t)
			},
			Grad: func(g *Grads, n *Node) {
				x := n.Operands[0]
				g.Add(x, g.Op("transpose", gradName(x), Attrs{"perm": InversePerm(n.Ints("perm"))}, g.Of(n.Result())))
			},
		},
		{
			// Explicit only where a result has to exist in full; elementwise ops
			// broadcast by themselves.
			Name: "broadcast", Doc: "%x repeated to a larger shape; axes align at the end, an axis of 1 or a missing one repeats.",
			Operands: []string{"x"}, Results: []string{"y"},
			Attrs: []AttrSpec{{"dims", DimsAttr, nil, "shape of the result"}}, FLOPs: none,
			Infer: func(n *Node) ([]Type, error) {
				t := Type{n.In(0).DType, n.DimsOf("dims")}
				u, ok := broadcastDims(n.In(0).Dims, t.Dims)
				// Joining the shapes must give the wanted one: x may not be larger.
				return check(n).that(ok && slices.Equal(u, t.Dims), "%s to %s", n.In(0), t).types(t)
			},
			Grad: func(g *Grads, n *Node) {
				x := n.Operands[0]
				g.Add(x, g.SumTo(gradName(x), g.Of(n.Result()), x.Type))
			},
		},
		{
			// One axis at a time keeps row and kernel simple; several are a chain.
			Name: "slice", Doc: "Elements from, from+step, ... below to along one axis.",
			Operands: []string{"x"}, Results: []string{"y"},
			Attrs: []AttrSpec{
				{"axis", IntAttr, nil, "axis that is cut"}, {"from", IntAttr, nil, "first index"},
				{"to", IntAttr, nil, "index after the last"}, {"step", IntAttr, int64(1), "distance of the indices"},
			}, FLOPs: none,
			Infer: func(n *Node) ([]Type, error) {
				x, a := n.In(0), n.Int("axis")
				from, to, step := n.Int("from"), n.Int("to"), n.Int("step")
				c := check(n).that(a >= 0 && a < x.Rank(), "axis %d of %s", a, x)
				if c.err != nil {
					return nil, c.err
				}
				// Indices are numbers, so the axis must be one: from and to of a symbol
				// could not be checked before bind.
				c.that(x.Dims[a].IsConst(), "axis %d of %s is not a number", a, x).
					that(step > 0 && 0 <= from && from < to && int64(to) <= x.Dims[a].N, "[%d:%d:%d] of axis %d of %s", from, to, step, a, x)
				if c.err != nil {
					return nil, c.err
				}
				t := Type{x.DType, slices.Clone(x.Dims)}
				// ceil((to - from) / step) elements.
				t.Dims[a] = Const(int64((to - from + step - 1) / step))
				return c.types(t)
			},
			Grad: func(g *Grads, n *Node) {
				x := n.Operands[0]
				// Elements that the slice left out have the gradient 0. Slices of one x,
				// as rope's two halves are, add up to all of it.
				g.Add(x, g.Op("pad", gradName(x), Attrs{
					"axis": int64(n.Int("axis")), "before": int64(n.Int("from")), "step": int64(n.Int("step")),
					"size": x.Type.Dims[n.Int("axis")].N,
				}, g.Of(n.Result())))
			},
		},
		{
			// Element i of x goes to before + i·step; the last must lie inside of size.
			Name: "pad", Doc: "Zeros, with %x at before, before+step, ... along one axis: the gradient of slice.",
			Operands: []string{"x"}, Results: []string{"y"},
			Attrs: []AttrSpec{
				{"axis", IntAttr, nil, "axis that grows"}, {"before", IntAttr, nil, "index of the first element"},
				{"step", IntAttr, int64(1), "distance of the indices"}, {"size", IntAttr, nil, "size of the axis in the result"},
			}, FLOPs: none,
			Infer: func(n *Node) ([]Type, error) {
				x, a := n.In(0), n.Int("axis")
				c := check(n).that(a >= 0 && a < x.Rank(), "axis %d of %s", a, x)
				if c.err != nil {
					return nil, c.err
				}
				before, step, size := int64(n.Int("before")), int64(n.Int("step")), int64(n.Int("size"))
				c.that(before >= 0 && step > 0, "before %d, step %d", before, step)
				// Compares without multiplying, which could overflow.
				c.that(x.Dims[a].IsConst() && before < size && x.Dims[a].N-1 <= (size-1-before)/max(1, step), "%s does not fit in %d", x, size)
				t := Type{x.DType, slices.Clone(x.Dims)}
				t.Dims[a] = Const(int64(n.Int("size")))
				return c.types(t)
			},
			Grad: func(g *Grads, n *Node) {
				x := n.Operands[0]
				a, from, step := int64(n.Int("axis")), int64(n.Int("before")), int64(n.Int("step"))
				// The first index behind the last element, not beyond it: to is as small
				// as can be, so that the slice fits whatever size is.
				g.Add(x, g.Op("slice", gradName(x), Attrs{"axis": a, "from": from, "step": step,
					"to": from + (x.Type.Dims[a].N-1)*step + 1}, g.Of(n.Result())))
			},
		},
		{
			// All other axes must be equal, and the sizes along this one numbers, for
			// a Dim cannot hold a sum of symbols.
			Name: "concat", Doc: "Tensors one after the other along one axis.",
			Operands: []string{"x..."}, Results: []string{"y"},
			Attrs: []AttrSpec{{"axis", IntAttr, nil, "axis that grows"}}, FLOPs: none,
			Infer: func(n *Node) ([]Type, error) {
				a, c := n.Int("axis"), check(n).that(len(n.Operands) > 0, "no operands")
				if c.err != nil {
					return nil, c.err
				}
				x := n.In(0)
				if c.that(a >= 0 && a < x.Rank(), "axis %d of %s", a, x); c.err != nil {
					return nil, c.err
				}
				t := Type{x.DType, slices.Clone(x.Dims)}
				// Sizes are added up from here.
				t.Dims[a] = Const(0)
				for i := range n.Operands {
					y := n.In(i)
					c.that(y.DType == x.DType && y.Rank() == x.Rank() && y.Dims[a].IsConst(), "%s has type %s beside %s", n.Op.operand(i), y, x)
					if c.err != nil {
						return nil, c.err
					}
					for j := range y.Dims {
						c.that(j == a || y.Dims[j] == x.Dims[j], "%s has type %s beside %s", n.Op.operand(i), y, x)
					}
					t.Dims[a].N += y.Dims[a].N
				}
				return c.types(t)
			},
			Grad: func(g *Grads, n *Node) {
				// Operand i gets the range of the axis in which it lies.
				a, at := n.Int("axis"), int64(0)
				for _, x := range n.Operands {
					size := x.Type.Dims[a].N
					if g.Needs(x) {
						g.Add(x, g.Op("slice", gradName(x), Attrs{"axis": int64(a), "from": at, "to": at + size}, g.Of(n.Result())))
					}
					at += size
				}
			},
		},
		{
			// ids of any shape, each replaced by a row of the table. That an id is out
			// of range no type can see.
			Name: "gather", Doc: "Rows of %table chosen by %ids: an embedding.",
			Operands: []string{"table", "ids"}, Results: []string{"y"}, FLOPs: none,
			Infer: func(n *Node) ([]Type, error) {
				c := check(n).rank(0, 2).integer(1)
				if c.err != nil {
					return nil, c.err
				}
				t := Type{n.In(0).DType, append(slices.Clone(n.In(1).Dims), n.In(0).Dims[1])}
				return c.types(t)
			},
			Grad: func(g *Grads, n *Node) {
				table := n.Operands[0]
				if g.Needs(table) {
					// The number of rows is passed on, for ids do not say how many there are.
					g.Add(table, g.Op("gather_grad", gradName(table), Attrs{"rows": []Dim{table.Type.Dims[0]}}, n.Operands[1], g.Of(n.Result())))
				}
			},
		},
		{
			// Tokens repeat, so rows are summed: dtable[v] = Σ dy over ids equal to v.
			// f32, as all gradients of weights.
			Name: "gather_grad", Doc: "Rows of %dy summed by %ids: the gradient of gather's table.",
			Operands: []string{"ids", "dy"}, Results: []string{"dtable"}, Group: Gradient,
			Attrs:  []AttrSpec{{"rows", DimsAttr, nil, "rows of the table"}},
			NoGrad: "second derivatives are not taken",
			Infer: func(n *Node) ([]Type, error) {
				c := check(n).integer(0).float(1).atLeast(1, 1).that(len(n.DimsOf("rows")) == 1, "rows %v", n.DimsOf("rows")).
					that(slices.Equal(n.In(0).Dims, n.In(1).Dims[:max(0, n.In(1).Rank()-1)]), "ids %s and dy %s", n.In(0), n.In(1))
				if c.err != nil {
					return nil, c.err
				}
				return c.types(TensorOf(F32, n.DimsOf("rows")[0], n.In(1).Last()))
			},
			// One addition for each element of dy; rows that no id names stay 0.
			FLOPs: func(n *Node) int64 { return n.In(1).Elems() },
		},
	}
}

func none(*Node) int64 { return 0 }

// isPermutation reports whether perm names each of rank axes once.
func isPermutation(perm []int64, rank int) bool {
	if len(perm) != rank {
		return false
	}
	seen := make([]bool, rank)
	for _, p := range perm {
		if p < 0 || int(p) >= rank || seen[p] {
			return false
		}
		seen[p] = true
	}
	return true
}

// InversePerm is the permutation that undoes perm.
// inv[perm[i]] = i: where axis i of the operand went.
func InversePerm(perm []int64) []int64 {
	inv := make([]int64, len(perm))
	for i, p := range perm {
		inv[p] = int64(i)
	}
	return inv
}

// broadcastDims is the shape of an elementwise result of two shapes.
// Shapes align at the end. Two axes fit if they are equal or one is the number 1;
// a symbol fits itself alone, even if it could turn out to be 1, so a result's
// type never depends on sizes.
func broadcastDims(a, b []Dim) ([]Dim, bool) {
	// a is the longer one; its leading axes have no counterpart and stay.
	if len(a) < len(b) {
		a, b = b, a
	}
	out := slices.Clone(a)
	lead := len(a) - len(b)
	for i, d := range b {
		switch e := a[lead+i]; {
		case d == e, d.Is(1):
		case e.Is(1):
			out[lead+i] = d
		default:
			return nil, false
		}
	}
	return out, true
}
