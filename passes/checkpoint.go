package passes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llamac/llamac/ir"
)

// PlanCheckpoint decides which of a layer's values the backward finds stored
// and makes the others again in the backward, just before their first reader
// (LLaMA, section 2.4: keep what is expensive, "such as the outputs of linear
// layers").
//
//	none         store all that the rules read
//	keep-linear  store the layer's input, the outputs of linear layers, of
//	             attention with its logsumexp, and the residual stream
//	full         store the layer's input
//	auto         store what costs least to leave out under a budget of bytes,
//	             in each layer its own: see planBudget
//
// A value that is dropped is a function of stored values computed by the same
// kernels as in the forward, so gradients are bit-identical under every policy.
var PlanCheckpoint = Pass{
	Name: "plan_checkpoint", Doc: "Chooses which activations are stored and recomputes the others in the backward.",
	Run: planCheckpoint, Required: true,
}

func planCheckpoint(u *Unit) error {
	if u.Config.Checkpoint == "auto" {
		return planBudget(u)
	}
	for _, s := range u.Module.Stacks {
		for i := range s.Segments {
			seg := &s.Segments[i]
			if seg.Backward == nil {
				continue
			}
			f, bwd := seg.Forward, seg.Backward
			var keep map[*ir.Value]bool
			switch u.Config.Checkpoint {
			case "", "none":
				// The backward's list may name views; what is stored is the
				// memory under them.
				keep = readDirectly(f)
			case "full":
				keep = map[*ir.Value]bool{f.Params[0]: true}
			case "keep-linear":
				keep = keepLinear(f)
			default:
				return fmt.Errorf("plan_checkpoint: no policy named %q", u.Config.Checkpoint)
			}
			recomputed := recompute(f, bwd, keep, false)
			u.Stats["stored."+f.Name] = len(f.Saved)
			u.Stats["recomputed."+bwd.Name] = recomputed
		}
		// The segments of a stack were treated one by one, and a segment whose
		// backward reads nothing stores nothing, not even its input.
		storeInputs(s)
	}
	return nil
}

// storeInputs makes all layers of a stack of several segments store their
// inputs if any of them stores something: the stored blocks follow each other,
// each with a layer's input in front, which the layer below writes.
//
// The planner refuses stacks in which some layers have that place and some do
// not (timeline.plannable).
func storeInputs(s *ir.Stack) {
	if len(s.Segments) == 1 || !slices.ContainsFunc(s.Segments, func(g ir.Segment) bool { return len(g.Forward.Saved) > 0 }) {
		return
	}
	for _, g := range s.Segments {
		if x := g.Forward.Params[0]; !slices.Contains(g.Forward.Saved, x) && g.Backward != nil {
			g.Forward.Saved = slices.Insert(g.Forward.Saved, 0, x)
			g.Backward.Saved = slices.Insert(g.Backward.Saved, 0, &ir.Value{Name: x.Name, Type: x.Type})
		}
	}
}

// readDirectly is the set of values that the backward of f reads before
// anything is recomputed.
func readDirectly(f *ir.Func) map[*ir.Value]bool {
	read := map[*ir.Value]bool{}
	for _, v := range f.Saved {
		if v = underViews(v); !fromConstants(v) {
			read[v] = true
		}
	}
	return read
}

func setOf(vs []*ir.Value) map[*ir.Value]bool {
	s := map[*ir.Value]bool{}
	for _, v := range vs {
		s[v] = true
	}
	return s
}

// fromConstants reports whether v depends on nothing: it is made again for
// free, and is no activation.
//
// An absent operand counts as a constant: it is there for free too.
func fromConstants(v *ir.Value) bool {
	if v == nil {
		return true
	}
	if v.Def == nil {
		return false
	}
	for _, o := range v.Def.Operands {
		if !fromConstants(o) {
			return false
		}
	}
	return true
}

// underViews is the value whose memory v shows.
func underViews(v *ir.Value) *ir.Value {
	for v.Def != nil && v.Def.Op.View {
		v = v.Def.Operands[0]
	}
	return v
}

// keepLinear gives the values that keep-linear stores. It starts from the
// expensive values below all that the backward reads, and then moves a stored
// value one op down where that op is its only reader: the rotated q and k in
// place of the projections, the residual stream in place of the projection
// that was added to it. Either way one value is stored, but the one that the
// backward itself reads need not be made again.
//
// The rounds end because keep only grows while anything moves. What is in it
// and no longer needed is dropped in the last one.
//
//	%p = linear(%a, $wo)      the backward reads %h, not %p: %h = add(%x, %p)
//	%h = add(%x, %p)          is stored in its place
func keepLinear(f *ir.Func) map[*ir.Value]bool {
	direct := setOf(f.Saved)
	keep := map[*ir.Value]bool{}
	for {
		needed := below(f, direct, keep)
		moved := false
		for _, n := range f.Nodes {
			for _, u := range n.Results {
				if !stopsRecompute(u) || !needed[u] || direct[u] || keep[u] {
					// The backward itself reads u, or it is kept already:
					// moving up would add a value instead of replacing one.
					continue
				}
				if v := onlyReader(f, u, needed); v != nil && !keep[v] {
					keep[v] = true
					moved = true
				}
			}
		}
		if moved {
			continue
		}
		// What is left of the expensive values has several readers, or readers
		// of another size, and is stored as it is.
		for v := range needed {
			if stopsRecompute(v) {
				keep[v] = true
			}
		}
		for v := range keep {
			if !needed[v] {
				delete(keep, v)
			}
		}
		return keep
	}
}

// stopsRecompute reports whether keep-linear never computes v again.
func stopsRecompute(v *ir.Value) bool {
	// The layer's input has no definition. A product of constants is expensive
	// and still no activation.
	return v.Def == nil || v.Def.Op.Expensive && !fromConstants(v)
}

// below is the set of values that are read when the given values are made
// again from kept and expensive ones.
func below(f *ir.Func, values, keep map[*ir.Value]bool) map[*ir.Value]bool {
	needed := map[*ir.Value]bool{}
	invariant := setOf(f.Params[1:])
	var need func(v *ir.Value)
	need = func(v *ir.Value) {
		if v == nil || !v.Local() || invariant[v] || needed[v] {
			return
		}
		needed[v] = true
		if keep[v] || stopsRecompute(v) {
			return
		}
		for _, o := range recomputeInputs(v) {
			need(o)
		}
	}
	for v := range values {
		need(v)
	}
	return needed
}

// recomputeInputs lists what making v again reads.
//
// An op such as add_rms_norm makes its norm again from its sum, so only the sum
// is read and not the operands.
func recomputeInputs(v *ir.Value) []*ir.Value {
	if n := v.Def; n.Op.Rederive != nil && v.Index > 0 {
		return n.Results[:1]
	}
	return v.Def.Operands
}

// onlyReader is the one needed cheap value that is computed from u, or nil if
// there are several or it is larger. Views are looked through.
func onlyReader(f *ir.Func, u *ir.Value, needed map[*ir.Value]bool) *ir.Value {
	var found []*ir.Value
	var visit func(u *ir.Value)
	visit = func(u *ir.Value) {
		for _, n := range f.Nodes {
			if !slices.Contains(n.Operands, u) {
				continue
			}
			for _, r := range n.Results {
				switch {
				case !needed[r] || n.Op.Expensive:
				case n.Op.View:
					visit(r)
				case slices.Contains(recomputeInputs(r), u):
					found = append(found, r)
				}
			}
		}
	}
	visit(u)
	// Sizes are symbolic products and compared as such: the same number of
	// elements for every B and T.
	if len(found) != 1 || found[0].Type.Size() != u.Type.Size() {
		return nil
	}
	return found[0]
}

// recompute makes the values that bwd loads and that are not kept again inside
// bwd, each just before its first reader, and gives their number. The layer's
// input is stored if bwd reads it, or in any case.
//
// Forward and backward are matched by names: connect gave each parameter of the
// backward the name of the forward value that it stands for.
func recompute(f, bwd *ir.Func, keep map[*ir.Value]bool, input bool) int {
	forward := map[string]*ir.Value{} // by name: forward values
	for _, p := range f.Params {
		forward[p.Name] = p
	}
	for _, n := range f.Nodes {
		for _, r := range n.Results {
			forward[r.Name] = r
		}
	}
	loads := map[*ir.Value]*ir.Value{} // forward value -> its value in bwd
	// The first parameter is the gradient of the result; those behind it are
	// the same for all layers, and there at no cost.
	for _, p := range bwd.Params[1:] {
		loads[forward[p.Name]] = p
	}
	old := setOf(bwd.Saved)
	for _, p := range bwd.Saved {
		if v := forward[p.Name]; keep[v] {
			loads[v] = p
		}
	}
	// This function holds the names that are taken, so that a node made here
	// takes none of them.
	b := ir.NewBuilder(&ir.Func{Role: ir.RoleBackward, Params: bwd.Params, Saved: bwd.Saved, Nodes: bwd.Nodes})
	used := map[*ir.Value]bool{}
	count := 0
	var available func(v *ir.Value) *ir.Value
	// available gives v's value in the backward and makes it, with all that it
	// needs, at most once. Nodes go to the end of b.Nodes, which is being
	// filled in program order: that is what puts a value just before its first
	// reader, and keeps its life short.
	available = func(v *ir.Value) *ir.Value {
		switch {
		case v == nil:
			return nil
		case v.Weight != nil:
			return bwd.WeightValue(v.Weight)
		case loads[v] != nil:
		case keep[v]:
			loads[v] = &ir.Value{Name: v.Name, Type: v.Type}
		case v.Def.Op.Rederive != nil && v.Index > 0:
			r := v.Def.Op.Rederive(b, withOperands(v.Def, bwd), v.Index, func(s *ir.Value) *ir.Value { return available(s) })
			r.Name = b.Name(v.Name + ".again")
			loads[v] = r
			count++
		default:
			operands := make([]*ir.Value, len(v.Def.Operands))
			for i, o := range v.Def.Operands {
				operands[i] = available(o)
			}
			var names []string
			for _, r := range v.Def.Results {
				names = append(names, r.Name+".again")
			}
			n := b.Node(v.Def.Op.Name, strings.Join(names, ","), v.Def.Attrs, operands...)
			// The node made all of its results at once. Those that nobody asked
			// for yet are noted as well, unless a kept one is already loaded.
			for i, r := range n.Results {
				if f := v.Def.Results[i]; loads[f] == nil && !keep[f] {
					loads[f] = r
				}
			}
			if !v.Def.Op.View {
				count++
			}
		}
		used[v] = true
		return loads[v]
	}
	nodes := bwd.Nodes
	b.Nodes = nil
	for _, n := range nodes {
		for i, o := range n.Operands {
			// Only former loads are replaced; gradients and weights are the
			// backward's own.
			if o != nil && old[o] {
				n.Operands[i] = available(forward[o.Name])
			}
		}
		b.Nodes = append(b.Nodes, n)
	}
	bwd.Nodes = b.Nodes
	// Both lists are in the order of the forward. The planner pairs them by
	// index, so they must not diverge.
	f.Saved, bwd.Saved = nil, nil
	save := func(v *ir.Value) {
		if keep[v] && used[v] {
			f.Saved = append(f.Saved, v)
			bwd.Saved = append(bwd.Saved, loads[v])
		}
	}
	// Under a budget every layer stores its input, also one whose backward
	// happens not to read it.
	if input {
		available(f.Params[0])
	}
	save(f.Params[0])
	for _, n := range f.Nodes {
		for _, r := range n.Results {
			save(r)
		}
	}
	return count
}

// withOperands is a node whose weight operands are those of another function.
//
// A weight is read through a value that belongs to one function; the node
// itself is shared with the forward and must not change.
func withOperands(n *ir.Node, f *ir.Func) *ir.Node {
	k := *n
	k.Operands = slices.Clone(n.Operands)
	for i, o := range k.Operands {
		if o != nil && o.Weight != nil {
			k.Operands[i] = f.WeightValue(o.Weight)
		}
	}
	return &k
}
