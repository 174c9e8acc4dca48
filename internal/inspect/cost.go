package inspect

import (
	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/passes"
)

// coster counts work at the sizes of a compilation. Graphs before bind have
// symbols in their shapes, so it binds copies.
// Before bind the numbers are those that bind will put in, so that columns can
// be compared.
type coster struct{ sizes map[string]int64 }

// newCoster takes the sizes that a pipeline binds. Inference works on one flat
// list of tokens: where a graph still has a batch, it is one.
func newCoster(c passes.Config) coster {
	sizes := map[string]int64{"B": 1}
	// Fixed sizes win over the largest of those that vary.
	for _, m := range []map[string]int64{c.Capacity, c.Dims} {
		for name, n := range m {
			sizes[name] = n
		}
	}
	return coster{sizes}
}

// node is the cost of one node, 0 if a symbol has no size.
// Views and control cost nothing, as ir.NodeCost has it.
func (c coster) node(n *ir.Node) ir.Cost {
	// Copies of node, operands and results: the graph belongs to the compiler.
	k := *n
	whole := true
	bind := func(vs []*ir.Value) []*ir.Value {
		out := make([]*ir.Value, len(vs))
		for i, v := range vs {
			if v != nil {
				w := *v
				w.Type = v.Type.Bind(c.sizes)
				whole = whole && w.Type.Size().IsConst()
				out[i] = &w
			}
		}
		return out
	}
	k.Operands, k.Results = bind(n.Operands), bind(n.Results)
	if !whole {
		return ir.Cost{}
	}
	return ir.NodeCost(&k)
}

// main is the cost of one run of the module's first program: the loss, with its
// gradients from differentiate on, or the logits.
// Programs that come after the first, evaluation and update, are not part of a
// micro-batch.
func (c coster) main(m *ir.Module) ir.Cost {
	for _, f := range m.Funcs {
		if f.Role == ir.RoleMain {
			return ir.FuncCost(m, f, c.node)
		}
	}
	return ir.Cost{}
}
