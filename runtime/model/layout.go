package model

import "fmt"

// Row describes one weight of the base table: Name, HF, GGUF and Meta hold
// "N" in the places of the layer's number when Layers > 0 (see Number), Offset is layer 0's
// and Stride leads from one layer to the next.
type Row struct {
	Weight
	Layers, Stride int
}

// Layout expands the rows of a base table to weights in forward order: rows
// before the first one with layers, the layers, the rest.
func Layout(rows []Row) []Weight {
	var out []Weight
	var layered []Row
	layers := 0
	for _, r := range rows {
		if r.Layers > 0 {
			layered = append(layered, r)
			layers = r.Layers
		}
	}
	done := false
	for _, r := range rows {
		if r.Layers == 0 {
			out = append(out, r.Weight)
			continue
		}
		if done {
			continue
		}
		done = true
		for l := range layers {
			for _, r := range layered {
				w := r.Weight
				w.Offset += l * r.Stride
				for _, name := range []*string{&w.Name, &w.HF, &w.GGUF, &w.Meta} {
					*name = Number(*name, l)
				}
				out = append(out, w)
			}
		}
	}
	return out
}

// Trace lists the kernels that a program launches, so that a launch's number
// leads back to the node of the IR that it computes.
type Trace []TraceSection

// TraceSection is the launches of a straight piece of a program, or of a loop
// over layers.
type TraceSection struct {
	Layers  int  // 0 for a straight piece
	From    int  // first of the layers
	Reverse bool // layers run downwards
	Nodes   []string
}

// Name says which node launch i of the program computes: "%n" or
// "layer 3: %attn.q".
func (t Trace) Name(i int) string {
	for _, s := range t {
		total := len(s.Nodes) * max(1, s.Layers)
		if i >= total {
			i -= total
			continue
		}
		if s.Layers == 0 {
			return "%" + s.Nodes[i]
		}
		l := i / len(s.Nodes)
		if s.Reverse {
			l = s.Layers - 1 - l
		}
		return fmt.Sprintf("layer %d: %%%s", s.From+l, s.Nodes[i%len(s.Nodes)])
	}
	return fmt.Sprintf("launch %d", i)
}

// ClipFactor is what gradients are multiplied by so that their norm is at most
// clip: clip / (norm + 1e-6) where that is below 1, as PyTorch's
// clip_grad_norm_ has it. A clip of 0 leaves them alone.
func ClipFactor(norm, clip float64) float64 {
	if clip <= 0 {
		return 1
	}
	return min(1, clip/(norm+1e-6))
}
