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
type Builder struct {
	F     *Func
	Nodes []*Node // nodes made, in order; Flush moves them to the function's end
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
func (b *Builder) TryOp(op, base string, attrs Attrs, operands ...*Value) (*Node, error) {
	row := Lookup(op)
	if row == nil {
		return nil, fmt.Errorf("no op named %q", op)
	}
	n := &Node{Op: row, Operands: operands, Attrs: attrs}
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
func (b *Builder) Op(op, base string, attrs Attrs, operands ...*Value) *Value {
	return b.Node(op, base, attrs, operands...).Results[0]
}

// Scalar appends a constant of rank 0.
func (b *Builder) Scalar(base string, t DType, x float64) *Value {
	return b.Op("const", base, Attrs{"values": []float64{x}, "dtype": t.String()})
}

// Reshape appends a reshape unless the shape is already right.
func (b *Builder) Reshape(base string, x *Value, dims ...Dim) *Value {
	if x.Type.Equal(Type{x.Type.DType, dims}) {
		return x
	}
	return b.Op("reshape", base, Attrs{"dims": dims}, x)
}

// SumTo reduces x to the shape of t, undoing a broadcast.
func (b *Builder) SumTo(base string, x *Value, t Type) *Value {
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
type Grads struct {
	*Builder
	d      map[*Value]*Value
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
func (g *Grads) Of(v *Value) *Value { return g.d[v] }

// Needs reports whether v needs a gradient.
func (g *Grads) Needs(v *Value) bool { return v != nil && g.active(v) }

// Add adds d to the gradient of v.
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
func (g *Grads) Take(v *Value) *Value {
	if v.Weight != nil {
		return nil
	}
	d := g.d[v]
	delete(g.d, v)
	return d
}

// through takes the gradient of a node by way of its expansion: it computes the
// node again from simpler ones and applies their rules.
func (g *Grads) through(n *Node, expand func(*Builder, *Node) []*Value) {
	start := len(g.Nodes)
	again := expand(g.Builder, n)
	nodes := slices.Clone(g.Nodes[start:])
	made := map[*Value]bool{}
	for _, m := range nodes {
		for _, r := range m.Results {
			made[r] = r.Type.DType.Float()
		}
	}
	outside := g.active
	g.active = func(v *Value) bool { return made[v] || outside(v) }
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
func gradName(v *Value) string {
	if v.Weight != nil {
		return "d." + v.Weight.Name
	}
	return "d." + v.Name
}

// Recomputed says that r is the same number as v, computed again by the
// gradient: readers of v may read r, which leaves v's own node unused.
func (g *Grads) Recomputed(v, r *Value) { g.same = append(g.same, [2]*Value{v, r}) }

// Substitutions lists the pairs given to Recomputed.
func (g *Grads) Substitutions() [][2]*Value { return g.same }
