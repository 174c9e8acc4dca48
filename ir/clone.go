package ir

import (
	"maps"
	"slices"
)

// Clone copies a module. If bind is not nil, symbols with a value in it become
// numbers everywhere, declarations included.
func Clone(m *Module, bind map[string]int64) *Module {
	c := &cloner{bind: bind, weights: map[*Weight]*Weight{}, state: map[*State]*State{}, funcs: map[*Func]*Func{}}
	out := &Module{Name: m.Name}
	for _, d := range m.Dims {
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
func CloneFunc(f *Func, name string) *Func {
	k := (&cloner{}).function(f)
	k.Name = name
	return k
}

type cloner struct {
	bind    map[string]int64
	weights map[*Weight]*Weight
	state   map[*State]*State
	funcs   map[*Func]*Func
}

func (c *cloner) function(f *Func) *Func {
	k := &Func{Name: f.Name, Role: f.Role}
	values := map[*Value]*Value{nil: nil}
	define := func(v *Value, def *Node) *Value {
		x := &Value{Name: v.Name, Type: v.Type.Bind(c.bind), Def: def, Index: v.Index}
		values[v] = x
		return x
	}
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
	k.Params = all(f.Params, func(v *Value) *Value { return define(v, nil) })
	if f.Role == RoleBackward {
		k.Saved = all(f.Saved, func(v *Value) *Value { return define(v, nil) })
	}
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
