package cpu

import "math"

// erf and tanh: odd functions, each a polynomial near 0 and a form of the
// exponential elsewhere, so that vectors compute both and choose. These are the
// portable twins; vec_amd64.s has the same steps with multiply and add fused.

// Coefficients of polynomials that interpolate at Chebyshev nodes, the lowest
// first. Relative errors are those of the polynomial with rounded coefficients.
const (
	// erf(x)/x in x², |x| < erfSplit: 6.4e-8.
	erfSplit = 0.875
	erfS0    = 1.1283791065216064
	erfS1    = -0.3761255443096161
	erfS2    = 0.11282496899366379
	erfS3    = -0.026792947202920914
	erfS4    = 0.005034370813518763
	erfS5    = -0.0006214585155248642

	// log(1-erf(x))/x in x, from erfSplit to erfMax: 1.3e-7. What it is off by
	// counts only as much as 1-erf(x) does.
	erfMax = 3.95 // erf is 1 from 3.92 on
	erfL0  = -1.1286982297897339
	erfL1  = -0.6349186301231384
	erfL2  = -0.10666996985673904
	erfL3  = 0.024172453209757805
	erfL4  = -0.0038512577302753925
	erfL5  = 0.00037696384242735803
	erfL6  = -1.6840680473251268e-05

	// (tanh(x)/x - 1)/x² in x², |x| < tanhSplit: 1.5e-7.
	tanhSplit = 0.625
	tanhS0    = -0.333333283662796
	tanhS1    = 0.1333276927471161
	tanhS2    = -0.05385090783238411
	tanhS3    = 0.020997179672122
	tanhS4    = -0.006096714176237583
)

// erf32 is the error function within three units in the last place; NaN stays.
func erf32(x float32) float32 {
	// The sign bit is cleared, which also keeps NaN.
	t := math.Float32frombits(math.Float32bits(x) &^ (1 << 31))
	// NaN is not below and goes the other way, to an exponential that keeps it.
	if t < erfSplit {
		s := t * t
		p := float32(erfS5)
		p = float32(p*s) + erfS4
		p = float32(p*s) + erfS3
		p = float32(p*s) + erfS2
		p = float32(p*s) + erfS1
		p = float32(p*s) + erfS0
		return withSign(t*p, x)
	}
	// Beyond, 1 - e^(...) is 1 in float32.
	if t > erfMax {
		t = erfMax
	}
	p := float32(erfL6)
	p = float32(p*t) + erfL5
	p = float32(p*t) + erfL4
	p = float32(p*t) + erfL3
	p = float32(p*t) + erfL2
	p = float32(p*t) + erfL1
	p = float32(p*t) + erfL0
	return withSign(1-exp32(p*t), x)
}

// tanh32 is the hyperbolic tangent within three units in the last place; NaN
// stays.
func tanh32(x float32) float32 {
	t := math.Float32frombits(math.Float32bits(x) &^ (1 << 31))
	if t < tanhSplit {
		s := t * t
		p := float32(tanhS4)
		p = float32(p*s) + tanhS3
		p = float32(p*s) + tanhS2
		p = float32(p*s) + tanhS1
		p = float32(p*s) + tanhS0
		return withSign(t+float32(float32(p*s)*t), x)
	}
	// For large t the exponential is +Inf and the quotient 0: the result is 1.
	return withSign(1-2/(exp32(t+t)+1), x)
}

// withSign gives y, which is not negative, the sign of x.
//
// An or of the bits, so that -0 gives -0.
func withSign(y, x float32) float32 {
	return math.Float32frombits(math.Float32bits(y) | math.Float32bits(x)&(1<<31))
}

func erfGo(y, x []float32) {
	x = x[:len(y)]
	for i := range y {
		y[i] = erf32(x[i])
	}
}

func tanhGo(y, x []float32) {
	x = x[:len(y)]
	for i := range y {
		y[i] = tanh32(x[i])
	}
}

func sqrtGo(y, x []float32) {
	x = x[:len(y)]
	for i := range y {
		// The root in float64 has more than twice the bits and two more, so
		// that rounding it again gives the root that float32 would have.
		y[i] = float32(math.Sqrt(float64(x[i]))) // correctly rounded
	}
}

func recipGo(y, x []float32) {
	x = x[:len(y)]
	for i := range y {
		y[i] = 1 / x[i]
	}
}

func reluGo(y, x []float32) {
	x = x[:len(y)]
	for i := range y {
		v := x[i]
		if v < 0 { // not max(v, 0), so that NaN stays
			v = 0
		}
		y[i] = v
	}
}

func subGo(y, a, b []float32) {
	a, b = a[:len(y)], b[:len(y)]
	for i := range y {
		y[i] = a[i] - b[i]
	}
}

func divGo(y, a, b []float32) {
	a, b = a[:len(y)], b[:len(y)]
	for i := range y {
		y[i] = a[i] / b[i]
	}
}

func shiftGo(y, x []float32, s float32) {
	x = x[:len(y)]
	for i := range y {
		y[i] = x[i] + s
	}
}
