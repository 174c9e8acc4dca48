package interp

import (
	"math"

	"github.com/llamac/llamac/ir"
)

// Where terms of both signs are added up, rounding is relative to the terms and
// not to the sum: the difference of two equal numbers that were rounded
// separately is anything up to their last place. Whoever wants to know how far
// rounding may move a result needs the size of what was added up.

// Noise is told of every node's operands and results as they are computed, and
// may change the results. terms has a tensor for each result: what was added up to each element,
// without signs. It is nil for an op that adds nothing up.
type Noise func(n *ir.Node, operands, results, terms []*Tensor)

// sums are the ops whose terms are products of operands: without signs they are
// what the op makes of operands without signs.
var sums = map[string]bool{"matmul": true, "linear": true, "linear_grad_w": true, "linear_grad_x": true, "reduce_sum": true,
	"reduce_mean": true, "gather_grad": true}

// terms finds the terms of a node that was computed.
func (c *call) terms(k kernel) ([]*Tensor, error) {
	switch op := c.n.Op.Name; {
	case op == "attention":
		return c.attentionTerms(), nil
	case op == "attention_grad":
		return c.attentionGradTerms(), nil
	case sums[op]:
		d := &call{run: c.run, n: c.n, layer: c.layer}
		for _, t := range c.in {
			d.in = append(d.in, absolute(t))
		}
		d.out = []*Tensor{New(c.out[0].DType, c.out[0].Dims...)}
		return d.out, k(d)
	case op == "softmax_grad": // y·(dy - Σ dy·y)
		out := New(c.out[0].DType, c.out[0].Dims...)
		all := absolute(c.in[0])
		for r := range all.rows() {
			dy, y := all.row(r), c.in[1].row(r)
			s := dot(dy, y)
			for i := range y {
				out.row(r)[i] = y[i] * (dy[i] + s)
			}
		}
		return []*Tensor{out}, nil
	case op == "cross_entropy_grad": // dloss/count · (p - 1 where the target is)
		out := absolute(c.out[0])
		count := 0.0
		for _, t := range c.in[2].I {
			if t >= 0 {
				count++
			}
		}
		for r, t := range c.in[2].I {
			if t >= 0 {
				out.row(r)[t] += 2 * math.Abs(c.in[0].F[0]) / count
			}
		}
		return []*Tensor{out}, nil
	}
	return nil, nil
}

// absolute is a copy without signs; what is no float stays.
func absolute(t *Tensor) *Tensor {
	if t == nil || t.F == nil {
		return t
	}
	u := t.Clone()
	for i, x := range u.F {
		u.F[i] = math.Abs(x)
	}
	return u
}
