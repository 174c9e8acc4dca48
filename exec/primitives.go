package exec

import (
	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/plan"
	"github.com/llamac/llamac/runtime/cpu"
)

// The primitive ops, as in codegen/golang/primitives.go.

// A kernel of runtime/cpu that has an op's name is found by it, so a new elementwise
// op needs no line here. The others are listed one by one.
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
	// Which of a map's entries comes first does not matter: each has a key of its own.
	for op, f := range reduceOps {
		kernels[op] = func(e *env, l *plan.Launch) func() { return reduce(e, l, f) }
	}
	// A missing name shows in Unsupported, and in the test that asks it for all ops.
	kernels["where"] = where
	kernels["softmax"] = softmax
	kernels["softmax_grad"] = softmaxGrad
	kernels["cast"] = cast
	kernels["iota"] = iota_
	kernels["const"] = constant
	// These only move data, each as strided copies that package plan works out.
	kernels["transpose"] = moves
	kernels["broadcast"] = broadcast
	kernels["slice"] = moves
	kernels["pad"] = pad
	kernels["concat"] = moves
}

// x has y's shape: a unary op does not broadcast.
func unary(e *env, l *plan.Launch, f cpu.UnaryOp) func() {
	y := l.Results[0]
	d, ys, xs := e.dev, e.sliced(y, y.Type), e.sliced(l.Args[0], y.Type)
	return func() { d.Unary(f, ys.get(), xs.get()) }
}

// Which kernel runs depends on the operands' shapes in the order in which generated
// code asks: each has its own loop, and bits could differ between two that compute
// the same.
func binary(e *env, l *plan.Launch, f cpu.BinaryOp) func() {
	a, b, y := l.Args[0], l.Args[1], l.Results[0]
	d, ys := e.dev, e.sliced(y, y.Type)
	switch {
	// A scalar known at compile time is passed by value.
	case b.Kind == plan.Immediate:
		as, s := e.sliced(a, y.Type), round(b.Value)
		return func() { d.BinaryScalar(f, ys.get(), as.get(), s) }
	// Not the same kernel with operands swapped: 1 - x is not x - 1.
	case a.Kind == plan.Immediate:
		s, bs := round(a.Value), e.sliced(b, y.Type)
		return func() { d.ScalarBinary(f, ys.get(), s, bs.get()) }
	// Residual connections: two arrays, no strides.
	case f == cpu.Add && a.Type.Equal(b.Type):
		as, bs := e.sliced(a, y.Type), e.sliced(b, y.Type)
		return func() { d.Add(ys.get(), as.get(), bs.get()) }
	}
	// The general case: strides, 0 where an operand repeats.
	dims, s := plan.Collapse(y.Type.Dims, plan.Strides(a.Type, y.Type.Dims), plan.Strides(b.Type, y.Type.Dims))
	as, bs, n, sa, sb := e.sliced(a, a.Type), e.sliced(b, b.Type), e.ints(dims), e.ints(s[0]), e.ints(s[1])
	return func() { d.Binary(f, ys.get(), n.get(), as.get(), sa.get(), bs.get(), sb.get()) }
}

// Three operands that broadcast; numbers have stride 0 everywhere.
func where(e *env, l *plan.Launch) func() {
	y := l.Results[0]
	var all [][]ir.Dim
	var in [3]view
	for i, a := range l.Args {
		t := a.Type
		if a.Kind == plan.Immediate {
			// A number may have been written with axes of size 1, which say nothing.
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

// Axes must follow each other; plan.Reduced says why.
func reduce(e *env, l *plan.Launch, f cpu.ReduceOp) func() {
	// y has one element for each of outer · inner.
	x, y := l.Args[0], l.Results[0]
	o, k, i, err := plan.Reduced(l)
	if err != nil {
		e.fail("%w", err)
		return nil
	}
	d, ys, xs, outer, n, inner := e.dev, e.sliced(y, y.Type), e.sliced(x, x.Type), e.dim(o), e.dim(k), e.dim(i)
	return func() { d.Reduce(f, ys.get(), xs.get(), outer.get(), n.get(), inner.get()) }
}

// Rows and widths are passed, so the slices may be longer.
func softmax(e *env, l *plan.Launch) func() {
	x, y := l.Args[0], l.Results[0]
	d, ys, xs, rows, n := e.dev, e.at(y), e.at(x), e.dim(y.Rows(last(y))), e.dim(last(y))
	return func() { d.Softmax(ys, xs, rows.get(), n.get()) }
}

// dx = y (dy - Σ dy y), over rows of y's last axis.
func softmaxGrad(e *env, l *plan.Launch) func() {
	y := l.Args[1]
	d, dxs, dys, ys, rows, n := e.dev, e.at(l.Results[0]), e.at(l.Args[0]), e.at(y), e.dim(y.Rows(last(y))), e.dim(last(y))
	return func() { d.SoftmaxGrad(dxs, dys, ys, rows.get(), n.get()) }
}

// All memory is float32, so only the caller's integers change their form. Types
// below float32 would round here; newMachine refuses plans whose weights have them.
func cast(e *env, l *plan.Launch) func() {
	x, y := l.Args[0], l.Results[0]
	d, ys := e.dev, e.sliced(y, y.Type)
	if x.Kind == plan.InBuffer && x.Buffer.DType == ir.I32 {
		// The caller's slice may hold more than the step has.
		ids, n := e.ids(x), e.dim(y.Type.Size())
		return func() { d.FromInt32(ys.get(), (*ids)[:n.get()]) }
	}
	xs := e.sliced(x, y.Type)
	return func() { d.Store(ys.get(), xs.get(), cpu.Overwrite) }
}

// Element i of the axis is i, whatever the others: [outer, n, inner].
func iota_(e *env, l *plan.Launch) func() {
	y, axis := l.Results[0], int(l.Int("axis", 0))
	o, i := plan.Around(y.Type, axis)
	// Written once into a table or a buffer, as float32.
	d, ys, outer, n, inner := e.dev, e.at(y), e.dim(o), e.dim(y.Type.Dims[axis]), e.dim(i)
	return func() { d.Iota(ys, outer.get(), n.get(), inner.get()) }
}

// The numbers stand in the plan's text, and were rounded to no type there.
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
// Sizes and distances may be live, as all in decoding are; the places are fixed.
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

// A number has no memory to copy from.
func broadcast(e *env, l *plan.Launch) func() {
	x, y := l.Args[0], l.Results[0]
	if x.Kind == plan.Immediate {
		d, ys, v := e.dev, e.sliced(y, y.Type), round(x.Value)
		return func() { d.Fill(ys.get(), v) }
	}
	return moves(e, l)
}

// Zeros first, over all of y, then x into its places.
func pad(e *env, l *plan.Launch) func() {
	y := l.Results[0]
	// y is filled up to its size at run time, of which x covers a part.
	d, ys, copies := e.dev, e.sliced(y, y.Type), moves(e, l)
	return func() {
		d.Fill(ys.get(), 0)
		copies()
	}
}
