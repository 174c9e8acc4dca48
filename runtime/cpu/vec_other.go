//go:build !amd64

package cpu

// Elsewhere there is no assembly, and the portable twins of vec.go are all
// there is. Their callers, and therefore the kernels, are the same everywhere.
func vecAdd(_ isa, y, a, b []float32)                    { addGo(y, a, b) }
func vecMul(_ isa, y, a, b []float32)                    { mulGo(y, a, b) }
func vecScale(_ isa, y, x []float32, s float32)          { scaleGo(y, x, s) }
func vecDot(_ isa, x, y []float32) float32               { return dotGo(x, y) }
func vecDot3(_ isa, a, b, c []float32) float32           { return dot3Go(a, b, c) }
func vecMax(_ isa, x []float32) float32                  { return maxGo(x) }
func vecExp(_ isa, y, x []float32)                       { expGo(y, x) }
func vecSigmoid(_ isa, y, x []float32)                   { sigmoidGo(y, x) }
func vecSilu(_ isa, y, x []float32)                      { siluGo(y, x) }
func vecExpSum(_ isa, y, x []float32, m float32) float32 { return expSumGo(y, x, m) }
func vecSwiGLU(_ isa, m, g, u []float32)                 { swigluGo(m, g, u) }
func vecSwiGLUGrad(_ isa, dg, du, dm, g, u []float32)    { swigluGradGo(dg, du, dm, g, u) }
func vecNorm(_ isa, y, x, w []float32, r float32)        { normGo(y, x, w, r) }

func vecNormGrad(_ isa, dx, dw, dy, x, w, res []float32, r, c float32) {
	normGradGo(dx, dw, dy, x, w, res, r, c)
}

func vecRopePairs(_ isa, y, x, cos, sin []float32, sign float32, heads int) {
	hd := 2 * len(cos)
	for h := range heads {
		ropePairsGo(y[h*hd:], x[h*hd:], cos, sin, sign)
	}
}

func vecRopeHalf(_ isa, y, x, cos, sin []float32, sign float32, heads int) {
	hd := 2 * len(cos)
	for h := range heads {
		ropeHalfGo(y[h*hd:], x[h*hd:], cos, sin, sign)
	}
}
