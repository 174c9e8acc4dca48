package cpu

import (
	"math"
	"math/cmplx"
	"math/rand/v2"
	"testing"
)

// rope64 rotates as complex numbers.
func rope64(x, cos, sin []float64, half, inverse bool) []float64 {
	y, n := make([]float64, len(x)), len(cos)
	for i := range n {
		a, b := 2*i, 2*i+1
		if half {
			a, b = i, i+n
		}
		w := complex(cos[i], sin[i])
		if inverse {
			w = cmplx.Conj(w)
		}
		z := complex(x[a], x[b]) * w
		y[a], y[b] = real(z), imag(z)
	}
	return y
}

func TestRope(t *testing.T) {
	for n, s := range []struct{ rows, T, heads, hd int }{{1, 1, 1, 2}, {14, 7, 3, 8}, {65, 65, 2, 16}, {130, 65, 5, 64}, {6, 3, 2, 10}, {4, 4, 3, 128}, {5, 5, 2, 24}} {
		for mode := range 4 {
			half, inverse := mode&1 != 0, mode&2 != 0
			onDevices(t, uint64(n), func(t *testing.T, d *Device, m *mem, compare bool) [][]float32 {
				w := s.heads * s.hd
				ldx, ldy := w+3, w+7
				x, y := m.matrix(s.rows, ldx, w, 1), m.matrix(s.rows, ldy, w, 0)
				cos, sin := m.vec(s.T*s.hd/2, 0), m.vec(s.T*s.hd/2, 0)
				for i := range cos {
					a := m.rng.Float64() * 7
					cos[i], sin[i] = float32(math.Cos(a)), float32(math.Sin(a))
				}
				d.Rope(y, ldy, x, ldx, cos, sin, s.rows, s.T, s.heads, s.hd, half, inverse)
				if compare {
					compareRope(t, y, x, cos, sin, ldy, ldx, s.rows, s.heads, s.hd, half, inverse, func(r int) int { return r % s.T })
				}
				want := dense(y, s.rows, ldy, w)
				d.Rope(x, ldx, x, ldx, cos, sin, s.rows, s.T, s.heads, s.hd, half, inverse)
				equalBits(t, "in place", dense(x, s.rows, ldx, w), want)
				return [][]float32{want}
			})
		}
	}
}

func compareRope(t *testing.T, y, x, cos, sin []float32, ldy, ldx, rows, heads, hd int, half, inverse bool, pos func(int) int) {
	n := hd / 2
	for r := range rows {
		c, s := rows64(cos[pos(r)*n:], 1, n, n), rows64(sin[pos(r)*n:], 1, n, n)
		for h := range heads {
			in := rows64(x[r*ldx+h*hd:], 1, hd, hd)
			want := rope64(in, c, s, half, inverse)
			tol := make([]float64, hd)
			for i := range n {
				a, b := 2*i, 2*i+1
				if half {
					a, b = i, i+n
				}
				tol[a] = 2 * unit * (math.Abs(in[a]*c[i]) + math.Abs(in[b]*s[i]))
				tol[b] = 2 * unit * (math.Abs(in[b]*c[i]) + math.Abs(in[a]*s[i]))
			}
			near(t, "rope", y[r*ldy+h*hd:][:hd], want, tol)
		}
	}
}

// The gradient of a rotation is the inverse rotation.
func TestRopeReference(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, half := range []bool{false, true} {
		x, dy := randn(rng, 8, 1), randn(rng, 8, 1)
		cos, sin := make([]float64, 4), make([]float64, 4)
		for i := range cos {
			sin[i], cos[i] = math.Sincos(rng.Float64() * 7)
		}
		f := func() float64 { return dot64(dy, rope64(x, cos, sin, half, false)) }
		gradCheck(t, "x", f, x, rope64(dy, cos, sin, half, true))
	}
}

func TestRopeAllocs(t *testing.T) {
	d := New(2)
	defer d.Close()
	x, cos := make([]float32, 40*256), make([]float32, 40*32)
	noAllocs(t, "Rope", func() { d.Rope(x, 256, x, 256, cos, cos, 40, 40, 4, 64, true, false) })
}
