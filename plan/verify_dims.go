package plan

import (
	"slices"

	"github.com/llamac/llamac/ir"
)

// verifyDims checks that every size in the plan has a number: what else is
// verified counts bytes with it.
func (p *Plan) verifyDims(bad func(string, ...any)) (ok bool) {
	sizes := p.Sizes()
	ok = true
	see := func(where, name string, dims []ir.Dim) {
		for _, d := range dims {
			if n := d.Bind(sizes); !n.IsConst() {
				bad("%s: %s has the dimension %s, which has no size", where, name, d)
				ok = false
			} else if n.N < 0 || n.N > 1<<40 {
				bad("%s: %s has the dimension %s of size %d", where, name, d, n.N)
				ok = false
			}
		}
	}
	operands := func(where string, os []Operand) {
		for _, o := range os {
			see(where, o.Name, o.Type.Dims)
		}
	}
	for _, s := range p.State {
		see("state", s.Name, s.Dims)
	}
	for _, q := range p.Programs {
		for _, b := range slices.Concat(q.Inputs, q.Buffers) {
			see(q.Name, b.Name, b.Dims)
		}
		q.Walk(func(it Item) {
			switch x := it.(type) {
			case *Launch:
				operands(q.Name, x.Args)
				operands(q.Name, x.Results)
			case *Copy:
				operands(q.Name, []Operand{x.Dst, x.Src})
			}
		})
		operands(q.Name, q.Results)
	}
	return ok
}
