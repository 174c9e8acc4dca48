package passes

import (
	"math"
	"slices"
	"strings"

	"github.com/llamac/llamac/ir"
)

// FuseAttention finds causal attention and makes it one op that never stores
// the scores (Touvron et al. 2023, section 2.4; Rabe and Staats 2021; Dao et
// al. 2022):
//
//	before                                       after
//	%qh = transpose(%q) {[0, 2, 1, 3]}           %o, %lse = attention(%q, %k, %v) {scale}
//	%kh = transpose(%k), repeated for GQA
//	%vh = transpose(%v), repeated for GQA
//	%s  = matmul(%qh, %kh) {trans_b}
//	%z  = mul(%s, scale)
//	%m  = where(less_equal(col, row), %z, -inf)
//	%p  = softmax(%m)
//	%oh = matmul(%p, %vh)
//	%o  = transpose(%oh) {[0, 2, 1, 3]}
//
// The scores take 4·B·heads·T² bytes, three times; attention keeps its operands,
// its result and one number a row. The operands are [B, T, heads, d], as the
// linear layers leave them, with as many KV heads as there are: transposes
// vanish where the graph had them and appear where it had not.
//
// Found as well: k transposed by hand; batches and heads merged to one axis;
// the scale on q, on k, on both or on the scores, as a product or quotient;
// masks that put or add a large negative number (at most -1e4: a smaller one
// is a bias), from index comparisons either way round or from a constant
// matrix; windows; the first key of each query or sequence, compared with the
// key's index, which becomes a fourth operand; KV heads repeated by broadcasting, gathering or
// concatenation; softmax in its parts.
//
// What must not match: no mask, or one that is not causal; no scale at all
// (scale 1 is legal for the op, but no LLaMA has it, and a scale that the
// matcher failed to see must not be lost); scores or probabilities that anyone
// else reads; fewer queries than keys.
var FuseAttention = Pass{
	Name: "fuse_attention",
	Doc:  "Finds causal attention in any layout and makes it one op that stores no scores.",
	Run:  func(u *Unit) error { return fuse(u, matchAttention) },
}

// hidden is the largest number that a mask may hide scores with.
//
// exp of it is 0 in every float type, and f16, whose range ends at 65504, can
// still say it.
const hidden = -1e4

func matchAttention(g *graph, n *ir.Node) *match {
	// The probabilities must be read row by row, as the softmax made them.
	if n.Op.Name != "matmul" || n.Flag("trans_a") || n.In(0).Rank() != n.In(1).Rank() {
		return nil
	}
	p, inner := throughRows(n.Operands[0])
	in, soft, ok := softmaxOf(p)
	if !ok {
		return nil
	}
	s := scoresOf(in)
	if s == nil {
		return nil
	}
	// From here on the mask is known: what is left is where the operands come
	// from.
	window, start, ok := s.causal()
	if !ok {
		return nil
	}
	a := newHeads(s, n)
	// There may be no value in the graph that has attention's result as [B, T,
	// heads, d]; then the product with v is the root and back moves the result.
	if a == nil || !a.scaled || !a.startOperand(start) {
		return nil
	}
	root, back := a.outcome(g)
	if root == nil {
		return nil
	}
	y := root.Result()
	m := &match{root: root, rule: "attention"}
	// build runs behind the check that nobody else reads the inner nodes. Until
	// then the graph is untouched, and most matches that fail cost nothing but
	// time.
	m.build = func(b *ir.Builder) *ir.Value {
		lse := strings.TrimSuffix(y.Name, ".o") + ".lse"
		operands := []*ir.Value{a.q.produce(b, y.Name+".q"), a.k.produce(b, y.Name+".k"), a.v.produce(b, y.Name+".v")}
		if a.start != nil {
			from := a.start.produce(b, y.Name+".start")
			// As exporters have it. A position of a sequence fits; who hides all
			// keys by a start beyond 2^31 would be misread.
			if from.Type.DType != ir.I32 {
				from = b.Op("cast", y.Name+".start", ir.Attrs{"dtype": "i32"}, from)
			}
			operands = append(operands, from)
		}
		o := b.Node("attention", y.Name+","+lse, ir.Attrs{"causal": true, "scale": a.scale, "window": window}, operands...).Results[0]
		// The root has the op's own shape.
		if back == nil {
			return o
		}
		w := identity(o)
		return w.produce(b, y.Name, back)
	}
	return m.with(slices.Concat(inner, soft, s.inner, a.inner, []*ir.Node{s.product, n}))
}

// throughRows follows v back through casts between float types and reshapes
// that leave its last two axes alone.
func throughRows(v *ir.Value) (*ir.Value, []*ir.Node) {
	var inner []*ir.Node
	for {
		n := def(v, "cast", "reshape")
		if n == nil || !keepsRows(n) {
			return v, inner
		}
		v, inner = n.Operands[0], append(inner, n)
	}
}

// keepsRows reports that a cast or reshape changes neither rows nor columns.
func keepsRows(n *ir.Node) bool {
	if n.Op.Name == "cast" {
		return n.In(0).DType.Float() && n.Result().Type.DType.Float()
	}
	i, o := n.In(0).Rank(), n.Result().Type.Rank()
	w, ok := identity(n.Operands[0]).then(n)
	return ok && i >= 2 && o >= 2 && w.is(o-1, i-1) && w.is(o-2, i-2)
}

// softmaxOf reads v as the softmax of x over the last axis, whole or as
// exp(x - max(x)) over its sum.
//
// The largest number of a row cancels in the quotient; it is there so that exp
// cannot overflow. Any other number would cancel as well, but no graph has one.
func softmaxOf(v *ir.Value) (x *ir.Value, inner []*ir.Node, ok bool) {
	if n := def(v, "softmax"); n != nil {
		return n.Operands[0], []*ir.Node{n}, true
	}
	// The quotient may be spelt as a product with a reciprocal; products knows
	// both.
	for _, p := range products(v) {
		if p.coef != 1 || len(p.num) != 1 || len(p.den) != 1 {
			continue
		}
		e := def(p.num[0], "exp")
		if e == nil || !p.num[0].Type.Equal(v.Type) {
			continue
		}
		t := v.Type
		shift := def(e.Operands[0], "sub")
		if shift == nil {
			continue
		}
		// Comparing values as pointers is enough: canonicalize has made equal
		// nodes one.
		x := shift.Operands[0]
		sum, besides := unlessBlind(p.den[0], t, x)
		most, too := unlessBlind(shift.Operands[1], t, x)
		total := reductionOf(sum, "reduce_sum", t, p.num[0])
		if top := reductionOf(most, "reduce_max", t, x); top != nil && total != nil {
			return x, slices.Concat(p.inner, besides, too, []*ir.Node{e, shift, total, top}), true
		}
	}
	return nil, nil, false
}

// unlessBlind passes where(max(x) = -inf, c, v): a softmax that is made safe for
// rows in which a mask leaves nothing, as PyTorch exports one.
func unlessBlind(v *ir.Value, t ir.Type, x *ir.Value) (*ir.Value, []*ir.Node) {
	n := def(v, "where")
	if n == nil {
		return v, nil
	}
	blind := def(n.Operands[0], "equal")
	if _, ok := scalar(n.Operands[1]); !ok || blind == nil {
		return v, nil
	}
	// Compared with minus infinity, and the other operand must be the largest
	// of the same row: then the condition says that nothing of it is seen.
	for i, top := range blind.Operands {
		if low, ok := scalar(blind.Operands[1-i]); ok && math.IsInf(low, -1) && reductionOf(top, "reduce_max", t, x) != nil {
			return n.Operands[2], []*ir.Node{n, blind}
		}
	}
	return v, nil
}

// reductionOf is the node that reduces x over its last axis to v, which meets
// tensors of type t.
func reductionOf(v *ir.Value, op string, t ir.Type, x *ir.Value) *ir.Node {
	for _, r := range rowwise(v, t) {
		if n, of := reduction(r, op, t); n != nil && of == x {
			return n
		}
	}
	return nil
}

// scores is a matrix product followed back from the softmax, with what was
// done to it on the way.
//
// With product = q·kᵀ the scores are scale·product + add where put is not a
// number, and put elsewhere. add and put depend on row minus column, and on the
// start where there is one.
type scores struct {
	product *ir.Node
	scale   float64
	scaled  bool
	add     steps // added to the product
	put     steps // put in its place; NaN where it was not
	inner   []*ir.Node
}

// scoresOf follows v back to the product of q and k.
//
// The recursion goes to the product first and applies the ops on the way back,
// in the order in which the graph does.
func scoresOf(v *ir.Value) *scores {
	n := v.Def
	if n == nil {
		return nil
	}
	switch n.Op.Name {
	case "matmul":
		return &scores{product: n, scale: 1, add: constant(0), put: constant(math.NaN())}
	case "cast", "reshape":
		if s := scoresOf(n.Operands[0]); s != nil && keepsRows(n) {
			return s.past(n)
		}
	case "mul", "div":
		// A factor that is not positive would turn the order of the scores
		// around; no attention has one.
		x, c := scaledBy(v)
		if x == nil || c <= 0 {
			return nil
		}
		if s := scoresOf(x); s != nil {
			s.scale, s.scaled = s.scale*c, true
			// What was added or put before the factor is scaled with the
			// product.
			by := func(x []float64) float64 { return x[0] * c }
			s.add, _ = combine(by, s.add)
			s.put, _ = combine(by, s.put)
			return s.past(n)
		}
	// Of a sum either side may be the scores, of a difference only the left
	// one.
	case "add", "sub", "max":
		for i, x := range n.Operands {
			if i == 1 && n.Op.Name == "sub" || !x.Type.Equal(v.Type) {
				continue
			}
			m, ok := maskOf(n.Operands[1-i], v.Type)
			if !ok {
				continue
			}
			if s := scoresOf(x); s != nil && s.apply(n.Op.Name, m) {
				return s.past(n)
			}
		}
	case "where":
		c, ok := maskOf(n.Operands[0], v.Type)
		// The scores may be either branch of the choice, the mask is the other.
		for i := 1; i <= 2 && ok; i++ {
			x := n.Operands[i]
			m, ok := maskOf(n.Operands[3-i], v.Type)
			if !ok || !x.Type.Equal(v.Type) {
				continue
			}
			if s := scoresOf(x); s != nil && s.replace(c, m, i == 2) {
				return s.past(n)
			}
		}
	}
	return nil
}

func (s *scores) past(n *ir.Node) *scores {
	s.inner = append(s.inner, n)
	return s
}

// maskOf is a step function over the last two axes of scores of type t.
//
// Its axes must be those of queries and keys, in this order, or none.
func maskOf(v *ir.Value, t ir.Type) (steps, bool) {
	s, ok := stepsOf(v)
	if s.start != nil && ok {
		s.start, ok = startAxes(s.start, t)
	}
	return s, ok && (s.row == 0 || s.row == 2) && (s.col == 0 || s.col == 1)
}

// apply adds, subtracts or takes the maximum with a mask.
func (s *scores) apply(op string, m steps) bool {
	ok := true
	switch f := scalarOps[op]; op {
	case "max": // with the smallest number there is: only hidden scores change
		if slices.ContainsFunc(m.vals, func(x float64) bool { return x > hidden }) {
			return false
		}
		// Where nothing was added the score is larger than any hiding number
		// and stays. Where a hiding number was added already the larger of both
		// still hides.
		s.add, ok = combine(func(x []float64) float64 {
			if x[0] == 0 {
				return 0
			}
			return max(x[0], x[1])
		}, s.add, m)
		clamp := func(x []float64) float64 { return max(x[0], x[1]) } // NaN stays
		s.put, _ = combine(clamp, s.put, m)
	default:
		s.add, ok = combine(f, s.add, m)
		s.put, _ = combine(f, s.put, m)
	}
	return ok
}

// replace puts m where c does not hold, or where it does.
//
// Where the scores remain, put stays what it was, and what was added is counted
// only there.
func (s *scores) replace(c, m steps, where bool) bool {
	pick := func(x []float64) float64 {
		if (x[0] != 0) == where {
			return x[2]
		}
		return x[1]
	}
	var ok bool
	s.put, ok = combine(pick, c, s.put, m)
	s.add, _ = combine(pick, c, s.add, constant(0))
	return ok
}

// causal reports that exactly the keys before and at each query are seen, or
// the last window of them, and of those only the ones from start on, if start is
// not nil. It takes for granted that each query sees a key: a softmax over none
// is not a number.
func (s *scores) causal() (window int64, start *view, ok bool) {
	clear := true
	// Three things may have happened to a score: nothing, hidden for good, or
	// anything else. The last is a bias, such as ALiBi's, which this op has no
	// operand for.
	seen, ok := combine(func(x []float64) float64 {
		add, put := x[0], x[1]
		switch {
		case math.IsNaN(put) && add == 0:
			return 1
		case put <= hidden || math.IsNaN(put) && add <= hidden:
			return 0
		}
		clear = false
		return 0
	}, s.add, s.put)
	if !ok || !clear {
		return 0, nil, false
	}
	if seen.start != nil {
		if seen, ok = seen.fromStart(); !ok {
			return 0, nil, false
		}
	}
	// from is the least d = row - column that is seen, and to the largest: from
	// 0 means up to the query itself, and an open end no window.
	from, to, ok := seen.span(func(x float64) bool { return x == 1 })
	if !ok || from != 0 {
		return 0, nil, false
	}
	if to == math.MaxInt64 {
		return 0, seen.start, true
	}
	return to + 1, seen.start, true
}
