//go:build !amd64

package cpu

func vecAdd(_ isa, y, a, b []float32)                          { addGo(y, a, b) }
func vecMul(_ isa, y, a, b []float32)                          { mulGo(y, a, b) }
func vecScale(_ isa, y, x []float32, s float32)                { scaleGo(y, x, s) }
func vecAxpy(_ isa, y, x []float32, s float32)                 { axpyGo(y, x, s) }
func vecSum(_ isa, x []float32) float32                        { return sumGo(x) }
func vecDot(_ isa, x, y []float32) float32                     { return dotGo(x, y) }
func vecDot3(_ isa, a, b, c []float32) float32                 { return dot3Go(a, b, c) }
func vecMax(_ isa, x []float32) float32                        { return maxGo(x) }
func vecExp(_ isa, y, x []float32)                             { expGo(y, x) }
func vecSigmoid(_ isa, y, x []float32)                         { sigmoidGo(y, x) }
func vecSilu(_ isa, y, x []float32)                            { siluGo(y, x) }
func vecExpSum(_ isa, y, x []float32, m float32) float32       { return expSumGo(y, x, m) }
func vecSwiGLU(_ isa, m, g, u []float32)                       { swigluGo(m, g, u) }
func vecSwiGLUGrad(_ isa, dg, du, dm, g, u []float32)          { swigluGradGo(dg, du, dm, g, u) }
func vecNorm(_ isa, y, x, w []float32, r float32)              { normGo(y, x, w, r) }
func vecRopePairs(_ isa, y, x, cos, sin []float32, sg float32) { ropePairsGo(y, x, cos, sin, sg) }
func vecRopeHalf(_ isa, y, x, cos, sin []float32, sg float32)  { ropeHalfGo(y, x, cos, sin, sg) }

func vecNormGrad(_ isa, dx, dw, dy, x, w, res []float32, r, c float32) {
	normGradGo(dx, dw, dy, x, w, res, r, c)
}

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
