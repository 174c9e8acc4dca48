package build

import (
	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/specs"
)

// Files disagree on which channels of a head RoPE rotates together, and a reader
// permutes the rows of a projection where file and model differ. All that meets
// those rows has to move with them: a bias, the gain of a norm of queries before or
// behind the rotation, the keys that queries are multiplied with. pairs finds out
// what that is.
//
// It sorts last axes into classes: those of the values of a spec and both axes of
// weights. Two are in one class when an element of the one meets the element of the
// same index of the other, so that a permutation of one is right only together with
// that of the other. A class with a rotation in it may be permuted inside of each
// head, if nothing in it tells its elements apart by their places.
type pairs struct {
	class map[any]*channels // by *ir.Value, for its last axis, or axisOf
}

// axisOf is an axis of a weight.
type axisOf struct {
	w    *ir.Weight
	axis int
}

// channels is a class, or led to the class that it became part of.
type channels struct {
	into    *channels
	sizes   int64 // greatest common divisor of the axes' lengths
	head    int64 // width of the heads that are rotated; 0 without a rotation
	fixed   bool  // an element's place means something
	rotated bool
}

// find gives the class of an axis, a new one at first.
func (p *pairs) find(key any) *channels {
	c := p.class[key]
	if c == nil {
		c = &channels{}
		switch k := key.(type) {
		case *ir.Value:
			if last := k.Type.Last(); k.Type.Rank() > 0 && last.IsConst() {
				c.sizes = last.N
			}
		case axisOf:
			c.sizes = k.w.Type.Dims[k.axis].N
			// Readers permute rows. Columns are those of what the weight is
			// multiplied with, and no format moves them.
			c.fixed = k.axis > 0
		}
		p.class[key] = c
	}
	for c.into != nil {
		c = c.into
	}
	return c
}

// join makes one class of two axes.
func (p *pairs) join(a, b any) {
	x, y := p.find(a), p.find(b)
	if x == y {
		return
	}
	y.into = x
	x.sizes = gcd(x.sizes, y.sizes)
	x.fixed = x.fixed || y.fixed || x.rotated && y.rotated && x.head != y.head
	x.rotated = x.rotated || y.rotated
	x.head = max(x.head, y.head)
}

// gcd of two lengths, where 0 stands for an unknown one.
func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// node adds what a node of the spec does with its inputs.
func (p *pairs) node(m *ir.Module, n *specs.Node, in []*ir.Value, out *ir.Value) {
	weight := func(name string, axis int, v any) {
		if w := m.Weight(name); w != nil && axis < w.Type.Rank() {
			p.join(axisOf{w, axis}, v)
		}
	}
	switch n.Kind {
	case "embedding":
		weight(n.Weight, 1, out)
	case "linear":
		weight(n.Weight, 0, out)
		weight(n.Weight, 1, in[0])
		weight(n.Bias, 0, out)
	case "matmul": // rows of a meet columns of b, whose own place is another axis
		p.find(in[0]).fixed = true
		p.join(out, in[1])
	case "matmul_nt":
		p.join(in[0], in[1])
		p.find(out).fixed = true
	case "causal_mask", "window_mask":
		p.join(out, in[0])
		p.find(out).fixed = true
	default:
		for _, x := range in {
			// A single number for the whole axis goes with any order of it.
			if width := x.Type.Last(); width == out.Type.Last() || n.Kind == "split_heads" || n.Kind == "merge_heads" {
				p.join(out, x)
			}
		}
		weight(n.Weight, 0, out)
		weight(n.Bias, 0, out)
	}
	if n.Kind == "rope" {
		c := p.find(out)
		d := out.Type.Last().N
		c.fixed = c.fixed || c.rotated && c.head != d
		c.rotated, c.head = true, d
	}
}

// mark records for each weight of a class with a rotation how many heads its rows
// are, or none where the class cannot be permuted: then files of the model's own
// layout alone can be read.
func (p *pairs) mark(m *ir.Module, layout string) {
	for _, w := range m.Weights {
		for axis := range w.Type.Dims {
			c := p.find(axisOf{w, axis})
			if !c.rotated {
				continue
			}
			heads := 0
			// Whole heads everywhere, or some axis would be cut inside of one.
			if axis == 0 && !c.fixed && c.sizes%c.head == 0 && w.Rope == "" {
				heads = int(w.Type.Dims[0].N / c.head)
			}
			w.Rope, w.Heads = layout, heads
		}
	}
}
