package cpu

import "math"

// ReduceOp combines the elements along one axis.
type ReduceOp uint8

// The reductions. ReduceMax keeps NaN.
const (
	ReduceSum ReduceOp = iota
	ReduceMean
	ReduceMax
)

// Reduce combines the middle axis of x [outer, n, inner] into y [outer, inner].
// Sums are taken in float64 in index order and rounded once. n of 0 gives 0 for
// a sum, NaN for a mean and -Inf for a maximum.
func (d *Device) Reduce(op ReduceOp, y, x []float32, outer, n, inner int) {
	y, x = y[:outer*inner], x[:outer*n*inner]
	t := &d.tasks.model.reduce
	*t = reduceTask{op: op, y: y, x: x, n: n, inner: inner}
	// The shape is cut into tiles of columns and chunks of tiles, as many as
	// make up chunkElems elements.
	t.tiles = chunksOf(inner, reduceTile)
	t.per = max(1, chunkElems/max(1, n*min(inner, reduceTile)))
	d.run(t, chunksOf(outer*t.tiles, t.per))
	d.launched("reduce", y)
}

// reduceTile is the number of columns that are reduced together.
//
// The sums of a tile are 2 KiB of float64, on the stack of whoever computes it.
const reduceTile = 256

// reduceTask is one launch of Reduce. Each element of the result is computed
// whole by one chunk, so that its sum has one order.
type reduceTask struct {
	op         ReduceOp
	y, x       []float32
	n, inner   int
	tiles, per int // tiles a row of the result; tiles a chunk
}

func (t *reduceTask) do(chunk, _ int) {
	units := len(t.y) / max(1, t.inner) * t.tiles
	var acc [reduceTile]float64
	for u := chunk * t.per; u < min(units, (chunk+1)*t.per); u++ {
		o, lo := u/t.tiles, u%t.tiles*reduceTile
		y := t.y[o*t.inner+lo : o*t.inner+min(lo+reduceTile, t.inner)]
		t.tile(y, acc[:len(y)], t.x[o*t.n*t.inner:(o+1)*t.n*t.inner], lo)
	}
}

// tile reduces len(y) columns from lo of the matrix x [n, inner].
//
// It goes row by row, in the order in which x lies, with a sum for each column.
func (t *reduceTask) tile(y []float32, acc []float64, x []float32, lo int) {
	if t.op == ReduceMax {
		for i := range y {
			y[i] = float32(math.Inf(-1))
		}
		for r := range t.n {
			x := x[r*t.inner+lo:][:len(y)]
			for i, v := range x {
				// Once a maximum is NaN no number is greater, and it stays.
				if v > y[i] || v != v {
					y[i] = v
				}
			}
		}
		return
	}
	scale := 1.0
	if t.op == ReduceMean {
		// With n = 0 that is +Inf, and 0 times it the NaN of an empty mean.
		scale = 1 / float64(t.n)
	}
	// In a fixed order, whoever computes it.
	if t.inner == 1 { // four chains, so that the adds overlap
		var s [4]float64
		for len(x) >= 4 {
			s[0] += float64(x[0])
			s[1] += float64(x[1])
			s[2] += float64(x[2])
			s[3] += float64(x[3])
			x = x[4:]
		}
		for i, v := range x {
			s[i] += float64(v)
		}
		y[0] = float32(((s[0] + s[1]) + (s[2] + s[3])) * scale)
		return
	}
	clear(acc)
	for r := range t.n {
		x := x[r*t.inner+lo:][:len(acc)]
		for i, v := range x {
			acc[i] += float64(v)
		}
	}
	for i := range y {
		y[i] = float32(acc[i] * scale)
	}
}
