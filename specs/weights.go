package specs

import (
	"slices"

	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/specs/internal/eval"
)

// weightNames lists the weights of the network, each once, in the order of its
// nodes, under the names that the tables of names have for them: those of the
// block with the layer's number.
func (m *Model) weightNames() []string {
	var out []string
	var list func(nodes []Node, name func(string) string)
	list = func(nodes []Node, name func(string) string) {
		for _, n := range nodes {
			for _, w := range []string{n.Weight, n.Bias} {
				if w != "" && !slices.Contains(out, name(w)) {
					out = append(out, name(w))
				}
			}
			list(n.Body, model.InLayers)
		}
	}
	list(m.Network, func(s string) string { return s })
	return out
}

// Ends gives the weight that tokens are looked up in and the weight that the
// logits are multiplied by: the same one in a tied model. Either is empty where the
// network has none, or where which one it is would be a guess. What comes after the
// projection may be a bias, a scale or any function of single logits.
func (m *Model) Ends() (embedding, output string) {
	nodes := map[string]*Node{}
	var tables []string
	for i := range m.Network {
		n := &m.Network[i]
		nodes[n.Name] = n
		if n.Kind == "embedding" && !slices.Contains(tables, n.Weight) {
			tables = append(tables, n.Weight)
		}
	}
	if len(m.Network) == 0 {
		return "", ""
	}
	n := &m.Network[len(m.Network)-1]
	// Along operations of a single input, which leave the number of logits alone.
	for n != nil && n.Kind != "linear" && len(n.Inputs) == 1 && n.Weight == "" && n.Kind != "repeat" {
		n = nodes[n.Inputs[0]]
	}
	if n != nil && n.Kind == "linear" {
		output = n.Weight
	}
	switch {
	case slices.Contains(tables, output):
		embedding = output
	case len(tables) == 1:
		embedding = tables[0]
	}
	return embedding, output
}

// checkNames refuses names by which two weights would be one tensor of a file.
// Rows for weights that the model does not have are let be: the library has some.
func (d *decoder) checkNames(s *Spec) {
	if !d.ok("model.block", "model.network", "model.n_layers", "names") {
		return
	}
	weights := s.Model.weightNames()
	for _, format := range []struct {
		path  string
		names map[string]string
	}{{"names.hf", s.Names.HF}, {"names.gguf", s.Names.GGUF}, {"names.meta", s.Names.Meta}} {
		for i, w := range weights {
			path := eval.Field(format.path, w)
			if format.names[w] == "" || !d.ok(path) {
				continue
			}
			for _, v := range weights[:i] {
				other := eval.Field(format.path, v)
				if format.names[v] == "" || !d.ok(other) || !model.Collide(format.names[v], format.names[w], s.Model.Layers) {
					continue
				}
				d.relation(path, other, "%s is %q, and %s is %q: two weights would be one tensor", path, format.names[w], other, format.names[v])
				break
			}
		}
	}
}
