package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// Helpers for tests of the model kernels.

// unit is half the distance from 1 to the next float32: the bound on the
// relative error of one rounding.
const unit = 1.0 / (1 << 24)

// junk is the NaN that surrounds buffers and fills gaps between rows. Its
// payload tells it from one that arithmetic made.
const junkBits = 0x7fc0beef

var junk = math.Float32frombits(junkBits)

// mem hands out buffers with junk before, after and between rows.
type mem struct {
	t    testing.TB
	rng  *rand.Rand
	bufs []buffer
}

type buffer struct {
	all            []float32
	rows, ld, cols int
}

const guardLen = 80

func newMem(t testing.TB, seed uint64) *mem {
	return &mem{t: t, rng: rand.New(rand.NewPCG(seed, 7))}
}

// matrix is [rows, cols] with ld elements from row to row, filled with normal
// numbers; with std 0 it is a result, and junk itself.
func (m *mem) matrix(rows, ld, cols int, std float64) []float32 {
	n := extent(rows, ld, cols)
	all := make([]float32, n+2*guardLen)
	for i := range all {
		all[i] = junk
	}
	x := all[guardLen : guardLen+n : guardLen+n]
	if std != 0 {
		for r := range rows {
			for c := range cols {
				x[r*ld+c] = float32(m.rng.NormFloat64() * std)
			}
		}
	}
	m.bufs = append(m.bufs, buffer{all, rows, ld, cols})
	return x
}

func (m *mem) vec(n int, std float64) []float32 { return m.matrix(1, n, n, std) }

// check fails if junk was overwritten.
func (m *mem) check() {
	m.t.Helper()
	for i, b := range m.bufs {
		for j, v := range b.all {
			p := j - guardLen
			inside := p >= 0 && p < extent(b.rows, b.ld, b.cols) && p%b.ld < b.cols
			if !inside && math.Float32bits(v) != junkBits {
				m.t.Fatalf("buffer %d [%d,%d] ld %d: wrote outside, at %d", i, b.rows, b.cols, b.ld, p)
			}
		}
	}
}

// onDevices runs a kernel test for each instruction set of this machine, on 1,
// 2, 3 and 5 workers, with the same random numbers, and demands the same bits
// from all numbers of workers. The test compares with its reference when told.
func onDevices(t *testing.T, seed uint64, kernel func(t *testing.T, d *Device, m *mem, compare bool) [][]float32) {
	t.Helper()
	for l := portable; l <= detect(); l++ {
		t.Run(l.String(), func(t *testing.T) {
			var want [][]float32
			for _, workers := range []int{1, 2, 3, 5} {
				m := newMem(t, seed)
				got := kernel(t, testDevice(l, workers), m, workers == 1)
				m.check()
				if workers == 1 {
					want = got
					continue
				}
				for i := range want {
					equalBits(t, fmt.Sprintf("result %d, %d workers against 1", i, workers), got[i], want[i])
				}
			}
		})
	}
}

// testDevice returns a device that all tests share.
func testDevice(l isa, workers int) *Device {
	key := [2]int{int(l), workers}
	if testDevices[key] == nil {
		d := New(workers)
		d.isa = l
		testDevices[key] = d
	}
	return testDevices[key]
}

var testDevices = map[[2]int]*Device{}

func equalBits(t testing.TB, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s: element %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}

// near compares element i of got with want, to an absolute tolerance.
func near(t testing.TB, what string, got []float32, want, tol []float64) {
	t.Helper()
	for i := range want {
		if e := math.Abs(float64(got[i]) - want[i]); !(e <= tol[i]) && !bothInf(got[i], want[i]) {
			t.Fatalf("%s: element %d is %v, want %v: error %.3g above %.3g", what, i, got[i], want[i], e, tol[i])
		}
	}
}

func bothInf(a float32, b float64) bool {
	return math.IsInf(float64(a), 1) && b > math.MaxFloat32 || math.IsInf(float64(a), -1) && b < -math.MaxFloat32
}

// rows64 copies a strided matrix to a contiguous float64 one.
func rows64(x []float32, rows, ld, cols int) []float64 {
	y := make([]float64, 0, rows*cols)
	for r := range rows {
		for _, v := range x[r*ld : r*ld+cols] {
			y = append(y, float64(v))
		}
	}
	return y
}

// dense copies a strided matrix to a contiguous one.
func dense(x []float32, rows, ld, cols int) []float32 {
	var y []float32
	for r := range rows {
		y = append(y, x[r*ld:r*ld+cols]...)
	}
	return y
}

func relTol(want []float64, rel, abs float64) []float64 {
	tol := make([]float64, len(want))
	for i, w := range want {
		tol[i] = rel*math.Abs(w) + abs
	}
	return tol
}

func randn(rng *rand.Rand, n int, std float64) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = rng.NormFloat64() * std
	}
	return x
}

// gradCheck compares g, the gradient of f with respect to x, with central
// differences of five points in float64.
func gradCheck(t *testing.T, name string, f func() float64, x, g []float64) {
	t.Helper()
	top := 0.0
	for _, v := range g {
		top = max(top, math.Abs(v))
	}
	const h = 1e-3
	for i, keep := range x {
		at := func(s float64) float64 {
			x[i] = keep + s*h
			return f()
		}
		n := (8*(at(1)-at(-1)) - (at(2) - at(-2))) / (12 * h)
		x[i] = keep
		if a := g[i]; math.Abs(a-n) > 1e-6*max(math.Abs(a), math.Abs(n), 1e-3*top) {
			t.Fatalf("%s: gradient %d is %v, central difference %v", name, i, a, n)
		}
	}
}

func dot64(a, b []float64) (s float64) {
	for i := range a {
		s += a[i] * b[i]
	}
	return s
}

// noAllocs demands that a launch allocates nothing once its scratch is there.
func noAllocs(t *testing.T, name string, f func()) {
	t.Helper()
	f()
	if n := testing.AllocsPerRun(3, f); n != 0 {
		t.Errorf("%s: %v allocations a run", name, n)
	}
}
