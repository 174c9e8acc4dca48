package ir

import "slices"

// Losses, and the linear layer fused with one.
// A negative target is a position without a loss: padding, or a prompt. The mean
// is over the others, so the loss does not depend on how much padding a batch
// has.
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
	// The sum of many logarithms is f32 even under bf16 logits.
	scalar := func(Type) Type { return TensorOf(F32) } // whatever the logits are rounded to
	return []*Op{
		{
			// -log softmax(z)[t] = log Σ exp(z_j - max) + max - z_t: counted as five
			// operations for a logit, like softmax.
			Name: "cross_entropy", Doc: "Mean of -log softmax(%logits)[%targets] in nats over the targets that are not negative.",
			Operands: []string{"logits", "targets"}, Results: []string{"loss"},
			Infer: func(n *Node) ([]Type, error) {
				return rows(check(n), 0, 1).types(scalar(n.In(0)))
			},
			FLOPs: func(n *Node) int64 { return 5 * n.In(0).Elems() },
			// d(-log p_t)/dz_j = p_j - [j = t], over the number of targets that count,
			// and 0 in rows without a target. The probabilities are computed again, for
			// they would take as much memory as the logits.
			Grad: func(g *Grads, n *Node) {
				x := n.Operands[0]
				g.Add(x, g.Op("cross_entropy_grad", gradName(x), nil, g.Of(n.Result()), x, n.Operands[1]))
			},
		},
		{
			// Over the logits in place: a row is read to its end before it is written.
			Name: "cross_entropy_grad", Doc: "%dloss · (softmax(%logits) - onehot(%targets)) / number of targets.",
			Operands: []string{"dloss", "logits", "targets"}, Results: []string{"dlogits"}, Group: Gradient,
			NoGrad: "second derivatives are not taken", InPlace: map[int]int{0: 1},
			Infer: func(n *Node) ([]Type, error) {
				return rows(check(n).float(0).rank(0, 0), 1, 2).types(n.In(1))
			},
			FLOPs: func(n *Node) int64 { return 5 * n.In(1).Elems() },
		},
		{
			// Logits are [B·T, vocabulary], often more than all activations of a layer.
			// Chunks of rows keep what exists at a time small. Expensive is left unset:
			// it marks results worth storing, and this is one number, which the
			// gradient finds again. Package plan counts its FLOPs by name.
			Name: "linear_xent", Doc: "cross_entropy(linear(%x, %w), %targets), in chunks of rows: the logits never exist whole.",
			Operands: []string{"x", "w", "targets"}, Results: []string{"loss"}, Group: Fused,
			Infer: func(n *Node) ([]Type, error) {
				return widths(rows(check(n), 0, 2), 0, 1).types(scalar(n.In(0)))
			},
			FLOPs: linearFLOPs,
			Grad: func(g *Grads, n *Node) {
				x, w, t := n.Operands[0], n.Operands[1], n.Operands[2]
				loss := n.Result()
				// One op gives all three, since each needs the same chunk of logits.
				// The loss that it finds on the way stands in for the forward's.
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
			// Per chunk of rows with probabilities P: dZ = dloss (P - onehot) / count,
			// dX = dZ W, dW += dZᵀ X. Three products, so 6·rows·width·vocabulary.
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
