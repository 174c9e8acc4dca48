package ir

import (
	"maps"
	"slices"
)

// Clone copies a module. If bind is not nil, symbols with a value in it become
// numbers everywhere, declarations included.
// The copy shares nothing with m that a pass may change: several compilations,
// or one stopped at each pass, start from the same module. Types whose dims
// hold no bound symbol print as before.
func Clone(m *Module, bind map[string]int64) *Module {
	// Weights and state go first, since functions point at them, and functions
	// before stacks for the same reason: each map is full before it is asked.
	c := &cloner{bind: bind, weights: map[*Weight]*Weight{}, state: map[*State]*State{}, funcs: map[*Func]*Func{}}
	out := &Module{Name: m.Name}
	for _, d := range m.Dims {
		// A symbol that became a number has nothing left to declare.
		if _, bound := bind[d.Name]; !bound {
			out.Dims = append(out.Dims, d)
		}
	}
	for _, w := range m.Weights {
		k := *w
		k.Type = w.Type.Bind(bind)
		k.Names = maps.Clone(w.Names)
		c.weights[w] = &k
		out.Weights = append(out.Weights, &k)
	}
	for _, s := range m.State {
		k := *s
		k.Type = s.Type.Bind(bind)
		c.state[s] = &k
		out.State = append(out.State, &k)
	}
	for _, f := range m.Funcs {
		k := c.function(f)
		c.funcs[f] = k
		out.Funcs = append(out.Funcs, k)
	}
	for _, s := range m.Stacks {
		k := &Stack{Name: s.Name}
		for _, seg := range s.Segments {
			k.Segments = append(k.Segments, Segment{seg.From, seg.To, c.funcs[seg.Forward], c.funcs[seg.Backward]})
		}
		out.Stacks = append(out.Stacks, k)
	}
	return out
}

// CloneFunc copies a function of the same module under another name.
// It refers to the same weights and state: the cloner's maps are empty, so
// pointers to them are kept. Values and nodes are new.
func CloneFunc(f *Func, name string) *Func {
	k := (&cloner{}).function(f)
	k.Name = name
	return k
}

// cloner maps what belongs to the module from the old to the new. The maps of
// CloneFunc are nil, which reading allows.
type cloner struct {
	bind    map[string]int64
	weights map[*Weight]*Weight
	state   map[*State]*State
	funcs   map[*Func]*Func
}

// function copies one function. Values are mapped as they are defined, so the
// function must be in order, and what is read is always known already.
func (c *cloner) function(f *Func) *Func {
	k := &Func{Name: f.Name, Role: f.Role}
	// An absent operand maps to an absent operand.
	values := map[*Value]*Value{nil: nil}
	define := func(v *Value, def *Node) *Value {
		x := &Value{Name: v.Name, Type: v.Type.Bind(c.bind), Def: def, Index: v.Index}
		values[v] = x
		return x
	}
	// all keeps nil apart from empty: the text form of a clone has the same bytes.
	all := func(vs []*Value, f func(*Value) *Value) []*Value {
		if vs == nil {
			return nil
		}
		out := make([]*Value, len(vs))
		for i, v := range vs {
			out[i] = f(v)
		}
		return out
	}
	// In a backward function Saved are parameters, so they are defined here, before
	// the nodes; in a layer they are read, so that is done after them.
	k.Params = all(f.Params, func(v *Value) *Value { return define(v, nil) })
	if f.Role == RoleBackward {
		k.Saved = all(f.Saved, func(v *Value) *Value { return define(v, nil) })
	}
	// use finds the copy of an operand. Weights and state are interned per function,
	// so the copy must ask its own function for them and not reuse the old values.
	use := func(v *Value) *Value {
		switch {
		case v == nil || v.Local():
			return values[v]
		case v.Weight != nil:
			if w := c.weights[v.Weight]; w != nil {
				return k.WeightValue(w)
			}
			return k.WeightValue(v.Weight)
		}
		if s := c.state[v.State]; s != nil {
			return k.StateValue(s)
		}
		return k.StateValue(v.State)
	}
	for _, n := range f.Nodes {
		m := &Node{Op: n.Op, Operands: all(n.Operands, use)}
		if n.Attrs != nil {
			m.Attrs = Attrs{}
			for name, a := range n.Attrs {
				// Attributes that hold lists are copied as well: a rewrite may write
				// into one. Dims bind like those of a type.
				switch list := a.(type) {
				case []Dim:
					a = Type{Dims: list}.Bind(c.bind).Dims
				case []int64:
					a = slices.Clone(list)
				case []float64:
					a = slices.Clone(list)
				}
				m.Attrs[name] = a
			}
		}
		m.Results = all(n.Results, func(v *Value) *Value { return define(v, m) })
		k.Nodes = append(k.Nodes, m)
	}
	k.Results = all(f.Results, use)
	if f.Role != RoleBackward {
		k.Saved = all(f.Saved, use)
	}
	return k
}

// ReplaceFuncs puts new functions in the place of old ones, in stacks as well.
// A rewrite that makes a new function has to change both, or the stack would go
// on running the old one, which the verifier reports as no function of the
// module.
func (m *Module) ReplaceFuncs(by map[*Func]*Func) {
	swap := func(f *Func) *Func {
		if g, ok := by[f]; ok {
			return g
		}
		return f
	}
	for i, f := range m.Funcs {
		m.Funcs[i] = swap(f)
	}
	for _, s := range m.Stacks {
		for i := range s.Segments {
			s.Segments[i].Forward, s.Segments[i].Backward = swap(s.Segments[i].Forward), swap(s.Segments[i].Backward)
		}
	}
}
