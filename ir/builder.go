package ir

import (
	"fmt"
	"slices"
	"strings"
)

// Builder appends nodes to a function. A builder never fails on well-formed
// requests; an ill-typed node is a bug of the caller and panics with the
// verifier's message. Callers that build from outside input check first or
// use TryOp.
// Nodes are kept apart from the function until Flush. So a pass can put them in
// the middle of a function, and a rule can look back at what it just made.
type Builder struct {
	F     *Func
	Nodes []*Node // nodes made, in order; Flush moves them to the function's end
	// Names in use in the function, and those given out here, which are never
	// given back even if the value comes to nothing.
	taken map[string]bool
}

// NewBuilder makes a builder whose names do not clash with those of f.
func NewBuilder(f *Func) *Builder { return &Builder{F: f, taken: f.Names()} }

// Flush appends the nodes made so far to the function.
func (b *Builder) Flush() {
	b.F.Nodes = append(b.F.Nodes, b.Nodes...)
	b.Nodes = nil
}

// Name reserves a name that starts with base and is unique in the function.
// A suffix counts from 1: %q, %q.1, %q.2. The result depends on what was asked
// before and on nothing else, so the same passes give the same names.
func (b *Builder) Name(base string) string {
	name := base
	for i := 1; b.taken[name]; i++ {
		name = fmt.Sprintf("%s.%d", base, i)
	}
	b.taken[name] = true
	return name
}

// Param adds a parameter.
func (b *Builder) Param(name string, t Type) *Value {
	v := &Value{Name: b.Name(name), Type: t}
	b.F.Params = append(b.F.Params, v)
	return v
}

// TryOp appends a node and reports an ill-typed one as an error. Results are
// named after base; several results get the names of the op's row as suffix
// unless base holds comma-separated names.
// With base "o", attention's results are %o.o and %o.lse; with "o,l" they are %o
// and %l. A row whose results are "..." has no names to give: its callers pass
// them all.
func (b *Builder) TryOp(op, base string, attrs Attrs, operands ...*Value) (*Node, error) {
	row := Lookup(op)
	if row == nil {
		return nil, fmt.Errorf("no op named %q", op)
	}
	n := &Node{Op: row, Operands: operands, Attrs: attrs}
	// Number and attributes first: Infer may then read them without asking.
	if err := checkNode(n); err != nil {
		return nil, err
	}
	types, err := row.Infer(n)
	if err != nil {
		return nil, err
	}
	names := strings.Split(base, ",")
	for i, t := range types {
		name := base
		switch {
		case len(names) == len(types):
			name = names[i]
		case len(types) > 1 && i < len(row.Results):
			name = base + "." + row.Results[i]
		}
		n.Results = append(n.Results, &Value{Name: b.Name(name), Type: t, Def: n, Index: i})
	}
	b.Nodes = append(b.Nodes, n)
	return n, nil
}

// Node appends a node.
func (b *Builder) Node(op, base string, attrs Attrs, operands ...*Value) *Node {
	n, err := b.TryOp(op, base, attrs, operands...)
	if err != nil {
		panic("ir: building %" + base + ": " + err.Error())
	}
	return n
}

// Op appends a node and gives its first result.
// It is for ops with one result, and for those of whose results only the first
// is wanted.
func (b *Builder) Op(op, base string, attrs Attrs, operands ...*Value) *Value {
	return b.Node(op, base, attrs, operands...).Results[0]
}

// Scalar appends a constant of rank 0.
func (b *Builder) Scalar(base string, t DType, x float64) *Value {
	return b.Op("const", base, Attrs{"values": []float64{x}, "dtype": t.String()})
}

// Reshape appends a reshape unless the shape is already right.
// So rules need not ask whether there was a broadcast or a flattening to undo.
func (b *Builder) Reshape(base string, x *Value, dims ...Dim) *Value {
	if x.Type.Equal(Type{x.Type.DType, dims}) {
		return x
	}
	return b.Op("reshape", base, Attrs{"dims": dims}, x)
}

// SumTo reduces x to the shape of t, undoing a broadcast.
// From [B, T, 4] to [4] it sums axes 0 and 1; from [B, 4] to [1, 4] axis 0, and
// the reshape puts the axis of size 1 back. It is the transpose of broadcasting
// as a linear map, which repeats: what was copied k times gets k gradients.
func (b *Builder) SumTo(base string, x *Value, t Type) *Value {
	// Shapes align at the end, so these axes of x have no counterpart in t.
	lead := x.Type.Rank() - t.Rank()
	var axes []int64
	for i, d := range x.Type.Dims {
		if i < lead || (t.Dims[i-lead] != d && t.Dims[i-lead].Is(1)) {
			axes = append(axes, int64(i))
		}
	}
	if len(axes) > 0 {
		x = b.Op("reduce_sum", base, Attrs{"axes": axes}, x)
	}
	return b.Reshape(base, x, t.Dims...)
}

// Grads collects the gradients of a function's values while its nodes are
// visited in reverse. A rule reads the gradient of its node's results with Of
// and hands on those of the operands with Add.
// This is reverse-mode differentiation by source transformation: the result is
// ordinary nodes, which later passes fuse, schedule and place like any others.
type Grads struct {
	*Builder
	d map[*Value]*Value
	// Active values depend on a weight, or on a layer's input; for the rest no
	// gradient is built, which keeps masks, tables and token ids out of it.
	active func(*Value) bool
	write  func(w, dw *Value)
	same   [][2]*Value
}

// NewGrads makes an empty collection. active tells which values need a
// gradient; write receives the gradient of each weight.
func NewGrads(b *Builder, active func(*Value) bool, write func(w, dw *Value)) *Grads {
	return &Grads{Builder: b, d: map[*Value]*Value{}, active: active, write: write}
}

// Of is the gradient of v collected so far, or nil.
// Since nodes are visited in reverse, all readers of v have added theirs by the
// time the node that defines v asks.
func (g *Grads) Of(v *Value) *Value { return g.d[v] }

// Needs reports whether v needs a gradient.
func (g *Grads) Needs(v *Value) bool { return v != nil && g.active(v) }

// Add adds d to the gradient of v.
// A value read in several places has several contributions, summed in the order
// of the visit: a fixed order, since floating-point sums depend on it. Those of
// a weight are handed on one by one, for its gradient is memory that
// accumulates over layers' readers and micro-batches anyway.
func (g *Grads) Add(v, d *Value) {
	switch old := g.d[v]; {
	case !g.Needs(v):
	case v.Weight != nil:
		g.write(v, d)
	case old == nil:
		g.d[v] = d
	default:
		g.d[v] = g.Op("add", gradName(v), nil, old, d)
	}
}

// Take removes and returns the gradient of v collected so far, so that a rule
// can fold the sum into the node that computes its own part; the rule then
// Adds the total. It is nil when there is none yet.
// It saves a pass over memory for each residual connection: without it the sum
// of two gradients of activations would be an add of its own. The kernel may
// then even write over the operand that it adds, as InPlace says.
func (g *Grads) Take(v *Value) *Value {
	// Never collected here: see Add.
	if v.Weight != nil {
		return nil
	}
	d := g.d[v]
	delete(g.d, v)
	return d
}

// through takes the gradient of a node by way of its expansion: it computes the
// node again from simpler ones and applies their rules.
// It is for rare cases, where a rule of its own would be code that nobody runs.
func (g *Grads) through(n *Node, expand func(*Builder, *Node) []*Value) {
	start := len(g.Nodes)
	again := expand(g.Builder, n)
	nodes := slices.Clone(g.Nodes[start:])
	// The values in between are new, so the outside knows nothing of them. All
	// that hold reals are active; what needs no gradient in the end is dead code.
	made := map[*Value]bool{}
	for _, m := range nodes {
		for _, r := range m.Results {
			made[r] = r.Type.DType.Float()
		}
	}
	outside := g.active
	g.active = func(v *Value) bool { return made[v] || outside(v) }
	// The gradients that reached the node's results reach those of its double.
	for i, r := range again {
		if d := g.Of(n.Results[i]); d != nil {
			g.Add(r, d)
		}
	}
	for i := len(nodes) - 1; i >= 0; i-- {
		m := nodes[i]
		if m.Op.Grad != nil && g.Of(m.Results[0]) != nil {
			m.Op.Grad(g, m)
		}
	}
	g.active = outside
}

// gradName is the name of the gradient of v.
// By it one finds the gradient of %x in a dump, as %d.x.
func gradName(v *Value) string {
	if v.Weight != nil {
		return "d." + v.Weight.Name
	}
	return "d." + v.Name
}

// Recomputed says that r is the same number as v, computed again by the
// gradient: readers of v may read r, which leaves v's own node unused.
// So does linear_xent: its gradient makes the logits again, chunk by chunk, and
// with them the loss, so the forward's own product need not run in training.
func (g *Grads) Recomputed(v, r *Value) { g.same = append(g.same, [2]*Value{v, r}) }

// Substitutions lists the pairs given to Recomputed.
func (g *Grads) Substitutions() [][2]*Value { return g.same }
