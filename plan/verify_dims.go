package plan

import (
	"slices"

	"github.com/llamac/llamac/ir"
)

// verifyDims checks that every size in the plan has a number: what else is
// verified counts bytes with it.
// A symbol that no dimension declares would make the counting panic.
func (p *Plan) verifyDims(bad func(string, ...any)) (ok bool) {
	// A dimension that varies counts at its capacity: what fits then always fits.
	sizes := p.Sizes()
	// All are reported, and then the caller stops.
	ok = true
	see := func(where, name string, dims []ir.Dim) {
		for _, d := range dims {
			if n := d.Bind(sizes); !n.IsConst() {
				bad("%s: %s has the dimension %s, which has no size", where, name, d)
				ok = false
				// No tensor that a machine could hold has an axis of 2^40.
			} else if n.N < 0 || n.N > 1<<40 {
				bad("%s: %s has the dimension %s of size %d", where, name, d, n.N)
				ok = false
			}
		}
	}
	// Operands have shapes of their own, which need not be those of their buffers.
	operands := func(where string, os []Operand) {
		for _, o := range os {
			see(where, o.Name, o.Type.Dims)
		}
	}
	for _, s := range p.State {
		see("state", s.Name, s.Dims)
	}
	for _, q := range p.Programs {
		// Inputs have no place in an arena, but their sizes are counted too.
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
