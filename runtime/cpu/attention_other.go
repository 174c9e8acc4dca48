//go:build !amd64

package cpu

// Elsewhere there is no assembly: the portable twins take the same arguments
// and ignore the instruction set. There is no instruction to fetch ahead
// either.
func tileMul(_ isa, c []float32, ldc int, a []float32, ars, aks int, b []float32, ldb int, m, n, k int, acc bool) {
	tileMulGo(c, ldc, a, ars, aks, b, ldb, m, n, k, acc)
}

func softmaxTile(_ isa, s []float32, rows int, m, sum, alpha *[lanes]float32) {
	softmaxTileGo(s, rows, m, sum, alpha)
}

func gradTile(_ isa, s, dp []float32, rows int, lse, delta *[lanes]float32, scale float32) {
	gradTileGo(s, dp, rows, lse, delta, scale)
}

func transpose(_ isa, y, x []float32, ldx, rows, cols int, scale float32) {
	transposeGo(y, x, ldx, rows, cols, scale)
}

func rowDots(_ isa, out, x []float32, ldx int, y []float32, ldy, rows, n int) {
	rowDotsGo(out, x, ldx, y, ldy, rows, n)
}

func fetchAhead([]float32) {}
