package passes

import (
	"slices"

	"github.com/llamac/llamac/ir"
)

// FuseAddRMSNorm joins a residual connection with the norm behind it:
//
//	before                          after
//	%r = add(%x, %o)                %r, %n = add_rms_norm(%x, %o, $w) {eps}
//	%n = rms_norm(%r, $w) {eps}
//
// Both are bound by memory; together they read two tensors and write two,
// apart they read three. The sum has other readers, the next residual
// connection among them, so it stays a result. Of several norms of one sum
// that whose gain stands first among the module's weights is joined. A gain
// that is computed is left alone, and a sum that broadcasts is no residual
// connection.
var FuseAddRMSNorm = Pass{
	Name: "fuse_add_rmsnorm",
	Doc:  "Joins a residual addition with the rms_norm behind it.",
	Run:  fuseAddRMSNorm,
}

func fuseAddRMSNorm(u *Unit) error {
	for _, f := range u.Module.Funcs {
		uses := f.Uses()
		instead := map[*ir.Node][]*ir.Node{}
		b := ir.NewBuilder(f)
		for _, add := range f.Nodes {
			// Operands of one type: nothing is broadcast.
			if add.Op.Name != "add" || !add.In(0).Equal(add.In(1)) {
				continue
			}
			r := add.Result()
			norm := firstNorm(u.Module, r, uses[r])
			if norm == nil {
				continue
			}
			// The joined node stands where the sum stood, before all its readers.
			k := b.Node("add_rms_norm", "r,n", norm.Attrs, add.Operands[0], add.Operands[1], norm.Operands[1])
			adopt(r, k.Results[0])
			// Both results take over the old values, with their names and
			// readers.
			adopt(norm.Result(), k.Results[1])
			instead[add], instead[norm] = b.Nodes, nil
			b.Nodes = nil
			u.Stats.count("add_rmsnorm")
		}
		splice(f, instead)
	}
	return nil
}

// firstNorm picks the norm of r to join, whatever the order of the nodes.
//
// A gain with a definition may be computed behind the sum, where the joined
// node could not read it: only weights and parameters are there from the
// beginning.
func firstNorm(m *ir.Module, r *ir.Value, users []*ir.Node) *ir.Node {
	var best *ir.Node
	rank := func(n *ir.Node) (int, string) {
		return slices.Index(m.Weights, n.Operands[1].Weight), n.Result().Name
	}
	for _, n := range users {
		if n.Op.Name != "rms_norm" || n.Operands[0] != r || n.Operands[1].Def != nil {
			continue
		}
		if best != nil {
			i, name := rank(n)
			j, old := rank(best)
			if i > j || i == j && name > old {
				continue
			}
		}
		best = n
	}
	return best
}
