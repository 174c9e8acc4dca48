package passes

import (
	"fmt"
	"maps"
	"slices"
	"strings"

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
// must be row-major, of one type and cut the same way between devices, and be
// read nowhere else in the module but in the same company: a weight tied to
// the embedding keeps its own place. The order is that of the module's
// weights, whatever the order of the nodes.
var FuseQKV = Pass{
	Name: "fuse_qkv",
	Doc:  "Packs linear layers that share their input, such as q, k and v, into one product.",
	Run:  fuseQKV,
}

func fuseQKV(u *Unit) error {
	// Weights decide, over the whole module: a pack lies in one place, and
	// every function that reads one of its members must read it in the same
	// company.
	packs := findPacks(u.Module)
	for _, f := range u.Module.Funcs {
		b := ir.NewBuilder(f)
		instead := map[*ir.Node][]*ir.Node{}
		for _, n := range f.Nodes {
			pack := packs[n]
			// The other members of this pack come by again and are already
			// gone.
			if _, done := instead[n]; done || pack == nil {
				continue
			}
			operands := []*ir.Value{n.Operands[0]}
			for _, member := range pack {
				operands = append(operands, member.Operands[1])
				// Removed, unless it is n itself, which gets the new node
				// below.
				instead[member] = nil
			}
			k := b.Node("linear_pack", "pack", nil, operands...)
			for i, member := range pack {
				adopt(member.Result(), k.Results[i])
			}
			instead[n] = b.Nodes // where the first of them stood
			b.Nodes = nil
			u.Stats.count(fmt.Sprintf("linear_pack.%d", len(pack)))
		}
		splice(f, instead)
	}
	return nil
}

// findPacks gives the members of its pack for each linear layer that is in
// one. A weight that is read in two companies takes part in none; without it
// the others' companies may come to agree or not, so the search repeats until
// all do.
//
// Each round puts at least one more weight among those that stay alone, so
// there are at most as many rounds as weights.
func findPacks(m *ir.Module) map[*ir.Node][]*ir.Node {
	order := map[*ir.Weight]int{}
	for i, w := range m.Weights {
		order[w] = i
	}
	alone := map[*ir.Weight]bool{}
	for {
		packs := map[*ir.Node][]*ir.Node{}
		company := map[*ir.Weight]string{}
		leaving := map[*ir.Weight]bool{}
		for _, f := range m.Funcs {
			// The readers are looked up in each function, as a value belongs to
			// one.
			uses := f.Uses()
			for _, n := range f.Nodes {
				for i, x := range n.Operands {
					if x == nil || x.Weight == nil || alone[x.Weight] {
						continue
					}
					// Read as anything but a linear layer's weight: a tied
					// embedding, the gain of a norm.
					with := "" // in no pack here
					if i == 1 && n.Op.Name == "linear" {
						packs[n] = packOf(n, uses[n.Operands[0]], alone, order)
						with = spell(packs[n])
					}
					old, seen := company[x.Weight]
					company[x.Weight] = with
					if with == "" || seen && old != with {
						leaving[x.Weight] = true
					}
				}
			}
		}
		if len(leaving) == 0 {
			return packs
		}
		maps.Copy(alone, leaving)
	}
}

// packOf lists the linear layers among the readers of n's input that fit n,
// in the order of their weights, or nil if n would be the only one.
//
// All weights of a pack are of one stack: those of a layer lie in the layer's
// block, others outside of it.
func packOf(n *ir.Node, readers []*ir.Node, alone map[*ir.Weight]bool, order map[*ir.Weight]int) []*ir.Node {
	w := n.Operands[1].Weight
	var pack []*ir.Node
	for _, r := range readers {
		if r.Op.Name != "linear" || r.Operands[0] != n.Operands[0] || r.Operands[1].Weight == nil {
			continue
		}
		v := r.Operands[1].Weight
		if !alone[v] && v.Layout == ir.RowMajor && w.Layout == ir.RowMajor && v.Type.DType == w.Type.DType && v.Shard == w.Shard && v.Stack == w.Stack {
			pack = append(pack, r)
		}
	}
	// Sorted, since the weights' order is the memory's, and the same for every
	// spelling of the spec.
	weight := func(n *ir.Node) int { return order[n.Operands[1].Weight] }
	slices.SortStableFunc(pack, func(a, b *ir.Node) int { return weight(a) - weight(b) })
	for i := 1; i < len(pack); i++ {
		if weight(pack[i]) == weight(pack[i-1]) {
			return nil // one weight twice
		}
	}
	if len(pack) < 2 {
		return nil
	}
	return pack
}

// spell names a pack by its weights.
func spell(pack []*ir.Node) string {
	var names []string
	for _, n := range pack {
		names = append(names, n.Operands[1].Weight.Name)
	}
	return strings.Join(names, " ")
}
