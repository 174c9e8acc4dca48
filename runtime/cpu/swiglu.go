package cpu

// SwiGLU computes m = silu(g)·u (Shazeer 2020), silu(x) = x/(1+e^-x). g and u
// [rows, f] have ldg and ldu elements from row to row, m is contiguous.
func (d *Device) SwiGLU(m []float32, g []float32, ldg int, u []float32, ldu int, rows, f int) {
	t := &d.tasks.model.swiglu
	*t = swigluTask{
		isa: d.isa, m: m[:rows*f], g: view(g, rows, ldg, f), u: view(u, rows, ldu, f),
		ldg: ldg, ldu: ldu, rows: rows, f: f, per: rowsPerChunk(f),
	}
	d.run(t, chunksOf(rows, t.per))
	d.launched("swiglu", t.m)
}

// swigluTask is one launch of SwiGLU, cut into groups of rows.
type swigluTask struct {
	isa          isa
	m, g, u      []float32
	ldg, ldu     int
	rows, f, per int
}

func (t *swigluTask) do(chunk, _ int) {
	for r := chunk * t.per; r < min(t.rows, (chunk+1)*t.per); r++ {
		vecSwiGLU(t.isa, t.m[r*t.f:(r+1)*t.f], t.g[r*t.ldg:][:t.f], t.u[r*t.ldu:][:t.f])
	}
}

// SwiGLUGrad is the backward of SwiGLU: with s = 1/(1+e^-g),
//
//	du = dm·g·s
//	dg = dm·u·(s + g·s·(1-s))
//
// dm [rows, f] is contiguous; the sigmoid is computed again, since that costs
// less than storing it. dg may be g and du may be u, in place: each element is
// read before it is written.
func (d *Device) SwiGLUGrad(dg []float32, lddg int, du []float32, lddu int, dm, g []float32, ldg int, u []float32, ldu int, rows, f int) {
	t := &d.tasks.model.swigluGrad
	*t = swigluGradTask{
		isa: d.isa, dg: view(dg, rows, lddg, f), du: view(du, rows, lddu, f), dm: dm[:rows*f],
		g: view(g, rows, ldg, f), u: view(u, rows, ldu, f),
		lddg: lddg, lddu: lddu, ldg: ldg, ldu: ldu, rows: rows, f: f, per: rowsPerChunk(f),
	}
	d.run(t, chunksOf(rows, t.per))
	d.launchedRows("swiglu_grad", rows, strided{t.dg, lddg, f}, strided{t.du, lddu, f})
}

// swigluGradTask is one launch of SwiGLUGrad.
type swigluGradTask struct {
	isa                  isa
	dg, du, dm, g, u     []float32
	lddg, lddu, ldg, ldu int
	rows, f, per         int
}

func (t *swigluGradTask) do(chunk, _ int) {
	for r := chunk * t.per; r < min(t.rows, (chunk+1)*t.per); r++ {
		vecSwiGLUGrad(t.isa, t.dg[r*t.lddg:][:t.f], t.du[r*t.lddu:][:t.f], t.dm[r*t.f:(r+1)*t.f],
			t.g[r*t.ldg:][:t.f], t.u[r*t.ldu:][:t.f])
	}
}
