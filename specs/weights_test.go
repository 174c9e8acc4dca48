package specs

import "testing"

// TestEnds finds the weights at both ends of a network by what its nodes do.
func TestEnds(t *testing.T) {
	embed := func(name, weight string) Node {
		return Node{Kind: "embedding", Name: name, Inputs: []string{"tokens"}, Weight: weight}
	}
	linear := func(name, x, weight string) Node {
		return Node{Kind: "linear", Name: name, Inputs: []string{x}, Weight: weight, Bias: "b"}
	}
	unary := func(kind, name, x string) Node { return Node{Kind: kind, Name: name, Inputs: []string{x}} }
	stack := Node{Kind: "repeat", Name: "l", Inputs: []string{"h"}, Body: []Node{linear("q", "x", "wq")}}
	for name, c := range map[string]struct {
		network           []Node
		embedding, output string
	}{
		"plain":         {[]Node{embed("h", "e"), stack, linear("logits", "l", "o")}, "e", "o"},
		"tied":          {[]Node{embed("h", "e"), stack, linear("logits", "l", "e")}, "e", "e"},
		"capped":        {[]Node{embed("h", "e"), stack, linear("y", "l", "o"), unary("scale", "s", "y"), unary("tanh", "logits", "s")}, "e", "o"},
		"no end":        {[]Node{embed("h", "e"), stack}, "e", ""},
		"a norm":        {[]Node{embed("h", "e"), linear("y", "h", "o"), {Kind: "rms_norm", Name: "n", Inputs: []string{"y"}, Weight: "g"}}, "e", ""},
		"two tables":    {[]Node{embed("h", "e"), embed("g", "f"), linear("logits", "h", "o")}, "", "o"},
		"two, one tied": {[]Node{embed("h", "e"), embed("g", "f"), linear("logits", "h", "f")}, "f", "f"},
		"twice read":    {[]Node{embed("h", "e"), embed("g", "e"), linear("logits", "h", "o")}, "e", "o"},
		"a sum":         {[]Node{embed("h", "e"), linear("y", "h", "o"), linear("z", "h", "p"), {Kind: "add", Name: "logits", Inputs: []string{"y", "z"}}}, "e", ""},
		"none":          {nil, "", ""},
	} {
		if e, o := (&Model{Network: c.network}).Ends(); e != c.embedding || o != c.output {
			t.Errorf("%s: %q and %q, want %q and %q", name, e, o, c.embedding, c.output)
		}
	}
}
