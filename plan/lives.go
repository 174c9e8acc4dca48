package plan

import "slices"

// Span is the first and the last time at which a buffer holds something. Times
// count a program's items; a loop takes one for its beginning, one for each
// item of its body and one for its end, whatever the number of layers.
// Both ends are included: a buffer that a launch reads for the last time and one
// that it writes meet, and must lie apart, unless the plan joined them into one.
type Span struct{ First, Last int }

// Meets reports whether two spans have a time in common.
func (s Span) Meets(t Span) bool { return s.First <= t.Last && t.First <= s.Last }

// Lives is when memory holds something, found from the launches alone, so that
// Verify need not trust what the scheduler wrote down.
// It sees a loop's body once, which stands for all layers.
type Lives struct {
	// Spans has each scratch buffer's. Inside of a loop a buffer lives from its
	// first to its last use in the body; if it is also used outside of the loop,
	// or read in the body before the body writes it, it lives through the whole
	// loop: the next layer finds what this one left.
	Spans map[*Buffer]Span
	Loops []Span // of the loops, in order
	// Base is, for each time, where the blocks end of all layers that ran and
	// whose backward has not, in bytes from the arena's start; in a loop, while
	// the highest of its layers runs.
	Base []int64
	// Taken is how far stored activations reach: above Base the next layer's
	// input lies, or the stack's result, once it is written and as long as it is
	// read.
	Taken []int64
}

// Lives finds the lives in a program of a stack of so many layers.
// Results are read after the last item, so they live to the end.
func (q *Program) Lives(layers int) *Lives {
	l := &liveness{spans: map[*Buffer]Span{}, blocks: q.Blocks(layers), bases: []int64{0}}
	l.items(q.Items)
	for _, o := range q.Results {
		l.touch(o, false)
	}
	out := &Lives{Spans: l.spans, Base: l.bases, Taken: slices.Clone(l.bases)}
	for _, r := range l.loops {
		out.Loops = append(out.Loops, r.Span)
		for b, readFirst := range r.readFirst {
			// Outside as well, or left over from the layer before.
			if s := l.spans[b]; s.First < r.First || s.Last > r.Last || readFirst {
				l.spans[b] = Span{min(s.First, r.First), max(s.Last, r.Last)}
			}
		}
	}
	// What lies above the blocks takes memory for as long as it is read only.
	for _, h := range l.handed {
		for t := h.First; t <= h.Last; t++ {
			out.Taken[t] = max(out.Taken[t], h.end)
		}
	}
	return out
}

// Floor is the lowest place for a scratch buffer that lives in a span: no
// stored activation reaches higher in all that time.
func (l *Lives) Floor(s Span) int64 {
	var floor int64
	for t := s.First; t <= s.Last; t++ {
		floor = max(floor, l.Taken[t])
	}
	return floor
}

// liveness walks a program once, in order.
type liveness struct {
	blocks []Block
	at     int
	base   int64 // up to where blocks hold something
	bases  []int64
	spans  map[*Buffer]Span
	loops  []*loopUse
	loop   *loopUse // that is being walked
	handed []*handed
}

// loopUse is how the body of one loop uses buffers.
// readFirst holds for each buffer of the body whether its first use there was a
// read: then what the layer before left is wanted.
type loopUse struct {
	Span
	to        int
	readFirst map[*Buffer]bool
}

// handed is a layer's input, or the stack's result, above the blocks below it.
// It lies where the next layer's block will begin, so no block counts it yet.
type handed struct {
	Span
	end int64
}

// tick begins the next time, of which base and the rest are noted.
func (l *liveness) tick() {
	l.at++
	l.bases = append(l.bases, l.base)
}

// Each item has a time; a loop has those of its body and two more.
func (l *liveness) items(items []Item) {
	for _, it := range items {
		switch x := it.(type) {
		case *Loop:
			l.enter(x)
		default:
			l.tick()
			l.item(it)
		}
	}
}

// Arguments come first: a launch reads before it writes, so a buffer that it
// accumulates into counts as read.
func (l *liveness) item(it Item) {
	switch x := it.(type) {
	case *Launch:
		for _, o := range x.Args {
			l.touch(o, false)
		}
		for _, o := range x.Results {
			l.touch(o, o.Mode == Overwrite)
		}
	case *Copy:
		l.touch(x.Src, false)
		l.touch(x.Dst, true)
	case *Comm:
		l.touch(x.Src, false)
		l.touch(x.Dst, true)
	}
}

// Going up, blocks up to x.To are taken while the loop runs, since the layers below
// stay. Going down they are, until the loop has ended: it takes them off one by one,
// and the plan speaks of the whole loop as one time.
func (l *liveness) enter(x *Loop) {
	l.base = baseOf(l.blocks, x.To)
	l.tick()
	if k := len(l.handed); k > 0 && !x.Reverse {
		l.handed[k-1].Last = l.at // what this loop's first layer reads
	}
	r := &loopUse{Span: Span{First: l.at}, to: x.To, readFirst: map[*Buffer]bool{}}
	l.loops = append(l.loops, r)
	l.loop = r
	l.items(x.Body)
	l.loop = nil
	l.tick()
	r.Last = l.at
	// Something handed on inside of the body is read by the layer after it, so
	// it lives to the loop's end.
	for _, h := range l.handed {
		if h.First > r.First {
			h.Last = r.Last
		}
	}
	if x.Reverse {
		l.base = baseOf(l.blocks, x.From)
	}
}

// Inputs, tables, weights and state are always there and have no spans.
func (l *liveness) touch(o Operand, overwrites bool) {
	b := o.Buffer
	switch {
	case o.Kind != InBuffer:
	case b.Region == Saved:
		l.stored(o)
	case b.Region == Scratch:
		s, seen := l.spans[b]
		if !seen {
			s.First = l.at
		}
		l.spans[b] = Span{s.First, l.at}
		if l.loop != nil {
			// Only the first use in the body decides.
			if _, seen := l.loop.readFirst[b]; !seen {
				l.loop.readFirst[b] = !overwrites
			}
		}
	}
}

// stored notes uses of stored values that no block below the running layer
// has: the first layer's input before the layers run, the next layer's input,
// the stack's result.
func (l *liveness) stored(o Operand) {
	layer := 0
	switch {
	case o.Layer == NextLayer && l.loop != nil:
		layer = l.loop.to
	case o.Layer == AfterLast && len(l.blocks) > 0:
		layer = l.blocks[len(l.blocks)-1].To
	case o.Layer != FirstOne || l.loop != nil:
		return
	}
	// By where it ends one tells whether it is the value handed last.
	end := o.Buffer.At(layer) + roundUp(o.Buffer.Bytes)
	if k := len(l.handed); k > 0 && l.handed[k-1].end == end {
		l.handed[k-1].Last = l.at
		return
	}
	l.handed = append(l.handed, &handed{Span{l.at, l.at}, end})
}

// baseOf is where the block of layer l begins.
// Blocks follow each other, so the last that begins at l or below decides; above
// all layers it is where the stack ends.
func baseOf(blocks []Block, l int) int64 {
	var base int64
	for _, k := range blocks {
		if l >= k.From {
			base = k.Base + int64(min(l, k.To)-k.From)*k.Bytes
		}
	}
	return base
}

// Buffers begin at multiples of Align, so their ends are rounded up to one.
func roundUp(n int64) int64 { return (n + Align - 1) / Align * Align }
