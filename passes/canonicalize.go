package passes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llamac/llamac/ir"
)

// Canonicalize brings a graph to the plainest spelling of the same numbers, so
// that later passes have less to know:
//
//	before                                   after
//	%s1 = slice(%x) ...                      %y = mul(%x, %r)
//	%c  = mul(const 2.0, const 0.5)
//	%z  = mul(%x, %c)
//	%t  = transpose(transpose(%z))
//	%y  = mul(%t, %r)
//
// It folds operations on constants, drops what does nothing, merges equal
// nodes and removes unread ones, again and again until nothing changes. Every
// rule keeps each bit of each result: x + 0 stays, as it turns -0 into 0, and
// reassociation is none of its business. Values that a later pass stores under
// their names (a layer's saved values) keep their nodes.
var Canonicalize = Pass{
	Name: "canonicalize",
	Doc:  "Folds constants, drops operations that do nothing, merges equal nodes and removes unread ones.",
	Run:  canonicalize,
}

func canonicalize(u *Unit) error {
	// Each of the two makes work for the other: a node that is simplified may
	// become equal to another, and operands that have become one value make
	// where(c, x, x) of a choice. It ends because every rule leaves fewer
	// nodes, or nodes nearer to the inputs.
	for _, f := range u.Module.Funcs {
		for again := true; again; {
			again = simplifyAll(u, f)
			if mergeEqual(u, f) {
				again = true
			}
		}
		// What nobody read from the beginning, if nothing else changed.
		for range sweep(f) {
			u.Stats.count("dead")
		}
	}
	return nil
}

// aliases maps values that are going to another value that is the same.
type aliases map[*ir.Value]*ir.Value

// One look-up is enough: nodes are visited in program order, so the value that
// takes over has itself been settled before.
func (a aliases) apply(vs []*ir.Value) {
	for i, v := range vs {
		if by, ok := a[v]; ok {
			vs[i] = by
		}
	}
}

// finish makes a function's results and saved values read the survivors.
func (a aliases) finish(f *ir.Func) {
	a.apply(f.Results)
	if f.Role == ir.RoleLayer {
		a.apply(f.Saved)
	}
}

// keeps reports that a value must stay the result of its own node.
func keeps(f *ir.Func, v *ir.Value) bool {
	return f.Role == ir.RoleLayer && slices.Contains(f.Saved, v)
}

// simplifyAll tries the rules on every node once, in order.
func simplifyAll(u *Unit, f *ir.Func) bool {
	changed := false
	same := aliases{}
	instead := map[*ir.Node][]*ir.Node{}
	// New nodes wait here and enter the list at the end, since the list is
	// being walked.
	b := ir.NewBuilder(f)
	for _, n := range f.Nodes {
		same.apply(n.Operands)
		// The rules speak of one result that is a function of the operands. Ops
		// with several results are left to the fusions, which come later
		// anyhow.
		if n.Op.Effect != ir.Pure || len(n.Results) != 1 {
			continue
		}
		v, rule := simplify(b, n)
		made := b.Nodes
		b.Nodes = nil
		switch y := n.Result(); {
		case v == nil:
			// Nothing simpler is known.
			continue
		case len(made) > 0 && v.Def == made[len(made)-1]:
			// The rule made a node. The old value moves to it with its name and
			// its readers, also if it is stored under that name.
			adopt(y, v)
			instead[n] = made
		case keeps(f, y):
			// The rule found a value that exists under another name. A stored
			// value cannot become that: its name is what the backward loads.
			continue
		default:
			same[y] = v
		}
		u.Stats.count(rule)
		changed = true
	}
	same.finish(f)
	splice(f, instead)
	if changed {
		sweep(f)
	}
	return changed
}

// mergeEqual makes one node of pure nodes with the same op, attributes and
// operands. It stands where the first of them stood, and reads as that with
// the plainest name, so that the result does not depend on the nodes' order.
//
// Nodes that read state stay apart: between two of them the state may have been
// written.
func mergeEqual(u *Unit, f *ir.Func) bool {
	changed := false
	same := aliases{}
	// Values are numbered as they are first seen. The numbers stand for
	// identity only, an absent operand is -1.
	ids := map[*ir.Value]int{}
	id := func(v *ir.Value) int {
		if v == nil {
			return -1
		}
		if _, ok := ids[v]; !ok {
			ids[v] = len(ids)
		}
		return ids[v]
	}
	first := map[string]*ir.Node{}
	for _, n := range f.Nodes {
		same.apply(n.Operands)
		if n.Op.Effect != ir.Pure || n.Op.Group == ir.Control || slices.ContainsFunc(n.Operands, readsState) {
			continue
		}
		operands := make([]int, len(n.Operands))
		for i, v := range n.Operands {
			operands[i] = id(v)
		}
		// x + y and y + x are the same number bit for bit in IEEE arithmetic,
		// unlike sums in another association.
		if n.Op.Commutative {
			slices.Sort(operands)
		}
		key := fmt.Sprint(n.Op.Name, operands, attrKey(n))
		old, ok := first[key]
		if !ok {
			first[key] = n
			continue
		}
		// Both names are wanted: one result is stored for the backward.
		if slices.ContainsFunc(n.Results, func(r *ir.Value) bool { return keeps(f, r) }) {
			continue
		}
		if plainer(n, old) && !slices.ContainsFunc(old.Results, func(r *ir.Value) bool { return keeps(f, r) }) {
			// Names change places instead of values, so that readers of the
			// first node need not be touched.
			old.Operands = n.Operands // perhaps commuted
			for i, r := range n.Results {
				old.Results[i].Name, r.Name = r.Name, old.Results[i].Name
			}
		}
		for i, r := range n.Results {
			same[r] = old.Results[i]
		}
		u.Stats.count("cse")
		changed = true
	}
	same.finish(f)
	if changed {
		sweep(f)
	}
	return changed
}

// plainer prefers the shorter name, then the first of the alphabet.
func plainer(n, than *ir.Node) bool {
	a, b := n.Results[0].Name, than.Results[0].Name
	return len(a) < len(b) || len(a) == len(b) && a < b
}

func readsState(v *ir.Value) bool { return v != nil && v.State != nil }

// attrKey spells the attributes that differ from their defaults.
//
// A parsed module may spell a default and a built one leave it out, and they
// mean the same node.
func attrKey(n *ir.Node) string {
	var b strings.Builder
	for _, a := range n.Op.Attrs {
		if v, ok := n.Attrs[a.Name]; ok && fmt.Sprint(v) != fmt.Sprint(a.Default) {
			fmt.Fprintf(&b, " %s=%v", a.Name, v)
		}
	}
	return b.String()
}
