package interp

import (
	"math"
	"slices"
)

// Reductions, in the order of the elements, and softmax along the last axis.
var reduceKernels = map[string]kernel{
	"reduce_sum":  reduce(0, func(a, x float64) float64 { return a + x }, func(a, n float64) float64 { return a }),
	"reduce_mean": reduce(0, func(a, x float64) float64 { return a + x }, func(a, n float64) float64 { return a / n }),
	// -Inf for an empty axis, which no real maximum is below; a NaN stays.
	"reduce_max": reduce(math.Inf(-1), math.Max, func(a, n float64) float64 { return a }),
	// Rows of the last axis, each for itself.
	"softmax": pure(func(c *call) {
		for r := range c.in[0].rows() {
			softmax(c.out[0].row(r), c.in[0].row(r))
		}
	}),
	// dx_i = Σ_j dy_j ∂y_j/∂x_i with ∂y_j/∂x_i = y_j (δ_ij - y_i).
	"softmax_grad": pure(func(c *call) {
		for r := range c.in[0].rows() {
			dy, y, dx := c.in[0].row(r), c.in[1].row(r), c.out[0].row(r)
			s := dot(dy, y)
			for i := range dx {
				dx[i] = y[i] * (dy[i] - s)
			}
		}
	}),
}

// reduce folds the elements that share a result's index, starting from start;
// finish receives the fold and the number of elements.
// One pass in the order of memory; in float64 the order does not matter to any
// test.
func reduce(start float64, fold, finish func(a, x float64) float64) kernel {
	return pure(func(c *call) {
		x, y, axes := c.in[0], c.out[0], c.n.Ints("axes")
		for i := range y.F {
			y.F[i] = start
		}
		// Elements behind each result.
		n := 1
		for _, a := range axes {
			n *= x.Dims[a]
		}
		for i, v := range x.F {
			to := 0
			// The place is the index without the axes that vanish. Kept axes of
			// size 1 do not change it.
			for a, j := range unravel(i, x.Dims) {
				if !slices.Contains(axes, int64(a)) {
					to = to*x.Dims[a] + j
				}
			}
			y.F[to] = fold(y.F[to], v)
		}
		for i := range y.F {
			y.F[i] = finish(y.F[i], float64(n))
		}
	})
}

// softmax writes exp(x) over its sum to p and returns the log of the sum. The
// largest element is taken off first, which changes nothing but overflow.
func softmax(p, x []float64) (logSum float64) {
	top := slices.Max(x)
	// A row of -Inf alone gives NaN, as in PyTorch; masks never make one.
	sum := 0.0
	for i := range x {
		p[i] = math.Exp(x[i] - top)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return math.Log(sum) + top
}
