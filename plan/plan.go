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
// Pointers tie the parts: operands point at buffers, weights and state of the same
// plan. Names are for the text form and for people, and are unique by kind.
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
// Batch and length of training are fixed, tokens and requests of inference are not:
// buffers are made for the capacity, and kernels get the size of the call.
type Dim struct {
	Name  string
	Size  int64
	Fixed bool
}

// Arena is one allocation.
// Training and inference have arenas of their own, so that a model that only
// generates asks for no training memory.
type Arena struct {
	Name  string // "weights", "grads", "moment1", "moment2", "act.train", "act.infer", "kv", "tables"
	Bytes int64
}

// Weight is a row of the weights' base table: the address of w[l] is
// Offset + l·Stride elements from the arena's start. Gradients and moments
// have the same layout in arenas of their own.
// The arena is in the order in which the backward finishes gradients, last layer
// first, hence the negative strides. An optimiser walks all four arenas as flat
// arrays, which one layout for all makes possible. Of is nil in a plan that was
// parsed, for the text form does not need it.
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
// Shapes of weights are numbers before a plan is made.
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
// The text form of one reads
//
//	buffer %attn.o: f32[B, T, 32] saved at 27648 + l*74880 bytes 9216 lives [16, 50]
//
// Bytes are those of one layer, at the dimensions' sizes or capacities.
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
// Of a buffer with From above 0 only layers that have it may be asked.
func (b *Buffer) At(l int) int64 { return b.Offset + int64(l)*b.Stride }

// Mode is what an operand's memory undergoes.
// Targets choose a kernel's variant by it. OverwriteFirst is for gradients of
// weights, so that nobody has to clear them before a step.
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
// A view costs nothing: another operand of the same buffer with another Type, Col
// and Ld. In a pack [rows, 64] that holds q, k and v, k is "columns 32 of 64": Col
// 32 and Ld 64, while the width of a row comes from the operand's type.
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
// An address is that of At(l) with l the loop's variable, l+1, 0, or the number of
// layers.
type Layer string

const (
	NoLayer   Layer = ""
	ThisLayer Layer = "l"
	NextLayer Layer = "next"
	FirstOne  Layer = "first"
	AfterLast Layer = "end" // behind the last layer: where the stack's result lies
)

// Program is one list of work.
// Programs share weights and tables but no activations: each starts with an arena
// whose contents it does not know.
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
// A closed set, so that a target handles each and misses none.
type Item interface{ item() }

// Launch runs one kernel.
// Streams and signals are for devices with queues. With one stream the order of
// items is the order of execution, and no waits are needed. FLOPs are those of one
// run at capacity, of one layer if it is in a loop.
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
// Loops do not nest, and nothing in a body depends on the layer's number but the
// addresses of operands with a Layer.
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
// Start and wait are apart so that work in between hides the time it takes. No
// pass makes these yet.
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
// Types bound with it have the size that memory is made for.
func (p *Plan) Sizes() map[string]int64 {
	s := map[string]int64{}
	for _, d := range p.Dims {
		s[d.Name] = d.Size
	}
	return s
}

// Layers is the number of layers of the deepest stack. Its layers need not
// have weights.
// A stack of layers without weights shows in its loops alone.
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
// Bodies are visited once, not once for each layer.
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
// A tied weight has one row, and padding belongs to none.
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
// Neighbours of the same kind become one range, so an optimiser's step is a few
// calls over long arrays and not one for each tensor.
func (p *Plan) DecayRanges() []Range {
	var rs []Range
	for _, w := range p.Weights {
		for l := range max(1, w.Layers) {
			// A layer at a time: strides run downwards, so a weight's layers are no range.
			rs = append(rs, Range{w.At(l), w.At(l) + w.Elems(), w.Decay})
		}
	}
	slices.SortFunc(rs, func(a, b Range) int { return cmp.Compare(a.From, b.From) })
	var merged []Range
	for _, r := range rs {
		if k := len(merged) - 1; k >= 0 && merged[k].Decay == r.Decay {
			// Over the padding between the two, where weight, gradient and moments
			// are 0 and an update changes nothing.
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
// It counts what a model needs and not what a plan does: work that checkpointing
// repeats is left out, so that utilisation figures of different plans compare (the
// convention of PaLM, Chowdhery et al. 2022). h is heads times d, s the length.
func (p *Plan) ModelFLOPsPerToken() int64 {
	// The forward alone; a backward costs two products where it costs one.
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
				// linear_xent is not marked Expensive, having no result worth storing.
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
