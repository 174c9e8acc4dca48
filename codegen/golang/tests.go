package golang

import (
	"github.com/dave/jennifer/jen"
)

// tests prints model_test.go. numeric says that the oracle's results stand in
// testdata; without them what needs no arithmetic is tested.
//
// The tests are calls of runtime/model/modeltest, so that a bettered check
// reaches packages that exist.
func (g *generator) tests(numeric bool) *jen.File {
	f := g.file()
	modeltest := g.modelPkg() + "/modeltest"
	// Each is one call with &Info, and what the check needs beside it.
	check := func(name, doc, fn string, args ...jen.Code) {
		f.Comment(doc)
		f.Func().Id(name).Params(jen.Id("t").Op("*").Qual("testing", "T")).Block(
			jen.Qual(modeltest, fn).Call(append([]jen.Code{jen.Id("t"), jen.Op("&").Id("Info")}, args...)...))
		f.Line()
	}
	check("TestLayout", "TestLayout checks where the weights lie.", "CheckLayout")
	// The closed form holds for this architecture alone.
	if g.isLLaMA() {
		check("TestParams", "TestParams checks the number of parameters against the closed form.", "CheckLLaMA", jen.Lit(g.in.Spec.Model.Tie))
	}
	// testdata is written for small twins of a model only: the oracle is an
	// interpreter in float64.
	if !numeric {
		return f
	}
	check("TestTrainer", "TestTrainer compares loss and gradients with the float64 oracle.", "CheckTrainer")
	check("TestDecoder", "TestDecoder compares prefill and decoding with the oracle's full forward.", "CheckDecoder")
	g.savedTest(f)
	return f
}

// isLLaMA reports whether the weights are those of the LLaMA architecture and
// no others, so that the closed form of their number holds.
//
// Names are compared and not counted, since another block may have as many
// weights.
func (g *generator) isLLaMA() bool {
	want := map[string]bool{"tok_embeddings": true, "attention_norm": true, "attention.wq": true, "attention.wk": true, "attention.wv": true,
		"attention.wo": true, "ffn_norm": true, "feed_forward.w1": true, "feed_forward.w2": true, "feed_forward.w3": true, "norm": true, "output": true}
	if g.in.Spec.Model.Tie {
		delete(want, "output")
	}
	for _, w := range g.in.Plan.Weights {
		if !want[w.Name] {
			return false
		}
		delete(want, w.Name)
	}
	return len(want) == 0
}
