package cpu

import (
	"math"
	"math/rand/v2"
	"testing"
)

// ulps is the distance of got from want in units of the last place of want.
func ulps(got float32, want float64) float64 {
	w := float32(want)
	next := math.Float32frombits(math.Float32bits(w)&0x7fffffff + 1)
	gap := float64(next) - math.Abs(float64(w))
	if math.IsInf(float64(next), 0) {
		gap = math.Ldexp(1, 104)
	}
	return math.Abs(float64(got)-want) / gap
}

// floatsOver returns numbers over the whole range lo..hi, dense near 0 as well.
func floatsOver(lo, hi float64, n int) []float32 {
	rng := rand.New(rand.NewPCG(4, 2))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(lo + (hi-lo)*rng.Float64())
		if i%4 == 0 {
			x[i] *= float32(math.Ldexp(1, -rng.IntN(40)))
		}
	}
	return x
}

// The exponential is within 2 ulp wherever the result is a normal number, and
// within one denormal below.
func TestExpAccuracy(t *testing.T) {
	x := floatsOver(-104, 88.72, 200000)
	for l := portable; l <= detect(); l++ {
		y := make([]float32, len(x))
		vecExp(l, y, x)
		worst := 0.0
		for i, v := range x {
			want := math.Exp(float64(v))
			if want < 1.2e-38 {
				if math.Abs(float64(y[i])-want) > 2e-45 {
					t.Fatalf("%v: e^%v = %v, want %v", l, v, y[i], want)
				}
				continue
			}
			worst = max(worst, ulps(y[i], want))
		}
		t.Logf("%v: exp is within %.2f ulp", l, worst)
		if worst > 2 {
			t.Errorf("%v: exp is off by %v ulp", l, worst)
		}
		inf := float32(math.Inf(1))
		for _, c := range [][2]float32{{inf, inf}, {-inf, 0}, {89.5, inf}, {-110, 0}, {0, 1}, {1e30, inf}, {-1e30, 0}} {
			if vecExp(l, y[:17], append(make([]float32, 16), c[0])); y[16] != c[1] {
				t.Errorf("%v: e^%v = %v", l, c[0], y[16])
			}
		}
	}
}

// erf and tanh are within 3 ulp everywhere, also where one form takes over from
// the other, odd, and keep NaN, zeros and infinities.
func TestErfTanhAccuracy(t *testing.T) {
	x := floatsOver(-5, 5, 400000)
	for _, split := range []float32{erfSplit, tanhSplit, erfMax} {
		for v, i := split, 0; i < 200; i++ {
			v = math.Nextafter32(v, float32(2*(i%2)))
			x = append(x, v, -v, split+float32(i)*1e-6)
		}
	}
	for l := portable; l <= detect(); l++ {
		for _, f := range []struct {
			name  string
			vec   func(isa, []float32, []float32)
			exact func(float64) float64
		}{{"erf", vecErf, math.Erf}, {"tanh", vecTanh, math.Tanh}} {
			y, mirrored := make([]float32, len(x)), make([]float32, len(x))
			f.vec(l, y, x)
			for i, v := range x {
				mirrored[i] = -v
			}
			f.vec(l, mirrored, mirrored)
			worst := 0.0
			for i, v := range x {
				worst = max(worst, ulps(y[i], f.exact(float64(v))))
				if mirrored[i] != -y[i] || y[i] > 1 || y[i] < -1 {
					t.Fatalf("%v: %s(%v) = %v, of its negative %v", l, f.name, v, y[i], mirrored[i])
				}
			}
			t.Logf("%v: %s is within %.2f ulp", l, f.name, worst)
			if !(worst <= 3) {
				t.Errorf("%v: %s is off by %v ulp", l, f.name, worst)
			}
			inf, nan, zero := float32(math.Inf(1)), float32(math.NaN()), float32(math.Copysign(0, -1))
			for _, c := range [][2]float32{{inf, 1}, {-inf, -1}, {1e30, 1}, {-1e30, -1}, {0, 0}, {zero, zero}, {nan, nan}, {1e-42, f32(f.exact(1e-42))}} {
				x := append(make([]float32, 16), c[0])
				f.vec(l, x, x)
				if a, b := math.Float32bits(x[16]), math.Float32bits(c[1]); a != b && !(x[16] != x[16] && c[1] != c[1]) && math.Abs(float64(a)-float64(b)) > 1 {
					t.Errorf("%v: %s(%v) = %v, want %v", l, f.name, c[0], x[16], c[1])
				}
			}
		}
	}
}

func f32(x float64) float32 { return float32(x) }

func TestLogOf(t *testing.T) {
	for _, v := range append(floatsOver(1, 1e5, 10000), 1, 0.5, 1.4142135, 1.4142137, 2, 3e38, 1.2e-38) {
		if got, want := logOf(v), math.Log(float64(v)); math.Abs(got-want) > 1e-9*(1+math.Abs(want)) {
			t.Fatalf("log %v = %v, want %v", v, got, want)
		}
	}
	if v := logOf(junk); v == v {
		t.Errorf("log NaN = %v", v)
	}
}

// twin describes one inner loop for TestVecTwins: how to run it, with results
// in y and z, and by how much its instruction sets may differ: exact is in
// bits, else rel·|size of what is added|.
type twin struct {
	name string
	run  func(l isa, y, z, a, b, c []float32) float32
	rel  float64 // 0: the same bits
}

var twins = []twin{
	{"add", func(l isa, y, _, a, b, _ []float32) float32 { vecAdd(l, y, a, b); return 0 }, 0},
	{"mul", func(l isa, y, _, a, b, _ []float32) float32 { vecMul(l, y, a, b); return 0 }, 0},
	{"scale", func(l isa, y, _, a, _, _ []float32) float32 { vecScale(l, y, a, 1.3); return 0 }, 0},
	{"dot", func(l isa, _, _, a, b, _ []float32) float32 { return vecDot(l, a, b) }, 80 * unit},
	{"dot3", func(l isa, _, _, a, b, c []float32) float32 { return vecDot3(l, a, b, c) }, 80 * unit},
	{"max", func(l isa, _, _, a, _, _ []float32) float32 { return vecMax(l, a) }, 0},
	{"exp", func(l isa, y, _, a, _, _ []float32) float32 { vecExp(l, y, a); return 0 }, 8 * unit},
	{"sigmoid", func(l isa, y, _, a, _, _ []float32) float32 { vecSigmoid(l, y, a); return 0 }, 8 * unit},
	{"silu", func(l isa, y, _, a, _, _ []float32) float32 { vecSilu(l, y, a); return 0 }, 8 * unit},
	{"expSum", func(l isa, y, _, a, _, _ []float32) float32 { return vecExpSum(l, y, a, 2) }, 80 * unit},
	{"swiglu", func(l isa, y, _, a, b, _ []float32) float32 { vecSwiGLU(l, y, a, b); return 0 }, 8 * unit},
	{"swigluGrad", func(l isa, y, z, a, b, c []float32) float32 { vecSwiGLUGrad(l, y, z, a, b, c); return 0 }, 64 * unit},
	{"sub", func(l isa, y, _, a, b, _ []float32) float32 { vecSub(l, y, a, b); return 0 }, 0},
	{"div", func(l isa, y, _, a, b, _ []float32) float32 { vecDiv(l, y, a, b); return 0 }, 0},
	{"shift", func(l isa, y, _, a, _, _ []float32) float32 { vecShift(l, y, a, 1.3); return 0 }, 0},
	{"sqrt", func(l isa, y, _, a, b, _ []float32) float32 { vecMul(l, y, a, a); vecSqrt(l, y, y); return 0 }, 0},
	{"recip", func(l isa, y, _, a, _, _ []float32) float32 { vecRecip(l, y, a); return 0 }, 0},
	{"relu", func(l isa, y, _, a, _, _ []float32) float32 { vecRelu(l, y, a); return 0 }, 0},
	{"erf", func(l isa, y, _, a, _, _ []float32) float32 { vecErf(l, y, a); return 0 }, 8 * unit},
	{"tanh", func(l isa, y, _, a, _, _ []float32) float32 { vecTanh(l, y, a); return 0 }, 8 * unit},
	{"norm", func(l isa, y, _, a, b, _ []float32) float32 { vecNorm(l, y, a, b, 0.7); return 0 }, 0},
	{"normGrad", func(l isa, y, z, a, b, c []float32) float32 {
		copy(z, c)
		vecNormGrad(l, y, z, a, b, c, a, 0.7, 0.1)
		return 0
	}, 16 * unit},
	{"normGrad without res and dw", func(l isa, y, _, a, b, c []float32) float32 {
		vecNormGrad(l, y, nil, a, b, c, nil, 0.7, 0.1)
		return 0
	}, 16 * unit},
}

// Every inner loop agrees with its portable twin at every length around the
// vectors' sizes, and touches nothing outside its operands.
func TestVecTwins(t *testing.T) {
	for l := portable + 1; l <= detect(); l++ {
		for _, w := range twins {
			for n := range 150 {
				m := newMem(t, uint64(n))
				a, b, c := m.vec(n, 1), m.vec(n, 1), m.vec(n, 1)
				y, z, y2, z2 := m.vec(n, 0), m.vec(n, 0), m.vec(n, 0), m.vec(n, 0)
				got, want := w.run(l, y, z, a, b, c), w.run(portable, y2, z2, a, b, c)
				m.check()
				if w.rel == 0 {
					equalBits(t, w.name, append(append(y, z...), got), append(append(y2, z2...), want))
					continue
				}
				tol := func(v float32) float64 { return w.rel * (math.Abs(float64(v)) + 1) }
				if math.Abs(float64(got-want)) > tol(want)*float64(n+1) {
					t.Fatalf("%v: %s of %d: %v, portable %v", l, w.name, n, got, want)
				}
				for i := range y {
					if !junked(y[i], y2[i]) && math.Abs(float64(y[i]-y2[i])) > tol(y2[i]) || !junked(z[i], z2[i]) && math.Abs(float64(z[i]-z2[i])) > tol(z2[i]) {
						t.Fatalf("%v: %s of %d: element %d is %v, %v, portable %v, %v", l, w.name, n, i, y[i], z[i], y2[i], z2[i])
					}
				}
			}
		}
	}
}

// junked says that neither was written.
func junked(a, b float32) bool {
	return math.Float32bits(a) == junkBits && math.Float32bits(b) == junkBits
}
