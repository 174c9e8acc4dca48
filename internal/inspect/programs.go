package inspect

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/passes"
	"github.com/llamac/llamac/plan"
)

// program is one program of the plan: when what runs, and what lies where.
// All names are those of the page's JavaScript, short where there are many of
// them.
type program struct {
	Name     string    `json:"name"`
	Doc      string    `json:"doc"`
	Arena    string    `json:"arena"`
	PerLayer int64     `json:"perLayer"` // bytes stored a layer; 0 where layers differ
	Block    int64     `json:"block"`    // bytes of the largest layer's
	Zone     int64     `json:"zone"`     // bytes above a layer's block that some part of the program takes
	Saved    int64     `json:"saved"`    // all of them, with the stack's result
	Scratch  int64     `json:"scratch"`
	Live     int64     `json:"live"` // largest sum of scratch buffers alive at once
	Times    []moment  `json:"times"`
	Loops    []loop    `json:"loops"`
	Buffers  []*buffer `json:"buffers"`
	Launches []*launch `json:"launches"`
}

// moment is one time of a program, as buffers' lives count them: a node, or a
// loop's beginning or end.
// Group says whose names the line uses.
type moment struct {
	Text  int    `json:"t"` // the node's line, or -1
	Group string `json:"g"`
}

// loop is the times between which layers run.
// All layers have the same times: the plan holds one body.
type loop struct {
	Func    string `json:"func"`
	From    int    `json:"from"`
	To      int    `json:"to"`
	Reverse bool   `json:"reverse,omitempty"`
	Begin   int    `json:"begin"`
	End     int    `json:"end"`
}

// buffer is a buffer's place and life. Bytes are those of one layer; First and
// Last are times of the program.
type buffer struct {
	Name   string   `json:"n"`
	Type   string   `json:"t"`
	Region string   `json:"r"`
	Offset int64    `json:"o"`
	Stride int64    `json:"s,omitempty"` // from one layer to the next
	Place  int64    `json:"p"`           // in a picture of one layer's block and what lies on it
	From   int      `json:"from"`        // for a stored buffer, the layers that have it
	To     int      `json:"to"`
	Bytes  int64    `json:"b"`
	First  int      `json:"f"`
	Last   int      `json:"l"`
	After  int      `json:"a,omitempty"` // last time at which the copy behind the last layer is read
	Values []string `json:"v"`           // keys of the values that it holds, in order of time
}

// launch is a call of a kernel, the node that it computes and the lines that
// print it.
type launch struct {
	Op    string `json:"op"`
	Name  string `json:"n"`
	Text  int    `json:"t"` // the node's line
	Group string `json:"g"`
	Time  int    `json:"at"`
	FLOPs int64  `json:"f,omitempty"`
	File  int    `json:"file"` // index of the source, or -1
	Line  int    `json:"line"` // first line of the call, from 0
	Count int    `json:"count"`
}

// place is where a value lies in one program.
// Several members of a pack have one buffer and columns each.
type place struct {
	Program int    `json:"p"`
	Buffer  int    `json:"b"`            // of the program "tables" if Table
	Table   bool   `json:"t,omitempty"`  // computed once
	Col     int64  `json:"c,omitempty"`  // first column
	Width   int64  `json:"w,omitempty"`  // columns, when they are part of a row
	Ld      int64  `json:"ld,omitempty"` // of a whole row
	Grad    string `json:"g,omitempty"`  // written straight to a weight's gradient instead
}

// programs describes the programs that a pipeline made of its module.
// The module is the one that the last pass left, so its nodes are those of the
// launches.
func programs(p *page, pipe *pipeline, m *ir.Module, pl *plan.Plan) error {
	// Only to look lines up, whatever their cost.
	c := &collector{page: p, index: map[string]int{}}
	for i, l := range p.Lines {
		if _, ok := c.index[l.Text]; !ok {
			c.index[l.Text] = i
		}
	}
	// A node's line is in some column: -1 would be a graph that no pass left.
	text := func(n *ir.Node) int {
		if i, ok := c.index[n.String()]; ok {
			return i
		}
		return -1
	}
	// Constants that are computed once, before either pipeline's programs.
	tables := pl.Program("tables")
	for _, q := range pl.Programs {
		f := m.Func(q.Name)
		if f == nil && q != tables {
			continue // of the other pipeline
		}
		d := &describer{pipe: pipe, m: m, q: q, tables: tables, text: text,
			out: &program{Name: q.Name, Doc: q.Doc, Arena: q.Arena, PerLayer: q.SavedPerLayer, Saved: q.SavedBytes, Scratch: q.ScratchBytes,
				Live: passes.LargestLive(q), Times: []moment{}, Loops: []loop{}, Buffers: []*buffer{}, Launches: []*launch{}}}
		// In this order: launches need the times of nodes, places need the
		// launches.
		d.buffers()
		if f != nil {
			if err := d.timeline(f); err != nil {
				return err
			}
		}
		d.launches()
		d.places()
		pipe.Programs = append(pipe.Programs, d.out)
	}
	generatedLines(p, pipe, pl)
	return nil
}

// describer makes one program's description.
type describer struct {
	pipe *pipeline
	m    *ir.Module
	q    *plan.Program
	// Its buffers are read by the programs of both pipelines.
	tables *plan.Program
	text   func(*ir.Node) int
	out    *program
	// In the order in which they run.
	nodes []timed
}

// timed is a node with the time at which it runs.
// The group decides the names of its values.
type timed struct {
	n     *ir.Node
	group string
	time  int
}

// buffers lists the program's buffers, inputs first, which is the order of
// their indices.
func (d *describer) buffers() {
	for _, b := range slices.Concat(d.q.Inputs, d.q.Buffers) {
		d.out.Buffers = append(d.out.Buffers, &buffer{Name: b.Name, Type: ir.Type{DType: b.DType, Dims: b.Dims}.String(),
			Region: string(b.Region), Offset: b.Offset, Stride: b.Stride, Bytes: b.Bytes, First: b.First, Last: b.Last, Values: []string{}})
	}
	d.oneLayer()
}

// oneLayer gives buffers their places in a picture of one block: stored ones
// in their own, scratch above it by its distance from the blocks that are stored
// at the time, and what outlives a loop at the upper end, as in the arena.
func (d *describer) oneLayer() {
	layers := 0
	for _, it := range d.q.Items {
		if l, ok := it.(*plan.Loop); ok {
			layers = max(layers, l.To)
		}
	}
	lives := d.q.Lives(layers)
	end := d.q.SavedBytes + d.q.ScratchBytes
	placed := d.out.Buffers[len(d.q.Inputs):]
	for _, k := range d.q.Blocks(layers) {
		d.out.Block = max(d.out.Block, k.Bytes)
		for _, b := range k.Buffers {
			x := placed[slices.Index(d.q.Buffers, b)]
			x.Place, x.From, x.To = b.At(k.From)-k.Base, k.From, k.To
		}
	}
	var long []*buffer
	var outside int64 // of what outlives a loop
	for i, b := range d.q.Buffers {
		if b.Region != plan.Scratch {
			continue
		}
		x, life := placed[i], lives.Spans[b]
		crosses := slices.ContainsFunc(lives.Loops, func(l plan.Span) bool {
			return life.Meets(l) && (life.First < l.First || life.Last > l.Last)
		})
		if crosses && d.out.Block > 0 {
			long, outside = append(long, x), max(outside, end-b.Offset)
			continue
		}
		x.Place = d.out.Block + b.Offset - lives.Base[life.First]
		d.out.Zone = max(d.out.Zone, x.Place+b.Bytes-d.out.Block)
	}
	d.out.Zone += outside
	for _, x := range long {
		x.Place = d.out.Block + d.out.Zone - (end - x.Offset)
	}
}

// bufferOf is the index of a buffer in the program or in tables.
// -1 for a table of a buffer that the program does not read.
func (d *describer) bufferOf(b *plan.Buffer) (index int, table bool) {
	if i := slices.Index(slices.Concat(d.q.Inputs, d.q.Buffers), b); i >= 0 {
		return i, false
	}
	return slices.Index(d.tables.Buffers, b), true
}

// timeline numbers nodes and loops as schedule does: a node takes one time, a
// loop one for its beginning, one for each node of a layer and one for its
// end, whatever the number of layers.
// The numbers must be those of the scheduler, for the lives of buffers in the
// plan are counted in them.
func (d *describer) timeline(f *ir.Func) error {
	t := 0
	// mark ends one time.
	mark := func(text int, group string) {
		d.out.Times = append(d.out.Times, moment{text, group})
		t++
	}
	for _, n := range f.Nodes {
		if n.Op.Name != "stack" && n.Op.Name != "stack_grad" {
			d.nodes = append(d.nodes, timed{n, groupMain, t})
			mark(d.text(n), groupMain)
			continue
		}
		s := d.m.Stack(n.Str("name"))
		if s == nil {
			return fmt.Errorf("inspect: no stack %q", n.Str("name"))
		}
		// The graph's own order must stay.
		segments := slices.Clone(s.Segments)
		backward := n.Op.Name == "stack_grad"
		if backward {
			slices.Reverse(segments)
		}
		for _, seg := range segments {
			g := seg.Forward
			if backward {
				g = seg.Backward
			}
			l := loop{Func: g.Name, From: seg.From, To: seg.To, Reverse: backward, Begin: t}
			mark(-1, groupLayer)
			for _, b := range g.Nodes {
				d.nodes = append(d.nodes, timed{b, groupLayer, t})
				mark(d.text(b), groupLayer)
			}
			l.End = t
			mark(-1, groupLayer)
			d.out.Loops = append(d.out.Loops, l)
		}
		d.nodes = append(d.nodes, timed{n, groupMain, t - 1}) // its result is there at the end
	}
	mark(-1, groupMain) // the results are read
	return nil
}

// launches lists the launches and finds the node that each computes, and so
// its time. Both are in the same order. A launch with a text of its own
// belongs to the node of the launch before ("... name") or behind it.
// -1 is a launch for which no node was found: of a graph that no pass left.
func (d *describer) launches() {
	if d.q == d.tables {
		d.constants()
		return
	}
	// Nodes before it have their launch.
	at := 0
	var open []*launch // texts of their own, before their node
	add := func(l *plan.Launch, group string) {
		// The generated file is searched later.
		x := &launch{Op: l.Op, Name: l.Name, Text: -1, Group: group, Time: -1, FLOPs: l.FLOPs, File: -1}
		d.out.Launches = append(d.out.Launches, x)
		if strings.HasPrefix(l.Text, "...") && at > 0 {
			x.Time, x.Text = d.nodes[at-1].time, d.text(d.nodes[at-1].n)
			return
		}
		// Nodes without a launch, such as views, are passed over.
		for i := at; i < len(d.nodes); i++ {
			if d.nodes[i].group == group && d.nodes[i].n.String() == l.Text {
				at = i + 1
				x.Time, x.Text = d.nodes[i].time, d.text(d.nodes[i].n)
				for _, o := range open {
					o.Time, o.Text = x.Time, x.Text
				}
				open = nil
				return
			}
		}
		open = append(open, x)
	}
	walkPlan(d.q.Items, groupMain, add)
}

// constants lists the launches of the program "tables". Their nodes may stand
// in any function of either pipeline, and they have no times.
// They run once, before the first step.
func (d *describer) constants() {
	for _, l := range launchesOf(d.q) {
		x := &launch{Op: l.Op, Name: l.Name, Text: -1, Time: -1, FLOPs: l.FLOPs, File: -1}
		d.out.Launches = append(d.out.Launches, x)
		for _, f := range d.m.Funcs {
			for _, n := range f.Nodes {
				if x.Text < 0 && n.String() == l.Text {
					x.Text, x.Group = d.text(n), groupOf(f)
				}
			}
		}
	}
}

// walkPlan visits launches with the group of the values that they name.
// Names inside of a loop are the layer function's.
func walkPlan(items []plan.Item, group string, f func(*plan.Launch, string)) {
	for _, it := range items {
		switch x := it.(type) {
		case *plan.Launch:
			f(x, group)
		case *plan.Loop:
			walkPlan(x.Body, groupLayer, f)
		}
	}
}
