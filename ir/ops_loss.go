package ir

import "slices"

// Losses, and the linear layer fused with one.
func lossOps() []*Op {
	// rows checks that operand i has a row for each target.
	rows := func(c *checker, i, targets int) *checker {
		x, t := c.n.In(i), c.n.In(targets)
		return c.float(i).atLeast(i, 1).integer(targets).
			that(slices.Equal(x.Dims[:max(0, x.Rank()-1)], t.Dims), "rows of %s and targets %s differ", x, t)
	}
	// widths checks that w [vocabulary, width] fits x.
	widths := func(c *checker, x, w int) *checker {
		return c.float(w).rank(w, 2).that(c.n.In(x).Last() == c.n.In(w).Last(), "x has type %s and w %s: widths differ", c.n.In(x), c.n.In(w))
	}
	scalar := func(Type) Type { return TensorOf(F32) } // whatever the logits are rounded to
	return []*Op{
		{
			Name: "cross_entropy", Doc: "Mean of -log softmax(%logits)[%targets] in nats over the targets that are not negative.",
			Operands: []string{"logits", "targets"}, Results: []string{"loss"},
			Infer: func(n *Node) ([]Type, error) {
				return rows(check(n), 0, 1).types(scalar(n.In(0)))
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
				return rows(check(n).float(0).rank(0, 0), 1, 2).types(n.In(1))
			},
			FLOPs: func(n *Node) int64 { return 5 * n.In(1).Elems() },
		},
		{
			Name: "linear_xent", Doc: "cross_entropy(linear(%x, %w), %targets), in chunks of rows: the logits never exist whole.",
			Operands: []string{"x", "w", "targets"}, Results: []string{"loss"}, Group: Fused,
			Infer: func(n *Node) ([]Type, error) {
				return widths(rows(check(n), 0, 2), 0, 1).types(scalar(n.In(0)))
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
				return widths(rows(check(n).float(0).rank(0, 0), 1, 3), 1, 2).types(scalar(n.In(1)), n.In(1), n.In(2).With(F32))
			},
			FLOPs: func(n *Node) int64 { return 6 * n.In(1).Elems() * n.In(2).Dims[0].N },
		},
	}
}
