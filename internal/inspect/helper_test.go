package inspect_test

import (
	"slices"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/plan"
)

// touches lists for each launch of a program the buffers that it reads or
// writes and that have lives.
func touches(q *plan.Program) [][]*plan.Buffer {
	var all [][]*plan.Buffer
	q.Walk(func(it plan.Item) {
		l, ok := it.(*plan.Launch)
		if !ok {
			return
		}
		var list []*plan.Buffer
		for _, o := range slices.Concat(l.Args, l.Results) {
			if o.Kind == plan.InBuffer && (o.Buffer.Region == plan.Scratch || o.Buffer.Region == plan.Saved) {
				list = append(list, o.Buffer)
			}
		}
		all = append(all, list)
	})
	return all
}

// constant reports whether a value is made of nothing that a run brings: such
// values are numbers within launches, or tables that several of them share.
func constant(v *ir.Value) bool {
	if v == nil || v.Def == nil || v.Def.Op.Effect != ir.Pure || v.Def.Op.Group == ir.Control {
		return false
	}
	for _, o := range v.Def.Operands {
		if !constant(o) {
			return false
		}
	}
	return true
}
