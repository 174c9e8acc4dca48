package cpu

// Gemm computes c = op(a)·op(b), or c += op(a)·op(b), for row-major matrices:
// op(a) is [m,k] and a is stored [m,k], or [k,m] if transA; op(b) is [k,n] and
// b is stored [k,n], or [n,k] if transB; c is [m,n]. lda, ldb and ldc are the
// distances between stored rows. With k = 0 the product is zero.
func (d *Device) Gemm(transA, transB bool, m, n, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int, mode Mode) {
	d.gemm(transA, transB, m, n, k, a, lda, b, ldb, c, ldc, mode)
	d.launchedMatrix("gemm", c, m, n, ldc)
}

// MatMulBatch computes c[i] = op(a[i])·op(b[i]) for i below batch. The
// matrices are contiguous, and matrix i starts at i times its stride, in
// elements; a stride of 0 uses one matrix for the whole batch.
func (d *Device) MatMulBatch(c, a, b []float32, batch, m, n, k int, strideA, strideB, strideC int, transA, transB bool, mode Mode) {
	lda, ldb := k, n
	if transA {
		lda = m
	}
	if transB {
		ldb = k
	}
	for i := range batch {
		d.gemm(transA, transB, m, n, k, a[i*strideA:], lda, b[i*strideB:], ldb, c[i*strideC:], n, mode)
	}
	d.launched("matmul_batch", c[:max(0, batch-1)*strideC+min(batch, 1)*m*n])
}

func (d *Device) gemm(transA, transB bool, m, n, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int, mode Mode) {
	if m == 0 || n == 0 {
		return
	}
	d.stats.GEMMs++
	d.stats.GEMMFLOPs += 2 * int64(m) * int64(n) * int64(k)
	t := &d.tasks.gemm.naive
	*t = naiveGemm{transA, transB, m, n, k, lda, ldb, ldc, a, b, c, mode}
	d.run(t, m)
	*t = naiveGemm{}
}

// naiveGemm is the definition, one row of c a chunk.
type naiveGemm struct {
	transA, transB         bool
	m, n, k, lda, ldb, ldc int
	a, b, c                []float32
	mode                   Mode
}

func (t *naiveGemm) do(i, _ int) {
	for j := range t.n {
		var sum float32
		for p := range t.k {
			x, y := i*t.lda+p, p*t.ldb+j
			if t.transA {
				x = p*t.lda + i
			}
			if t.transB {
				y = j*t.ldb + p
			}
			sum += t.a[x] * t.b[y]
		}
		if t.mode == Accumulate {
			sum += t.c[i*t.ldc+j]
		}
		t.c[i*t.ldc+j] = sum
	}
}
