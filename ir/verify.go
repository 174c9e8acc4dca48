package ir

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/llamac/llamac/internal/scan"
)

// Verify checks every invariant that passes may rely on and reports all
// violations, each with the function and the node:
//
//   - names are unique, words of the text form, and defined before they are used;
//   - dimensions are declared once, with bounds, and no shape is empty or huge;
//   - operands, attributes and result types of each node agree with its row;
//   - the functions of a stack fit the nodes that run it and each other;
//   - weights and state inside a layer's function belong to its stack, those
//     outside to none;
//   - only main functions run stacks, only layers save and only backward
//     functions load;
//   - every layer of a stack belongs to exactly one segment.
//
// The pipeline runs it behind each pass, unless told to look at the last alone, so
// what it holds is not checked again by passes: they may index operands, trust
// types and look names up. It tells all violations at once, since the first is
// often the consequence of another.
// It has one effect: attributes at their default and trailing absent operands
// are removed (see checkNode), which makes the text form unique.
func Verify(m *Module) error {
	v := &verifier{m: m}
	v.that(m.Name != "", "the module has no name")
	v.that(m.Name == "" || scan.IsName(m.Name), "module %q: not a name", m.Name)
	// A dimension and a stack may share a name: kinds are apart.
	seen := map[string]bool{}
	declare := func(kind, sign, name string) {
		v.that(scan.IsName(name), "%s %s%s: not a name", kind, sign, name)
		v.that(!seen[kind+name], "%s %s%s is declared twice", kind, sign, name)
		seen[kind+name] = true
	}
	for _, d := range m.Dims {
		declare("dimension", "", d.Name)
		v.that(1 <= d.Min && d.Min <= d.Max, "dimension %s is in [%d, %d]", d.Name, d.Min, d.Max)
	}
	for _, w := range m.Weights {
		declare("weight", "$", w.Name)
		v.layers("weight $"+w.Name, w.Type, w.Stack, w.Layers)
		v.weight(w)
	}
	for _, s := range m.State {
		declare("state", "!", s.Name)
		v.layers("state !"+s.Name, s.Type, s.Stack, s.Layers)
	}
	for _, f := range m.Funcs {
		declare("function", "@", f.Name)
		v.function(f)
	}
	for _, s := range m.Stacks {
		declare("stack", "", s.Name)
		v.stack(s)
	}
	return errors.Join(v.errs...)
}

// verifier collects errors and never stops.
type verifier struct {
	m    *Module
	errs []error
}

func (v *verifier) that(ok bool, format string, args ...any) {
	if !ok {
		v.errs = append(v.errs, fmt.Errorf(format, args...))
	}
}

// layers checks a declaration's shape and the layers that it names.
// A weight of a stack repeats the number of its layers: its size is then known
// without the stack.
func (v *verifier) layers(what string, t Type, stack string, layers int) {
	v.shape(declared(what), t)
	if stack == "" {
		v.that(layers == 0, "%s has %d layers of no stack", what, layers)
		return
	}
	s := v.m.Stack(stack)
	v.that(s != nil && s.Layers() == layers, "%s has %d layers of stack %q", what, layers, stack)
}

// weight checks what a weight's declaration says beside its type.
func (v *verifier) weight(w *Weight) {
	one := func(field, value string, of ...string) {
		v.that(slices.Contains(of, value), "weight $%s: %s is %q", w.Name, field, value)
	}
	// Which layouts exist is for targets to know.
	v.that(scan.IsName(string(w.Layout)), "weight $%s: layout is %q", w.Name, w.Layout)
	one("init", w.Init.Kind, "", "normal", "ones", "zeros")
	one("shard", w.Shard, "", "column", "row")
	one("rope", w.Rope, "", "interleaved", "half")
	// Heads of pairs of rows; none where rows cannot be permuted.
	v.that(w.Heads == 0 || w.Heads > 0 && w.Rope != "" && w.Type.Rank() > 0 && w.Type.Dims[0].N%(2*int64(w.Heads)) == 0, "weight $%s: rope is %q with %d heads", w.Name, w.Rope, w.Heads)
	for format := range w.Names {
		v.that(scan.IsName("name."+format), "weight $%s: format %q", w.Name, format)
	}
}

// MaxElems bounds the product of a shape's numbers: sizes in bytes stay far
// from overflow.
// 2^48 elements of 8 bytes are 2^51 bytes. Symbols come on top, each at most its
// bound.
const MaxElems = 1 << 48

// shape checks a shape: its symbols are declared and its numbers positive.
// Nothing is spelled before something is wrong: modules are verified often.
func (v *verifier) shape(what fmt.Stringer, t Type) {
	size := int64(1)
	for _, d := range t.Dims {
		if d.N < 1 {
			v.that(false, "%s has type %s with the dimension %s", what, t, d)
			return
		}
		// Divides: the product could already have overflowed.
		if d.N > MaxElems/size {
			v.that(false, "%s has type %s, which is too large", what, t)
			return
		}
		size *= d.N
		if d.Sym == "" {
			continue
		}
		for s := range strings.SplitSeq(d.Sym, "*") {
			if !slices.ContainsFunc(v.m.Dims, func(dd DimDecl) bool { return dd.Name == s }) {
				v.that(false, "%s has type %s with the undeclared dimension %s", what, t, s)
			}
		}
	}
}

// declared names a weight or state in messages, valueOf a value of a function.
// Both are Stringers, so that a label costs nothing where all is well.
type declared string

func (d declared) String() string { return string(d) }

type valueOf struct {
	f *Func
	v *Value
}

func (x *valueOf) String() string { return fmt.Sprintf("@%s: %%%s", x.f.Name, x.v.Name) }

// Values must be defined before they are read in the order of Nodes; a cycle is
// therefore impossible.
func (v *verifier) function(f *Func) {
	v.that(f.Role == RoleMain || f.Role == RoleLayer || f.Role == RoleBackward, "@%s: no role is called %q", f.Name, f.Role)
	v.that(f.Role != RoleMain || len(f.Saved) == 0, "@%s: only layers save values", f.Name)
	size := len(f.Params) + len(f.Saved) + len(f.Nodes)
	names := make(map[string]bool, size)
	defined := make(map[*Value]bool, size)
	// One label for all values, changed as they come: thousands are checked.
	label := &valueOf{f: f}
	define := func(x *Value) {
		if !scan.IsName(x.Name) {
			v.that(false, "@%s: value %%%s: not a name", f.Name, x.Name)
		}
		if names[x.Name] {
			v.that(false, "@%s: value %%%s is defined twice", f.Name, x.Name)
		}
		names[x.Name], defined[x] = true, true
		label.v = x
		v.shape(label, x.Type)
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
		// at reports an error of node n, in front of which the place is put.
		at := func(format string, args ...any) {
			v.errs = append(v.errs, fmt.Errorf("@%s: %s: %s", f.Name, nodeLabel(n), fmt.Sprintf(format, args...)))
		}
		// ok is false once Infer could not be called safely: it trusts operands to be
		// there and attributes to have their kinds.
		ok := true
		for i, x := range n.Operands {
			switch {
			case x == nil:
			// A pointer to a weight that was replaced is the usual mistake.
			case x.Weight != nil:
				if !slices.Contains(v.m.Weights, x.Weight) {
					at("%s is not a weight of the module", x)
				} else if !x.Type.Equal(x.Weight.Type) {
					at("%s has type %s, declared %s", x, x.Type, x.Weight.Type)
				} else if f.Role == RoleMain && x.Weight.Stack != "" {
					at("%s is used outside of the layers of stack %s", x, x.Weight.Stack)
				}
			case x.State != nil:
				if !slices.Contains(v.m.State, x.State) {
					at("%s is not state of the module", x)
				} else if !x.Type.Equal(x.State.Type) {
					at("%s has type %s, declared %s", x, x.Type, x.State.Type)
				} else if f.Role == RoleMain && x.State.Stack != "" {
					at("%s is used outside of the layers of stack %s", x, x.State.Stack)
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
			// What a pass or a text claims is compared with what the row derives.
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
			// Rewrites walk from values to nodes by these.
			if r.Def != n || r.Index != i {
				v.that(false, "@%s: %s: result %s points elsewhere", f.Name, nodeLabel(n), r)
			}
			// Even if the node was wrong: its readers are not reported for it.
			define(r)
		}
		if ok && (n.Op.Name == "stack" || n.Op.Name == "stack_grad") {
			v.stackCall(f, n)
		}
	}
	// Params may be results: an identity is a function.
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
// It also normalises, in place: absent operands at the end and attributes at their
// default go away, so that equal nodes look equal to passes and printers. Builders
// call it for each node they make.
func checkNode(n *Node) error {
	op := n.Op
	// A rule passes nil for what it has not got; more of these than the row has
	// operands are dropped too.
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
		// Deleting from a map while ranging over it is allowed in Go.
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
// Invariant operands follow x in the order of the functions' parameters, of the
// backward function as well: dy, then the same.
func (v *verifier) stackCall(f *Func, n *Node) {
	v.that(f.Role == RoleMain, "@%s: %s: a stack inside of a layer", f.Name, nodeLabel(n))
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

// Segments must cover the layers from 0 without a gap or overlap. A layer's result
// has the type of its first parameter, x of the next; likewise dy and dx.
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
			// By pointer: a rewrite that left the stack with an old function shows.
			v.that(v.m.Func(g.Name) == g, "stack %s: @%s is not a function of the module", s.Name, g.Name)
			role := RoleLayer
			if g == seg.Backward {
				role = RoleBackward
			}
			v.that(g.Role == role, "stack %s: @%s has the role %s, want %s", s.Name, g.Name, g.Role, role)
			v.that(len(g.Results) == 1 && len(g.Params) > 0 && g.Results[0].Type.Equal(g.Params[0].Type),
				"stack %s: @%s does not return what it takes first", s.Name, g.Name)
			for _, n := range g.Nodes {
				for _, x := range n.Operands {
					// A layer has a number only within its own stack; weights of none have
					// one for all and are out of reach of a loop over layers.
					foreign := x != nil && (x.Weight != nil && x.Weight.Stack != s.Name || x.State != nil && x.State.Stack != s.Name)
					if foreign {
						v.that(false, "@%s: %s reads %s, which has no layers of stack %s", g.Name, nodeLabel(n), x, s.Name)
					}
				}
			}
		}
		if f, b := seg.Forward, seg.Backward; f != nil && b != nil {
			// Name by name and in order: the plan ties the two by name, and a
			// different order would be a sign of two passes that disagree.
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
