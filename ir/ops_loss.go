package ir

import "slices"

// Losses, and the linear layer fused with one.
func lossOps() []*Op {
	ids := func(c *checker, logits, targets Type) *checker {
		return c.that(slices.Equal(logits.Dims[:max(0, logits.Rank()-1)], targets.Dims), "rows of %s and targets %s differ", logits, targets)
	}
	scalar := func(Type) Type { return TensorOf(F32) } // whatever the logits are rounded to
	return []*Op{
		{
			Name: "cross_entropy", Doc: "Mean of -log softmax(%logits)[%targets] in nats over the targets that are not negative.",
			Operands: []string{"logits", "targets"}, Results: []string{"loss"},
			Infer: func(n *Node) ([]Type, error) {
				return ids(check(n).float(0).integer(1), n.In(0), n.In(1)).types(scalar(n.In(0)))
			},
			FLOPs: func(n *Node) int64 { return 5 * n.In(0).Elems() },
			Grad: func(g *Grads, n *Node) {
				x := n.Operands[0]
				g.Add(x, g.Op("cross_entropy_grad", gradName(x), nil, g.Of(n.Result()), x, n.Operands[1]))
			},
		},
		{
			Name: "cross_entropy_grad", Doc: "%dloss · (softmax(%logits) - onehot(%targets)) / number of targets.",
			Operands: []string{"dloss", "logits", "targets"}, Results: []string{"dlogits"}, Group: Gradient,
			NoGrad: "second derivatives are not taken", InPlace: map[int]int{0: 1},
			Infer: func(n *Node) ([]Type, error) {
				return ids(check(n).rank(0, 0).integer(2), n.In(1), n.In(2)).types(n.In(1))
			},
			FLOPs: func(n *Node) int64 { return 5 * n.In(1).Elems() },
		},
		{
			Name: "linear_xent", Doc: "cross_entropy(linear(%x, %w), %targets), in chunks of rows: the logits never exist whole.",
			Operands: []string{"x", "w", "targets"}, Results: []string{"loss"}, Group: Fused,
			Infer: func(n *Node) ([]Type, error) {
				return ids(check(n).float(0).rank(1, 2).integer(2), n.In(0), n.In(2)).types(scalar(n.In(0)))
			},
			FLOPs: linearFLOPs,
			Grad: func(g *Grads, n *Node) {
				x, w, t := n.Operands[0], n.Operands[1], n.Operands[2]
				loss := n.Result()
				r := g.Node("linear_xent_grad", loss.Name+","+gradName(x)+","+gradName(w), nil, g.Of(loss), x, w, t)
				g.Add(x, r.Results[1])
				g.Add(w, r.Results[2])
				g.Recomputed(loss, r.Results[0])
			},
			Expand: func(b *Builder, n *Node) []*Value {
				logits := b.Op("linear", "logits", nil, n.Operands[0], n.Operands[1])
				return []*Value{b.Op("cross_entropy", n.Result().Name, nil, logits, n.Operands[2])}
			},
		},
		{
			Name: "linear_xent_grad", Doc: "The loss of linear_xent and %dloss times its gradients, one chunk of logits at a time.",
			Operands: []string{"dloss", "x", "w", "targets"}, Results: []string{"loss", "dx", "dw"}, Group: Gradient, Expensive: true,
			NoGrad: "second derivatives are not taken",
			Infer: func(n *Node) ([]Type, error) {
				return ids(check(n).rank(0, 0).rank(2, 2).integer(3), n.In(1), n.In(3)).types(scalar(n.In(1)), n.In(1), n.In(2).With(F32))
			},
			FLOPs: func(n *Node) int64 { return 6 * n.In(1).Elems() * n.In(2).Dims[0].N },
		},
	}
}
