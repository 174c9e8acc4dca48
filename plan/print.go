package plan

import (
	"fmt"
	"strings"

	"github.com/llamac/llamac/ir"
)

// String is the text form of the plan. Parse reads it back; printing the
// result gives the same bytes. The line of the IR that a launch computes stands
// above it as a comment.
// All order comes from the plan's lists, so equal plans have equal text; generated
// folders hold it as plan.txt, where a change shows as a diff. The forms are shown
// at the functions of parse.go that read them.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "plan %s\n", p.Name)
	for _, d := range p.Dims {
		word := "="
		// A capacity: any size up to it may come.
		if !d.Fixed {
			word = "<="
		}
		fmt.Fprintf(&b, "dim %s %s %d\n", d.Name, word, d.Size)
	}
	for _, a := range p.Arenas {
		fmt.Fprintf(&b, "arena %s bytes %d\n", a.Name, a.Bytes)
	}
	for _, w := range p.Weights {
		fmt.Fprintf(&b, "weight $%s: %s at %d", w.Name, constType(w.DType, w.Dims), w.Offset)
		if w.Layers > 0 {
			fmt.Fprintf(&b, " + l*%d layers %d", w.Stride, w.Layers)
		}
		if w.Layout != ir.RowMajor {
			fmt.Fprintf(&b, " layout %s", w.Layout)
		}
		if w.Decay {
			b.WriteString(" decay")
		}
		// The name in the weights' table of the member that follows.
		if w.Pack != "" {
			fmt.Fprintf(&b, " before $%s", w.Pack)
		}
		b.WriteByte('\n')
	}
	for _, s := range p.State {
		fmt.Fprintf(&b, "state !%s: %s layers %d bytes %d\n", s.Name, ir.Type{DType: s.DType, Dims: s.Dims}, s.Layers, s.Bytes)
	}
	for _, q := range p.Programs {
		b.WriteByte('\n')
		q.print(&b)
	}
	return b.String()
}

// constType is a weight's type, whose dimensions are numbers, as ir prints it.
func constType(d ir.DType, dims []int64) string {
	t := ir.Type{DType: d}
	for _, n := range dims {
		t.Dims = append(t.Dims, ir.Const(n))
	}
	return t.String()
}

// Inputs come before other buffers, so that a reader knows what is handed in.
func (q *Program) print(b *strings.Builder) {
	fmt.Fprintf(b, "program %s in %s saved %d a layer %d in all scratch %d {\n", q.Name, q.Arena, q.SavedPerLayer, q.SavedBytes, q.ScratchBytes)
	for _, x := range q.Inputs {
		x.print(b)
	}
	for _, x := range q.Buffers {
		x.print(b)
	}
	printItems(b, q.Items, "  ")
	if len(q.Results) > 0 {
		fmt.Fprintf(b, "  return %s\n", operands(q.Results))
	}
	b.WriteString("}\n")
}

// The order is that in which parse.go asks: each part is optional there.
func (x *Buffer) print(b *strings.Builder) {
	fmt.Fprintf(b, "  buffer %%%s: %s %s", x.Name, ir.Type{DType: x.DType, Dims: x.Dims}, x.Region)
	// Inputs lie wherever the caller has them.
	if x.Region != Input {
		fmt.Fprintf(b, " at %d", x.Offset)
	}
	// Only stored buffers have a copy for each layer.
	if x.Stride != 0 {
		fmt.Fprintf(b, " + l*%d", x.Stride)
	}
	// Without a range it belongs to all layers.
	if x.To > 0 {
		fmt.Fprintf(b, " layers [%d, %d)", x.From, x.To)
	}
	fmt.Fprintf(b, " bytes %d", x.Bytes)
	// Tables stay, so they have no life to tell.
	if x.Region == Scratch || x.Region == Saved {
		fmt.Fprintf(b, " lives [%d, %d]", x.First, x.Last)
	}
	if x.Values != nil {
		fmt.Fprintf(b, " values %s", ir.FormatAttr(x.Values))
	}
	b.WriteByte('\n')
}

// Bodies of loops are set in by two more blanks, for readers alone.
func printItems(b *strings.Builder, items []Item, in string) {
	for _, it := range items {
		switch x := it.(type) {
		case *Launch:
			x.print(b, in)
		case *Loop:
			order := "up"
			if x.Reverse {
				order = "down"
			}
			fmt.Fprintf(b, "%sloop @%s l in [%d, %d) %s {\n", in, x.Func, x.From, x.To, order)
			printItems(b, x.Body, in+"  ")
			fmt.Fprintf(b, "%s}\n", in)
		case *Copy:
			fmt.Fprintf(b, "%scopy %s = %s\n", in, x.Dst, x.Src)
		case *Comm:
			// Both lines of a collective carry the same signal.
			verb := "start"
			if x.Wait {
				verb = "wait"
			}
			fmt.Fprintf(b, "%s%s %s %s = %s%s signal %d\n", in, verb, x.Op, x.Dst, x.Src, attrs(x.Op, x.Attrs), x.Signal)
		}
	}
}

// Zeros at the end are left out, one by one.
func (x *Launch) print(b *strings.Builder, in string) {
	// Parse gives it back as Text, so that printing again gives the same bytes.
	if x.Text != "" {
		fmt.Fprintf(b, "%s// %s\n", in, x.Text)
	}
	// The node's name first: by it one finds the launch from the IR.
	fmt.Fprintf(b, "%slaunch %s %s(%s)", in, x.Name, x.Op, operands(x.Args))
	if len(x.Results) > 0 {
		fmt.Fprintf(b, " -> (%s)", operands(x.Results))
	}
	b.WriteString(attrs(x.Op, x.Attrs))
	// Moves and constants have none.
	if x.FLOPs > 0 {
		fmt.Fprintf(b, " flops %d", x.FLOPs)
	}
	if x.Stream != 0 {
		fmt.Fprintf(b, " stream %d", x.Stream)
	}
	for _, w := range x.Waits {
		fmt.Fprintf(b, " wait %d", w)
	}
	if x.Signal != 0 {
		fmt.Fprintf(b, " signal %d", x.Signal)
	}
	b.WriteByte('\n')
}

// attrs prints attributes in the order of the op's row.
// The row's order and not the map's, which is random.
func attrs(op string, a ir.Attrs) string {
	var s []string
	if row := attrRow(op); row != nil {
		for _, spec := range row.Attrs {
			if v, ok := a[spec.Name]; ok {
				s = append(s, spec.Name+" = "+ir.FormatAttr(v))
			}
		}
	}
	if s == nil {
		return ""
	}
	return " {" + strings.Join(s, ", ") + "}"
}

// attrRow is the row of the op table that declares a launch's attributes.
// kv_write is a part of attention_kv that has a launch of its own and no row: it
// writes the new keys and values to the cache.
func attrRow(op string) *ir.Op {
	if op == "kv_write" {
		op = "attention_kv"
	}
	return ir.Lookup(op)
}

// operands is what stands between the brackets of a launch.
func operands(os []Operand) string {
	s := make([]string, len(os))
	for i, o := range os {
		s[i] = o.String()
	}
	return strings.Join(s, ", ")
}

// String is the operand's place: a buffer with its layer, columns and row
// distance, a weight or its gradient, state, or a number; then the shape, and
// what happens to it if it is not only read.
// Of a weight in a pack all members are named, as one operand: $wq & $wk & $wv.
func (o Operand) String() string {
	var b strings.Builder
	switch o.Kind {
	case Absent:
		return "_"
	case Immediate:
		// A number with axes of size 1: of rank 0 it needs no type.
		if o.Type.Rank() > 0 {
			return ir.FormatAttr(o.Value) + ": " + o.Type.String()
		}
		return ir.FormatAttr(o.Value)
	// The sign says whose memory it is: a weight's own, or that of its gradient.
	case InWeights, InGrads:
		if o.Kind == InGrads {
			b.WriteString("grad ")
		}
		for i, w := range o.Weight {
			if i > 0 {
				b.WriteString(" & ")
			}
			b.WriteString("$" + w.Name)
		}
	case InState:
		b.WriteString("!" + o.State.Name)
	case InBuffer:
		b.WriteString("%" + o.Buffer.Name)
	}
	// Behind the last weight of a pack, for all of them.
	if o.Layer != NoLayer {
		fmt.Fprintf(&b, "[%s]", o.Layer)
	}
	if o.Ld > 0 {
		fmt.Fprintf(&b, " columns %d of %d", o.Col, o.Ld)
	}
	// A name that is the place's own is not repeated.
	if o.Kind == InBuffer && o.Name != o.Buffer.Name || len(o.Weight) > 1 {
		fmt.Fprintf(&b, " as %s", o.Name)
	}
	fmt.Fprintf(&b, ": %s", o.Type)
	if o.Mode != Read {
		fmt.Fprintf(&b, " %s", o.Mode)
	}
	return b.String()
}
