package exec

import (
	"math"
	"strconv"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/plan"
	"github.com/llamac/llamac/runtime/cpu"
	"github.com/llamac/llamac/runtime/model"
)

// kernels maps each op to what resolves its launches: operands to slices,
// sizes to numbers. The closure makes the calls that codegen/golang prints.
// A resolver does all that can be done once: places, sizes, attributes, refusals.
// What a closure captures is fixed, but for sizes and inputs, which it asks for at
// each run. When generated code changes how it calls a kernel, this file must change
// with it, and tests that compare the bits of both say so.
var kernels = map[string]func(*env, *plan.Launch) func(){
	"linear":             linear,
	"linear_grad_x":      linearGradX,
	"linear_grad_w":      linearGradW,
	"rms_norm":           rmsNorm,
	"rms_norm_grad":      rmsNormGrad,
	"add_rms_norm":       addRMSNorm,
	"rope":               rope,
	"attention":          attention,
	"attention_grad":     attentionGrad,
	"kv_write":           kvWrite,
	"attention_kv":       attentionKV,
	"swiglu":             swiglu,
	"swiglu_grad":        swigluGrad,
	"linear_xent":        linearXent,
	"linear_xent_grad":   linearXentGrad,
	"cross_entropy":      crossEntropy,
	"cross_entropy_grad": crossEntropyGrad,
	"gather":             gather,
	"gather_grad":        gatherGrad,
	"grad_add":           gradAdd,
	"global_norm":        globalNorm,
	"adamw":              adamw,
	"matmul":             matmul,
}

// round is the float32 that Go's compiler makes of the number as codegen/golang
// prints it: of its shortest decimal form.
// The decimal matters where a float64 lies close to the middle of two floats: the
// compiler rounds the text once, a conversion would round the binary number.
func round(x float64) float32 {
	if v, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', -1, 64), 32); err == nil {
		return float32(v)
	}
	return float32(x) // beyond the range: an infinity, as the printed code has it
}

// last is the width of a kernel's row, for operands seen as rows.
func last(o plan.Operand) ir.Dim { return o.Type.Last() }

// mode is what happens to a result: in micro_step, gradients are overwritten
// in the first micro-batch of a step.
// It is a pointer, since OverwriteFirst is only known at each run.
func (e *env) modeOf(o plan.Operand) *cpu.Mode {
	m := new(cpu.Mode)
	switch o.Mode {
	case plan.OverwriteFirst:
		return &e.program.mode
	case plan.Accumulate:
		*m = cpu.Accumulate
	}
	return m
}

// y [rows, out] = x [rows, in] · wᵀ, the rows of x and y ldx and ldy apart: both may
// be columns of a pack.
// Sizes are resolved in this order everywhere: width of y, width of x, number of
// rows, distances of rows.
func linear(e *env, l *plan.Launch) func() {
	x, w, y := l.Args[0], l.Args[1], l.Results[0]
	d, ys, xs, ws := e.dev, e.at(y), e.at(x), e.at(w)
	out, in, rows, ldy, ldx := e.dim(last(y)), e.dim(last(x)), e.dim(x.Rows(last(x))), e.dist(y, last(y)), e.dist(x, last(x))
	return func() { d.Linear(ys, ldy.get(), xs, ldx.get(), ws, rows.get(), out.get(), in.get()) }
}

// dx [rows, in] = dy [rows, out] · w, plus acc.
func linearGradX(e *env, l *plan.Launch) func() {
	dy, w, dx := l.Args[0], l.Args[1], l.Results[0]
	d, dxs, dys, ws := e.dev, e.at(dx), e.at(dy), e.at(w)
	out, in, rows := e.dim(last(dy)), e.dim(last(dx)), e.dim(dy.Rows(last(dy)))
	lddx, lddy := e.dist(dx, last(dx)), e.dist(dy, last(dy))
	mode := cpu.Overwrite
	// acc lies elsewhere if it lives on behind this launch: then it is copied to
	// dx, and the kernel adds to that.
	var first []float32 // added to, but not in place yet
	if len(l.Args) > 2 && l.Args[2].Kind != plan.Absent {
		mode = cpu.Accumulate
		if acc := l.Args[2]; !plan.Same(acc, dx) {
			first = e.at(acc)
		}
	}
	return func() {
		if first != nil {
			d.Store(dxs, first, cpu.Overwrite)
		}
		d.LinearGradX(dxs, lddx.get(), dys, lddy.get(), ws, rows.get(), out.get(), in.get(), mode)
	}
}

// dw [out, in] = dyᵀ · x. The mode is the plan's for weights' gradients: overwrite
// in the first micro-batch, add in the others.
func linearGradW(e *env, l *plan.Launch) func() {
	dy, x, dw := l.Args[0], l.Args[1], l.Results[0]
	d, dws, dys, xs, mode := e.dev, e.at(dw), e.at(dy), e.at(x), e.modeOf(dw)
	out, in, rows, lddy, ldx := e.dim(last(dy)), e.dim(last(x)), e.dim(x.Rows(last(x))), e.dist(dy, last(dy)), e.dist(x, last(x))
	return func() {
		d.LinearGradW(dws, dys, lddy.get(), xs, ldx.get(), rows.get(), out.get(), in.get(), *mode)
	}
}

// float is a required attribute as printed code has it.
func (e *env) float(l *plan.Launch, name string) float32 {
	x, ok := l.Attrs[name].(float64)
	if !ok {
		e.fail("no attribute %s", name)
	}
	return round(x)
}

// x may be columns of a pack, y is always whole.
func rmsNorm(e *env, l *plan.Launch) func() {
	x, w, y := l.Args[0], l.Args[1], l.Results[0]
	d, ys, xs, ws, eps := e.dev, e.at(y), e.at(x), e.at(w), e.float(l, "eps")
	dim, rows, ldx := e.dim(last(x)), e.dim(x.Rows(last(x))), e.dist(x, last(x))
	return func() { d.RMSNorm(ys, xs, ldx.get(), ws, rows.get(), dim.get(), eps) }
}

// One kernel makes dx, with res added, and dw.
func rmsNormGrad(e *env, l *plan.Launch) func() {
	dy, x, w, dx, dw := l.Args[0], l.Args[1], l.Args[2], l.Results[0], l.Results[1]
	var res []float32
	if len(l.Args) > 3 {
		res = e.at(l.Args[3])
	}
	d, dxs, dws, dys, xs, ws, mode, eps := e.dev, e.at(dx), e.at(dw), e.at(dy), e.at(x), e.at(w), e.modeOf(dw), e.float(l, "eps")
	dim, rows, ldx := e.dim(last(x)), e.dim(x.Rows(last(x))), e.dist(x, last(x))
	return func() { d.RMSNormGrad(dxs, dws, dys, xs, ldx.get(), ws, res, rows.get(), dim.get(), eps, *mode) }
}

// r = a + b and y = norm(r): both are written whole, r over a if the plan says so.
func addRMSNorm(e *env, l *plan.Launch) func() {
	a, b, w, r, y := l.Args[0], l.Args[1], l.Args[2], l.Results[0], l.Results[1]
	d, rs, ys, as, bs, ws, eps := e.dev, e.at(r), e.at(y), e.at(a), e.at(b), e.at(w), e.float(l, "eps")
	dim, rows := e.dim(last(a)), e.dim(a.Rows(last(a)))
	return func() { d.AddRMSNorm(rs, ys, as, bs, ws, rows.get(), dim.get(), eps) }
}

// Tables are read at row r mod T: see plan.Rotated.
// heads and hd are numbers, for angles are computed for them; how many rows there are
// may be known only at run time.
func rope(e *env, l *plan.Launch) func() {
	x, y := l.Args[0], l.Results[0]
	T, heads, hd, err := plan.Rotated(l)
	if err != nil {
		e.fail("%w", err)
		return nil
	}
	width := ir.Const(heads * hd)
	d, ys, xs, cos, sin := e.dev, e.at(y), e.at(x), e.at(l.Args[1]), e.at(l.Args[2])
	rows, t, ldy, ldx := e.dim(x.Rows(width)), e.dim(T), e.dist(y, width), e.dist(x, width)
	half, inverse := l.Attrs["layout"] == "half", l.Flag("inverse", false)
	return func() {
		d.Rope(ys, ldy.get(), xs, ldx.get(), cos, sin, rows.get(), t.get(), int(heads), int(hd), half, inverse)
	}
}

// heads are the sizes of attention.
// q is [B, T, heads, hd], k and v have kvHeads.
type heads struct{ batch, t, heads, kvHeads, hd size }

func (e *env) heads(q, k plan.Operand) heads {
	d := q.Type.Dims
	return heads{e.dim(d[0]), e.dim(d[1]), e.dim(d[2]), e.dim(k.Type.Dims[2]), e.dim(d[3])}
}

// strided is an operand of attention: rows of all heads, ld apart.
type strided struct {
	x  []float32
	ld size
}

// A row is a token's heads side by side, heads·hd wide.
func (e *env) strided(o plan.Operand) strided {
	return strided{e.at(o), e.dist(o, o.Type.Dims[2].Mul(o.Type.Dims[3]))}
}

// The kernel has one length for queries and keys: cross attention is refused.
func attention(e *env, l *plan.Launch) func() {
	if a, b := l.Args[0].Type, l.Args[1].Type; a.Dims[1] != b.Dims[1] {
		e.fail("attention of %s to %s", a, b)
		return nil
	}
	d, o, lse := e.dev, e.at(l.Results[0]), e.at(l.Results[1])
	q, k, v, h := e.strided(l.Args[0]), e.strided(l.Args[1]), e.strided(l.Args[2]), e.heads(l.Args[0], l.Args[1])
	// Nil starts mean that sequences are whole documents.
	scale, causal, window, starts := e.float(l, "scale"), l.Flag("causal", true), int(l.Int("window", 0)), e.starts(l, 3)
	return func() {
		d.AttentionStarts(o, lse, q.x, q.ld.get(), k.x, k.ld.get(), v.x, v.ld.get(),
			h.batch.get(), h.t.get(), h.heads.get(), h.kvHeads.get(), h.hd.get(), scale, causal, window, *starts)
	}
}

// dq, dk and dv are columns of one buffer where the plan packs the projections'
// gradients.
func attentionGrad(e *env, l *plan.Launch) func() {
	d, starts := e.dev, e.starts(l, 6)
	dq, dk, dv := e.strided(l.Results[0]), e.strided(l.Results[1]), e.strided(l.Results[2])
	do, o, lse := e.at(l.Args[0]), e.at(l.Args[1]), e.at(l.Args[2])
	q, k, v, h := e.strided(l.Args[3]), e.strided(l.Args[4]), e.strided(l.Args[5]), e.heads(l.Args[3], l.Args[4])
	scale, causal, window := e.float(l, "scale"), l.Flag("causal", true), int(l.Int("window", 0))
	return func() {
		d.AttentionStartsGrad(dq.x, dq.ld.get(), dk.x, dk.ld.get(), dv.x, dv.ld.get(), do, o, lse,
			q.x, q.ld.get(), k.x, k.ld.get(), v.x, v.ld.get(),
			h.batch.get(), h.t.get(), h.heads.get(), h.kvHeads.get(), h.hd.get(), scale, causal, window, *starts)
	}
}

// starts is the first key of each query, operand i, or none.
// It is a pointer to the caller's slice, or to an empty one, read at each run.
func (e *env) starts(l *plan.Launch, i int) *[]int32 {
	if i >= len(l.Args) || l.Args[i].Kind == plan.Absent {
		return new([]int32)
	}
	if l.Args[i].Type.Rank() != 2 {
		e.fail("attention with one first key for a whole sequence")
	}
	return e.ids(l.Args[i])
}

// k and v [1, N, kvHeads, hd] go to the blocks that table names for each token's
// sequence, at the token's position. It runs before attentionKV, which reads them:
// a token attends to itself.
func kvWrite(e *env, l *plan.Launch) func() {
	k, v := l.Args[0], l.Args[1]
	pos, seq, table := e.ids(l.Args[2]), e.ids(l.Args[3]), e.ids(l.Args[4])
	dims, cache := k.Type.Dims, l.Results[0]
	d, c, ks, vs := e.dev, e.at(cache), e.strided(k), e.strided(v)
	n, heads, hd := e.dim(dims[1]), e.dim(dims[2]), e.dim(dims[3])
	block, blocks := e.dim(cache.Type.Dims[3]), e.dim(l.Args[4].Type.Dims[1])
	return func() {
		d.KVWrite(c, ks.x, ks.ld.get(), vs.x, vs.ld.get(), n.get(), heads.get(), hd.get(), block.get(), *pos, *seq, *table, blocks.get())
	}
}

// Block and blocks are the tokens of a cache block and the columns of the table.
func attentionKV(e *env, l *plan.Launch) func() {
	q, cache := l.Args[0], l.Args[4]
	pos, seq, table := e.ids(l.Args[1]), e.ids(l.Args[2]), e.ids(l.Args[3])
	dims := q.Type.Dims
	d, o, qs, c := e.dev, e.at(l.Results[0]), e.strided(q), e.at(cache)
	n, heads, kvHeads, hd := e.dim(dims[1]), e.dim(dims[2]), e.dim(cache.Type.Dims[2]), e.dim(dims[3])
	block, blocks := e.dim(cache.Type.Dims[3]), e.dim(l.Args[3].Type.Dims[1])
	scale, window := e.float(l, "scale"), int(l.Int("window", 0))
	return func() {
		d.AttentionKV(o, qs.x, qs.ld.get(), c, n.get(), heads.get(), kvHeads.get(), hd.get(), block.get(), *pos, *seq, *table, blocks.get(), scale, window)
	}
}

// g and u are columns of one buffer if they come from a pack.
func swiglu(e *env, l *plan.Launch) func() {
	g, u, y := l.Args[0], l.Args[1], l.Results[0]
	d, ys, gs, us := e.dev, e.at(y), e.at(g), e.at(u)
	f, rows, ldg, ldu := e.dim(last(y)), e.dim(y.Rows(last(y))), e.dist(g, last(y)), e.dist(u, last(y))
	return func() { d.SwiGLU(ys, gs, ldg.get(), us, ldu.get(), rows.get(), f.get()) }
}

// dg and du are columns of one buffer where the gradient's pack is.
func swigluGrad(e *env, l *plan.Launch) func() {
	dy, g, u, dg, du := l.Args[0], l.Args[1], l.Args[2], l.Results[0], l.Results[1]
	w := last(dy)
	d, dgs, dus, dys, gs, us := e.dev, e.at(dg), e.at(du), e.at(dy), e.at(g), e.at(u)
	f, rows, lddg, lddu, ldg, ldu := e.dim(w), e.dim(dy.Rows(w)), e.dist(dg, w), e.dist(du, w), e.dist(g, w), e.dist(u, w)
	return func() {
		d.SwiGLUGrad(dgs, lddg.get(), dus, lddu.get(), dys, gs, ldg.get(), us, ldu.get(), rows.get(), f.get())
	}
}

// The loss goes to y[0], a buffer of one number; rows without a target are left out.
func linearXent(e *env, l *plan.Launch) func() {
	x, w, t := l.Args[0], l.Args[1], e.ids(l.Args[2])
	d, y, xs, ws := e.dev, e.at(l.Results[0]), e.at(x), e.at(w)
	dim, rows, vocab := e.dim(last(x)), e.dim(x.Rows(last(x))), e.dim(w.Type.Dims[0])
	return func() { y[0] = d.LinearXent(xs, ws, *t, rows.get(), vocab.get(), dim.get()) }
}

// One kernel makes the loss and both gradients, for it computes the logits once. A
// model's loss has the gradient 1, so there is no factor to pass.
func linearXentGrad(e *env, l *plan.Launch) func() {
	if s := l.Args[0]; s.Kind != plan.Immediate || s.Value != 1 {
		e.fail("the loss's gradient is not 1")
		return nil
	}
	x, w, t, dx, dw := l.Args[1], l.Args[2], e.ids(l.Args[3]), l.Results[1], l.Results[2]
	d, y, dxs, dws, xs, ws, mode := e.dev, e.at(l.Results[0]), e.at(dx), e.at(dw), e.at(x), e.at(w), e.modeOf(dw)
	dim, rows, vocab := e.dim(last(x)), e.dim(x.Rows(last(x))), e.dim(w.Type.Dims[0])
	return func() { y[0] = d.LinearXentGrad(dxs, dws, xs, ws, *t, rows.get(), vocab.get(), dim.get(), *mode) }
}

// Rows follow each other: logits are no column of anything.
func crossEntropy(e *env, l *plan.Launch) func() {
	x, t := l.Args[0], e.ids(l.Args[1])
	d, y, xs, vocab, rows := e.dev, e.at(l.Results[0]), e.at(x), e.dim(last(x)), e.dim(x.Rows(last(x)))
	return func() { y[0] = d.CrossEntropy(xs, *t, rows.get(), vocab.get()) }
}

// Here the factor is read when it runs, since it may be computed.
// dx may lie on x.
func crossEntropyGrad(e *env, l *plan.Launch) func() {
	x, t, dx := l.Args[1], e.ids(l.Args[2]), l.Results[0]
	d, by, dxs, xs := e.dev, e.at(l.Args[0]), e.at(dx), e.at(x)
	vocab, rows := e.dim(last(x)), e.dim(x.Rows(last(x)))
	return func() { d.CrossEntropyGrad(dxs, xs, *t, rows.get(), vocab.get(), by[0]) }
}

// y [rows, dim] = table [vocab, dim] at ids.
func gather(e *env, l *plan.Launch) func() {
	table, ids, y := l.Args[0], e.ids(l.Args[1]), l.Results[0]
	d, ys, ts := e.dev, e.at(y), e.at(table)
	dim, rows, vocab := e.dim(last(table)), e.dim(y.Rows(last(table))), e.dim(table.Type.Dims[0])
	return func() { d.Embedding(ys, ts, *ids, rows.get(), dim.get(), vocab.get()) }
}

// Rows of equal tokens add up in the order of the tokens, whatever the workers.
func gatherGrad(e *env, l *plan.Launch) func() {
	ids, dy, dw := e.ids(l.Args[0]), l.Args[1], l.Results[0]
	d, dws, dys, mode := e.dev, e.at(dw), e.at(dy), e.modeOf(dw)
	dim, rows, vocab := e.dim(last(dy)), e.dim(dy.Rows(last(dy))), e.dim(dw.Type.Dims[0])
	return func() { d.EmbeddingGrad(dws, *ids, dys, rows.get(), dim.get(), vocab.get(), *mode) }
}

// For gradients that no kernel could write in their place.
func gradAdd(e *env, l *plan.Launch) func() {
	d, y, x, mode := e.dev, e.at(l.Results[0]), e.at(l.Args[0]), e.modeOf(l.Results[0])
	return func() { d.Store(y, x, *mode) }
}

// The sum of squares is over the whole arena, padding included, which is 0. Scaling
// all gradients by s scales the norm by s.
func globalNorm(e *env, l *plan.Launch) func() {
	r := e.program
	return func() { r.norm = math.Sqrt(r.dev.SumSquares(r.grads)) * r.hyper.GradScale }
}

// The step is taken range by range, each with or without decay; within a range the
// elements do not know to which weight they belong.
func adamw(e *env, l *plan.Launch) func() {
	r, ranges := e.program, e.plan.DecayRanges()
	// Ranges of the plan's layout are ranges of all four arrays.
	m, v := e.moment1, e.moment2
	return func() {
		// NaN and both infinities give NaN here, which is not 0.
		if r.norm-r.norm != 0 {
			return // not finite: leave the weights as they are, for Diagnose
		}
		// Scaling and clipping are one factor on the gradients, so that no pass over
		// them is needed for either.
		h := r.hyper
		step := cpu.AdamWStep{LR: h.LR, Beta1: h.Beta1, Beta2: h.Beta2, Eps: h.Eps, Step: h.Step, GradScale: h.GradScale * model.ClipFactor(r.norm, h.Clip)}
		for _, x := range ranges {
			step.WeightDecay = 0
			if x.Decay {
				step.WeightDecay = h.WeightDecay
			}
			r.dev.AdamW(r.params[x.From:x.To], r.grads[x.From:x.To], m[x.From:x.To], v[x.From:x.To], step)
		}
	}
}

// A batch of products, b possibly the same for all.
func matmul(e *env, l *plan.Launch) func() {
	p, err := plan.MatMul(l)
	if err != nil {
		e.fail("%w", err)
		return nil
	}
	d, y, a, b := e.dev, e.at(l.Results[0]), e.at(l.Args[0]), e.at(l.Args[1])
	batch, m, n, k := e.dim(p.Batch), e.dim(p.M), e.dim(p.N), e.dim(p.K)
	nextA, nextB, next := e.dim(p.NextA), e.dim(p.NextB), e.dim(p.Next)
	return func() {
		d.MatMulBatch(y, a, b, batch.get(), m.get(), n.get(), k.get(), nextA.get(), nextB.get(), next.get(), p.TransA, p.TransB, cpu.Overwrite)
	}
}
