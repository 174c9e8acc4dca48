package plan

import (
	"slices"

	"github.com/llamac/llamac/internal/scan"
	"github.com/llamac/llamac/ir"
)

// Parse reads the text form of a plan. Errors carry file:line:col. The plan is
// not verified.
func Parse(file string, src []byte) (*Plan, error) {
	p := &parser{Parser: scan.New(file, src), plan: &Plan{}}
	starts := func(t scan.Token) bool {
		return slices.Contains([]string{"plan", "dim", "arena", "weight", "state", "program"}, t.Text)
	}
	for p.Tok.Kind != scan.EOF {
		p.Recover(starts, p.declaration)
	}
	if p.plan.Name == "" && p.Errs.Err() == nil {
		p.Recover(starts, func() { p.Fail(p.Tok.Pos, "the plan has no name: it begins with `plan NAME`") })
	}
	if err := p.Errs.Err(); err != nil {
		return nil, err
	}
	return p.plan, nil
}

type parser struct {
	*scan.Parser
	plan    *Plan
	prog    *Program
	buffers map[string]*Buffer
	tables  map[string]*Buffer
}

func (p *parser) word(what string) string { return p.Take(scan.Word, what).Text }

func (p *parser) after(word string) int64 {
	p.Want(word)
	return p.Int()
}

func (p *parser) declaration() {
	t := p.Take(scan.Word, "a declaration")
	switch t.Text {
	case "plan":
		p.plan.Name = p.word("a name")
	case "dim":
		d := Dim{Name: p.word("a name"), Fixed: true}
		if p.Accept("<") {
			d.Fixed = false
		}
		p.Want("=")
		d.Size = p.Int()
		p.plan.Dims = append(p.plan.Dims, d)
	case "arena":
		p.plan.Arenas = append(p.plan.Arenas, Arena{p.word("a name"), p.after("bytes")})
	case "weight":
		p.weight()
	case "state":
		s := &State{Name: p.Sigil("!", "a name").Text}
		p.Want(":")
		typ := ir.ParseType(p.Parser)
		s.DType, s.Dims = typ.DType, typ.Dims
		s.Layers, s.Bytes = p.layers(), p.after("bytes")
		p.plan.State = append(p.plan.State, s)
	case "program":
		p.program()
	default:
		p.Fail(t.Pos, "found %s, want a declaration", t)
	}
}

func (p *parser) weight() {
	w := &Weight{Name: p.Sigil("$", "a name").Text, Layout: ir.RowMajor}
	p.Want(":")
	t := p.Tok
	typ := ir.ParseType(p.Parser)
	w.DType = typ.DType
	for _, d := range typ.Dims {
		if !d.IsConst() {
			p.Fail(t.Pos, "a weight's shape is made of numbers, found %s", d)
		}
		w.Dims = append(w.Dims, d.N)
	}
	w.Offset = p.after("at")
	if p.Accept("+") {
		w.Stride = p.stride()
		w.Layers = p.layers()
	}
	if p.Accept("layout") {
		w.Layout = ir.Layout(p.word("a layout"))
	}
	w.Decay = p.Accept("decay")
	if p.Accept("before") {
		w.Pack = p.Sigil("$", "a weight").Text
	}
	p.plan.Weights = append(p.plan.Weights, w)
}

// maxLayers bounds numbers of layers: programs are written out layer by layer in
// places, and a plan may come from anywhere.
const maxLayers = 1 << 20

// layers reads how many there are.
func (p *parser) layers() int {
	p.Want("layers")
	at := p.Tok.Pos
	n := p.Int()
	if n < 0 || n > maxLayers {
		p.Fail(at, "%d layers", n)
	}
	return int(n)
}

// stride reads l*N.
func (p *parser) stride() int64 {
	p.Want("l")
	p.Want("*")
	return p.Int()
}

// span reads [FROM, TO), a range of layers.
func (p *parser) span() (from, to int) {
	at := p.Tok.Pos
	p.Want("[")
	a := p.Int()
	p.Want(",")
	b := p.Int()
	p.Want(")")
	if a < 0 || b < a || b > maxLayers {
		p.Fail(at, "no layers from %d to %d", a, b)
	}
	return int(a), int(b)
}

func (p *parser) program() {
	q := &Program{Name: p.word("a name")}
	p.Want("in")
	q.Arena = p.word("an arena")
	q.SavedPerLayer = p.after("saved")
	p.Want("a")
	p.Want("layer")
	q.SavedBytes = p.Int()
	p.Want("in")
	p.Want("all")
	q.ScratchBytes = p.after("scratch")
	p.prog, p.buffers = q, map[string]*Buffer{}
	p.Want("{")
	for p.Accept("buffer") {
		b := p.buffer()
		p.buffers[b.Name] = b
		switch b.Region {
		case Input:
			q.Inputs = append(q.Inputs, b)
		case Table:
			if p.tables == nil {
				p.tables = map[string]*Buffer{}
			}
			p.tables[b.Name] = b
			q.Buffers = append(q.Buffers, b)
		default:
			q.Buffers = append(q.Buffers, b)
		}
	}
	q.Items = p.items()
	if p.Accept("return") {
		q.Results = p.operands("}")
	}
	p.Want("}")
	p.plan.Programs = append(p.plan.Programs, q)
}

func (p *parser) buffer() *Buffer {
	b := &Buffer{Name: p.Sigil("%", "a name").Text}
	p.Want(":")
	t := ir.ParseType(p.Parser)
	b.DType, b.Dims = t.DType, t.Dims
	r := p.Take(scan.Word, "a region")
	b.Region = Region(r.Text)
	if !slices.Contains([]Region{Input, Saved, Scratch, Table}, b.Region) {
		p.Fail(r.Pos, "no region named %q", r.Text)
	}
	if p.Accept("at") {
		b.Offset = p.Int()
	}
	if p.Accept("+") {
		b.Stride = p.stride()
	}
	if p.Accept("layers") {
		b.From, b.To = p.span()
	}
	b.Bytes = p.after("bytes")
	if p.Accept("lives") {
		p.Want("[")
		b.First = int(p.Int())
		p.Want(",")
		b.Last = int(p.Int())
		p.Want("]")
	}
	if p.Accept("values") {
		b.Values = []float64{}
		p.List("[", "]", func() { b.Values = append(b.Values, p.Float()) })
	}
	return b
}

func (p *parser) items() []Item {
	var items []Item
	for {
		text := p.Comment
		switch {
		case p.Accept("launch"):
			items = append(items, p.launch(text))
		case p.Accept("loop"):
			l := &Loop{Func: p.Sigil("@", "a function").Text}
			p.Want("l")
			p.Want("in")
			l.From, l.To = p.span()
			if l.Reverse = p.Accept("down"); !l.Reverse {
				p.Want("up")
			}
			p.Want("{")
			l.Body = p.items()
			p.Want("}")
			items = append(items, l)
		case p.Accept("copy"):
			c := &Copy{Dst: p.operand()}
			p.Want("=")
			c.Src = p.operand()
			items = append(items, c)
		case p.Is("start"), p.Is("wait"):
			c := &Comm{Wait: p.Is("wait")}
			p.Next()
			c.Op = p.op()
			c.Dst = p.operand()
			p.Want("=")
			c.Src = p.operand()
			c.Attrs = p.attrs(c.Op)
			c.Signal = int(p.after("signal"))
			items = append(items, c)
		default:
			return items
		}
	}
}

func (p *parser) op() string {
	t := p.Take(scan.Word, "an op")
	if attrRow(t.Text) == nil {
		p.Fail(t.Pos, "no op named %q", t.Text)
	}
	return t.Text
}

func (p *parser) attrs(op string) ir.Attrs {
	if !p.Is("{") {
		return nil
	}
	return ir.ParseAttrs(p.Parser, attrRow(op))
}

func (p *parser) launch(text string) *Launch {
	l := &Launch{Text: text, Name: p.word("a name")}
	l.Op = p.op()
	p.Want("(")
	l.Args = p.operands(")")
	p.Want(")")
	if p.Accept("->") {
		p.Want("(")
		l.Results = p.operands(")")
		p.Want(")")
	}
	l.Attrs = p.attrs(l.Op)
	if p.Accept("flops") {
		l.FLOPs = p.Int()
	}
	if p.Accept("stream") {
		l.Stream = int(p.Int())
	}
	for p.Accept("wait") {
		l.Waits = append(l.Waits, int(p.Int()))
	}
	if p.Accept("signal") {
		l.Signal = int(p.Int())
	}
	return l
}

func (p *parser) operands(end string) []Operand {
	var os []Operand
	for !p.Is(end) {
		os = append(os, p.operand())
		if !p.Accept(",") {
			break
		}
	}
	return os
}

func (p *parser) operand() Operand {
	o := Operand{Mode: Read}
	switch {
	case p.Accept("_"):
		o.Kind = Absent
		return o
	case p.Tok.Kind == scan.Number, p.Is("inf"), p.Is("nan"):
		o.Kind, o.Value = Immediate, p.Float()
		if p.Accept(":") { // of axes, each of size 1
			o.Type = ir.ParseType(p.Parser)
		}
		return o
	case p.Is("grad"), p.Is("$"):
		o.Kind = InWeights
		if p.Accept("grad") {
			o.Kind = InGrads
		}
		for {
			t := p.Sigil("$", "a weight")
			w := p.plan.FindWeight(t.Text)
			if w == nil {
				p.Fail(t.Pos, "no weight named $%s", t.Text)
			}
			o.Weight = append(o.Weight, w)
			if !p.Accept("&") {
				break
			}
		}
		o.Name = o.Weight[0].Name
	case p.Is("!"):
		t := p.Sigil("!", "state")
		i := slices.IndexFunc(p.plan.State, func(s *State) bool { return s.Name == t.Text })
		if i < 0 {
			p.Fail(t.Pos, "no state named !%s", t.Text)
		}
		o.Kind, o.State, o.Name = InState, p.plan.State[i], t.Text
	default:
		t := p.Sigil("%", "a buffer")
		b := p.buffers[t.Text]
		if b == nil {
			b = p.tables[t.Text]
		}
		if b == nil {
			p.Fail(t.Pos, "no buffer named %%%s", t.Text)
		}
		o.Kind, o.Buffer, o.Name = InBuffer, b, t.Text
	}
	if p.Accept("[") {
		t := p.Take(scan.Word, "a layer")
		o.Layer = Layer(t.Text)
		if !slices.Contains([]Layer{ThisLayer, NextLayer, FirstOne, AfterLast}, o.Layer) {
			p.Fail(t.Pos, "no layer %q: l, next, first or end", t.Text)
		}
		p.Want("]")
	}
	if p.Accept("columns") {
		o.Col = p.Int()
		o.Ld = p.after("of")
	}
	if p.Accept("as") {
		o.Name = p.word("a name")
	}
	p.Want(":")
	o.Type = ir.ParseType(p.Parser)
	for _, m := range []Mode{Overwrite, Accumulate, OverwriteFirst, ReadWrite} {
		if p.Accept(string(m)) {
			o.Mode = m
			break
		}
	}
	return o
}
