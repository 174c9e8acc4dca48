package golang

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/dave/jennifer/jen"
)

// model prints model.go: what the model is, and its weights.
//
// It holds what does not depend on whether the package trains or infers: sizes,
// the layout of weights, the recipe and the spec itself.
func (g *generator) model() (*jen.File, error) {
	p, s := g.in.Plan, g.in.Spec
	f := g.file()
	// A doc of several lines becomes one, and may not end a comment.
	f.PackageComment(fmt.Sprintf("Package %s is the model of %s. %s", g.in.Package, g.specFile(), strings.Join(strings.Fields(strings.ReplaceAll(s.Doc, "*/", "")), " ")))
	m := s.Model
	// Names and letters are those of the papers: h, L, a, f, V, s.
	f.Comment("Sizes of the model.")
	f.Const().Defs(
		jen.Id("Dim").Op("=").Lit(m.Dim).Comment("width of the residual stream [h]"),
		jen.Id("Layers").Op("=").Lit(m.Layers).Comment("[L]"),
		jen.Id("Heads").Op("=").Lit(m.Heads).Comment("query heads [a]"),
		jen.Id("KVHeads").Op("=").Lit(m.KVHeads).Comment("key and value heads"),
		jen.Id("FFNDim").Op("=").Lit(m.FFNDim).Comment("hidden width of the feed-forward network [f]"),
		jen.Id("Vocab").Op("=").Lit(m.Vocab).Comment("[V]"),
		jen.Id("Context").Op("=").Lit(m.Context).Comment("longest sequence [s]"),
		jen.Line(),
		// In numbers and not bytes: Go code indexes slices of float32.
		jen.Id("arenaSize").Op("=").Lit(int(p.Arena("weights")/4)).Comment("numbers of the weights, padding included"),
	)
	f.Line()
	// The spec travels with the binary, in one line, so that a checkpoint can
	// be traced to it and `info` can print it.
	var compact bytes.Buffer
	if len(s.JSON) > 0 {
		if err := json.Compact(&compact, s.JSON); err != nil {
			return nil, fmt.Errorf("target go: the spec's JSON: %w", err)
		}
	}
	// Without a length of its own the schedule decays over all steps.
	r, o := s.Train, s.Optim
	decay := s.Schedule.Decay
	if decay == 0 {
		decay = r.Steps
	}
	// One field a line, as people read it; strings are quoted, numbers print in
	// Go's shortest form.
	lines := func(pairs ...any) []jen.Code {
		var out []jen.Code
		for i := 0; i < len(pairs); i += 2 {
			v := fmt.Sprintf("%v", pairs[i+1])
			if str, ok := pairs[i+1].(string); ok {
				v = fmt.Sprintf("%q", str)
			}
			out = append(out, jen.Line().Id(fmt.Sprintf("%s: %s", pairs[i], v)))
		}
		return append(out, jen.Line())
	}
	// The recipe is data, and no code: the same trainer runs with other steps
	// or another seed by flags.
	recipe := jen.Qual(g.modelPkg(), "Recipe").Values(lines(
		"MicroBatch", r.MicroBatch, "Accum", r.Accum, "Steps", r.Steps, "Seed", r.Seed,
		"LR", o.LR, "Beta1", o.Beta1, "Beta2", o.Beta2, "Eps", o.Eps, "WeightDecay", o.WeightDecay, "Clip", o.Clip,
		"Warmup", s.Schedule.Warmup, "DecaySteps", decay, "MinRatio", s.Schedule.MinRatio,
		"EvalEvery", r.Eval.Every, "EvalBatches", r.Eval.Batches, "SaveEvery", r.SaveEvery,
		"KeepLast", r.Keep.Last, "KeepEvery", r.Keep.Every, "KeepBest", r.Keep.Best,
		"SampleEvery", r.Sample.Every, "SampleCount", r.Sample.Count, "SampleTokens", r.Sample.Tokens,
		"SamplePrompt", r.Sample.Prompt, "Temperature", r.Sample.Temperature, "TopP", r.Sample.TopP,
		"BOS", s.Tokenizer.BOS, "EOS", s.Tokenizer.EOS)...)
	mem := memory(p)
	memory := jen.Qual(g.modelPkg(), "Memory").Values(lines(mem...)...)
	fields := []jen.Code{
		jen.Line().Id("Name").Op(":").Lit(s.Name),
		jen.Line().Id("SpecFile").Op(":").Lit(g.specFile()),
		jen.Line().Id("SpecHash").Op(":").Lit(s.Hash),
		jen.Line().Id("SpecJSON").Op(":").Id("specJSON"),
		jen.Line().Id("Version").Op(":").Lit(g.in.Version),
		// Sizes that have constants are given by those.
		jen.Line().Id(fmt.Sprintf("Dim: Dim, Layers: Layers, Heads: Heads, KVHeads: KVHeads, HeadDim: %d, FFNDim: FFNDim, Vocab: Vocab, Context: Context", m.HeadDim)),
		jen.Line().Id("Architecture").Op(":").Add(g.architecture()),
		jen.Line().Id("Params").Op(":").Lit(int(p.Params())),
		// Of the model, as the papers count them: what is recomputed does not
		// count as work done.
		jen.Line().Id("FLOPsPerToken").Op(":").Lit(int(p.ModelFLOPsPerToken())),
		jen.Line().Id("Weights").Op(":").Qual(g.modelPkg(), "Layout").Call(jen.Id("baseTable")),
	}
	if e, o := m.Ends(); e != "" && o != "" {
		fields = append(fields, jen.Line().Id("Embedding").Op(":").Lit(e), jen.Line().Id("Output").Op(":").Lit(o))
		// The row of the names that an untied model of the library would use.
		const head = "output"
		if n := s.Names; e == o && o != head {
			fields = append(fields, jen.Line().Id("Head").Op(":").Qual(g.modelPkg(), "Names").Values(jen.Id(fmt.Sprintf("HF: %q, GGUF: %q, Meta: %q", n.HF[head], n.GGUF[head], n.Meta[head]))))
		}
	}
	fields = append(fields,
		jen.Line().Id("Recipe").Op(":").Add(recipe),
		jen.Line().Id("Memory").Op(":").Add(memory))
	// Only where they exist, so that packages without them keep their bytes.
	if g.masked() {
		fields = append(fields, jen.Line().Id("Masked").Op(":").True())
	}
	// A package may train, infer or do both; the commands look which.
	if p.Program("micro_step") != nil {
		fields = append(fields, jen.Line().Id("NewTrainer").Op(":").Id("NewTrainer"))
	}
	if p.Program("decode") != nil {
		fields = append(fields, jen.Line().Id("NewDecoder").Op(":").Id("NewDecoder"))
	}
	f.Comment("Info describes the model to the commands of runtime/app.")
	f.Var().Id("Info").Op("=").Qual(g.modelPkg(), "Info").Values(append(fields, jen.Line())...)
	f.Line()
	// One row a weight, layers in one row: offset and stride say where each
	// lies.
	var rows []jen.Code
	for _, w := range p.Weights {
		rows = append(rows, weightRow(w))
	}
	f.Comment("baseTable says where each weight lies: layer l's at Offset + l·Stride.")
	f.Var().Id("baseTable").Op("=").Index().Qual(g.modelPkg(), "Row").Values(append(rows, jen.Line())...)
	f.Line()
	g.weightTypes(f)
	// As text in the code: a binary needs no file beside it.
	f.Comment("specJSON is the evaluated spec.")
	f.Const().Id("specJSON").Op("=").Lit(compact.String())
	return f, nil
}
