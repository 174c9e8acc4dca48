package interp

// Matrix products, each written as the sum that defines it. A linear layer's
// weight is [out, in], as checkpoints store it.
var linearKernels = map[string]kernel{
	// No blocking and no reordering: k runs upwards in one sum, whatever is
	// transposed.
	"matmul": pure(func(c *call) {
		a, b, y := c.in[0], c.in[1], c.out[0]
		ta, tb := c.n.Flag("trans_a"), c.n.Flag("trans_b")
		m, p := y.Dims[len(y.Dims)-2], y.last()
		inner := a.last()
		if ta {
			inner = a.Dims[len(a.Dims)-2]
		}
		// y[m, p] = Σ_k a[m, k] b[k, p] for each matrix of the leading axes; b
		// without leading axes is the same for all of them.
		for batch := range size(y.Dims[:len(y.Dims)-2]) {
			am := a.F[batch*m*inner:]
			bm := b.F
			if len(b.Dims) > 2 {
				bm = b.F[batch*inner*p:]
			}
			for i := range m {
				for j := range p {
					s := 0.0
					for k := range inner {
						// Places in one matrix, as it is stored.
						ai, bi := i*inner+k, k*p+j
						if ta {
							ai = k*m + i
						}
						if tb {
							bi = j*inner + k
						}
						s += am[ai] * bm[bi]
					}
					y.F[(batch*m+i)*p+j] = s
				}
			}
		}
	}),
	"linear":        pure(func(c *call) { linear(c.out[0], c.in[0], c.in[1]) }),
	"linear_grad_w": pure(func(c *call) { linearGradW(c.out[0], c.in[0], c.in[1]) }),
	// The optional third operand is a gradient to start from.
	"linear_grad_x": pure(func(c *call) {
		if c.has(2) {
			copy(c.out[0].F, c.in[2].F)
		}
		linearGradX(c.out[0], c.in[0], c.in[1])
	}),
}

// linear: y[r, o] = Σ_i x[r, i] w[o, i].
// x is [.., in], of which the leading axes are rows; y is [.., out].
func linear(y, x, w *Tensor) {
	for r := range x.rows() {
		for o := range w.Dims[0] {
			y.row(r)[o] = dot(x.row(r), w.row(o))
		}
	}
}

// linearGradX adds Σ_o dy[r, o] w[o, i] to dx[r, i].
// The caller has put zeros, or a gradient to start from, into dx.
func linearGradX(dx, dy, w *Tensor) {
	for r := range dy.rows() {
		for o, d := range dy.row(r) {
			axpy(dx.row(r), d, w.row(o))
		}
	}
}

// linearGradW adds Σ_r dy[r, o] x[r, i] to dw[o, i].
// It is what a weight tied to two places receives twice.
func linearGradW(dw, dy, x *Tensor) {
	for r := range dy.rows() {
		for o, d := range dy.row(r) {
			axpy(dw.row(o), d, x.row(r))
		}
	}
}
