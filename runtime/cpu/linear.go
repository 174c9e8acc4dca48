package cpu

// Linear computes y[rows,out] = x[rows,in] · wᵀ, where w is [out,in] and
// contiguous. ldy and ldx are the distances between rows of y and x.
func (d *Device) Linear(y []float32, ldy int, x []float32, ldx int, w []float32, rows, out, in int) {
	d.gemm(false, true, rows, out, in, x, ldx, w, in, y, ldy, Overwrite)
	d.launchedMatrix("linear", y, rows, out, ldy)
}

// LinearGradX computes dx[rows,in] = dy[rows,out] · w, the gradient of Linear
// with respect to its input.
func (d *Device) LinearGradX(dx []float32, lddx int, dy []float32, lddy int, w []float32, rows, out, in int, mode Mode) {
	d.gemm(false, false, rows, in, out, dy, lddy, w, in, dx, lddx, mode)
	d.launchedMatrix("linear_grad_x", dx, rows, in, lddx)
}

// LinearGradW computes dw[out,in] = dyᵀ · x, the gradient of Linear with
// respect to its weight, which is summed over rows.
func (d *Device) LinearGradW(dw []float32, dy []float32, lddy int, x []float32, ldx int, rows, out, in int, mode Mode) {
	d.gemm(true, false, out, in, rows, dy, lddy, x, ldx, dw, in, mode)
	d.launchedMatrix("linear_grad_w", dw, out, in, in)
}
