package cpu

import (
	"math"
	"testing"
)

func TestReduce(t *testing.T) {
	for i, s := range [][3]int{{1, 1, 1}, {3, 7, 1}, {2, 130, 65}, {5, 3, 300}, {400, 2, 3}, {2, 9001, 1}, {2, 0, 3}, {0, 3, 2}} {
		outer, n, inner := s[0], s[1], s[2]
		for op := ReduceSum; op <= ReduceMax; op++ {
			onDevices(t, uint64(i), func(t *testing.T, d *Device, m *mem, compare bool) [][]float32 {
				x, y := m.vec(outer*n*inner, 1), m.vec(outer*inner, 0)
				d.Reduce(op, y, x, outer, n, inner)
				for o := range outer {
					for in := range inner {
						sum, top := 0.0, math.Inf(-1)
						for r := range n {
							v := float64(x[(o*n+r)*inner+in])
							sum, top = sum+v, max(top, v)
						}
						want := [...]float64{sum, sum / float64(n), top}[op]
						if got := float64(y[o*inner+in]); math.Abs(got-want) > 2*unit*math.Abs(want)+1e-12 {
							t.Fatalf("op %d of %v: %v, want %v", op, s, got, want)
						}
					}
				}
				return [][]float32{y}
			})
		}
	}
	d := New(1)
	defer d.Close()
	y := make([]float32, 1)
	if d.Reduce(ReduceMax, y, []float32{1, junk, 2}, 1, 3, 1); y[0] == y[0] {
		t.Errorf("maximum of NaN is %v", y[0])
	}
}

func TestSoftmax(t *testing.T) {
	for i, s := range [][2]int{{1, 1}, {3, 7}, {65, 130}, {2, 3000}} {
		rows, n := s[0], s[1]
		onDevices(t, uint64(i), func(t *testing.T, d *Device, m *mem, compare bool) [][]float32 {
			x, y := m.vec(rows*n, 4), m.vec(rows*n, 0)
			if n > 1 {
				x[0], x[1] = float32(math.Inf(-1)), 1000
			}
			d.Softmax(y, x, rows, n)
			dy, dx := m.vec(rows*n, 1), m.vec(rows*n, 0)
			d.SoftmaxGrad(dx, dy, y, rows, n)
			for r := range rows {
				p, g, tol := make([]float64, n), make([]float64, n), make([]float64, n)
				top, sum, dot, mag := math.Inf(-1), 0.0, 0.0, 0.0
				for _, v := range x[r*n : (r+1)*n] {
					top = max(top, float64(v))
				}
				for i, v := range x[r*n : (r+1)*n] {
					p[i] = math.Exp(float64(v) - top)
					sum += p[i]
				}
				for i := range p {
					p[i] /= sum
					w := float64(y[r*n+i]) * float64(dy[r*n+i]) // y as given, not the true softmax
					dot, mag = dot+w, mag+math.Abs(w)
				}
				for i := range g {
					yi, di := float64(y[r*n+i]), float64(dy[r*n+i])
					g[i] = yi * (di - dot)
					tol[i] = yi * ((sumErr(n)+2*unit)*mag + 3*unit*(math.Abs(di)+math.Abs(dot)))
				}
				rel := sumErr(n) + 6*unit
				// x - max rounds, which moves e^(x-max) by up to its size.
				for i, v := range x[r*n : (r+1)*n] {
					if e := math.Abs(float64(y[r*n+i]) - p[i]); e > p[i]*(rel+unit*math.Abs(float64(v)-top))+1e-38 {
						t.Fatalf("softmax %d is %v, want %v", i, y[r*n+i], p[i])
					}
				}
				near(t, "dx", dx[r*n:(r+1)*n], g, tol)
			}
			in := append([]float32(nil), dy...)
			d.SoftmaxGrad(in, in, y, rows, n)
			equalBits(t, "dx as dy", in, dx)
			d.Softmax(x, x, rows, n)
			equalBits(t, "in place", x, y)
			return [][]float32{y, dx}
		})
	}
}
