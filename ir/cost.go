package ir

// Cost is the work of a node, function or program.
// It is the cost of an ideal machine: a roofline's two axes. Bytes assume that
// every operand comes from memory once and every result goes there once, which
// is a floor for big tensors and more than a cache-sized one really costs.
type Cost struct {
	FLOPs int64 // floating-point operations, a multiply-add counted as two
	Bytes int64 // operands read and results written, each once
}

func (c Cost) plus(d Cost) Cost { return Cost{c.FLOPs + d.FLOPs, c.Bytes + d.Bytes} }

// NodeCost is the cost of one bound node. Views and control cost nothing.
// Types must be numbers: bind first. An embedding counts its whole table as
// read, which is too much where a batch has fewer tokens than the vocabulary.
func NodeCost(n *Node) Cost {
	if n.Op.View || n.Op.Group == Control {
		return Cost{}
	}
	var c Cost
	for _, v := range n.Operands {
		if v != nil {
			c.Bytes += v.Type.Bytes()
		}
	}
	for _, v := range n.Results {
		c.Bytes += v.Type.Bytes()
	}
	switch {
	// A row that is silent means one operation per element, as elementwise ops
	// have. A node without results and without a count has no arithmetic.
	case n.Op.FLOPs != nil:
		c.FLOPs = n.Op.FLOPs(n)
	case len(n.Results) > 0:
		c.FLOPs = n.Results[0].Type.Elems()
	}
	return c
}

// FuncCost is the cost of a function, with the layers of the stacks that it
// runs, where node prices one node: NodeCost in a bound graph.
// Layers are multiplied and not visited: a segment's cost is that of one layer
// times their number, since all share the function.
func FuncCost(m *Module, f *Func, node func(*Node) Cost) Cost {
	var c Cost
	for _, n := range f.Nodes {
		c = c.plus(node(n))
		// The node itself cost nothing; what it runs is in the functions.
		if n.Op.Name != "stack" && n.Op.Name != "stack_grad" {
			continue
		}
		for _, seg := range m.Stack(n.Str("name")).Segments {
			g := seg.Forward
			if n.Op.Name == "stack_grad" {
				g = seg.Backward
			}
			layer := FuncCost(m, g, node)
			k := int64(seg.To - seg.From)
			c = c.plus(Cost{layer.FLOPs * k, layer.Bytes * k})
		}
	}
	return c
}
