package passes

import (
	"fmt"
	"slices"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/plan"
)

// layOutWeights fills the base table: one flat layout for weights, gradients
// and moments, in the order in which the backward finishes gradients, which is
// the reverse of the forward: what follows the layers, the layers from the
// last to the first, what precedes them. Weights of a pack lie one behind the
// other with no gap.
func layOutWeights(p *plan.Plan, m *ir.Module, groups [][]*ir.Weight) error {
	if len(p.Weights) > 0 {
		return checkPacks(p, groups)
	}
	next := map[*ir.Weight]*ir.Weight{}
	prev := map[*ir.Weight]*ir.Weight{}
	for _, g := range groups {
		for i := 1; i < len(g); i++ {
			if next[g[i-1]] == nil && prev[g[i]] == nil {
				next[g[i-1]], prev[g[i]] = g[i], g[i-1]
			}
		}
	}
	var before, layers, after []*ir.Weight
	first := len(m.Weights)
	for i, w := range m.Weights {
		if w.Stack != "" {
			first = min(first, i)
		}
	}
	for i, w := range m.Weights {
		if prev[w] != nil {
			continue // placed behind the one before it
		}
		for x := w; x != nil; x = next[x] {
			switch {
			case w.Stack != "":
				layers = append(layers, x)
			case i < first:
				before = append(before, x)
			default:
				after = append(after, x)
			}
		}
	}
	add := func(w *ir.Weight, offset, stride int64) *plan.Weight {
		r := &plan.Weight{Name: w.Name, DType: w.Type.DType, Layout: w.Layout, Layers: w.Layers,
			Offset: offset, Stride: stride, Decay: w.Decay, Of: w}
		for _, d := range w.Type.Dims {
			r.Dims = append(r.Dims, d.N)
		}
		if next[w] != nil {
			r.Pack = next[w].Name
		}
		p.Weights = append(p.Weights, r)
		return r
	}
	// Offsets count elements and hold for the arenas of other dtypes as well:
	// a cache line of the narrowest.
	elem := int64(4)
	if len(m.Weights) > 0 {
		elem = m.Weights[0].Type.DType.Bytes(1)
	}
	line := plan.Align / elem
	at := int64(0)
	place := func(ws []*ir.Weight, base int64, stride int64) int64 {
		o := int64(0)
		for _, w := range ws {
			if prev[w] == nil {
				o = align(o, line)
			}
			add(w, base+o, stride)
			o += w.Type.Elems()
		}
		return align(o, line)
	}
	at += place(after, at, 0)
	if len(layers) > 0 {
		n := int64(layers[0].Layers)
		start := len(p.Weights)
		block := place(layers, 0, 0)
		for _, r := range p.Weights[start:] {
			r.Offset += at + (n-1)*block
			r.Stride = -block
		}
		at += n * block
	}
	at += place(before, at, 0)
	p.Arenas = append(p.Arenas, plan.Arena{Name: "weights", Bytes: elem * at})
	if m.Func("micro_step") != nil {
		for _, name := range []string{"grads", "moment1", "moment2"} {
			p.Arenas = append(p.Arenas, plan.Arena{Name: name, Bytes: 4 * at})
		}
		if elem < 4 {
			p.Arenas = append(p.Arenas, plan.Arena{Name: "master", Bytes: 4 * at}) // the optimiser's copy
		}
	}
	return checkPacks(p, groups)
}

// checkPacks makes sure that each pack's weights are neighbours.
func checkPacks(p *plan.Plan, groups [][]*ir.Weight) error {
	for _, g := range groups {
		for i := 1; i < len(g); i++ {
			a, b := p.FindWeight(g[i-1].Name), p.FindWeight(g[i].Name)
			if a.Offset+a.Elems() != b.Offset {
				return fmt.Errorf("weights %s and %s are packed in one place and apart in another", a.Name, b.Name)
			}
		}
	}
	return nil
}

func align(n, to int64) int64 { return (n + to - 1) / to * to }

// resolveWeights points operands at the rows of the base table and at the
// plan's state.
func resolveWeights(p *plan.Plan, q *plan.Program) {
	fix := func(os []plan.Operand) {
		for i := range os {
			for j, w := range os[i].Weight {
				if w.Of != nil && !slices.Contains(p.Weights, w) {
					os[i].Weight[j] = p.FindWeight(w.Of.Name)
				}
			}
		}
	}
	q.Walk(func(it plan.Item) {
		if l, ok := it.(*plan.Launch); ok {
			fix(l.Args)
			fix(l.Results)
		}
	})
}
