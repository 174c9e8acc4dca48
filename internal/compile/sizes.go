package compile

import (
	"math"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/specs"
)

// What a plan may count. Of what follows from a module's forward, its backward
// and recomputation, there is less than three times as much again, so that all
// sums stay below 2^63.
const (
	mostBytes = 1 << 60
	mostFLOPs = 1 << 60
	mostNodes = 1 << 20 // memory is laid out operation by operation, layer by layer
)

// fits refuses a spec whose plan could not be counted, or not in reasonable
// time, before any pass multiplies or walks over layers. batch is the number of
// sequences; positions are those of the whole context, which for inference
// bounds the cache.
//
// Sizes are summed up as real numbers over the module's own nodes: a plan adds
// nothing that is not theirs.
func fits(s *specs.Spec, m *ir.Module, mode string, batch int) error {
	sizes := map[string]int64{"B": int64(batch), "T": int64(s.Model.Context), "N": int64(s.Model.Context)}
	// Weights, gradients and both moments.
	copies := 4.0
	if mode == "infer" {
		copies = 1
	}
	weights := 0.0
	for _, w := range m.Weights {
		weights += 4 * copies * w.Type.Estimate(nil) * float64(max(1, w.Layers))
	}
	if weights > mostBytes {
		return s.TooLarge(nil, "the weights and what trains them would take %.3g bytes, more than the %.3g that a plan can count", weights, float64(mostBytes))
	}
	bytes, flops, launches := 0.0, 0.0, 0.0
	for _, f := range m.Funcs {
		times := 1.0
		if f.Role == ir.RoleLayer {
			times = float64(s.Model.Layers)
		}
		for _, n := range f.Nodes {
			launches += times
			for _, v := range n.Results {
				// Scores are not stored where attention is fused, and in
				// inference not even computed of all positions.
				if mode == "train" || v.Type.Rank() <= 3 {
					bytes += times * 4 * v.Type.Estimate(sizes)
				}
			}
			flops += times * nodeWork(n, sizes)
		}
	}
	switch {
	case launches > mostNodes:
		return s.Errorf("model.n_layers", "model.n_layers is %d: all layers would be %.3g operations, more than the %.3g that a plan is laid out for", s.Model.Layers, launches, float64(mostNodes))
	case bytes > mostBytes && mode == "infer":
		return s.TooLarge(nil, "the values of %d sequences of %d tokens would take %.3g bytes, more than the %.3g that a plan can count", batch, s.Model.Context, bytes, float64(mostBytes))
	case bytes > mostBytes:
		return s.TooLarge(nil, "the values of a micro-batch would take %.3g bytes, more than the %.3g that a plan can count", bytes, float64(mostBytes))
	case flops > mostFLOPs && mode == "train":
		return s.TooLarge(nil, "a micro-batch would take %.3g FLOPs forward, more than the %.3g that a plan can count", flops, float64(mostFLOPs))
	}
	return nil
}

// nodeWork bounds the FLOPs of a node. A product of [m, k] and [k, p] is the square
// root of its three sizes' product, twice, and that for each of the matrices in
// the leading axes; everything else is a few operations an element.
func nodeWork(n *ir.Node, sizes map[string]int64) float64 {
	if n.Op.View {
		return 0
	}
	product, largest := 1.0, 0.0
	for _, v := range append(n.Operands[:len(n.Operands):len(n.Operands)], n.Results...) {
		if v == nil {
			continue
		}
		e := v.Type.Estimate(sizes)
		product, largest = product*e, max(largest, e)
	}
	switch n.Op.Name {
	case "matmul":
		t := n.Results[0].Type
		t.Dims = t.Dims[:t.Rank()-2]
		if b := n.Operands[1].Type.Rank(); b == 2 {
			t.Dims = nil // the leading axes are more rows of one product
		}
		return 2 * math.Sqrt(product/t.Estimate(sizes))
	case "linear":
		return 2 * math.Sqrt(product)
	}
	return 10 * largest
}
