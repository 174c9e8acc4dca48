package cpu

import (
	"math"
	"math/rand/v2"
	"testing"
)

func sigmoid64(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// swigluGrad64 returns the gradients of dm·silu(g)·u.
func swigluGrad64(dm, g, u float64) (dg, du float64) {
	s := sigmoid64(g)
	return dm * u * (s + g*s*(1-s)), dm * g * s
}

func TestSwiGLU(t *testing.T) {
	for n, s := range [][2]int{{1, 1}, {3, 7}, {65, 64}, {7, 130}, {2, 9000}} {
		rows, f := s[0], s[1]
		onDevices(t, uint64(n), func(t *testing.T, d *Device, m *mem, compare bool) [][]float32 {
			ld := 2*f + 3
			gu := m.matrix(rows, ld, 2*f, 4) // one packed buffer
			g, u := gu, gu[f:]
			if n > 1 {
				copy(g, []float32{0, 20, -20, 88, -88, 104, -104, 1e4, -1e4, 3e38, -3e38, 1e-30})
			}
			y, dm := m.vec(rows*f, 0), m.vec(rows*f, 1)
			d.SwiGLU(y, g, ld, u, ld, rows, f)
			dg, du := m.matrix(rows, f+1, f, 0), m.matrix(rows, f+2, f, 0)
			d.SwiGLUGrad(dg, f+1, du, f+2, dm, g, ld, u, ld, rows, f)
			if compare {
				for r := range rows {
					for i := range f {
						g, u, dm := float64(g[r*ld+i]), float64(u[r*ld+i]), float64(dm[r*f+i])
						want := g * sigmoid64(g) * u
						dg64, du64 := swigluGrad64(dm, g, u)
						// The exponential has 2 ulp, and each operation one rounding; the sum
						// in dg may cancel. Below the smallest normal number, absolute.
						rel, tiny := 10*unit, 1e-37*(1+math.Abs(u)+math.Abs(dm*u))
						sz := math.Abs(dm*u) * sigmoid64(g) * (1 + math.Abs(g)*(2-sigmoid64(g)))
						near(t, "m", y[r*f+i:][:1], []float64{want}, []float64{rel*math.Abs(want) + tiny})
						near(t, "dg", dg[r*(f+1)+i:][:1], []float64{dg64}, []float64{rel*sz + tiny})
						near(t, "du", du[r*(f+2)+i:][:1], []float64{du64}, []float64{rel*math.Abs(du64) + tiny*(1+math.Abs(g))})
					}
				}
			}
			a, b := dense(dg, rows, f+1, f), dense(du, rows, f+2, f)
			d.SwiGLUGrad(g, ld, u, ld, dm, g, ld, u, ld, rows, f)
			equalBits(t, "dg as g", dense(g, rows, ld, f), a)
			equalBits(t, "du as u", dense(u, rows, ld, f), b)
			return [][]float32{y, a, b}
		})
	}
}

func TestSwiGLUReference(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		x := randn(rng, 2, 2)
		dm := rng.NormFloat64()
		dg, du := swigluGrad64(dm, x[0], x[1])
		gradCheck(t, "g, u", func() float64 { return dm * x[0] * sigmoid64(x[0]) * x[1] }, x, []float64{dg, du})
	}
}

func TestSwiGLUAllocs(t *testing.T) {
	d := New(2)
	defer d.Close()
	x, y := make([]float32, 40*600), make([]float32, 40*300)
	noAllocs(t, "SwiGLU", func() { d.SwiGLU(y, x, 600, x[300:], 600, 40, 300) })
	noAllocs(t, "SwiGLUGrad", func() { d.SwiGLUGrad(x, 600, x[300:], 600, y, x, 600, x[300:], 600, 40, 300) })
}
