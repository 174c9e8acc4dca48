package passes

import (
	"fmt"
	"slices"

	"github.com/llamac/llamac/ir"
)

// FuseQKV packs the linear layers that read one vector into one product:
//
//	before                          after
//	%q = linear(%n, $wq)            %q, %k, %v = linear_pack(%n, $wq, $wk, $wv)
//	%k = linear(%n, $wk)
//	%v = linear(%n, $wv)
//
// One larger matrix product reads its input once and keeps the machine busier
// than three small ones, and the gradient of the input is one product with no
// sums in between. The same holds for the two inputs of a gated feed-forward,
// and for all five where attention and feed-forward run in parallel; the stats
// count packs by their size.
//
// The members of a pack lie one behind the other in memory. So their weights
// must be row-major, of one type and cut the same way between devices, and
// read by nothing else in the module: a weight tied to the embedding keeps its
// own place. The order is that of the module's weights, whatever the order of
// the nodes.
var FuseQKV = Pass{
	Name: "fuse_qkv",
	Doc:  "Packs linear layers that share their input, such as q, k and v, into one product.",
	Run:  fuseQKV,
}

func fuseQKV(u *Unit) error {
	readers, order := map[*ir.Weight]int{}, map[*ir.Weight]int{}
	for i, w := range u.Module.Weights {
		order[w] = i
	}
	for _, f := range u.Module.Funcs {
		for _, n := range f.Nodes {
			for _, x := range n.Operands {
				if x != nil && x.Weight != nil {
					readers[x.Weight]++
				}
			}
		}
	}
	fits := func(first, n *ir.Node) bool {
		w, v := first.Operands[1].Weight, n.Operands[1].Weight
		return n.Op.Name == "linear" && v != nil && readers[v] == 1 && v.Layout == ir.RowMajor &&
			n.Operands[0] == first.Operands[0] && v.Type.DType == w.Type.DType && v.Shard == w.Shard && v.Stack == w.Stack
	}
	for _, f := range u.Module.Funcs {
		uses := f.Uses()
		instead := map[*ir.Node][]*ir.Node{}
		b := ir.NewBuilder(f)
		for _, first := range f.Nodes {
			if _, done := instead[first]; done || first.Op.Name != "linear" || first.Operands[1].Weight == nil || !fits(first, first) {
				continue
			}
			var pack []*ir.Node
			for _, n := range uses[first.Operands[0]] {
				if fits(first, n) {
					pack = append(pack, n)
				}
			}
			if len(pack) < 2 {
				continue
			}
			slices.SortFunc(pack, func(a, b *ir.Node) int {
				return order[a.Operands[1].Weight] - order[b.Operands[1].Weight]
			})
			operands := []*ir.Value{first.Operands[0]}
			for _, n := range pack {
				operands = append(operands, n.Operands[1])
				instead[n] = nil
			}
			k := b.Node("linear_pack", "pack", nil, operands...)
			for i, n := range pack {
				adopt(n.Result(), k.Results[i])
			}
			instead[first] = b.Nodes
			b.Nodes = nil
			u.Stats.count(fmt.Sprintf("linear_pack.%d", len(pack)))
		}
		if len(instead) > 0 {
			splice(f, instead)
		}
	}
	return nil
}
