package plan

import (
	"errors"
	"fmt"
	"slices"
)

// Verify checks that the plan can be run as it stands: every buffer lies in
// its arena, no two that live at the same time overlap, stored blocks do not
// meet scratch, weights do not overlap, packs have no gaps, every operand fits
// its buffer, and every buffer is written before it is read.
// It finds lives, blocks and sizes on its own, from launches and offsets: what the
// planner believed is not read. It runs behind plan_memory, and tests hand it plans
// that hold anything; so sizes are checked first, and the rest counts with them.
func (p *Plan) Verify() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("plan: "+format, args...)) }
	if !p.verifyDims(bad) {
		return errors.Join(errs...)
	}
	p.verifyWeights(bad)
	for _, q := range p.Programs {
		p.verifyBuffers(q, bad)
		p.verifyOperands(q, bad)
	}
	return errors.Join(errs...)
}

// verifyWeights holds each layer's tensor inside of the arena and apart from all
// others. Offsets are in elements. Gradients and moments follow the same table.
func (p *Plan) verifyWeights(bad func(string, ...any)) {
	arena := p.Arena("weights")
	type span struct {
		w    *Weight
		l    int
		a, b int64
	}
	var spans []span
	for _, w := range p.Weights {
		for l := range max(1, w.Layers) {
			spans = append(spans, span{w, l, w.At(l), w.At(l) + w.Elems()})
		}
		if w.Pack != "" {
			// A kernel reads a pack as one matrix: a gap, or other strides, would shift
			// the rows of the next member.
			if n := p.FindWeight(w.Pack); n == nil || n.Offset != w.Offset+w.Elems() || n.Stride != w.Stride {
				bad("weight %s: its pack does not go on behind it", w.Name)
			}
		}
	}
	seen := map[int64]string{}
	for _, s := range spans {
		if s.a < 0 || s.w.DType.Bytes(s.b) > arena {
			bad("weight %s of layer %d lies outside of its arena", s.w.Name, s.l)
		}
		// Also caught below unless one of them is empty.
		if o, ok := seen[s.a]; ok {
			bad("weights %s and %s start at the same place", o, s.w.Name)
		}
		seen[s.a] = s.w.Name
	}
	// Sorted by start, each must end before the next begins.
	slices.SortFunc(spans, func(x, y span) int { return int(x.a - y.a) })
	for i := 1; i < len(spans); i++ {
		if spans[i-1].b > spans[i].a {
			bad("weights %s and %s overlap", spans[i-1].w.Name, spans[i].w.Name)
		}
	}
}

// verifyBuffers compares each pair of buffers of a program; a program has some tens.
// Stored ones are looked at as blocks. Scratch may use memory of stored activations
// that do not live at the same time, which Floor tells.
func (p *Plan) verifyBuffers(q *Program, bad func(string, ...any)) {
	arena := p.Arena(q.Arena)
	layers := p.Layers()
	p.verifyBlocks(q, layers, bad)
	lives := q.Lives(layers)
	for i, b := range q.Buffers {
		if b.Region == Saved {
			continue
		}
		if b.Region == Scratch && b.Offset < lives.Floor(lives.Spans[b]) {
			bad("%s: scratch %s lies among stored activations", q.Name, b.Name)
		}
		if b.Offset < 0 || b.Offset%Align != 0 || b.Offset+b.Bytes > arena {
			bad("%s: buffer %s at %d with %d bytes does not fit its arena of %d", q.Name, b.Name, b.Offset, b.Bytes, arena)
		}
		for _, c := range q.Buffers[:i] {
			// Tables lie in an arena of their own program, and always live.
			if b.Region != c.Region || b.Region == Scratch && !lives.Spans[b].Meets(lives.Spans[c]) {
				continue
			}
			if b.Offset < c.Offset+c.Bytes && c.Offset < b.Offset+b.Bytes {
				bad("%s: buffers %s and %s overlap", q.Name, c.Name, b.Name)
			}
		}
	}
}

// verifyBlocks checks the stack of stored blocks: each layer has one, blocks
// follow each other from the arena's start, and buffers stay in theirs, apart
// from each other.
func (p *Plan) verifyBlocks(q *Program, layers int, bad func(string, ...any)) {
	next, at := 0, int64(0)
	for _, k := range q.Blocks(layers) {
		if k.From != next || k.Base != at {
			bad("%s: the block of layer %d lies at %d, want that of layer %d at %d", q.Name, k.From, k.Base, next, at)
		}
		next, at = k.To, k.Base+int64(k.To-k.From)*k.Bytes
		for i, b := range k.Buffers {
			if at := b.At(k.From); b.Stride != k.Bytes || at%Align != 0 || at < k.Base || at+b.Bytes > k.Base+k.Bytes {
				bad("%s: stored %s leaves its block", q.Name, b.Name)
			}
			if i > 0 && b.Offset < k.Buffers[i-1].Offset+k.Buffers[i-1].Bytes {
				bad("%s: buffers %s and %s overlap", q.Name, k.Buffers[i-1].Name, b.Name)
			}
		}
	}
	// A program that stores nothing has no blocks.
	if next != 0 && (next != layers || at > q.SavedBytes || q.SavedBytes > p.Arena(q.Arena)) {
		bad("%s: the blocks of %d layers end at %d, of %d bytes for %d layers", q.Name, next, at, q.SavedBytes, layers)
	}
}

// verifyOperands holds each operand to its buffer's size and walks the program in
// order for what has been written. A loop's body is walked once: what its first
// layer may read, the others may as well.
func (p *Plan) verifyOperands(q *Program, bad func(string, ...any)) {
	sizes := p.Sizes()
	written := map[*Buffer]bool{}
	for _, b := range q.Inputs {
		written[b] = true
	}
	// check holds an operand to its buffer. Inputs are the caller's, who allocates them.
	check := func(at string, o Operand) {
		if o.Kind != InBuffer {
			return
		}
		t := o.Type.Bind(sizes)
		// A strided operand reaches to the end of its last row's columns: it is
		// (rows - 1) whole rows, and then Col and one width.
		need := t.Elems()
		if o.Ld > 0 {
			width := widthOf(o, sizes)
			rows := need / width
			need = (rows-1)*o.Ld + o.Col + width
		}
		if o.Buffer.DType.Bytes(need) > o.Buffer.Bytes && o.Buffer.Region != Input {
			bad("%s: %s: operand %s of type %s does not fit buffer %s", q.Name, at, o.Name, o.Type, o.Buffer.Name)
		}
	}
	// Tables were written by the program "tables", which runs first.
	read := func(at string, o Operand) {
		check(at, o)
		if o.Kind == InBuffer && !written[o.Buffer] && o.Buffer.Region != Table {
			bad("%s: %s reads %s before it is written", q.Name, at, o.Buffer.Name)
		}
	}
	// Part of a buffer written counts as all of it: packs are filled column by
	// column, and each member's readers follow its own writer.
	write := func(at string, o Operand) {
		check(at, o)
		if o.Kind == InBuffer {
			if o.Buffer.Region == Input {
				bad("%s: %s writes the input %s", q.Name, at, o.Buffer.Name)
			}
			written[o.Buffer] = true
			for _, c := range q.Buffers { // the next block's layers know their input by another name
				if o.Layer == NextLayer && c.Region == Saved && c.From == o.Buffer.To && c.At(c.From) == o.Buffer.At(c.From) {
					written[c] = true
				}
			}
		}
	}
	q.Walk(func(it Item) {
		switch x := it.(type) {
		case *Launch:
			for _, o := range x.Args {
				read(x.Name, o)
			}
			for _, o := range x.Results {
				write(x.Name, o)
			}
		case *Copy:
			read("copy", x.Src)
			write("copy", x.Dst)
		}
	})
	for _, o := range q.Results {
		read("result", o)
	}
}

// widthOf is the number of consecutive elements of one row of a strided
// operand: its share of the buffer's columns.
// The buffer's rows are known from its own shape: the operand may see them split
// into heads.
func widthOf(o Operand, sizes map[string]int64) int64 {
	n := o.Type.Bind(sizes).Elems()
	rows := int64(1)
	if d := o.Buffer.Dims; len(d) > 1 {
		for _, x := range d[:len(d)-1] {
			rows *= x.Bind(sizes).N
		}
	}
	return n / rows
}
