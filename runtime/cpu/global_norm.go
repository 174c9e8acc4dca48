package cpu

// squaresParts is the largest number of parts of SumSquares.
const squaresParts = 1024

// SumSquares returns Σ x², in float64: the square of the L2 norm. Parts are
// cut by length only and added in order.
func (d *Device) SumSquares(x []float32) float64 {
	t := &d.tasks.gemm.squares
	t.x = x
	t.size = max(1<<14, (len(x)+squaresParts-1)/squaresParts)
	parts := (len(x) + t.size - 1) / t.size
	d.run(t, parts)
	t.x = nil
	sum := 0.0
	for _, s := range t.sums[:parts] {
		sum += s
	}
	d.launched("sum_squares")
	return sum
}

type squaresTask struct {
	x    []float32
	size int
	sums [squaresParts]float64
}

func (t *squaresTask) do(part, _ int) {
	lo := part * t.size
	t.sums[part] = sumSquaresPortable(t.x[lo:min(lo+t.size, len(t.x))])
}

func sumSquaresPortable(x []float32) float64 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return sum
}
