package cpu

import "math"

// RMSNorm computes y = x / sqrt(mean(x²) + eps) · w for each row (Zhang and
// Sennrich 2019). x [rows, dim] has ldx elements from row to row, y is
// contiguous, w [dim].
func (d *Device) RMSNorm(y, x []float32, ldx int, w []float32, rows, dim int, eps float32) {
	t := &d.tasks.model.norm
	*t = normTask{
		isa: d.isa, y: y[:rows*dim], x: view(x, rows, ldx, dim), ldx: ldx, w: w[:dim],
		rows: rows, dim: dim, eps: eps, per: rowsPerChunk(dim),
	}
	d.run(t, chunksOf(rows, t.per))
	d.launched("rmsnorm", t.y)
}

// AddRMSNorm computes r = a + b and y = rmsnorm(r)·w. All of a, b, r and y
// [rows, dim] are contiguous; r may be a or b.
func (d *Device) AddRMSNorm(r, y, a, b, w []float32, rows, dim int, eps float32) {
	n := rows * dim
	t := &d.tasks.model.norm
	*t = normTask{
		isa: d.isa, y: y[:n], x: r[:n], ldx: dim, a: a[:n], b: b[:n], w: w[:dim],
		rows: rows, dim: dim, eps: eps, per: rowsPerChunk(dim),
	}
	d.run(t, chunksOf(rows, t.per))
	d.launched("add_rmsnorm", t.x, t.y)
}

// normTask is one launch of RMSNorm or AddRMSNorm.
type normTask struct {
	isa       isa
	y, x      []float32
	ldx       int
	a, b      []float32 // x = a + b is computed first, unless nil
	w         []float32
	rows, dim int
	eps       float32
	per       int
}

func (t *normTask) do(chunk, _ int) {
	for r := chunk * t.per; r < min(t.rows, (chunk+1)*t.per); r++ {
		// For AddRMSNorm that is where the sum goes.
		x := t.x[r*t.ldx:][:t.dim]
		lo, hi := r*t.dim, (r+1)*t.dim
		if t.a != nil {
			vecAdd(t.isa, x, t.a[lo:hi], t.b[lo:hi])
		}
		// The sum of squares is in float64 by blocks, the same function for
		// both kernels: the norm that a recomputation gives has the same bits.
		vecNorm(t.isa, t.y[lo:hi], x, t.w, rstd(t.isa, x, t.eps))
	}
}

// rstd is 1/sqrt(mean(x²) + eps). Forward and backward share it, so that what is
// not stored comes back with the same bits.
func rstd(l isa, x []float32, eps float32) float32 {
	return float32(1 / math.Sqrt(dotBlocks(l, x, x)/float64(len(x))+float64(eps)))
}

// RMSNormGrad is the backward of RMSNorm. With r = 1/sqrt(mean(x²) + eps),
// computed again from x,
//
//	dx = r·w·dy - x·r³·mean(dy·w·x) + res
//	dw = Σ over rows of dy·x·r
//
// dx, dy and res [rows, dim] are contiguous; res may be nil, dw may be nil when
// it is not wanted, and dwMode says whether dw is stored or added to. dx may be
// dy or res.
func (d *Device) RMSNormGrad(dx, dw, dy, x []float32, ldx int, w, res []float32, rows, dim int, eps float32, dwMode Mode) {
	n := rows * dim
	t := &d.tasks.model.normGrad
	*t = normGradTask{
		isa: d.isa, dx: dx[:n], dy: dy[:n], x: view(x, rows, ldx, dim), ldx: ldx, w: w[:dim],
		rows: rows, dim: dim, eps: eps,
	}
	if res != nil {
		t.res = res[:n]
	}
	// Each part sums dw over its own rows, and the parts are added in order
	// afterwards: 64 at most, as each is a row of memory.
	// The number of partial sums of dw depends on the shape only.
	parts := min(max(1, rows/16), 64)
	t.per = max(1, chunksOf(rows, parts))
	parts = chunksOf(rows, t.per)
	if dw != nil {
		t.parts = d.tasks.model.sharedScratch(parts * dim)
	}
	d.run(t, parts)
	if dw == nil {
		d.launched("rmsnorm_grad", t.dx)
		return
	}
	d.sumParts(dw[:dim], t.parts, parts, dwMode)
	d.launched("rmsnorm_grad", t.dx, dw[:dim])
}

// normGradTask is one launch of RMSNormGrad. A chunk is a part of the rows and
// has its own partial sum of dw.
type normGradTask struct {
	isa          isa
	dx, dy, x, w []float32
	ldx          int
	res          []float32
	parts        []float32 // [chunks, dim] partial sums of dw; nil if it is not wanted
	rows, dim    int
	eps          float32
	per          int
}

func (t *normGradTask) do(chunk, _ int) {
	var dw []float32
	if t.parts != nil {
		dw = t.parts[chunk*t.dim : (chunk+1)*t.dim]
		clear(dw)
	}
	for r := chunk * t.per; r < min(t.rows, (chunk+1)*t.per); r++ {
		x := t.x[r*t.ldx:][:t.dim]
		lo, hi := r*t.dim, (r+1)*t.dim
		dy := t.dy[lo:hi]
		var res []float32
		if t.res != nil {
			res = t.res[lo:hi]
		}
		s := rstd(t.isa, x, t.eps)
		dot := 0.0
		for i := 0; i < t.dim; i += sumBlock {
			j := min(i+sumBlock, t.dim)
			dot += float64(vecDot3(t.isa, dy[i:j], t.w[i:j], x[i:j]))
		}
		// The cube and the quotient in float64, rounded once.
		c := float64(s) * float64(s) * float64(s) * dot / float64(t.dim)
		vecNormGrad(t.isa, t.dx[lo:hi], dw, dy, x, t.w, res, s, float32(c))
	}
}

// sumParts adds the rows of parts [n, len(y)] in order and stores or adds the
// sum to y.
func (d *Device) sumParts(y, parts []float32, n int, mode Mode) {
	t := &d.tasks.model.sumParts
	*t = sumPartsTask{d.isa, y, parts, n, mode}
	d.run(t, chunksOf(len(y), sumPartsCols))
}

const sumPartsCols = 1024

type sumPartsTask struct {
	isa      isa
	y, parts []float32
	n        int
	mode     Mode
}

func (t *sumPartsTask) do(chunk, _ int) {
	lo := chunk * sumPartsCols
	hi := min(lo+sumPartsCols, len(t.y))
	// Columns are independent, so the cut does not change any sum.
	y := t.y[lo:hi]
	// The parts are added up in the first of them, so that with Accumulate
	// they are rounded among themselves first.
	sum := t.parts[lo:hi]
	for p := 1; p < t.n; p++ {
		vecAdd(t.isa, sum, sum, t.parts[p*len(t.y)+lo:p*len(t.y)+hi])
	}
	if t.n == 0 {
		clear(sum)
	}
	if t.mode == Accumulate {
		vecAdd(t.isa, y, y, sum)
	} else {
		copy(y, sum)
	}
}
