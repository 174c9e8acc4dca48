package passes

import (
	"slices"

	"github.com/llamac/llamac/ir"
)

// storage decides, for one program, which values share memory and where that
// memory is. Values that share form a class: a view with what it shows, an
// in-place result with the operand it overwrites, a loop's value with what is
// carried into the next layer, and a stored value with the parameter through
// which the backward reads it.
type storage struct {
	m       *ir.Module
	tl      *timeline
	isConst func(*ir.Value) bool
	class   map[*ir.Value]*class
	saved   map[*ir.Value]bool // forward values that the backward loads
	packs   []*pack
	stats   Stats
}

// class is a set of values in one place.
//
// All members have the same number of elements, or are columns of the same
// pack.
type class struct {
	members []*ir.Value
	region  region
	layer   bool // place is relative to the next layer: the result of a training layer
	pack    *pack
	index   int // in pack
}

type region uint8

// The order has no meaning; what is not anywhere is never overwritten by an
// in-place kernel, except carried memory inside of its loop.
const (
	anywhere      region = iota // scratch
	external                    // handed in: never overwritten
	constantTable               // made once: never overwritten
	kept                        // stored for the backward: never overwritten
	carried                     // handed from layer to layer in one scratch buffer
)

// pack is a group of classes that lie side by side as columns of one buffer.
type pack struct {
	members []*class
	widths  []int64
	rows    ir.Dim
}

func (s *storage) of(v *ir.Value) *class {
	c := s.class[v]
	if c == nil {
		c = &class{members: []*ir.Value{v}}
		s.class[v] = c
	}
	return c
}

// union merges the class of b into that of a.
//
// A region is stronger than none: whoever shares memory with something stored
// is stored.
func (s *storage) union(a, b *ir.Value) *class {
	ca, cb := s.of(a), s.of(b)
	if ca == cb {
		return ca
	}
	for _, v := range cb.members {
		s.class[v] = ca
	}
	ca.members = append(ca.members, cb.members...)
	if cb.region != anywhere {
		ca.region = cb.region
	}
	ca.layer = ca.layer || cb.layer
	return ca
}

func newStorage(m *ir.Module, tl *timeline, isConst func(*ir.Value) bool, stats Stats) *storage {
	s := &storage{m: m, tl: tl, isConst: isConst, class: map[*ir.Value]*class{}, saved: map[*ir.Value]bool{}, stats: stats}
	// Inputs are the caller's, weights and state the arenas'.
	for _, p := range tl.main.Params {
		s.of(p).region = external
	}
	s.eachNode(func(n *ir.Node, t int) {
		for _, v := range n.Operands {
			if v != nil && !v.Local() {
				s.of(v).region = external
			}
		}
		for _, r := range n.Results {
			if s.isConst(r) {
				s.of(r).region = constantTable
			}
		}
	})
	// The order of what follows is that of what cannot be chosen: views and
	// arguments must share, stored values have their place by the policy. Only
	// then the carried value and in-place results take what is left, and packs
	// come last, since they need classes that will not change any more.
	s.eachNode(func(n *ir.Node, t int) {
		if n.Op.View && !s.isConst(n.Result()) {
			s.union(n.Operands[0], n.Result())
		}
	})
	for _, l := range tl.loops {
		// The same memory for all layers, so the parameter is the operand.
		for i, p := range l.f.Params[1:] {
			s.union(l.call.Operands[i+1], p)
		}
	}
	if tl.train {
		s.unionSaved()
	}
	for _, l := range tl.loops {
		s.enterLoop(l)
	}
	s.inPlace()
	for _, l := range tl.loops {
		s.leaveLoop(l)
	}
	s.findPacks()
	return s
}

// eachNode visits the program's nodes in order of time.
func (s *storage) eachNode(f func(n *ir.Node, t int)) {
	for _, it := range s.tl.items {
		if it.node != nil {
			f(it.node, it.time)
			continue
		}
		for i, n := range it.loop.f.Nodes {
			f(n, it.loop.times[i])
		}
	}
}

// unionSaved joins each stored value with the backward's parameter for it.
//
// Through this one class the block that the forward writes is the one that the
// backward reads.
func (s *storage) unionSaved() {
	for _, l := range s.tl.loops {
		if l.backward {
			continue
		}
		for i, v := range l.segment.Forward.Saved {
			s.saved[v] = true
			s.union(v, l.segment.Backward.Saved[i]).region = kept
		}
	}
}

// enterLoop gives the loop's first parameter its place: the stored input of
// the layer, or a buffer carried from layer to layer that takes over the
// operand's memory where nobody reads that any more.
func (s *storage) enterLoop(l *layerLoop) {
	x := l.f.Params[0]
	if !l.first {
		if s.of(x).region != kept { // else each segment's inputs lie in its own blocks
			s.union(s.loopBefore(l).f.Params[0], x)
		}
		return
	}
	// The first layer reads what the call is given. If nobody reads that any
	// more, and it is plain scratch, it is made where the layer's input lies,
	// and no copy is needed.
	from := l.call.Operands[0]
	if s.of(x).region == kept {
		if s.joinable(from, l.begin) {
			s.union(x, from)
		}
		// The result lies above the blocks, where no gradient may take its place
		// and stay while the backward frees the blocks below.
		h := s.of(l.call.Result())
		h.region, h.layer = kept, true
		return
	}
	// One buffer for the value between layers. Backward layers and inference
	// use it.
	s.of(x).region = carried
	if s.joinable(from, l.begin) {
		s.union(x, from)
	}
}

// joinable reports whether v's memory may be taken over at time t.
//
// A value without a definition is an input of the program and stays where it
// is.
func (s *storage) joinable(v *ir.Value, t int) bool {
	c := s.of(v)
	return c.region == anywhere && s.lastRead(c) <= t && v.Def != nil
}

func (s *storage) loopBefore(l *layerLoop) *layerLoop {
	i := slices.Index(s.tl.loops, l)
	return s.tl.loops[i-1]
}

// leaveLoop gives the loop's result its place: the next layer's stored input,
// or the carried buffer.
func (s *storage) leaveLoop(l *layerLoop) {
	x, out := l.f.Params[0], l.f.Results[0]
	cx, co := s.of(x), s.of(out)
	switch {
	// The result lies in the next layer's block, unless it has a place already,
	// or is the input handed through.
	case cx.region == kept:
		if co.region == anywhere && co != cx {
			co.region, co.layer = kept, true
			s.stats["out_in_place"]++
		}
	default:
		// The body must be done with its input before it writes the result over
		// it.
		if co != cx && co.region == anywhere && s.lastReadIn(cx, l) <= s.bornOf(co) && !s.overlapsInLoop(cx, co, l) {
			s.union(x, out)
			s.stats["out_in_place"]++
		}
		if l.last {
			s.union(x, l.call.Result())
		}
	}
}

// lastReadIn is the last time the body of l reads the class.
func (s *storage) lastReadIn(c *class, l *layerLoop) int {
	last := l.begin
	for _, v := range c.members {
		for _, t := range s.tl.readers[v] {
			if t > l.begin && t < l.end {
				last = max(last, t)
			}
		}
	}
	return last
}

func (s *storage) bornOf(c *class) int {
	born := s.tl.end
	for _, v := range c.members {
		if t, ok := s.tl.born[v]; ok {
			born = min(born, t)
		}
	}
	return born
}

// overlapsInLoop reports whether b is written, at its birth, by a node that
// still reads a: sharing would need an in-place kernel, which inPlace has
// already considered.
//
// Kernels may write over an operand only where the op's row says so.
func (s *storage) overlapsInLoop(a, b *class, l *layerLoop) bool {
	return s.lastReadIn(a, l) == s.bornOf(b)
}

func (s *storage) lastRead(c *class) int {
	last := -1
	for _, v := range c.members {
		for _, t := range s.tl.readers[v] {
			last = max(last, t)
		}
	}
	return last
}

// inPlace lets results take over the memory of operands that die at their
// node, where the op's row says that the kernel may.
func (s *storage) inPlace() {
	s.eachNode(func(n *ir.Node, t int) {
		for i, r := range n.Results {
			j, ok := n.Op.InPlace[i]
			// The row names one operand; of a commutative op the other will do
			// as well.
			if !ok || s.isConst(r) {
				continue
			}
			candidates := []int{j}
			if n.Op.Commutative && len(n.Operands) == 2 {
				candidates = []int{j, 1 - j}
			}
			for _, j := range candidates {
				if n.Has(j) && s.mayOverwrite(n, t, j, r) {
					s.union(n.Operands[j], r)
					s.stats["in_place"]++
					break
				}
			}
		}
	})
}

// What it must prove: nobody reads the operand's memory behind this node, no
// other operand of the node lies there, and the memory is not one that has to
// survive.
func (s *storage) mayOverwrite(n *ir.Node, t, j int, r *ir.Value) bool {
	v := n.Operands[j]
	// As many elements of the same size, so that the kernel can go through both
	// at once.
	if !v.Local() || v.Type.Size() != r.Type.Size() || v.Type.DType != r.Type.DType || s.isConst(v) {
		return false
	}
	c := s.of(v)
	// A result that is itself carried has its place by leaveLoop.
	if c.region != anywhere && c.region != carried || s.of(r).region == carried {
		return false
	}
	for _, m := range c.members {
		if s.saved[m] || s.tl.ownerOf[m] != s.tl.ownerOf[r] && c.region != carried {
			return false // stored, or from outside of this loop: the next layer reads it again
		}
	}
	if s.readAfter(c, t, s.tl.ownerOf[r]) {
		return false
	}
	// Another operand in the same memory would change while it is read.
	for k, o := range n.Operands {
		if k != j && o != nil && o.Local() && s.of(o) == c {
			return false
		}
	}
	// A result that is stored may overwrite what is not; memory that is
	// carried and stored at once does not exist.
	return !(c.region == carried && s.of(r).region == kept)
}

// readAfter reports whether the class is read after time t. Of a carried
// class only the reads in loop l count: before and behind it the buffer holds
// other layers' values.
func (s *storage) readAfter(c *class, t int, l *layerLoop) bool {
	for _, v := range c.members {
		if c.region == carried && l != nil && s.tl.ownerOf[v] != l {
			continue
		}
		for _, u := range s.tl.readers[v] {
			if u > t {
				return true
			}
		}
	}
	return false
}
