package ir

import "slices"

// Stacks of layers, gradients of weights and the optimiser.
//
// None of these is differentiated: they are what differentiation makes, or what
// it handles itself. Most have no FLOPs here, since what they do depends on the
// module and not on their operands.
func controlOps() []*Op {
	name := []AttrSpec{{"name", StringAttr, nil, "the stack"}}
	return []*Op{
		{
			// The layers' function comes from the module's stack of that name, so that
			// checkpointing may give ranges of layers functions of their own and leave
			// the node alone.
			Name: "stack", Doc: "Applies the stack's layers one after the other to %x; the other operands are the same for every layer.",
			Operands: []string{"x", "invariant..."}, Results: []string{"y"}, Group: Control, Attrs: name, FLOPs: none,
			// A layer maps x to the same type, or layers could not follow each other.
			// The verifier compares operands with the functions' parameters.
			Infer:  func(n *Node) ([]Type, error) { return check(n).types(n.In(0)) },
			NoGrad: "differentiate makes a backward function for the layers",
		},
		{
			// The invariant operands have no gradient: differentiate refuses a spec in
			// which one depends on a weight. Gradients of weights are added on the way,
			// which is the effect.
			Name: "stack_grad", Doc: "Runs the layers' backward functions in reverse order on what the forward stored; %dy is the gradient of the stack's result.",
			Operands: []string{"dy", "invariant..."}, Results: []string{"dx"}, Group: Control, Attrs: name, FLOPs: none,
			Infer:  func(n *Node) ([]Type, error) { return check(n).types(n.In(0)) },
			Effect: WritesGrad, NoGrad: "second derivatives are not taken",
		},
		{
			// A weight's gradient is memory of the module and no value: it outlives a
			// program, for micro-batches accumulate into it. The planner lets the node
			// that computes dw write there, where it can.
			Name: "grad_add", Doc: "Adds %dw to the gradient of %w; in the first micro-batch of a step the first addition overwrites.",
			Operands: []string{"dw", "w"}, Group: Gradient, Effect: WritesGrad, NoGrad: "second derivatives are not taken",
			Infer: func(n *Node) ([]Type, error) {
				return check(n).float(0).float(1).that(n.Operands[1].Weight != nil, "w is not a weight").
					// The shapes alone: dw is f32 even if the weight is stored in less.
					that(slices.Equal(n.In(0).Dims, n.In(1).Dims), "dw has type %s and w %s", n.In(0), n.In(1)).types()
			},
			FLOPs: func(n *Node) int64 { return n.In(0).Elems() },
		},
		{
			// It has no operands and is ordered by its effect: behind all additions,
			// before the update. Scaling by 1/accumulation turns the sum over
			// micro-batches into their mean.
			Name: "global_norm", Doc: "The square root of the sum of the squares of all gradients, after scaling by 1/accumulation.",
			Results: []string{"norm"}, Group: Optimiser, Effect: ReadsGradients, FLOPs: none, NoGrad: "outside the model",
			Infer: func(n *Node) ([]Type, error) { return check(n).types(TensorOf(F32)) },
		},
		{
			// Learning rate, betas, decay and clip are the run's, not the model's, and
			// reach the kernel beside the plan.
			Name: "adamw", Doc: "One AdamW step on all weights (Loshchilov and Hutter 2019), gradients scaled so that %norm is at most the clip.",
			Operands: []string{"norm"}, Group: Optimiser, Effect: WritesWeights, FLOPs: none, NoGrad: "outside the model",
			Infer: func(n *Node) ([]Type, error) { return check(n).rank(0, 0).types() },
		},
	}
}

// Communication between the devices of a group (Korthikanti et al. 2022). No
// pass makes these yet; they have their types so that plans and targets are
// built to hold them.
// They follow NCCL's names, and take an axis where NCCL takes flat memory.
func collectiveOps() []*Op {
	attrs := []AttrSpec{
		{"group", StringAttr, nil, `"tp" or "dp"`}, {"ways", IntAttr, nil, "devices of the group"},
		{"axis", IntAttr, int64(0), "axis that is gathered or scattered"},
	}
	// scaled gives axis a the size d·mul/div and leaves the others.
	scaled := func(mul, div func(n *Node) int64) func(n *Node) ([]Type, error) {
		return func(n *Node) ([]Type, error) {
			x, a := n.In(0), n.Int("axis")
			c := check(n).that(a >= 0 && a < x.Rank() && n.Int("ways") > 0, "axis %d of %s, %d ways", a, x, n.Int("ways"))
			if c.err != nil {
				return nil, c.err
			}
			// A symbol divides only if its coefficient does: T does not split 2 ways,
			// 2*T does.
			d, ok := x.Dims[a].Mul(Const(mul(n))).Div(Const(div(n)))
			t := Type{x.DType, append([]Dim(nil), x.Dims...)}
			t.Dims[a] = d
			return c.that(ok, "axis %d of %s does not split %d ways", a, x, n.Int("ways")).types(t)
		}
	}
	// all_reduce keeps the shape, all_gather multiplies the axis by the number of
	// devices, reduce_scatter divides it: all_reduce is the other two in a row.
	one := func(*Node) int64 { return 1 }
	ways := func(n *Node) int64 { return int64(n.Int("ways")) }
	op := func(name, doc string, infer func(n *Node) ([]Type, error)) *Op {
		return &Op{Name: name, Doc: doc, Operands: []string{"x"}, Results: []string{"y"}, Group: Collective,
			Attrs: attrs, Effect: Communicates, FLOPs: none, Infer: infer,
			NoGrad: "sharding places the matching collective in the backward itself"}
	}
	return []*Op{
		op("all_reduce", "The sum of %x over the group, on every device.", scaled(one, one)),
		op("all_gather", "The shards %x of the group side by side, on every device.", scaled(ways, one)),
		op("reduce_scatter", "The sum of %x over the group, each device keeping its shard.", scaled(one, ways)),
	}
}
