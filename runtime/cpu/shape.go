package cpu

// maxRank is the largest number of dimensions of a strided operand.
const maxRank = 6

// runLen is the longest run of elements that a walk hands out: a run of an
// operand that is not contiguous is gathered into a buffer of this size.
//
// Three of them are 6 KiB, small enough for L1.
const runLen = 512

type run [runLen]float32

// load returns n elements of x from off, step apart: x itself where step is 1,
// else a copy in the buffer.
//
// Steps of 0 are broadcasts. A gathered run costs one pass over it, and leaves
// one loop for each operation instead of one for each combination of strides.
func (r *run) load(x []float32, off, step, n int) []float32 {
	switch step {
	case 1:
		return x[off : off+n]
	case 0:
		v, b := x[off], r[:n]
		for i := range b {
			b[i] = v
		}
	default:
		for i := range r[:n] {
			r[i] = x[off+i*step]
		}
	}
	return r[:n]
}

// walk visits up to four strided operands of one shape together. Dimensions
// that all operands step through alike are merged, so that a contiguous
// operation is one long row. It is cut into chunks by shape alone.
type walk struct {
	rank   int
	dims   [maxRank]int
	stride [4][maxRank]int
	rows   int // product of all dims but the last
	per    int // rows in a chunk
	pieces int // chunks in a row, when rows are longer than a chunk
}

// init takes the dims and each operand's strides; s0 nil is a contiguous
// result, s2 and s3 nil are absent operands.
func (w *walk) init(dims, s0, s1, s2, s3 []int) {
	if len(dims) > maxRank {
		panic("cpu: more than six dimensions")
	}
	*w = walk{}
	var s [4][maxRank]int
	// A contiguous result has the strides of its dims. Absent operands keep
	// strides of 0 and agree with any merging.
	c := 1
	for i := len(dims) - 1; i >= 0; i-- {
		s[0][i] = c
		c *= dims[i]
	}
	for o, given := range [4][]int{s0, s1, s2, s3} {
		if given != nil {
			copy(s[o][:], given[:len(dims)])
		}
	}
	for i, n := range dims {
		// An axis of size 1 is never stepped along, and its stride means
		// nothing.
		if n == 1 {
			continue
		}
		// Dims go from outside to inside: this one is inside of the last one
		// kept.
		if r := w.rank - 1; r >= 0 && w.merges(r, &s, i, n) {
			w.dims[r] *= n
			for o := range s {
				w.stride[o][r] = s[o][i]
			}
			continue
		}
		w.dims[w.rank] = n
		for o := range s {
			w.stride[o][w.rank] = s[o][i]
		}
		w.rank++
	}
	if w.rank == 0 { // a single element
		w.rank, w.dims[0] = 1, 1
	}
	w.cut()
}

// merges reports whether dimension i of size n continues dimension r.
//
// That is so if a step of r is n steps of i, for every operand; for a broadcast
// both are 0.
func (w *walk) merges(r int, s *[4][maxRank]int, i, n int) bool {
	for o := range s {
		if w.stride[o][r] != s[o][i]*n {
			return false
		}
	}
	return true
}

// cut decides the chunks: several rows each, or parts of one row.
//
// Either rows are short and a chunk has several, or they are long and each is
// cut: one of per and pieces is 1.
func (w *walk) cut() {
	w.rows = 1
	for _, n := range w.dims[:w.rank-1] {
		w.rows *= n
	}
	n := w.dims[w.rank-1]
	w.per = rowsPerChunk(n)
	w.pieces = max(1, chunksOf(n, chunkElems))
}

// oneRun is the walk over n elements with the given steps of two operands and
// a contiguous result.
func oneRun(n, step1, step2 int) walk {
	w := walk{rank: 1}
	w.dims[0] = n
	w.stride[0][0], w.stride[1][0], w.stride[2][0] = 1, step1, step2
	w.cut()
	return w
}

// len is the number of elements visited.
func (w *walk) len() int { return w.rows * w.dims[w.rank-1] }

// chunks is the number of chunks, numbered along rows first.
func (w *walk) chunks() int {
	if w.len() == 0 {
		return 0
	}
	return chunksOf(w.rows, w.per) * w.pieces
}

// runs iterates over the runs of one chunk. After next returns true, operand o
// has n elements from off[o], step[o] apart.
type runs struct {
	off, step [4]int
	n         int

	w              *walk
	rows           int // rows left, this one included
	col, left, end int // position in the row, first and last column of the chunk
	base           [4]int
	at             [maxRank]int
}

// start returns the iterator over one chunk, in front of its first run.
func (w *walk) start(chunk int) runs {
	it := runs{w: w}
	last := w.rank - 1
	// Chunks are numbered row by row, and in a row from left to right.
	row := chunk / w.pieces * w.per
	it.rows = min(w.per, w.rows-row)
	it.left = chunk % w.pieces * chunkElems
	it.end = w.dims[last]
	if w.pieces > 1 {
		it.end = min(it.end, it.left+chunkElems)
	}
	it.col = it.left
	// The row's number, written in the base of the dims, is its index.
	for i := last - 1; i >= 0; i-- {
		it.at[i] = row % w.dims[i]
		row /= w.dims[i]
	}
	for o := range it.base {
		it.step[o] = w.stride[o][last]
		for i := range last {
			it.base[o] += it.at[i] * w.stride[o][i]
		}
	}
	return it
}

// next moves to the next run of at most runLen elements, if there is one.
// A run never crosses the end of a row, where strides of other axes come in.
func (it *runs) next() bool {
	if it.col >= it.end {
		if it.rows--; it.rows <= 0 {
			return false
		}
		it.carry()
		it.col = it.left
	}
	it.n = min(runLen, it.end-it.col)
	for o := range it.off {
		it.off[o] = it.base[o] + it.col*it.step[o]
	}
	it.col += it.n
	return true
}

// carry moves to the next row.
//
// Like an odometer: the last axis but one turns, and what comes round takes its
// steps back and carries on to the axis before.
func (it *runs) carry() {
	for i := it.w.rank - 2; i >= 0; i-- {
		it.at[i]++
		for o := range it.base {
			it.base[o] += it.w.stride[o][i]
		}
		if it.at[i] < it.w.dims[i] {
			return
		}
		for o := range it.base {
			it.base[o] -= it.at[i] * it.w.stride[o][i]
		}
		it.at[i] = 0
	}
}

// Copy copies a block of at most six dims between strided arrays: a transpose,
// broadcast, slice, or a piece of a concatenation or padding. ys and xs are
// strides in elements, one a dimension. The blocks must not overlap.
func (d *Device) Copy(y []float32, ys []int, x []float32, xs []int, dims []int) {
	t := &d.tasks.model.copy
	t.walk.init(dims, ys, xs, nil, nil)
	t.y, t.x = y, x
	d.run(t, t.walk.chunks())
	// Listing the elements takes memory and time, so it is only done when
	// somebody looks.
	if d.watch == nil {
		d.launched("copy")
		return
	}
	d.launched("copy", t.written()...)
}

// copyTask is one launch of Copy; its walk strides through the result too.
type copyTask struct {
	y, x []float32
	walk walk
}

func (t *copyTask) do(chunk, _ int) {
	for it := t.walk.start(chunk); it.next(); {
		y, x := t.y[it.off[0]:], t.x[it.off[1]:]
		sy, sx := it.step[0], it.step[1]
		// Contiguous on both sides, as in a concatenation.
		if sy == 1 && sx == 1 {
			copy(y[:it.n], x[:it.n])
			continue
		}
		for i := range it.n {
			y[i*sy] = x[i*sx]
		}
	}
}

// written lists the elements of the result, for Watch.
func (t *copyTask) written() (all [][]float32) {
	for c := range t.walk.chunks() {
		for it := t.walk.start(c); it.next(); {
			for i := range it.n {
				o := it.off[0] + i*it.step[0]
				all = append(all, t.y[o:o+1])
			}
		}
	}
	return all
}
