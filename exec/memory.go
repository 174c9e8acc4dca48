package exec

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/plan"
)

// env resolves the operands of one launch in one layer. The first thing that
// cannot be resolved is kept in err.
// It lives during resolution only; closures hold slices and sizes and not the env.
type env struct {
	*program
	layer int
	err   error
}

// Later failures follow from the first, or are found when that one is mended.
func (e *env) fail(format string, args ...any) {
	if e.err == nil {
		e.err = fmt.Errorf(format, args...)
	}
}

// at is the memory that an operand starts at, up to the end of its buffer.
// The slice may be longer than the operand: kernels are told rows, widths and
// distances, and a column of a pack reaches over the other columns. Only where a
// kernel takes its length from the slice is it cut, see sliced.
func (e *env) at(o plan.Operand) []float32 {
	switch o.Kind {
	case plan.Absent:
		return nil
	// A number is memory too, of one element.
	case plan.Immediate:
		return []float32{round(o.Value)}
	case plan.InWeights, plan.InGrads:
		arena := e.params
		if o.Kind == plan.InGrads {
			arena = e.grads
		}
		// Members of a pack follow each other without a gap, as plan.Verify checks,
		// and are read as one matrix.
		n := int64(0)
		for _, w := range o.Weight {
			n += w.Elems()
		}
		// Outside of loops weights have no layers, and At(0) is their place.
		from := o.Weight[0].At(max(0, e.layer))
		return arena[from : from+n]
	case plan.InState:
		return e.stateOf(o.State)[max(0, e.layer)]
	case plan.InBuffer:
		if r := o.Buffer.Region; r == plan.Input {
			e.fail("%s is an input of integers: no kernel reads it as numbers", o.Name)
			return nil
		}
		from, to := e.place(o)
		if o.Buffer.Region == plan.Table {
			return e.tables[from:to]
		}
		return e.act[from:to]
	}
	e.fail("operand of kind %q", o.Kind)
	return nil
}

// place is where a buffer's operand lies in its arena, in elements.
// Offsets are in bytes and of layer 0; Col is in elements already.
// AfterLast asks for all layers of the plan, since Saved offsets count from the
// stack's first whichever layers have the buffer.
func (e *env) place(o plan.Operand) (from, to int64) {
	b := o.Buffer
	from = b.Offset
	if b.Region == plan.Saved {
		layer := 0
		switch o.Layer {
		case plan.ThisLayer:
			layer = e.layer
		// The layer's result is the next layer's input, in the next block.
		case plan.NextLayer:
			layer = e.layer + 1
		// The stack's result lies where the next layer's input would.
		case plan.AfterLast:
			layer = e.plan.Layers()
		}
		from += int64(layer) * b.Stride
	}
	return from/4 + o.Col, (from + b.Bytes) / 4
}

// stateOf allocates a state's memory when it is first asked for.
// It is not poisoned: a cache is read only where its table and positions say that
// something was written.
func (m *machine) stateOf(s *plan.State) [][]float32 {
	if m.state[s] == nil {
		for range max(1, s.Layers) {
			m.state[s] = append(m.state[s], make([]float32, s.Bytes/4))
		}
	}
	return m.state[s]
}

// ids is an operand that holds integers, which only the caller's inputs do.
// A pointer, because each run has other slices.
func (e *env) ids(o plan.Operand) *[]int32 {
	if o.Kind != plan.InBuffer || o.Buffer.Region != plan.Input || o.Buffer.DType != ir.I32 {
		e.fail("%s is not an input of 32-bit integers", o.Name)
		return nil
	}
	return e.inputs[o.Buffer]
}

// size is a number of elements: a constant times sizes known at run time.
// In training nothing is live and get is a constant; in decoding the numbers of
// tokens and rows change from step to step.
type size struct {
	n    int
	live []*int
}

func (s size) get() int {
	n := s.n
	for _, x := range s.live {
		n *= *x
	}
	return n
}

// dim resolves a size. Dimensions that are not live have their plan's size.
// A symbol that neither the caller nor the plan gives a size is a mistake of the plan.
func (e *env) dim(d ir.Dim) size {
	s := size{n: int(d.N)}
	if d.Sym == "" {
		return s
	}
	for _, sym := range strings.Split(d.Sym, "*") {
		if x := e.live[sym]; x != nil {
			s.live = append(s.live, x)
			continue
		}
		i := slices.IndexFunc(e.plan.Dims, func(d plan.Dim) bool { return d.Name == sym })
		if i < 0 {
			e.fail("dimension %s has no size", sym)
			return s
		}
		s.n *= int(e.plan.Dims[i].Size)
	}
	return s
}

// dist is the distance of an operand's rows of the given width.
func (e *env) dist(o plan.Operand, width ir.Dim) size { return e.dim(o.Distance(width)) }

// view is an operand's memory, cut to as many elements as there are at run
// time.
// Elementwise kernels take their number of elements from the slice.
type view struct {
	x   []float32
	n   size
	cut bool
}

// Memory is as large as the capacity, so the cut is a reslicing.
func (v view) get() []float32 {
	if v.cut {
		return v.x[:v.n.get()]
	}
	return v.x
}

// sliced is the operand's memory with the number of elements of type t.
func (e *env) sliced(o plan.Operand, t ir.Type) view {
	n := e.dim(t.Size())
	return view{e.at(o), n, o.Kind == plan.InBuffer && len(n.live) > 0}
}

// list is sizes or strides as a kernel takes them.
// get fills x and hands it out, so that a step allocates nothing; the kernel has
// done with it when it returns.
type list struct {
	x []int
	s []size // nil when all are known
}

func (l list) get() []int {
	for i, s := range l.s {
		l.x[i] = s.get()
	}
	return l.x
}

// Lists without live sizes are computed here, once.
func (e *env) ints(dims []ir.Dim) list {
	l := list{x: make([]int, len(dims))}
	live := false
	for i, d := range dims {
		s := e.dim(d)
		l.x[i] = s.n
		l.s = append(l.s, s)
		live = live || len(s.live) > 0
	}
	if !live {
		l.s = nil
	}
	return l
}

// overwritten lists the memory that a launch overwrites without reading it, a
// slice for each row.
// Memory that the launch also reads, in place or as another operand, must keep what
// it has. Tables are written once and not by what runs often.
func (e *env) overwritten(args, results []plan.Operand) [][]float32 {
	var out [][]float32
	for _, r := range results {
		if r.Kind != plan.InBuffer || r.Mode != plan.Overwrite || r.Buffer.Region == plan.Table {
			continue
		}
		mine := e.rows(r)
		read := slices.ContainsFunc(args, func(a plan.Operand) bool {
			return a.Kind == plan.InBuffer && a.Buffer.Region != plan.Input && a.Buffer.Region != plan.Table && meet(mine, e.rows(a))
		})
		if read {
			continue
		}
		for _, s := range mine {
			out = append(out, e.act[s[0]:s[1]])
		}
	}
	return out
}

// rows lists the pieces of the arena that an operand covers, each from and to.
// A column of a pack is a piece for each row, since its neighbours may be alive.
func (e *env) rows(o plan.Operand) [][2]int64 {
	from, to := e.place(o)
	if o.Ld == 0 {
		return [][2]int64{{from, to}}
	}
	sizes := e.plan.Sizes()
	rows := int64(1)
	for _, d := range o.Buffer.Dims[:len(o.Buffer.Dims)-1] {
		rows *= d.Bind(sizes).N
	}
	// The operand may see the buffer's rows under another shape, so its width is
	// counted from the number of elements.
	width := o.Type.Bind(sizes).Elems() / rows
	var out [][2]int64
	for i := range rows {
		out = append(out, [2]int64{from + i*o.Ld, from + i*o.Ld + width})
	}
	return out
}

// meet reports whether two rising lists of pieces have an element in common.
// It walks both at once: the piece that ends first cannot meet any later one.
func meet(a, b [][2]int64) bool {
	for i, j := 0, 0; i < len(a) && j < len(b); {
		if a[i][0] < b[j][1] && b[j][0] < a[i][1] {
			return true
		}
		if a[i][1] <= b[j][1] {
			i++
		} else {
			j++
		}
	}
	return false
}

// Any NaN does: arithmetic keeps it, and sums that contain one are one.
func fillNaN(x []float32) {
	nan := float32(math.NaN())
	for i := range x {
		x[i] = nan
	}
}
