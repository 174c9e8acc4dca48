package fuzz

import (
	"fmt"

	"github.com/llamac/llamac/ir/build"
	"github.com/llamac/llamac/specs"
)

// Scales are overrides of a spec's sizes, the smallest first, with which it may
// still load. A block of a spec's own may have sizes of its own, which are
// kept; the interpreter then takes longer.
// llamac bisect loads a spec with each until one loads: a model of 7B is nothing that
// the interpreter could run.
func Scales(s *specs.Spec) [][]string {
	// Grouped heads stay grouped, for other fusions apply to them.
	grouped := 4
	if s.Model.KVHeads < s.Model.Heads {
		grouped = 2
	}
	short := []string{fmt.Sprintf("model.n_layers=%d", min(2, s.Model.Layers)), fmt.Sprintf("model.context=%d", min(8, s.Model.Context))}
	vocab := append([]string{fmt.Sprintf("model.vocab=%d", min(300, s.Model.Vocab))}, short...)
	// Each is smaller than the next in what it overrides; nil changes nothing.
	sizes := append([]string{"model.dim=16", "model.n_heads=4", fmt.Sprintf("model.n_kv_heads=%d", grouped), "model.head_dim=4", "model.ffn_dim=24"}, vocab...)
	return [][]string{sizes, vocab, short, nil}
}

// FromSpec makes a case of a loaded spec: two sequences and a decoder
// of small capacities.
// Extra is set: a person asked for this one model, so it passes every station.
func FromSpec(s *specs.Spec) (*Case, error) {
	m := s.Model
	c := &Case{B: 2, T: m.Context, Vocab: m.Vocab, Seed: 1, Extra: true}
	block := int64(min(4, m.Context))
	c.Capacity = map[string]int64{"N": int64(m.Context), "R": 4, "S": 2, "M": (int64(m.Context) + block - 1) / block, "block": block}
	if s.Precision.Compute != "f32" {
		c.Compute = s.Precision.Compute
	}
	var err error
	if c.Train, err = build.Train(s); err != nil {
		return nil, err
	}
	c.Infer, err = build.Infer(s)
	return c, err
}
