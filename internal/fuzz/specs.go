package fuzz

import (
	"fmt"

	"github.com/llamac/llamac/internal/diag"
	"github.com/llamac/llamac/ir/build"
	"github.com/llamac/llamac/specs"
)

// Spec makes a case of a random spec: a block of attention, feed-forward
// networks and other nodes in any arrangement, with the decoder's capacities.
// The spec is a value and never a text: what a person can write wrongly is tested in
// package specs. Here every draw is a valid model, so a refusal would be a bug, and
// panics.
func Spec(c *Choices) *Case {
	w := &writer{Choices: c}
	s := w.spec()
	// The seed is drawn as well, so that shrinking makes it small too.
	k := &Case{B: s.Train.MicroBatch, T: s.Model.Context, Vocab: s.Model.Vocab, Seed: uint64(c.N(1 << 16)), Extra: c.Rare(8)}
	// A few tokens, so that short sequences already need several cache blocks.
	block := int64(c.Between(2, 4))
	k.Capacity = map[string]int64{"N": int64(c.Between(1, 2*k.T)), "R": int64(c.Between(1, 4)), "S": int64(c.Between(1, 3)),
		"M": (int64(k.T) + block - 1) / block, "block": block}
	// Only what inference can do without as well.
	if c.Rare(8) {
		k.Disable = append(k.Disable, []string{"fuse_rope", "fuse_qkv", "fuse_rmsnorm", "fuse_add_rmsnorm", "fuse_swiglu", "cleanup"}[c.N(6)])
	}
	if c.Rare(3) {
		s.Data.Boundary = "mask" // attention stops at documents
	}
	var err error
	if k.Train, err = build.Train(s); err != nil && s.Data.Boundary == "mask" {
		s.Data.Boundary = "" // there is no attention
		k.Train, err = build.Train(s)
	}
	if err != nil {
		panic(err)
	}
	if k.Infer, err = build.Infer(s); err != nil {
		panic(err)
	}
	return k
}

// writer writes the nodes of a spec.
// It draws a kind, writes its nodes, and remembers what later ones could read.
type writer struct {
	*Choices
	m       *specs.Model
	nodes   *[]specs.Node
	pool    []value // of the list that is being written
	names   int
	weights int
}

// value is a node's result: rows [B, T, width], or heads [B, heads, T, width].
// Scores have no value: see scores.
type value struct {
	name         string
	heads, width int // heads 0 for rows
}

// spec draws the sizes, which are all small: bugs of shapes show at 1, 2 and 3, and the
// interpreter takes time in proportion. The order of draws is part of the format:
// changing it changes what each seed means.
func (w *writer) spec() *specs.Spec {
	s := &specs.Spec{Name: "random", File: "random.jsonnet", Pos: func(string) diag.Pos { return diag.Pos{} }}
	w.m = &s.Model
	m := w.m
	m.Dim = 2 * w.Between(1, 4)
	m.Layers = w.Between(1, 3)
	m.Vocab = w.Between(3, 7)
	m.Context = w.Between(1, 6)
	// Weights are drawn by the reference, so this only has to be valid.
	m.InitStd = 0.02
	// A small theta turns the second pair noticeably within few positions.
	m.Rope = specs.Rope{Theta: 100, Layout: []string{"interleaved", "half"}[w.N(2)], Scaling: specs.RopeScaling{Kind: "none"}}
	switch w.N(6) {
	case 4:
		m.Rope.Scaling = specs.RopeScaling{Kind: "linear", Factor: 2}
	// An original context of 8 puts wavelengths on both sides of the blend.
	case 5:
		m.Rope.Scaling = specs.RopeScaling{Kind: "llama3", Factor: 4, LowFreqFactor: 1, HighFreqFactor: 4, OriginalContext: 8}
	}
	s.Train.MicroBatch = w.Between(1, 3)
	w.list(&m.Block, value{name: "x", width: m.Dim}, func(x value) value {
		for range w.Between(1, 3) {
			x = w.piece(x)
		}
		// A block must have a node.
		if x.name == "x" {
			x = w.node("tanh", x)
		}
		return x
	})
	w.list(&m.Network, value{name: "tokens"}, func(x value) value {
		// Tokens are ids, which no other node takes.
		w.pool = nil
		table := w.weight()
		h := w.with(specs.Node{Kind: "embedding", Weight: table, Out: m.Dim}, m.Dim, x)
		switch w.N(8) {
		case 6:
			h = w.feedForward(w.norm(h))
		case 7:
			h = w.elementwise(h)
		}
		h = w.with(specs.Node{Kind: "repeat", Layers: m.Layers, Body: m.Block}, m.Dim, h)
		if w.Coin() {
			h = w.norm(h)
		}
		if w.Rare(6) {
			h = w.elementwise(h)
		}
		out := specs.Node{Kind: "linear", Weight: w.weight(), Out: m.Vocab}
		// Tied weights: their gradient has two parts.
		if w.Rare(3) {
			out.Weight, m.Tie = table, true
		}
		y := w.with(out, m.Vocab, h)
		if w.Rare(6) { // logits that stay within bounds
			y = w.number("scale", w.node("tanh", w.number("scale", y, 0.5)), 2)
		}
		return y
	})
	return s
}

// list writes a list of nodes; the value that do returns becomes its last.
// A list's last node is its value. If the wanted one was made earlier, a scale by 1
// copies it to the end, which canonicalize takes away again.
// x is what the list may read from outside, the pool's first entry.
func (w *writer) list(to *[]specs.Node, x value, do func(value) value) {
	w.nodes, w.pool = to, []value{x}
	y := do(x)
	// The value is looked for by its name: each node has one of its own.
	if last := (*to)[len(*to)-1].Name; last != y.name {
		w.number("scale", y, 1)
	}
}

func (w *writer) name() string {
	w.names++
	return fmt.Sprintf("n%d", w.names)
}

// Names say nothing, for no pass may go by them.
func (w *writer) weight() string {
	w.weights++
	return fmt.Sprintf("w%d", w.weights)
}

// with appends a node whose result has a width of its own.
// The result goes to the pool with the first input's number of heads, which the few
// kinds that change it correct behind.
func (w *writer) with(n specs.Node, width int, in ...value) value {
	n.Name = w.name()
	for _, v := range in {
		n.Inputs = append(n.Inputs, v.name)
	}
	// Lists are written in order, so inputs stand before their readers.
	*w.nodes = append(*w.nodes, n)
	v := value{n.Name, in[0].heads, width}
	w.pool = append(w.pool, v)
	return v
}

func (w *writer) node(kind string, in ...value) value {
	return w.with(specs.Node{Kind: kind}, in[0].width, in...)
}

func (w *writer) number(kind string, x value, v float64) value {
	return w.with(specs.Node{Kind: kind, Value: v}, x.width, x)
}

// A fifth have a bias.
func (w *writer) linear(x value, out int) value {
	n := specs.Node{Kind: "linear", Weight: w.weight(), Out: out}
	if w.Rare(5) {
		n.Bias = w.weight()
	}
	return w.with(n, out, x)
}

// layer_norm's epsilon is larger: rows of two numbers may have hardly any variance,
// and its inverse would enlarge all rounding.
func (w *writer) norm(x value) value {
	n := specs.Node{Kind: "rms_norm", Weight: w.weight(), Value: []float64{1e-3, 1e-5}[w.N(2)]}
	if w.Rare(5) {
		n.Kind, n.Value = "layer_norm", 1e-2
		if w.Coin() {
			n.Bias = w.weight()
		}
	}
	return w.with(n, x.width, x)
}

// other picks an earlier value of x's shape.
// The draw 0 is the latest; x itself is always among them.
func (w *writer) other(x value) value {
	var fit []value
	for _, v := range w.pool {
		if v.heads == x.heads && v.width == x.width {
			fit = append(fit, v)
		}
	}
	return fit[len(fit)-1-w.N(len(fit))]
}

// piece appends a part of a block that starts from x and ends in its shape.
// It has the ways in which models differ: before or behind a norm, in parallel, with a
// residual connection or one that multiplies, or with none.
func (w *writer) piece(x value) value {
	from := x
	// Two thirds are norms in front, as LLaMA has them.
	if w.N(3) > 0 {
		from = w.norm(x)
	}
	// Or from anywhere before, past what stands between.
	if w.Rare(4) {
		from = w.other(x)
	}
	var y value
	switch w.N(8) {
	case 0:
		y = w.elementwise(from)
	case 1, 2, 3:
		y = w.feedForward(from)
	case 4, 5, 6:
		y = w.attention(from)
	default: // both beside each other
		y = w.node("add", w.attention(from), w.feedForward(from))
	}
	switch w.N(6) {
	case 0:
		return y
	// No residual connection to x, but to something.
	case 1:
		return w.node([]string{"add", "sub", "mul"}[w.N(3)], w.other(y), y)
	}
	return w.node("add", x, y)
}

// elementwise applies functions of single numbers.
// Arguments are kept where the function and its slope are tame: x² + 1/2 under roots
// and as a divisor, tanh before exp.
func (w *writer) elementwise(x value) value {
	for range w.Between(1, 3) {
		// A closure, so that its nodes are written only where they are wanted.
		positive := func() value { return w.number("add_scalar", w.node("square", x), 0.5) }
		switch kind := []string{"tanh", "sigmoid", "silu", "gelu", "gelu_tanh", "relu", "neg", "scale", "add_scalar", "pow", "exp", "sqrt", "rsqrt", "div", "softmax", "square"}[w.N(16)]; kind {
		case "scale":
			x = w.number(kind, x, []float64{0.5, 2, -1, 1, 0.3}[w.N(5)])
		case "add_scalar":
			x = w.number(kind, x, []float64{0.5, 1, 0, -0.25}[w.N(4)])
		case "pow":
			x = w.number(kind, positive(), []float64{2, 0.5, -0.5, -1, 1}[w.N(5)])
		case "exp", "square":
			x = w.node(kind, w.node("tanh", x))
		case "sqrt", "rsqrt":
			x = w.node(kind, positive())
		case "div":
			x = w.node(kind, w.other(x), positive())
		default:
			x = w.node(kind, x)
		}
	}
	return x
}

// feedForward is a network of two layers, with a gate or without.
// Half of them are SwiGLU, which has a fusion; the others are near it.
func (w *writer) feedForward(x value) value {
	// Odd widths too: no tile divides them.
	hidden := w.Between(1, 7)
	act := []string{"silu", "gelu", "relu", "gelu_tanh", "tanh", "sigmoid"}
	g := w.linear(x, hidden)
	switch w.N(4) {
	case 0:
		g = w.node(act[w.N(len(act))], g)
	case 1:
		g = w.node("mul", w.linear(x, hidden), w.node(act[w.N(len(act))], g))
	// SwiGLU, the most likely.
	default:
		g = w.node("mul", w.node("silu", g), w.linear(x, hidden))
	}
	if w.Rare(6) {
		g = w.norm(g)
	}
	return w.linear(g, w.m.Dim)
}

// attention is causal attention with grouped heads.
// The scale stands on the query or on the scores; windows, norms of heads and rotation
// come and go. What fuse_attention does not take has to stay right by itself.
func (w *writer) attention(x value) value {
	kv := w.Between(1, 2)
	group := w.Between(1, 2)
	d := 2 * w.Between(1, 2)
	rotated, normed := w.N(4) > 0, w.Rare(5)
	heads := func(y value, n int, turn bool) value {
		if y = w.with(specs.Node{Kind: "split_heads", Heads: n}, d, y); y.heads == 0 {
			y.heads = n
			w.pool[len(w.pool)-1].heads = n
		}
		if turn && normed {
			y = w.norm(y)
		}
		if turn && rotated {
			y = w.node("rope", y)
		}
		return y
	}
	// v is neither rotated nor normed, as in all models.
	q := heads(w.linear(x, kv*group*d), kv*group, true)
	k := heads(w.linear(x, kv*d), kv, true)
	v := heads(w.linear(x, kv*d), kv, false)
	if group > 1 {
		k = w.repeat(k, group)
		v = w.repeat(v, group)
	}
	scale := 0.5
	// On the query, as some write it.
	early := w.Rare(3)
	if early {
		q = w.number("scale", q, scale)
	}
	s := w.scores("matmul_nt", q, k)
	if !early {
		s = w.scores("scale", s)
		// scores knows no number, so it is put into the node that was written last.
		(*w.nodes)[len(*w.nodes)-1].Value = scale
	}
	if w.Rare(4) {
		s = w.scores("window_mask", s)
		(*w.nodes)[len(*w.nodes)-1].Value = float64(w.Between(1, 4))
	}
	// Always there: without it a token would see what it is to predict, and a decoder
	// could not be made.
	s = w.scores("causal_mask", s)
	s = w.scores("softmax", s)
	o := w.node("matmul", s, v)
	// The product has v's width, not that of the scores before it.
	o.width = d
	w.pool[len(w.pool)-1] = o
	o = w.with(specs.Node{Kind: "merge_heads"}, kv*group*d, o)
	o.heads = 0
	w.pool[len(w.pool)-1] = o
	// No output projection, if the widths agree.
	if w.Rare(6) {
		return o.fit(w)
	}
	return w.linear(o, w.m.Dim)
}

// fit returns heads as they are where they have the width of the stream.
// It is how a block without an output projection stays well typed.
func (v value) fit(w *writer) value {
	if v.width == w.m.Dim {
		return v
	}
	return w.linear(v, w.m.Dim)
}

// Grouped heads, spelled as specs spell them: keys and values are repeated, and
// fuse_attention takes the repetition away.
func (w *writer) repeat(x value, times int) value {
	y := w.with(specs.Node{Kind: "repeat_kv", Heads: times}, x.width, x)
	y.heads = x.heads * times
	w.pool[len(w.pool)-1] = y
	return y
}

// scores appends a node over scores, which nothing else takes.
// Their shape, [B, heads, T, T], is none that value could say.
func (w *writer) scores(kind string, in ...value) value {
	v := w.node(kind, in...)
	w.pool = w.pool[:len(w.pool)-1]
	return v
}
