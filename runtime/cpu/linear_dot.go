package cpu

// dotMaxRows is the number of rows up to which x·wᵀ is computed as dot
// products that read w once, without packing it: such a product, a decoding
// step, takes the time of reading w from memory.
//
// It is also the number of rows for which the assembly of 512 bits has sums in
// registers.
const dotMaxRows = 8

// dotChunk is the number of weights a chunk reads.
//
// That is 128 KiB of them: enough for the time to hand out a chunk not to
// matter.
const dotChunk = 1 << 15

// dotTask computes y[rows,outs] = x·wᵀ. Its bits for a row do not depend on
// the other rows.
type dotTask struct {
	isa                 isa
	y, w                []float32
	x                   []float32 // for more than one row, brought together
	ldy, ldx, ldw       int
	rows, outs, in, per int
	add, together       bool
	scratch             []float32
}

// dotScratch has room for rows of 32768, which is more than LLaMA 65B has.
const dotScratch = dotMaxRows << 15

func (t *dotTask) init() { t.scratch = make([]float32, dotScratch) }

func (d *Device) dot(y []float32, ldy int, x []float32, ldx int, w []float32, ldw int, rows, outs, in int, mode Mode) {
	t := &d.tasks.gemm.dot
	t.isa = d.isa
	t.y, t.ldy, t.x, t.ldx, t.w, t.ldw = y, ldy, x, ldx, w, ldw
	t.rows, t.outs, t.in, t.add = rows, outs, in, mode == Accumulate
	// A single row is read in one stream anyhow. The portable twin reads rows
	// one by one.
	t.together = t.isa != portable && rows > 1
	if t.together {
		t.interleave(x, ldx)
	}
	// At least eight columns, and a multiple of eight: the largest group that
	// the assembly computes together.
	t.per = max(8, dotChunk/in&^7)
	d.run(t, ceilDiv(outs, t.per))
	// The device lives on, the slices should not for its sake.
	t.y, t.x, t.w = nil, nil, nil
}

// interleave brings the rows of x together, a register of each in turn, with
// zeros behind their ends: rows whose distance is a power of two would drive
// each other out of L1. AVX2 takes at most four rows at a time.
func (t *dotTask) interleave(x []float32, ldx int) {
	lanes, group := 16, t.rows
	if t.isa == avx2 {
		lanes, group = 8, min(t.rows, 4)
	}
	// Each row is filled up to whole registers.
	width := ceilDiv(t.in, lanes) * lanes
	// Only models beyond the largest LLaMA come here, once for a shape.
	if len(t.scratch) < t.rows*width {
		t.scratch = make([]float32, t.rows*width)
	}
	t.x, t.ldx = t.scratch, width
	for first := 0; first < t.rows; first += group {
		// Groups are what one call of the assembly takes. In it, register i of
		// row r lies at (i·rows + r)·lanes.
		rows := min(group, t.rows-first)
		to := t.x[first*width:]
		for r := range rows {
			from := x[(first+r)*ldx:][:t.in]
			for i := r * lanes; len(from) > 0; i += rows * lanes {
				n := copy(to[i:i+lanes], from)
				clear(to[i+n : i+lanes])
				from = from[n:]
			}
		}
	}
}

func (t *dotTask) do(chunk, _ int) {
	from := chunk * t.per
	outs := min(t.per, t.outs-from)
	// Both read w in the same way; they differ in where x lies.
	dot := dotRows
	if t.together {
		dot = dotTogether
	}
	dot(t.isa, t.y[from:], t.ldy, t.x, t.ldx, t.w[from*t.ldw:], t.ldw, t.rows, outs, t.in, t.add)
}

// dotPortable is the plain twin of dotRows: four columns at a time.
func dotPortable(y []float32, ldy int, x []float32, ldx int, w []float32, ldw int, rows, outs, in int, add bool) {
	for r := range rows {
		xr, yr := x[r*ldx:r*ldx+in], y[r*ldy:r*ldy+outs]
		o := 0
		// Four columns of w share one pass over x, with a chain each.
		for ; o+4 <= outs; o += 4 {
			w0, w1 := w[o*ldw:][:len(xr)], w[(o+1)*ldw:][:len(xr)]
			w2, w3 := w[(o+2)*ldw:][:len(xr)], w[(o+3)*ldw:][:len(xr)]
			var s0, s1, s2, s3 float32
			for i, v := range xr {
				s0 += v * w0[i]
				s1 += v * w1[i]
				s2 += v * w2[i]
				s3 += v * w3[i]
			}
			put2(yr[o:], add, s0, s1)
			put2(yr[o+2:], add, s2, s3)
		}
		// What is left over of the columns.
		for ; o < outs; o++ {
			w0 := w[o*ldw:][:len(xr)]
			var sum float32
			for i, v := range xr {
				sum += v * w0[i]
			}
			if add {
				sum += yr[o]
			}
			yr[o] = sum
		}
	}
}
