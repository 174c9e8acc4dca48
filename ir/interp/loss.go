package interp

// Cross-entropy over logits, given or computed whole from a linear layer: the
// runtime goes chunk by chunk, which must not show.
var lossKernels = map[string]kernel{
	"cross_entropy": func(c *call) error {
		loss, err := crossEntropy(c.in[0], c.in[1], nil, 0)
		c.out[0].F[0] = loss
		return err
	},
	"cross_entropy_grad": func(c *call) error {
		_, err := crossEntropy(c.in[1], c.in[2], c.out[0], c.in[0].F[0])
		return err
	},
	// The fused op's point is that logits [rows, vocab] never exist as a whole;
	// here they do.
	"linear_xent": func(c *call) error {
		x, w, targets := c.in[0], c.in[1], c.in[2]
		logits := logitsOf(x, w)
		linear(logits, x, w)
		loss, err := crossEntropy(logits, targets, nil, 0)
		c.out[0].F[0] = loss
		return err
	},
	"linear_xent_grad": func(c *call) error {
		dloss, x, w, targets := c.in[0], c.in[1], c.in[2], c.in[3]
		logits, dlogits := logitsOf(x, w), logitsOf(x, w)
		linear(logits, x, w)
		// The loss is a result too, since a training step wants it and has just
		// computed all of it.
		loss, err := crossEntropy(logits, targets, dlogits, dloss.F[0])
		c.out[0].F[0] = loss
		linearGradX(c.out[1], dlogits, w)
		linearGradW(c.out[2], dlogits, x)
		return err
	},
}

// logitsOf makes a tensor for linear(x, w).
// Rows are all axes but the last.
func logitsOf(x, w *Tensor) *Tensor { return New(x.DType, x.rows(), w.Dims[0]) }

// crossEntropy is the mean of -log softmax(logits)[target] over the rows whose
// target is not negative, 0 if there are none. If d is not nil it receives
// dloss times the gradient.
// Logits are [rows, vocabulary], targets one id a row. The unit is nats.
func crossEntropy(logits, targets, d *Tensor, dloss float64) (float64, error) {
	// The mean is over counted targets: a row without one has no influence on
	// the others' weight.
	count, sum := 0.0, 0.0
	for _, t := range targets.I {
		if t >= 0 {
			count++
		}
	}
	p := make([]float64, logits.last())
	for r, t := range targets.I {
		if t < 0 {
			continue
		}
		if err := inRange("target", t, len(p)); err != nil {
			return 0, err
		}
		x := logits.row(r)
		// softmax gives the logarithm of the sum of exponentials, so this is
		// -log p[t] without a division.
		sum += softmax(p, x) - x[t]
		if d != nil {
			p[t]-- // softmax - onehot
			axpy(d.row(r), dloss/count, p)
		}
	}
	if count == 0 {
		return 0, nil
	}
	return sum / count, nil
}
