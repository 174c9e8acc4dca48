package cpu

import "math"

// The inner loops of the kernels, over contiguous slices of equal length: the
// portable twins. vec_amd64.go picks between them and the assembly of
// vec_amd64.s; elsewhere they are all there is. A twin may differ from the
// assembly in the last bits, since the assembly fuses multiply and add and
// sums in more lanes, but each is deterministic.

// Coefficients of the polynomials for e^r, |r| <= ln(2)/2, and 2^r, |r| <= 1/2:
// interpolation at Chebyshev nodes, relative error about 1e-8 before rounding.
const (
	expC2 = 0.5
	expC3 = 0.166665763
	expC4 = 0.0416665561
	expC5 = 0.00836317893
	expC6 = 0.0013926184

	exp2C1 = 0.693147182
	exp2C2 = 0.240226507
	exp2C3 = 0.0555035695
	exp2C4 = 0.00961808208
	exp2C5 = 0.00133908866
	exp2C6 = 0.000154531823

	log2e = 1.44269504088896340736
	ln2   = 0.693147180559945309417
	ln2hi = 0.693359375 // ten bits: n·ln2hi is exact
	ln2lo = -2.12194440054690581e-4

	// Adding roundMagic rounds a small float32 to an integer, which then
	// stands in its low bits.
	roundMagic = 12582912 // 1.5·2^23
	expMax     = 89       // e^89 overflows to +Inf
	expMin     = -104.5   // e^-104.5 underflows to 0
)

// exp32 is e^x within two units in the last place. It overflows to +Inf, underflows
// gradually to 0 and keeps NaN.
// The comparisons are false for NaN, which goes through.
//
// Products stand in float32(...) throughout: without the conversion the
// language lets a compiler fuse multiply and add, which some do on other
// processors, and the bits would differ between them.
func exp32(x float32) float32 {
	if x > expMax {
		x = expMax
	}
	if x < expMin {
		x = expMin
	}
	// n is x/ln2 rounded to the nearest integer, and t has it in its low bits.
	t := float32(x*log2e) + roundMagic
	n := t - roundMagic
	// n·ln2hi is exact, so that the error of the remainder is that of the small
	// second part (Cody and Waite 1980).
	r := x - float32(n*ln2hi) - float32(n*ln2lo)
	p := float32(expC6)
	p = float32(p*r) + expC5
	p = float32(p*r) + expC4
	p = float32(p*r) + expC3
	p = float32(p*r) + expC2
	p = float32(p*r) + 1
	p = float32(p*r) + 1
	// 2^n in two factors: n runs from -151 to 128.
	// The bits of roundMagic are 0x4B400000; what lies above them is n.
	e := int32(math.Float32bits(t)) - 0x4B400000
	// An arithmetic shift: for n = -151 the halves are -76 and -75.
	h := e >> 1
	p *= math.Float32frombits(uint32(h+127) << 23)
	return p * math.Float32frombits(uint32(e-h+127)<<23)
}

// exp2Neg is 2^x for x below 128, for softmax: results below 2^-126 become 0, and
// -Inf gives exactly 0.
//
// Below -126 the result would not be a normal number. Attention loses nothing
// by it, and slow arithmetic on such numbers is avoided.
func exp2Neg(x float32) float32 {
	if x < -127 {
		x = -127
	}
	t := x + roundMagic
	// x - n is exact: both are float32 close to each other.
	r := x - (t - roundMagic)
	p := float32(exp2C6)
	p = float32(p*r) + exp2C5
	p = float32(p*r) + exp2C4
	p = float32(p*r) + exp2C3
	p = float32(p*r) + exp2C2
	p = float32(p*r) + exp2C1
	p = float32(p*r) + 1
	e := int32(math.Float32bits(t)) - 0x4B400000
	return p * math.Float32frombits(uint32(e+127)<<23) // e = -127 is the bits of 0
}

// logOf is the natural logarithm of a positive, normal float32, to about 1e-9:
// with x = 2^e·m and m near 1, twice the artanh of (m-1)/(m+1).
func logOf(x float32) float64 {
	b := math.Float32bits(x)
	// Subtracting the bits of sqrt(1/2) and shifting gives the exponent for
	// which m is nearest to 1, so that the series is short.
	e := int32(b-0x3f3504f3) >> 23 // m in [sqrt(1/2), sqrt(2))
	m := float64(math.Float32frombits(b - uint32(e)<<23))
	s := (m - 1) / (m + 1)
	z := s * s
	// The series of artanh to the eleventh power: s is at most 0.172.
	p := 1 + z*(1.0/3+z*(1.0/5+z*(1.0/7+z*(1.0/9+z*(1.0/11)))))
	if x != x {
		return float64(x)
	}
	return float64(e)*ln2 + 2*s*p
}

// sigmoid32 is 1/(1+e^-x).
func sigmoid32(x float32) float32 { return 1 / (1 + exp32(-x)) }

func addGo(y, a, b []float32) {
	a, b = a[:len(y)], b[:len(y)]
	for i := range y {
		y[i] = a[i] + b[i]
	}
}

func mulGo(y, a, b []float32) {
	a, b = a[:len(y)], b[:len(y)]
	for i := range y {
		y[i] = a[i] * b[i]
	}
}

func scaleGo(y, x []float32, s float32) {
	x = x[:len(y)]
	for i := range y {
		y[i] = x[i] * s
	}
}

// dotGo adds in eight lanes, which are then added in order.
//
// More lanes hide the latency of additions, and the order is fixed, so that the
// result depends on the length alone.
func dotGo(x, y []float32) float32 {
	y = y[:len(x)]
	var s [8]float32
	for len(x) >= 8 {
		for i := range s {
			s[i] += float32(x[i] * y[i])
		}
		x, y = x[8:], y[8:]
	}
	for i, v := range x {
		s[i] += float32(v * y[i])
	}
	return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]))
}

// dot3Go is Σ a·b·c.
func dot3Go(a, b, c []float32) float32 {
	b, c = b[:len(a)], c[:len(a)]
	var s [8]float32
	for i := range a {
		s[i&7] += float32(a[i] * b[i] * c[i])
	}
	return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]))
}

// maxGo is the greatest element, -Inf of none; NaN may be lost.
//
// Both callers find NaN otherwise: it comes out of the sum of exponentials.
func maxGo(x []float32) float32 {
	m := float32(math.Inf(-1))
	for _, v := range x {
		if v > m {
			m = v
		}
	}
	return m
}

func expGo(y, x []float32) {
	x = x[:len(y)]
	for i := range y {
		y[i] = exp32(x[i])
	}
}

func sigmoidGo(y, x []float32) {
	x = x[:len(y)]
	for i := range y {
		y[i] = sigmoid32(x[i])
	}
}

func siluGo(y, x []float32) {
	x = x[:len(y)]
	for i := range y {
		y[i] = x[i] * sigmoid32(x[i])
	}
}

// expSumGo computes y = e^(x-m) and returns the sum of y.
//
// The sum is of the rounded results, so that dividing by it gives numbers that
// add up to 1 as nearly as they can.
func expSumGo(y, x []float32, m float32) float32 {
	x = x[:len(y)]
	var s [8]float32
	for i := range y {
		e := exp32(x[i] - m)
		y[i] = e
		s[i&7] += e
	}
	return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]))
}

// The sigmoid is computed where it is needed: exp costs less than a pass over
// memory.
func swigluGo(m, g, u []float32) {
	g, u = g[:len(m)], u[:len(m)]
	for i := range m {
		m[i] = g[i] * sigmoid32(g[i]) * u[i]
	}
}

func swigluGradGo(dg, du, dm, g, u []float32) {
	// Gate and up may be overwritten by their gradients: each element is read
	// first.
	du, dm, g, u = du[:len(dg)], dm[:len(dg)], g[:len(dg)], u[:len(dg)]
	for i := range dg {
		s := sigmoid32(g[i])
		d, ui, gs := dm[i], u[i], g[i]*s
		du[i] = d * gs
		// silu'(g) = s + g·s·(1-s)
		dg[i] = d * ui * (s + float32(gs*(1-s)))
	}
}

// normGo computes y = x·r·w.
func normGo(y, x, w []float32, r float32) {
	x, w = x[:len(y)], w[:len(y)]
	for i := range y {
		y[i] = x[i] * r * w[i]
	}
}

// normGradGo computes dx = res + r·w·dy - c·x and dw += dy·x·r for one row of
// RMSNorm. res or dw may be nil.
//
// The two are separate loops, since dw goes over many rows and stays in the
// cache, while the other slices pass by.
func normGradGo(dx, dw, dy, x, w, res []float32, r, c float32) {
	n := len(dx)
	dy, x, w = dy[:n], x[:n], w[:n]
	if dw != nil {
		dw = dw[:n]
		for i := range dw {
			dw[i] += float32(dy[i] * (x[i] * r))
		}
	}
	if res == nil {
		for i := range dx {
			dx[i] = float32(r*(w[i]*dy[i])) - float32(c*x[i])
		}
		return
	}
	res = res[:n]
	for i := range dx {
		dx[i] = res[i] + (float32(r*(w[i]*dy[i])) - float32(c*x[i]))
	}
}

// ropePairsGo rotates the pairs (2i, 2i+1) of x by the angles whose cosines and
// sines are given, times sign.
// Both elements are read before either is written: y may be x.
func ropePairsGo(y, x, cos, sin []float32, sign float32) {
	y, x, sin = y[:2*len(cos)], x[:2*len(cos)], sin[:len(cos)]
	for i := range cos {
		a, b, c, s := x[2*i], x[2*i+1], cos[i], sin[i]*sign
		y[2*i] = float32(a*c) - float32(b*s)
		y[2*i+1] = float32(b*c) + float32(a*s)
	}
}

// ropeHalfGo rotates the pairs (i, i+len(cos)).
func ropeHalfGo(y, x, cos, sin []float32, sign float32) {
	n := len(cos)
	y0, y1, x0, x1, sin := y[:n], y[n:2*n], x[:n], x[n:2*n], sin[:n]
	for i := range cos {
		a, b, c, s := x0[i], x1[i], cos[i], sin[i]*sign
		y0[i] = float32(a*c) - float32(b*s)
		y1[i] = float32(b*c) + float32(a*s)
	}
}
