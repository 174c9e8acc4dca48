package ir

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llamac/llamac/internal/diag"
	"github.com/llamac/llamac/internal/scan"
)

// Parse reads the text form of a module. Errors carry file:line:col; as many
// as can be told apart are reported. The module is not verified.
// That is what tests of the verifier need, and it lets a module that a pass
// spoiled be read back from a dump. Callers that trust no one call Verify next.
// A file is:
//
//	module tiny
//	dim B in [1, 8]
//	weight $w: f32[4, 4] of layers[3] {init = normal, std = 0.5, decay = true}
//	state !kv: f32[blocks, 2, 2, 3, 4] of layers[3]
//	stack layers [0, 3) @layer @layer.bwd
//	func @layer layer(%x: f32[B, 4]) saves(%x) -> (%y) {
//	  %y = linear(%x, $w) : f32[B, 4]
//	}
func Parse(file string, src []byte) (*Module, error) {
	p := &parser{Parser: scan.New(file, src), m: &Module{}}
	p.module()
	if err := p.Errs.Err(); err != nil {
		return nil, err
	}
	return p.m, nil
}

// values holds the names of the function that is being read, f.
type parser struct {
	*scan.Parser
	m      *Module
	f      *Func
	values map[string]*Value
}

// module parses all declarations. A broken one is skipped up to the next line
// that starts with a keyword, so that several errors show at once.
func (p *parser) module() {
	// Stacks stand before the functions that they name, so names are looked up
	// when everything has been read.
	type segment struct {
		stack *Stack
		i     int
		names [2]string
		pos   diag.Pos
	}
	var segments []segment
	decl := func() {
		// No word is reserved: a value may be called %weight, since only a word in
		// the first column begins a declaration.
		t := p.Take(scan.Word, "a declaration")
		switch t.Text {
		// module tiny
		case "module":
			p.m.Name = p.Take(scan.Word, "a name").Text
		// dim B in [1, 8], both bounds included
		case "dim":
			d := DimDecl{Name: p.Take(scan.Word, "a name").Text}
			p.Want("in")
			p.Want("[")
			d.Min = p.Int()
			p.Want(",")
			d.Max = p.Int()
			p.Want("]")
			p.m.Dims = append(p.m.Dims, d)
		// weights and state come before the functions that read them
		case "weight":
			p.weight()
		case "state":
			s := &State{Name: p.Sigil("!", "a name").Text}
			p.m.State = append(p.m.State, s) // before what may fail: one error, not one for each use
			p.Want(":")
			s.Type = ParseType(p.Parser)
			s.Stack, s.Layers = p.of()
		// stack layers [0, 2) @layer @layer.bwd [2, 3) @last @last.bwd, the second
		// function missing before differentiation
		case "stack":
			s := &Stack{Name: p.Take(scan.Word, "a name").Text}
			for p.Accept("[") {
				seg := Segment{From: int(p.Int())}
				p.Want(",")
				seg.To = int(p.Int())
				p.Want(")")
				r := segment{stack: s, i: len(s.Segments), pos: p.Tok.Pos}
				r.names[0] = p.Sigil("@", "a function").Text
				if p.Tok.Text == "@" {
					r.names[1] = p.Sigil("@", "a function").Text
				}
				segments = append(segments, r)
				s.Segments = append(s.Segments, seg)
			}
			p.m.Stacks = append(p.m.Stacks, s)
		case "func":
			p.function()
		default:
			p.Fail(t.Pos, "found %s, want a declaration", t)
		}
	}
	for p.Tok.Kind != scan.EOF {
		p.Recover(declares, decl)
	}
	// A function whose body is broken was still declared, so it is found here and
	// the one mistake is told once.
	for _, r := range segments {
		seg := &r.stack.Segments[r.i]
		seg.Forward, seg.Backward = p.m.Func(r.names[0]), p.m.Func(r.names[1])
		if seg.Forward == nil {
			p.Errs.Add(r.pos, "no function named @%s", r.names[0])
		}
		if r.names[1] != "" && seg.Backward == nil {
			p.Errs.Add(r.pos, "no function named @%s", r.names[1])
		}
	}
}

// declares reports whether a token at the start of a line begins a declaration.
// Recover only asks at the first column.
func declares(t scan.Token) bool {
	return t.Kind == scan.Word && slices.Contains([]string{"module", "dim", "weight", "state", "stack", "func"}, t.Text)
}

// of parses an optional "of stack[layers]".
func (p *parser) of() (stack string, layers int) {
	if !p.Accept("of") {
		return "", 0
	}
	stack = p.Take(scan.Word, "a stack").Text
	p.Want("[")
	layers = int(p.Int())
	p.Want("]")
	return stack, layers
}

// It is declared before its type is read: if that fails, its readers are not
// reported as well.
func (p *parser) weight() {
	w := &Weight{Name: p.Sigil("$", "a name").Text, Layout: RowMajor}
	p.m.Weights = append(p.m.Weights, w)
	p.Want(":")
	w.Type = ParseType(p.Parser)
	w.Stack, w.Layers = p.of()
	if p.Is("{") {
		p.List("{", "}", func() { p.field(w) })
	}
}

// field parses one field of a weight: init = normal.
// Fields come in any order, print.go writes them in one; those with their
// default may be missing.
func (p *parser) field(w *Weight) {
	k := p.Take(scan.Word, "a field")
	p.Want("=")
	word := func() string { return p.Take(scan.Word, "a word").Text }
	switch format, isName := strings.CutPrefix(k.Text, "name."); {
	case isName:
		if w.Names == nil {
			w.Names = map[string]string{}
		}
		// Quoted, since another format may put anything into its names.
		w.Names[format] = p.Str()
	case k.Text == "layout":
		w.Layout = Layout(word())
	case k.Text == "init":
		w.Init.Kind = word()
	case k.Text == "std":
		w.Init.Std = p.Float()
	case k.Text == "decay":
		w.Decay = parseAttr(p.Parser, BoolAttr).(bool)
	case k.Text == "shard":
		w.Shard = word()
	case k.Text == "rope":
		w.Rope = word()
	case k.Text == "heads":
		w.Heads = int(p.Int())
	default:
		p.Fail(k.Pos, "unknown field %s", k.Text)
	}
}

// ParseType reads a type: f32[B, 64].
// Package plan's parser uses it on its own text.
func ParseType(p *scan.Parser) Type {
	t := p.Take(scan.Word, "a type")
	d, ok := ParseDType(t.Text)
	if !ok {
		p.Fail(t.Pos, "no type named %q", t.Text)
	}
	return Type{d, parseDims(p)}
}

// parseDims reads [B, 2*T, 64]. Factors may come in any order: Mul sorts them, so
// T*B is read as B*T and printed so.
func parseDims(p *scan.Parser) []Dim {
	var dims []Dim
	p.List("[", "]", func() {
		d := Const(1)
		for {
			if p.Tok.Kind == scan.Number {
				d = d.Mul(Const(p.Int()))
			} else {
				d = d.Mul(Sym(p.Take(scan.Word, "a dimension").Text))
			}
			if !p.Accept("*") {
				break
			}
		}
		dims = append(dims, d)
	})
	return dims
}

// function reads a header and a body:
//
//	func @layer.bwd backward(%d.y: f32[B, 4]) loads(%x: f32[B, 4]) -> (%d.x) {
//
// Any word is taken as a role; the verifier knows the three.
func (p *parser) function() {
	f := &Func{Name: p.Sigil("@", "a name").Text}
	p.m.Funcs = append(p.m.Funcs, f)
	f.Role = Role(p.Take(scan.Word, "a role").Text)
	p.f, p.values = f, map[string]*Value{}
	f.Params = p.typedValues()
	// What is saved and returned is named before it is defined, so the names wait
	// for the body. What a backward function loads is defined right here.
	var saved []scan.Token
	switch {
	case f.Role == RoleBackward && p.Accept("loads"):
		f.Saved = p.typedValues()
	case f.Role != RoleBackward && p.Accept("saves"):
		saved = p.valueNames()
	}
	p.Want("->")
	results := p.valueNames()
	p.Want("{")
	for !p.Accept("}") {
		p.node()
	}
	// Positions are kept with the names, for the message.
	find := func(names []scan.Token) (vs []*Value) {
		for _, t := range names {
			v := p.values[t.Text]
			if v == nil {
				p.Fail(t.Pos, "%%%s is not defined", t.Text)
			}
			vs = append(vs, v)
		}
		return vs
	}
	f.Results = find(results)
	if saved != nil {
		f.Saved = find(saved)
	}
}

// define gives a value its name. The first definition stays after a clash.
func (p *parser) define(t scan.Token, v *Value) *Value {
	if p.values[t.Text] != nil {
		p.Fail(t.Pos, "%%%s is defined twice", t.Text)
	}
	v.Name = t.Text
	p.values[t.Text] = v
	return v
}

// typedValues reads (%x: f32[B, 4], %y: i32[B]) and defines each.
func (p *parser) typedValues() []*Value {
	var vs []*Value
	p.Want("(")
	for p.Tok.Text != ")" {
		t := p.Sigil("%", "a name")
		p.Want(":")
		vs = append(vs, p.define(t, &Value{Type: ParseType(p.Parser)}))
		if !p.Accept(",") {
			break
		}
	}
	p.Want(")")
	return vs
}

// valueNames reads (%x, %y).
func (p *parser) valueNames() []scan.Token {
	var ts []scan.Token
	p.Want("(")
	for p.Tok.Text != ")" {
		ts = append(ts, p.Sigil("%", "a name"))
		if !p.Accept(",") {
			break
		}
	}
	p.Want(")")
	return ts
}

// node reads one line of a body, whose types are taken as they are written and
// compared with the op's row by Verify:
//
//	%o, %lse = attention(%q, %k, %v) {scale = 0.5} : f32[B, T, 3, 2], f32[B, 3, T]
//	grad_add(%d.w, $w)
func (p *parser) node() {
	n := &Node{}
	var results []scan.Token
	for p.Tok.Text == "%" {
		results = append(results, p.Sigil("%", "a name"))
		if !p.Accept(",") {
			break
		}
	}
	if results != nil {
		p.Want("=")
	}
	// A missing brace would else be told as an op called "func".
	if p.Tok.Pos.Col == 1 && declares(p.Tok) {
		p.Fail(p.Tok.Pos, "found %s, want %q", p.Tok, "}")
	}
	t := p.Take(scan.Word, "an op")
	if n.Op = Lookup(t.Text); n.Op == nil {
		p.Fail(t.Pos, "no op named %q", t.Text)
	}
	p.Want("(")
	for p.Tok.Text != ")" {
		n.Operands = append(n.Operands, p.operand())
		if !p.Accept(",") {
			break
		}
	}
	p.Want(")")
	if p.Is("{") {
		// Without braces Attrs stays nil, and the getters give defaults.
		n.Attrs = ParseAttrs(p.Parser, n.Op)
	}
	for i, r := range results {
		if i == 0 {
			p.Want(":")
		} else {
			p.Want(",")
		}
		// Defined behind the operands, so that a node cannot read itself.
		n.Results = append(n.Results, p.define(r, &Value{Type: ParseType(p.Parser), Def: n, Index: i}))
	}
	p.f.Nodes = append(p.f.Nodes, n)
}

// operand reads %x, $w, !kv, or _ for an optional operand that is absent.
func (p *parser) operand() *Value {
	switch p.Tok.Text {
	case "%":
		t := p.Sigil("%", "a name")
		v := p.values[t.Text]
		if v == nil {
			p.Fail(t.Pos, "%%%s is not defined before it is used", t.Text)
		}
		return v
	case "$":
		t := p.Sigil("$", "a name")
		w := p.m.Weight(t.Text)
		if w == nil {
			p.Fail(t.Pos, "no weight named $%s", t.Text)
		}
		return p.f.WeightValue(w)
	case "!":
		t := p.Sigil("!", "a name")
		s := p.m.StateNamed(t.Text)
		if s == nil {
			p.Fail(t.Pos, "no state named !%s", t.Text)
		}
		return p.f.StateValue(s)
	}
	p.Want("_")
	return nil
}

// ParseAttrs reads the attributes of an op between braces.
// The row says what kind each value has, so 1 may stand where a real is wanted.
// Twice the same attribute is no error: the last one counts.
func ParseAttrs(p *scan.Parser, op *Op) Attrs {
	attrs := Attrs{}
	p.List("{", "}", func() {
		k := p.Take(scan.Word, "an attribute")
		i := slices.IndexFunc(op.Attrs, func(a AttrSpec) bool { return a.Name == k.Text })
		if i < 0 {
			p.Fail(k.Pos, "%s has no attribute %s", op.Name, k.Text)
		}
		p.Want("=")
		attrs[k.Text] = parseAttr(p, op.Attrs[i].Kind)
	})
	return attrs
}

// parseAttr reads one value: 3, 0.5, true, "half", dims[B, 2], [1, 2].
func parseAttr(p *scan.Parser, k AttrKind) any {
	switch k {
	case IntAttr:
		return p.Int()
	case FloatAttr:
		return p.Float()
	case BoolAttr:
		t := p.Take(scan.Word, "true or false")
		if t.Text != "true" && t.Text != "false" {
			p.Fail(t.Pos, "found %s, want true or false", t)
		}
		return t.Text == "true"
	case StringAttr:
		return p.Str()
	case DimsAttr:
		p.Want("dims")
		return parseDims(p)
	case IntsAttr:
		// Not nil: an empty list is equal to a row's default, []int64{}.
		list := []int64{}
		p.List("[", "]", func() { list = append(list, p.Int()) })
		return list
	case FloatsAttr:
		list := []float64{}
		p.List("[", "]", func() { list = append(list, p.Float()) })
		return list
	}
	panic(fmt.Sprintf("ir: attribute kind %d", k))
}
