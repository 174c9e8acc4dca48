package interp

import "math"

// Fused ops and their gradients, straight from the papers' formulas.
var fusedKernels = map[string]kernel{
	"rms_norm": pure(func(c *call) { rmsNorm(c.out[0], c.in[0], c.in[1], c.n.Float("eps")) }),
	// Zhang and Sennrich 2019 on the sum of the residual stream and what is
	// added to it; the sum is the first result.
	"add_rms_norm": pure(func(c *call) {
		for i := range c.out[0].F {
			c.out[0].F[i] = c.in[0].F[i] + c.in[1].F[i]
		}
		rmsNorm(c.out[1], c.out[0], c.in[2], c.n.Float("eps"))
	}),
	// [rows, n]: dx per row, dw summed over all rows. The optional operand is a
	// gradient that dx is added to.
	"rms_norm_grad": pure(func(c *call) {
		dyT, xT, w := c.in[0], c.in[1], c.in[2].F
		dw := c.out[1].F
		// Width of a row.
		n := float64(len(w))
		for r := range xT.rows() {
			dy, x, dx := dyT.row(r), xT.row(r), c.out[0].row(r)
			inv := inverseRMS(x, c.n.Float("eps"))
			// y_i = w_i x_i inv, and d inv / d x_i = -inv³ x_i / n.
			// The part of the gradient that goes through the norm is the same
			// for the row: Σ dy_i w_i x_i.
			s := 0.0
			for i := range x {
				s += dy[i] * w[i] * x[i]
				dw[i] += dy[i] * x[i] * inv
			}
			for i := range x {
				dx[i] = dy[i]*w[i]*inv - x[i]*inv*inv*inv*s/n
				if c.has(3) {
					dx[i] += c.in[3].row(r)[i]
				}
			}
		}
	}),
	// Su et al. 2021. cos and sin are [T, d/2]; "half" pairs i with i + d/2 as
	// Hugging Face does, "interleaved" neighbours as the paper does.
	"rope": pure(func(c *call) {
		x, cos, sin, y := c.in[0], c.in[1], c.in[2], c.out[0]
		axis, half := c.n.Int("seq_axis"), x.last()/2
		// Each pair (a, b) of a row turns by the angle of the row's position.
		for r := range x.rows() {
			pos := unravel(r*x.last(), x.Dims)[axis]
			for i := range half {
				j, k := i, i+half
				if c.n.Str("layout") == "interleaved" {
					j, k = 2*i, 2*i+1
				}
				co, si := cos.row(pos)[i], sin.row(pos)[i]
				// The rotation backwards, which is also its gradient.
				if c.n.Flag("inverse") {
					si = -si
				}
				a, b := x.row(r)[j], x.row(r)[k]
				y.row(r)[j] = a*co - b*si
				y.row(r)[k] = a*si + b*co
			}
		}
	}),
	// Shazeer 2020: the gate goes through SiLU, the other half is linear.
	"swiglu": pure(func(c *call) {
		for i, g := range c.in[0].F {
			c.out[0].F[i] = g * sigmoid(g) * c.in[1].F[i]
		}
	}),
	"swiglu_grad": pure(func(c *call) {
		dy, g, u := c.in[0].F, c.in[1].F, c.in[2].F
		for i := range dy {
			// y = u g s with s = sigmoid(g) and ds/dg = s (1 - s).
			s := sigmoid(g[i])
			c.out[0].F[i] = dy[i] * u[i] * s * (1 + g[i]*(1-s))
			c.out[1].F[i] = dy[i] * g[i] * s
		}
	}),
}

// inverseRMS is 1 / sqrt(mean(x²) + eps).
// eps lies under the root, as in LLaMA's code.
func inverseRMS(x []float64, eps float64) float64 {
	return 1 / math.Sqrt(dot(x, x)/float64(len(x))+eps)
}

// rmsNorm writes x / sqrt(mean(x²) + eps) · w to y, row by row.
// It is Zhang and Sennrich 2019: no mean is taken off, and there is no bias.
func rmsNorm(y, x, w *Tensor, eps float64) {
	for r := range x.rows() {
		inv := inverseRMS(x.row(r), eps)
		for i, v := range x.row(r) {
			y.row(r)[i] = v * inv * w.F[i]
		}
	}
}
