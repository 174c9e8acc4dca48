package cpu

import "math"

// AdamWStep holds the scalars of one optimiser step.
type AdamWStep struct {
	LR, Beta1, Beta2, Eps float64
	WeightDecay           float64 // 0 for parameters that do not decay
	GradScale             float64 // multiplies gradients first: 1/accumulation × clip factor
	Step                  int     // from 1
}

// adamwChunk is the number of parameters a chunk updates.
//
// At 2^14 a chunk touches 64 KiB of each of the four slices.
const adamwChunk = 1 << 14

// AdamW updates parameters p and moments m and v in place from gradients g
// (Loshchilov & Hutter 2019, in the order of PyTorch's AdamW): decay is
// applied to p first, moments are bias-corrected, and eps is added to
// √(v̂). All four have the same length. It panics if Step < 1.
func (d *Device) AdamW(p, g, m, v []float32, h AdamWStep) {
	if h.Step < 1 {
		panic("cpu: AdamW: step counts from 1")
	}
	n := len(p)
	t := &d.tasks.gemm.adamw
	t.isa = d.isa
	t.p, t.g, t.m, t.v = p, g[:n], m[:n], v[:n]
	t.c = adamwScalars{
		decay: float32(1 - h.LR*h.WeightDecay),
		scale: float32(h.GradScale),
		beta1: float32(h.Beta1), rest1: float32(1 - h.Beta1),
		beta2: float32(h.Beta2), rest2: float32(1 - h.Beta2),
		root: float32(1 / math.Sqrt(1-math.Pow(h.Beta2, float64(h.Step)))),
		eps:  float32(h.Eps),
		rate: float32(h.LR / (1 - math.Pow(h.Beta1, float64(h.Step)))),
	}
	d.run(t, ceilDiv(n, adamwChunk))
	t.p, t.g, t.m, t.v = nil, nil, nil, nil
	d.launched("adamw", p, m, v)
}

// adamwScalars are rounded to float32 once per step.
type adamwScalars struct {
	decay, scale, beta1, rest1, beta2, rest2, root, eps, rate float32
}

type adamwTask struct {
	isa        isa
	p, g, m, v []float32
	c          adamwScalars
}

func (t *adamwTask) do(chunk, _ int) {
	lo := chunk * adamwChunk
	hi := min(lo+adamwChunk, len(t.p))
	adamwUpdate(t.isa, t.p[lo:hi], t.g[lo:hi], t.m[lo:hi], t.v[lo:hi], &t.c)
}

// adamwPortable defines the update. Conversions keep the compiler from fusing
// multiply and add, so all instruction sets give the same bits.
func adamwPortable(p, g, m, v []float32, c *adamwScalars) {
	g, m, v = g[:len(p)], m[:len(p)], v[:len(p)]
	for i := range p {
		x := g[i] * c.scale
		mi := float32(m[i]*c.beta1) + float32(x*c.rest1)
		vi := float32(v[i]*c.beta2) + float32(float32(x*x)*c.rest2)
		m[i], v[i] = mi, vi
		den := float32(float32(math.Sqrt(float64(vi)))*c.root) + c.eps
		p[i] = float32(p[i]*c.decay) - float32(c.rate*float32(mi/den))
	}
}
