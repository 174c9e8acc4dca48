package interp

import "math"

// A fused attention adds up what no node of it shows: scores, and in its
// backward do·v and do·o, which are nearly equal where a query sees few keys.
// What rounding does to those is part of the terms of its results.

// attentionTerms are those of o and of lse. The rounding of a score s moves the
// probability p by p·s, as if s were a factor of the value, and lse by s.
func (c *call) attentionTerms() []*Tensor {
	q, k, v := c.in[0], c.in[1], c.in[2]
	o, lse := New(c.out[0].DType, c.out[0].Dims...), absolute(c.out[1])
	a := newMask(c.n, q, k, c.optional(3))
	a.each(func(b, h, t int) {
		kh := h / a.group
		keys := a.visible(b, t)
		if len(keys) == 0 { // lse is -Inf, which is not rounded
			lse.F[lse.Index(b, h, t)] = 0
		}
		for _, j := range keys {
			s, terms := a.score(q, k, b, h, t, j)
			p := math.Exp(s - c.out[1].At(b, h, t))
			axpyAbs(vector(o, b, t, h), p*(1+terms), vector(v, b, j, kh))
			lse.F[lse.Index(b, h, t)] += p * terms
		}
	})
	return []*Tensor{o, lse}
}

// attentionGradTerms are those of dq, dk and dv.
func (c *call) attentionGradTerms() []*Tensor {
	do, o, lse, q, k, v := c.in[0], c.in[1], c.in[2], c.in[3], c.in[4], c.in[5]
	var out []*Tensor
	for _, t := range c.out {
		out = append(out, New(t.DType, t.Dims...))
	}
	dq, dk, dv := out[0], out[1], out[2]
	a := newMask(c.n, q, k, c.optional(6))
	a.each(func(b, h, t int) {
		kh := h / a.group
		delta := dotAbs(vector(do, b, t, h), vector(o, b, t, h))
		for _, j := range a.visible(b, t) {
			s, terms := a.score(q, k, b, h, t, j)
			p := math.Exp(s-lse.At(b, h, t)) * (1 + terms)
			ds := a.scale * p * (dotAbs(vector(do, b, t, h), vector(v, b, j, kh)) + delta)
			axpyAbs(vector(dv, b, j, kh), p, vector(do, b, t, h))
			axpyAbs(vector(dq, b, t, h), ds, vector(k, b, j, kh))
			axpyAbs(vector(dk, b, j, kh), ds, vector(q, b, t, h))
		}
	})
	return out
}

// score is the score of key j for query t, and the terms that it is the sum of.
func (a *mask) score(q, k *Tensor, b, h, t, j int) (s, terms float64) {
	x, y := vector(q, b, t, h), vector(k, b, j, h/a.group)
	return a.scale * dot(x, y), math.Abs(a.scale) * dotAbs(x, y)
}

func dotAbs(x, y []float64) float64 {
	sum := 0.0
	for i := range x {
		sum += math.Abs(x[i] * y[i])
	}
	return sum
}

// axpyAbs adds |c·x| to y.
func axpyAbs(y []float64, c float64, x []float64) {
	for i := range x {
		y[i] += math.Abs(c * x[i])
	}
}
