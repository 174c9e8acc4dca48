package build

import (
	"fmt"
	"math"
	"slices"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/specs"
)

// kind builds one node of a spec from its inputs.
// Names of the nodes in between are the spec's name with a suffix, so that in a
// dump one sees where each primitive came from. What is built is the plainest
// spelling, and the fusions find it again: a spec that spells attention in its own
// way is served as well as a kind that we know.
func (c *builder) kind(n *specs.Node, in []*ir.Value) (v *ir.Value, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(illTyped)
			if !ok {
				panic(r)
			}
			err = e.error
		}
	}()
	switch n.Kind {
	// The table is [vocabulary, width]: a token's row is contiguous.
	case "embedding":
		w := c.weight(n.Weight, c.normal(n), n.Shard, c.spec.Model.Vocab, n.Out)
		return c.op("gather", n.Name, nil, w, in[0]), nil
	case "linear":
		return c.linear(n, in[0]), nil
	case "rms_norm":
		return c.rmsNorm(n, in[0]), nil
	case "layer_norm":
		return c.layerNorm(n, in[0]), nil
	case "split_heads":
		return c.splitHeads(n, in[0]), nil
	case "merge_heads":
		return c.mergeHeads(n, in[0]), nil
	case "repeat_kv":
		return c.repeatKV(n, in[0]), nil
	case "rope":
		return c.rope(n, in[0]), nil
	case "matmul":
		return c.op("matmul", n.Name, nil, in...), nil
	// q kᵀ without a transpose in between, which would be moved memory.
	case "matmul_nt":
		return c.op("matmul", n.Name, ir.Attrs{"trans_b": true}, in...), nil
	// Both are a where with minus infinity, before softmax.
	case "causal_mask", "window_mask":
		return c.mask(n, in[0]), nil
	case "scale":
		return c.op("mul", n.Name, nil, in[0], c.scalar(n.Name+".by", n.Value)), nil
	case "add_scalar":
		return c.op("add", n.Name, nil, in[0], c.scalar(n.Name+".by", n.Value)), nil
	case "pow":
		return c.op("pow", n.Name, nil, in[0], c.scalar(n.Name+".by", n.Value)), nil
	case "gelu":
		return c.gelu(n, in[0]), nil
	case "gelu_tanh":
		return c.geluTanh(n, in[0]), nil
	case "repeat":
		return c.repeat(n, in[0]), nil
	// No elementwise op, but it is spelled alike.
	case "softmax":
		return c.op(n.Kind, n.Name, nil, in...), nil
	}
	// Other arithmetic is the op of the same name.
	// So a new elementwise op needs no line here.
	if op := ir.Lookup(n.Kind); op != nil && op.Elementwise {
		return c.op(n.Kind, n.Name, nil, in...), nil
	}
	return nil, fmt.Errorf("nothing builds this kind of node")
}

// normal is the node's initialisation: its own deviation, or the model's.
func (c *builder) normal(n *specs.Node) ir.Init {
	std := n.Std
	if std == 0 {
		std = c.spec.Model.InitStd
	}
	return ir.Init{Kind: "normal", Std: std}
}

// width is the size of the last axis, which must be a number.
// Heads are cut and weights are sized by it, and neither can wait for a symbol.
func width(x *ir.Value) int {
	d := x.Type.Last()
	if x.Type.Rank() == 0 || !d.IsConst() {
		panic(illTyped{fmt.Errorf("input has type %s, want a last axis of known size", x.Type)})
	}
	return int(d.N)
}

// linear is x wᵀ + b. The weight is [out, in]; a bias is a broadcast addition
// behind it, for no model that we know of needs it fused.
func (c *builder) linear(n *specs.Node, x *ir.Value) *ir.Value {
	w := c.weight(n.Weight, c.normal(n), n.Shard, n.Out, width(x))
	if n.Bias == "" {
		return c.op("linear", n.Name, nil, x, w)
	}
	y := c.op("linear", n.Name+".nobias", nil, x, w)
	return c.op("add", n.Name, nil, y, c.weight(n.Bias, ir.Init{Kind: "zeros"}, "", n.Out))
}

// rmsNorm is x · rsqrt(mean(x²) + eps) · w (Zhang and Sennrich 2019).
// The order of products is that of ir's expansion of rms_norm.
func (c *builder) rmsNorm(n *specs.Node, x *ir.Value) *ir.Value {
	w := c.weight(n.Weight, ir.Init{Kind: "ones"}, "", width(x))
	sq := c.op("square", n.Name+".sq", nil, x)
	return c.op("mul", n.Name, nil, c.op("mul", n.Name+".hat", nil, x, c.rsqrtMean(n, sq)), w)
}

// rsqrtMean is 1 / sqrt(mean(x) + eps) along the last axis, kept with size 1.
func (c *builder) rsqrtMean(n *specs.Node, x *ir.Value) *ir.Value {
	mean := c.op("reduce_mean", n.Name+".ms", c.lastAxis(x), x)
	return c.op("rsqrt", n.Name+".r", nil, c.op("add", n.Name+".mse", nil, mean, c.scalar(n.Name+".eps", n.Value)))
}

// lastAxis reduces along a row and keeps the axis, to broadcast back.
func (c *builder) lastAxis(x *ir.Value) ir.Attrs {
	return ir.Attrs{"axes": []int64{int64(x.Type.Rank() - 1)}, "keep": true}
}

// layerNorm is (x - mean) / sqrt(var + eps) · w + b (Ba et al. 2016).
// The variance is that of the population, over d and not d - 1. If there is no
// bias the last product is the result under another name.
func (c *builder) layerNorm(n *specs.Node, x *ir.Value) *ir.Value {
	d := width(x)
	w := c.weight(n.Weight, ir.Init{Kind: "ones"}, "", d)
	mean := c.op("reduce_mean", n.Name+".mean", c.lastAxis(x), x)
	centred := c.op("sub", n.Name+".c", nil, x, mean)
	r := c.rsqrtMean(n, c.op("square", n.Name+".sq", nil, centred))
	y := c.op("mul", n.Name+".scaled", nil, c.op("mul", n.Name+".hat", nil, centred, r), w)
	if n.Bias == "" {
		return y
	}
	return c.op("add", n.Name, nil, y, c.weight(n.Bias, ir.Init{Kind: "zeros"}, "", d))
}

// [B, T, heads, d] to [B, heads, T, d] and back: it is its own inverse.
var swapHeads = ir.Attrs{"perm": []int64{0, 2, 1, 3}}

// splitHeads is [B, T, heads·d] to [B, heads, T, d].
// Head h is columns h·d to (h+1)·d of the projection, as in all LLaMA files.
func (c *builder) splitHeads(n *specs.Node, x *ir.Value) *ir.Value {
	d := width(x)
	if n.Heads <= 0 || d%n.Heads != 0 || x.Type.Rank() != 3 {
		panic(illTyped{fmt.Errorf("cannot cut %s into %d heads", x.Type, n.Heads)})
	}
	dims := x.Type.Dims
	s := c.op("reshape", n.Name+".split", ir.Attrs{"dims": []ir.Dim{dims[0], dims[1], ir.Const(int64(n.Heads)), ir.Const(int64(d / n.Heads))}}, x)
	return c.op("transpose", n.Name, swapHeads, s)
}

// mergeHeads is [B, heads, T, d] to [B, T, heads·d].
// The transpose comes first: a reshape alone would mix positions and heads.
func (c *builder) mergeHeads(n *specs.Node, x *ir.Value) *ir.Value {
	if x.Type.Rank() != 4 {
		panic(illTyped{fmt.Errorf("input has type %s, want [B, heads, T, d]", x.Type)})
	}
	dims := x.Type.Dims
	t := c.op("transpose", n.Name+".rows", swapHeads, x)
	return c.op("reshape", n.Name, ir.Attrs{"dims": []ir.Dim{dims[0], dims[2], dims[1].Mul(dims[3])}}, t)
}

// repeatKV repeats each head n.Heads times: [B, kv, T, d] to [B, kv·n, T, d].
// Head h is repeated in place, h, h, ..., so that query head q meets key head
// q / n. Tiling (0, 1, .., 0, 1, ..) would pair them wrongly and train all the
// same.
func (c *builder) repeatKV(n *specs.Node, x *ir.Value) *ir.Value {
	if x.Type.Rank() != 4 || n.Heads < 1 {
		panic(illTyped{fmt.Errorf("cannot repeat the heads of %s %d times", x.Type, n.Heads)})
	}
	if n.Heads == 1 {
		return x
	}
	d, times := x.Type.Dims, ir.Const(int64(n.Heads))
	y := c.op("reshape", n.Name+".one", ir.Attrs{"dims": []ir.Dim{d[0], d[1], ir.Const(1), d[2], d[3]}}, x)
	y = c.op("broadcast", n.Name+".all", ir.Attrs{"dims": []ir.Dim{d[0], d[1], times, d[2], d[3]}}, y)
	return c.op("reshape", n.Name, ir.Attrs{"dims": []ir.Dim{d[0], d[1].Mul(times), d[2], d[3]}}, y)
}

// mask hides from query t of the scores x [.., T, S] the keys after t
// (causal_mask) or more than n.Value positions back (window_mask). In training
// with document boundaries a causal mask also hides the keys of documents before
// the query's.
// A window counts the query's own key: w keys are seen. The comparisons are on
// indices, made of iota, and mean the same for all sequences; only a document's
// start depends on the data.
func (c *builder) mask(n *specs.Node, x *ir.Value) *ir.Value {
	k := x.Type.Rank()
	if k < 2 {
		panic(illTyped{fmt.Errorf("input has type %s, want scores", x.Type)})
	}
	rows, cols := x.Type.Dims[k-2], x.Type.Dims[k-1]
	// [T, 1] and [1, S], joined by broadcasting: no T·S mask has to exist.
	row := c.op("iota", n.Name+".row", ir.Attrs{"dims": []ir.Dim{rows, ir.Const(1)}, "axis": int64(0)})
	col := c.op("iota", n.Name+".col", ir.Attrs{"dims": []ir.Dim{ir.Const(1), cols}, "axis": int64(1)})
	var seen *ir.Value
	if n.Kind == "causal_mask" {
		seen = c.op("less_equal", n.Name+".seen", nil, col, row)
	} else {
		first := c.op("sub", n.Name+".first", nil, row, c.b.Scalar(n.Name+".width", ir.I32, n.Value))
		seen = c.op("greater", n.Name+".seen", nil, col, first)
	}
	// Minus infinity, not a large number: exp gives 0 exactly, under any scale.
	hidden := c.scalar(n.Name+".hidden", math.Inf(-1))
	if n.Kind == "causal_mask" {
		if start := c.startOf(n, x); start != nil {
			// Index and start are compared as floats, see startOf.
			key := c.op("cast", n.Name+".key", ir.Attrs{"dtype": "f32"}, col)
			from := c.op("greater_equal", n.Name+".from", nil, key, start)
			x = c.op("where", n.Name+".document", nil, from, x, hidden)
		}
	}
	return c.op("where", n.Name, nil, seen, x, hidden)
}

// startOf is the first key of each query's document, [B, 1.., T, 1] to meet
// scores x, or nil if attention may cross documents. It is a float, as what is
// computed with at run time always is; floats hold all positions exactly.
// Positions stay far below 2^24, up to which float32 has every integer.
func (c *builder) startOf(n *specs.Node, x *ir.Value) *ir.Value {
	main := c
	if c.layer != nil {
		main = c.main
	}
	if main.starts == nil {
		return nil
	}
	// Counted even if the layer's builder asks: module wants to know if any did.
	main.masks++
	t, k := main.starts.Type, x.Type.Rank()
	if k < 3 || x.Type.Dims[0] != t.Dims[0] || x.Type.Dims[k-2] != t.Dims[1] {
		panic(illTyped{fmt.Errorf("scores of type %s, want [B, .., T, S] for a mask of documents", x.Type)})
	}
	dims := slices.Repeat([]ir.Dim{ir.Const(1)}, k)
	dims[0], dims[k-2] = t.Dims[0], t.Dims[1]
	starts := c.invariant(Starts, func(m *builder) *ir.Value { return m.starts })
	starts = c.op("cast", n.Name+".first", ir.Attrs{"dtype": "f32"}, starts)
	return c.op("reshape", n.Name+".start", ir.Attrs{"dims": dims}, starts)
}

// gelu is x/2 · (1 + erf(x/√2)) (Hendrycks and Gimpel 2016).
// x times the normal distribution's Φ(x). Constants are written where they are
// used, for canonicalize makes one of equal ones.
func (c *builder) gelu(n *specs.Node, x *ir.Value) *ir.Value {
	e := c.op("erf", n.Name+".erf", nil, c.op("mul", n.Name+".in", nil, x, c.scalar(n.Name+".c", math.Sqrt2/2)))
	half := c.op("mul", n.Name+".half", nil, x, c.scalar(n.Name+".h", 0.5))
	return c.op("mul", n.Name, nil, half, c.op("add", n.Name+".phi", nil, e, c.scalar(n.Name+".one", 1)))
}

// geluTanh is the tanh approximation of gelu, as GPT-2 has it.
// x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³))).
func (c *builder) geluTanh(n *specs.Node, x *ir.Value) *ir.Value {
	cube := c.op("mul", n.Name+".cube", nil, x, c.op("square", n.Name+".sq", nil, x))
	in := c.op("add", n.Name+".sum", nil, x, c.op("mul", n.Name+".term", nil, cube, c.scalar(n.Name+".c3", 0.044715)))
	t := c.op("tanh", n.Name+".tanh", nil, c.op("mul", n.Name+".in", nil, in, c.scalar(n.Name+".c", math.Sqrt(2/math.Pi))))
	half := c.op("mul", n.Name+".half", nil, x, c.scalar(n.Name+".h", 0.5))
	return c.op("mul", n.Name, nil, half, c.op("add", n.Name+".phi", nil, t, c.scalar(n.Name+".one", 1)))
}
