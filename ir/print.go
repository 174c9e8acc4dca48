package ir

import (
	"fmt"
	"slices"
	"strings"
)

// String is the text form of the module. Parse reads it back; printing the
// result gives the same bytes.
// What is at its default is not printed, lists keep the order of the module, and
// the keys of the one map are sorted: equal modules have equal text, which is how
// passes and compilations are compared.
func (m *Module) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "module %s\n", m.Name)
	for _, d := range m.Dims {
		fmt.Fprintf(&b, "dim %s in [%d, %d]\n", d.Name, d.Min, d.Max)
	}
	// weight $w: f32[4, 4] of layers[3] {init = normal, std = 0.5, decay = true}
	for _, w := range m.Weights {
		fmt.Fprintf(&b, "weight $%s: %s", w.Name, w.Type)
		if w.Stack != "" {
			// The number of layers stands here and in the stack, and must agree.
			fmt.Fprintf(&b, " of %s[%d]", w.Stack, w.Layers)
		}
		b.WriteString(formatFields(w))
		b.WriteByte('\n')
	}
	for _, s := range m.State {
		fmt.Fprintf(&b, "state !%s: %s", s.Name, s.Type)
		if s.Stack != "" {
			fmt.Fprintf(&b, " of %s[%d]", s.Stack, s.Layers)
		}
		b.WriteByte('\n')
	}
	// Before the functions: a reader sees first how often each layer runs.
	for _, s := range m.Stacks {
		// stack layers [0, 2) @layer @layer.bwd [2, 3) @last @last.bwd
		fmt.Fprintf(&b, "stack %s", s.Name)
		for _, seg := range s.Segments {
			fmt.Fprintf(&b, " [%d, %d) @%s", seg.From, seg.To, seg.Forward.Name)
			// Absent before differentiation.
			if seg.Backward != nil {
				fmt.Fprintf(&b, " @%s", seg.Backward.Name)
			}
		}
		b.WriteByte('\n')
	}
	for _, f := range m.Funcs {
		b.WriteByte('\n')
		b.WriteString(f.String())
	}
	return b.String()
}

// formatFields prints what is not at its default in a weight's declaration.
// The order is that of the declaration of Weight.
func formatFields(w *Weight) string {
	var f []string
	add := func(k, v string) { f = append(f, k+" = "+v) }
	// Words where the parser takes words, numbers as it reads them.
	if w.Layout != RowMajor {
		add("layout", string(w.Layout))
	}
	if w.Init.Kind != "" {
		add("init", w.Init.Kind)
	}
	if w.Init.Std != 0 {
		add("std", formatFloat(w.Init.Std))
	}
	if w.Decay {
		add("decay", "true")
	}
	if w.Shard != "" {
		add("shard", w.Shard)
	}
	if w.Rope != "" {
		add("rope", w.Rope)
		add("heads", fmt.Sprint(w.Heads))
	}
	// A map's order is random; nothing random reaches the text.
	keys := make([]string, 0, len(w.Names))
	for k := range w.Names {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		// %q of a Go string is what the scanner unquotes.
		add("name."+k, fmt.Sprintf("%q", w.Names[k]))
	}
	if f == nil {
		return ""
	}
	return " {" + strings.Join(f, ", ") + "}"
}

// String is the text form of the function.
// The saved values of a layer are references and need no types; those of a
// backward function are definitions and do.
func (f *Func) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "func @%s %s(%s)", f.Name, f.Role, typed(f.Params))
	if len(f.Saved) > 0 {
		if f.Role == RoleBackward {
			fmt.Fprintf(&b, " loads(%s)", typed(f.Saved))
		} else {
			fmt.Fprintf(&b, " saves(%s)", untyped(f.Saved))
		}
	}
	fmt.Fprintf(&b, " -> (%s) {\n", untyped(f.Results))
	for _, n := range f.Nodes {
		b.WriteString("  ")
		b.WriteString(n.String())
		b.WriteByte('\n')
	}
	b.WriteString("}\n")
	return b.String()
}

// String is the text form of the node.
// Generated code carries it as a comment above each call.
func (n *Node) String() string {
	var b strings.Builder
	if len(n.Results) > 0 {
		b.WriteString(untyped(n.Results))
		b.WriteString(" = ")
	}
	b.WriteString(n.Op.Name)
	b.WriteByte('(')
	b.WriteString(untyped(n.Operands))
	b.WriteByte(')')
	first := true
	// The row's order, not the map's.
	for _, a := range n.Op.Attrs {
		// The verifier deletes defaults; a node that was not verified yet may
		// still have one.
		v, ok := n.Attrs[a.Name]
		if !ok || a.Default != nil && attrEqual(a.Default, v) {
			continue
		}
		sep := ", "
		if first {
			sep = " {"
		}
		fmt.Fprintf(&b, "%s%s = %s", sep, a.Name, FormatAttr(v))
		first = false
	}
	if !first {
		b.WriteByte('}')
	}
	// Types stand at the end, where an eye that follows names need not
	// read over them.
	for i, r := range n.Results {
		sep := ", "
		if i == 0 {
			sep = " : "
		}
		b.WriteString(sep)
		b.WriteString(r.Type.String())
	}
	return b.String()
}

// typed is a list of definitions, untyped one of uses.
func typed(vs []*Value) string {
	s := make([]string, len(vs))
	for i, v := range vs {
		s[i] = v.String() + ": " + v.Type.String()
	}
	return strings.Join(s, ", ")
}

func untyped(vs []*Value) string {
	s := make([]string, len(vs))
	for i, v := range vs {
		s[i] = "_" // an absent optional operand
		if v != nil {
			s[i] = v.String()
		}
	}
	return strings.Join(s, ", ")
}
