package golang

import (
	"fmt"
	"slices"

	"github.com/dave/jennifer/jen"
)

// infer prints infer.go: the decoder over a KV cache.
//
// A decoder differs from a trainer in that sizes vary: n tokens and rows of
// logits come in one step, up to the capacities that buffers were made for.
func (g *generator) infer() (*jen.File, error) {
	p := g.in.Plan
	f := g.file()
	// N and R print as the variables of the step. All other dimensions are
	// constants.
	dec, err := g.print(p.Program("decode"), "scratch", map[string]string{"N": "n", "R": "rows"})
	if err != nil {
		return nil, err
	}
	// Capacities stand as constants, as people look for them, and as the cache
	// and its table are made of them.
	sizes := p.Sizes()
	consts := []jen.Code{
		jen.Id("maxTokens").Op("=").Lit(int(sizes["N"])).Comment("tokens of one step"),
		jen.Id("maxRows").Op("=").Lit(int(sizes["R"])).Comment("rows of logits of one step"),
		jen.Id("sequences").Op("=").Lit(int(sizes["S"])).Comment("sequences decoded together"),
		jen.Id("maxBlocks").Op("=").Lit(int(sizes["M"])).Comment("cache blocks of a sequence"),
		jen.Id("kvBlocks").Op("=").Lit(int(sizes["blocks"])).Comment("cache blocks of all sequences"),
	}
	fields := []jen.Code{
		jen.Id("dev").Op("*").Qual(g.cpu(), "Device"),
		jen.Id("params").Index().Float32(),
		jen.Id("w").Id("weights"),
		jen.Id("cache").Op("*").Qual(g.kv(), "Cache"),
	}
	// The weights may be the trainer's own arena, so that samples during
	// training cost no copy of the model; else the decoder has its own, which
	// its user fills.
	lines := []string{
		"params, err := o.Arena(arenaSize)",
		"if err != nil {",
		"return nil, err",
		"}",
		"t := &decoder{dev: cpu.New(o.Workers), params: params}",
		"t.w.bind(t.params)",
		// The cache hands out blocks and knows nothing of what they hold.
		"t.cache = kv.New(sequences, kvBlocks, kvBlock, Context, maxTokens)",
		fmt.Sprintf("act := make([]float32, %d)", p.Arena("act.infer")/4),
	}
	// Only if read: an unused table would still be computed.
	if g.readsTables(dec) {
		fields = append(fields, jen.Id("tables").Op("*").Id("tables"))
		lines = append(lines, "t.tables = newTables(t.dev)")
	}
	// The constant is needed all the same, by kv.New.
	if len(p.State) == 0 { // no attention: the cache counts tokens and holds nothing
		consts = append(consts, jen.Id("kvBlock").Op("=").Lit(16).Comment("tokens of a cache block"))
	}
	// What a forked sequence must do when a block that it shares is written to:
	// each state copies the block, in each layer.
	var copies []string
	for i, s := range p.State {
		if i == 0 {
			consts = append(consts, jen.Id("kvBlock").Op("=").Lit(int(s.Dims[3].N)).Comment("tokens of a cache block"))
		}
		name := ident(s.Name)
		// Elements of one block: all its axes but the first.
		perBlock := s.Bytes / 4 / sizes["blocks"]
		fields = append(fields, jen.Id(name).Index(jen.Id("Layers")).Index().Float32().Comment(shape(s.Dims)))
		lines = append(lines, fmt.Sprintf("for l := range t.%s {", name), fmt.Sprintf("t.%s[l] = make([]float32, kvBlocks*%d)", name, perBlock), "}")
		copies = append(copies, fmt.Sprintf("for _, x := range t.%s {", name), fmt.Sprintf("copy(x[int(c.To)*%d:][:%d], x[int(c.From)*%d:])", perBlock, perBlock, perBlock), "}")
	}
	f.Comment("Capacities.")
	f.Const().Defs(consts...)
	f.Line()
	// A field for each list of live sizes that a kernel was given.
	fields = append(fields, jen.Id("scratch").Id("decodeScratch"))
	for i, rank := range g.liveFields {
		fields = append(fields, jen.Id(fmt.Sprintf("dims%d", i)).Index(jen.Lit(rank)).Int())
	}
	f.Comment("decoder runs the program of inference over arenas that NewDecoder allocates once.")
	f.Type().Id("decoder").Struct(fields...)
	f.Line()
	scratch := g.scratchType(f, dec, "decodeScratch", "decodeScratch is what lives within one step.")
	lines = append(lines, "t.scratch = decodeScratch{")
	lines = append(lines, scratch...)
	lines = append(lines, "}", "return t, nil")
	f.Comment("NewDecoder allocates all that inference needs.")
	f.Func().Id("NewDecoder").Params(jen.Id("o").Qual(g.modelPkg(), "Options")).
		Params(jen.Qual(g.modelPkg(), "Decoder"), jen.Error()).Block(g.body(lines)...)
	f.Line()

	recv := func() *jen.Statement { return f.Func().Params(jen.Id("t").Op("*").Id("decoder")) }
	// Before the body is printed the result's place is asked for; at() also
	// notes that b is used.
	result := dec.p.at(dec.p.prog.Results[0])
	// Arguments are checked here, once a step: kernels would panic, and a
	// caller wants an error.
	step := []string{
		"if err := model.CheckStep(tokens, seqs, want, logits, maxTokens, maxRows, Vocab); err != nil {",
		"return err",
		"}",
		"pos, copies, err := t.cache.Append(seqs)",
		"if err != nil {",
		"return err",
		"}",
	}
	// Nothing is cached, so nothing needs to be copied.
	if copies == nil {
		i := slices.Index(step, "pos, copies, err := t.cache.Append(seqs)")
		step[i] = "pos, _, err := t.cache.Append(seqs)"
	} else {
		step = append(step, "for _, c := range copies {")
		step = append(step, copies...)
		step = append(step, "}")
	}
	// The logits are scratch, overwritten by the next step: they are copied
	// out.
	step = append(step, "t.decode(tokens, pos, seqs, t.cache.Table(), want)",
		"copy(logits[:len(want)*Vocab], t."+"scratch"+result[len("b"):]+")", "return nil")
	f.Comment("Step feeds tokens of sequences and writes the logits of the rows in want.")
	recv().Id("Step").Params(jen.List(jen.Id("tokens"), jen.Id("seqs"), jen.Id("want")).Index().Int32(), jen.Id("logits").Index().Float32()).Error().Block(g.body(step)...)
	f.Line()
	// In the order of the program's inputs; the call above has the same.
	var params []jen.Code
	for _, b := range dec.p.prog.Inputs {
		params = append(params, jen.Id(ident(b.Name)).Index().Int32())
	}
	// Declared only if it occurs, as Go demands.
	pre := append([]string{"n, rows := len(tokens), len(want)"}, dec.p.prelude(dec.mainU, "")...)
	if !hasWordIn(dec, "rows") {
		pre[0] = "n := len(tokens)"
	}
	f.Comment("decode computes the logits of the rows of tokens that want names.")
	recv().Id("decode").Params(params...).Block(g.body(append(pre, dec.main...))...)
	f.Line()
	g.layerMethods(f, dec, "decoder")
	f.Comment("Params is the flat arena of the weights.")
	recv().Id("Params").Params().Index().Float32().Block(jen.Return(jen.Id("t.params")))
	f.Line()
	f.Comment("Len is the number of tokens that a sequence holds.")
	recv().Id("Len").Params(jen.Id("seq").Int()).Int().Block(jen.Return(jen.Id("t.cache.Len(seq)")))
	f.Line()
	f.Comment("Reset empties a sequence.")
	recv().Id("Reset").Params(jen.Id("seq").Int()).Block(jen.Id("t.cache.Reset(seq)"))
	f.Line()
	f.Comment("Fork makes dst a copy of src that shares its cached blocks.")
	recv().Id("Fork").Params(jen.List(jen.Id("dst"), jen.Id("src")).Int()).Error().Block(jen.Return(jen.Id("t.cache.Fork(dst, src)")))
	f.Line()
	f.Comment("Close ends the workers.")
	recv().Id("Close").Params().Block(jen.Id("t.dev.Close()"))
	f.Line()
	g.declareVars(f)
	return f, nil
}

// The lines of layers do not count: their methods get the number as an
// argument.
func hasWordIn(r *printed, name string) bool {
	for _, l := range r.main {
		if hasWord(l, name) {
			return true
		}
	}
	return false
}
