package golang

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/plan"
)

// They are what a graph is left with where no fusion applied, and the tables of
// constants are made of them.
// The primitive ops: any block that a spec can write has kernels, if not fast
// ones. Numbers that are not parameters are held as float32, truth values as
// 0 and 1.

func init() {
	// Elementwise ops need no line of their own here: their kernels are called
	// by the op's name, so that a new row of the op table has a kernel as soon
	// as runtime/cpu has the function.
	for _, op := range ir.Ops {
		switch name := exported(op.Name); {
		case op.Elementwise && len(op.Operands) == 1:
			kernels[op.Name] = func(p *printer, l *plan.Launch) error { return unary(p, l, name) }
		case op.Elementwise && len(op.Operands) == 2:
			kernels[op.Name] = func(p *printer, l *plan.Launch) error { return binary(p, l, name) }
		}
	}
	for op, name := range map[string]string{"reduce_sum": "Sum", "reduce_mean": "Mean", "reduce_max": "Max"} {
		kernels[op] = func(p *printer, l *plan.Launch) error { return reduce(p, l, name) }
	}
	kernels["where"] = where
	kernels["softmax"] = softmax
	kernels["softmax_grad"] = softmaxGrad
	kernels["cast"] = cast
	kernels["iota"] = iota_
	kernels["const"] = constant
	kernels["transpose"] = moves
	kernels["broadcast"] = broadcast
	kernels["slice"] = moves
	kernels["pad"] = pad
	kernels["concat"] = moves
}

// exported is the constant of runtime/cpu for an elementwise op: less_equal is
// LessEqual.
//
// The names agree by rule, and a test of runtime/cpu holds them to it.
func exported(op string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(op, "_") {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

func unary(p *printer, l *plan.Launch, name string) error {
	x, y := l.Args[0], l.Results[0]
	n := p.count(y.Type)
	p.call(l, "Unary", "cpu."+name, p.sliced(y, n), p.sliced(x, n))
	return nil
}

// ints prints a list of sizes as a slice that is not made at every launch:
// a variable of the package where all are numbers, else a field that is
// filled before the call.
//
// Only sizes that are the same at every call may be variables of the package.
func (p *printer) ints(dims []ir.Dim) string {
	var parts []string
	fixed := true
	for _, d := range dims {
		e := p.dim(d)
		parts = append(parts, e)
		// Does one of the live sizes occur in it?
		for _, plain := range p.live {
			fixed = fixed && !slices.Contains(strings.Split(e, "*"), plain)
		}
	}
	list := strings.Join(parts, ", ")
	if fixed {
		return p.g.shapeVar(list)
	}
	name := p.g.liveShape(len(dims))
	p.line("t.%s = [%d]int{%s}", name, len(dims), list)
	return "t." + name + "[:]"
}

// From the special to the general: a number on one side, a sum of equal shapes,
// and broadcasting by strides.
func binary(p *printer, l *plan.Launch, name string) error {
	a, b, y := l.Args[0], l.Args[1], l.Results[0]
	n := p.count(y.Type)
	switch {
	case b.Kind == plan.Immediate:
		p.call(l, "BinaryScalar", "cpu."+name, p.sliced(y, n), p.sliced(a, n), float(b.Value))
		return nil
	case a.Kind == plan.Immediate:
		p.call(l, "ScalarBinary", "cpu."+name, p.sliced(y, n), float(a.Value), p.sliced(b, n))
		return nil
	case name == "Add" && a.Type.Equal(b.Type):
		p.call(l, "Add", p.sliced(y, n), p.sliced(a, n), p.sliced(b, n))
		return nil
	}
	// Axes that both operands go through alike become one: the kernel has six
	// at most, and long rows are the fast ones.
	dims, s := plan.Collapse(y.Type.Dims, plan.Strides(a.Type, y.Type.Dims), plan.Strides(b.Type, y.Type.Dims))
	sa, sb := p.ints(s[0]), p.ints(s[1])
	p.call(l, "Binary", "cpu."+name, p.sliced(y, n), p.ints(dims), p.sliced(a, p.count(a.Type)), sa, p.sliced(b, p.count(b.Type)), sb)
	return nil
}

func where(p *printer, l *plan.Launch) error {
	y := l.Results[0]
	var all [][]ir.Dim
	for _, a := range l.Args {
		t := a.Type
		// A number is a scalar, broadcast along all axes.
		if a.Kind == plan.Immediate {
			t = ir.Type{}
		}
		all = append(all, plan.Strides(t, y.Type.Dims))
	}
	// The three operands are collapsed together, so that their strides stay in
	// step.
	dims, s := plan.Collapse(y.Type.Dims, all...)
	args := []string{p.sliced(y, p.count(y.Type)), p.ints(dims)}
	for i, a := range l.Args {
		args = append(args, p.sliced(a, p.count(a.Type)), p.ints(s[i]))
	}
	p.call(l, "Where", args...)
	return nil
}

func reduce(p *printer, l *plan.Launch, name string) error {
	x, y := l.Args[0], l.Results[0]
	// The reduced axes are neighbours and count as one, with what lies outside
	// and inside of them.
	outer, n, inner, err := plan.Reduced(l)
	if err != nil {
		return fmt.Errorf("target go: %w", err)
	}
	p.call(l, "Reduce", "cpu.Reduce"+name, p.sliced(y, p.count(y.Type)), p.sliced(x, p.count(x.Type)), p.dim(outer), p.dim(n), p.dim(inner))
	return nil
}

func softmax(p *printer, l *plan.Launch) error {
	x, y := l.Args[0], l.Results[0]
	// Softmax is over the last axis, and rows are contiguous.
	n := y.Type.Last()
	rows, _ := y.Type.Size().Div(n)
	p.call(l, "Softmax", p.at(y), p.at(x), p.dim(rows), p.dim(n))
	return nil
}

func softmaxGrad(p *printer, l *plan.Launch) error {
	dy, y, dx := l.Args[0], l.Args[1], l.Results[0]
	n := y.Type.Last()
	rows, _ := y.Type.Size().Div(n)
	p.call(l, "SoftmaxGrad", p.at(dx), p.at(dy), p.at(y), p.dim(rows), p.dim(n))
	return nil
}

func cast(p *printer, l *plan.Launch) error {
	x, y := l.Args[0], l.Results[0]
	n := p.count(y.Type)
	// Integers of the program's input are converted; those that it computed are
	// floats already, so that the cast is a copy.
	if x.Kind == plan.InBuffer && x.Buffer.DType == ir.I32 {
		p.call(l, "FromInt32", p.sliced(y, n), p.at(x)+"[:"+n+"]")
		return nil
	}
	p.call(l, "Store", p.sliced(y, n), p.sliced(x, n), "cpu.Overwrite")
	return nil
}

// The axis that counts, and what lies around it.
func iota_(p *printer, l *plan.Launch) error {
	y, axis := l.Results[0], int(l.Int("axis", 0))
	outer, inner := plan.Around(y.Type, axis)
	p.call(l, "Iota", p.at(y), p.dim(outer), p.dim(y.Type.Dims[axis]), p.dim(inner))
	return nil
}

// constant copies the numbers of a table; they stand in a variable.
//
// Tables are made once, so that the copy does not matter.
func constant(p *printer, l *plan.Launch) error {
	y := l.Results[0]
	p.call(l, "Store", p.at(y), p.g.valuesVar(y.Buffer), "cpu.Overwrite")
	return nil
}

// moves prints the strided copies that a launch is made of.
//
// Transposes, slices, broadcasts and concatenations all come to copies between
// two strided blocks; a concatenation is one for each operand.
func moves(p *printer, l *plan.Launch) error {
	// A block begins some elements into the buffer.
	at := func(o plan.Operand, off ir.Dim) string {
		if !off.Is(0) {
			return p.at(o) + "[" + p.dim(off) + ":]"
		}
		return p.at(o)
	}
	for _, m := range plan.Moves(l) {
		ys, xs := p.ints(m.YStr), p.ints(m.XStr)
		p.call(l, "Copy", at(m.Y, m.YAt), ys, at(m.X, m.XAt), xs, p.ints(m.Dims))
	}
	return nil
}

func broadcast(p *printer, l *plan.Launch) error {
	x, y := l.Args[0], l.Results[0]
	// A number that is repeated needs no source.
	if x.Kind == plan.Immediate {
		p.call(l, "Fill", p.sliced(y, p.count(y.Type)), float(x.Value))
		return nil
	}
	return moves(p, l)
}

func pad(p *printer, l *plan.Launch) error {
	y := l.Results[0]
	// What the copy does not write stays zero.
	p.call(l, "Fill", p.sliced(y, p.count(y.Type)), "0")
	return moves(p, l)
}
