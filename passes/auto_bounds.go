package passes

import (
	"slices"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/plan"
)

// bound is a set of units with the least that planning it can give.
type bound struct {
	mask  int   // the units that the backward reads, of those that are to be stored
	size  int64 // bytes of the layer's block without its input, at least
	top   int64 // bytes of it and of what lies above it, at least
	flops int64 // recomputed
	x     int64 // bytes of the layer's input
	input bool  // which is read
}

// beatenBy reports whether a priced point is no worse than whatever planning
// the set gives with the layers' inputs stored.
func (b bound) beatenBy(p point) bool {
	return p.flops <= b.flops && p.size <= align(b.x+b.size, plan.Align) && p.size+p.above <= align(b.x+b.top, plan.Align)
}

// bareBeatenBy does the same for a stack of so many layers without inputs.
func (b bound) bareBeatenBy(p point, layers int) bool {
	return p.flops <= b.flops && p.peak <= int64(layers-1)*b.size+b.top
}

// holds reports whether planning a set gave what the bound allows.
func (b bound) holds(p point, input bool, layers int) bool {
	switch {
	case p.size == 0: // nothing is stored, or no gradient comes as far as the layers
		return p.flops <= b.flops
	case p.flops != b.flops:
		return false
	case input:
		return p.size >= b.x+b.size && p.size+p.above >= b.x+b.top
	}
	return p.size >= b.size && p.peak >= int64(layers-1)*b.size+b.top
}

// bounds finds without planning what a set needs at least, from contents
// alone: what is stored lies side by side; and while a node of the backward
// runs, there are somewhere all values that have been made and are still read,
// and what the node makes, unless its kernel may overwrite an operand that
// nobody reads any more. However memory is shared, it cannot hold two things at
// once. Bytes are exact up to alignment for a block; above it packs, which live
// as long as any member, and unlucky places can take more.
type bounds struct {
	x      int64 // bytes of the layer's input
	values []remade
	nodes  [][]int // values that each node of the forward makes
	makes  []int   // how many results each has
	packs  bool    // some of them are packs
	steps  []backStep

	// Of the set that is looked at.
	mask   int
	out    bound
	wanted []bool  // by value: it is made again
	loaded []bool  // by value: it is there
	born   []int   // by value: the time when it was made again, or -1
	last   []int   // by value: when it is read last
	grads  []int64 // by time: bytes of gradients
	ran    []int   // by step: when it ran
	live   []int64
}

// layerInput stands for the layer's input among the indices of values.
const layerInput = -1

// remade is a value of the forward that the backward may have to make again.
type remade struct {
	unit      int // or -1
	bytes     int64
	node      int   // of the forward
	flops     int64 // of the node
	alone     int64 // of making only this member of a pack, or -1
	inputs    []int // of the node, those that matter
	rederive  int64 // FLOPs with the node's first result at hand, or -1
	first     int   // that result
	overwrite []int // the inputs in whose place it may be made
}

// backStep is a node of the backward as it is with everything stored.
type backStep struct {
	reads []int // values of the forward
	grads int64 // bytes of gradients that are there when it begins
	makes []made
}

// made is a gradient that nothing can be the place of but values that are made
// again and read last by the same node.
type made struct {
	bytes     int64
	overwrite []int
}

func newBounds(m *Menu, sizes map[string]int64) *bounds {
	b := &bounds{x: m.f.Params[0].Type.Bind(sizes).Bytes(), nodes: make([][]int, len(m.f.Nodes))}
	relevant, _ := neededBy(m.f)
	unit := map[*ir.Value]int{}
	for u, v := range m.units {
		unit[v], relevant[v] = u, true
	}
	// Work is counted as the scheduler counts it.
	count := &scheduler{sizes: sizes}
	index := map[*ir.Value]int{m.f.Params[0]: layerInput}
	under := func(v *ir.Value) (int, bool) {
		if v == nil {
			return 0, false
		}
		i, ok := index[underViews(v)]
		return i, ok
	}
	for i, n := range m.f.Nodes {
		for k, v := range n.Results {
			if !relevant[v] {
				continue
			}
			w := remade{unit: -1, bytes: v.Type.Bind(sizes).Bytes(), node: i, flops: count.flops(n), alone: -1, rederive: -1}
			if n.Op.Name == "linear_pack" {
				w.alone = count.flops(ir.NewBuilder(&ir.Func{Role: ir.RoleLayer}).Node("linear", "alone", nil, n.Operands[0], n.Operands[1+k]))
			}
			if u, ok := unit[v]; ok {
				w.unit = u
			}
			for _, o := range n.Operands {
				if j, ok := under(o); ok {
					w.inputs = append(w.inputs, j)
				}
			}
			for _, o := range inPlaceOf(n, k) {
				if j, ok := under(o); ok && j != layerInput {
					w.overwrite = append(w.overwrite, j)
				}
			}
			if n.Op.Rederive != nil && k > 0 {
				w.rederive, w.first = rederived(n, k, count), index[n.Results[0]]
			}
			b.packs = b.packs || w.alone >= 0 // whether there are any
			index[v] = len(b.values)
			b.nodes[i] = append(b.nodes[i], len(b.values))
			b.values = append(b.values, w)
		}
	}
	b.backward(m, under, sizes)
	k := len(b.values)
	for _, n := range m.f.Nodes {
		b.makes = append(b.makes, len(n.Results))
	}
	b.wanted, b.loaded, b.born, b.last, b.ran = make([]bool, k), make([]bool, k), make([]int, k), make([]int, k), make([]int, len(b.steps))
	return b
}

// inPlaceOf lists the operands that a node's result may overwrite.
func inPlaceOf(n *ir.Node, result int) []*ir.Value {
	j, ok := n.Op.InPlace[result]
	switch {
	case !ok || !n.Has(j):
		return nil
	case n.Op.Commutative && len(n.Operands) == 2:
		return n.Operands
	}
	return n.Operands[j : j+1]
}

// rederived counts the work of making a node's result from its first one.
func rederived(n *ir.Node, i int, count *scheduler) (flops int64) {
	b := ir.NewBuilder(&ir.Func{Role: ir.RoleBackward})
	n.Op.Rederive(b, n, i, func(v *ir.Value) *ir.Value { return v })
	for _, k := range b.Nodes {
		flops += count.flops(k)
	}
	return flops
}

// backward fills in the steps. Values that go to the gradients of weights may
// be made there and do not count.
func (b *bounds) backward(m *Menu, under func(*ir.Value) (int, bool), sizes map[string]int64) {
	forward := map[string]*ir.Value{}
	for _, p := range m.f.Params {
		forward[p.Name] = p
	}
	for _, n := range m.f.Nodes {
		for _, r := range n.Results {
			forward[r.Name] = r
		}
	}
	stored := func(v *ir.Value) (int, bool) { // the value of the forward that v shows
		if v = underViews(v); !slices.Contains(m.bwd.Saved, v) {
			return 0, false
		}
		return under(forward[v.Name])
	}
	type span struct{ born, last int }
	spans := map[*ir.Value]*span{m.bwd.Params[0]: {-1, -1}}
	weights := map[*ir.Value]bool{}
	for i, n := range m.bwd.Nodes {
		var s backStep
		for _, v := range n.Operands {
			if v == nil || !v.Local() {
				continue
			}
			if j, ok := stored(v); ok {
				s.reads = append(s.reads, j)
			} else if g := spans[underViews(v)]; g != nil && !n.Op.View {
				g.last = i
			}
		}
		if n.Op.Name == "grad_add" {
			weights[underViews(n.Operands[0])] = true
		}
		for _, r := range n.Results {
			if !n.Op.View && !fromConstants(r) {
				spans[r] = &span{i, i}
			}
		}
		b.steps = append(b.steps, s)
	}
	b.steps = append(b.steps, backStep{}) // the end
	for _, r := range m.bwd.Results {
		if g := spans[underViews(r)]; g != nil {
			g.last = len(m.bwd.Nodes)
		}
	}
	bytes := func(v *ir.Value) int64 { return v.Type.Bind(sizes).Bytes() }
	// A gradient is there before a node if one in front of it made it, and it or
	// a later one reads it.
	for v, g := range spans {
		if weights[v] {
			continue
		}
		for i := g.born + 1; i <= g.last; i++ {
			b.steps[i].grads += bytes(v)
		}
	}
	// While a node runs its results are there too, beside its operands, unless
	// one takes the place of a gradient that is read for the last time.
	for i, n := range m.bwd.Nodes {
	results:
		for k, r := range n.Results {
			if g := spans[r]; g == nil || g.last == i || weights[r] {
				continue
			}
			w := made{bytes: bytes(r)}
			for _, o := range inPlaceOf(n, k) {
				if o == nil || bytes(o) != w.bytes {
					continue
				}
				if j, ok := stored(o); ok {
					w.overwrite = append(w.overwrite, j)
				} else if g := spans[underViews(o)]; g == nil || g.last == i {
					continue results
				}
			}
			b.steps[i].makes = append(b.steps[i].makes, w)
		}
	}
}

// of bounds the set of a mask: it goes through the backward as recompute makes
// it.
func (b *bounds) of(mask int) bound {
	b.mask, b.out = mask, bound{x: b.x}
	for i := range b.values {
		b.wanted[i], b.loaded[i], b.born[i], b.last[i] = false, false, -1, -1
	}
	for i := range b.steps {
		for _, j := range b.steps[i].reads {
			if b.packs {
				b.want(j)
			}
		}
	}
	// Time runs with the nodes of the backward and with those that are put in
	// front of them to make values again, each just before its first reader.
	b.grads = b.grads[:0]
	for i := range b.steps {
		s := &b.steps[i]
		for _, j := range s.reads {
			b.need(j, s.grads)
		}
		for _, j := range s.reads {
			b.read(j)
		}
		b.ran[i] = len(b.grads)
		b.grads = append(b.grads, s.grads)
	}
	b.live = append(b.live[:0], b.grads...)
	b.live = append(b.live, 0)
	// Overwritable reports whether something made at a time may take the place
	// of one of the values.
	overwritable := func(values []int, bytes int64, at int) bool {
		for _, j := range values {
			if j != layerInput && b.born[j] >= 0 && b.last[j] == at && b.values[j].bytes == bytes {
				return true
			}
		}
		return false
	}
	// What is made again is there from the node that makes it to the last one
	// that reads it; what is read no more was never needed.
	most := int64(0)
	for i := range b.values {
		v := &b.values[i]
		if at := b.born[i]; at >= 0 && b.last[i] > at {
			first := at
			if overwritable(v.overwrite, v.bytes, at) {
				first++
			}
			for t := first; t <= b.last[i]; t++ {
				b.live[t] += v.bytes
			}
		}
	}
	for i := range b.steps {
		at := b.ran[i]
		for _, g := range b.steps[i].makes {
			if !overwritable(g.overwrite, g.bytes, at) {
				b.live[at] += g.bytes
			}
		}
	}
	for _, n := range b.live {
		most = max(most, n)
	}
	b.out.top = b.out.size + most
	return b.out
}

// need makes a value available, while there are so many bytes of gradients.
func (b *bounds) need(i int, grads int64) {
	if i == layerInput {
		b.out.input = true
		return
	}
	if b.loaded[i] {
		return
	}
	v := &b.values[i]
	switch {
	case b.stored(i):
		b.out.mask |= 1 << v.unit
		b.out.size += v.bytes
	case v.rederive >= 0: // through the first result, made again itself if it is not stored
		b.need(v.first, grads)
		b.read(v.first)
		b.out.flops += v.rederive
		b.born[i] = len(b.grads)
		b.grads = append(b.grads, grads)
	case v.alone >= 0 && !b.whole(v.node):
		for _, j := range v.inputs {
			b.need(j, grads)
			b.read(j)
		}
		b.out.flops += v.alone
		b.born[i] = len(b.grads)
		b.grads = append(b.grads, grads)
	default:
		for _, j := range v.inputs {
			b.need(j, grads)
		}
		for _, j := range v.inputs {
			b.read(j)
		}
		b.out.flops += v.flops
		for _, j := range b.nodes[v.node] {
			if !b.loaded[j] && !b.stored(j) {
				b.loaded[j], b.born[j] = true, len(b.grads)
			}
		}
		b.grads = append(b.grads, grads)
	}
	b.loaded[i] = true
}

// want notes that a value is needed, and what it is made of if it is not
// stored.
func (b *bounds) want(i int) {
	if i == layerInput || b.wanted[i] || b.stored(i) {
		return
	}
	b.wanted[i] = true
	v := &b.values[i]
	if v.rederive >= 0 {
		b.want(v.first)
		return
	}
	for _, j := range v.inputs {
		b.want(j)
	}
}

// stored reports whether the set has the value.
func (b *bounds) stored(i int) bool {
	u := b.values[i].unit
	return u >= 0 && b.mask>>u&1 == 1
}

// whole reports whether all results of a pack are made again.
func (b *bounds) whole(node int) bool {
	for _, j := range b.nodes[node] {
		if !b.wanted[j] {
			return false
		}
	}
	return len(b.nodes[node]) == b.makes[node]
}

// read notes that the node that runs next reads a value.
func (b *bounds) read(i int) {
	if i != layerInput {
		b.last[i] = len(b.grads)
	}
}
