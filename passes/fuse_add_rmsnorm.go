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
// connection among them, so it stays a result. Of several norms of one sum the
// first is joined; a sum that broadcasts is not a residual connection.
var FuseAddRMSNorm = Pass{
	Name: "fuse_add_rmsnorm",
	Doc:  "Joins a residual addition with the rms_norm behind it.",
	Run:  fuseAddRMSNorm,
}

func fuseAddRMSNorm(u *Unit) error {
	for _, f := range u.Module.Funcs {
		at := map[*ir.Node]int{}
		for i, n := range f.Nodes {
			at[n] = i
		}
		uses := f.Uses()
		instead := map[*ir.Node][]*ir.Node{}
		b := ir.NewBuilder(f)
		for _, n := range f.Nodes {
			if n.Op.Name != "rms_norm" {
				continue
			}
			r, w := n.Operands[0], n.Operands[1]
			add := def(r, "add")
			if add == nil || !add.In(0).Equal(r.Type) || !add.In(1).Equal(r.Type) {
				continue
			}
			// The joined node stands where the addition stood; a weight is
			// there already, a computed gain may not be.
			place, gone := add, n
			if w.Def != nil && at[w.Def] > at[add] {
				early := func(user *ir.Node) bool { return at[user] < at[n] }
				if slices.ContainsFunc(uses[r], early) {
					continue
				}
				place, gone = n, add
			}
			k := b.Node("add_rms_norm", "r,n", n.Attrs, add.Operands[0], add.Operands[1], w)
			adopt(r, k.Results[0])
			adopt(n.Result(), k.Results[1])
			instead[place], instead[gone] = b.Nodes, nil
			b.Nodes = nil
			at[k] = at[place]
			u.Stats.count("add_rmsnorm")
		}
		if len(instead) > 0 {
			splice(f, instead)
		}
	}
	return nil
}
