package passes

import (
	"slices"

	"github.com/llamac/llamac/ir"
)

// FuseLinearXent joins the output layer with the loss behind it:
//
//	before                                       after
//	%logits = linear(%x, $output)                %loss = linear_xent(%x, $output, %t)
//	%loss   = cross_entropy(%logits, %t)
//
// The logits are the largest tensor of a training step (B·T·32000 numbers, and
// as many again for their gradient). The one op works through them in chunks
// of rows and keeps none, in the spirit of section 2.4 of Touvron et al.
// (2023): do not store what can be had again.
//
// The linear layer may be spelled as a matrix product with the transposed
// weight (canonicalize has made it linear then), and rows may be merged
// between the two. Logits that anyone else reads must exist, so nothing fires.
var FuseLinearXent = Pass{
	Name: "fuse_linear_xent",
	Doc:  "Joins the output layer with its cross-entropy, so that logits are never stored whole.",
	Run:  func(u *Unit) error { return fuse(u, matchLinearXent) },
}

func matchLinearXent(g *graph, n *ir.Node) *match {
	if n.Op.Name != "cross_entropy" {
		return nil
	}
	logits, targets := n.Operands[0], n.Operands[1]
	// Reshapes between the product and the loss may only merge rows: the check
	// of the last axis below sees to it.
	var inner []*ir.Node
	for r := def(logits, "reshape"); r != nil; r = def(logits, "reshape") {
		logits, inner = r.Operands[0], append(inner, r)
	}
	l := def(logits, "linear")
	if l == nil || logits.Type.Last() != n.In(0).Last() {
		return nil
	}
	x, w := l.Operands[0], l.Operands[1]
	// The targets may have been flattened together with the logits. Looking
	// behind that spares a reshape of x, which is the larger of the two.
	rows := x.Type.Dims[:x.Type.Rank()-1]
	for r := def(targets, "reshape"); r != nil && !slices.Equal(targets.Type.Dims, rows); r = def(targets, "reshape") {
		targets = r.Operands[0]
	}
	loss := n.Result()
	return &match{
		root: n, inner: append(inner, l), rule: "linear_xent",
		build: func(b *ir.Builder) *ir.Value {
			// They are not in x's rows: x is brought to theirs, which is free,
			// since rows lie one behind the other in memory.
			if !slices.Equal(targets.Type.Dims, rows) {
				targets = n.Operands[1]
				x = b.Reshape(x.Name+".rows", x, append(slices.Clone(targets.Type.Dims), x.Type.Last())...)
			}
			return b.Op("linear_xent", loss.Name, nil, x, w, targets)
		},
	}
}
