package golang

import (
	"fmt"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/llamac/llamac/plan"
)

// Stored activations. Where all layers store the same, a trainer has an array
// of structs, and the layer's input is their first field:
//
//	saved [Layers + 1]saved
//
// Where layers differ, each range of layers that store the same has an array
// and a struct of its own, and the inputs, which every layer stores, are one
// list:
//
//	input  [Layers + 1][]float32
//	saved  [12]saved  // of layers 0 to 11
//	saved2 [68]saved2 // of layers 12 to 79

// blocks lists the stored blocks of the training program.
//
// Where there are several, each has its own size a layer, and the inputs are
// chained through all of them.
func (g *generator) blocks() []plan.Block {
	return g.in.Plan.Program("micro_step").Blocks(g.in.Plan.Layers())
}

// savedName is the name of the array and of the type of block i.
func savedName(i int) string {
	if i == 0 {
		return "saved"
	}
	return fmt.Sprint("saved", i+1)
}

// layersOf is a block's range in words.
func layersOf(k plan.Block) string {
	if k.To == k.From+1 {
		return fmt.Sprintf("layer %d", k.From)
	}
	return fmt.Sprintf("layers %d to %d", k.From, k.To-1)
}

// One name for a buffer in all structs of the package.
func (g *generator) savedField(b *plan.Buffer) string { return g.savedNames.get(b, b.Name) }

// savedTrainerFields are the trainer's fields for what layers store.
func (g *generator) savedTrainerFields() []jen.Code {
	blocks := g.blocks()
	if len(blocks) == 0 {
		return nil
	}
	// One more than layers: behind the last block lies the input of a layer
	// that does not exist, which is the stack's result.
	perLayer := jen.Index(jen.Id("Layers").Op("+").Lit(1))
	if len(blocks) == 1 {
		return []jen.Code{jen.Id("saved").Add(perLayer).Id("saved").Comment("the last holds x alone: what the layers return")}
	}
	out := []jen.Code{jen.Id("input").Add(perLayer).Index().Float32().Comment("what each layer reads, and what the last one returns")}
	for i, k := range blocks {
		// A block with the input alone needs no struct.
		if len(k.Buffers) > 1 {
			out = append(out, jen.Id(savedName(i)).Index(jen.Lit(k.To-k.From)).Id(savedName(i)).Comment("of "+layersOf(k)))
		}
	}
	return out
}

// savedTypes prints the structs of stored activations.
func (g *generator) savedTypes(f *jen.File) {
	blocks := g.blocks()
	for i, k := range blocks {
		doc, buffers := "saved is what the backward of one layer finds stored.", k.Buffers
		if len(blocks) > 1 {
			of := layersOf(k)
			if k.To > k.From+1 {
				of = "one of " + of
			}
			// The input is in the list of inputs, so the struct has the others.
			doc, buffers = fmt.Sprintf("%s is what the backward of %s finds stored beside its input.", savedName(i), of), k.Buffers[1:]
			if len(buffers) == 0 {
				continue
			}
		}
		var fs []jen.Code
		for _, b := range buffers {
			fs = append(fs, jen.Id(g.savedField(b)).Index().Float32().Comment(shape(b.Dims)))
		}
		f.Comment(doc)
		f.Type().Id(savedName(i)).Struct(fs...)
		f.Line()
	}
}

// savedLines point the fields into the arena act.
//
// Everything is bytes in the plan and elements here, from the arena's start. At
// run time this makes slices and allocates nothing.
func (g *generator) savedLines() []string {
	blocks := g.blocks()
	var lines []string
	// Relative to the layer's block, which a is.
	slice := func(k plan.Block, b *plan.Buffer) string {
		from := fmt.Sprintf("a[%d:]", (b.At(k.From)-k.Base)/4)
		if b.At(k.From) == k.Base {
			from = "a"
		}
		return fmt.Sprintf("%s[:%d]", from, b.Bytes/4)
	}
	for i, k := range blocks {
		// Where layer l's block begins: blocks are of one size within a
		// segment.
		rows, at := "Layers", fmt.Sprintf("l*%d", k.Bytes/4)
		buffers := k.Buffers
		if len(blocks) > 1 {
			rows, buffers = fmt.Sprint(k.To-k.From), k.Buffers[1:]
			if k.Base > 0 {
				at = fmt.Sprintf("%d+%s", k.Base/4, at)
			}
		}
		lines = append(lines, fmt.Sprintf("for l := range %s {", rows), fmt.Sprintf("a := act[%s:]", at))
		// In the list of inputs layers keep their numbers, in the segment's
		// array they count from 0.
		if len(blocks) > 1 {
			l := "l"
			if k.From > 0 {
				l = fmt.Sprintf("%d+l", k.From)
			}
			lines = append(lines, fmt.Sprintf("t.input[%s] = %s", l, slice(k, k.Buffers[0])))
		}
		if len(buffers) > 0 {
			lines = append(lines, fmt.Sprintf("t.%s[l] = %s{", savedName(i), savedName(i)))
			for _, b := range buffers {
				lines = append(lines, fmt.Sprintf("%s: %s,", g.savedField(b), slice(k, b)))
			}
			lines = append(lines, "}")
		}
		lines = append(lines, "}")
	}
	if len(blocks) == 0 {
		return nil
	}
	// The result of the stack, behind the last block.
	k := blocks[len(blocks)-1]
	end := k.Base + int64(k.To-k.From)*k.Bytes
	switch first := k.Buffers[0]; {
	case len(blocks) > 1:
		lines = append(lines, fmt.Sprintf("t.input[Layers] = act[%d:][:%d]", end/4, first.Bytes/4))
	// There is such a place only if the program stores inputs at all.
	case g.in.Plan.Program("micro_step").SavedBytes > end:
		lines = append(lines, fmt.Sprintf("t.saved[Layers].%s = act[Layers*%d:][:%d]", g.savedField(first), k.Bytes/4, first.Bytes/4))
	}
	return lines
}

// saved is the Go expression of a stored operand.
//
// It also notes what the layer's method must declare: s for this layer's
// values, next for the next one's.
func (p *printer) saved(o plan.Operand) string {
	b, blocks := o.Buffer, p.g.blocks()
	if len(blocks) > 1 {
		for i, k := range blocks {
			// Segments are told apart by their first layer.
			if k.From != b.From {
				continue
			}
			// The input comes first in each block.
			if b == k.Buffers[0] {
				return map[plan.Layer]string{plan.ThisLayer: "t.input[l]", plan.NextLayer: "t.input[l+1]", plan.FirstOne: "t.input[0]", plan.AfterLast: "t.input[Layers]"}[o.Layer]
			}
			p.uses["s"] = true
			// The struct is of layer l, and the array counts from the segment's
			// first.
			p.block = fmt.Sprintf("t.%s[l]", savedName(i))
			if k.From > 0 {
				p.block = fmt.Sprintf("t.%s[l-%d]", savedName(i), k.From)
			}
			return "s." + p.g.savedField(b)
		}
	}
	// All layers store the same: one array, and no segment to find.
	field := p.g.savedField(b)
	switch o.Layer {
	case plan.ThisLayer:
		p.uses["s"] = true
		p.block = "t.saved[l]"
		return "s." + field
	case plan.NextLayer:
		p.uses["next"] = true
		return "next." + field
	case plan.FirstOne:
		return "t.saved[0]." + field
	}
	return "t.saved[Layers]." + field
}

// savedTest prints a test of what the running program stores.
//
// The plan's numbers are derived from buffers; this measures slices of the
// running program, so that the two can disagree.
func (g *generator) savedTest(f *jen.File) {
	blocks := g.blocks()
	if len(blocks) == 0 {
		return
	}
	// A sum of lengths as an expression of Go.
	sum := func(prefix string, buffers []*plan.Buffer) string {
		var s []string
		for _, b := range buffers {
			s = append(s, fmt.Sprintf("len(%s.%s)", prefix, g.savedField(b)))
		}
		return strings.Join(s, " + ")
	}
	lines := []string{
		"m, err := NewTrainer(model.Options{Workers: 1})",
		"if err != nil {",
		"t.Fatal(err)",
		"}",
		"defer m.Close()",
	}
	if len(blocks) == 1 {
		f.Comment("TestSaved measures what the running program stores of a layer: its slices, and")
		f.Comment("how far the next layer's lie behind them.")
		lines = append(lines,
			"s := &m.(*trainer).saved[0]",
			"stored := 4 * ("+sum("s", blocks[0].Buffers)+")",
			fmt.Sprintf("if want := %d; stored != want {", g.in.Plan.Program("micro_step").Stored()),
			"t.Errorf(\"a layer stores %d bytes, the plan says %d\", stored, want)",
			"}")
	} else {
		f.Comment("TestSaved measures what the running program stores of a layer, where layers")
		f.Comment("differ, and its arena, which begins with the first layer's input.")
		// The first input begins the arena, and its capacity reaches to the end
		// of it.
		lines = append(lines,
			"s := m.(*trainer)",
			fmt.Sprintf("if arena, want := 4*cap(s.input[0]), %d; arena != want {", g.in.Plan.Arena("act.train")),
			"t.Errorf(\"the arena has %d bytes, the plan says %d\", arena, want)",
			"}",
			"for _, c := range []struct {",
			"layer, stored, want int",
			"}{")
		for i, k := range blocks {
			stored := fmt.Sprintf("len(s.input[%d])", k.From)
			if len(k.Buffers) > 1 {
				stored += " + " + sum(fmt.Sprintf("s.%s[0]", savedName(i)), k.Buffers[1:])
			}
			var want int64
			for _, b := range k.Buffers {
				want += b.Bytes
			}
			lines = append(lines, fmt.Sprintf("{%d, 4 * (%s), %d},", k.From, stored, want))
		}
		lines = append(lines,
			"} {",
			"if c.stored != c.want {",
			"t.Errorf(\"layer %d stores %d bytes, the plan says %d\", c.layer, c.stored, c.want)",
			"}",
			"}")
	}
	f.Func().Id("TestSaved").Params(jen.Id("t").Op("*").Qual("testing", "T")).Block(g.body(lines)...)
}
