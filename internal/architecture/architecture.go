// Package architecture says what a spec's nodes compute, in the terms of
// model.Architecture. It recognises forms and not names, so that a block of the
// spec's own is described as what it is; of what it does not recognise it says
// nothing.
package architecture

import (
	"math"
	"slices"
	"strings"

	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/specs"
)

// Of describes the architecture of a spec.
func Of(s *specs.Spec) model.Architecture {
	m := &s.Model
	a := model.Architecture{Norms: norms(m), Rope: rope(m.Rope)}
	block, network := newGraph(m.Block), newGraph(m.Network)
	// Attention first: its projections are no part of the feed-forward network.
	attention, attended := block.attention(m)
	if attended != nil {
		a.Attention = attention
	}
	ffn, down := block.ffn(attended)
	if down != nil {
		a.FFN = ffn
	}
	ends, whole := network.ends()
	a.Tied, a.SoftCap = ends.tied, ends.softCap
	// Each weight of the block must have been seen: one more is another block.
	if attended != nil && down != nil && whole && block.linears() == len(attended.linears())+ffnLinears(ffn) {
		a.Block = block.form(attended, down)
	}
	return a
}

// ffnLinears is the number of matrices of a feed-forward network.
func ffnLinears(f model.FFN) int {
	if f.Gated {
		return 3
	}
	return 2
}

// rope leaves out the numbers that a kind of scaling does not read.
func rope(r specs.Rope) model.Rope {
	out := model.Rope{Theta: r.Theta, Layout: r.Layout}
	switch s := r.Scaling; s.Kind {
	case "linear":
		out.Scaling = model.RopeScaling{Kind: s.Kind, Factor: s.Factor}
	case "llama3":
		out.Scaling = model.RopeScaling{Kind: s.Kind, Factor: s.Factor, LowFreqFactor: s.LowFreqFactor, HighFreqFactor: s.HighFreqFactor, OriginalContext: s.OriginalContext}
	}
	return out
}

// norms lists each kind and eps once, with the fields that say so.
func norms(m *specs.Model) []model.Norm {
	var out []model.Norm
	for _, n := range slices.Concat(m.Block, m.Network) {
		if !isNorm(n.Kind) {
			continue
		}
		kind := strings.TrimSuffix(n.Kind, "_norm")
		// Nearly always it is the field that the library's nodes are made from.
		at := "model.norm_eps"
		if n.Value != m.NormEps {
			at = n.Path + ".value"
		}
		i := slices.IndexFunc(out, func(o model.Norm) bool { return o.Kind == kind && o.Eps == n.Value })
		switch {
		case i < 0:
			out = append(out, model.Norm{Kind: kind, Eps: n.Value, At: at})
		case out[i].At != at:
			out[i].At += ", " + at
		}
	}
	return out
}

// isNorm tells whether a kind of node normalises.
func isNorm(kind string) bool { return kind == "rms_norm" || kind == "layer_norm" }

// graph is a list of nodes with what each reads and who reads it.
type graph struct {
	nodes   []specs.Node
	defs    map[string]*specs.Node
	readers map[string][]*specs.Node
}

// newGraph indexes a list of nodes.
func newGraph(nodes []specs.Node) *graph {
	g := &graph{nodes, map[string]*specs.Node{}, map[string][]*specs.Node{}}
	// Names are unique in a list, which package specs has seen to.
	for i := range nodes {
		n := &nodes[i]
		g.defs[n.Name] = n
		for _, in := range n.Inputs {
			g.readers[in] = append(g.readers[in], n)
		}
	}
	return g
}

// Lookups return empty nodes instead of nil, so that a form is asked for in one
// expression: an empty node is of no kind.

// def is the node that makes an input, an empty one for what a list is given.
func (g *graph) def(n *specs.Node, input int) *specs.Node {
	if input < len(n.Inputs) {
		if d := g.defs[n.Inputs[input]]; d != nil {
			return d
		}
	}
	return &specs.Node{}
}

// only is the single reader of a node, if it is of a kind; nil otherwise.
func (g *graph) only(n *specs.Node, kind string) *specs.Node {
	if r := g.readers[n.Name]; len(r) == 1 && r[0].Kind == kind {
		return r[0]
	}
	return nil
}

// linears counts the matrices.
func (g *graph) linears() int {
	count := 0
	for i := range g.nodes {
		if g.nodes[i].Kind == "linear" {
			count++
		}
	}
	return count
}

// ends describes what the network does around its layers, and tells whether that
// is all of it: embedding, layers, norm, projection and perhaps a soft cap.
func (g *graph) ends() (ends struct {
	tied    bool
	softCap float64
}, whole bool) {
	// Specs made by hand, as tests do, may have no network.
	if len(g.nodes) == 0 {
		return ends, false
	}
	last := &g.nodes[len(g.nodes)-1]
	if last.Kind == "scale" {
		if tanh := g.def(last, 0); tanh.Kind == "tanh" {
			if inner := g.def(tanh, 0); inner.Kind == "scale" && near(inner.Value*last.Value, 1) {
				ends.softCap, last = last.Value, g.def(inner, 0)
			}
		}
	}
	// From the end upwards; a node between any two makes it another network.
	norm := g.def(last, 0)
	layers := g.def(norm, 0)
	embedding := g.def(layers, 0)
	whole = last.Kind == "linear" && last.Bias == "" && isNorm(norm.Kind) && layers.Kind == "repeat" && embedding.Kind == "embedding"
	// Tying shows in the names alone, whatever lies between.
	for i := range g.nodes {
		if n := &g.nodes[i]; n.Kind == "embedding" {
			ends.tied = ends.tied || last.Kind == "linear" && n.Weight == last.Weight
		}
	}
	return ends, whole
}

// near allows for a value that was computed in two ways.
func near(x, y float64) bool { return math.Abs(x-y) <= 1e-12*math.Abs(y) }

// form tells how attention and feed-forward network meet: one behind the other
//
//	r = x + attention(norm(x)), out = r + ffn(norm(r))
//
// or side by side, with one norm or two:
//
//	out = x + attention(norm(x)) + ffn(norm(x))
func (g *graph) form(a *attended, down *specs.Node) string {
	out := &g.nodes[len(g.nodes)-1]
	// Up through gate and activation to a matrix that reads the norm.
	up := g.def(down, 0)
	for up.Kind != "linear" {
		up = g.def(up, 0)
	}
	attnNorm, ffnNorm := g.def(a.q, 0), g.def(up, 0)
	if out.Kind != "add" || !isNorm(attnNorm.Kind) || !isNorm(ffnNorm.Kind) || attnNorm.Inputs[0] != "x" {
		return ""
	}
	// What the second norm reads tells the two forms apart.
	r := ffnNorm.Inputs[0]
	switch sum := g.summands(out); {
	case r == "x" && sameNames(sum, "x", a.o.Name, down.Name):
		return "parallel"
	case sameNames(out.Inputs, r, down.Name) && sameNames(g.summands(g.defs[r]), "x", a.o.Name):
		return "sequential"
	}
	return ""
}

// summands are the names of what a tree of additions adds.
func (g *graph) summands(n *specs.Node) []string {
	if n == nil || n.Kind != "add" {
		return nil
	}
	var out []string
	for _, in := range n.Inputs {
		// A sum that others read as well is a value of its own.
		if d := g.defs[in]; d != nil && d.Kind == "add" && len(g.readers[in]) == 1 {
			out = append(out, g.summands(d)...)
			continue
		}
		out = append(out, in)
	}
	return out
}

// sameNames compares lists whatever their order.
func sameNames(names []string, want ...string) bool {
	return slices.Equal(slices.Sorted(slices.Values(names)), slices.Sorted(slices.Values(want)))
}
