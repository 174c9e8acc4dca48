package cpu

import (
	"math"
	"math/rand/v2"
	"testing"
)

// norm64 is RMSNorm of one row in float64.
func norm64(x, w []float64, eps float64) []float64 {
	r := 1 / math.Sqrt(dot64(x, x)/float64(len(x))+eps)
	y := make([]float64, len(x))
	for i := range x {
		y[i] = x[i] * r * w[i]
	}
	return y
}

// normGrad64 returns the gradients of dot(dy, norm64(x, w)), and the sizes of
// what is summed or subtracted for each.
func normGrad64(x, w, dy []float64, eps float64) (dx, dw, size []float64) {
	n := float64(len(x))
	r := 1 / math.Sqrt(dot64(x, x)/n+eps)
	dx, dw, size = make([]float64, len(x)), make([]float64, len(x)), make([]float64, len(x))
	dot, mag := 0.0, 0.0
	for i := range x {
		dot += dy[i] * w[i] * x[i]
		mag += math.Abs(dy[i] * w[i] * x[i])
	}
	for i := range x {
		dx[i] = r*w[i]*dy[i] - x[i]*r*r*r*dot/n
		size[i] = math.Abs(r*w[i]*dy[i]) + math.Abs(x[i])*r*r*r*mag/n
		dw[i] = dy[i] * x[i] * r
	}
	return dx, dw, size
}

// sumErr bounds the relative error of a float32 sum of n terms as the kernels
// take it: blocks of sumBlock, at least 8 lanes, blocks in float64.
func sumErr(n int) float64 { return float64(min(n, sumBlock)/8+10) * unit }

func TestRMSNorm(t *testing.T) {
	const eps = 1e-5
	for n, s := range [][3]int{{1, 1, 1}, {3, 7, 9}, {65, 64, 64}, {130, 96, 100}, {5, 1500, 1501}, {2, 4096, 4096}} {
		rows, dim, ldx := s[0], s[1], s[2]
		onDevices(t, uint64(n), func(t *testing.T, d *Device, m *mem, compare bool) [][]float32 {
			x, w := m.matrix(rows, ldx, dim, 2), m.vec(dim, 1)
			y := m.vec(rows*dim, 0)
			d.RMSNorm(y, x, ldx, w, rows, dim, eps)
			dy, res := m.vec(rows*dim, 1), m.vec(rows*dim, 1)
			dx, dw, dw2 := m.vec(rows*dim, 0), m.vec(dim, 0), m.vec(dim, 1)
			before := append([]float32(nil), dw2...)
			d.RMSNormGrad(dx, dw, dy, x, ldx, w, res, rows, dim, eps, Overwrite)
			d.RMSNormGrad(dx, dw2, dy, x, ldx, w, res, rows, dim, eps, Accumulate)

			// dx in place of dy, then of res, and without either.
			inDy := append([]float32(nil), dy...)
			d.RMSNormGrad(inDy, nil, inDy, x, ldx, w, res, rows, dim, eps, Overwrite)
			equalBits(t, "dx as dy", inDy, dx)
			inRes := append([]float32(nil), res...)
			d.RMSNormGrad(inRes, nil, dy, x, ldx, w, inRes, rows, dim, eps, Overwrite)
			equalBits(t, "dx as res", inRes, dx)
			bare := m.vec(rows*dim, 0)
			d.RMSNormGrad(bare, nil, dy, x, ldx, w, nil, rows, dim, eps, Overwrite)

			// r = a + b, in place too.
			a, b := m.vec(rows*dim, 1), m.vec(rows*dim, 1)
			r, y2, y3 := m.vec(rows*dim, 0), m.vec(rows*dim, 0), m.vec(rows*dim, 0)
			d.AddRMSNorm(r, y2, a, b, w, rows, dim, eps)
			d.RMSNorm(y3, r, dim, w, rows, dim, eps)
			equalBits(t, "y of AddRMSNorm", y2, y3)
			ab := append([]float32(nil), a...)
			d.AddRMSNorm(ab, y3, ab, b, w, rows, dim, eps)
			equalBits(t, "r as a", ab, r)
			ab = append(ab[:0], b...)
			d.AddRMSNorm(ab, y3, a, ab, w, rows, dim, eps)
			equalBits(t, "r as b", ab, r)
			if compare {
				for i := range r {
					if r[i] != a[i]+b[i] {
						t.Fatalf("r[%d] = %v, want %v", i, r[i], a[i]+b[i])
					}
				}
				compareNorm(t, y, x, w, dy, res, dx, bare, dw, dw2, before, rows, dim, ldx, eps)
			}
			return [][]float32{y, dx, dw, dw2, bare, r, y2}
		})
	}
}

func compareNorm(t *testing.T, y, x, w, dy, res, dx, bare, dw, dw2, before []float32, rows, dim, ldx int, eps float64) {
	w64 := rows64(w, 1, dim, dim)
	wantW, tolW := make([]float64, dim), make([]float64, dim)
	tolAcc := make([]float64, dim)
	for r := range rows {
		x64 := rows64(x[r*ldx:], 1, dim, dim)
		want := norm64(x64, w64, eps)
		rel := sumErr(dim) + 4*unit
		near(t, "y", y[r*dim:(r+1)*dim], want, relTol(want, rel, 0))
		wantX, dwr, size := normGrad64(x64, w64, rows64(dy[r*dim:], 1, dim, dim), eps)
		tol := make([]float64, dim)
		for i := range tol {
			tol[i] = (3*rel + 6*unit) * size[i]
			wantW[i] += dwr[i]
			tolW[i] += math.Abs(dwr[i]) * (rel + float64(rows/64+64+8)*unit)
			tolAcc[i] = tolW[i] + unit*math.Abs(float64(before[i])+wantW[i])
		}
		near(t, "dx without res", bare[r*dim:(r+1)*dim], wantX, tol)
		for i := range tol {
			wantX[i] += float64(res[r*dim+i])
			tol[i] += unit * math.Abs(wantX[i])
		}
		near(t, "dx", dx[r*dim:(r+1)*dim], wantX, tol)
	}
	near(t, "dw", dw, wantW, tolW)
	for i := range wantW {
		wantW[i] += float64(before[i])
	}
	near(t, "dw accumulated", dw2, wantW, tolAcc)
}

func TestRMSNormReference(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	x, w, dy := randn(rng, 9, 1), randn(rng, 9, 1), randn(rng, 9, 1)
	dx, dw, _ := normGrad64(x, w, dy, 0.1)
	f := func() float64 { return dot64(dy, norm64(x, w, 0.1)) }
	gradCheck(t, "x", f, x, dx)
	gradCheck(t, "w", f, w, dw)
}

func TestRMSNormAllocs(t *testing.T) {
	d := New(2)
	defer d.Close()
	m := newMem(t, 1)
	x, y, w, dw := m.vec(40*300, 1), m.vec(40*300, 1), m.vec(300, 1), m.vec(300, 0)
	noAllocs(t, "RMSNorm", func() { d.RMSNorm(y, x, 300, w, 40, 300, 1e-5) })
	noAllocs(t, "AddRMSNorm", func() { d.AddRMSNorm(y, y, x, x, w, 40, 300, 1e-5) })
	noAllocs(t, "RMSNormGrad", func() { d.RMSNormGrad(y, dw, y, x, 300, w, y, 40, 300, 1e-5, Overwrite) })
}
