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

func (p *Plan) verifyBuffers(q *Program, bad func(string, ...any)) {
	arena := p.Arena(q.Arena)
	layers := int64(p.Layers())
	lives := q.lives()
	for i, b := range q.Buffers {
		end := b.Offset + b.Bytes
		switch b.Region {
		case Saved:
			end = b.Offset + (layers-1)*b.Stride + b.Bytes
			if b.Offset+b.Bytes > b.Stride || end > q.SavedBytes {
				bad("%s: stored %s leaves its block", q.Name, b.Name)
			}
		case Scratch:
			if b.Offset < q.SavedBytes {
				bad("%s: scratch %s lies among stored activations", q.Name, b.Name)
			}
		}
		if b.Offset%Align != 0 || end > arena {
			bad("%s: buffer %s at %d with %d bytes does not fit its arena of %d", q.Name, b.Name, b.Offset, b.Bytes, arena)
		}
		for _, c := range q.Buffers[:i] {
			if b.Region != c.Region {
				continue
			}
			if x, y := lives[b], lives[c]; b.Region == Scratch && (x.first > y.last || y.first > x.last) {
				continue
			}
			if b.Offset < c.Offset+c.Bytes && c.Offset < b.Offset+b.Bytes {
				bad("%s: buffers %s and %s overlap", q.Name, c.Name, b.Name)
			}
		}
	}
}

func (p *Plan) verifyOperands(q *Program, bad func(string, ...any)) {
	sizes := p.Sizes()
	written := map[*Buffer]bool{}
	for _, b := range q.Inputs {
		written[b] = true
	}
	check := func(at string, o Operand) {
		if o.Kind != InBuffer {
			return
		}
		t := o.Type.Bind(sizes)
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
	read := func(at string, o Operand) {
		check(at, o)
		if o.Kind == InBuffer && !written[o.Buffer] && o.Buffer.Region != Table {
			bad("%s: %s reads %s before it is written", q.Name, at, o.Buffer.Name)
		}
	}
	write := func(at string, o Operand) {
		check(at, o)
		if o.Kind == InBuffer {
			if o.Buffer.Region == Input {
				bad("%s: %s writes the input %s", q.Name, at, o.Buffer.Name)
			}
			written[o.Buffer] = true
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
