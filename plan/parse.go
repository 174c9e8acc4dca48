package plan

import (
	"slices"

	"github.com/llamac/llamac/internal/scan"
	"github.com/llamac/llamac/ir"
)

// Parse reads the text form of a plan. Errors carry file:line:col. The plan is
// not verified.
// It reads what String prints. A file is declarations in the first column, programs
// last, since they refer to all others:
//
//	plan tiny_gqa
//	dim B = 3
//	dim N <= 24
//	arena weights bytes 77696
//	weight $attention.wq: f32[32, 32] at 9760 + l*-7744 layers 2 decay before $attention.wk
//	state !kv: f32[blocks, 2, 2, 16, 8] layers 2 bytes 32768
//	program eval in act.train saved 0 a layer 0 in all scratch 50688 {
//	  ...
//	}
func Parse(file string, src []byte) (*Plan, error) {
	p := &parser{Parser: scan.New(file, src), plan: &Plan{}}
	// After a mistake reading goes on at the next of these.
	starts := func(t scan.Token) bool {
		return slices.Contains([]string{"plan", "dim", "arena", "weight", "state", "program"}, t.Text)
	}
	for p.Tok.Kind != scan.EOF {
		p.Recover(starts, p.declaration)
	}
	// An empty file is no plan. Told only if nothing else was wrong.
	if p.plan.Name == "" && p.Errs.Err() == nil {
		p.Recover(starts, func() { p.Fail(p.Tok.Pos, "the plan has no name: it begins with `plan NAME`") })
	}
	if err := p.Errs.Err(); err != nil {
		return nil, err
	}
	return p.plan, nil
}

// buffers are those of the program that is being read; tables those of the program
// "tables", which later programs may read as well.
type parser struct {
	*scan.Parser
	plan    *Plan
	prog    *Program
	buffers map[string]*Buffer
	tables  map[string]*Buffer
}

func (p *parser) word(what string) string { return p.Take(scan.Word, what).Text }

// after reads a word and the number behind it: bytes 4096.
func (p *parser) after(word string) int64 {
	p.Want(word)
	return p.Int()
}

func (p *parser) declaration() {
	t := p.Take(scan.Word, "a declaration")
	switch t.Text {
	case "plan":
		p.plan.Name = p.word("a name")
	// dim B = 3 is fixed, dim N <= 24 a capacity.
	case "dim":
		d := Dim{Name: p.word("a name"), Fixed: true}
		if p.Accept("<") {
			d.Fixed = false
		}
		// "<=" is two tokens.
		p.Want("=")
		d.Size = p.Int()
		p.plan.Dims = append(p.plan.Dims, d)
	case "arena":
		p.plan.Arenas = append(p.plan.Arenas, Arena{p.word("a name"), p.after("bytes")})
	case "weight":
		p.weight()
	// Dimensions may be symbols here: blocks are counted when a run starts.
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

// weight reads what follows the word; the parts behind the offset may be missing:
//
//	$w: f32[16, 32] at 10784 + l*-7744 layers 2 layout row_major decay before $v
//
// The offset and the stride are in elements, and "before" names the weight that
// continues the pack.
func (p *parser) weight() {
	w := &Weight{Name: p.Sigil("$", "a name").Text, Layout: ir.RowMajor}
	p.Want(":")
	// Positions of numbers inside of the shape are gone by then.
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
// A stride may be negative: weights lie from the last layer to the first.
func (p *parser) stride() int64 {
	p.Want("l")
	p.Want("*")
	return p.Int()
}

// span reads [FROM, TO), a range of layers.
// The range may be empty; which ranges make sense is for Verify.
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

// program reads a header, buffers, work and what is returned:
//
//	program micro_step in act.train saved 74880 a layer 158976 in all scratch 41536 {
//	  buffer %x: ...
//	  launch ...
//	  return %loss: f32[]
//	}
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
	// Inputs are listed first when printed, but told apart by their region.
	for p.Accept("buffer") {
		b := p.buffer()
		p.buffers[b.Name] = b
		switch b.Region {
		case Input:
			q.Inputs = append(q.Inputs, b)
		case Table:
			// Programs that come later read the tables by these names.
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
		// There is no bracket around them, so the list ends where the program does.
		q.Results = p.operands("}")
	}
	p.Want("}")
	p.plan.Programs = append(p.plan.Programs, q)
}

// buffer reads what follows the word:
//
//	%x: f32[B, T, 32] saved at 0 + l*74880 layers [0, 1) bytes 9216 lives [3, 90]
//	%rope.freq: f32[1, 4] table at 256 bytes 16 values [1.0, 0.1, 0.01, 0.001]
//
// Offset, stride and bytes are in bytes; inputs have no place.
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
		// Not nil even if empty, so that it is printed again.
		b.Values = []float64{}
		p.List("[", "]", func() { b.Values = append(b.Values, p.Float()) })
	}
	return b
}

// items reads launches, loops, copies and collectives up to what is none of these,
// the brace that ends the program or the loop:
//
//	loop @layer l in [0, 2) up {
//	  ...
//	}
//	copy %x[first]: f32[B, T, 32] overwrite = %e: f32[B, T, 32]
//	start all_reduce %y: f32[4] = %x: f32[4] {group = "tp", ways = 2} signal 1
func (p *parser) items() []Item {
	var items []Item
	for {
		// The line of the IR stands above its launch as a comment. It is lost once the
		// parser has gone on, so it is taken now.
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

// op reads the name of an op: an unknown one has no attributes to read by.
func (p *parser) op() string {
	t := p.Take(scan.Word, "an op")
	if attrRow(t.Text) == nil {
		p.Fail(t.Pos, "no op named %q", t.Text)
	}
	return t.Text
}

// attrs reads {scale = 0.5}, or nothing.
func (p *parser) attrs(op string) ir.Attrs {
	if !p.Is("{") {
		return nil
	}
	return ir.ParseAttrs(p.Parser, attrRow(op))
}

// launch reads what follows the word; the parts behind the operands may be missing:
//
//	attn.out linear(%o: f32[B, T, 32], $wo[l]: f32[32, 32]) -> (%y: f32[B, T, 32] overwrite) flops 147456
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
	// Stream 0, no waits and no signal are not printed.
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

// operands reads a list up to the token end, which it leaves.
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

// operand reads one of
//
//	_
//	0.5
//	%qkv[l] columns 32 of 64 as k: f32[B, T, 2, 8] overwrite
//	grad $wq & $wk[l] as wq_wk: f32[48, 32] overwrite_first
//	!kv[l]: f32[blocks, 2, 2, 16, 8] read_write
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
	// "grad" is a word here: buffers begin with a sign, so no buffer is called
	// so.
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
			// The program's own buffers hide tables of the same name.
			b = p.tables[t.Text]
		}
		if b == nil {
			p.Fail(t.Pos, "no buffer named %%%s", t.Text)
		}
		// Under the buffer's own name, unless "as" says another.
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
	// Read has no word.
	for _, m := range []Mode{Overwrite, Accumulate, OverwriteFirst, ReadWrite} {
		if p.Accept(string(m)) {
			o.Mode = m
			break
		}
	}
	return o
}
