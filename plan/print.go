package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/llamac/llamac/ir"
)

// String is the text form of the plan.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "plan %s\n", p.Name)
	for _, d := range p.Dims {
		word := "="
		if !d.Fixed {
			word = "<="
		}
		fmt.Fprintf(&b, "dim %s %s %d\n", d.Name, word, d.Size)
	}
	for _, a := range p.Arenas {
		fmt.Fprintf(&b, "arena %s %d\n", a.Name, a.Bytes)
	}
	for _, w := range p.Weights {
		fmt.Fprintf(&b, "weight $%s: %s at %d", w.Name, constType(w.DType, w.Dims), w.Offset)
		if w.Layers > 0 {
			fmt.Fprintf(&b, " + l*%d, l < %d", w.Stride, w.Layers)
		}
		if w.Layout != ir.RowMajor {
			fmt.Fprintf(&b, " layout %s", w.Layout)
		}
		if w.Decay {
			b.WriteString(" decay")
		}
		if w.Pack != "" {
			fmt.Fprintf(&b, " before $%s", w.Pack)
		}
		b.WriteByte('\n')
	}
	for _, s := range p.State {
		fmt.Fprintf(&b, "state !%s: %s of %d, %d bytes a layer\n", s.Name, ir.Type{DType: s.DType, Dims: s.Dims}, s.Layers, s.Bytes)
	}
	for _, q := range p.Programs {
		b.WriteByte('\n')
		q.print(&b)
	}
	return b.String()
}

func constType(d ir.DType, dims []int64) string {
	t := ir.Type{DType: d}
	for _, n := range dims {
		t.Dims = append(t.Dims, ir.Const(n))
	}
	return t.String()
}

func (q *Program) print(b *strings.Builder) {
	fmt.Fprintf(b, "program %s in %s: saved %d a layer, %d in all, scratch %d\n", q.Name, q.Arena, q.SavedPerLayer, q.SavedBytes, q.ScratchBytes)
	buffer := func(x *Buffer) {
		fmt.Fprintf(b, "  buffer %s: %s %s", x.Name, ir.Type{DType: x.DType, Dims: x.Dims}, x.Region)
		if x.Region != Input {
			fmt.Fprintf(b, " at %d", x.Offset)
		}
		if x.Stride != 0 {
			fmt.Fprintf(b, " + l*%d", x.Stride)
		}
		fmt.Fprintf(b, ", %d bytes", x.Bytes)
		if x.Region == Scratch {
			fmt.Fprintf(b, ", lives [%d, %d]", x.First, x.Last)
		}
		b.WriteByte('\n')
	}
	for _, x := range q.Inputs {
		buffer(x)
	}
	for _, x := range q.Buffers {
		buffer(x)
	}
	printItems(b, q.Items, "  ")
	if len(q.Results) > 0 {
		fmt.Fprintf(b, "  return %s\n", operands(q.Results))
	}
}

func printItems(b *strings.Builder, items []Item, in string) {
	for _, it := range items {
		switch x := it.(type) {
		case *Launch:
			b.WriteString(in)
			if len(x.Results) > 0 {
				fmt.Fprintf(b, "%s = ", operands(x.Results))
			}
			fmt.Fprintf(b, "%s(%s)%s", x.Op, operands(x.Args), attrs(x.Attrs))
			if x.FLOPs > 0 {
				fmt.Fprintf(b, " flops %d", x.FLOPs)
			}
			if x.Stream != 0 {
				fmt.Fprintf(b, " stream %d", x.Stream)
			}
			if len(x.Waits) > 0 {
				fmt.Fprintf(b, " waits %v", x.Waits)
			}
			if x.Signal != 0 {
				fmt.Fprintf(b, " signal %d", x.Signal)
			}
			b.WriteByte('\n')
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
			verb := "start"
			if x.Wait {
				verb = "wait"
			}
			fmt.Fprintf(b, "%s%s %s %s = %s%s signal %d\n", in, verb, x.Op, x.Dst, x.Src, attrs(x.Attrs), x.Signal)
		}
	}
}

func attrs(a ir.Attrs) string {
	if len(a) == 0 {
		return ""
	}
	var s []string
	for k := range a {
		s = append(s, k)
	}
	slices.Sort(s)
	for i, k := range s {
		s[i] = k + " = " + ir.FormatAttr(a[k])
	}
	return " {" + strings.Join(s, ", ") + "}"
}

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
func (o Operand) String() string {
	var b strings.Builder
	switch o.Kind {
	case Absent:
		return "_"
	case Immediate:
		return strconv.FormatFloat(o.Value, 'g', -1, 64)
	case InWeights, InGrads:
		if o.Kind == InGrads {
			b.WriteString("grad ")
		}
		for i, w := range o.Weight {
			if i > 0 {
				b.WriteString("&")
			}
			b.WriteString("$" + w.Name)
		}
	case InState:
		b.WriteString("!" + o.State.Name)
	case InBuffer:
		b.WriteString(o.Buffer.Name)
	}
	if o.Layer != NoLayer {
		fmt.Fprintf(&b, "[%s]", o.Layer)
	}
	if o.Ld > 0 {
		fmt.Fprintf(&b, " columns %d of %d", o.Col, o.Ld)
	}
	fmt.Fprintf(&b, ": %s", o.Type)
	if o.Mode != Read {
		fmt.Fprintf(&b, " %s", o.Mode)
	}
	return b.String()
}
