package cpu

import "fmt"

// Gemm computes c = op(a)·op(b), or c += op(a)·op(b), for row-major matrices:
// op(a) is [m,k] and a is stored [m,k], or [k,m] if transA; op(b) is [k,n] and
// b is stored [k,n], or [n,k] if transB; c is [m,n]. lda, ldb and ldc are the
// distances between stored rows in elements. With k = 0 the product is zero.
// It panics if an operand is too short. c must not overlap a or b.
func (d *Device) Gemm(transA, transB bool, m, n, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int, mode Mode) {
	d.gemm(transA, transB, m, n, k, a, lda, b, ldb, c, ldc, mode)
	d.launchedMatrix("gemm", c, m, n, ldc)
}

// MatMulBatch computes c[i] = op(a[i])·op(b[i]) for i below batch. The
// matrices are contiguous, and matrix i starts at i times its stride, in
// elements; a stride of 0 uses one matrix for the whole batch, except for c,
// whose matrices must not overlap.
func (d *Device) MatMulBatch(c, a, b []float32, batch, m, n, k int, strideA, strideB, strideC int, transA, transB bool, mode Mode) {
	lda, ldb := k, n
	if transA {
		lda = m
	}
	if transB {
		ldb = k
	}
	// One product after the other, each cut among the workers. Attention, which
	// has many small ones, is a kernel of its own.
	for i := range batch {
		d.gemm(transA, transB, m, n, k, a[i*strideA:], lda, b[i*strideB:], ldb, c[i*strideC:], n, mode)
	}
	if batch > 0 {
		c = c[:(batch-1)*strideC+m*n]
	}
	d.launched("matmul_batch", c)
}

// gemm is Gemm without the report.
func (d *Device) gemm(transA, transB bool, m, n, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int, mode Mode) {
	if m == 0 || n == 0 {
		return
	}
	// Operands are checked once here. The packing routines are assembly and
	// would read whatever lies behind them.
	if transA {
		a = matrix("a", a, k, m, lda)
	} else {
		a = matrix("a", a, m, k, lda)
	}
	if transB {
		b = matrix("b", b, n, k, ldb)
	} else {
		b = matrix("b", b, k, n, ldb)
	}
	c = matrix("c", c, m, n, ldc)
	d.stats.GEMMs++
	d.stats.GEMMFLOPs += 2 * int64(m) * int64(n) * int64(k)
	// Nothing is multiplied, but zero is a result too.
	if k == 0 {
		if mode == Overwrite {
			for i := range m {
				clear(c[i*ldc : i*ldc+n])
			}
		}
		return
	}
	// The one case in which both factors run along k in memory: y = x·wᵀ with
	// few rows, as in decoding.
	if transB && !transA && m <= dotMaxRows {
		d.dot(c, ldc, a, lda, b, ldb, m, n, k, mode)
		return
	}
	// There is one task of each kind in the device, so that a launch allocates
	// nothing. It is also why a device serves one caller at a time.
	t := &d.tasks.gemm.product
	t.setA(a, lda, transA)
	t.setB(b, ldb, transB)
	t.c, t.ldc, t.mode = c, ldc, mode
	t.plan(d.isa, m, n, k, d.pool.workers)
	chunks := t.chunks()
	// The same chunks in the same order, done by the caller alone: bits do not
	// change. No chunk waits, as what it waits for is done before it.
	if 2*m*n*k <= gemmSerialFLOPs {
		for i := range chunks {
			t.do(i, 0)
		}
	} else {
		d.run(t, chunks)
	}
	t.release()
}

// gemmSerialFLOPs is the size of a product, some 10 µs of work, up to which
// other workers do not pay for the exchange of cache lines.
const gemmSerialFLOPs = 1_000_000

// matrix checks the extent of a stored matrix and cuts x to it.
func matrix(name string, x []float32, rows, cols, ld int) []float32 {
	if rows == 0 || cols == 0 {
		return nil
	}
	// The last row needs its columns only, not its distance to a next one: a
	// matrix may end with its buffer.
	need := (rows-1)*ld + cols
	if rows < 0 || cols < 0 || ld < cols && rows > 1 || need > len(x) {
		panic(fmt.Sprintf("cpu: matrix product: operand %s has %d elements for %d rows of %d with distance %d",
			name, len(x), rows, cols, ld))
	}
	return x[:need]
}
