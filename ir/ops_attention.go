package ir

import (
	"math"
	"slices"
)

// Attention as one op, its gradient and its form over a KV cache.
//
// Heads stand behind positions, [B, T, heads, d], as a linear layer leaves them:
// q, k and v are then column ranges of one product's rows, and no transpose is
// left. kv_heads divides heads (grouped queries, Ainslie et al. 2023): query
// head h reads key head h / (heads / kv_heads).
func attentionOps() []*Op {
	// All forms share these; over a cache causal is a given and is left out.
	attrs := []AttrSpec{
		{"causal", BoolAttr, true, "query t sees keys 0..t"},
		{"scale", FloatAttr, nil, "factor of the scores"},
		{"window", IntAttr, int64(0), "keys a query sees at most, 0 for all"},
	}
	return []*Op{
		{
			Name: "attention",
			Doc: "softmax(scale · %q %kᵀ, masked) %v without storing the scores (Rabe and Staats 2021; Dao 2023). " +
				"%q is [B, T, heads, d], %k and %v [B, T, kv_heads, d]; %lse [B, heads, T] is the log of the softmax's denominator. " +
				"%start, if given, is the first key to be seen, one for each sequence [B] (padding on the left) or query [B, T] " +
				"(documents packed into one sequence); a query that sees no key has %o 0 and %lse minus infinity.",
			Operands: []string{"q", "k", "v", "start?"}, Results: []string{"o", "lse"}, Group: Fused, Attrs: attrs, Expensive: true,
			// Only o has the type of q: lse is f32, since exp(s - lse) in the gradient
			// would magnify its rounding.
			Infer: func(n *Node) ([]Type, error) {
				c := attentionOperands(n, 0)
				if c.err != nil {
					return nil, c.err
				}
				return c.types(n.In(0), lseType(n.In(0)))
			},
			// Two products, q kᵀ and p v. Softmax is not counted, as in the papers.
			FLOPs: func(n *Node) int64 { return 2 * attentionProduct(n, 0, 1) },
			// The rule reads o and lse, which must then be stored: T·heads·(d+1) numbers
			// for each sequence in place of T²·heads scores.
			Grad: func(g *Grads, n *Node) {
				q, k, v := n.Operands[0], n.Operands[1], n.Operands[2]
				a := Attrs{"causal": n.Flag("causal"), "scale": n.Float("scale"), "window": int64(n.Int("window"))}
				// Only attention_grad reads lse, and a graph that a fusion made never has
				// another reader.
				if g.Of(n.Results[1]) != nil {
					panic("ir: %lse of attention has no gradient of its own")
				}
				var start *Value
				if n.Has(3) {
					start = n.Operands[3]
				}
				r := g.Node("attention_grad", gradName(q)+","+gradName(k)+","+gradName(v), a,
					g.Of(n.Results[0]), n.Results[0], n.Results[1], q, k, v, start)
				g.Add(q, r.Results[0])
				g.Add(k, r.Results[1])
				g.Add(v, r.Results[2])
			},
			Expand: expandAttention,
		},
		{
			// With P = exp(scale q kᵀ - lse), D = rowsum(do · o) and dP = do vᵀ:
			// dS = P · (dP - D), dq = scale dS k, dk = scale dSᵀ q, dv = Pᵀ do
			// (FlashAttention-2, algorithm 2). o is wanted for D alone. Gradients of k
			// and v are summed over the query heads that share them.
			Name: "attention_grad", Doc: "Gradients of attention: the probabilities come back as exp(scores - %lse).",
			Operands: []string{"do", "o", "lse", "q", "k", "v", "start?"}, Results: []string{"dq", "dk", "dv"},
			Group: Gradient, Attrs: attrs, Expensive: true, NoGrad: "second derivatives are not taken",
			Infer: func(n *Node) ([]Type, error) {
				c := attentionOperands(n, 3).same(0, 1).same(0, 3)
				if c.err != nil {
					return nil, c.err
				}
				lse := lseType(n.In(3))
				return c.that(n.In(2).Equal(lse), "lse has type %s, want %s", n.In(2), lse).types(n.In(3), n.In(4), n.In(5))
			},
			// Five products: q kᵀ once more, do vᵀ, dS k, dSᵀ q and Pᵀ do.
			FLOPs: func(n *Node) int64 { return 5 * attentionProduct(n, 3, 4) },
		},
		{
			// Tokens of several sequences lie in one row of T, in any mixture of prefill
			// and decoding; pos and seq say where each belongs. Blocks, not one piece of
			// memory for a sequence, so that sequences grow and share prefixes without
			// copies (PagedAttention, Kwon et al. 2023).
			Name: "attention_kv",
			Doc: "Writes %k and %v of each token to the cache, then attends to positions 0..%pos of the token's sequence. " +
				"%q is [1, T, heads, d]; %pos and %seq are [T]; %table [sequences, blocks] names the cache blocks of a sequence; " +
				"!kv is [blocks, 2, kv_heads, block, d].",
			Operands: []string{"q", "k", "v", "pos", "seq", "table", "kv"}, Results: []string{"o"},
			Group: Inference, Attrs: attrs[1:], Effect: WritesState, NoGrad: "inference only",
			Infer: func(n *Node) ([]Type, error) {
				q, k, kv := n.In(0), n.In(1), n.In(6)
				// The cache may have another float type than the activations.
				c := check(n).float(0).rank(0, 4).float(1).rank(1, 4).same(1, 2).
					integer(3).rank(3, 1).integer(4).rank(4, 1).integer(5).rank(5, 2).float(6).rank(6, 5)
				if c.err != nil {
					return nil, c.err
				}
				tokens := []Dim{q.Dims[1]}
				// The batch axis is 1: a batch is in pos and seq, not in the shape.
				_, whole := q.Dims[2].Div(k.Dims[2])
				c.that(q.Dims[0].Is(1) && slices.Equal(q.Dims[:2], k.Dims[:2]) && q.Dims[3] == k.Dims[3] && whole, "q has type %s and k %s", q, k).
					that(slices.Equal(n.In(3).Dims, tokens) && slices.Equal(n.In(4).Dims, tokens), "q has type %s, pos %s and seq %s", q, n.In(3), n.In(4)).
					that(n.Int("window") >= 0, "window %d", n.Int("window"))
				return c.that(kv.Dims[1].Is(2) && kv.Dims[2] == k.Dims[2] && kv.Dims[4] == k.Dims[3], "k has type %s and the cache %s", k, kv).
					// A value of the function would be gone after this run.
					that(n.Operands[6].State != nil, "kv is not state").types(q)
			},
		},
	}
}

// attentionOperands checks q, k, v, which start at operand i, the optional start
// behind them, and the mask.
// It returns early on wrong ranks, since what follows indexes the axes.
func attentionOperands(n *Node, i int) *checker {
	q, k := n.In(i), n.In(i+1)
	c := check(n).float(i).rank(i, 4).float(i+1).rank(i+1, 4).same(i+1, i+2)
	if c.err != nil {
		return c
	}
	_, whole := q.Dims[2].Div(k.Dims[2])
	// Sequences that are padded on the left have one start each; documents packed
	// into one sequence have one for each query.
	start := []Type{TensorOf(I32, q.Dims[0]), TensorOf(I32, q.Dims[0], q.Dims[1])}
	return c.that(q.Dims[0] == k.Dims[0] && q.Dims[3] == k.Dims[3] && whole, "q has type %s and k %s", q, k).
		// Without a cache queries and keys are the same positions. Cross attention
		// is never causal.
		that(!n.Flag("causal") || q.Dims[1] == k.Dims[1], "causal, but q has type %s and k %s", q, k).
		that(!n.Has(i+3) || slices.ContainsFunc(start, n.In(i+3).Equal), "start is neither %s nor %s", start[0], start[1]).
		that(n.Int("window") >= 0, "window %d", n.Int("window"))
}

// lseType is the type of the logarithms that go with queries of type q.
// Heads come before positions, unlike in q: the kernel works on one head at a
// time and writes its logarithms one after the other.
func lseType(q Type) Type { return TensorOf(F32, q.Dims[0], q.Dims[2], q.Dims[1]) }

// attentionProduct is the FLOPs of one of attention's matrix products: half
// the square when causal, as the papers count. What start hides is known at run
// time only and is not taken off.
// q has B·T·heads·d elements, each of which meets S keys in a multiply-add. A
// window is not taken off either.
func attentionProduct(n *Node, q, k int) int64 {
	f := 2 * n.In(q).Elems() * n.In(k).Dims[1].N
	if n.Flag("causal") {
		f /= 2
	}
	return f
}

// expandAttention spells attention with matrix products, a mask and softmax.
// It is what fuse_attention finds, in its plainest spelling, and what the kernel
// is compared with.
func expandAttention(b *Builder, n *Node) []*Value {
	q, k, v := n.Operands[0], n.Operands[1], n.Operands[2]
	name := n.Results[0].Name
	perm := Attrs{"perm": []int64{0, 2, 1, 3}}
	t := q.Type
	heads, kvHeads := t.Dims[2], k.Type.Dims[2]
	qh := b.Op("transpose", name+".qh", perm, q)
	// Grouped heads: keys and values are repeated here, [B, kv, S, d] to
	// [B, kv, group, S, d] to [B, heads, S, d], so that head h of the result is
	// key head h / group.
	byHead := func(x *Value, as string) *Value {
		h := b.Op("transpose", name+as, perm, x) // [B, kv, S, d]
		group, _ := heads.Div(kvHeads)
		if group.Is(1) {
			return h
		}
		d := h.Type.Dims
		h = b.Reshape(name+as, h, d[0], d[1], Const(1), d[2], d[3])
		h = b.Op("broadcast", name+as, Attrs{"dims": []Dim{d[0], d[1], group, d[2], d[3]}}, h)
		return b.Reshape(name+as, h, d[0], heads, d[2], d[3])
	}
	kh, vh := byHead(k, ".kh"), byHead(v, ".vh")
	s := b.Op("matmul", name+".s", Attrs{"trans_b": true}, qh, kh)
	s = b.Op("mul", name+".scaled", nil, s, b.Scalar(name+".scale", t.DType, n.Float("scale")))
	s = maskScores(b, n, name, s)
	last := Attrs{"axes": []int64{3}, "keep": true}
	// The largest score goes off before exp, as in softmax, and comes back in lse.
	top := b.Op("reduce_max", name+".top", last, s)
	// A query that sees no key attends to nothing: zeros, not 0/0.
	var blind *Value
	unless := func(as string, x *Value, instead float64) *Value {
		if blind == nil {
			return x
		}
		return b.Op("where", name+as, nil, blind, b.Scalar(name+as, t.DType, instead), x)
	}
	// Under a causal mask alone every query sees itself. A start may lie behind
	// the query, and without the mask a window may begin behind the last key.
	if n.Has(3) || n.Int("window") > 0 && !n.Flag("causal") {
		blind = b.Op("equal", name+".blind", nil, top, b.Scalar(name+".hidden", t.DType, math.Inf(-1)))
		// -inf - -inf would be NaN; with 0 in place of the top exp(-inf) is 0.
		top = unless(".top", top, 0)
	}
	e := b.Op("exp", name+".e", nil, b.Op("sub", name+".shift", nil, s, top))
	sum := b.Op("reduce_sum", name+".sum", last, e)
	// The sum of a blind row is 0, and 0/1 is 0. Its logarithm stays -inf, which
	// is what lse promises.
	p := b.Op("div", name+".p", nil, e, unless(".sum", sum, 1))
	lse := b.Op("add", name+".lse4", nil, b.Op("log", name+".logsum", nil, sum), top)
	lse = b.Reshape(n.Results[1].Name, lse, t.Dims[0], heads, t.Dims[1])
	if lse.Type.DType != F32 {
		lse = b.Op("cast", n.Results[1].Name, Attrs{"dtype": "f32"}, lse)
	}
	return []*Value{b.Op("transpose", name, perm, b.Op("matmul", name+".oh", nil, p, vh)), lse}
}

// maskScores sets the scores s [B, heads, T, S] that the mask hides to minus
// infinity.
// The index comparisons are spelled as specs spell them, on i32, and broadcast
// from [T, 1] and [1, S].
func maskScores(b *Builder, n *Node, name string, s *Value) *Value {
	rows, cols := s.Type.Dims[2], s.Type.Dims[3]
	row := b.Op("iota", name+".row", Attrs{"dims": []Dim{rows, Const(1)}, "axis": int64(0)})
	col := b.Op("iota", name+".col", Attrs{"dims": []Dim{Const(1), cols}, "axis": int64(1)})
	hide := b.Scalar(name+".hidden", s.Type.DType, math.Inf(-1))
	if n.Flag("causal") {
		s = b.Op("where", name+".masked", nil, b.Op("less_equal", name+".seen", nil, col, row), s, hide)
	}
	if w := n.Int("window"); w > 0 {
		// Query t sees keys above t - window, its own included: window of them.
		first := b.Op("sub", name+".first", nil, row, b.Scalar(name+".window", I32, float64(w)))
		s = b.Op("where", name+".masked", nil, b.Op("greater", name+".near", nil, col, first), s, hide)
	}
	if n.Has(3) {
		// [B] becomes [B, 1, 1, 1], and [B, T] becomes [B, 1, T, 1].
		each := Const(1)
		if n.In(3).Rank() == 2 {
			each = rows
		}
		start := b.Reshape(name+".start", n.Operands[3], n.In(3).Dims[0], Const(1), each, Const(1))
		s = b.Op("where", name+".masked", nil, b.Op("greater_equal", name+".from", nil, col, start), s, hide)
	}
	return s
}
