package architecture

import (
	"math"

	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/specs"
)

// attended are the projections of an attention.
type attended struct{ q, k, v, o *specs.Node }

func (a *attended) linears() []*specs.Node { return []*specs.Node{a.q, a.k, a.v, a.o} }

// attention recognises the block's one attention:
//
//	q, k, v = linear(n)                      of one n
//	q, k    = rope(norm(split_heads(..)))    norm and rope perhaps, the same for both
//	scores  = matmul_nt(q, k)                scaled, capped, cut to a window
//	out     = linear(merge_heads(matmul(softmax(causal_mask(scores)), v)))
//
// with repeated keys and values for grouped queries, and scales anywhere. nil if
// there is none, more than one, or one of another form.
func (g *graph) attention(m *specs.Model) (model.Attention, *attended) {
	// The softmax is what every attention has, and what nothing else has.
	var softmax *specs.Node
	for i := range g.nodes {
		if n := &g.nodes[i]; n.Kind == "softmax" {
			if softmax != nil {
				return model.Attention{}, nil
			}
			softmax = n
		}
	}
	if softmax == nil {
		return model.Attention{}, nil
	}
	var a model.Attention
	scale, causal := 1.0, false
	// Up from the softmax to the product.
	// Masks and scales may stand in any order: additions of -inf do not mind.
	n := g.def(softmax, 0)
	for done := false; !done; n = g.def(n, 0) {
		switch n.Kind {
		case "causal_mask":
			causal = true
		case "window_mask":
			a.Window = int(n.Value)
		case "scale":
			scale *= n.Value
		case "tanh":
			// What scaled the result is the cap, and undoes a part of the scale
			// before it.
			if a.SoftCap != 0 {
				return model.Attention{}, nil
			}
			a.SoftCap = scale
		case "matmul_nt":
			done = true
		default:
			return model.Attention{}, nil
		}
		if done {
			break
		}
	}
	// Without the mask it is an encoder's; queries and keys must meet as they left
	// the same kind of way, or RoPE and norms would have no one word.
	q, k := g.side(n, 0), g.side(n, 1)
	values := g.only(softmax, "matmul")
	if !causal || q == nil || k == nil || values == nil || q.rotated != k.rotated || q.norm != k.norm {
		return model.Attention{}, nil
	}
	// Values are neither rotated nor normalised in any model that files describe.
	v := g.side(values, 1)
	merged := g.only(values, "merge_heads")
	if v == nil || merged == nil || v.rotated || v.norm != "" || v.scale != 1 || v.heads != k.heads || v.repeat != k.repeat {
		return model.Attention{}, nil
	}
	// Self-attention: all three read one value.
	out := g.only(merged, "linear")
	if out == nil || q.from.Inputs[0] != k.from.Inputs[0] || q.from.Inputs[0] != v.from.Inputs[0] {
		return model.Attention{}, nil
	}
	// A scale may stand on any of the factors of a product.
	scale *= q.scale * k.scale
	a.Heads, a.KVHeads, a.HeadDim, a.QKNorm = q.heads, k.heads, q.from.Out/q.heads, q.norm
	if usual := 1 / math.Sqrt(float64(a.HeadDim)); !near(scale, usual) {
		a.Scale = scale
	}
	// The rope of a spec turns whole heads.
	if q.rotated {
		a.Rotated = a.HeadDim
	}
	a.QKVBias, a.OutBias = q.from.Bias != "" && k.from.Bias != "" && v.from.Bias != "", out.Bias != ""
	// Some of three have no word in model.Attention.
	if !a.QKVBias && (q.from.Bias != "" || k.from.Bias != "" || v.from.Bias != "") {
		return model.Attention{}, nil
	}
	return a, &attended{q.from, k.from, v.from, out}
}

// side is what becomes of a projection until queries meet keys, or
// probabilities values.
type side struct {
	from          *specs.Node // the projection
	heads, repeat int
	rotated       bool
	norm          string
	scale         float64
}

// side follows an input of a product up to its projection.
func (g *graph) side(product *specs.Node, input int) *side {
	s := &side{repeat: 1, scale: 1}
	for n := g.def(product, input); ; n = g.def(n, 0) {
		switch n.Kind {
		case "scale":
			s.scale *= n.Value
		case "repeat_kv":
			s.repeat *= n.Heads
		case "rope":
			// Seen before, as the way leads upwards: a norm behind the rotation is another model than one before it.
			if s.rotated || s.norm != "" {
				return nil
			}
			s.rotated = true
		case "rms_norm":
			if s.norm != "" {
				return nil
			}
			// Behind split_heads the last axis is that of one head.
			s.norm = "head"
			if s.heads > 0 {
				s.norm = "whole"
			}
		case "split_heads":
			s.heads = n.Heads
		case "linear":
			// Without split_heads there are no heads to speak of.
			if s.heads == 0 || n.Out%s.heads != 0 {
				return nil
			}
			s.from = n
			return s
		default:
			// Whatever else is done to queries, no word is known for it.
			return nil
		}
	}
}

// ffn recognises the block's feed-forward network by the matrix that ends it:
//
//	down(activation(up(n)))
//	down(activation(gate(n)) · up(n))
//
// nil if there is none, more than one, or one of another form.
func (g *graph) ffn(a *attended) (model.FFN, *specs.Node) {
	// Attention's last matrix reads no activation, but might in a block that gates
	// its heads.
	var found model.FFN
	var end *specs.Node
	for i := range g.nodes {
		down := &g.nodes[i]
		if down.Kind != "linear" || a != nil && down == a.o {
			continue
		}
		f, ok := g.endsFFN(down)
		if !ok {
			continue
		}
		// Two of them are experts, or something that nobody has a name for.
		if end != nil {
			return model.FFN{}, nil
		}
		found, end = f, down
	}
	return found, end
}

// endsFFN tells whether a matrix reads activations of another one.
func (g *graph) endsFFN(down *specs.Node) (model.FFN, bool) {
	// Without a gate the activation is read as it is.
	in := g.def(down, 0)
	if kind, up := g.activation(in); kind != "" && up.Kind == "linear" {
		return model.FFN{Dim: up.Out, Activation: kind, Bias: up.Bias != "" || down.Bias != ""}, true
	}
	if in.Kind != "mul" {
		return model.FFN{}, false
	}
	// Either factor may be the gate.
	for i := range 2 {
		kind, gate := g.activation(g.def(in, i))
		up := g.def(in, 1-i)
		if kind != "" && gate.Kind == "linear" && up.Kind == "linear" && gate.Inputs[0] == up.Inputs[0] {
			return model.FFN{Dim: up.Out, Activation: kind, Gated: true, Bias: gate.Bias != "" || up.Bias != "" || down.Bias != ""}, true
		}
	}
	return model.FFN{}, false
}

// activation names the function that a node computes of what it returns with it:
// one node, or x·sigmoid(x) and the square of relu, which are spelt with two.
func (g *graph) activation(n *specs.Node) (string, *specs.Node) {
	switch n.Kind {
	case "silu", "gelu", "gelu_tanh", "relu", "sigmoid", "tanh", "softplus":
		return n.Kind, g.def(n, 0)
	// Primer's (So et al. 2021).
	case "square":
		if relu := g.def(n, 0); relu.Kind == "relu" {
			return "relu2", g.def(relu, 0)
		}
	case "mul":
		for i := range 2 {
			if s := g.def(n, i); s.Kind == "sigmoid" && s.Inputs[0] == n.Inputs[1-i] {
				return "silu", g.def(s, 0)
			}
		}
	}
	return "", &specs.Node{}
}
