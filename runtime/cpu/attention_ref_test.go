package cpu

import "math"

// attn64 is attention in float64, written out: the reference. All matrices are
// contiguous; sizes as in Attention.
type attn64 struct {
	batch, T, heads, kvHeads, hd int
	scale                        float64
	causal                       bool
	window                       int
	q, k, v                      []float64
	starts                       []int32 // nil, or [batch, T]
}

func (a *attn64) sees(b, t, j int) bool {
	return (!a.causal || j <= t) && (a.window == 0 || j > t-a.window) && (a.starts == nil || j >= int(a.starts[b*a.T+t]))
}

func (a *attn64) qrow(b, t, h int) int { return ((b*a.T+t)*a.heads + h) * a.hd }
func (a *attn64) krow(b, t, h int) int {
	return ((b*a.T+t)*a.kvHeads + h/(a.heads/a.kvHeads)) * a.hd
}

// probs returns the probabilities of one query, 0 where it does not see, and
// the log of the sum of exponentials. size is the greatest Σ|q·k|·scale, which
// bounds the error of a score computed in another precision.
func (a *attn64) probs(b, t, h int) (p []float64, lse, size float64) {
	p = make([]float64, a.T)
	q := a.q[a.qrow(b, t, h):][:a.hd]
	top := math.Inf(-1)
	for j := range p {
		p[j] = math.Inf(-1)
		if a.sees(b, t, j) {
			k := a.k[a.krow(b, j, h):][:a.hd]
			p[j] = a.scale * dot64(q, k)
			top = max(top, p[j])
			sum := 0.0
			for i := range q {
				sum += math.Abs(q[i] * k[i])
			}
			size = max(size, sum*a.scale)
		}
	}
	sum := 0.0
	for j := range p {
		p[j] = math.Exp(p[j] - top)
		sum += p[j]
	}
	for j := range p {
		p[j] /= sum
	}
	return p, top + math.Log(sum), size
}

// forward returns o and lse, and how far float32 may be from them.
func (a *attn64) forward() (o, lse, tolO, tolLSE []float64) {
	o, tolO = make([]float64, a.batch*a.T*a.heads*a.hd), make([]float64, a.batch*a.T*a.heads*a.hd)
	lse, tolLSE = make([]float64, a.batch*a.heads*a.T), make([]float64, a.batch*a.heads*a.T)
	for b := range a.batch {
		for h := range a.heads {
			for t := range a.T {
				p, l, size := a.probs(b, t, h)
				r := a.qrow(b, t, h)
				rel := a.relP(size)
				for j := range p {
					if p[j] == 0 { // not seen, or below any rounding
						continue
					}
					for i, v := range a.v[a.krow(b, j, h):][:a.hd] {
						o[r+i] += p[j] * v
						tolO[r+i] += 2 * rel * p[j] * math.Abs(v)
					}
				}
				lse[(b*a.heads+h)*a.T+t] = l
				tolLSE[(b*a.heads+h)*a.T+t] = rel + 2*unit*math.Abs(l)
			}
		}
	}
	return o, lse, tolO, tolLSE
}

// relP bounds the relative error of a float32 probability: the score is a sum
// of hd products, scaled and rounded; the sum over keys adds up to T roundings,
// in blocks; the exponential has a few.
func (a *attn64) relP(size float64) float64 {
	return (float64(a.hd+4)*size + float64(min(a.T, AttentionBlockK)+a.T/AttentionBlockK+12)) * unit
}

// backward returns the gradients of dot(do, o), and how far float32 may be.
func (a *attn64) backward(do []float64) (g, tol [3][]float64) {
	for i, x := range [][]float64{a.q, a.k, a.v} {
		g[i], tol[i] = make([]float64, len(x)), make([]float64, len(x))
	}
	for b := range a.batch {
		for h := range a.heads {
			for t := range a.T {
				p, lse, size := a.probs(b, t, h)
				rel := a.relP(size) + unit*math.Abs(lse)*2
				r := a.qrow(b, t, h)
				dO := do[r:][:a.hd]
				dp, mag := make([]float64, a.T), make([]float64, a.T)
				delta, magD := 0.0, 0.0
				for j := range p {
					if p[j] == 0 {
						continue
					}
					for i, v := range a.v[a.krow(b, j, h):][:a.hd] {
						dp[j] += dO[i] * v
						mag[j] += math.Abs(dO[i] * v)
					}
					delta += p[j] * dp[j]
					magD += p[j] * mag[j]
				}
				for j := range p {
					if p[j] == 0 {
						continue
					}
					ds := p[j] * (dp[j] - delta)
					// dp and delta carry hd roundings each, delta also the error of o.
					e := rel*math.Abs(ds) + p[j]*(float64(a.hd+4)*unit*(mag[j]+magD)+2*rel*magD)
					sum := float64(min(a.T, 2*AttentionBlockQ)+a.T/AttentionBlockQ*a.heads) * unit
					kr := a.krow(b, j, h)
					for i := range dO {
						g[0][r+i] += a.scale * ds * a.k[kr+i]
						tol[0][r+i] += a.scale * (e + sum*math.Abs(ds)) * math.Abs(a.k[kr+i])
						g[1][kr+i] += a.scale * ds * a.q[r+i]
						tol[1][kr+i] += a.scale * (e + sum*math.Abs(ds)) * math.Abs(a.q[r+i])
						g[2][kr+i] += p[j] * dO[i]
						tol[2][kr+i] += (rel + sum) * p[j] * math.Abs(dO[i])
					}
				}
			}
		}
	}
	return g, tol
}
