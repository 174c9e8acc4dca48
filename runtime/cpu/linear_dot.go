package cpu

// dotMaxRows is the number of rows up to which x·wᵀ is computed as dot
// products that read w once, without packing it: such a product, a decoding
// step, takes the time of reading w from memory.
const dotMaxRows = 8

// dotChunk is the number of weights a chunk reads.
const dotChunk = 1 << 15

// dotTask computes y[rows,outs] = x·wᵀ. Its bits for a row do not depend on
// the other rows.
type dotTask struct {
	isa                 isa
	y, x, w             []float32
	ldy, ldx, ldw       int
	rows, outs, in, per int
	mode                Mode
}

func (d *Device) dot(y []float32, ldy int, x []float32, ldx int, w []float32, ldw int, rows, outs, in int, mode Mode) {
	t := &d.tasks.gemm.dot
	*t = dotTask{d.isa, y, x, w, ldy, ldx, ldw, rows, outs, in, max(8, dotChunk/in&^7), mode}
	d.run(t, ceilDiv(outs, t.per))
	*t = dotTask{}
}

func (t *dotTask) do(chunk, _ int) {
	from := chunk * t.per
	outs := min(t.per, t.outs-from)
	dotRows(t.isa, t.y[from:], t.ldy, t.x, t.ldx, t.w[from*t.ldw:], t.ldw, t.rows, outs, t.in, t.mode == Accumulate)
}

// dotPortable is the plain twin of dotRows: four columns at a time.
func dotPortable(y []float32, ldy int, x []float32, ldx int, w []float32, ldw int, rows, outs, in int, add bool) {
	for r := range rows {
		xr, yr := x[r*ldx:r*ldx+in], y[r*ldy:r*ldy+outs]
		o := 0
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
