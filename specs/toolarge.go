package specs

import (
	"fmt"

	"github.com/llamac/llamac/internal/diag"
	"github.com/llamac/llamac/specs/internal/eval"
)

// A model's sizes are multiplied with each other, and the planner counts in
// int64. Which products there are depends on the nodes, so that ir/build and
// the compiler find those that are too large; this file knows which field of
// the spec is to blame.

// MaxContext bounds positions, which are computed with as float32: up to 2^24
// it holds every integer, and beyond two positions would be the same.
const MaxContext = 1 << 24

// MaxMicroBatch bounds the sequences of one forward and backward.
const MaxMicroBatch = 1 << 20

// size is a field that products are made of.
type size struct {
	path  string
	value int
	usual float64 // about the largest that published models have
}

// sizes are those of the model and of a step, and below them what a node sets
// by itself.
func (s *Spec) sizes() []size {
	m := &s.Model
	list := []size{
		{"model.dim", m.Dim, 2e4}, {"model.n_layers", m.Layers, 200}, {"model.n_heads", m.Heads, 200}, {"model.n_kv_heads", m.KVHeads, 200},
		{"model.ffn_dim", m.FFNDim, 1e5}, {"model.vocab", m.Vocab, 3e5}, {"model.context", m.Context, 1e6},
		{"train.micro_batch", s.Train.MicroBatch, 1e3},
	}
	if s.at == nil || s.at.known("model.head_dim") {
		list = append(list, size{"model.head_dim", m.HeadDim, 512})
	}
	// The library's nodes repeat the model's own numbers, and who reads of a
	// node would look for it in vain.
	own := map[int]bool{m.Heads * m.HeadDim: true, m.KVHeads * m.HeadDim: true}
	if m.KVHeads > 0 {
		own[m.Heads/m.KVHeads] = true
	}
	for _, x := range list {
		own[x.value] = true
	}
	for _, nodes := range [][]Node{m.Block, m.Network} {
		for _, n := range nodes {
			if !own[n.Out] {
				list = append(list, size{eval.Field(n.Path, "out"), n.Out, 1e5})
			}
			if !own[n.Heads] {
				list = append(list, size{eval.Field(n.Path, "heads"), n.Heads, 200})
			}
		}
	}
	return list
}

// TooLarge is the error that a product of sizes is too large. It blames the
// size that is furthest beyond what models have, since the product alone does
// not tell which of its factors was mistyped. Only factors of it are asked, as
// of tells them by path and value; nil takes all.
func (s *Spec) TooLarge(of func(path string, value int) bool, format string, args ...any) *diag.Error {
	worst := size{value: -1}
	for _, x := range s.sizes() {
		if of != nil && !of(x.path, x.value) {
			continue
		}
		if worst.value < 0 || float64(x.value)/x.usual > float64(worst.value)/worst.usual {
			worst = x
		}
	}
	// A width that is computed from sizes that nobody knows of.
	if worst.value < 0 {
		return s.TooLarge(nil, format, args...)
	}
	return s.Errorf(worst.path, "%s is %d: %s", worst.path, worst.value, fmt.Sprintf(format, args...))
}
