package golang

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/plan"
)

// The primitive ops: any block that a spec can write has kernels, if not fast
// ones. Numbers that are not parameters are held as float32, truth values as
// 0 and 1.

var unaryOps = map[string]string{
	"neg": "Neg", "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "rsqrt": "Rsqrt", "reciprocal": "Recip", "sigmoid": "Sigmoid",
	"silu": "Silu", "tanh": "Tanh", "erf": "Erf", "sin": "Sin", "cos": "Cos", "relu": "Relu", "abs": "Abs", "square": "Square",
	"step": "Step", "sign": "Sign",
}

var binaryOps = map[string]string{
	"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "pow": "Pow", "max": "Max", "min": "Min",
	"less": "Less", "less_equal": "LessEq", "greater": "Greater", "greater_equal": "GreaterEq", "equal": "Equal",
}

func init() {
	for op, name := range unaryOps {
		kernels[op] = func(p *printer, l *plan.Launch) error { return unary(p, l, name) }
	}
	for op, name := range binaryOps {
		kernels[op] = func(p *printer, l *plan.Launch) error { return binary(p, l, name) }
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
	kernels["transpose"] = transpose
	kernels["broadcast"] = broadcast
	kernels["slice"] = slice
	kernels["pad"] = pad
	kernels["concat"] = concat
}

func unary(p *printer, l *plan.Launch, name string) error {
	x, y := l.Args[0], l.Results[0]
	n := p.count(y.Type)
	p.call(l, "Unary", "cpu."+name, p.sliced(y, n), p.sliced(x, n))
	return nil
}

// strides of x aligned at the end with dims, 0 where x repeats.
func strides(x ir.Type, dims []ir.Dim) []ir.Dim {
	s := make([]ir.Dim, len(dims))
	step := ir.Const(1)
	for i := len(dims) - 1; i >= 0; i-- {
		j := i - len(dims) + x.Rank()
		s[i] = ir.Const(0)
		if j >= 0 {
			if x.Dims[j] == dims[i] {
				s[i] = step
			}
			step = step.Mul(x.Dims[j])
		}
	}
	return s
}

// ints prints a list of sizes as a slice that is not made at every launch:
// a variable of the package where all are numbers, else a field that is
// filled before the call.
func (p *printer) ints(dims []ir.Dim) string {
	var parts []string
	fixed := true
	for _, d := range dims {
		e := p.dim(d)
		parts = append(parts, e)
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

// collapse merges neighbouring axes that all operands walk alike, so that a
// kernel sees as few axes as there are.
func collapse(dims []ir.Dim, operands ...[]ir.Dim) ([]ir.Dim, [][]ir.Dim) {
	var out []ir.Dim
	merged := make([][]ir.Dim, len(operands))
	for i, d := range dims {
		if d.Is(1) {
			continue
		}
		k := len(out) - 1
		join := k >= 0
		for j, s := range operands {
			if join {
				join = merged[j][k] == s[i].Mul(d)
			}
		}
		if join {
			out[k] = out[k].Mul(d)
			for j, s := range operands {
				merged[j][k] = s[i]
			}
			continue
		}
		out = append(out, d)
		for j, s := range operands {
			merged[j] = append(merged[j], s[i])
		}
	}
	if len(out) == 0 {
		out = []ir.Dim{ir.Const(1)}
		for j := range merged {
			merged[j] = []ir.Dim{ir.Const(1)}
		}
	}
	return out, merged
}

func binary(p *printer, l *plan.Launch, name string) error {
	a, b, y := l.Args[0], l.Args[1], l.Results[0]
	n := p.count(y.Type)
	switch {
	case a.Kind == plan.Immediate && b.Kind == plan.Immediate:
		return fmt.Errorf("target go: %s was not folded", l.Text)
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
	dims, s := collapse(y.Type.Dims, strides(a.Type, y.Type.Dims), strides(b.Type, y.Type.Dims))
	sa, sb := p.ints(s[0]), p.ints(s[1])
	p.call(l, "Binary", "cpu."+name, p.sliced(y, n), p.ints(dims), p.sliced(a, p.count(a.Type)), sa, p.sliced(b, p.count(b.Type)), sb)
	return nil
}

// tensor prints an operand of where, a number as a slice of one element.
func (p *printer) tensor(o plan.Operand) string {
	if o.Kind == plan.Immediate {
		return p.g.numberVar(float(o.Value))
	}
	return p.sliced(o, p.count(o.Type))
}

func where(p *printer, l *plan.Launch) error {
	y := l.Results[0]
	var all [][]ir.Dim
	for _, a := range l.Args {
		t := a.Type
		if a.Kind == plan.Immediate {
			t = ir.Type{}
		}
		all = append(all, strides(t, y.Type.Dims))
	}
	dims, s := collapse(y.Type.Dims, all...)
	args := []string{p.sliced(y, p.count(y.Type)), p.ints(dims)}
	for i, a := range l.Args {
		args = append(args, p.tensor(a), p.ints(s[i]))
	}
	p.call(l, "Where", args...)
	return nil
}

func reduce(p *printer, l *plan.Launch, name string) error {
	x, y := l.Args[0], l.Results[0]
	axes := l.Attrs["axes"].([]int64)
	outer, n, inner := ir.Const(1), ir.Const(1), ir.Const(1)
	for i, d := range x.Type.Dims {
		switch {
		case slices.Contains(axes, int64(i)):
			n = n.Mul(d)
		case int64(i) < axes[0]:
			outer = outer.Mul(d)
		case int64(i) > axes[len(axes)-1]:
			inner = inner.Mul(d)
		default:
			return fmt.Errorf("target go: reduction over axes %v, which do not follow each other: %s", axes, l.Text)
		}
	}
	p.call(l, "Reduce", "cpu.Reduce"+name, p.sliced(y, p.count(y.Type)), p.sliced(x, p.count(x.Type)), p.dim(outer), p.dim(n), p.dim(inner))
	return nil
}

func softmax(p *printer, l *plan.Launch) error {
	x, y := l.Args[0], l.Results[0]
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
	if x.Kind == plan.InBuffer && x.Buffer.DType == ir.I32 {
		p.call(l, "FromInt32", p.sliced(y, n), p.at(x)+"[:"+n+"]")
		return nil
	}
	p.call(l, "Store", p.sliced(y, n), p.sliced(x, n), "cpu.Overwrite")
	return nil
}

func iota_(p *printer, l *plan.Launch) error {
	y := l.Results[0]
	axis := int(integer(l, "axis", 0))
	outer, inner := ir.Const(1), ir.Const(1)
	for i, d := range y.Type.Dims {
		if i < axis {
			outer = outer.Mul(d)
		}
		if i > axis {
			inner = inner.Mul(d)
		}
	}
	p.call(l, "Iota", p.at(y), p.dim(outer), p.dim(y.Type.Dims[axis]), p.dim(inner))
	return nil
}

// constant copies the numbers of a table; they stand in a variable.
func constant(p *printer, l *plan.Launch) error {
	y := l.Results[0]
	p.call(l, "Store", p.at(y), p.g.valuesVar(y.Buffer), "cpu.Overwrite")
	return nil
}

// copyCall prints a strided copy of dims elements.
func (p *printer) copyCall(l *plan.Launch, y plan.Operand, ys []ir.Dim, yOff string, x plan.Operand, xs []ir.Dim, xOff string, dims []ir.Dim) {
	dims, s := collapse(dims, ys, xs)
	ysv, xsv := p.ints(s[0]), p.ints(s[1])
	at := func(o plan.Operand, off string) string {
		if o.Kind == plan.Immediate {
			return p.g.numberVar(float(o.Value))
		}
		if off != "0" {
			return p.at(o) + "[" + off + ":]"
		}
		return p.at(o)
	}
	p.call(l, "Copy", at(y, yOff), ysv, at(x, xOff), xsv, p.ints(dims))
}

func transpose(p *printer, l *plan.Launch) error {
	x, y := l.Args[0], l.Results[0]
	xs := strides(x.Type, x.Type.Dims)
	perm := l.Attrs["perm"].([]int64)
	src := make([]ir.Dim, len(perm))
	for i, k := range perm {
		src[i] = xs[k]
	}
	p.copyCall(l, y, strides(y.Type, y.Type.Dims), "0", x, src, "0", y.Type.Dims)
	return nil
}

func broadcast(p *printer, l *plan.Launch) error {
	x, y := l.Args[0], l.Results[0]
	if x.Kind == plan.Immediate {
		p.call(l, "Fill", p.sliced(y, p.count(y.Type)), float(x.Value))
		return nil
	}
	p.copyCall(l, y, strides(y.Type, y.Type.Dims), "0", x, strides(x.Type, y.Type.Dims), "0", y.Type.Dims)
	return nil
}

func slice(p *printer, l *plan.Launch) error {
	x, y := l.Args[0], l.Results[0]
	axis := integer(l, "axis", 0)
	xs := strides(x.Type, x.Type.Dims)
	off := p.dim(xs[axis].Mul(ir.Const(integer(l, "from", 0))))
	xs[axis] = xs[axis].Mul(ir.Const(integer(l, "step", 1)))
	p.copyCall(l, y, strides(y.Type, y.Type.Dims), "0", x, xs, off, y.Type.Dims)
	return nil
}

func pad(p *printer, l *plan.Launch) error {
	x, y := l.Args[0], l.Results[0]
	p.call(l, "Fill", p.sliced(y, p.count(y.Type)), "0")
	axis := integer(l, "axis", 0)
	ys := strides(y.Type, y.Type.Dims)
	off := p.dim(ys[axis].Mul(ir.Const(integer(l, "before", 0))))
	ys[axis] = ys[axis].Mul(ir.Const(integer(l, "step", 1)))
	p.copyCall(l, y, ys, off, x, strides(x.Type, x.Type.Dims), "0", x.Type.Dims)
	return nil
}

func concat(p *printer, l *plan.Launch) error {
	y := l.Results[0]
	axis := integer(l, "axis", 0)
	at := int64(0)
	for _, x := range l.Args {
		ys := strides(y.Type, y.Type.Dims)
		off := p.dim(ys[axis].Mul(ir.Const(at)))
		p.copyCall(l, y, ys, off, x, strides(x.Type, x.Type.Dims), "0", x.Type.Dims)
		at += x.Type.Dims[axis].N
	}
	return nil
}
