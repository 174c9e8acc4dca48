package cpu

// sumBlock is the length of a run that is summed in float32; the sums of runs
// are added in float64.
//
// A run is short enough for float32 not to lose much, and long enough for the
// additions in float64 to cost nothing.
const sumBlock = 1024

// Softmax computes y = softmax of each of the rows of n elements of x, the
// greatest element subtracted first. y may be x.
func (d *Device) Softmax(y, x []float32, rows, n int) {
	y, x = y[:rows*n], x[:rows*n]
	t := &d.tasks.model.softmax
	*t = softmaxTask{d.isa, y, x, rows, n, rowsPerChunk(n)}
	d.run(t, chunksOf(rows, t.per))
	d.launched("softmax", y)
}

// softmaxTask is one launch of Softmax, cut into groups of rows.
type softmaxTask struct {
	isa     isa
	y, x    []float32
	rows, n int
	per     int
}

func (t *softmaxTask) do(chunk, _ int) {
	for r := chunk * t.per; r < min(t.rows, (chunk+1)*t.per); r++ {
		y := t.y[r*t.n : (r+1)*t.n]
		_, sum := expRow(t.isa, y, t.x[r*t.n:(r+1)*t.n])
		vecScale(t.isa, y, y, float32(1/sum))
	}
}

// expRow computes y = e^(x - max x) and returns the maximum and the sum of y.
//
// x is read twice, the second time from the cache.
func expRow(l isa, y, x []float32) (m float32, sum float64) {
	m = vecMax(l, x)
	for i := 0; i < len(x); i += sumBlock {
		j := min(i+sumBlock, len(x))
		sum += float64(vecExpSum(l, y[i:j], x[i:j], m))
	}
	return m, sum
}

// SoftmaxGrad computes dx = y·(dy - Σ dy·y), row by row, for y = softmax(x).
// dx may be dy or y.
//
// Of the Jacobian diag(y) - y·yᵀ only this product is ever needed.
func (d *Device) SoftmaxGrad(dx, dy, y []float32, rows, n int) {
	dx, dy, y = dx[:rows*n], dy[:rows*n], y[:rows*n]
	t := &d.tasks.model.softmaxGrad
	*t = softmaxGradTask{d.isa, dx, dy, y, rows, n, rowsPerChunk(n)}
	d.run(t, chunksOf(rows, t.per))
	d.launched("softmax_grad", dx)
}

// softmaxGradTask is one launch of SoftmaxGrad.
type softmaxGradTask struct {
	isa       isa
	dx, dy, y []float32
	rows, n   int
	per       int
}

func (t *softmaxGradTask) do(chunk, _ int) {
	for r := chunk * t.per; r < min(t.rows, (chunk+1)*t.per); r++ {
		dx, dy, y := t.dx[r*t.n:(r+1)*t.n], t.dy[r*t.n:(r+1)*t.n], t.y[r*t.n:(r+1)*t.n]
		s := float32(dotBlocks(t.isa, dy, y))
		for i := range dx {
			dx[i] = y[i] * (dy[i] - s)
		}
	}
}

// dotBlocks is the dot product with the sums of blocks added in float64.
func dotBlocks(l isa, x, y []float32) (s float64) {
	for i := 0; i < len(x); i += sumBlock {
		j := min(i+sumBlock, len(x))
		s += float64(vecDot(l, x[i:j], y[i:j]))
	}
	return s
}
