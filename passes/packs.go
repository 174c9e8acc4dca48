package passes

import (
	"slices"

	"github.com/llamac/llamac/ir"
)

// strided lists the operands whose rows a kernel reads at any distance, and
// stridedResults the results that it writes so. Values that meet only these
// may lie side by side in the buffer of a pack.
//
// Whoever adds an op, or a kernel that takes a distance between rows, adds it
// here; an op that is missing costs only the pack, never correctness. Numbers
// are positions of operands and results.
var (
	strided = map[string][]int{
		"rope": {0}, "attention": {0, 1, 2}, "attention_kv": {0, 1, 2}, "attention_grad": {3, 4, 5},
		"swiglu": {0, 1}, "swiglu_grad": {1, 2}, "linear": {0}, "linear_grad_x": {0}, "linear_grad_w": {0, 1},
		"linear_pack": {0}, "rms_norm": {0}, "rms_norm_grad": {1},
	}
	stridedResults = map[string][]int{
		"rope": {0}, "attention_grad": {0, 1, 2}, "swiglu_grad": {0, 1}, "linear": {0}, "linear_grad_x": {0},
	}
)

// overHeads are the ops whose kernels take [B, T, heads, d] as rows of B·T.
//
// For those the width of the member divided by the heads is d, and rows are B·T
// also if the value has an axis for the heads.
var overHeads = map[string]bool{"rope": true, "attention": true, "attention_kv": true, "attention_grad": true}

// findPacks makes a pack of the results of each linear_pack, and of the
// gradients that its backward reads, where all kernels that touch them can.
func (s *storage) findPacks() {
	// A pack is made for the forward and for the gradients apart: either may
	// fail alone.
	s.eachNode(func(n *ir.Node, _ int) {
		switch n.Op.Name {
		case "linear_pack":
			s.pack(n, n.Results)
		case "linear_pack_grad_w":
			s.pack(n, n.Operands[1:])
		case "linear_pack_grad_x":
			s.pack(n, n.Operands[1:1+(len(n.Operands)-1)/2])
		}
	})
}

// All or nothing: members of one place in memory, stored for the backward all
// or none, of as many rows, with widths that are numbers, no member twice.
func (s *storage) pack(n *ir.Node, values []*ir.Value) {
	p := &pack{rows: values[0].Type.Rows()}
	for _, v := range values {
		c := s.of(v)
		p.members = append(p.members, c)
		p.widths = append(p.widths, v.Type.Last().N)
		// A class that is external, a constant or carried has a place of its
		// own and cannot become a column.
		if c.pack != nil || c.region != s.of(values[0]).region || c.region != anywhere && c.region != kept || c.layer ||
			v.Type.Rows() != p.rows || !v.Type.Last().IsConst() || slices.Contains(p.members[:len(p.members)-1], c) {
			return
		}
	}
	for _, c := range p.members {
		if !s.packable(c, p.rows) {
			return
		}
	}
	for i, c := range p.members {
		c.pack, c.index = p, i
	}
	s.packs = append(s.packs, p)
	s.stats["packs"]++
}

// packable reports whether all nodes that touch the class take strided rows.
func (s *storage) packable(c *class, rows ir.Dim) bool {
	in := map[*ir.Value]bool{}
	for _, v := range c.members {
		in[v] = true
		if !hasRows(v.Type, rows) || slices.Contains(s.tl.main.Results, v) {
			return false
		}
	}
	// Every use has to be looked at, also those in other functions: the class
	// has members on both sides of a loop.
	ok := true
	s.eachNode(func(n *ir.Node, _ int) {
		for i, o := range n.Operands {
			if o == nil || !in[o] || n.Op.View {
				continue
			}
			// Kernels over rows take a whole member as a row; those over heads
			// know the heads.
			ok = ok && (overHeads[n.Op.Name] || o.Type.Rows() == rows)
			// Of the packed gradients' readers the operand 0 is x or the
			// accumulator, which has no part in this pack.
			switch n.Op.Name {
			case "linear_pack_grad_x", "linear_pack_grad_w":
				ok = ok && i > 0
			default:
				ok = ok && slices.Contains(strided[n.Op.Name], i)
			}
		}
		for i, r := range n.Results {
			if in[r] && !n.Op.View && n.Op.Name != "linear_pack" {
				ok = ok && slices.Contains(stridedResults[n.Op.Name], i) && (overHeads[n.Op.Name] || r.Type.Rows() == rows)
				// An accumulator that is not already in place would have to be
				// copied into the column first.
				ok = ok && !(n.Op.Name == "linear_grad_x" && n.Has(2))
			}
		}
	})
	// What is carried between layers, or enters them from outside, is one whole
	// buffer.
	for _, l := range s.tl.loops {
		ok = ok && !in[l.f.Params[0]] && !in[l.f.Results[0]] && !in[l.call.Operands[0]]
		for _, v := range l.call.Operands[1:] {
			ok = ok && !in[v]
		}
	}
	return ok
}

// hasRows reports whether the leading axes of t multiply to rows.
//
// The value may have further axes behind, such as heads and elements: they are
// the row.
func hasRows(t ir.Type, rows ir.Dim) bool {
	p := ir.Const(1)
	for _, d := range t.Dims {
		if p == rows {
			return true
		}
		p = p.Mul(d)
	}
	return p == rows
}

// packed reports whether the values are exactly the members of one pack, in
// order.
//
// A pack in another order, or of more members, would be another matrix.
func (s *storage) packed(values []*ir.Value) *pack {
	p := s.of(values[0]).pack
	if p == nil || len(p.members) != len(values) {
		return nil
	}
	for i, v := range values {
		if s.of(v) != p.members[i] {
			return nil
		}
	}
	return p
}
