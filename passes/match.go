package passes

import (
	"slices"

	"github.com/llamac/llamac/ir"
)

// The fusions share one way of working. A matcher looks at a node as the root
// of a pattern and reads its operands backwards; it records the arithmetic it
// passed as the pattern's inner nodes. All matches of a function are collected
// first, then those whose inner nodes serve anyone else are dropped, then the
// rest are built in the place of their roots. A root's value stays the same
// object and keeps its name, so matches do not disturb each other.
//
//	match_view.go    what reshapes, transposes, slices and repetitions do to indices
//	match_emit.go    the operations that produce a wanted order of indices
//	match_scalar.go  constants, products and sums in any association
//	match_mask.go    tensors that depend on row minus column only

// graph is a function with its uses, the view that matchers have of it.
type graph struct {
	m    *ir.Module
	f    *ir.Func
	uses map[*ir.Value][]*ir.Node
}

func newGraph(m *ir.Module, f *ir.Func) *graph { return &graph{m, f, f.Uses()} }

// def is the node that defines v if its op has one of the names, or nil.
//
// The variadic names read as "one of": def(v, "mul", "div").
func def(v *ir.Value, ops ...string) *ir.Node {
	if v == nil || v.Def == nil || !slices.Contains(ops, v.Def.Op.Name) {
		return nil
	}
	return v.Def
}

// user is the only node that reads v, or nil when there are several or the
// function gives v away.
//
// A value that the function returns has a reader that no node stands for.
func (g *graph) user(v *ir.Value) *ir.Node {
	if u := g.uses[v]; len(u) == 1 && !g.f.IsResult(v) {
		return u[0]
	}
	return nil
}

// match is a pattern found: its root, the nodes that vanish with it, and how
// to build what takes the root's place.
type match struct {
	root  *ir.Node
	inner []*ir.Node // without the root
	rule  string     // counted in the pass's stats
	// build makes the new nodes and returns the value that stands for the
	// root's result: a result of a node made by b.
	build func(b *ir.Builder) *ir.Value
}

func (m *match) has(n *ir.Node) bool { return n == m.root || slices.Contains(m.inner, n) }

// fuse runs a matcher over every node of every function and rewrites what it
// finds.
//
// Matchers see the graph as it was, since nothing is built before all are
// found. A pattern cannot match what another match of this run makes: that is
// why passes are in an order, and none is run until nothing changes.
func fuse(u *Unit, find func(g *graph, n *ir.Node) *match) error {
	for _, f := range u.Module.Funcs {
		g := newGraph(u.Module, f)
		var found []*match
		for _, n := range f.Nodes {
			if m := find(g, n); m != nil {
				found = append(found, m)
			}
		}
		// Patterns are independent here: if two overlap in inner nodes both may
		// stay, and the shared nodes go with the last of their readers.
		found = g.closed(found)
		if len(found) == 0 {
			continue
		}
		b := ir.NewBuilder(f)
		instead := map[*ir.Node][]*ir.Node{}
		for _, m := range found {
			// build may read anything of the old graph: inner nodes are still
			// there, and go in sweep, where nobody reads them any more.
			adopt(m.root.Results[0], m.build(b))
			instead[m.root] = b.Nodes
			b.Nodes = nil
			u.Stats.count(m.rule)
		}
		splice(f, instead)
		sweep(f)
	}
	return nil
}

// closed keeps the matches that nobody looks into: each inner node is read
// only inside matches that contain it, directly or by way of nodes that move
// elements. Two norms of one vector share its mean square, so the sharing of
// inner nodes among matches is allowed; a second reader of attention's scores
// is not.
func (g *graph) closed(found []*match) []*match {
	owners := map[*ir.Node][]*match{}
	for _, m := range found {
		for _, n := range m.inner {
			owners[n] = append(owners[n], m)
		}
	}
	dropped := map[*match]bool{}
	// private reports that v, a result of the inner node n or n's result
	// moved, is read by matches with n in them only.
	var private func(n *ir.Node, v *ir.Value) bool
	private = func(n *ir.Node, v *ir.Value) bool {
		if g.f.IsResult(v) {
			return false
		}
		// A reader is fine if it belongs to the same match, or if it only moves
		// elements and what it makes is read by the match alone: such moves
		// need not be listed as inner.
		for _, user := range g.uses[v] {
			inside := slices.ContainsFunc(owners[n], func(m *match) bool { return !dropped[m] && m.has(user) })
			if !inside && (moved(user) != v || !private(n, user.Result())) {
				return false
			}
		}
		return true
	}
	// A match that is dropped no longer owns its nodes, which may take the
	// privacy from another: so until nothing changes.
	for again := true; again; {
		again = false
		for _, m := range found {
			if !dropped[m] && slices.ContainsFunc(m.inner, func(n *ir.Node) bool { return !private(n, n.Results[0]) }) {
				dropped[m], again = true, true
			}
		}
	}
	return slices.DeleteFunc(found, func(m *match) bool { return dropped[m] })
}

// adopt puts the old value, with its name and readers, in the place of the
// result fresh of a new node.
//
// Results are compared as pointers everywhere, so that keeping the old object
// keeps every reader, every name and every match that mentions it.
func adopt(old, fresh *ir.Value) {
	old.Def, old.Index = fresh.Def, fresh.Index
	fresh.Def.Results[fresh.Index] = old
}

// splice replaces nodes by lists of nodes, in place.
//
// A node with an empty list is removed. New nodes stand where the old one
// stood, behind all that they read.
func splice(f *ir.Func, instead map[*ir.Node][]*ir.Node) {
	var nodes []*ir.Node
	for _, n := range f.Nodes {
		if by, ok := instead[n]; ok {
			nodes = append(nodes, by...)
		} else {
			nodes = append(nodes, n)
		}
	}
	f.Nodes = nodes
}

// sweep removes the pure nodes whose results nobody reads and says how many.
func sweep(f *ir.Func) int {
	live := map[*ir.Value]bool{}
	for _, r := range f.Results {
		live[r] = true
	}
	if f.Role == ir.RoleLayer {
		for _, r := range f.Saved {
			live[r] = true
		}
	}
	// Backwards: when a node is met all of its readers have been.
	keep := make([]bool, len(f.Nodes))
	for i, n := range slices.Backward(f.Nodes) {
		keep[i] = n.Op.Effect != ir.Pure || slices.ContainsFunc(n.Results, func(r *ir.Value) bool { return live[r] })
		if keep[i] {
			for _, x := range n.Operands {
				live[x] = true
			}
		}
	}
	before := len(f.Nodes)
	i := -1
	f.Nodes = slices.DeleteFunc(f.Nodes, func(*ir.Node) bool { i++; return !keep[i] })
	return before - len(f.Nodes)
}

// count adds one to a rule's count.
func (s Stats) count(rule string) {
	if s != nil {
		s[rule]++
	}
}
