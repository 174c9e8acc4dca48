package exec

import (
	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/plan"
	"github.com/llamac/llamac/runtime/cpu"
)

// The primitive ops, as in codegen/golang/primitives.go.

var reduceOps = map[string]cpu.ReduceOp{"reduce_sum": cpu.ReduceSum, "reduce_mean": cpu.ReduceMean, "reduce_max": cpu.ReduceMax}

func init() {
	for _, op := range ir.Ops {
		if f, ok := cpu.UnaryNamed(op.Name); ok {
			kernels[op.Name] = func(e *env, l *plan.Launch) func() { return unary(e, l, f) }
		}
		if f, ok := cpu.BinaryNamed(op.Name); ok {
			kernels[op.Name] = func(e *env, l *plan.Launch) func() { return binary(e, l, f) }
		}
	}
	for op, f := range reduceOps {
		kernels[op] = func(e *env, l *plan.Launch) func() { return reduce(e, l, f) }
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

func unary(e *env, l *plan.Launch, f cpu.UnaryOp) func() {
	y := l.Results[0]
	d, ys, xs := e.dev, e.sliced(y, y.Type), e.sliced(l.Args[0], y.Type)
	return func() { d.Unary(f, ys.get(), xs.get()) }
}

func binary(e *env, l *plan.Launch, f cpu.BinaryOp) func() {
	a, b, y := l.Args[0], l.Args[1], l.Results[0]
	d, ys := e.dev, e.sliced(y, y.Type)
	switch {
	case b.Kind == plan.Immediate:
		as, s := e.sliced(a, y.Type), round(b.Value)
		return func() { d.BinaryScalar(f, ys.get(), as.get(), s) }
	case a.Kind == plan.Immediate:
		s, bs := round(a.Value), e.sliced(b, y.Type)
		return func() { d.ScalarBinary(f, ys.get(), s, bs.get()) }
	case f == cpu.Add && a.Type.Equal(b.Type):
		as, bs := e.sliced(a, y.Type), e.sliced(b, y.Type)
		return func() { d.Add(ys.get(), as.get(), bs.get()) }
	}
	dims, s := plan.Collapse(y.Type.Dims, plan.Strides(a.Type, y.Type.Dims), plan.Strides(b.Type, y.Type.Dims))
	as, bs, n, sa, sb := e.sliced(a, a.Type), e.sliced(b, b.Type), e.ints(dims), e.ints(s[0]), e.ints(s[1])
	return func() { d.Binary(f, ys.get(), n.get(), as.get(), sa.get(), bs.get(), sb.get()) }
}

func where(e *env, l *plan.Launch) func() {
	y := l.Results[0]
	var all [][]ir.Dim
	var in [3]view
	for i, a := range l.Args {
		t := a.Type
		if a.Kind == plan.Immediate {
			t = ir.Type{}
		}
		all = append(all, plan.Strides(t, y.Type.Dims))
		in[i] = e.sliced(a, a.Type)
	}
	dims, s := plan.Collapse(y.Type.Dims, all...)
	d, ys, n, sc, sa, sb := e.dev, e.sliced(y, y.Type), e.ints(dims), e.ints(s[0]), e.ints(s[1]), e.ints(s[2])
	return func() {
		d.Where(ys.get(), n.get(), in[0].get(), sc.get(), in[1].get(), sa.get(), in[2].get(), sb.get())
	}
}

func reduce(e *env, l *plan.Launch, f cpu.ReduceOp) func() {
	x, y := l.Args[0], l.Results[0]
	o, k, i, err := plan.Reduced(l)
	if err != nil {
		e.fail("%w", err)
		return nil
	}
	d, ys, xs, outer, n, inner := e.dev, e.sliced(y, y.Type), e.sliced(x, x.Type), e.dim(o), e.dim(k), e.dim(i)
	return func() { d.Reduce(f, ys.get(), xs.get(), outer.get(), n.get(), inner.get()) }
}

func softmax(e *env, l *plan.Launch) func() {
	x, y := l.Args[0], l.Results[0]
	d, ys, xs, rows, n := e.dev, e.at(y), e.at(x), e.dim(y.Rows(last(y))), e.dim(last(y))
	return func() { d.Softmax(ys, xs, rows.get(), n.get()) }
}

func softmaxGrad(e *env, l *plan.Launch) func() {
	y := l.Args[1]
	d, dxs, dys, ys, rows, n := e.dev, e.at(l.Results[0]), e.at(l.Args[0]), e.at(y), e.dim(y.Rows(last(y))), e.dim(last(y))
	return func() { d.SoftmaxGrad(dxs, dys, ys, rows.get(), n.get()) }
}

func cast(e *env, l *plan.Launch) func() {
	x, y := l.Args[0], l.Results[0]
	d, ys := e.dev, e.sliced(y, y.Type)
	if x.Kind == plan.InBuffer && x.Buffer.DType == ir.I32 {
		ids, n := e.ids(x), e.dim(y.Type.Size())
		return func() { d.FromInt32(ys.get(), (*ids)[:n.get()]) }
	}
	xs := e.sliced(x, y.Type)
	return func() { d.Store(ys.get(), xs.get(), cpu.Overwrite) }
}

func iota_(e *env, l *plan.Launch) func() {
	y, axis := l.Results[0], int(l.Int("axis", 0))
	o, i := plan.Around(y.Type, axis)
	d, ys, outer, n, inner := e.dev, e.at(y), e.dim(o), e.dim(y.Type.Dims[axis]), e.dim(i)
	return func() { d.Iota(ys, outer.get(), n.get(), inner.get()) }
}

func constant(e *env, l *plan.Launch) func() {
	y := l.Results[0]
	d, ys := e.dev, e.at(y)
	values := make([]float32, len(y.Buffer.Values))
	for i, v := range y.Buffer.Values {
		values[i] = float32(v)
	}
	return func() { d.Store(ys, values, cpu.Overwrite) }
}

// moves makes the strided copies that a launch consists of.
func moves(e *env, l *plan.Launch) func() {
	type move struct {
		y, x         []float32
		yAt, xAt     size
		ys, xs, dims list
	}
	var ms []move
	for _, m := range plan.Moves(l) {
		ms = append(ms, move{e.at(m.Y), e.at(m.X), e.dim(m.YAt), e.dim(m.XAt), e.ints(m.YStr), e.ints(m.XStr), e.ints(m.Dims)})
	}
	d := e.dev
	return func() {
		for i := range ms {
			m := &ms[i]
			d.Copy(m.y[m.yAt.get():], m.ys.get(), m.x[m.xAt.get():], m.xs.get(), m.dims.get())
		}
	}
}

func broadcast(e *env, l *plan.Launch) func() {
	x, y := l.Args[0], l.Results[0]
	if x.Kind == plan.Immediate {
		d, ys, v := e.dev, e.sliced(y, y.Type), round(x.Value)
		return func() { d.Fill(ys.get(), v) }
	}
	return moves(e, l)
}

func pad(e *env, l *plan.Launch) func() {
	y := l.Results[0]
	d, ys, copies := e.dev, e.sliced(y, y.Type), moves(e, l)
	return func() {
		d.Fill(ys.get(), 0)
		copies()
	}
}
