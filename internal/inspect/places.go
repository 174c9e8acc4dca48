package inspect

import (
	"cmp"
	"slices"
	"strings"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/plan"
)

// placer finds where each value of a program lies.
// A value may lie in several buffers, one in each program that holds it; within
// a program it has one.
type placer struct {
	d     *describer
	index int            // of the program
	born  map[string]int // time of each value of the program
	found map[string]place
}

// places is where the values of the program lie: what launches read and write
// tells it, and for views, members of packs and gradients their nodes.
//
// Three sources tell it, in this order: operands of launches, whose names are
// values; packs, of which one launch writes all members; and views, which have
// no launch at all.
func (d *describer) places() {
	s := &placer{d: d, index: len(d.pipe.Programs), born: map[string]int{}, found: map[string]place{}}
	s.births()
	// In the order of d.out.Launches.
	launches := launchesOf(d.q)
	for i, x := range d.out.Launches {
		for _, o := range slices.Concat(launches[i].Args, launches[i].Results) {
			if o.Kind == plan.InBuffer && x.Text >= 0 { // else a table of the other pipeline's
				s.operand(o, x)
			}
		}
	}
	for _, t := range d.nodes {
		if t.n.Op.Name == "linear_pack" {
			s.members(t, launches)
		}
	}
	// A view is the memory of its operand under another shape, and launches name
	// whichever they read or write, so places go both ways, to views of views.
	// Chains of views are short, so this takes few rounds.
	for again := true; again; {
		again = false
		for _, t := range d.nodes {
			if t.n.Op.View {
				a, b := key(t.group, t.n.Operands[0].String()), key(t.group, t.n.Result().String())
				again = s.copy(a, b) || s.copy(b, a) || again
			}
		}
	}
	// Last, since a gradient that has a buffer of its own is added by a launch.
	for _, t := range d.nodes {
		if t.n.Op.Name == "grad_add" {
			s.put(key(t.group, t.n.Operands[0].String()), place{Grad: t.n.Operands[1].String()})
		}
	}
	for _, b := range d.out.Buffers {
		slices.SortStableFunc(b.Values, func(x, y string) int {
			return cmp.Or(cmp.Compare(s.born[x], s.born[y]), strings.Compare(x, y))
		})
	}
}

// births notes when each value comes into being: a result at its node, a
// parameter where its loop begins. What is not in it is not a value: packs have
// buffers whose names are nobody's. Constants, which the program "tables" makes,
// have no times.
// The page sorts the values of a buffer by it, as they followed each other in
// that memory.
func (s *placer) births() {
	for _, t := range s.d.nodes {
		for _, r := range t.n.Results {
			s.born[key(t.group, r.String())] = t.time
		}
	}
	for _, f := range s.d.m.Funcs {
		// Of a function that is no layer's.
		begin := 0
		for _, l := range s.d.out.Loops {
			if l.Func == f.Name {
				begin = l.Begin
			}
		}
		for _, v := range slices.Concat(f.Params, f.Saved) {
			if _, ok := s.born[key(groupOf(f), v.String())]; !ok {
				s.born[key(groupOf(f), v.String())] = begin
			}
		}
		for _, n := range f.Nodes {
			for _, r := range n.Results {
				if _, ok := s.born[key(groupOf(f), r.String())]; !ok && s.d.q == s.d.tables {
					s.born[key(groupOf(f), r.String())] = 0
				}
			}
		}
	}
}

// put notes a place, unless the name is a buffer's own or has one already.
func (s *placer) put(k string, p place) bool {
	// The first place counts: launches are met in their order, and the first
	// writes.
	_, has := s.found[k]
	_, value := s.born[k]
	if has || !value {
		return false
	}
	p.Program = s.index
	s.found[k] = p
	s.d.pipe.Places[k] = append(s.d.pipe.Places[k], p)
	// Tables have a list of their own.
	if p.Grad == "" && !p.Table {
		b := s.d.out.Buffers[p.Buffer]
		b.Values = append(b.Values, k)
	}
	return true
}

// copy gives one value the place of another.
// It says whether anything was new.
func (s *placer) copy(from, to string) bool {
	p, ok := s.found[from]
	return ok && s.put(to, p)
}

// operand places what a launch reads or writes, under the name that the plan
// kept from the graph.
func (s *placer) operand(o plan.Operand, x *launch) {
	b, table := s.d.bufferOf(o.Buffer)
	p := place{Buffer: b, Table: table, Col: o.Col, Ld: o.Ld}
	if o.Ld > 0 { // columns of a pack, whose first dimension is its rows
		if w, ok := o.Type.Size().Div(o.Buffer.Dims[0]); ok {
			p.Width = w.N
		}
	}
	s.put(key(x.Group, "%"+o.Name), p)
	// The last layer's result lies in the block of a layer that does not exist,
	// and lives on there.
	if o.Layer == plan.AfterLast && !table {
		s.d.out.Buffers[b].After = max(s.d.out.Buffers[b].After, x.Time)
	}
}

// members places the results of a pack, which its launch writes as one.
func (s *placer) members(t timed, launches []*plan.Launch) {
	for i, x := range s.d.out.Launches {
		o := plan.Operand{}
		if len(launches[i].Results) > 0 {
			o = launches[i].Results[0]
		}
		if x.Time != t.time || o.Kind != plan.InBuffer || launches[i].Op != "linear" {
			continue
		}
		b, _ := s.d.bufferOf(o.Buffer)
		// Members lie side by side in the order of the results.
		var col int64
		for _, r := range t.n.Results {
			w := r.Type.Last().N
			s.put(key(t.group, r.String()), place{Buffer: b, Col: col, Width: w, Ld: total(t.n.Results)})
			col += w
		}
		return
	}
}

func total(vs []*ir.Value) int64 {
	var n int64
	for _, v := range vs {
		n += v.Type.Last().N
	}
	return n
}
