package cpu

import (
	"math"
	"math/rand/v2"
	"testing"
)

// linearCase is one random layer: shapes of a packed projection, so x, y and
// their gradients are strided.
type linearCase struct {
	rows, out, in int
	x, w, dy      *poisonedMatrix
}

func newLinear(r *rand.Rand, rows, out, in int) *linearCase {
	gap := func() int { return r.IntN(2) * r.IntN(40) }
	return &linearCase{rows, out, in, randomPoisoned(r, rows, in, in+gap()), randomPoisoned(r, out, in, in), randomPoisoned(r, rows, out, out+gap())}
}

func TestLinear(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	ds := devices(t, 2)
	rows := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 30}
	for i := range 60 {
		l := newLinear(r, rows[i%len(rows)], 1+r.IntN(70), 1+r.IntN(150))
		old := randomPoisoned(r, l.rows, l.out, l.out+3)
		for _, d := range ds {
			for _, mode := range []Mode{Overwrite, Accumulate} {
				p := &productCase{false, true, l.rows, l.out, l.in, mode, l.x, l.w, newPoisoned(l.rows, l.out, l.out+3)}
				y := p.copyC()
				if mode == Accumulate {
					p.c = old
					y = p.copyC()
					d.Gemm(false, true, l.rows, l.out, l.in, l.x.x, l.x.ld, l.w.x, l.in, y.x, y.ld, Accumulate)
				} else {
					d.Linear(y.x, y.ld, l.x.x, l.x.ld, l.w.x, l.rows, l.out, l.in)
				}
				if err := p.check(y, math.MaxInt); err != nil {
					t.Fatalf("%s rows %d out %d in %d %v: %v", d.ISA(), l.rows, l.out, l.in, mode, err)
				}
			}
		}
	}
}

func TestLinearGrad(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	ds := devices(t, 2)
	for range 40 {
		l := newLinear(r, 1+r.IntN(40), 1+r.IntN(70), 1+r.IntN(70))
		for _, d := range ds {
			for _, mode := range []Mode{Overwrite, Accumulate} {
				dx := randomPoisoned(r, l.rows, l.in, l.in+5)
				p := &productCase{false, false, l.rows, l.in, l.out, mode, l.dy, l.w, dx}
				c := p.copyC()
				d.LinearGradX(c.x, c.ld, l.dy.x, l.dy.ld, l.w.x, l.rows, l.out, l.in, mode)
				if err := p.check(c, math.MaxInt); err != nil {
					t.Fatalf("%s dx %v: %v", d.ISA(), p, err)
				}
				dw := randomPoisoned(r, l.out, l.in, l.in)
				p = &productCase{true, false, l.out, l.in, l.rows, mode, l.dy, l.x, dw}
				c = p.copyC()
				d.LinearGradW(c.x, l.dy.x, l.dy.ld, l.x.x, l.x.ld, l.rows, l.out, l.in, mode)
				if err := p.check(c, math.MaxInt); err != nil {
					t.Fatalf("%s dw %v: %v", d.ISA(), p, err)
				}
			}
		}
	}
}

// TestLinearGradMatchesDifferences ties the three products together: with
// L = Σ dy·y, which is bilinear, L(x+h·u) − L(x) is exactly h·Σ dx·u.
func TestLinearGradMatchesDifferences(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	d := New(2)
	defer d.Close()
	const rows, out, in = 20, 30, 40
	random := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		return x
	}
	dot := func(a, b []float32) (sum float64) {
		for i := range a {
			sum += float64(a[i]) * float64(b[i])
		}
		return sum
	}
	w, dy, u, v := random(out*in), random(rows*out), random(rows*in), random(out*in)
	x := random(rows * in)
	y, dx, dw := make([]float32, rows*out), make([]float32, rows*in), make([]float32, out*in)
	d.LinearGradX(dx, in, dy, out, w, rows, out, in, Overwrite)
	d.LinearGradW(dw, dy, out, x, in, rows, out, in, Overwrite)
	for _, c := range []struct {
		name         string
		x, w, dp, du []float32
	}{{"x", u, w, dx, u}, {"w", x, v, dw, v}} {
		d.Linear(y, out, c.x, in, c.w, rows, out, in)
		got, want := dot(c.dp, c.du), dot(dy, y)
		size := math.Sqrt(dot(dy, dy)*dot(y, y)) + math.Sqrt(dot(c.dp, c.dp)*dot(c.du, c.du))
		if limit := (out + in + rows) * 0x1p-24 * size; !(math.Abs(got-want) <= limit) {
			t.Errorf("gradient of %s along a direction is %v, want %v ± %.2g", c.name, got, want, limit)
		}
	}
}

func TestMatMulBatch(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 18))
	for _, d := range devices(t, 2) {
		for _, f := range forms {
			for _, shared := range []bool{false, true} {
				const batch, m, n, k = 5, 9, 21, 13
				strideA, strideB, strideC := m*k+2, n*k+1, m*n+3
				if shared {
					strideB = 0
				}
				a := randomPoisoned(r, 1, batch*strideA, batch*strideA)
				b := randomPoisoned(r, 1, batch*(n*k+1), batch*(n*k+1))
				c := newPoisoned(1, batch*strideC-3, batch*strideC-3)
				d.MatMulBatch(c.x, a.x, b.x, batch, m, n, k, strideA, strideB, strideC, f.transA, f.transB, Overwrite)
				if err := c.intact(); err != nil {
					t.Fatal(err)
				}
				for i := range batch {
					view := func(x []float32, rows, cols int, trans bool) *poisonedMatrix {
						if trans {
							rows, cols = cols, rows
						}
						return &poisonedMatrix{x: x[:rows*cols], rows: rows, cols: cols, ld: cols}
					}
					p := &productCase{f.transA, f.transB, m, n, k, Overwrite,
						view(a.x[i*strideA:], m, k, f.transA), view(b.x[i*strideB:], k, n, f.transB), nil}
					if err := p.check(view(c.x[i*strideC:], m, n, false), math.MaxInt); err != nil {
						t.Fatalf("%s %s matrix %d: %v", d.ISA(), f.name, i, err)
					}
				}
			}
		}
	}
}
