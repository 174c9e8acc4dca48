package ir

// Cost is the work of a node, function or program.
type Cost struct {
	FLOPs int64 // floating-point operations, a multiply-add counted as two
	Bytes int64 // operands read and results written, each once
}

func (c Cost) plus(d Cost) Cost { return Cost{c.FLOPs + d.FLOPs, c.Bytes + d.Bytes} }

// NodeCost is the cost of one bound node. Views and control cost nothing.
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
	case n.Op.FLOPs != nil:
		c.FLOPs = n.Op.FLOPs(n)
	case len(n.Results) > 0:
		c.FLOPs = n.Results[0].Type.Elems()
	}
	return c
}

// FuncCost is the cost of a bound function, with the layers of the stacks
// that it runs.
func FuncCost(m *Module, f *Func) Cost {
	var c Cost
	for _, n := range f.Nodes {
		c = c.plus(NodeCost(n))
		if n.Op.Name != "stack" && n.Op.Name != "stack_grad" {
			continue
		}
		for _, seg := range m.Stack(n.Str("name")).Segments {
			g := seg.Forward
			if n.Op.Name == "stack_grad" {
				g = seg.Backward
			}
			layer := FuncCost(m, g)
			k := int64(seg.To - seg.From)
			c = c.plus(Cost{layer.FLOPs * k, layer.Bytes * k})
		}
	}
	return c
}
