package ir

import (
	"errors"
	"fmt"
	"slices"
)

// Verify checks every invariant that passes may rely on and reports all
// violations, each with the function and the node:
//
//   - names are unique and values are defined before they are used;
//   - operands, attributes and result types of each node agree with its row;
//   - the functions of a stack fit the nodes that run it and each other;
//   - weights and state inside a layer's function belong to its stack;
//   - every layer of a stack belongs to exactly one segment.
func Verify(m *Module) error {
	v := &verifier{m: m}
	v.that(m.Name != "", "the module has no name")
	seen := map[string]bool{}
	for _, w := range m.Weights {
		v.that(!seen["$"+w.Name], "weight $%s is declared twice", w.Name)
		seen["$"+w.Name] = true
		v.that(w.Stack == "" || m.Stack(w.Stack) != nil && m.Stack(w.Stack).Layers() == w.Layers,
			"weight $%s has %d layers of stack %q", w.Name, w.Layers, w.Stack)
	}
	for _, s := range m.State {
		v.that(!seen["!"+s.Name], "state !%s is declared twice", s.Name)
		seen["!"+s.Name] = true
	}
	for _, f := range m.Funcs {
		v.that(!seen["@"+f.Name], "function @%s is declared twice", f.Name)
		seen["@"+f.Name] = true
		v.function(f)
	}
	for _, s := range m.Stacks {
		v.stack(s)
	}
	return errors.Join(v.errs...)
}

type verifier struct {
	m    *Module
	errs []error
}

func (v *verifier) that(ok bool, format string, args ...any) {
	if !ok {
		v.errs = append(v.errs, fmt.Errorf(format, args...))
	}
}

func (v *verifier) function(f *Func) {
	names := map[string]bool{}
	defined := map[*Value]bool{}
	define := func(x *Value) {
		v.that(x.Name != "" && !names[x.Name], "@%s: value %%%s is defined twice", f.Name, x.Name)
		names[x.Name], defined[x] = true, true
		for _, d := range x.Type.Dims {
			for _, s := range d.symbols() {
				v.that(slices.ContainsFunc(v.m.Dims, func(dd DimDecl) bool { return dd.Name == s }),
					"@%s: %%%s has type %s with the undeclared dimension %s", f.Name, x.Name, x.Type, s)
			}
		}
	}
	for _, p := range f.Params {
		define(p)
	}
	if f.Role == RoleBackward {
		for _, p := range f.Saved {
			define(p)
		}
	}
	for _, n := range f.Nodes {
		at := func(format string, args ...any) {
			v.errs = append(v.errs, fmt.Errorf("@%s: %s: %s", f.Name, nodeLabel(n), fmt.Sprintf(format, args...)))
		}
		ok := true
		for i, x := range n.Operands {
			switch {
			case x == nil:
			case x.Weight != nil:
				if !slices.Contains(v.m.Weights, x.Weight) {
					at("%s is not a weight of the module", x)
				} else if !x.Type.Equal(x.Weight.Type) {
					at("%s has type %s, declared %s", x, x.Type, x.Weight.Type)
				}
			case x.State != nil:
				if !slices.Contains(v.m.State, x.State) {
					at("%s is not state of the module", x)
				}
			case !defined[x]:
				at("operand %d, %s, is not defined before it", i, x)
				ok = false
			}
		}
		if err := checkNode(n); err != nil {
			at("%v", err)
			ok = false
		}
		if ok {
			types, err := n.Op.Infer(n)
			switch {
			case err != nil:
				at("%v", err)
			case len(types) != len(n.Results):
				at("has %d results, want %d", len(n.Results), len(types))
			default:
				for i, t := range types {
					if !t.Equal(n.Results[i].Type) {
						at("result %s has type %s, want %s", n.Results[i], n.Results[i].Type, t)
					}
				}
			}
		}
		for i, r := range n.Results {
			v.that(r.Def == n && r.Index == i, "@%s: %s: result %s points elsewhere", f.Name, nodeLabel(n), r)
			define(r)
		}
		if n.Op.Group == Control && (n.Op.Name == "stack" || n.Op.Name == "stack_grad") {
			v.stackCall(f, n)
		}
	}
	for _, r := range f.Results {
		v.that(defined[r], "@%s: result %s is not defined", f.Name, r)
	}
	if f.Role == RoleLayer {
		for _, r := range f.Saved {
			v.that(defined[r], "@%s: saved %s is not defined", f.Name, r)
		}
	}
}

// checkNode checks the number of operands and the attributes against the row.
func checkNode(n *Node) error {
	op := n.Op
	for len(n.Operands) > len(op.Operands) && n.Operands[len(n.Operands)-1] == nil && !op.Variadic() {
		n.Operands = n.Operands[:len(n.Operands)-1]
	}
	for !op.Variadic() && len(n.Operands) > op.MinOperands() && n.Operands[len(n.Operands)-1] == nil {
		n.Operands = n.Operands[:len(n.Operands)-1]
	}
	if len(n.Operands) < op.MinOperands() || !op.Variadic() && len(n.Operands) > len(op.Operands) {
		return fmt.Errorf("%s: %d operands, want %v", op.Name, len(n.Operands), op.Operands)
	}
	for i, x := range n.Operands {
		if x == nil && (i >= len(op.Operands) || !hasSuffix(op.Operands[i], "?")) {
			return fmt.Errorf("%s: operand %s is missing", op.Name, op.operand(i))
		}
	}
	for name, x := range n.Attrs {
		i := slices.IndexFunc(op.Attrs, func(a AttrSpec) bool { return a.Name == name })
		if i < 0 {
			return fmt.Errorf("%s: unknown attribute %s", op.Name, name)
		}
		if k, ok := kindOf(x); !ok || k != op.Attrs[i].Kind {
			return fmt.Errorf("%s: attribute %s is a %T, want %s", op.Name, name, x, op.Attrs[i].Kind)
		}
		if d := op.Attrs[i].Default; d != nil && attrEqual(d, x) {
			delete(n.Attrs, name) // one spelling of a default
		}
	}
	for _, a := range op.Attrs {
		if _, ok := n.Attrs[a.Name]; !ok && a.Default == nil {
			return fmt.Errorf("%s: attribute %s is missing", op.Name, a.Name)
		}
	}
	return nil
}

// stackCall checks a node that runs a stack against the stack's functions.
func (v *verifier) stackCall(f *Func, n *Node) {
	s := v.m.Stack(n.Str("name"))
	if s == nil {
		v.that(false, "@%s: %s: no stack named %q", f.Name, nodeLabel(n), n.Str("name"))
		return
	}
	for _, seg := range s.Segments {
		g := seg.Forward
		if n.Op.Name == "stack_grad" {
			g = seg.Backward
		}
		if g == nil {
			v.that(false, "@%s: %s: layers %d to %d have no backward function", f.Name, nodeLabel(n), seg.From, seg.To)
			continue
		}
		ok := len(g.Params) == len(n.Operands)
		for i := 0; ok && i < len(g.Params); i++ {
			ok = g.Params[i].Type.Equal(n.In(i))
		}
		v.that(ok, "@%s: %s: operands do not fit the parameters of @%s", f.Name, nodeLabel(n), g.Name)
	}
}

func (v *verifier) stack(s *Stack) {
	next := 0
	for _, seg := range s.Segments {
		v.that(seg.From == next && seg.To > seg.From, "stack %s: segment [%d, %d) after layer %d", s.Name, seg.From, seg.To, next)
		next = seg.To
		for _, g := range []*Func{seg.Forward, seg.Backward} {
			if g == nil {
				v.that(g != seg.Forward, "stack %s: no forward function", s.Name)
				continue
			}
			v.that(v.m.Func(g.Name) == g, "stack %s: @%s is not a function of the module", s.Name, g.Name)
			v.that(len(g.Results) == 1 && len(g.Params) > 0 && g.Results[0].Type.Equal(g.Params[0].Type),
				"stack %s: @%s does not return what it takes first", s.Name, g.Name)
			for _, n := range g.Nodes {
				for _, x := range n.Operands {
					if x != nil && x.Weight != nil {
						v.that(x.Weight.Stack == s.Name, "@%s: %s reads %s, which has no layers of stack %s", g.Name, nodeLabel(n), x, s.Name)
					}
				}
			}
		}
		if f, b := seg.Forward, seg.Backward; f != nil && b != nil {
			ok := len(f.Saved) == len(b.Saved)
			for i := 0; ok && i < len(f.Saved); i++ {
				ok = f.Saved[i].Name == b.Saved[i].Name && f.Saved[i].Type.Equal(b.Saved[i].Type)
			}
			v.that(ok, "stack %s: @%s does not store what @%s reads", s.Name, f.Name, b.Name)
		}
	}
}

// nodeLabel names a node by its results and op.
func nodeLabel(n *Node) string {
	if len(n.Results) == 0 {
		return n.Op.Name
	}
	return fmt.Sprintf("%s = %s", n.Results[0], n.Op.Name)
}
