package golang

import (
	"fmt"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/plan"
)

// kernels maps each op to what prints its calls.
//
// Signatures are those of runtime/cpu, and the order of arguments here must be
// theirs. Numbers are positions of the op's operands and results (ir/ops_*.go).
var kernels = map[string]func(*printer, *plan.Launch) error{
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

// y [rows, out] = x [rows, in]·wᵀ. Rows of x and y may lie in the buffer of a
// pack, so both come with a distance; weights are contiguous always.
func linear(p *printer, l *plan.Launch) error {
	x, w, y := l.Args[0], l.Args[1], l.Results[0]
	out, in := last(y), last(x)
	p.call(l, "Linear", p.at(y), p.ld(y, out), p.at(x), p.ld(x, in), p.at(w), p.rows(x, in), p.dim(out), p.dim(in))
	return nil
}

func linearGradX(p *printer, l *plan.Launch) error {
	dy, w, dx := l.Args[0], l.Args[1], l.Results[0]
	out, in := last(dy), last(dx)
	// With an accumulator the product is added to it. Nearly always it lies
	// where the result does; if not, it is brought there first.
	mode := "cpu.Overwrite"
	if len(l.Args) > 2 && l.Args[2].Kind != plan.Absent {
		mode = "cpu.Accumulate"
		if acc := l.Args[2]; !plan.Same(acc, dx) {
			p.call(l, "Store", p.at(dx), p.at(acc), "cpu.Overwrite")
		}
	}
	p.call(l, "LinearGradX", p.at(dx), p.ld(dx, in), p.at(dy), p.ld(dy, out), p.at(w), p.rows(dy, out), p.dim(out), p.dim(in), mode)
	return nil
}

// Gradients of weights are contiguous, also those of a pack, which are one
// matrix of more rows.
func linearGradW(p *printer, l *plan.Launch) error {
	dy, x, dw := l.Args[0], l.Args[1], l.Results[0]
	out, in := last(dy), last(x)
	p.call(l, "LinearGradW", p.at(dw), p.at(dy), p.ld(dy, out), p.at(x), p.ld(x, in), p.rows(x, in), p.dim(out), p.dim(in), p.mode(dw))
	return nil
}

// The kernel reads strided rows and writes contiguous ones.
func rmsNorm(p *printer, l *plan.Launch) error {
	x, w, y := l.Args[0], l.Args[1], l.Results[0]
	d := last(x)
	p.call(l, "RMSNorm", p.at(y), p.at(x), p.ld(x, d), p.at(w), p.rows(x, d), p.dim(d), float(l.Attrs["eps"].(float64)))
	return nil
}

func rmsNormGrad(p *printer, l *plan.Launch) error {
	dy, x, w, dx, dw := l.Args[0], l.Args[1], l.Args[2], l.Results[0], l.Results[1]
	// The residual's gradient is added in the same pass over the rows, where
	// the graph has one.
	res := "nil"
	if len(l.Args) > 3 {
		res = p.at(l.Args[3])
	}
	d := last(x)
	p.call(l, "RMSNormGrad", p.at(dx), p.at(dw), p.at(dy), p.at(x), p.ld(x, d), p.at(w), res, p.rows(x, d), p.dim(d),
		float(l.Attrs["eps"].(float64)), p.mode(dw))
	return nil
}

// r is the sum and y its norm.
func addRMSNorm(p *printer, l *plan.Launch) error {
	a, b, w, r, y := l.Args[0], l.Args[1], l.Args[2], l.Results[0], l.Results[1]
	d := last(a)
	p.call(l, "AddRMSNorm", p.at(r), p.at(y), p.at(a), p.at(b), p.at(w), p.rows(a, d), p.dim(d), float(l.Attrs["eps"].(float64)))
	return nil
}

func rope(p *printer, l *plan.Launch) error {
	x, cos, sin, y := l.Args[0], l.Args[1], l.Args[2], l.Results[0]
	// The rows of the tables may be fewer than those of x: T tells the kernel
	// when to begin anew.
	T, heads, hd, err := plan.Rotated(l)
	if err != nil {
		return fmt.Errorf("target go: %w", err)
	}
	// All heads of a row are one row of heads·hd elements.
	width := ir.Const(heads * hd)
	p.call(l, "Rope", p.at(y), p.ld(y, width), p.at(x), p.ld(x, width), p.at(cos), p.at(sin), p.rows(x, width), p.dim(T),
		fmt.Sprint(heads), fmt.Sprint(hd), fmt.Sprint(l.Attrs["layout"] == "half"), fmt.Sprint(l.Flag("inverse", false)))
	return nil
}

// heads gives the sizes of attention: batch, T, heads, kvHeads, hd.
//
// Batch and T come from the queries, and kvHeads from the keys.
func (p *printer) heads(q, k plan.Operand) []string {
	d := q.Type.Dims
	return []string{p.dim(d[0]), p.dim(d[1]), p.dim(d[2]), p.dim(k.Type.Dims[2]), p.dim(d[3])}
}

// A row of q, k or v has all heads side by side.
func headWidth(o plan.Operand) ir.Dim { return o.Type.Dims[2].Mul(o.Type.Dims[3]) }

// strided prints an operand of attention with the distance of its rows.
func (p *printer) strided(o plan.Operand) []string {
	return []string{p.at(o), p.ld(o, headWidth(o))}
}

func attention(p *printer, l *plan.Launch) error {
	q, k, v, o, lse := l.Args[0], l.Args[1], l.Args[2], l.Results[0], l.Results[1]
	// Fewer queries than keys would need an offset for the causal mask.
	if q.Type.Dims[1] != k.Type.Dims[1] {
		return fmt.Errorf("target go: attention of %s to %s", q.Type, k.Type)
	}
	args := []string{p.at(o), p.at(lse)}
	for _, x := range []plan.Operand{q, k, v} {
		args = append(args, p.strided(x)...)
	}
	// The scale is a number of the spec or of the matcher, printed in full.
	args = append(args, p.heads(q, k)...)
	args = append(args, float(l.Attrs["scale"].(float64)), fmt.Sprint(l.Flag("causal", true)), fmt.Sprint(l.Int("window", 0)))
	return p.callAttention(l, "Attention", 3, args)
}

// Results dq, dk, dv may be columns of one buffer; do, o and lse are
// contiguous; q, k, v are as in the forward.
func attentionGrad(p *printer, l *plan.Launch) error {
	var args []string
	for _, r := range l.Results {
		args = append(args, p.strided(r)...)
	}
	for _, a := range l.Args[:3] {
		args = append(args, p.at(a))
	}
	for _, a := range l.Args[3:6] {
		args = append(args, p.strided(a)...)
	}
	args = append(args, p.heads(l.Args[3], l.Args[4])...)
	args = append(args, float(l.Attrs["scale"].(float64)), fmt.Sprint(l.Flag("causal", true)), fmt.Sprint(l.Int("window", 0)))
	return p.callAttention(l, "Attention", 6, args)
}

// callAttention prints the call, of the kernel that takes starts if operand i is
// there.
//
// A start for each query is the form that data comes in. Others, such as one
// for each sequence, have no kernel yet.
func (p *printer) callAttention(l *plan.Launch, kernel string, i int, args []string) error {
	if i < len(l.Args) && l.Args[i].Kind != plan.Absent {
		start := l.Args[i]
		if start.Type.Rank() != 2 || start.Kind != plan.InBuffer || start.Buffer.Region != plan.Input {
			return fmt.Errorf("target go: attention whose first keys are not an input with one for each query: %s", l.Text)
		}
		kernel, args = kernel+"Starts", append(args, p.at(start))
	}
	if l.Op == "attention_grad" {
		kernel += "Grad"
	}
	p.call(l, kernel, args...)
	return nil
}

// k and v of the new tokens enter the cache: the kernel finds the block of each
// by its position and its sequence's row of the table.
func kvWrite(p *printer, l *plan.Launch) error {
	k, v, cache := l.Args[0], l.Args[1], l.Results[0]
	d := k.Type.Dims
	args := append([]string{p.at(cache)}, p.strided(k)...)
	args = append(args, p.strided(v)...)
	p.call(l, "KVWrite", append(args, p.dim(d[1]), fmt.Sprint(d[2].N), fmt.Sprint(d[3].N), "kvBlock",
		p.at(l.Args[2]), p.at(l.Args[3]), p.at(l.Args[4]), "maxBlocks")...)
	return nil
}

// The cache is read by all tokens, those written just now included.
func attentionKV(p *printer, l *plan.Launch) error {
	q, o, cache := l.Args[0], l.Results[0], l.Args[4]
	d := q.Type.Dims
	args := append([]string{p.at(o)}, p.strided(q)...)
	kvHeads := cache.Type.Dims[2].N
	p.call(l, "AttentionKV", append(args, p.at(cache), p.dim(d[1]), fmt.Sprint(d[2].N), fmt.Sprint(kvHeads), fmt.Sprint(d[3].N), "kvBlock",
		p.at(l.Args[1]), p.at(l.Args[2]), p.at(l.Args[3]), "maxBlocks", float(l.Attrs["scale"].(float64)), fmt.Sprint(l.Int("window", 0)))...)
	return nil
}

// Gate and up may be the halves of one pack.
func swiglu(p *printer, l *plan.Launch) error {
	g, u, y := l.Args[0], l.Args[1], l.Results[0]
	f := last(y)
	p.call(l, "SwiGLU", p.at(y), p.at(g), p.ld(g, f), p.at(u), p.ld(u, f), p.rows(y, f), p.dim(f))
	return nil
}

func swigluGrad(p *printer, l *plan.Launch) error {
	dy, g, u, dg, du := l.Args[0], l.Args[1], l.Args[2], l.Results[0], l.Results[1]
	f := last(dy)
	p.call(l, "SwiGLUGrad", p.at(dg), p.ld(dg, f), p.at(du), p.ld(du, f), p.at(dy), p.at(g), p.ld(g, f), p.at(u), p.ld(u, f), p.rows(dy, f), p.dim(f))
	return nil
}

// scalar prints a kernel that returns the number that its launch computes.
func (p *printer) scalar(l *plan.Launch, kernel string, args ...string) {
	// The kernel returns the loss; it is stored where the plan has it, so that
	// later launches may read it.
	p.call(l, kernel, args...)
	i := len(p.out) - 1
	p.out[i] = p.at(l.Results[0]) + "[0] = " + p.out[i]
}

func linearXent(p *printer, l *plan.Launch) error {
	x, w, t := l.Args[0], l.Args[1], l.Args[2]
	d := last(x)
	p.scalar(l, "LinearXent", p.at(x), p.at(w), p.at(t), p.rows(x, d), p.dim(w.Type.Dims[0]), p.dim(d))
	return nil
}

func linearXentGrad(p *printer, l *plan.Launch) error {
	// The kernel takes the gradient of the loss to be 1, as it is where the
	// loss is the program's result.
	if s := l.Args[0]; s.Kind != plan.Immediate || s.Value != 1 {
		return fmt.Errorf("target go: %s: the loss's gradient is not 1", l.Text)
	}
	x, w, t, dx, dw := l.Args[1], l.Args[2], l.Args[3], l.Results[1], l.Results[2]
	d := last(x)
	p.scalar(l, "LinearXentGrad", p.at(dx), p.at(dw), p.at(x), p.at(w), p.at(t), p.rows(x, d), p.dim(w.Type.Dims[0]), p.dim(d), p.mode(dw))
	return nil
}

func crossEntropy(p *printer, l *plan.Launch) error {
	x, t := l.Args[0], l.Args[1]
	p.scalar(l, "CrossEntropy", p.at(x), p.at(t), p.rows(x, last(x)), p.dim(last(x)))
	return nil
}

// The gradient of the loss is a number or a value that was computed.
func crossEntropyGrad(p *printer, l *plan.Launch) error {
	d, x, t, dx := l.Args[0], l.Args[1], l.Args[2], l.Results[0]
	scale := float(d.Value)
	if d.Kind == plan.InBuffer {
		scale = p.at(d) + "[0]"
	}
	p.call(l, "CrossEntropyGrad", p.at(dx), p.at(x), p.at(t), p.rows(x, last(x)), p.dim(last(x)), scale)
	return nil
}

// The table has as many rows as the vocabulary, and an id beyond it panics in
// the kernel.
func gather(p *printer, l *plan.Launch) error {
	table, ids, y := l.Args[0], l.Args[1], l.Results[0]
	d := last(table)
	p.call(l, "Embedding", p.at(y), p.at(table), p.at(ids), p.rows(y, d), p.dim(d), p.dim(table.Type.Dims[0]))
	return nil
}

func gatherGrad(p *printer, l *plan.Launch) error {
	ids, dy, dw := l.Args[0], l.Args[1], l.Results[0]
	d := last(dy)
	p.call(l, "EmbeddingGrad", p.at(dw), p.at(ids), p.at(dy), p.rows(dy, d), p.dim(d), p.dim(dw.Type.Dims[0]), p.mode(dw))
	return nil
}

// A gradient that its own kernel could not write in place.
func gradAdd(p *printer, l *plan.Launch) error {
	p.call(l, "Store", p.at(l.Results[0]), p.at(l.Args[0]), p.mode(l.Results[0]))
	return nil
}

// globalNorm keeps the norm in float64: clipping divides by it.
//
// It is the norm of the mean gradient: the arena holds sums over micro-batches,
// and h.GradScale is 1 over their number.
func globalNorm(p *printer, l *plan.Launch) error {
	p.uses["d"] = true
	p.line("norm := math.Sqrt(d.SumSquares(t.grads)) * h.GradScale")
	return nil
}

// adamw updates ranges of the flat arenas that share their weight decay.
//
// Clipping and the mean are one factor on the gradients, so that no pass over
// them is needed for either.
func adamw(p *printer, l *plan.Launch) error {
	p.uses["d"] = true
	// norm - norm is 0 for finite numbers only. The weights stay as they were,
	// for Diagnose to find the node.
	p.line("if norm-norm != 0 {")
	p.line("return norm // not finite: leave the weights as they are, for Diagnose")
	p.line("}")
	p.line("step := cpu.AdamWStep{LR: h.LR, Beta1: h.Beta1, Beta2: h.Beta2, Eps: h.Eps, Step: h.Step, GradScale: h.GradScale * model.ClipFactor(norm, h.Clip)}")
	p.line("for _, r := range decayRanges {")
	p.line("step.WeightDecay = 0")
	p.line("if r.decay {")
	p.line("step.WeightDecay = h.WeightDecay")
	p.line("}")
	p.line("d.AdamW(t.params[r.from:r.to], t.grads[r.from:r.to], t.moment1[r.from:r.to], t.moment2[r.from:r.to], step)")
	p.line("}")
	return nil
}

// Batched products of primitives, as attention has them if it was not fused.
func matmul(p *printer, l *plan.Launch) error {
	m, err := plan.MatMul(l)
	if err != nil {
		return fmt.Errorf("target go: %w", err)
	}
	p.call(l, "MatMulBatch", p.at(l.Results[0]), p.at(l.Args[0]), p.at(l.Args[1]), p.dim(m.Batch), p.dim(m.M), p.dim(m.N), p.dim(m.K),
		p.dim(m.NextA), p.dim(m.NextB), p.dim(m.Next), fmt.Sprint(m.TransA), fmt.Sprint(m.TransB), "cpu.Overwrite")
	return nil
}
