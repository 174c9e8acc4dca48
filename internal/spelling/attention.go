package spelling

import (
	"math"
	"slices"
	"strings"

	"github.com/llamac/llamac/ir"
)

// tableFor gives a table the rank it needs beside [B, H, T, d] (seq 2) or
// [B, T, H, d] (seq 1), and a column axis behind if col.
// A table is [T, d/2], or [T, d] with each column doubled. What it meets has heads before
// or behind positions, so an axis of size 1 may have to stand between, and leading ones
// may or may not be written.
func (s *Speller) tableFor(v *ir.Value, seq int, col bool) *ir.Value {
	dims := []ir.Dim{s.T}
	// [T, 1, d/2] beside [B, T, H, d/2].
	if seq == 1 {
		dims = append(dims, ir.Const(1))
	}
	dims = append(dims, v.Type.Last())
	// The two of a pair were left as columns, [.., d/2, 1].
	if col {
		dims = append(dims, ir.Const(1))
	}
	if s.coin("leading ones") {
		for len(dims) < 4 {
			dims = append([]ir.Dim{ir.Const(1)}, dims...)
		}
	}
	// No reshape that does nothing: canonicalize would remove it unseen.
	if slices.Equal(dims, v.Type.Dims) {
		return v
	}
	return s.reshape(v, dims...)
}

// rope rotates pairs of the last axis of x, whose axis seq counts positions. Pairs are
// neighbours (layout 0) or halves of a head (layout 1), as specs of rope have it.
func (s *Speller) rope(x, cos, sin *ir.Value, seq int, layout int) *ir.Value {
	dims := x.Type.Dims
	heads := dims[:3]
	// with is x's axes but the last, and others in its place.
	with := func(tail ...int64) []ir.Dim {
		out := slices.Clone(heads)
		for _, n := range tail {
			out = append(out, ir.Const(n))
		}
		return out
	}
	h, d := s.half(), s.HeadDim
	interleaved := layout == 0
	col := false // parts keep a column axis behind
	var a, b *ir.Value
	// How the two of each pair are taken apart: strided slices, a reshape to columns,
	// halves, or halves by a reshape.
	switch {
	case interleaved && s.coin("strides"):
		a, b = s.slice(x, 3, 0, d, 2), s.slice(x, 3, 1, d, 2)
	case interleaved:
		// [.., d/2, 2]: a pair is a row.
		p := s.reshape(x, with(h, 2)...)
		a, b = s.slice(p, 4, 0, 1, 1), s.slice(p, 4, 1, 2, 1)
		if col = s.coin("keep columns"); !col {
			a, b = s.reshape(a, with(h)...), s.reshape(b, with(h)...)
		}
	case s.coin("contiguous"):
		a, b = s.slice(x, 3, 0, h, 1), s.slice(x, 3, h, d, 1)
	default:
		// [.., 2, d/2]: a pair is a column.
		p := s.reshape(x, with(2, h)...)
		a, b = s.reshape(s.slice(p, 3, 0, 1, 1), with(h)...), s.reshape(s.slice(p, 3, 1, 2, 1), with(h)...)
	}
	// join puts pairs together again, the way round in which they came apart.
	join := func(u, v *ir.Value) *ir.Value {
		switch {
		// The columns are still there to be joined.
		case interleaved && col:
			return s.reshape(s.concat(4, u, v), dims...)
		case interleaved:
			return s.reshape(s.concat(4, s.reshape(u, with(h, 1)...), s.reshape(v, with(h, 1)...)), dims...)
		// [.., 2, d/2] under x's shape is the halves one after the other.
		case s.coin("join halves by a reshape"):
			return s.reshape(s.concat(3, s.reshape(u, with(1, h)...), s.reshape(v, with(1, h)...)), dims...)
		}
		return s.concat(3, u, v)
	}
	if s.coin("rotate") { // x·cos + rotate(x)·sin
		// The whole row times cos and sin that are d wide, each number standing
		// twice: beside itself if neighbours are pairs, half a row on otherwise.
		full := func(t *ir.Value) *ir.Value {
			switch {
			// cos twice in a row: element i and i + d/2 have one angle.
			case !interleaved:
				t = s.concat(1, t, t)
			// cos0 cos0 cos1 cos1: elements 2i and 2i + 1 have one angle.
			case s.coin("broadcast pairs"):
				t = s.broadcast(s.reshape(t, s.T, ir.Const(h), ir.Const(1)), s.T, ir.Const(h), ir.Const(2))
				t = s.reshape(t, s.T, ir.Const(d))
			default:
				c := s.reshape(t, s.T, ir.Const(h), ir.Const(1))
				t = s.reshape(s.concat(2, c, c), s.T, ir.Const(d))
			}
			return s.tableFor(t, seq, false)
		}
		// rotate(x) is (-b, a) in the places of (a, b), as in Hugging Face's
		// rotate_half.
		return s.bin("add", s.bin("mul", x, full(cos)), s.bin("mul", join(s.un("neg", b), a), full(sin)))
	}
	// Parts by parts: y0 = a cos - b sin, y1 = a sin + b cos.
	c, n := s.tableFor(cos, seq, col), s.tableFor(sin, seq, col)
	var y0 *ir.Value
	// -(b sin) + a cos is the same as the difference.
	if s.coin("negate") {
		y0 = s.bin("add", s.un("neg", s.bin("mul", b, n)), s.bin("mul", a, c))
	} else {
		y0 = s.Op("sub", "y0", nil, s.bin("mul", a, c), s.bin("mul", b, n))
	}
	return join(y0, s.bin("add", s.bin("mul", a, n), s.bin("mul", b, c)))
}

// repeatHeads repeats each KV head along axis.
// Query head h reads KV head h / group, so copies of a head are neighbours. x has heads
// along axis, before the transpose (2) or behind it (1).
func (s *Speller) repeatHeads(x *ir.Value, axis int) *ir.Value {
	group := s.Heads / s.KVHeads
	// One head for each is nothing to repeat.
	if group == 1 {
		return x
	}
	dims := x.Type.Dims
	// at is the shape with a new axis behind the heads.
	full := slices.Clone(dims)
	full[axis] = ir.Const(s.Heads)
	at := func(n int64) []ir.Dim { return slices.Insert(slices.Clone(dims), axis+1, ir.Const(n)) }
	switch s.Choose("repeat", 4) {
	case 0: // concatenate copies along a new axis
		// [.., kv, 1, ..] beside itself along the new axis.
		one := s.reshape(x, at(1)...)
		return s.reshape(s.concat(int64(axis+1), slices.Repeat([]*ir.Value{one}, int(group))...), full...)
	case 1: // concatenate heads
		var heads []*ir.Value
		for i := range s.KVHeads {
			// h0 h0 h1 h1, each head cut out.
			one := s.slice(x, int64(axis), i, i+1, 1)
			heads = append(heads, slices.Repeat([]*ir.Value{one}, int(group))...)
		}
		return s.concat(int64(axis), heads...)
	case 2: // gather heads brought to the front
		perm := []int64{int64(axis)}
		for i := range 4 {
			if i != axis {
				perm = append(perm, int64(i))
			}
		}
		front := s.transpose(x, perm...)
		// One row for each KV head, of all the rest.
		rows := s.reshape(front, ir.Const(s.KVHeads), ir.Const(s.HeadDim).Mul(s.B).Mul(s.T))
		var ids []float64
		for i := range s.Heads {
			ids = append(ids, float64(i/group))
		}
		g := s.Op("gather", "gather", nil, rows, s.Op("const", "ids", ir.Attrs{"values": ids, "shape": []int64{s.Heads}, "dtype": "i32"}))
		front = s.reshape(g, append([]ir.Dim{ir.Const(s.Heads)}, front.Type.Dims[1:]...)...)
		return s.transpose(front, ir.InversePerm(perm)...)
	}
	// [.., kv, 1, ..] to [.., kv, group, ..] to [.., heads, ..], as llama.libsonnet has it
	// by repeat_kv.
	return s.reshape(s.broadcast(s.reshape(x, at(1)...), at(group)...), full...)
}

// Attention is causal attention of q to k and v [B, T, heads·d] with rotated q
// and k; cos and sin are [T, d/2].
// What is chosen: biases, where the scale stands, the layout of rotation and whether it
// comes before the transpose, how and where heads repeat, three or four axes, how k is
// transposed, the mask, and softmax whole or in parts. All of it is one attention.
func (s *Speller) Attention(q, k, v, cos, sin *ir.Value) *ir.Value {
	// The usual one; matchers take any.
	scale := 1 / math.Sqrt(float64(s.HeadDim))
	where := s.Choose("scale", 6) // 0 early on q, 1 late on q, 2 on k, 3 on both, else on the scores
	// As Qwen has them.
	if s.coin("biases") {
		s.Biases = 3
		q = s.bin("add", q, s.NewWeight("bq", s.Heads*s.HeadDim))
		k = s.bin("add", k, s.NewWeight("bk", s.KVHeads*s.HeadDim))
		v = s.bin("add", v, s.NewWeight("bv", s.KVHeads*s.HeadDim))
	}
	// Before the heads are split, on the projection's rows.
	if where == 0 {
		q = s.scaled(q, scale)
	}
	layout := s.Choose("layout", 2)
	first := s.coin("rotate before the transpose")
	early := s.coin("repeat before the transpose")
	// [B, T, heads·d] to [B, heads, T, d].
	split := func(x *ir.Value, heads int64, turn bool) *ir.Value {
		x = s.reshape(x, s.B, s.T, ir.Const(heads), ir.Const(s.HeadDim))
		// Tables are along axis 1 before the transpose, axis 2 behind it.
		if turn && first {
			x = s.rope(x, cos, sin, 1, layout)
		}
		if heads != s.Heads && early {
			x = s.repeatHeads(x, 2)
		}
		x = s.transpose(x, 0, 2, 1, 3)
		if turn && !first {
			x = s.rope(x, cos, sin, 2, layout)
		}
		if heads != s.Heads && !early {
			x = s.repeatHeads(x, 1)
		}
		return x
	}
	q, k, v = split(q, s.Heads, true), split(k, s.KVHeads, true), split(v, s.KVHeads, false)
	switch where {
	case 1:
		q = s.scaled(q, scale)
	case 2:
		k = s.scaled(k, scale)
	// The root of the scale on each side: (√c q)·(√c k) = c q·k, which keeps all of it
	// in the range of 16 bits.
	case 3:
		q, k = s.scaled(q, math.Sqrt(scale)), s.scaled(k, math.Sqrt(scale))
	}
	// A batch of B·heads matrices, as exporters of batched products write it.
	merged := s.coin("merge batch and heads")
	if merged {
		for _, x := range []**ir.Value{&q, &k, &v} {
			*x = s.reshape(*x, s.B.Mul(ir.Const(s.Heads)), s.T, ir.Const(s.HeadDim))
		}
	}
	rank := q.Type.Rank()
	var scores *ir.Value
	// By an op, or by the product's flag.
	if s.coin("transpose k") {
		perm := []int64{0, 1, 2, 3}[:rank]
		perm = slices.Clone(perm)
		perm[rank-1], perm[rank-2] = perm[rank-2], perm[rank-1]
		scores = s.Op("matmul", "scores", nil, q, s.transpose(k, perm...))
	} else {
		scores = s.Op("matmul", "scores", ir.Attrs{"trans_b": true}, q, k)
	}
	// The mask is by heads again, or by the merged axis.
	split4 := merged && s.coin("split heads for the mask")
	if split4 {
		scores = s.reshape(scores, s.B, ir.Const(s.Heads), s.T, s.T)
	}
	// Behind the mask: minus infinity stays, and a finite low is still low.
	late := s.coin("scale behind the mask")
	if where > 3 && !late {
		scores = s.scaled(scores, scale)
	}
	scores = s.masked(scores)
	if where > 3 && late {
		scores = s.scaled(scores, scale)
	}
	// The least float32, for softmax over a row in which nothing is seen.
	if s.coin("clamp") {
		scores = s.bin("max", scores, s.num(-3.4028234663852886e+38))
	}
	p := s.softmax(scores)
	if split4 {
		p = s.reshape(p, s.B.Mul(ir.Const(s.Heads)), s.T, s.T)
	}
	// [B, heads, T, d], or with batch and heads as one axis.
	o := s.Op("matmul", "mixed", nil, p, v)
	if merged {
		o = s.reshape(o, s.B, ir.Const(s.Heads), s.T, ir.Const(s.HeadDim))
	}
	return s.reshape(s.transpose(o, 0, 2, 1, 3), s.B, s.T, ir.Const(s.Heads*s.HeadDim))
}

// softmax is one op, or exp of the shifted scores over their sum.
func (s *Speller) softmax(x *ir.Value) *ir.Value {
	if s.coin("whole softmax") {
		return s.un("softmax", x)
	}
	last := ir.Attrs{"axes": []int64{int64(x.Type.Rank() - 1)}, "keep": true}
	e := s.un("exp", s.Op("sub", "shift", nil, x, s.Op("reduce_max", "top", last, x)))
	sum := s.Op("reduce_sum", "sum", last, e)
	// e · (1/sum) for e / sum.
	if s.coin("reciprocal of the sum") {
		return s.bin("mul", e, s.un("reciprocal", sum))
	}
	return s.Op("div", "p", nil, e, sum)
}

// compare gives the truth of col < row, or with orEqual of col <= row, by either of the
// two comparisons that say so.
func (s *Speller) compare(name string, row, col *ir.Value, orEqual bool) *ir.Value {
	op := "less"
	if orEqual {
		op += "_equal"
	}
	if s.coin("turn the comparison") {
		// col < row is row > col.
		return s.Op(strings.Replace(op, "less", "greater", 1), name, nil, row, col)
	}
	return s.Op(op, name, nil, col, row)
}

// low is what hides: minus infinity, or a number that people use for it.
func (s *Speller) masked(scores *ir.Value) *ir.Value {
	low := []float64{math.Inf(-1), -1e9, -3.4028234663852886e+38}[s.Choose("low", 3)]
	if s.Starts != nil {
		return s.maskedFrom(scores, low)
	}
	return s.causal(scores, low)
}

// causal hides from each query the keys after it and out of its window.
// Truth is compared on integers, and what it says is put or added; a window is a second
// condition, never a second kind of mask.
func (s *Speller) causal(scores *ir.Value, low float64) *ir.Value {
	// Only a length that is known can be written out.
	if s.T.IsConst() && s.coin("constant mask") {
		return s.bin("add", scores, s.constantMask(low, scores.Type.Rank()-2))
	}
	// index counts along an axis of [T, T], written whole, as a column or row of one, or as
	// numbers.
	index := func(axis int64) *ir.Value {
		// [T, 1] for rows, [1, T] for columns.
		dims := []ir.Dim{ir.Const(1), ir.Const(1)}
		dims[axis] = s.T
		if s.T.IsConst() && s.coin("constant index") {
			var x []float64
			shape := []int64{1, 1}
			shape[axis] = s.T.N
			for i := range s.T.N {
				x = append(x, float64(i))
			}
			return s.Op("const", "index", ir.Attrs{"values": x, "shape": shape, "dtype": "i32"})
		}
		switch s.Choose("index", 3) {
		case 0:
			return s.Op("iota", "index", ir.Attrs{"dims": []ir.Dim{s.T, s.T}, "axis": axis})
		case 1:
			return s.reshape(s.Op("iota", "index", ir.Attrs{"dims": []ir.Dim{s.T}}), dims...)
		}
		return s.Op("iota", "index", ir.Attrs{"dims": dims, "axis": axis})
	}
	integer := func(n int64) *ir.Value { return s.Scalar("n", ir.I32, float64(n)) }
	row, col := index(0), index(1)
	seen := s.compare("seen", row, col, true) // col <= row
	// col < row + 1 for col <= row.
	if s.coin("next") {
		seen = s.compare("seen", s.bin("add", row, integer(1)), col, false) // col < row+1
	}
	hide := func(x, seen *ir.Value) *ir.Value { return s.hidden(x, seen, low) }
	switch {
	// The mask of what is hidden and not of what is seen.
	case s.Window == 0 && s.coin("hide the future"):
		future := s.compare("future", col, row, false) // row < col
		// The scores are the other branch.
		if s.coin("put") {
			return s.Op("where", "masked", nil, future, s.num(low), scores)
		}
		// 0 · -inf is not a number, so this spelling needs a finite one
		return s.bin("add", scores, s.bin("mul", s.Op("cast", "future", ir.Attrs{"dtype": "f32"}, future), s.num(-1e9)))
	// Keys above row - window, so the query's own and window - 1 before it.
	case s.Window > 0:
		near := s.compare("near", col, s.Op("sub", "first", nil, row, integer(s.Window)), false) // first < col
		return hide(hide(scores, seen), near)
	}
	return hide(scores, seen)
}

// constantMask is the mask in numbers, 0 where a key is seen, with up to lead axes of
// size 1 before it. As models keep it, it may be larger than the sequence and cut.
func (s *Speller) constantMask(low float64, lead int) *ir.Value {
	n := s.T.N
	size := n
	if s.coin("larger mask") {
		// GPT-2's files hold a mask of the whole context.
		size += 2
	}
	var x []float64
	for i := range size {
		for j := range size {
			// Row i is the query.
			if j > i || s.Window > 0 && j <= i-s.Window {
				x = append(x, low)
			} else {
				x = append(x, 0)
			}
		}
	}
	shape := append(slices.Repeat([]int64{1}, s.Choose("leading ones", lead+1)), size, size)
	m := s.Op("const", "mask", ir.Attrs{"values": x, "shape": shape})
	if size > n {
		last := int64(len(shape) - 1)
		m = s.slice(s.slice(m, last-1, 0, n, 1), last, 0, n, 1)
	}
	return m
}
