package passes

import (
	"fmt"
	"slices"

	"github.com/llamac/llamac/ir"
)

// Differentiate derives the backward program on the fused graph, by the rule
// of each op's row: there is no tape at run time.
//
//	@loss(tokens, targets)           @micro_step: forward, then the rules in
//	  x0 = gather(...)        ──▶      reverse order; a stack becomes stack_grad
//	  h  = stack(x0)                 @layer.bwd: the layer's rules in reverse;
//	  loss = linear_xent(h)            reads forward values as "loads"
//	                                 @eval: @loss as it was
//	                                 @update: the optimiser's step
//
// Every forward value that a rule reads starts out stored; plan_checkpoint
// decides which of them stay so (LLaMA, section 2.4).
var Differentiate = Pass{
	Name: "differentiate", Doc: "Derives the backward program from each op's rule.",
	Run: differentiate, Required: true,
}

func differentiate(u *Unit) error {
	m := u.Module
	loss := m.Func("loss")
	if loss == nil {
		return fmt.Errorf("differentiate: the module has no function @loss")
	}
	// Layers first: their backward settles what is stored, and stack_grad in
	// the main function needs to know nothing else about them.
	for _, s := range m.Stacks {
		for i := range s.Segments {
			seg := &s.Segments[i]
			bwd := layerBackward(seg.Forward)
			seg.Backward = bwd
			m.Funcs = append(m.Funcs, bwd)
			u.Stats["nodes."+bwd.Name] = len(bwd.Nodes)
		}
	}
	// The copy gets the gradients; @loss itself becomes @eval, with the nodes
	// that it had before.
	step := ir.CloneFunc(loss, "micro_step")
	loss.Name = "eval"
	if err := mainBackward(step); err != nil {
		return err
	}
	u.Stats["nodes.micro_step"] = len(step.Nodes)
	// The update takes no operands: gradients, weights and moments are arenas
	// that the two ops reach by their effects. It returns the norm, for the
	// log.
	update := &ir.Func{Name: "update", Role: ir.RoleMain}
	b := ir.NewBuilder(update)
	norm := b.Op("global_norm", "norm", nil)
	b.Node("adamw", "", nil, norm)
	b.Flush()
	update.Results = []*ir.Value{norm}
	// micro_step stands first and update last, the order in which programs run
	// and in which people read them.
	m.Funcs = append([]*ir.Func{step}, m.Funcs...)
	m.Funcs = append(m.Funcs, update)
	return nil
}

// activeValues tells which values of f depend on a weight or on one of the
// given parameters through floating-point ops.
//
// An integer carries no derivative, and an op with NoGrad is a step function,
// whose derivative is zero wherever it has one. A stack is active whatever its
// operands are, for its layers have weights of their own.
func activeValues(f *ir.Func, params ...*ir.Value) func(*ir.Value) bool {
	active := map[*ir.Value]bool{}
	for _, p := range params {
		active[p] = true
	}
	is := func(v *ir.Value) bool { return v != nil && (v.Weight != nil || active[v]) }
	for _, n := range f.Nodes {
		any := false
		for _, v := range n.Operands {
			any = any || is(v)
		}
		for _, r := range n.Results {
			active[r] = any && r.Type.DType.Float() && n.Op.NoGrad == "" || n.Op.Name == "stack"
		}
	}
	return is
}

// writeGrad emits the addition of a weight's gradient.
func writeGrad(b *ir.Builder) func(w, dw *ir.Value) {
	return func(w, dw *ir.Value) { b.Node("grad_add", "", nil, dw, w) }
}

// layerBackward makes the backward function of a layer and lists in both what
// passes from one to the other.
//
// What passes between the two is at first every forward value that a rule read.
func layerBackward(f *ir.Func) *ir.Func {
	bwd := &ir.Func{Name: f.Name + ".bwd", Role: ir.RoleBackward}
	// The builder works in a function that holds the forward's names, so that
	// no gradient takes one of them.
	b := ir.NewBuilder(&ir.Func{Role: ir.RoleLayer, Params: f.Params, Nodes: f.Nodes})
	x, out := f.Params[0], f.Results[0]
	dy := &ir.Value{Name: b.Name("d." + out.Name), Type: out.Type}
	g := ir.NewGrads(b, activeValues(f, x), writeGrad(b))
	g.Add(out, dy)
	reverse(g, f)
	dx := g.Of(x)
	if dx == nil { // the layer depends on its input through steps alone, or not at all
		dx = b.Op("broadcast", "d."+x.Name, ir.Attrs{"dims": x.Type.Dims}, b.Scalar("zero", x.Type.DType, 0))
	}
	bwd.Nodes = b.Nodes
	bwd.Results = []*ir.Value{dx}
	bwd.Params = []*ir.Value{dy}
	// Values that are the same in all layers come as arguments again: storing
	// them for each layer would keep L copies of one table.
	invariants := map[*ir.Value]*ir.Value{}
	for _, p := range f.Params[1:] {
		q := &ir.Value{Name: p.Name, Type: p.Type}
		invariants[p] = q
		bwd.Params = append(bwd.Params, q)
	}
	// Before the saved values are listed, so that a value which only a dead
	// node reads is not stored.
	eliminateDead(bwd)
	connect(f, bwd, invariants)
	return bwd
}

// connect replaces the forward values that bwd reads by parameters of the
// same names, in program order.
func connect(f, bwd *ir.Func, invariants map[*ir.Value]*ir.Value) {
	read := map[*ir.Value]bool{}
	for _, n := range bwd.Nodes {
		for _, v := range n.Operands {
			read[v] = true
		}
	}
	// The order of the forward in both lists; whoever reads them pairs them by
	// index.
	f.Saved, bwd.Saved = nil, nil
	loads := map[*ir.Value]*ir.Value{}
	save := func(v *ir.Value) {
		if read[v] {
			loads[v] = &ir.Value{Name: v.Name, Type: v.Type}
			f.Saved = append(f.Saved, v)
			bwd.Saved = append(bwd.Saved, loads[v])
		}
	}
	save(f.Params[0])
	for _, n := range f.Nodes {
		for _, r := range n.Results {
			save(r)
		}
	}
	for _, n := range bwd.Nodes {
		// A value belongs to one function. Weights get the backward's own value
		// for them, and what is left are the backward's own results.
		for i, v := range n.Operands {
			switch {
			case v == nil:
			case v.Weight != nil:
				n.Operands[i] = bwd.WeightValue(v.Weight)
			case loads[v] != nil:
				n.Operands[i] = loads[v]
			case invariants[v] != nil:
				n.Operands[i] = invariants[v]
			}
		}
	}
}

// mainBackward appends the backward of the main function to it. The gradient
// of the loss is 1.
func mainBackward(f *ir.Func) error {
	// A program returns one loss, and only it is differentiated.
	loss := f.Results[0]
	b := ir.NewBuilder(f)
	g := ir.NewGrads(b, activeValues(f), writeGrad(b))
	g.Add(loss, b.Scalar("d."+loss.Name, loss.Type.DType, 1))
	// The forward's nodes as they are now: rules add to the builder while the
	// list is walked.
	forward := &ir.Func{Role: f.Role, Nodes: f.Nodes}
	is := activeValues(f)
	// stack_grad returns the gradient of the carried value alone. A weight that
	// reached the layers by another operand would silently stay untrained, so
	// it is refused.
	for _, n := range f.Nodes {
		if n.Op.Name != "stack" {
			continue
		}
		for _, v := range n.Operands[1:] {
			if is(v) {
				return v.Errorf("differentiate: %%%s is the same for all layers and depends on a weight: its gradient is not taken", v.Name)
			}
		}
	}
	reverse(g, forward)
	b.Flush()
	// linear_xent_grad computes the loss along with the gradients: readers of
	// the forward's loss get that one, and the forward's node goes.
	for _, s := range g.Substitutions() {
		substitute(f, s[0], s[1])
	}
	eliminateDead(f)
	return nil
}

// substitute makes readers of v read r, which is the same number and computed
// later. Nodes between the two that come to depend on r move behind it; those
// that r is computed from go on reading v.
//
// Moving is stable: what does not depend on r stays where it was.
func substitute(f *ir.Func, v, r *ir.Value) {
	below := map[*ir.Node]bool{} // what r is computed from
	var visit func(n *ir.Node)
	visit = func(n *ir.Node) {
		if n == nil || below[n] {
			return
		}
		below[n] = true
		for _, o := range n.Operands {
			if o != nil {
				visit(o.Def)
			}
		}
	}
	visit(r.Def)
	waits := map[*ir.Node]bool{}
	var early, late []*ir.Node
	for _, n := range f.Nodes {
		// r is there: it takes its place, and all that had to wait for it
		// follows.
		if n == r.Def {
			early = append(append(early, n), late...)
			late, waits = nil, map[*ir.Node]bool{}
			continue
		}
		after := false
		for i, o := range n.Operands {
			if o == v && !below[n] {
				n.Operands[i], o = r, r
			}
			// A node waits if it reads r before r is there, or reads what
			// itself waits.
			after = after || o != nil && (o == r && !slices.Contains(early, r.Def) || o.Def != nil && waits[o.Def])
		}
		if after {
			waits[n] = true
			late = append(late, n)
		} else {
			early = append(early, n)
		}
	}
	f.Nodes = early
	for i, o := range f.Results {
		if o == v {
			f.Results[i] = r
		}
	}
}

// reverse visits f's nodes from the last to the first and applies their rules.
//
// A node is skipped if no gradient reaches it, or if none of its operands needs
// one.
func reverse(g *ir.Grads, f *ir.Func) {
	for i := len(f.Nodes) - 1; i >= 0; i-- {
		n := f.Nodes[i]
		reached, needed := false, false
		for _, r := range n.Results {
			reached = reached || g.Of(r) != nil
		}
		for _, v := range n.Operands {
			needed = needed || g.Needs(v)
		}
		switch {
		case !reached || !needed:
		// The backward's operands are those of the forward with the gradient of
		// the result in the place of the carried value.
		case n.Op.Name == "stack":
			x := n.Operands[0]
			operands := append([]*ir.Value{g.Of(n.Result())}, n.Operands[1:]...)
			d := g.Op("stack_grad", "d."+x.Name, ir.Attrs{"name": n.Str("name")}, operands...)
			if g.Needs(x) {
				g.Add(x, d)
			}
		// activeValues lets no gradient through ops with NoGrad, so this op's
		// row has neither a rule nor the reason why not.
		case n.Op.Grad == nil:
			panic(fmt.Sprintf("passes: no gradient of %s: %s", n.Op.Name, n.Op.NoGrad))
		default:
			n.Op.Grad(g, n)
		}
	}
}

// eliminateDead removes nodes without effects whose results nobody reads.
//
// From the last node to the first once: readers stand behind what they read, so
// every reader has been decided on when its operand's node is met.
func eliminateDead(f *ir.Func) int {
	live := map[*ir.Value]bool{}
	for _, r := range f.Results {
		live[r] = true
	}
	if f.Role == ir.RoleLayer {
		for _, r := range f.Saved {
			live[r] = true
		}
	}
	var kept []*ir.Node
	for i := len(f.Nodes) - 1; i >= 0; i-- {
		n := f.Nodes[i]
		keep := n.Op.Effect != ir.Pure
		for _, r := range n.Results {
			keep = keep || live[r]
		}
		if !keep {
			continue
		}
		for _, v := range n.Operands {
			live[v] = true
		}
		kept = append(kept, n)
	}
	removed := len(f.Nodes) - len(kept)
	for i, j := 0, len(kept)-1; i < j; i, j = i+1, j-1 {
		kept[i], kept[j] = kept[j], kept[i]
	}
	f.Nodes = kept
	return removed
}
