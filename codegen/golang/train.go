package golang

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/llamac/llamac/plan"
)

// train prints train.go: the trainer, its buffers and its programs.
//
// The three programs share weights, arenas and the device, and differ in their
// scratch.
func (g *generator) train() (*jen.File, error) {
	p := g.in.Plan
	f := g.file()
	// All are printed before anything is declared: which tables, views and
	// variables exist follows from their lines.
	step, err := g.print(p.Program("micro_step"), "step", nil)
	if err != nil {
		return nil, err
	}
	eval, err := g.print(p.Program("eval"), "eval", nil)
	if err != nil {
		return nil, err
	}
	update, err := g.print(p.Program("update"), "update", nil)
	if err != nil {
		return nil, err
	}
	tables := g.readsTables(step) || g.readsTables(eval)
	// Sizes are constants: a micro-batch has one shape, and the compiler of Go
	// can fold what is made of it.
	sizes := p.Sizes()
	f.Comment("One micro-batch.")
	f.Const().Defs(
		jen.Id("B").Op("=").Lit(int(sizes["B"])).Comment("sequences"),
		jen.Id("T").Op("=").Lit(int(sizes["T"])).Comment("tokens of a sequence"),
	)
	f.Line()
	f.Comment("trainer runs the programs of training over arenas that NewTrainer allocates")
	f.Comment("once; see plan.txt for where each buffer lies.")
	// Fields stand in the order in which people ask for them: the device, the
	// flat arenas, views of them, scratch, what layers store, tables.
	fields := []jen.Code{
		jen.Id("dev").Op("*").Qual(g.cpu(), "Device"),
		jen.Line(),
		jen.List(jen.Id("params"), jen.Id("grads"), jen.Id("moment1"), jen.Id("moment2")).Index().Float32(),
		jen.Id("w").Id("weights").Comment("of params"),
		jen.Id("g").Id("weights").Comment("of grads"),
		jen.Line(),
		jen.Id("step").Id("stepScratch"),
		jen.Id("eval").Id("evalScratch"),
	}
	fields = append(fields, g.savedTrainerFields()...)
	if tables {
		fields = append(fields, jen.Id("tables").Op("*").Id("tables"))
	}
	f.Type().Id("trainer").Struct(fields...)
	f.Line()

	g.savedTypes(f)
	// Both point into one arena: micro_step and eval never run at the same
	// time.
	stepLines := g.scratchType(f, step, "stepScratch", "// stepScratch is what lives within one micro-batch. Buffers whose lives do not\n// meet share memory.")
	evalLines := g.scratchType(f, eval, "evalScratch", "evalScratch is the same for Eval.")
	g.newTrainer(f, stepLines, evalLines, tables)
	g.trainerMethods(f, step, eval, update)
	g.traceVar(f, step, "stepTrace")
	g.decayRanges(f)
	g.declareVars(f)
	return f, nil
}

// Everything that training needs is allocated here, once, and steps allocate
// nothing; modeltest measures that.
func (g *generator) newTrainer(f *jen.File, stepLines, evalLines []string, tables bool) {
	p := g.in.Plan
	lines := []string{
		"t := &trainer{dev: cpu.New(o.Workers)}",
		"t.params, t.grads = make([]float32, arenaSize), make([]float32, arenaSize)",
		"t.moment1, t.moment2 = make([]float32, arenaSize), make([]float32, arenaSize)",
		"t.w.bind(t.params)",
		"t.g.bind(t.grads)",
		// One arena of activations: stored blocks from its start, scratch above
		// them, as the plan has placed it.
		fmt.Sprintf("act := make([]float32, %d)", p.Arena("act.train")/4),
	}
	lines = append(lines, g.savedLines()...)
	lines = append(lines, "t.step = stepScratch{")
	lines = append(lines, stepLines...)
	lines = append(lines, "}", "t.eval = evalScratch{")
	lines = append(lines, evalLines...)
	lines = append(lines, "}")
	if tables {
		lines = append(lines, "t.tables = newTables(t.dev)")
	}
	lines = append(lines, "return t, nil")
	f.Comment("NewTrainer allocates all that training needs.")
	f.Func().Id("NewTrainer").Params(jen.Id("o").Qual(g.modelPkg(), "Options")).
		Params(jen.Qual(g.modelPkg(), "Trainer"), jen.Error()).Block(g.body(lines)...)
	f.Line()
}

// inputs declares the parts of a batch that a program reads.
//
// A batch has more than a program may read: only a model that masks documents
// reads where they begin.
func (r *printed) inputs() []string {
	var names, fields []string
	for _, b := range r.p.prog.Inputs {
		if name := ident(b.Name); hasWord(strings.Join(r.main, "\n"), name) {
			names = append(names, name)
			// A field of model.Batch is the input's name in upper case: tokens
			// is in.Tokens.
			fields = append(fields, "in."+strings.ToUpper(name[:1])+name[1:])
		}
	}
	if names == nil {
		return nil
	}
	return []string{strings.Join(names, ", ") + " := " + strings.Join(fields, ", ")}
}

// masked reports that training reads where the documents of its sequences begin.
//
// Then Batch.Starts must be there, and the data set is opened for it.
func (g *generator) masked() bool {
	p := g.in.Plan.Program("micro_step")
	return p != nil && slices.ContainsFunc(p.Inputs, func(b *plan.Buffer) bool { return b.Name == "starts" })
}

func (g *generator) trainerMethods(f *jen.File, step, eval, update *printed) {
	recv := func() *jen.Statement { return f.Func().Params(jen.Id("t").Op("*").Id("trainer")) }
	in := jen.Id("in").Qual(g.modelPkg(), "Batch")
	// A program of training has one result, the loss.
	result := func(r *printed) string { return "return " + r.p.at(r.p.prog.Results[0]) + "[0]" }

	// The prelude comes behind the inputs, as mode and b may be used by any
	// line.
	lines := slices.Concat([]string{"in.Check(B*T, Vocab)"}, step.inputs(), step.p.prelude(step.mainU, ""))
	// Overwriting replaces clearing: the first micro-batch of a step finds
	// whatever the last step left.
	if step.mainU["mode"] {
		lines = append(lines, "mode := cpu.Accumulate", "if first {", "mode = cpu.Overwrite", "}")
	}
	lines = append(lines, step.main...)
	lines = append(lines, result(step))
	f.Comment("MicroStep runs forward and backward over one micro-batch and returns its mean")
	f.Comment("loss in nats per token. The first of a step overwrites the gradients.")
	recv().Id("MicroStep").Params(in.Clone(), jen.Id("first").Bool()).Float32().Block(g.body(lines)...)
	f.Line()
	g.layerMethods(f, step, "trainer")

	lines = slices.Concat([]string{"in.Check(B*T, Vocab)"}, eval.inputs(), eval.p.prelude(eval.mainU, ""), eval.main)
	f.Comment("Eval returns the mean loss of one micro-batch in nats per token.")
	recv().Id("Eval").Params(in.Clone()).Float32().Block(g.body(append(lines, result(eval)))...)
	f.Line()
	g.layerMethods(f, eval, "trainer")

	// The update is two launches: the norm over the gradients' arena, and AdamW
	// range by range.
	lines = append(update.p.prelude(map[string]bool{"d": true}, ""), update.main...)
	f.Comment("Update applies one AdamW step and returns the global norm of the gradients")
	f.Comment("before clipping.")
	recv().Id("Update").Params(jen.Id("h").Qual(g.modelPkg(), "Hyper")).Float64().Block(g.body(append(lines, "return norm"))...)
	f.Line()

	// The step is run with a watch on every kernel, and the number of the first
	// launch that was not finite leads to a name by way of the trace.
	// Afterwards the gradients are those of this micro-batch.
	f.Comment("Diagnose runs MicroStep once more and names the first node with a result that")
	f.Comment("is not finite.")
	recv().Id("Diagnose").Params(in.Clone()).String().Block(g.body([]string{
		"found := \"\"",
		"t.dev.Watch(func(launch int, kernel string, finite bool) {",
		"if !finite && found == \"\" {",
		"found = stepTrace.Name(launch)",
		"}",
		"})",
		"t.MicroStep(in, true)",
		"t.dev.Watch(nil)",
		"return found",
	})...)
	f.Line()
	f.Comment("Params is the flat arena of the weights.")
	recv().Id("Params").Params().Index().Float32().Block(jen.Return(jen.Id("t.params")))
	f.Line()
	f.Comment("Grads is the flat arena of the gradients.")
	recv().Id("Grads").Params().Index().Float32().Block(jen.Return(jen.Id("t.grads")))
	f.Line()
	f.Comment("Moments are the flat arenas of AdamW's first and second moments.")
	recv().Id("Moments").Params().Params(jen.List(jen.Id("m"), jen.Id("v")).Index().Float32()).Block(jen.Return(jen.Id("t.moment1"), jen.Id("t.moment2")))
	f.Line()
	f.Comment("Counters reports what the kernels did since the last call.")
	recv().Id("Counters").Params().Map(jen.String()).Int64().Block(jen.Return(jen.Id("t.dev.Counters()")))
	f.Line()
	f.Comment("Close ends the workers.")
	recv().Id("Close").Params().Block(jen.Id("t.dev.Close()"))
	f.Line()
}
