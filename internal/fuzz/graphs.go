package fuzz

import (
	"fmt"
	"slices"

	"github.com/llamac/llamac/internal/spelling"
	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/passes"
)

// Graph makes a case of a random graph of primitive ops: an embedding, ops
// around a stack of layers or none, and a loss.
// It knows nothing of kinds of nodes: any well-typed graph may come from an exporter,
// and passes must leave alone what they do not recognise.
func Graph(c *Choices) *Case {
	// Widths are even, so that halves exist.
	g := &graph{Choices: c, m: &ir.Module{Name: "random"}, vocab: int64(c.Between(3, 7)), width: int64(2 * c.Between(1, 4))}
	k := &Case{Train: g.m, B: c.Between(1, 3), T: c.Between(1, 5), Vocab: int(g.vocab), Seed: uint64(c.N(1 << 16)), Extra: c.Rare(8)}
	g.dims(k)
	g.main()
	if c.Rare(4) {
		for _, p := range passes.Train {
			// Any subset of the optional passes is a compiler that must be right.
			if !p.Required && c.Rare(3) {
				k.Disable = append(k.Disable, p.Name)
			}
		}
	}
	return k
}

// graph builds the functions of a module.
// The choices are drawn in the order of building, so the draw decides all.
type graph struct {
	*Choices
	m     *ir.Module
	vocab int64
	width int64 // of the residual stream
	b, t  ir.Dim

	main_ *scope
	fns   int
}

// scope is one function that is being built.
// The pool holds values that later ops may read; a layer's knows nothing of main's.
type scope struct {
	*graph
	*ir.Builder
	stack      *ir.Stack // of a layer, else nil
	pool       []*ir.Value
	made       map[string]*ir.Value // invariants by what they are
	invariants []*ir.Value          // in the main function, of a layer's parameters
	ids        *ir.Value            // tokens
	sealed     bool                 // a later segment's layer, which takes what the first one does
}

// dims declares the batch and the length as symbols or numbers.
// Numbers in the place of symbols are what an exporter with fixed shapes writes. The
// bound of 64 is above what cases use.
func (g *graph) dims(k *Case) {
	g.b, g.t = ir.Sym("B"), ir.Sym("T")
	if g.Rare(6) {
		g.b = ir.Const(int64(k.B))
	} else {
		g.m.Dims = append(g.m.Dims, ir.DimDecl{Name: "B", Min: 1, Max: 64})
	}
	if g.Rare(6) {
		g.t = ir.Const(int64(k.T))
	} else {
		g.m.Dims = append(g.m.Dims, ir.DimDecl{Name: "T", Min: 1, Max: 64})
	}
}

func (g *graph) scope(f *ir.Func, stack *ir.Stack) *scope {
	g.m.Funcs = append(g.m.Funcs, f)
	return &scope{graph: g, Builder: ir.NewBuilder(f), stack: stack, made: map[string]*ir.Value{}}
}

// main builds @loss.
// It draws what stands before, between and behind; most models have one stack, which is
// what plans hold.
func (g *graph) main() {
	// The name that differentiate looks for.
	s := g.scope(&ir.Func{Name: "loss", Role: ir.RoleMain}, nil)
	g.main_ = s
	ids := ir.TensorOf(ir.I32, g.b, g.t)
	s.ids = s.Param("tokens", ids)
	targets := s.Param("targets", ids)
	// Not in the pool: weights are read where a piece asks for one.
	emb := s.weight("embedding", g.vocab, g.width)
	h := s.Op("gather", "h", nil, emb, s.ids)
	s.pool = append(s.pool, h)
	// What stands in front of the layers is part of main's backward.
	if g.Rare(3) {
		h = s.steps(h, g.N(4))
	}
	stacks := 1
	switch g.N(60) {
	case 57, 58:
		stacks = 0
	// One in sixty, enough to see that the refusal comes and no panic.
	case 59:
		stacks = 2 // which plans refuse
	}
	for range stacks {
		h = s.layers(h)
		s.pool = append(s.pool, h)
	}
	if g.Coin() {
		h = s.steps(h, g.N(4))
	}
	s.F.Results = []*ir.Value{s.loss(h, emb, targets)}
	s.Flush()
}

// layers builds a stack over x and the node that runs it.
// Segments are layers with another body under the same stack, as checkpoint: auto makes
// them.
func (s *scope) layers(x *ir.Value) *ir.Value {
	g := s.graph
	layers := g.Between(1, 3)
	stack := &ir.Stack{Name: fmt.Sprintf("layers%d", len(g.m.Stacks))}
	g.m.Stacks = append(g.m.Stacks, stack)
	cut := layers
	if layers > 1 && g.Rare(40) {
		cut = 1 // two segments, which plans refuse
	}
	var made map[string]*ir.Value
	var params, invariants []*ir.Value
	for from := 0; from < layers; from = cut {
		to := cut
		if from > 0 {
			to, cut = layers, layers
		}
		// Numbered through the module, since names are unique in it.
		f := &ir.Func{Name: fmt.Sprintf("layer%d", g.fns), Role: ir.RoleLayer}
		g.fns++
		// A stand-in with the final number of layers, for weights to be declared by; the
		// real stack grows as segments are built.
		l := g.scope(f, &ir.Stack{Name: stack.Name, Segments: []ir.Segment{{From: 0, To: layers}}})
		in := l.Param("x", x.Type)
		l.pool = append(l.pool, in)
		for i, p := range params { // of an earlier segment: the same for both
			q := l.Param(p.Name, p.Type)
			for key, v := range made {
				if v == p {
					l.made[key] = q
				}
			}
			l.invariants = append(l.invariants, invariants[i])
			l.pool = append(l.pool, q)
		}
		// The stack's node has one list of operands for all segments.
		l.sealed = from > 0
		// The result has x's type, so that layers can follow each other.
		out := l.steps(in, 1+g.N(12))
		l.Flush()
		l.F.Results = []*ir.Value{out}
		stack.Segments = append(stack.Segments, ir.Segment{From: from, To: to, Forward: f})
		made, params, invariants = l.made, f.Params[1:], l.invariants
	}
	return s.Op("stack", "y", ir.Attrs{"name": stack.Name}, append([]*ir.Value{x}, invariants...)...)
}

// weight declares a weight of the function that is being built.
// Its name ends in its number, so that no two are alike.
func (s *scope) weight(name string, dims ...int64) *ir.Value {
	t := ir.Type{DType: ir.F32}
	for _, d := range dims {
		t.Dims = append(t.Dims, ir.Const(d))
	}
	w := &ir.Weight{Name: fmt.Sprintf("%s.%d", name, len(s.m.Weights)), Type: t, Layout: ir.RowMajor, Decay: len(dims) > 1}
	if s.stack != nil {
		w.Stack, w.Layers = s.stack.Name, s.stack.Layers()
	}
	s.m.Weights = append(s.m.Weights, w)
	return s.F.WeightValue(w)
}

// weightLike finds a weight of a shape to use once more, or declares one.
// Two readers of one weight have gradients that add up, and must not be packed as if
// they were two.
func (s *scope) weightLike(name string, dims ...int64) *ir.Value {
	if s.Rare(6) {
		stack := ""
		if s.stack != nil {
			stack = s.stack.Name
		}
		for _, w := range s.m.Weights {
			// The first that fits: the most readers then share one weight.
			if w.Stack == stack && slices.EqualFunc(w.Type.Dims, dims, func(d ir.Dim, n int64) bool { return d.Is(n) }) {
				return s.F.WeightValue(w)
			}
		}
	}
	return s.weight(name, dims...)
}

// invariant gives a value that the main function makes once: itself there, a
// parameter in a layer.
// A second segment takes what the first one asked for, and gets nil otherwise.
func (s *scope) invariant(key string, make func(m *scope) *ir.Value) *ir.Value {
	if v := s.made[key]; v != nil {
		return v
	}
	if s.stack == nil {
		s.made[key] = make(s)
		return s.made[key]
	}
	if s.sealed {
		return nil
	}
	v := s.main_.invariant(key, make)
	p := s.Param(key, v.Type)
	s.made[key] = p
	s.invariants = append(s.invariants, v)
	return p
}

// loss ends the main function.
// Most end in a linear layer and cross-entropy, in the spellings that fuse_linear_xent
// takes or must not: a bias between, flattened rows, logits with a second reader, two
// losses, the embedding as output layer.
func (s *scope) loss(h, emb, targets *ir.Value) *ir.Value {
	kind := s.N(10)
	if kind == 9 { // no cross-entropy at all
		return s.mean(s.Op("square", "sq", nil, h))
	}
	w := emb
	if kind < 6 {
		w = s.weight("output", s.vocab, s.width)
	}
	if kind == 5 {
		h = s.Reshape("rows", h, s.b.Mul(s.t), h.Type.Last())
		targets = s.Reshape("flat", targets, s.b.Mul(s.t))
	}
	// In one of three spellings.
	logits := s.speller().Linear(h, w)
	if kind == 4 {
		logits = s.Op("add", "biased", nil, logits, s.weight("bias", s.vocab))
	}
	loss := s.Op("cross_entropy", "loss", nil, logits, targets)
	switch {
	case kind == 2:
		other := s.speller().Linear(s.Op("tanh", "bounded", nil, h), s.weightLike("output", s.vocab, s.width))
		return s.Op("add", "total", nil, loss, s.Op("cross_entropy", "second", nil, other, targets))
	case kind == 3:
		return s.Op("add", "total", nil, loss, s.mean(s.Op("tanh", "bounded", nil, logits)))
	// Any value of main may be regularised, and so need a gradient of its own.
	case s.Rare(8):
		return s.Op("add", "total", nil, loss, s.mean(s.Op("square", "sq", nil, s.pick(isFloat))))
	}
	return loss
}

// mean is the mean of all elements.
// A loss is a scalar.
func (s *scope) mean(x *ir.Value) *ir.Value {
	if x.Type.Rank() == 0 {
		return x
	}
	var axes []int64
	for i := range x.Type.Rank() {
		axes = append(axes, int64(i))
	}
	return s.Op("reduce_mean", "mean", ir.Attrs{"axes": axes}, x)
}

// speller spells pieces of layers in this function.
// Its choices are drawn from the same list, so they shrink as well; what a choice is for
// does not matter here. A new one each time: its sizes of heads are set by the caller.
func (s *scope) speller() *spelling.Speller {
	return &spelling.Speller{Builder: s.Builder, Choose: func(_ string, n int) int { return s.N(n) }, NewWeight: s.weight, B: s.b, T: s.t}
}

// steps appends n random ops that start from x, and makes a value of x's type
// of what came out.
// The values that fit are joined at random; without one x itself is squashed, so that
// the function always has a node.
func (s *scope) steps(x *ir.Value, n int) *ir.Value {
	for range n {
		s.step(x)
	}
	var fit []*ir.Value
	// Up to three of what was made end up in the result; the rest is dead, which
	// passes must notice.
	for range 1 + s.N(3) {
		v := s.pick(func(v *ir.Value) bool { return isFloat(v) && v != x })
		if v == nil {
			break
		}
		if v = s.fit(v, x.Type); v != nil {
			fit = append(fit, v)
		}
	}
	if len(fit) == 0 {
		fit = append(fit, s.Op("tanh", "squashed", nil, x))
	}
	out := fit[0]
	for _, v := range fit[1:] {
		out = s.Op([]string{"add", "sub", "mul"}[s.N(3)], "joined", nil, out, v)
	}
	// Mostly a residual connection: deep stacks of random functions die out
	// without one.
	if s.N(5) > 0 || len(s.pool) == 1 {
		out = s.Op("add", "out", nil, x, out)
	}
	s.pool = append(s.pool, out)
	return out
}

// fit makes a value of type t out of v, or nil if it cannot.
// In this order: as it is, by a projection of the last axis, under another shape with
// as many elements, by repetition.
func (s *scope) fit(v *ir.Value, t ir.Type) *ir.Value {
	switch d := v.Type.Dims; {
	case v.Type.Equal(t):
		return v
	case len(d) == len(t.Dims) && slices.Equal(d[:len(d)-1], t.Dims[:len(d)-1]) && d[len(d)-1].IsConst() && !d[len(d)-1].Is(1):
		return s.speller().Linear(v, s.weightLike("fit", t.Last().N, d[len(d)-1].N))
	case v.Type.Size() == t.Size():
		return s.Reshape("fit", v, t.Dims...)
	}
	// What cannot be repeated to t is left out.
	if n, err := s.TryOp("broadcast", "fit", ir.Attrs{"dims": t.Dims}, v); err == nil {
		return n.Results[0]
	}
	return nil
}

// pick chooses a value of the pool that ok takes; nil if none fits. The decision 0 is
// the latest. Half of the time it takes the older of two, so that values from far back
// find readers too and long lives occur.
func (s *scope) pick(ok func(*ir.Value) bool) *ir.Value {
	var fit []*ir.Value
	for _, v := range s.pool {
		if ok(v) {
			fit = append(fit, v)
		}
	}
	if len(fit) == 0 {
		return nil
	}
	i := s.N(len(fit))
	if s.Coin() {
		i = max(i, s.N(len(fit)))
	}
	return fit[len(fit)-1-i]
}

// Bools and indices are picked only by what takes them.
func isFloat(v *ir.Value) bool { return v.Type.DType == ir.F32 }
func isBool(v *ir.Value) bool  { return v.Type.DType == ir.Bool }

// has reports whether a float value has at least r axes.
func has(r int) func(*ir.Value) bool {
	return func(v *ir.Value) bool { return isFloat(v) && v.Type.Rank() >= r }
}

// constLast reports whether a float value's last axis is a number above 1.
func constLast(v *ir.Value) bool {
	return has(2)(v) && v.Type.Last().IsConst() && v.Type.Last().N > 1
}
