package ir

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/llamac/llamac/internal/diag"
)

// Parse reads the text form of a module. Errors carry file:line:col; as many
// as can be told apart are reported. The module is not verified.
func Parse(file string, src []byte) (*Module, error) {
	p := &parser{lexer: lexer{file: file, src: src, line: 1, col: 1}, m: &Module{}}
	p.next()
	p.module()
	if err := p.errs.Err(); err != nil {
		return nil, err
	}
	return p.m, nil
}

type parser struct {
	lexer
	tok  token
	m    *Module
	errs diag.List

	f      *Func
	values map[string]*Value
}

// bail unwinds to the start of the next declaration.
type bail struct{}

func (p *parser) fail(pos diag.Pos, format string, args ...any) {
	p.errs.Add(pos, format, args...)
	panic(bail{})
}

func (p *parser) next() {
	p.tok = p.lexer.scan()
	if p.tok.kind == bad {
		tok := p.tok
		p.tok.kind = eof
		p.fail(tok.pos, "unexpected %q", tok.text)
	}
}

func (p *parser) want(text string) {
	if p.tok.text != text || p.tok.kind == quoted {
		p.fail(p.tok.pos, "found %s, want %q", p.tok, text)
	}
	p.next()
}

func (p *parser) accept(text string) bool {
	if p.tok.kind != quoted && p.tok.text == text {
		p.next()
		return true
	}
	return false
}

func (p *parser) take(k tokenKind, what string) token {
	t := p.tok
	if t.kind != k {
		p.fail(t.pos, "found %s, want %s", t, what)
	}
	p.next()
	return t
}

func (p *parser) sigil(s string, what string) token {
	p.want(s)
	return p.take(word, what)
}

func (p *parser) int() int64 {
	t := p.take(number, "a number")
	n, err := strconv.ParseInt(t.text, 10, 64)
	if err != nil {
		p.fail(t.pos, "%q is not an integer", t.text)
	}
	return n
}

// module parses all declarations. A broken one is skipped up to the next line
// that starts with a keyword, so that several errors show at once.
func (p *parser) module() {
	type segment struct {
		stack *Stack
		i     int
		names [2]string
		pos   diag.Pos
	}
	var segments []segment
	decl := func() {
		defer func() {
			if r := recover(); r != nil {
				if _, ok := r.(bail); !ok {
					panic(r)
				}
				p.resync()
			}
		}()
		t := p.take(word, "a declaration")
		switch t.text {
		case "module":
			p.m.Name = p.take(word, "a name").text
		case "dim":
			d := DimDecl{Name: p.take(word, "a name").text}
			p.want("in")
			p.want("[")
			d.Min = p.int()
			p.want(",")
			d.Max = p.int()
			p.want("]")
			p.m.Dims = append(p.m.Dims, d)
		case "weight":
			p.weight()
		case "state":
			s := &State{Name: p.sigil("!", "a name").text}
			p.want(":")
			s.Type = p.typ()
			s.Stack, s.Layers = p.of()
			p.m.State = append(p.m.State, s)
		case "stack":
			s := &Stack{Name: p.take(word, "a name").text}
			for p.accept("[") {
				seg := Segment{From: int(p.int())}
				p.want(",")
				seg.To = int(p.int())
				p.want(")")
				r := segment{stack: s, i: len(s.Segments), pos: p.tok.pos}
				r.names[0] = p.sigil("@", "a function").text
				if p.tok.text == "@" {
					r.names[1] = p.sigil("@", "a function").text
				}
				segments = append(segments, r)
				s.Segments = append(s.Segments, seg)
			}
			p.m.Stacks = append(p.m.Stacks, s)
		case "func":
			p.function()
		default:
			p.fail(t.pos, "found %s, want a declaration", t)
		}
	}
	for p.tok.kind != eof {
		decl()
	}
	for _, r := range segments {
		seg := &r.stack.Segments[r.i]
		seg.Forward, seg.Backward = p.m.Func(r.names[0]), p.m.Func(r.names[1])
		if seg.Forward == nil {
			p.errs.Add(r.pos, "no function named @%s", r.names[0])
		}
		if r.names[1] != "" && seg.Backward == nil {
			p.errs.Add(r.pos, "no function named @%s", r.names[1])
		}
	}
}

// resync skips to a keyword at the start of a line.
func (p *parser) resync() {
	for {
		t := p.lexer.scan()
		if t.kind == eof || t.pos.Col == 1 && slices.Contains([]string{"module", "dim", "weight", "state", "stack", "func"}, t.text) {
			p.tok = t
			return
		}
	}
}

// of parses an optional "of stack[layers]".
func (p *parser) of() (stack string, layers int) {
	if !p.accept("of") {
		return "", 0
	}
	stack = p.take(word, "a stack").text
	p.want("[")
	layers = int(p.int())
	p.want("]")
	return stack, layers
}

func (p *parser) weight() {
	w := &Weight{Name: p.sigil("$", "a name").text, Layout: RowMajor}
	p.want(":")
	w.Type = p.typ()
	w.Stack, w.Layers = p.of()
	if p.accept("{") {
		for {
			k := p.take(word, "a field")
			p.want("=")
			v := p.tok
			if v.kind == quoted {
				s, err := strconv.Unquote(v.text)
				if err != nil {
					p.fail(v.pos, "bad string %s", v.text)
				}
				v.text = s
			}
			p.next()
			switch name := k.text; {
			case name == "layout":
				w.Layout = Layout(v.text)
			case name == "init":
				w.Init.Kind = v.text
			case name == "std":
				x, err := strconv.ParseFloat(v.text, 64)
				if err != nil {
					p.fail(v.pos, "std %q", v.text)
				}
				w.Init.Std = x
			case name == "decay":
				w.Decay = v.text == "true"
			case name == "shard":
				w.Shard = v.text
			case name == "rope":
				w.Rope = v.text
			case name == "heads":
				w.Heads, _ = strconv.Atoi(v.text)
			case len(name) > 5 && name[:5] == "name.":
				if w.Names == nil {
					w.Names = map[string]string{}
				}
				w.Names[name[5:]] = v.text
			default:
				p.fail(k.pos, "unknown field %s", name)
			}
			if !p.accept(",") {
				break
			}
		}
		p.want("}")
	}
	p.m.Weights = append(p.m.Weights, w)
}

func (p *parser) typ() Type {
	t := p.take(word, "a type")
	d, ok := ParseDType(t.text)
	if !ok {
		p.fail(t.pos, "no type named %q", t.text)
	}
	return Type{d, p.dims()}
}

func (p *parser) dims() []Dim {
	var dims []Dim
	p.want("[")
	for p.tok.text != "]" {
		d := Const(1)
		for {
			if p.tok.kind == number {
				d = d.Mul(Const(p.int()))
			} else {
				d = d.Mul(Sym(p.take(word, "a dimension").text))
			}
			if !p.accept("*") {
				break
			}
		}
		dims = append(dims, d)
		if !p.accept(",") {
			break
		}
	}
	p.want("]")
	return dims
}

func (p *parser) function() {
	f := &Func{Name: p.sigil("@", "a name").text, Role: Role(p.take(word, "a role").text)}
	p.f, p.values = f, map[string]*Value{}
	f.Params = p.typedValues()
	var saved []token
	if p.accept("loads") {
		f.Saved = p.typedValues()
	} else if p.accept("saves") {
		saved = p.valueNames()
	}
	p.want("->")
	results := p.valueNames()
	p.want("{")
	for !p.accept("}") {
		p.node()
	}
	find := func(names []token) (vs []*Value) {
		for _, t := range names {
			v := p.values[t.text]
			if v == nil {
				p.fail(t.pos, "%%%s is not defined", t.text)
			}
			vs = append(vs, v)
		}
		return vs
	}
	f.Results = find(results)
	if saved != nil {
		f.Saved = find(saved)
	}
	p.m.Funcs = append(p.m.Funcs, f)
}

func (p *parser) define(t token, v *Value) *Value {
	if p.values[t.text] != nil {
		p.fail(t.pos, "%%%s is defined twice", t.text)
	}
	v.Name = t.text
	p.values[t.text] = v
	return v
}

func (p *parser) typedValues() []*Value {
	var vs []*Value
	p.want("(")
	for p.tok.text != ")" {
		t := p.sigil("%", "a name")
		p.want(":")
		vs = append(vs, p.define(t, &Value{Type: p.typ()}))
		if !p.accept(",") {
			break
		}
	}
	p.want(")")
	return vs
}

func (p *parser) valueNames() []token {
	var ts []token
	p.want("(")
	for p.tok.text != ")" {
		ts = append(ts, p.sigil("%", "a name"))
		if !p.accept(",") {
			break
		}
	}
	p.want(")")
	return ts
}

func (p *parser) node() {
	n := &Node{}
	var results []token
	for p.tok.text == "%" {
		results = append(results, p.sigil("%", "a name"))
		if !p.accept(",") {
			break
		}
	}
	if results != nil {
		p.want("=")
	}
	t := p.take(word, "an op")
	if n.Op = Lookup(t.text); n.Op == nil {
		p.fail(t.pos, "no op named %q", t.text)
	}
	p.want("(")
	for p.tok.text != ")" {
		n.Operands = append(n.Operands, p.operand())
		if !p.accept(",") {
			break
		}
	}
	p.want(")")
	if p.accept("{") {
		n.Attrs = Attrs{}
		for {
			k := p.take(word, "an attribute")
			i := slices.IndexFunc(n.Op.Attrs, func(a AttrSpec) bool { return a.Name == k.text })
			if i < 0 {
				p.fail(k.pos, "%s has no attribute %s", n.Op.Name, k.text)
			}
			p.want("=")
			n.Attrs[k.text] = p.attr(n.Op.Attrs[i].Kind)
			if !p.accept(",") {
				break
			}
		}
		p.want("}")
	}
	for i, r := range results {
		if i == 0 {
			p.want(":")
		} else {
			p.want(",")
		}
		n.Results = append(n.Results, p.define(r, &Value{Type: p.typ(), Def: n, Index: i}))
	}
	p.f.Nodes = append(p.f.Nodes, n)
}

func (p *parser) operand() *Value {
	switch p.tok.text {
	case "%":
		t := p.sigil("%", "a name")
		v := p.values[t.text]
		if v == nil {
			p.fail(t.pos, "%%%s is not defined before it is used", t.text)
		}
		return v
	case "$":
		t := p.sigil("$", "a name")
		w := p.m.Weight(t.text)
		if w == nil {
			p.fail(t.pos, "no weight named $%s", t.text)
		}
		return p.f.WeightValue(w)
	case "!":
		t := p.sigil("!", "a name")
		s := p.m.StateNamed(t.text)
		if s == nil {
			p.fail(t.pos, "no state named !%s", t.text)
		}
		return p.f.StateValue(s)
	}
	p.want("_")
	return nil
}

func (p *parser) attr(k AttrKind) any {
	switch k {
	case IntAttr:
		return p.int()
	case FloatAttr:
		return p.float()
	case BoolAttr:
		t := p.take(word, "true or false")
		if t.text != "true" && t.text != "false" {
			p.fail(t.pos, "found %s, want true or false", t)
		}
		return t.text == "true"
	case StringAttr:
		t := p.take(quoted, "a string")
		s, err := strconv.Unquote(t.text)
		if err != nil {
			p.fail(t.pos, "bad string %s", t.text)
		}
		return s
	case DimsAttr:
		p.want("dims")
		return p.dims()
	case IntsAttr:
		return items(p, p.int)
	case FloatsAttr:
		return items(p, p.float)
	}
	panic(fmt.Sprintf("ir: attribute kind %d", k))
}

func (p *parser) float() float64 {
	t := p.tok
	if t.kind != number && t.text != "inf" && t.text != "nan" {
		p.fail(t.pos, "found %s, want a number", t)
	}
	p.next()
	x, err := strconv.ParseFloat(t.text, 64)
	if err != nil {
		p.fail(t.pos, "%q is not a number", t.text)
	}
	return x
}

func items[T any](p *parser, item func() T) []T {
	list := []T{}
	p.want("[")
	for p.tok.text != "]" {
		list = append(list, item())
		if !p.accept(",") {
			break
		}
	}
	p.want("]")
	return list
}
