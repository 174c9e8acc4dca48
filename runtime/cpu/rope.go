package cpu

// Rope rotates pairs of elements of each head by position-dependent angles (Su
// et al. 2021, rotary position embedding). x and y are [rows, heads·hd] with
// ldx and ldy elements from row to row; row r takes row r mod T of the tables
// cos and sin [T, hd/2]. The pairs are (2i, 2i+1), or (i, i+hd/2) with half.
// inverse rotates back, which is also the gradient. y may be x.
//
// The tables repeat for each sequence of a batch, as rows are [batch·T].
func (d *Device) Rope(y []float32, ldy int, x []float32, ldx int, cos, sin []float32, rows, T, heads, hd int, half, inverse bool) {
	if hd%2 != 0 {
		panic("cpu: Rope: odd head size")
	}
	t := &d.tasks.model.rope
	*t = ropeTask{
		isa: d.isa, y: view(y, rows, ldy, heads*hd), x: view(x, rows, ldx, heads*hd), ldy: ldy, ldx: ldx,
		cos: cos[:T*hd/2], sin: sin[:T*hd/2], rows: rows, T: T, heads: heads, hd: hd, half: half, sign: 1,
		per: rowsPerChunk(heads * hd),
	}
	// Turning back is turning by the negative angle: the sine changes its sign.
	if inverse {
		t.sign = -1
	}
	d.run(t, chunksOf(rows, t.per))
	d.launchedRows("rope", rows, strided{t.y, ldy, heads * hd})
}

// ropeTask is one launch of Rope, cut into groups of rows.
type ropeTask struct {
	isa            isa
	y, x           []float32
	ldy, ldx       int
	cos, sin       []float32
	rows, T        int
	heads, hd, per int
	half           bool
	sign           float32
}

func (t *ropeTask) do(chunk, _ int) {
	n := t.hd / 2
	for r := chunk * t.per; r < min(t.rows, (chunk+1)*t.per); r++ {
		p := r % t.T // rows of a batch lie one sequence behind the other
		cos, sin := t.cos[p*n:(p+1)*n], t.sin[p*n:(p+1)*n]
		y, x := t.y[r*t.ldy:], t.x[r*t.ldx:]
		if t.half {
			// One row of the tables for all heads.
			vecRopeHalf(t.isa, y, x, cos, sin, t.sign, t.heads)
		} else {
			vecRopePairs(t.isa, y, x, cos, sin, t.sign, t.heads)
		}
	}
}
