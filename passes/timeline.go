package passes

import (
	"fmt"
	"slices"

	"github.com/llamac/llamac/ir"
)

// timeline is one program as a flat sequence of times: a node of the main
// function takes one, a loop over layers one for its beginning, one for each
// node of its body and one for its end. What a loop's body reads from outside
// is read until the loop's end.
//
// A loop's body stands once, though it runs for every layer: what differs
// between layers is a place in a block and never a time. Times order events of
// one program and are compared, never counted.
type timeline struct {
	main    *ir.Func
	items   []timed
	readers map[*ir.Value][]int // times at which a value is read
	born    map[*ir.Value]int
	end     int
	train   bool // the program has a backward: layers store what it reads
	loops   []*layerLoop
	ownerOf map[*ir.Value]*layerLoop // nil for values of the main function
}

// timed is a node of the main function, or a loop.
type timed struct {
	time int
	node *ir.Node
	loop *layerLoop
}

// layerLoop is one segment of a stack, run by a stack or stack_grad node.
//
// The first and the last are those of the run: in the backward the first loop
// is that of the last segment.
type layerLoop struct {
	call       *ir.Node
	stack      *ir.Stack
	segment    *ir.Segment
	f          *ir.Func
	backward   bool
	number     int // of the segment, from 0 for the first layers
	begin, end int
	times      []int // of the body's nodes
	first      bool  // reads the call's operand
	last       bool  // makes the call's result
}

func newTimeline(m *ir.Module, f *ir.Func) (*timeline, error) {
	tl := &timeline{main: f, readers: map[*ir.Value][]int{}, born: map[*ir.Value]int{}, ownerOf: map[*ir.Value]*layerLoop{}}
	t := 0
	read := func(v *ir.Value, at int) {
		if v != nil {
			tl.readers[v] = append(tl.readers[v], at)
		}
	}
	// Known before the walk, since it decides whether segments that differ only
	// in what they store are one loop.
	for _, n := range f.Nodes {
		if n.Op.Name == "stack_grad" {
			tl.train = true
		}
	}
	if err := tl.plannable(m, f); err != nil {
		return nil, err
	}
	for _, n := range f.Nodes {
		if n.Op.Name != "stack" && n.Op.Name != "stack_grad" {
			for _, v := range n.Operands {
				read(v, t)
			}
			for _, r := range n.Results {
				tl.born[r] = t
			}
			tl.items = append(tl.items, timed{time: t, node: n})
			t++
			continue
		}
		s := m.Stack(n.Str("name"))
		if s == nil {
			return nil, fmt.Errorf("no stack %q", n.Str("name"))
		}
		segments := s.Segments
		// Nothing is stored without a backward, so those differ no more.
		if !tl.train {
			segments = joinEqual(segments)
		}
		k := len(segments)
		for i := range k {
			l := &layerLoop{call: n, stack: s, backward: n.Op.Name == "stack_grad", first: i == 0, last: i == k-1, number: i}
			// The backward takes the segments from the last to the first.
			if l.backward {
				l.number = k - 1 - i
			}
			l.segment = &segments[l.number]
			l.f = l.segment.Forward
			if l.backward {
				l.f = l.segment.Backward
			}
			l.begin = t
			t++
			// Operand 0 is read once, by the first loop. The others are read by
			// every layer, so they stay alive to the end of each loop.
			for j, v := range n.Operands {
				if j > 0 || l.first {
					read(v, l.begin)
				}
				if j > 0 {
					read(v, l.begin+len(l.f.Nodes)+1)
				}
			}
			for _, p := range l.f.Params {
				tl.own(p, l)
				tl.born[p] = l.begin
			}
			// Stored values have no birth in the backward: they were born in
			// the forward's loop.
			if l.backward {
				for _, p := range l.f.Saved {
					tl.own(p, l)
				}
			}
			for _, b := range l.f.Nodes {
				for _, v := range b.Operands {
					read(v, t)
				}
				for _, r := range b.Results {
					tl.born[r] = t
					tl.own(r, l)
				}
				l.times = append(l.times, t)
				t++
			}
			l.end = t
			t++
			// The result of a layer is read when the loop hands it to the next
			// one.
			for _, r := range l.f.Results {
				read(r, l.end)
			}
			tl.loops = append(tl.loops, l)
			tl.items = append(tl.items, timed{time: l.begin, loop: l})
		}
		// The call's result is there when the last loop ends.
		tl.born[n.Result()] = t - 1
	}
	// Behind everything: results of the program outlive all nodes.
	for _, r := range f.Results {
		read(r, t)
	}
	tl.end = t
	return tl, nil
}

// plannable refuses what the planner cannot place: stored blocks of several
// stacks, layers that run twice, and layers of which some store their input
// and some do not.
//
// A stored block has one stride in each segment and one arena; a second stack,
// or a second run of the same one, would need a second set of blocks.
func (tl *timeline) plannable(m *ir.Module, f *ir.Func) error {
	if len(m.Stacks) > 1 {
		return fmt.Errorf("the module has %d stacks; plans hold one", len(m.Stacks))
	}
	for _, s := range m.Stacks {
		for i, g := range s.Segments {
			if tl.train && storesInput(&g) != storesInput(&s.Segments[0]) {
				return fmt.Errorf("stack %s: segment %d and segment 0 differ in whether they store a layer's input", s.Name, i)
			}
		}
	}
	runs := map[string]int{}
	for _, n := range f.Nodes {
		if n.Op.Name == "stack" || n.Op.Name == "stack_grad" {
			if runs[n.Op.Name]++; runs[n.Op.Name] > 1 {
				return fmt.Errorf("stack %s runs twice in @%s", n.Str("name"), f.Name)
			}
		}
	}
	return nil
}

func storesInput(g *ir.Segment) bool { return slices.Contains(g.Forward.Saved, g.Forward.Params[0]) }

// joinEqual joins neighbouring segments whose layers compute the same: in a
// program without a backward it does not matter what they store.
//
// Eval runs one loop over all layers for that, however many segments training
// has.
func joinEqual(segments []ir.Segment) []ir.Segment {
	var out []ir.Segment
	for _, g := range segments {
		if k := len(out); k > 0 && sameNodes(out[k-1].Forward, g.Forward) {
			out[k-1].To = g.To
			continue
		}
		out = append(out, g)
	}
	return out
}

// Nodes are compared by their text, which names op, operands, attributes and
// types.
func sameNodes(f, g *ir.Func) bool {
	same := len(f.Nodes) == len(g.Nodes) && len(f.Params) == len(g.Params)
	for i := 0; same && i < len(f.Nodes); i++ {
		same = f.Nodes[i].String() == g.Nodes[i].String()
	}
	for i := 0; same && i < len(f.Params); i++ {
		same = f.Params[i].Name == g.Params[i].Name
	}
	return same && f.Results[0].Name == g.Results[0].Name
}

func (tl *timeline) own(v *ir.Value, l *layerLoop) {
	if tl.ownerOf[v] == nil {
		tl.ownerOf[v] = l
	}
}

// constant reports whether v is made from constants and indices alone, so
// that it can be computed once instead of at every run.
//
// A dimension that varies from run to run excludes a value: a table of T
// positions is only a constant if T is one. Memoised, as the graph of constants
// is asked for at every node.
func constants(m *ir.Module, sizes map[string]bool) func(*ir.Value) bool {
	known := map[*ir.Value]bool{}
	var is func(v *ir.Value) bool
	is = func(v *ir.Value) bool {
		if v == nil {
			return true
		}
		if v.Def == nil {
			return false
		}
		if c, ok := known[v]; ok {
			return c
		}
		n := v.Def
		c := n.Op.Effect == ir.Pure && n.Op.Group != ir.Control
		for _, d := range v.Type.Dims {
			for name, fixed := range sizes {
				if !fixed && d.Sym != "" && hasSymbol(d, name) {
					c = false
				}
			}
		}
		for _, o := range n.Operands {
			c = c && is(o)
		}
		known[v] = c
		return c
	}
	return is
}

func hasSymbol(d ir.Dim, name string) bool {
	_, ok := d.Div(ir.Sym(name))
	return ok
}
