package passes

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/llamac/llamac/ir"
	"pgregory.net/rapid"
)

// TestRandomSpellings composes LLaMA layers of randomly chosen spellings, in
// random node order. Whatever the choice, the same ops must be left after the
// fusions, without a single transpose, and compute the same.
func TestRandomSpellings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSpeller(t)
		s.layer()
		if err := ir.Verify(s.m); err != nil {
			t.Fatalf("the test's own layer: %v\n%s", err, s.m)
		}
		before := ir.Clone(s.m, nil)
		ir.Shuffle(s.F, rapid.Uint64().Draw(t, "order"))
		runPasses(t, s.m, allFusions)
		s.fused(t, before)
		sameNumbers(t, before, s.m)

		// Every fused op's own expansion is a spelling too.
		expandAll(s.F)
		if err := ir.Verify(s.m); err != nil {
			t.Fatalf("expanded: %v\n%s", err, s.m)
		}
		sameNumbers(t, before, s.m)
		before = ir.Clone(s.m, nil)
		runPasses(t, s.m, allFusions)
		s.fused(t, before)
		sameNumbers(t, before, s.m)
	})
}

// fused checks that exactly the ops of a fused layer are left, and views.
func (s *speller) fused(t *rapid.T, before *ir.Module) {
	got := map[string]int{}
	for _, n := range s.F.Nodes {
		if n.Op.Name != "reshape" {
			got[n.Op.Name]++
		}
	}
	for op, n := range map[string]int{
		"rms_norm": 1, "linear_pack": 2, "rope": 2, "attention": 1, "linear": 2, "add_rms_norm": 1, "swiglu": 1, "add": 1 + s.biases,
	} {
		if got[op] != n {
			t.Errorf("%d of %s are left, want %d", got[op], op, n)
		}
		delete(got, op)
	}
	if len(got) > 0 {
		t.Errorf("left over: %v", got)
	}
	if t.Failed() {
		t.Logf("before\n%s\nafter\n%s", before, s.m)
		t.FailNow()
	}
}

// expandAll replaces every node that stands for others by those, down to the
// primitives.
func expandAll(f *ir.Func) {
	for again := true; again; {
		again = false
		instead := map[*ir.Node][]*ir.Node{}
		b := ir.NewBuilder(f)
		for _, n := range f.Nodes {
			if n.Op.Expand == nil {
				continue
			}
			for i, v := range n.Op.Expand(b, n) {
				adopt(n.Results[i], v)
				for _, made := range b.Nodes {
					aliases{v: n.Results[i]}.apply(made.Operands)
				}
			}
			instead[n], again = b.Nodes, true
			b.Nodes = nil
		}
		splice(f, instead)
	}
}

// speller writes a layer, choosing among ways to spell each piece.
type speller struct {
	*ir.Builder
	t                       *rapid.T
	m                       *ir.Module
	b, seq                  ir.Dim
	heads, kvHeads, d, half int64
	window                  int64
	biases                  int // additions that are not residual
}

func newSpeller(t *rapid.T) *speller {
	f := &ir.Func{Name: "layer", Role: ir.RoleLayer}
	s := &speller{Builder: ir.NewBuilder(f), t: t, m: &ir.Module{Name: "m", Funcs: []*ir.Func{f}}}
	s.m.Dims = []ir.DimDecl{{Name: "B", Min: 1, Max: 8}, {Name: "T", Min: 2, Max: 64}}
	s.b, s.seq = ir.Sym("B"), ir.Sym("T")
	if s.choose("numeric batch", 4) == 0 {
		s.b = ir.Const(int64(1 + s.choose("batch", 3)))
	}
	if s.choose("numeric length", 3) == 0 {
		s.seq = ir.Const(int64(2 + s.choose("length", 5)))
	}
	s.kvHeads = int64(1 + s.choose("kv heads", 3))
	s.heads = s.kvHeads * int64(1+s.choose("group", 3))
	s.half = int64(2 + s.choose("pairs", 3))
	s.d = 2 * s.half
	if s.choose("window", 4) == 0 {
		s.window = int64(1 + s.choose("keys", 4))
	}
	return s
}

func (s *speller) choose(what string, n int) int { return rapid.IntRange(0, n-1).Draw(s.t, what) }

func (s *speller) coin(what string) bool { return rapid.Bool().Draw(s.t, what) }

func (s *speller) num(x float64) *ir.Value {
	switch s.choose("number", 4) {
	case 0:
		return s.Op("const", "c", ir.Attrs{"values": []float64{x}, "shape": []int64{1}})
	}
	return s.Scalar("c", ir.F32, x)
}

func (s *speller) un(op string, x *ir.Value) *ir.Value { return s.Op(op, op, nil, x) }

func (s *speller) bin(op string, a, b *ir.Value) *ir.Value {
	if ir.Lookup(op).Commutative && s.coin("commute") {
		a, b = b, a
	}
	return s.Op(op, op, nil, a, b)
}

func (s *speller) reshape(x *ir.Value, dims ...ir.Dim) *ir.Value {
	return s.Op("reshape", "reshape", ir.Attrs{"dims": dims}, x)
}

func (s *speller) transpose(x *ir.Value, perm ...int64) *ir.Value {
	return s.Op("transpose", "transpose", ir.Attrs{"perm": perm}, x)
}

func (s *speller) slice(x *ir.Value, axis, from, to, step int64) *ir.Value {
	return s.Op("slice", "slice", ir.Attrs{"axis": axis, "from": from, "to": to, "step": step}, x)
}

func (s *speller) concat(axis int64, xs ...*ir.Value) *ir.Value {
	return s.Op("concat", "concat", ir.Attrs{"axis": axis}, xs...)
}

func (s *speller) broadcast(x *ir.Value, dims ...ir.Dim) *ir.Value {
	return s.Op("broadcast", "broadcast", ir.Attrs{"dims": dims}, x)
}

func (s *speller) weight(name string, dims ...int64) *ir.Value {
	t := ir.Type{DType: ir.F32}
	for _, d := range dims {
		t.Dims = append(t.Dims, ir.Const(d))
	}
	w := &ir.Weight{Name: name, Type: t, Layout: ir.RowMajor}
	s.m.Weights = append(s.m.Weights, w)
	return s.F.WeightValue(w)
}

func (s *speller) layer() {
	width := s.heads * s.d
	x := s.Param("x", ir.TensorOf(ir.F32, s.b, s.seq, ir.Const(width)))
	table := ir.TensorOf(ir.F32, s.seq, ir.Const(s.half))
	cos, sin := s.Param("cos", table), s.Param("sin", table)

	n := s.norm(x, s.weight("attention_norm", width))
	q := s.linear(n, s.weight("wq", width, width))
	k := s.linear(n, s.weight("wk", s.kvHeads*s.d, width))
	v := s.linear(n, s.weight("wv", s.kvHeads*s.d, width))
	o := s.attention(q, k, v, cos, sin)
	r := s.bin("add", x, s.linear(o, s.weight("wo", width, width)))
	n = s.norm(r, s.weight("ffn_norm", width))
	g := s.linear(n, s.weight("w1", 5, width))
	u := s.linear(n, s.weight("w3", 5, width))
	out := s.bin("add", r, s.linear(s.gate(g, u), s.weight("w2", width, 5)))
	s.Flush()
	s.F.Results = []*ir.Value{out}
}

func (s *speller) linear(x, w *ir.Value) *ir.Value {
	switch s.choose("linear", 4) {
	case 0:
		return s.Op("matmul", "y", nil, x, s.transpose(w, 1, 0))
	case 1:
		return s.Op("matmul", "y", ir.Attrs{"trans_b": true}, x, w)
	}
	return s.Op("linear", "y", nil, x, w)
}

func (s *speller) square(x *ir.Value) *ir.Value {
	switch s.choose("square", 3) {
	case 0:
		return s.bin("mul", x, x)
	case 1:
		return s.Op("pow", "pow", nil, x, s.num(2))
	}
	return s.un("square", x)
}

// product multiplies in any order and association.
func (s *speller) product(xs ...*ir.Value) *ir.Value {
	xs = slices.Clone(xs)
	for len(xs) > 1 {
		i := s.choose("factor", len(xs))
		a := xs[i]
		xs = slices.Delete(xs, i, i+1)
		j := s.choose("factor", len(xs))
		xs[j] = s.bin("mul", a, xs[j])
	}
	return xs[0]
}

func (s *speller) norm(x, w *ir.Value) *ir.Value {
	t := x.Type
	last := int64(t.Rank() - 1)
	width := float64(t.Last().N)
	keep := s.coin("keep the axis")
	axes := ir.Attrs{"axes": []int64{last}, "keep": keep}
	sq := s.square(x)
	var ms *ir.Value
	switch s.choose("mean", 3) {
	case 0:
		ms = s.bin("mul", s.Op("reduce_sum", "sum", axes, sq), s.num(1/width))
	case 1:
		ms = s.Op("div", "mean", nil, s.Op("reduce_sum", "sum", axes, sq), s.num(width))
	default:
		ms = s.Op("reduce_mean", "mean", axes, sq)
	}
	column := append(slices.Clone(t.Dims[:last]), ir.Const(1))
	shape := func(v *ir.Value, here bool) *ir.Value {
		if here && v.Type.Rank() < t.Rank() {
			return s.reshape(v, column...)
		}
		return v
	}
	early := s.coin("reshape early")
	mse := s.bin("add", shape(ms, early), s.num(1e-5))
	if s.coin("shape the gain") {
		w = s.reshape(w, ir.Const(1), ir.Const(1), t.Last())
	}
	switch s.choose("root", 5) {
	case 0:
		root := shape(s.un("sqrt", mse), true)
		if s.coin("gain first") {
			return s.Op("div", "norm", nil, s.bin("mul", x, w), root)
		}
		return s.bin("mul", s.Op("div", "hat", nil, x, root), w)
	case 1:
		return s.product(x, w, shape(s.Op("div", "r", nil, s.num(1), s.un("sqrt", mse)), true))
	case 2:
		return s.product(x, w, shape(s.un("reciprocal", s.un("sqrt", mse)), true))
	case 3:
		return s.product(x, w, shape(s.Op("pow", "r", nil, mse, s.num(-0.5)), true))
	}
	return s.product(x, w, shape(s.un("rsqrt", mse), true))
}

func (s *speller) gate(g, u *ir.Value) *ir.Value {
	onePlus := func() *ir.Value {
		minus := s.un("neg", g)
		if s.coin("minus one") {
			minus = s.bin("mul", g, s.num(-1))
		}
		return s.bin("add", s.un("exp", minus), s.num(1))
	}
	switch s.choose("silu", 5) {
	case 0:
		return s.product(g, u, s.un("sigmoid", g))
	case 1:
		return s.bin("mul", u, s.Op("div", "silu", nil, g, onePlus()))
	case 2:
		return s.product(g, u, s.un("reciprocal", onePlus()))
	case 3:
		return s.Op("div", "gated", nil, s.bin("mul", g, u), onePlus())
	}
	return s.bin("mul", s.un("silu", g), u)
}

// scaled multiplies by c, or divides by its inverse.
func (s *speller) scaled(x *ir.Value, c float64) *ir.Value {
	if s.coin("divide") {
		return s.Op("div", "scaled", nil, x, s.num(1/c))
	}
	return s.bin("mul", x, s.num(c))
}

// tableFor gives a table the rank it needs beside [B, H, T, d] (seq 2) or
// [B, T, H, d] (seq 1), and a column axis behind if col.
func (s *speller) tableFor(v *ir.Value, seq int, col bool) *ir.Value {
	dims := []ir.Dim{s.seq}
	if seq == 1 {
		dims = append(dims, ir.Const(1))
	}
	dims = append(dims, v.Type.Last())
	if col {
		dims = append(dims, ir.Const(1))
	}
	if s.coin("leading ones") {
		for len(dims) < 4 {
			dims = append([]ir.Dim{ir.Const(1)}, dims...)
		}
	}
	if slices.Equal(dims, v.Type.Dims) {
		return v
	}
	return s.reshape(v, dims...)
}

func (s *speller) rope(x, cos, sin *ir.Value, seq int, layout int) *ir.Value {
	dims := x.Type.Dims
	heads := dims[:3]
	with := func(tail ...int64) []ir.Dim {
		out := slices.Clone(heads)
		for _, n := range tail {
			out = append(out, ir.Const(n))
		}
		return out
	}
	h, d := s.half, s.d
	interleaved := layout == 0
	col := false // parts keep a column axis behind
	var a, b *ir.Value
	switch {
	case interleaved && s.coin("strides"):
		a, b = s.slice(x, 3, 0, d, 2), s.slice(x, 3, 1, d, 2)
	case interleaved:
		p := s.reshape(x, with(h, 2)...)
		a, b = s.slice(p, 4, 0, 1, 1), s.slice(p, 4, 1, 2, 1)
		if col = s.coin("keep columns"); !col {
			a, b = s.reshape(a, with(h)...), s.reshape(b, with(h)...)
		}
	case s.coin("contiguous"):
		a, b = s.slice(x, 3, 0, h, 1), s.slice(x, 3, h, d, 1)
	default:
		p := s.reshape(x, with(2, h)...)
		a, b = s.reshape(s.slice(p, 3, 0, 1, 1), with(h)...), s.reshape(s.slice(p, 3, 1, 2, 1), with(h)...)
	}
	join := func(u, v *ir.Value) *ir.Value {
		switch {
		case interleaved && col:
			return s.reshape(s.concat(4, u, v), dims...)
		case interleaved:
			return s.reshape(s.concat(4, s.reshape(u, with(h, 1)...), s.reshape(v, with(h, 1)...)), dims...)
		case s.coin("join halves by a reshape"):
			return s.reshape(s.concat(3, s.reshape(u, with(1, h)...), s.reshape(v, with(1, h)...)), dims...)
		}
		return s.concat(3, u, v)
	}
	if s.coin("rotate") { // x·cos + rotate(x)·sin
		full := func(t *ir.Value) *ir.Value {
			switch {
			case !interleaved:
				t = s.concat(1, t, t)
			case s.coin("broadcast pairs"):
				t = s.broadcast(s.reshape(t, s.seq, ir.Const(h), ir.Const(1)), s.seq, ir.Const(h), ir.Const(2))
				t = s.reshape(t, s.seq, ir.Const(d))
			default:
				c := s.reshape(t, s.seq, ir.Const(h), ir.Const(1))
				t = s.reshape(s.concat(2, c, c), s.seq, ir.Const(d))
			}
			return s.tableFor(t, seq, false)
		}
		return s.bin("add", s.bin("mul", x, full(cos)), s.bin("mul", join(s.un("neg", b), a), full(sin)))
	}
	c, n := s.tableFor(cos, seq, col), s.tableFor(sin, seq, col)
	var y0 *ir.Value
	if s.coin("negate") {
		y0 = s.bin("add", s.un("neg", s.bin("mul", b, n)), s.bin("mul", a, c))
	} else {
		y0 = s.Op("sub", "y0", nil, s.bin("mul", a, c), s.bin("mul", b, n))
	}
	return join(y0, s.bin("add", s.bin("mul", a, n), s.bin("mul", b, c)))
}

// repeatHeads repeats each KV head along axis.
func (s *speller) repeatHeads(x *ir.Value, axis int) *ir.Value {
	group := s.heads / s.kvHeads
	if group == 1 {
		return x
	}
	dims := x.Type.Dims
	full := slices.Clone(dims)
	full[axis] = ir.Const(s.heads)
	at := func(n int64) []ir.Dim { return slices.Insert(slices.Clone(dims), axis+1, ir.Const(n)) }
	switch s.choose("repeat", 4) {
	case 0: // concatenate copies along a new axis
		one := s.reshape(x, at(1)...)
		return s.reshape(s.concat(int64(axis+1), slices.Repeat([]*ir.Value{one}, int(group))...), full...)
	case 1: // concatenate heads
		var heads []*ir.Value
		for i := range s.kvHeads {
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
		rows := s.reshape(front, ir.Const(s.kvHeads), ir.Const(s.d).Mul(s.b).Mul(s.seq))
		var ids []float64
		for i := range s.heads {
			ids = append(ids, float64(i/group))
		}
		g := s.Op("gather", "gather", nil, rows, s.Op("const", "ids", ir.Attrs{"values": ids, "shape": []int64{s.heads}, "dtype": "i32"}))
		front = s.reshape(g, append([]ir.Dim{ir.Const(s.heads)}, front.Type.Dims[1:]...)...)
		return s.transpose(front, ir.InversePerm(perm)...)
	}
	return s.reshape(s.broadcast(s.reshape(x, at(1)...), at(group)...), full...)
}

func (s *speller) attention(q, k, v, cos, sin *ir.Value) *ir.Value {
	scale := 1 / math.Sqrt(float64(s.d))
	where := s.choose("scale", 6) // 0 early on q, 1 late on q, 2 on k, 3 on both, else on the scores
	if s.coin("biases") {
		s.biases = 3
		q = s.bin("add", q, s.weight("bq", s.heads*s.d))
		k = s.bin("add", k, s.weight("bk", s.kvHeads*s.d))
		v = s.bin("add", v, s.weight("bv", s.kvHeads*s.d))
	}
	if where == 0 {
		q = s.scaled(q, scale)
	}
	layout := s.choose("layout", 2)
	first := s.coin("rotate before the transpose")
	early := s.coin("repeat before the transpose")
	split := func(x *ir.Value, heads int64, turn bool) *ir.Value {
		x = s.reshape(x, s.b, s.seq, ir.Const(heads), ir.Const(s.d))
		if turn && first {
			x = s.rope(x, cos, sin, 1, layout)
		}
		if heads != s.heads && early {
			x = s.repeatHeads(x, 2)
		}
		x = s.transpose(x, 0, 2, 1, 3)
		if turn && !first {
			x = s.rope(x, cos, sin, 2, layout)
		}
		if heads != s.heads && !early {
			x = s.repeatHeads(x, 1)
		}
		return x
	}
	q, k, v = split(q, s.heads, true), split(k, s.kvHeads, true), split(v, s.kvHeads, false)
	switch where {
	case 1:
		q = s.scaled(q, scale)
	case 2:
		k = s.scaled(k, scale)
	case 3:
		q, k = s.scaled(q, math.Sqrt(scale)), s.scaled(k, math.Sqrt(scale))
	}
	merged := s.coin("merge batch and heads")
	if merged {
		for _, x := range []**ir.Value{&q, &k, &v} {
			*x = s.reshape(*x, s.b.Mul(ir.Const(s.heads)), s.seq, ir.Const(s.d))
		}
	}
	rank := q.Type.Rank()
	var scores *ir.Value
	if s.coin("transpose k") {
		perm := []int64{0, 1, 2, 3}[:rank]
		perm = slices.Clone(perm)
		perm[rank-1], perm[rank-2] = perm[rank-2], perm[rank-1]
		scores = s.Op("matmul", "scores", nil, q, s.transpose(k, perm...))
	} else {
		scores = s.Op("matmul", "scores", ir.Attrs{"trans_b": true}, q, k)
	}
	split4 := merged && s.coin("split heads for the mask")
	if split4 {
		scores = s.reshape(scores, s.b, ir.Const(s.heads), s.seq, s.seq)
	}
	late := s.coin("scale behind the mask")
	if where > 3 && !late {
		scores = s.scaled(scores, scale)
	}
	scores = s.masked(scores)
	if where > 3 && late {
		scores = s.scaled(scores, scale)
	}
	if s.coin("clamp") {
		scores = s.bin("max", scores, s.num(-3.4028234663852886e+38))
	}
	p := s.softmax(scores)
	if split4 {
		p = s.reshape(p, s.b.Mul(ir.Const(s.heads)), s.seq, s.seq)
	}
	o := s.Op("matmul", "mixed", nil, p, v)
	if merged {
		o = s.reshape(o, s.b, ir.Const(s.heads), s.seq, ir.Const(s.d))
	}
	return s.reshape(s.transpose(o, 0, 2, 1, 3), s.b, s.seq, ir.Const(s.heads*s.d))
}

func (s *speller) softmax(x *ir.Value) *ir.Value {
	if s.coin("whole softmax") {
		return s.un("softmax", x)
	}
	last := ir.Attrs{"axes": []int64{int64(x.Type.Rank() - 1)}, "keep": true}
	e := s.un("exp", s.Op("sub", "shift", nil, x, s.Op("reduce_max", "top", last, x)))
	sum := s.Op("reduce_sum", "sum", last, e)
	if s.coin("reciprocal of the sum") {
		return s.bin("mul", e, s.un("reciprocal", sum))
	}
	return s.Op("div", "p", nil, e, sum)
}

// sees gives the truth of col <= row, and with a window of col > row - window.
func (s *speller) compare(name string, row, col *ir.Value, orEqual bool) *ir.Value {
	op := "less"
	if orEqual {
		op += "_equal"
	}
	if s.coin("turn the comparison") {
		return s.Op(strings.Replace(op, "less", "greater", 1), name, nil, row, col)
	}
	return s.Op(op, name, nil, col, row)
}

func (s *speller) masked(scores *ir.Value) *ir.Value {
	low := []float64{math.Inf(-1), -1e9, -3.4028234663852886e+38}[s.choose("low", 3)]
	if s.seq.IsConst() && s.coin("constant mask") {
		return s.bin("add", scores, s.constantMask(low, scores.Type.Rank()-2))
	}
	index := func(axis int64) *ir.Value {
		dims := []ir.Dim{ir.Const(1), ir.Const(1)}
		dims[axis] = s.seq
		if s.seq.IsConst() && s.coin("constant index") {
			var x []float64
			shape := []int64{1, 1}
			shape[axis] = s.seq.N
			for i := range s.seq.N {
				x = append(x, float64(i))
			}
			return s.Op("const", "index", ir.Attrs{"values": x, "shape": shape, "dtype": "i32"})
		}
		switch s.choose("index", 3) {
		case 0:
			return s.Op("iota", "index", ir.Attrs{"dims": []ir.Dim{s.seq, s.seq}, "axis": axis})
		case 1:
			return s.reshape(s.Op("iota", "index", ir.Attrs{"dims": []ir.Dim{s.seq}}), dims...)
		}
		return s.Op("iota", "index", ir.Attrs{"dims": dims, "axis": axis})
	}
	integer := func(n int64) *ir.Value { return s.Scalar("n", ir.I32, float64(n)) }
	row, col := index(0), index(1)
	seen := s.compare("seen", row, col, true) // col <= row
	if s.coin("next") {
		seen = s.compare("seen", s.bin("add", row, integer(1)), col, false) // col < row+1
	}
	hide := func(x, seen *ir.Value) *ir.Value {
		if s.coin("add the mask") {
			return s.bin("add", x, s.Op("where", "mask", nil, seen, s.num(0), s.num(low)))
		}
		return s.Op("where", "masked", nil, seen, x, s.num(low))
	}
	switch {
	case s.window == 0 && s.coin("hide the future"):
		future := s.compare("future", col, row, false) // row < col
		if s.coin("put") {
			return s.Op("where", "masked", nil, future, s.num(low), scores)
		}
		// 0 · -inf is not a number, so this spelling needs a finite one
		return s.bin("add", scores, s.bin("mul", s.Op("cast", "future", ir.Attrs{"dtype": "f32"}, future), s.num(-1e9)))
	case s.window > 0:
		near := s.compare("near", col, s.Op("sub", "first", nil, row, integer(s.window)), false) // first < col
		return hide(hide(scores, seen), near)
	}
	return hide(scores, seen)
}

func (s *speller) constantMask(low float64, lead int) *ir.Value {
	n := s.seq.N
	size := n
	if s.coin("larger mask") {
		size += 2
	}
	var x []float64
	for i := range size {
		for j := range size {
			if j > i || s.window > 0 && j <= i-s.window {
				x = append(x, low)
			} else {
				x = append(x, 0)
			}
		}
	}
	shape := append(slices.Repeat([]int64{1}, s.choose("leading ones", lead+1)), size, size)
	m := s.Op("const", "mask", ir.Attrs{"values": x, "shape": shape})
	if size > n {
		last := int64(len(shape) - 1)
		m = s.slice(s.slice(m, last-1, 0, n, 1), last, 0, n, 1)
	}
	return m
}
