package cpu

// Rope rotates pairs of elements of each head by position-dependent angles (Su
// et al. 2021, rotary position embedding). x and y are [rows, heads·hd] with
// ldx and ldy elements from row to row; row r takes row r mod T of the tables
// cos and sin [T, hd/2]. The pairs are (2i, 2i+1), or (i, i+hd/2) with half.
// inverse rotates back, which is also the gradient. y may be x.
//
// The tables repeat for each sequence of a batch, as rows are [batch·T].
func (d *Device) Rope(y []float32, ldy int, x []float32, ldx int, cos, sin []float32, rows, T, heads, hd int, half, inverse bool) {
	d.rope(y, ldy, x, ldx, cos[:T*hd/2], sin[:T*hd/2], nil, rows, T, heads, hd, half, inverse)
}

// RopeAt is Rope with row r at position pos[r] of the tables.
func (d *Device) RopeAt(y []float32, ldy int, x []float32, ldx int, cos, sin []float32, pos []int32, rows, heads, hd int, half, inverse bool) {
	d.rope(y, ldy, x, ldx, cos, sin, pos[:rows], rows, 0, heads, hd, half, inverse)
}

// rope runs both: pos nil means that row r is at position r mod T.
func (d *Device) rope(y []float32, ldy int, x []float32, ldx int, cos, sin []float32, pos []int32, rows, T, heads, hd int, half, inverse bool) {
	if hd%2 != 0 {
		panic("cpu: Rope: odd head size")
	}
	t := &d.tasks.model.rope
	*t = ropeTask{
		isa: d.isa, y: view(y, rows, ldy, heads*hd), x: view(x, rows, ldx, heads*hd), ldy: ldy, ldx: ldx,
		cos: cos, sin: sin, pos: pos, rows: rows, T: T, heads: heads, hd: hd, half: half, sign: 1,
		per: rowsPerChunk(heads * hd),
	}
	// Turning back is turning by the negative angle: the sine changes its sign.
	if inverse {
		t.sign = -1
	}
	d.run(t, chunksOf(rows, t.per))
	d.launchedRows("rope", rows, strided{t.y, ldy, heads * hd})
}

// ropeTask is one launch of Rope or RopeAt, cut into groups of rows.
type ropeTask struct {
	isa            isa
	y, x           []float32
	ldy, ldx       int
	cos, sin       []float32
	pos            []int32 // nil: row r is at position r mod T
	rows, T        int
	heads, hd, per int
	half           bool
	sign           float32
}

func (t *ropeTask) do(chunk, _ int) {
	n := t.hd / 2
	for r := chunk * t.per; r < min(t.rows, (chunk+1)*t.per); r++ {
		p := 0
		if t.pos != nil {
			p = int(t.pos[r])
		} else {
			// Rows of a batch lie one sequence behind the other.
			p = r % t.T
		}
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
