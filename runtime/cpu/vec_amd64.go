package cpu

import "unsafe"

// The choice between the assembly of vec_amd64.s, in 512 and 256 bits, and the
// portable twins of vec.go. Operands may be each other, element for element.

// The slicing at the head of each function below is its bounds check: assembly
// would go on behind the end of a shorter operand. An empty slice is left to
// Go, since it may have no element to point at.
func ptr(x []float32) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(x)) }

func vecAdd(l isa, y, a, b []float32) {
	a, b = a[:len(y)], b[:len(y)]
	switch {
	case l == portable || len(y) == 0:
		addGo(y, a, b)
	case l == avx512:
		vecAdd512(ptr(y), ptr(a), ptr(b), len(y))
	default:
		vecAdd256(ptr(y), ptr(a), ptr(b), len(y))
	}
}

func vecMul(l isa, y, a, b []float32) {
	a, b = a[:len(y)], b[:len(y)]
	switch {
	case l == portable || len(y) == 0:
		mulGo(y, a, b)
	case l == avx512:
		vecMul512(ptr(y), ptr(a), ptr(b), len(y))
	default:
		vecMul256(ptr(y), ptr(a), ptr(b), len(y))
	}
}

// y may be x: softmax and attention scale their rows in place.
func vecScale(l isa, y, x []float32, s float32) {
	x = x[:len(y)]
	switch {
	case l == portable || len(y) == 0:
		scaleGo(y, x, s)
	case l == avx512:
		vecScale512(ptr(y), ptr(x), len(y), s)
	default:
		vecScale256(ptr(y), ptr(x), len(y), s)
	}
}

// The sums of the three differ in their last bits, as they have 8, 32 and 64
// lanes and the assembly fuses; each is the same at every call.
func vecDot(l isa, x, y []float32) float32 {
	y = y[:len(x)]
	switch {
	case l == portable || len(x) == 0:
		return dotGo(x, y)
	case l == avx512:
		return vecDot512(ptr(x), ptr(y), len(x))
	default:
		return vecDot256(ptr(x), ptr(y), len(x))
	}
}

// The gradient of a norm needs Σ dy·w·x of each row, and two products would
// need a buffer between them.
func vecDot3(l isa, a, b, c []float32) float32 {
	b, c = b[:len(a)], c[:len(a)]
	switch {
	case l == portable || len(a) == 0:
		return dot3Go(a, b, c)
	case l == avx512:
		return vecDot3512(ptr(a), ptr(b), ptr(c), len(a))
	default:
		return vecDot3256(ptr(a), ptr(b), ptr(c), len(a))
	}
}

// NaN may be lost in all of them.
func vecMax(l isa, x []float32) float32 {
	switch {
	case l == portable || len(x) == 0:
		return maxGo(x)
	case l == avx512:
		return vecMax512(ptr(x), len(x))
	default:
		return vecMax256(ptr(x), len(x))
	}
}

// The three agree to the last few bits, but not to the last: they round
// products at different places.
func vecExp(l isa, y, x []float32) {
	x = x[:len(y)]
	switch {
	case l == portable || len(y) == 0:
		expGo(y, x)
	case l == avx512:
		vecExp512(ptr(y), ptr(x), len(y))
	default:
		vecExp256(ptr(y), ptr(x), len(y))
	}
}

// The division is exact in all of them; what differs is the exponential.
func vecSigmoid(l isa, y, x []float32) {
	x = x[:len(y)]
	switch {
	case l == portable || len(y) == 0:
		sigmoidGo(y, x)
	case l == avx512:
		vecSigmoid512(ptr(y), ptr(x), len(y))
	default:
		vecSigmoid256(ptr(y), ptr(x), len(y))
	}
}

func vecSilu(l isa, y, x []float32) {
	x = x[:len(y)]
	switch {
	case l == portable || len(y) == 0:
		siluGo(y, x)
	case l == avx512:
		vecSilu512(ptr(y), ptr(x), len(y))
	default:
		vecSilu256(ptr(y), ptr(x), len(y))
	}
}

// x and y may be one slice.
func vecExpSum(l isa, y, x []float32, m float32) float32 {
	x = x[:len(y)]
	switch {
	case l == portable || len(y) == 0:
		return expSumGo(y, x, m)
	case l == avx512:
		return vecExpSum512(ptr(y), ptr(x), len(y), m)
	default:
		return vecExpSum256(ptr(y), ptr(x), len(y), m)
	}
}

// One pass over gate and up; the sigmoid is never stored.
func vecSwiGLU(l isa, m, g, u []float32) {
	g, u = g[:len(m)], u[:len(m)]
	switch {
	case l == portable || len(m) == 0:
		swigluGo(m, g, u)
	case l == avx512:
		vecSwiGLU512(ptr(m), ptr(g), ptr(u), len(m))
	default:
		vecSwiGLU256(ptr(m), ptr(g), ptr(u), len(m))
	}
}

// dg may be gate and du may be up. Assembly and twin read an element of all
// three operands before they write one.
func vecSwiGLUGrad(l isa, dg, du, dm, g, u []float32) {
	du, dm, g, u = du[:len(dg)], dm[:len(dg)], g[:len(dg)], u[:len(dg)]
	switch {
	case l == portable || len(dg) == 0:
		swigluGradGo(dg, du, dm, g, u)
	case l == avx512:
		vecSwiGLUGrad512(ptr(dg), ptr(du), ptr(dm), ptr(g), ptr(u), len(dg))
	default:
		vecSwiGLUGrad256(ptr(dg), ptr(du), ptr(dm), ptr(g), ptr(u), len(dg))
	}
}

// The row's factor r was computed in float64 and rounded once.
func vecNorm(l isa, y, x, w []float32, r float32) {
	x, w = x[:len(y)], w[:len(y)]
	switch {
	case l == portable || len(y) == 0:
		normGo(y, x, w, r)
	case l == avx512:
		vecNorm512(ptr(y), ptr(x), ptr(w), len(y), r)
	default:
		vecNorm256(ptr(y), ptr(x), ptr(w), len(y), r)
	}
}

// One Go loop does both gradients; with vectors they are two calls, each for
// what is wanted.
func vecNormGrad(l isa, dx, dw, dy, x, w, res []float32, r, c float32) {
	n := len(dx)
	dy, x, w = dy[:n], x[:n], w[:n]
	if dw != nil {
		dw = dw[:n]
	}
	if res != nil {
		res = res[:n]
	}
	switch {
	case l == portable || n == 0:
		normGradGo(dx, dw, dy, x, w, res, r, c)
	case l == avx512:
		if dw != nil {
			vecNormGradW512(ptr(dw), ptr(dy), ptr(x), n, r)
		}
		if res != nil {
			vecNormGradXRes512(ptr(dx), ptr(dy), ptr(x), ptr(w), ptr(res), n, r, c)
		} else {
			vecNormGradX512(ptr(dx), ptr(dy), ptr(x), ptr(w), n, r, c)
		}
	default:
		if dw != nil {
			vecNormGradW256(ptr(dw), ptr(dy), ptr(x), n, r)
		}
		if res != nil {
			vecNormGradXRes256(ptr(dx), ptr(dy), ptr(x), ptr(w), ptr(res), n, r, c)
		} else {
			vecNormGradX256(ptr(dx), ptr(dy), ptr(x), ptr(w), n, r, c)
		}
	}
}

// All heads of a row turn by the same angles, so the call takes them together.
// A head that is not a whole number of registers falls back to the next
// narrower form.
func vecRopePairs(l isa, y, x, cos, sin []float32, sign float32, heads int) {
	hd := 2 * len(cos)
	y, x, sin = y[:heads*hd], x[:heads*hd], sin[:len(cos)]
	switch {
	case l == avx512 && hd%16 == 0:
		vecRopePairs512(ptr(y), ptr(x), ptr(cos), ptr(sin), hd, heads, sign)
	case l != portable && hd%8 == 0:
		vecRopePairs256(ptr(y), ptr(x), ptr(cos), ptr(sin), hd, heads, sign)
	default:
		for h := range heads {
			ropePairsGo(y[h*hd:], x[h*hd:], cos, sin, sign)
		}
	}
}

// Half of a head must be a whole number of registers here, as a pair lies half
// a head apart.
func vecRopeHalf(l isa, y, x, cos, sin []float32, sign float32, heads int) {
	hd := 2 * len(cos)
	y, x, sin = y[:heads*hd], x[:heads*hd], sin[:len(cos)]
	switch {
	case l == avx512 && hd%32 == 0:
		vecRopeHalf512(ptr(y), ptr(x), ptr(cos), ptr(sin), hd, heads, sign)
	case l != portable && hd%16 == 0:
		vecRopeHalf256(ptr(y), ptr(x), ptr(cos), ptr(sin), hd, heads, sign)
	default:
		for h := range heads {
			ropeHalfGo(y[h*hd:], x[h*hd:], cos, sin, sign)
		}
	}
}
