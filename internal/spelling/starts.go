package spelling

import (
	"slices"

	"github.com/llamac/llamac/ir"
)

// maskedFrom hides from each query the keys after it, those out of its window,
// and those before its element of Starts [B, T].
// Two masks, one after the other in either order, or both made into one. A key is seen if
// start <= key <= query.
func (s *Speller) maskedFrom(scores *ir.Value, low float64) *ir.Value {
	switch s.Choose("order of the masks", 3) {
	case 0:
		return s.hidden(s.causal(scores, low), s.reached(scores.Type.Rank()), low)
	case 1:
		return s.causal(s.hidden(scores, s.reached(scores.Type.Rank()), low), low)
	}
	// One mask of both, made before it meets the scores.
	from := s.reached(scores.Type.Rank())
	// From [B, 1, 1|T, 1] to a row for each query, so that the sum has its full shape.
	full := slices.Clone(from.Type.Dims)
	full[len(full)-2] = s.T
	zeros := s.broadcast(s.num(0), full...)
	mask := s.Op("where", "mask", nil, from, s.causal(zeros, low), s.num(low))
	// With truth as 0 and 1 the two conditions are a product, and what is hidden is
	// the rest, (1 - both) · -1e9.
	if s.coin("as two products") { // 0 · -inf is not a number
		f32 := ir.Attrs{"dtype": "f32"}
		seen := s.Op("cast", "seen", f32, s.Op("equal", "seen", nil, s.causal(zeros, -1e9), s.num(0)))
		both := s.bin("mul", seen, s.Op("cast", "from", f32, from))
		mask = s.bin("mul", s.Op("sub", "hide", nil, s.num(1), both), s.num(-1e9))
	}
	return s.bin("add", scores, mask)
}

// hidden puts or adds low where c does not hold.
// Adding is right only if low is far below any score: for finite scores x + low is then
// as good as low.
func (s *Speller) hidden(x, c *ir.Value, low float64) *ir.Value {
	if s.coin("add the mask") {
		return s.bin("add", x, s.Op("where", "mask", nil, c, s.num(0), s.num(low)))
	}
	return s.Op("where", "masked", nil, c, x, s.num(low))
}

// reached is the truth of key >= start, to meet scores of a rank.
// key >= start, key > start - 1, key - start >= 0, with sides turned or not: one truth in
// all its spellings, on integers.
func (s *Speller) reached(rank int) *ir.Value {
	start := s.Starts
	integer := func(n int64) *ir.Value { return s.Scalar("n", ir.I32, float64(n)) }
	before := s.coin("count before the reshape")
	less := func(x *ir.Value) *ir.Value { return s.Op("sub", "start", nil, x, integer(1)) }
	strict := s.coin("strict")
	// x > s - 1 and x >= s are the same for integers alone.
	if strict && before {
		start = less(start)
	}
	// Each head of a sequence has the sequence's starts.
	heads := ir.Const(s.Heads)
	switch {
	case rank == 4:
		start = s.reshape(start, s.B, ir.Const(1), s.T, ir.Const(1))
	default: // batch and heads are one axis
		start = s.reshape(start, s.B, ir.Const(1), s.T, ir.Const(1))
		start = s.broadcast(start, s.B, heads, s.T, ir.Const(1))
		start = s.reshape(start, s.B.Mul(heads), s.T, ir.Const(1))
	}
	if strict && !before {
		start = less(start)
	}
	// Leading axes of size 1 are allowed: [T], [1, T], [1, 1, T], and so on.
	dims := slices.Repeat([]ir.Dim{ir.Const(1)}, 1+s.Choose("leading ones", rank))
	dims[len(dims)-1] = s.T
	key := s.Op("iota", "key", ir.Attrs{"dims": dims, "axis": int64(len(dims) - 1)})
	if s.coin("as a difference") {
		key, start = s.Op("sub", "e", nil, key, start), integer(0)
	}
	// start <= key for key >= start.
	turn := s.coin("turn the comparison")
	switch {
	case strict && turn:
		return s.Op("less", "from", nil, start, key)
	case strict:
		return s.Op("greater", "from", nil, key, start)
	case turn:
		return s.Op("less_equal", "from", nil, start, key)
	}
	return s.Op("greater_equal", "from", nil, key, start)
}
