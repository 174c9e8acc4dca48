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
//
// An exchange of gradients can then start with what is finished, which is the
// beginning of the arena, while the backward still works on the rest.
//
//	| behind the layers | layer L-1 | ... | layer 0 | before the layers |
func layOutWeights(p *plan.Plan, m *ir.Module, groups [][]*ir.Weight) error {
	// A plan that has weights, from training, keeps its layout: inference reads
	// the same arena, and only has to find its packs there.
	if len(p.Weights) > 0 {
		return checkPacks(p, groups)
	}
	// Each pack is a chain of neighbours. A weight can have one neighbour on
	// each side; packs that disagree are found by checkPacks.
	next := map[*ir.Weight]*ir.Weight{}
	prev := map[*ir.Weight]*ir.Weight{}
	for _, g := range groups {
		for i := 1; i < len(g); i++ {
			if next[g[i-1]] == nil && prev[g[i]] == nil {
				next[g[i-1]], prev[g[i]] = g[i], g[i-1]
			}
		}
	}
	// Weights before the first of a layer, in the order of the module, are
	// those in front of the layers: the embedding.
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
		// A pack is placed where its first member stands.
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
		// Only the first weight of a pack is aligned: a gap behind it would be
		// a gap between rows of one matrix.
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
		// Offsets are those of layer 0, which lies last, and a layer more lies
		// one block lower: the stride is negative.
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
		// Gradients and moments are f32, whatever the weights are (4 bytes an
		// element).
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
//
// Until then an operand names the weight of the module; the plan's row, with
// its offset, came into being behind it.
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
