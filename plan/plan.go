// Package plan is the compiler's last form: for each program of a model a
// list of launches, loops and copies over arenas. Every target prints a plan
// and decides nothing that the plan says: which kernel runs when, where its
// operands lie, and what it overwrites or adds to.
//
// A plan prints, parses back to the same bytes, and verifies. It knows no
// target.
package plan

import (
	"cmp"
	"slices"

	"github.com/llamac/llamac/ir"
)

// Align is the alignment of every buffer and every weight that does not
// continue a pack, in bytes: one cache line, one AVX-512 register.
const Align = 64

// Plan is the programs of one compiled model with the memory that they share.
type Plan struct {
	Name     string
	Dims     []Dim
	Weights  []*Weight // in the order of the arena
	State    []*State
	Arenas   []Arena
	Programs []*Program

	// Tables finds a buffer of the program "tables" by how it is made, so
	// that programs added later share it. It is not part of the text form.
	Tables map[string]*Buffer
}

// Dim is a symbol of shapes. A fixed dimension always has its size; another
// has any size from 1 to it.
type Dim struct {
	Name  string
	Size  int64
	Fixed bool
}

// Arena is one allocation.
type Arena struct {
	Name  string // "weights", "grads", "moment1", "moment2", "act.train", "act.infer", "kv", "tables"
	Bytes int64
}

// Weight is a row of the weights' base table: the address of w[l] is
// Offset + l·Stride elements from the arena's start. Gradients and moments
// have the same layout in arenas of their own.
type Weight struct {
	Name   string
	DType  ir.DType
	Dims   []int64 // of one layer
	Layout ir.Layout
	Layers int   // 0 for a weight outside of the layers
	Offset int64 // elements
	Stride int64 // elements from one layer to the next, negative in reverse order
	Decay  bool
	Pack   string // name of the pack whose rows continue in the next weight, or empty
	Of     *ir.Weight
}

// At is the offset of layer l's tensor in elements.
func (w *Weight) At(l int) int64 { return w.Offset + int64(l)*w.Stride }

// Elems is the number of elements of one layer's tensor.
func (w *Weight) Elems() int64 {
	n := int64(1)
	for _, d := range w.Dims {
		n *= d
	}
	return n
}

// State is memory that outlives a run: the KV cache of each layer.
type State struct {
	Name   string
	DType  ir.DType
	Dims   []ir.Dim // of one layer
	Layers int
	Bytes  int64 // of one layer
}

// Region is where a buffer lies.
type Region string

const (
	Input   Region = "input"   // handed in by the caller
	Saved   Region = "saved"   // one per layer, read again by the backward
	Scratch Region = "scratch" // dead after the run
	Table   Region = "table"   // computed once by the program "tables"
)

// Buffer is a piece of an arena, or an input.
type Buffer struct {
	Name   string
	Region Region
	DType  ir.DType
	Dims   []ir.Dim  // row-major
	Offset int64     // bytes into the arena; for Saved what At counts layers from
	Stride int64     // bytes from one layer to the next, for Saved
	From   int       // for Saved where layers store different things: those that have
	To     int       // it, [From, To); 0, 0 where all layers do
	Bytes  int64     // at capacity
	Values []float64 // contents of a constant table
	First  int       // first and last launch that touch it, numbered through the program
	Last   int
}

// At is where layer l's copy of a saved buffer lies, in bytes into the arena.
// Layers count from the stack's first, whichever have the buffer, so Offset is
// negative where blocks below are smaller than this buffer's. The input of a
// layer has a place for layer To as well: there the next block begins.
func (b *Buffer) At(l int) int64 { return b.Offset + int64(l)*b.Stride }

// Mode is what an operand's memory undergoes.
type Mode string

const (
	Read           Mode = "read"
	Overwrite      Mode = "overwrite"
	Accumulate     Mode = "accumulate"
	OverwriteFirst Mode = "overwrite_first" // overwrite in the first micro-batch of a step, add in the others
	ReadWrite      Mode = "read_write"
)

// Kind tells what an operand refers to.
type Kind string

const (
	InBuffer  Kind = "buffer"
	InWeights Kind = "weight"
	InGrads   Kind = "grad"
	InState   Kind = "state"
	Immediate Kind = "number" // a scalar known at compile time
	Absent    Kind = "absent" // an optional operand that is not there
)

// Operand is a tensor that a launch reads or writes: a place, a shape and the
// distance of rows in memory.
type Operand struct {
	Kind   Kind
	Buffer *Buffer   // of InBuffer
	Weight []*Weight // of InWeights and InGrads: several when packed, one behind the other
	State  *State
	Value  float64 // of Immediate
	Layer  Layer
	Name   string  // the IR's value
	Type   ir.Type // shape as the kernel sees it
	Col    int64   // first column in the buffer's rows
	Ld     int64   // distance of rows in elements; 0 when rows follow each other
	Mode   Mode
}

// Layer says which layer's copy of a saved buffer, weight or state is meant.
type Layer string

const (
	NoLayer   Layer = ""
	ThisLayer Layer = "l"
	NextLayer Layer = "next"
	FirstOne  Layer = "first"
	AfterLast Layer = "end" // behind the last layer: where the stack's result lies
)

// Program is one list of work.
type Program struct {
	Name    string
	Doc     string
	Arena   string // of its scratch and saved buffers
	Inputs  []*Buffer
	Buffers []*Buffer // in the order of first use
	Items   []Item
	Results []Operand

	SavedPerLayer int64 // bytes of one layer's block; 0 where layers differ: see Blocks
	SavedBytes    int64 // all blocks, the stack's result included
	ScratchBytes  int64 // what the arena has above them
}

// Item is a *Launch, *Loop, *Copy or *Comm.
type Item interface{ item() }

// Launch runs one kernel.
type Launch struct {
	Op      string // op of the IR, which selects the kernel
	Name    string // the IR's node: its first result
	Text    string // the IR's line, for comments
	Args    []Operand
	Results []Operand
	Attrs   ir.Attrs
	FLOPs   int64
	Stream  int   // 0 is the compute stream
	Waits   []int // signals awaited before it
	Signal  int   // signal set after it, 0 for none
}

// Loop runs its body for each layer of a range, upwards or downwards.
type Loop struct {
	Func     string // function of the IR
	From, To int
	Reverse  bool
	Body     []Item
}

// Copy copies one operand to another of the same shape.
type Copy struct {
	Dst, Src Operand
}

// Comm starts or awaits a collective.
type Comm struct {
	Op     string // collective of the IR
	Wait   bool   // await instead of start
	Dst    Operand
	Src    Operand
	Attrs  ir.Attrs
	Signal int
}

func (*Launch) item() {}
func (*Loop) item()   {}
func (*Copy) item()   {}
func (*Comm) item()   {}

// Program finds a program by name, or nil.
func (p *Plan) Program(name string) *Program {
	for _, q := range p.Programs {
		if q.Name == name {
			return q
		}
	}
	return nil
}

// Arena gives an arena's size in bytes, 0 if there is none.
func (p *Plan) Arena(name string) int64 {
	for _, a := range p.Arenas {
		if a.Name == name {
			return a.Bytes
		}
	}
	return 0
}

// Sizes maps each dimension to its size or capacity.
func (p *Plan) Sizes() map[string]int64 {
	s := map[string]int64{}
	for _, d := range p.Dims {
		s[d.Name] = d.Size
	}
	return s
}

// Layers is the number of layers of the deepest stack. Its layers need not
// have weights.
func (p *Plan) Layers() int {
	n := 0
	for _, w := range p.Weights {
		n = max(n, w.Layers)
	}
	for _, q := range p.Programs {
		for _, it := range q.Items {
			if l, ok := it.(*Loop); ok {
				n = max(n, l.To)
			}
		}
	}
	return n
}

// Walk visits the program's items in order, a loop before its body.
func (p *Program) Walk(f func(Item)) { walk(p.Items, f) }

func walk(items []Item, f func(Item)) {
	for _, it := range items {
		f(it)
		if l, ok := it.(*Loop); ok {
			walk(l.Body, f)
		}
	}
}

// Params is the number of trained numbers.
func (p *Plan) Params() int64 {
	var n int64
	for _, w := range p.Weights {
		n += w.Elems() * int64(max(1, w.Layers))
	}
	return n
}

// FindWeight finds a row of the base table by name, or nil.
func (p *Plan) FindWeight(name string) *Weight {
	i := slices.IndexFunc(p.Weights, func(w *Weight) bool { return w.Name == name })
	if i < 0 {
		return nil
	}
	return p.Weights[i]
}

// FindState finds a state by name, or nil.
func (p *Plan) FindState(name string) *State {
	i := slices.IndexFunc(p.State, func(s *State) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return p.State[i]
}

// Range is a piece of the weights' arena, in elements.
type Range struct {
	From, To int64
	Decay    bool // subject to weight decay
}

// DecayRanges cuts the arena of the weights by whether weight decay applies.
// Padding goes with what is before it: gradients are 0 there.
func (p *Plan) DecayRanges() []Range {
	var rs []Range
	for _, w := range p.Weights {
		for l := range max(1, w.Layers) {
			rs = append(rs, Range{w.At(l), w.At(l) + w.Elems(), w.Decay})
		}
	}
	slices.SortFunc(rs, func(a, b Range) int { return cmp.Compare(a.From, b.From) })
	var merged []Range
	for _, r := range rs {
		if k := len(merged) - 1; k >= 0 && merged[k].Decay == r.Decay {
			merged[k].To = r.To
			continue
		}
		merged = append(merged, r)
	}
	return merged
}

// ModelFLOPsPerToken is the work of training on one token as the papers count
// it: three times the forward's matrix products, causal attention counted
// half, which is 6·(parameters of matrix products) + 6·L·h·s. It is 0 for a
// plan without training.
func (p *Plan) ModelFLOPsPerToken() int64 {
	q := p.Program("eval")
	if q == nil {
		return 0
	}
	var f int64
	var visit func(items []Item, times int64)
	visit = func(items []Item, times int64) {
		for _, it := range items {
			switch x := it.(type) {
			case *Loop:
				visit(x.Body, times*int64(x.To-x.From))
			case *Launch:
				if o := ir.Lookup(x.Op); o != nil && (o.Expensive || x.Op == "linear_xent") {
					f += x.FLOPs * times
				}
			}
		}
	}
	visit(q.Items, 1)
	n := p.Sizes()
	return 3 * f / (n["B"] * n["T"])
}
