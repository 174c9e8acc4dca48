package passes

import (
	"slices"

	"github.com/llamac/llamac/ir"
)

// mergePairs puts behind each concatenation of columns [..., d/2, 2] the
// reshape to [..., d] that the pattern of interleaved pairs ends in. A reshape
// that went on to another shape, as the repetition of heads does, may have
// swallowed it:
//
//	%p = concat(a, b) : [B, H, T, 4, 2]        %p   = concat(a, b)
//	%y = reshape(%p) : [B, H, 1, T, 8]   ──▶   %p.m = reshape(%p) : [B, H, T, 8]
//	                                           %y   = reshape(%p.m)
func mergePairs(f *ir.Func) {
	b := ir.NewBuilder(f)
	var nodes []*ir.Node
	merged := map[*ir.Value]*ir.Value{}
	for _, n := range f.Nodes {
		if n.Op.Name == "reshape" && merged[n.Operands[0]] != nil && !n.Result().Type.Equal(merged[n.Operands[0]].Type) {
			n.Operands[0] = merged[n.Operands[0]]
		}
		nodes = append(nodes, n)
		if n.Op.Name != "concat" || len(n.Operands) != 2 {
			continue
		}
		p := n.Result()
		k := p.Type.Rank()
		if k < 2 || n.Int("axis") != k-1 || !p.Type.Last().Is(2) {
			continue
		}
		dims := append(slices.Clone(p.Type.Dims[:k-2]), p.Type.Dims[k-2].Mul(ir.Const(2)))
		merged[p] = b.Op("reshape", p.Name+".m", ir.Attrs{"dims": dims}, p)
		nodes = append(nodes, b.Nodes...)
		b.Nodes = nil
	}
	f.Nodes = nodes
	eliminateDead(f)
}
