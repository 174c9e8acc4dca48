package cpu

// squaresParts is the largest number of parts of SumSquares.
const squaresParts = 1024

// SumSquares returns Σ x², in float64: the square of the L2 norm. Parts are
// cut by length only and added in order, and all instruction sets give the
// same bits.
func (d *Device) SumSquares(x []float32) float64 {
	t := &d.tasks.gemm.squares
	t.isa, t.x = d.isa, x
	// At least 2^14 elements a part, so that small models have few parts, and
	// at most squaresParts of them, whose sums have room in the task.
	t.size = max(1<<14, ceilDiv(len(x), squaresParts))
	parts := ceilDiv(len(x), t.size)
	d.run(t, parts)
	t.x = nil
	sum := 0.0
	// In order, whichever worker was done first.
	for _, s := range t.sums[:parts] {
		sum += s
	}
	d.launched("sum_squares")
	return sum
}

type squaresTask struct {
	isa  isa
	x    []float32
	size int
	sums [squaresParts]float64
}

func (t *squaresTask) do(part, _ int) {
	lo := part * t.size
	x := t.x[lo:min(lo+t.size, len(t.x))]
	// Element i belongs to lane i%16. Its square is exact in float64, so it
	// does not matter whether multiply and add are fused.
	var lanes [16]float64
	whole := sumSquares(t.isa, x, &lanes)
	for i, v := range x[whole:] {
		lanes[i] += float64(v) * float64(v)
	}
	// Halves are added to each other: the tree is the same for all instruction
	// sets.
	for half := 8; half > 0; half /= 2 {
		for i := range half {
			lanes[i] += lanes[i+half]
		}
	}
	t.sums[part] = lanes[0]
}

// sumSquaresPortable sets lanes to the sums over the longest prefix of x whose
// length is a multiple of 16, and returns that length.
func sumSquaresPortable(x []float32, lanes *[16]float64) int {
	n := len(x) &^ 15
	for l := 0; l < 16; l += 4 {
		var s0, s1, s2, s3 float64
		for i := l; i < n; i += 16 {
			v := x[i : i+4 : i+4]
			s0 += float64(v[0]) * float64(v[0])
			s1 += float64(v[1]) * float64(v[1])
			s2 += float64(v[2]) * float64(v[2])
			s3 += float64(v[3]) * float64(v[3])
		}
		lanes[l], lanes[l+1], lanes[l+2], lanes[l+3] = s0, s1, s2, s3
	}
	return n
}
