package passes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/plan"
)

// Schedule lowers the module's programs to lists of launches over buffers.
// Views vanish, packs become one matrix product, the gradient of a weight is
// written where it is made, and what depends on constants alone moves to the
// program "tables", which runs once. Buffers get their places in plan_memory.
var Schedule = Pass{
	Name: "schedule", Doc: "Lowers programs to launches over buffers.",
	Run: schedule, Required: true,
}

func schedule(u *Unit) error {
	m := u.Module
	if u.Plan == nil {
		u.Plan = &plan.Plan{Name: m.Name}
		// A second pipeline, for inference, adds its programs to the plan that
		// training made: tables and weights are shared.
	}
	p := u.Plan
	s := newScheduler(u)
	var groups [][]*ir.Weight
	for _, f := range m.Funcs {
		// Layers' functions are lowered inside of the loops that run them.
		if f.Role != ir.RoleMain {
			continue
		}
		q, err := s.program(f)
		if err != nil {
			return fmt.Errorf("schedule: @%s: %w", f.Name, err)
		}
		p.Programs = append(p.Programs, q)
		// The packs of all programs are collected first, since weights get one
		// layout for all.
		groups = append(groups, s.groups...)
		s.groups = nil
	}
	p.Tables = s.tableOf
	// Tables come first, as they run first.
	if len(s.tables.Items) > 0 && p.Program("tables") == nil {
		p.Programs = append([]*plan.Program{s.tables}, p.Programs...)
	}
	if err := layOutWeights(p, m, groups); err != nil {
		return fmt.Errorf("schedule: %w", err)
	}
	// Operands were made before the weights had places; now they are pointed at
	// them.
	for _, q := range p.Programs {
		resolveWeights(p, q)
	}
	return nil
}

// docs say what each program does; the names are the contract with targets.
var programDocs = map[string]string{
	"micro_step": "Forward and backward over one micro-batch.",
	"eval":       "The loss of one micro-batch.",
	"update":     "One optimiser step.",
	"decode":     "Logits for some of a flat list of tokens, with keys and values cached.",
}

// A dimension that both pipelines have is the same one.
func addDims(p *plan.Plan, m *ir.Module) {
	for _, d := range m.Dims {
		if !slices.ContainsFunc(p.Dims, func(e plan.Dim) bool { return e.Name == d.Name }) {
			p.Dims = append(p.Dims, plan.Dim{Name: d.Name, Size: d.Max, Fixed: d.Min == d.Max})
		}
	}
}

func addState(p *plan.Plan, m *ir.Module) {
	sizes := Sizes(m)
	for _, st := range m.State {
		p.State = append(p.State, &plan.State{Name: st.Name, DType: st.Type.DType, Dims: st.Type.Dims,
			Layers: st.Layers, Bytes: st.Type.Bind(sizes).Bytes()})
	}
}

// scheduler lowers one program after the other.
//
// Most of its fields are of the program being lowered, and are reset for the
// next one.
type scheduler struct {
	u       *Unit
	plan    *plan.Plan
	tables  *plan.Program
	tableOf map[string]*plan.Buffer // by how they are made
	groups  [][]*ir.Weight          // packs of weights that programs need
	fixed   map[string]bool         // dimensions that have one size only
	draft   bool                    // only sizes, lives and FLOPs matter: no texts, no tables

	prog    *plan.Program
	st      *storage
	isConst func(*ir.Value) bool
	sizes   map[string]int64
	buffers map[any]*plan.Buffer // of a *class or *pack
	names   map[string]bool
	written map[gradient]bool // gradients written so far in this program
	uses    map[*ir.Value][]*ir.Node
	time    int
	loop    *layerLoop
	out     *[]plan.Item
}

// newScheduler makes a scheduler that adds to the unit's plan.
//
// A plan that has tables already goes on with them, so that a constant of both
// pipelines is computed once.
func newScheduler(u *Unit) *scheduler {
	p := u.Plan
	addDims(p, u.Module)
	addState(p, u.Module) // operands point to it
	s := &scheduler{u: u, plan: p, tables: &plan.Program{Name: "tables", Doc: "Computes once what depends on constants alone.", Arena: "tables"},
		tableOf: map[string]*plan.Buffer{}, fixed: map[string]bool{}}
	if old := p.Program("tables"); old != nil {
		s.tables = old
		for k, b := range p.Tables {
			s.tableOf[k] = b
		}
	}
	for _, d := range p.Dims {
		s.fixed[d.Name] = d.Fixed
	}
	return s
}

func (s *scheduler) program(f *ir.Func) (*plan.Program, error) {
	m := s.u.Module
	tl, err := newTimeline(m, f)
	if err != nil {
		return nil, err
	}
	// A dimension that varies from run to run keeps everything that depends on
	// it out of the tables.
	s.isConst = constants(m, s.fixed)
	s.st = newStorage(m, tl, s.isConst, s.u.Stats)
	arena := "act.infer"
	// Training's programs share one arena, inference has another: both may
	// exist in one process.
	if m.Func("micro_step") != nil {
		arena = "act.train"
	}
	s.prog = &plan.Program{Name: f.Name, Doc: programDocs[f.Name], Arena: arena}
	s.sizes = Sizes(m)
	s.buffers, s.names, s.written = map[any]*plan.Buffer{}, map[string]bool{}, map[gradient]bool{}
	// Uses of all functions that the program runs, in one map: values are
	// unique to their functions.
	s.uses = f.Uses()
	for _, l := range tl.loops {
		for v, n := range l.f.Uses() {
			s.uses[v] = n
		}
	}
	s.out = &s.prog.Items
	// Inputs are memory of the caller. They count no bytes in the arena.
	for _, p := range f.Params {
		b := &plan.Buffer{Name: p.Name, Region: plan.Input, DType: p.Type.DType, Dims: p.Type.Dims, Bytes: p.Type.Bind(s.sizes).Bytes()}
		s.buffers[s.st.of(p)] = b
		s.names[b.Name] = true
		s.prog.Inputs = append(s.prog.Inputs, b)
	}
	for _, it := range tl.items {
		s.time = it.time
		if it.loop != nil {
			err = s.lowerLoop(it.loop)
		} else {
			err = s.lower(it.node)
		}
		if err != nil {
			return nil, err
		}
	}
	// Results are read at the program's end, which keeps their buffers alive
	// until then.
	s.time = tl.end
	for _, r := range f.Results {
		s.prog.Results = append(s.prog.Results, s.operand(r, plan.Read))
	}
	s.renameTables()
	return s.prog, nil
}

// renameTables gives the tables that the program reads names that no buffer or
// input of it has: the plan's text refers to both by name. Tables are shared,
// so that the program's own buffers yield where they can.
//
// Two ways out, in this order: a buffer of this program takes a number, and a
// table that meets an input's name takes a suffix, as inputs are the contract
// with targets.
func (s *scheduler) renameTables() {
	read := map[string]*plan.Buffer{}
	see := func(os []plan.Operand) {
		for _, o := range os {
			if o.Kind == plan.InBuffer && o.Buffer.Region == plan.Table {
				read[o.Buffer.Name] = o.Buffer
			}
		}
	}
	s.prog.Walk(func(it plan.Item) {
		switch x := it.(type) {
		case *plan.Launch:
			see(x.Args)
		case *plan.Copy:
			see([]plan.Operand{x.Src})
		}
	})
	see(s.prog.Results)
	for _, b := range s.prog.Buffers {
		if base := b.Name; read[base] != nil {
			for i := 2; s.names[b.Name] || read[b.Name] != nil; i++ {
				b.Name = fmt.Sprintf("%s.%d", base, i)
			}
			s.names[b.Name] = true
		}
	}
	for _, b := range s.prog.Inputs {
		if t := read[b.Name]; t != nil {
			t.Name = b.Name + ".table"
		}
	}
}

// lowerLoop lowers the layers of one segment, with copies where the carried
// value could not stay in its place.
func (s *scheduler) lowerLoop(l *layerLoop) error {
	x, out := l.f.Params[0], l.f.Results[0]
	loop := &plan.Loop{Func: l.f.Name, From: l.segment.From, To: l.segment.To, Reverse: l.backward}
	// The value that enters the first layer is copied, unless it could be made
	// where the layer reads it.
	if from := l.call.Operands[0]; l.first && s.st.of(from) != s.st.of(x) {
		dst := s.operand(x, plan.Overwrite)
		if dst.Layer != plan.NoLayer {
			dst.Layer = plan.FirstOne
		}
		s.emit(&plan.Copy{Dst: dst, Src: s.operand(from, plan.Read)})
	}
	s.emit(loop)
	// Touched at the beginning and at the end: what a layer reads must survive
	// all layers in between, also if it is last read early in the body.
	s.touchLoop(l)
	outer := s.out
	s.out, s.loop = &loop.Body, l
	for i, n := range l.f.Nodes {
		s.time = l.times[i]
		if err := s.lower(n); err != nil {
			return fmt.Errorf("@%s: %w", l.f.Name, err)
		}
	}
	s.time = l.end
	// The layer's result must be where the next layer finds its input. Storage
	// has arranged that where it could; where it could not, as when the body
	// still reads the input while the result is written, a copy does it.
	cx, co := s.st.of(x), s.st.of(out)
	if cx.region == kept && !co.layer || cx.region != kept && cx != co {
		dst := s.operand(x, plan.Overwrite)
		if cx.region == kept {
			dst.Layer = plan.NextLayer
		}
		s.emit(&plan.Copy{Dst: dst, Src: s.operand(out, plan.Read)})
	}
	s.out, s.loop = outer, nil
	s.touchLoop(l)
	return nil
}

// touchLoop keeps what every layer reads, and what one hands to the next,
// alive at the loop's beginning and end.
func (s *scheduler) touchLoop(l *layerLoop) {
	for _, v := range l.f.Params {
		if b := s.buffers[s.st.of(v)]; b != nil {
			s.touch(b)
		}
	}
}

func (s *scheduler) emit(it plan.Item) { *s.out = append(*s.out, it) }

// touch extends the life of a buffer to the present time.
//
// Lives are times of the flat timeline, in which a loop's body stands once.
// plan.Lives finds them again from the launches alone; these are for programs
// without stored layers.
func (s *scheduler) touch(b *plan.Buffer) *plan.Buffer {
	b.First, b.Last = min(b.First, s.time), max(b.Last, s.time)
	return b
}

// root is the value whose memory v shows: under views, and for what is the same
// for all layers the value outside.
func (s *scheduler) root(v *ir.Value) *ir.Value {
	for {
		switch {
		case v.Def != nil && v.Def.Op.View:
			v = v.Def.Operands[0]
			// Parameters behind the first are the same for all layers and stand
			// for the call's operands.
			continue
		case v.Def == nil && s.loop != nil && v.Local():
			if i := slices.Index(s.loop.f.Params, v); i > 0 {
				v = s.loop.call.Operands[i]
				continue
			}
		}
		return v
	}
}

// operand is where v lies.
func (s *scheduler) operand(v *ir.Value, mode plan.Mode) plan.Operand {
	o := plan.Operand{Name: v.Name, Type: v.Type, Mode: mode}
	switch root := s.root(v); {
	// Weights and state lie in arenas of their own, at the layer that runs.
	case root.Weight != nil:
		o.Kind, o.Name, o.Weight = plan.InWeights, root.Weight.Name, []*plan.Weight{{Of: root.Weight}}
		o.Layer = s.layerOf(root.Weight.Stack)
		return o
	case root.State != nil:
		o.Kind, o.Name, o.State = plan.InState, root.State.Name, s.plan.FindState(root.State.Name)
		o.Layer = s.layerOf(root.State.Stack)
		return o
	// A constant scalar is written into the launch; a larger one is a table.
	case s.isConst(root) && oneElement(root) && root.Def.Op.Name == "const":
		o.Kind, o.Value = plan.Immediate, root.Def.Floats("values")[0]
		return o
	case s.isConst(root):
		o.Kind, o.Buffer = plan.InBuffer, s.table(root)
		return o
	}
	o.Kind = plan.InBuffer
	c := s.st.of(v)
	o.Buffer = s.touch(s.buffer(c, v))
	// A member of a pack is some columns: they start behind those of the
	// members before it, and rows are as far apart as the whole pack is wide.
	if p := c.pack; p != nil {
		for _, w := range p.widths[:c.index] {
			o.Col += w
		}
		o.Ld = total(p.widths)
	}
	// Which layer's block is meant. A class relative to the next layer is
	// written by a layer for the one above it, and outside of the loop it is
	// what lies behind the last block; the first layer's input is what is
	// written before the loop.
	if o.Buffer.Region == plan.Saved {
		switch {
		case c.layer && s.loop == nil:
			o.Layer = plan.AfterLast
		case c.layer:
			o.Layer = plan.NextLayer
		case s.loop == nil:
			o.Layer = plan.FirstOne
		default:
			o.Layer = plan.ThisLayer
		}
	}
	return o
}

func (s *scheduler) layerOf(stack string) plan.Layer {
	if stack == "" {
		return plan.NoLayer
	}
	return plan.ThisLayer
}

func oneElement(v *ir.Value) bool { return v.Type.Size().Is(1) }

func total(xs []int64) int64 {
	var t int64
	for _, x := range xs {
		t += x
	}
	return t
}

// buffer makes or finds the buffer of a class.
func (s *scheduler) buffer(c *class, v *ir.Value) *plan.Buffer {
	var key any = c
	if c.pack != nil {
		// A pack is one buffer, found by the pack and no longer by its members.
		key = c.pack
	}
	if c.layer { // the next layer's input lies in the buffer of this layer's
		x := s.forward().f.Params[0]
		return s.buffer(s.st.of(x), x)
	}
	if b := s.buffers[key]; b != nil {
		return b
	}
	b := &plan.Buffer{Region: plan.Scratch, DType: v.Type.DType, First: s.time, Last: s.time}
	if v.Type.DType == ir.Bool || v.Type.DType == ir.I32 || v.Type.DType == ir.I64 {
		b.DType = ir.F32 // masks and indices made on the device are held as numbers
	}
	// The class is stored by the layers of one segment, or by all of them.
	if c.region == kept {
		b.Region = plan.Saved
		if l := s.storing(c); l != nil {
			b.From, b.To = l.segment.From, l.segment.To
		}
	}
	if p := c.pack; p != nil {
		var names []string
		for _, k := range p.members {
			names = append(names, className(k))
		}
		b.Name, b.Dims = joinNames(names), []ir.Dim{p.rows, ir.Const(total(p.widths))}
	} else {
		// The dims are those of the value that gives the name, as views of one
		// buffer have several.
		b.Name, b.Dims = className(c), c.members[0].Type.Dims
		for _, m := range c.members {
			if m.Name == b.Name {
				b.Dims = m.Type.Dims
			}
		}
		// The inputs of all layers are one chain of blocks; its name is that of
		// the first segment's input.
		if first := s.st.tl.loops; len(first) > 0 && c.region == kept && c == s.st.of(s.forward().f.Params[0]) {
			b.Name = className(s.st.of(first[0].f.Params[0])) // one name for the inputs of all layers
		}
	}
	if s.loop != nil && s.loop.number > 0 { // layer.2 has attn.n.2
		b.Name = fmt.Sprintf("%s.%d", b.Name, s.loop.number+1)
	}
	// A name that is taken gets a number.
	for base, i := b.Name, 2; s.names[b.Name]; i++ {
		b.Name = fmt.Sprintf("%s.%d", base, i)
	}
	s.names[b.Name] = true
	b.Bytes = ir.Type{DType: b.DType, Dims: b.Dims}.Bind(s.sizes).Bytes()
	s.buffers[key] = b
	s.prog.Buffers = append(s.prog.Buffers, b)
	return b
}

// forward is the loop over layers that runs, or else the last of the forward.
func (s *scheduler) forward() *layerLoop {
	if s.loop != nil && !s.loop.backward {
		return s.loop
	}
	var last *layerLoop
	for _, l := range s.st.tl.loops {
		if !l.backward {
			last = l
		}
	}
	return last
}

// storing is the loop whose layers store the class, or nil if all layers do.
//
// A class with members in several segments is what is handed from one to the
// next.
func (s *scheduler) storing(c *class) *layerLoop {
	for _, v := range c.members {
		if l := s.st.tl.ownerOf[v]; l != nil && !(l.first && l.last) {
			return l
		}
	}
	return nil
}

// className is the shortest name of the class's values: the spec's, where
// later values derive theirs from it.
func className(c *class) string {
	name := ""
	for _, v := range c.members {
		if name == "" || len(v.Name) < len(name) || len(v.Name) == len(name) && v.Name < name {
			name = v.Name
		}
	}
	return name
}

// joinNames names a pack: attn.q, attn.k, attn.v give attn.qkv.
//
// Names that share everything up to the last dot and differ in one letter are
// run together; others are joined by an underscore, so that nothing has to be
// guessed.
func joinNames(names []string) string {
	const again = ".again"
	if trimmed := slices.Clone(names); !slices.ContainsFunc(names, func(n string) bool { return !strings.HasSuffix(n, again) }) {
		for i, n := range trimmed {
			trimmed[i] = strings.TrimSuffix(n, again)
		}
		return joinNames(trimmed) + again
	}
	prefix := names[0]
	for _, n := range names[1:] {
		for !strings.HasPrefix(n, prefix) {
			prefix = prefix[:len(prefix)-1]
		}
	}
	if i := strings.LastIndexByte(prefix, '.'); i >= 0 {
		prefix = prefix[:i+1]
	} else {
		prefix = ""
	}
	// One letter each: q, k and v give qkv.
	short := true
	var rest []string
	for _, n := range names {
		r := n[len(prefix):]
		short = short && len(r) == 1
		rest = append(rest, r)
	}
	if short {
		return prefix + strings.Join(rest, "")
	}
	return prefix + strings.Join(rest, "_")
}

// table computes a constant once, in the program "tables". Constants made in
// the same way are one, whichever programs they occur in.
func (s *scheduler) table(v *ir.Value) *plan.Buffer {
	// A draft counts no tables, as they lie in no arena of activations.
	if s.draft {
		return &plan.Buffer{Region: plan.Table}
	}
	key := recipe(v)
	if b := s.tableOf[key]; b != nil {
		return b
	}
	l := &plan.Launch{Op: v.Def.Op.Name, Name: v.Name, Text: v.Def.String(), Attrs: v.Def.Attrs}
	// Operands are constants as well, and become tables before this one: items
	// are in an order in which they can run.
	for _, o := range v.Def.Operands {
		l.Args = append(l.Args, s.operand(o, plan.Read))
	}
	name := v.Name
	for i := 2; slices.ContainsFunc(s.tables.Buffers, func(b *plan.Buffer) bool { return b.Name == name }); i++ {
		name = fmt.Sprintf("%s.%d", v.Name, i)
	}
	b := &plan.Buffer{Name: name, Region: plan.Table, DType: ir.F32, Dims: v.Type.Dims}
	b.Bytes = ir.Type{DType: b.DType, Dims: b.Dims}.Bind(s.sizes).Bytes()
	if v.Def.Op.Name == "const" {
		b.Values = v.Def.Floats("values")
	}
	l.Results = []plan.Operand{{Kind: plan.InBuffer, Buffer: b, Name: v.Name, Type: v.Type, Mode: plan.Overwrite}}
	s.tableOf[key] = b
	s.tables.Buffers = append(s.tables.Buffers, b)
	s.tables.Items = append(s.tables.Items, l)
	return b
}

// recipe says how a constant is made, names aside.
//
// Types are part of it: iota of another length is another table.
func recipe(v *ir.Value) string {
	var in []string
	for _, o := range v.Def.Operands {
		in = append(in, recipe(o))
	}
	n := ir.Node{Op: v.Def.Op, Attrs: v.Def.Attrs}
	return fmt.Sprintf("%s %s (%s)", n.String(), v.Type, strings.Join(in, ", "))
}
