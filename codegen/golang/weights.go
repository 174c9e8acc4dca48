package golang

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/llamac/llamac/plan"
	"github.com/llamac/llamac/runtime/model"
)

// nameWeights finds the views over weights that the programs read: a field for
// each weight, or for a pack the field of the pack.
//
// A pack's weights lie one behind the other, so that one slice over all of them
// is the matrix that the launch multiplies with.
func (g *generator) nameWeights() {
	seen := map[string]bool{}
	// Of one weight no view has to be invented; of a pack the first operand
	// names it.
	see := func(o plan.Operand) {
		if o.Kind != plan.InWeights && o.Kind != plan.InGrads || len(o.Weight) < 2 || seen[o.Name] {
			return
		}
		seen[o.Name] = true
		g.packs = append(g.packs, packField{o.Name, o.Weight})
	}
	for _, q := range g.in.Plan.Programs {
		q.Walk(func(it plan.Item) {
			if l, ok := it.(*plan.Launch); ok {
				for _, o := range l.Args {
					see(o)
				}
				for _, o := range l.Results {
					see(o)
				}
			}
		})
	}
}

// scope is where a weight's field stands: in weights or in layer.
//
// Weights of layers are fields of layer, all others of weights.
func (g *generator) scope(w *plan.Weight) *names {
	if w.Layers > 0 {
		return g.layerNames
	}
	return g.weightNames
}

// weightField is the field that an operand reads.
func (g *generator) weightField(o plan.Operand) string {
	return g.scope(o.Weight[0]).get(o.Name, o.Name)
}

// view is one field: its name, where it starts and how long it is.
type view struct {
	field, comment string
	first          *plan.Weight
	elems          int64
}

// views lists the fields of weights (layers false) or of one layer.
//
// Packs come first, then weights that some launch reads by themselves. A weight
// may be both: a program that could not pack reads it alone.
func (g *generator) views(layers bool) []view {
	var out []view
	packed := map[*plan.Weight]bool{}
	// Packs never mix weights inside and outside of layers.
	for _, p := range g.packs {
		if (p.weights[0].Layers > 0) != layers {
			continue
		}
		var n, rows int64
		var parts []string
		for _, w := range p.weights {
			packed[w] = true
			n += w.Elems()
			rows += w.Dims[0]
			// In the comment the last part of each name is enough.
			parts = append(parts, w.Name[strings.LastIndexByte(w.Name, '.')+1:])
		}
		out = append(out, view{g.scope(p.weights[0]).get(p.name, p.name),
			fmt.Sprintf("[%d, %d] rows of %s", rows, p.weights[0].Dims[1], strings.Join(parts, ", ")), p.weights[0], n})
	}
	used := g.usedAlone()
	for _, w := range g.in.Plan.Weights {
		if (w.Layers > 0) == layers && (!packed[w] || used[w.Name]) {
			out = append(out, view{g.scope(w).get(w.Name, w.Name), strings.ReplaceAll(fmt.Sprint(w.Dims), " ", ", "), w, w.Elems()})
		}
	}
	return out
}

// usedAlone is the set of weights that some launch reads by themselves.
//
// Gradients count as well, as they use the same struct.
func (g *generator) usedAlone() map[string]bool {
	used := map[string]bool{}
	for _, q := range g.in.Plan.Programs {
		q.Walk(func(it plan.Item) {
			if l, ok := it.(*plan.Launch); ok {
				for _, o := range append(append([]plan.Operand(nil), l.Args...), l.Results...) {
					if len(o.Weight) == 1 {
						used[o.Name] = true
					}
				}
			}
		})
	}
	return used
}

// weightTypes prints the types weights and layer and the function that points
// them into a flat arena.
//
// Two structs of slices: one over the parameters, one over the gradients, made
// by the same function from the same layout.
func (g *generator) weightTypes(f *jen.File) {
	layers := g.in.Plan.Layers()
	fields := func(vs []view) []jen.Code {
		var out []jen.Code
		for _, v := range vs {
			out = append(out, jen.Id(v.field).Index().Float32().Comment(v.comment))
		}
		return out
	}
	top, inner := g.views(false), g.views(true)
	fs := fields(top)
	if layers > 0 {
		fs = append(fs, jen.Id("layers").Index(jen.Id("Layers")).Id("layer"))
	}
	f.Comment("weights are views of a flat arena: of the parameters, or of their gradients,")
	f.Comment("which have the same layout. Layers lie in reverse order, as the backward")
	f.Comment("finishes their gradients.")
	f.Type().Id("weights").Struct(fs...)
	f.Line()
	if layers > 0 {
		f.Comment("layer is the weights of one layer.")
		f.Type().Id("layer").Struct(fields(inner)...)
		f.Line()
	}
	// Offsets count elements from the arena's start, which all four arenas
	// share.
	var lines []string
	for _, v := range top {
		lines = append(lines, fmt.Sprintf("w.%s = arena[%d:][:%d]", v.field, v.first.Offset, v.elems))
	}
	if len(inner) > 0 { // layers may have no weights
		// Layers lie from the last to the first, so that the stride is
		// negative: layer l is (Layers-1-l) blocks from the base, which is
		// where the last layer begins.
		stride := -inner[0].first.Stride
		base := int64(1) << 62
		for _, v := range inner {
			base = min(base, v.first.At(v.first.Layers-1))
		}
		lines = append(lines, "for l := range w.layers {",
			fmt.Sprintf("a := arena[%d+(Layers-1-l)*%d:]", base, stride),
			"w.layers[l] = layer{")
		for _, v := range inner {
			// Relative to the layer's block.
			at := v.first.At(v.first.Layers-1) - base
			if at == 0 {
				lines = append(lines, fmt.Sprintf("%s: a[:%d],", v.field, v.elems))
			} else {
				lines = append(lines, fmt.Sprintf("%s: a[%d:][:%d],", v.field, at, v.elems))
			}
		}
		lines = append(lines, "}", "}")
	}
	f.Comment("bind points the views into an arena of arenaSize numbers.")
	f.Func().Params(jen.Id("w").Op("*").Id("weights")).Id("bind").Params(jen.Id("arena").Index().Float32()).Block(g.body(lines)...)
	f.Line()
}

// decayRanges prints the ranges of the arena by whether weight decay applies.
//
// Neighbours with the same answer are one range, so that a small model has few
// calls of AdamW.
func (g *generator) decayRanges(f *jen.File) {
	merged := g.in.Plan.DecayRanges()
	perLayer := slices.ContainsFunc(g.in.Plan.Weights, func(w *plan.Weight) bool { return w.Layers > 0 })
	// Few ranges are clearest as a list. A deep model would have many, which
	// follow from those of one layer.
	if len(merged) <= 12 || !perLayer {
		var rows []jen.Code
		for _, s := range merged {
			rows = append(rows, jen.Line().Values(jen.Id(fmt.Sprintf("%d, %d, %v", s.From, s.To, s.Decay))))
		}
		rows = append(rows, jen.Line())
		f.Comment("decayRanges cuts the arena by whether weight decay applies.")
		f.Var().Id("decayRanges").Op("=").Index().Id("decayRange").Values(rows...)
	} else {
		g.decayByLayer(f)
	}
	f.Line()
	f.Type().Id("decayRange").Struct(jen.List(jen.Id("from"), jen.Id("to")).Int(), jen.Id("decay").Bool())
	f.Line()
}

// decayByLayer prints the ranges of a deep model as those of one layer.
func (g *generator) decayByLayer(f *jen.File) {
	var top, inner []jen.Code
	// The base is where the last layer's block begins, the lowest of all.
	var base int64 = 1 << 62
	var stride int64
	for _, w := range g.in.Plan.Weights {
		if w.Layers > 0 {
			base, stride = min(base, w.At(w.Layers-1)), -w.Stride
		}
	}
	for _, w := range g.in.Plan.Weights {
		if w.Layers > 0 {
			at := w.At(w.Layers-1) - base
			inner = append(inner, jen.Line().Values(jen.Id(fmt.Sprintf("%d, %d, %v", at, at+w.Elems(), w.Decay))))
		} else {
			top = append(top, jen.Line().Values(jen.Id(fmt.Sprintf("%d, %d, %v", w.Offset, w.Offset+w.Elems(), w.Decay))))
		}
	}
	f.Comment("decayRanges cuts the arena by whether weight decay applies.")
	// A function that is called once, when the program starts.
	f.Var().Id("decayRanges").Op("=").Func().Params().Index().Id("decayRange").Block(g.body([]string{
		"rs := topDecay",
		"for l := range Layers {",
		"for _, r := range layerDecay {",
		fmt.Sprintf("at := %d + l*%d", base, stride),
		"rs = append(rs, decayRange{at + r.from, at + r.to, r.decay})",
		"}",
		"}",
		"return rs",
	})...).Call()
	f.Line()
	f.Var().Defs(
		jen.Id("topDecay").Op("=").Index().Id("decayRange").Values(append(top, jen.Line())...),
		jen.Id("layerDecay").Op("=").Index().Id("decayRange").Values(append(inner, jen.Line())...),
	)
}

// weightRow prints a weight's line of the base table.
//
// Offsets are those of layer 0. Names in other formats stand in the row, for
// reading and writing their files.
func weightRow(w *plan.Weight) jen.Code {
	name := w.Name
	if w.Layers > 0 {
		name = model.InLayers(name)
	}
	var dims []string
	for _, d := range w.Dims {
		dims = append(dims, fmt.Sprint(d))
	}
	s := fmt.Sprintf("Name: %q, Shape: []int{%s}, Offset: %d, Init: model.Init{Kind: %q, Std: %v}", name, strings.Join(dims, ", "), w.Offset, w.Of.Init.Kind, w.Of.Init.Std)
	if w.Decay {
		s += ", Decay: true"
	}
	for _, k := range [][2]string{{"hf", "HF"}, {"gguf", "GGUF"}, {"meta", "Meta"}} {
		if n := w.Of.Names[k[0]]; n != "" {
			s += fmt.Sprintf(", %s: %q", k[1], n)
		}
	}
	if w.Of.Rope != "" {
		s += fmt.Sprintf(", Rope: %q, RopeHeads: %d", w.Of.Rope, w.Of.Heads)
	}
	row := "{Weight: model.Weight{" + s + "}"
	if w.Layers > 0 {
		row += fmt.Sprintf(", Layers: Layers, Stride: %d", w.Stride)
	}
	return jen.Line().Id(row + "}")
}
