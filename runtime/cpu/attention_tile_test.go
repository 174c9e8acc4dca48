package cpu

import (
	"fmt"
	"math"
	"testing"
)

func TestTileMul(t *testing.T) {
	for l := portable; l <= detect(); l++ {
		for i := range 300 {
			m := newMem(t, uint64(i))
			rows, k := 1+m.rng.IntN(20), 1+m.rng.IntN(40)
			n := lanes * (1 + m.rng.IntN(9))
			if i%10 == 0 {
				n = 1 + m.rng.IntN(40)
			}
			ldb, ldc := n+m.rng.IntN(5), n+m.rng.IntN(5)
			// A lies row by row or column by column.
			ars, aks := k+m.rng.IntN(5), 1
			a := m.matrix(rows, ars, k, 1)
			if i%2 == 0 {
				ars, aks = 1, rows+m.rng.IntN(5)
				a = m.matrix(k, aks, rows, 1)
			}
			b, acc := m.matrix(k, ldb, n, 1), i%3 == 0
			c := m.matrix(rows, ldc, n, 0)
			if acc {
				c = m.matrix(rows, ldc, n, 1)
			}
			before := dense(c, rows, ldc, n)
			tileMul(l, c, ldc, a, ars, aks, b, ldb, rows, n, k, acc)
			m.check()
			for r := range rows {
				for j := range n {
					want, size := 0.0, 0.0
					for p := range k {
						v := float64(a[r*ars+p*aks]) * float64(b[p*ldb+j])
						want, size = want+v, size+math.Abs(v)
					}
					if acc {
						want, size = want+float64(before[r*n+j]), size+math.Abs(float64(before[r*n+j]))
					}
					near(t, fmt.Sprintf("%v: %d×%d×%d", l, rows, n, k), c[r*ldc+j:][:1], []float64{want}, []float64{float64(k+1) * unit * size})
				}
			}
		}
	}
}

// Two tiles one after the other give the softmax of all of their rows.
func TestSoftmaxTile(t *testing.T) {
	for l := portable; l <= detect(); l++ {
		for rows := 1; rows <= 64; rows += 1 + rows/5 {
			mm := newMem(t, uint64(rows))
			s1, s2 := mm.matrix(rows, tileQ, lanes, 5), mm.matrix(rows, tileQ, lanes, 5)
			s2[3] = float32(math.Inf(-1)) // masked
			in1, in2 := dense(s1, rows, tileQ, lanes), dense(s2, rows, tileQ, lanes)
			var m, sum, alpha [lanes]float32
			for i := range m {
				m[i] = noScore
			}
			softmaxTile(l, s1, rows, &m, &sum, &alpha)
			softmaxTile(l, s2, rows, &m, &sum, &alpha)
			mm.check()
			if s2[3] != 0 {
				t.Errorf("%v: a masked score gives %v", l, s2[3])
			}
			for i := range lanes {
				top, want := math.Inf(-1), 0.0
				for r := range rows {
					top = max(top, float64(in1[r*lanes+i]), float64(in2[r*lanes+i]))
				}
				for r := range rows {
					p1, p2 := math.Exp2(float64(in1[r*lanes+i])-top), math.Exp2(float64(in2[r*lanes+i])-top)
					want += p1 + p2
					// The first tile is relative to the maximum of its time; x - m rounds.
					for _, c := range [][2]float64{{float64(s1[r*tileQ+i]) * float64(alpha[i]), p1}, {float64(s2[r*tileQ+i]), p2}} {
						if math.Abs(c[0]-c[1]) > (8+60)*unit*c[1]+1e-37 {
							t.Fatalf("%v: %v, want %v", l, c[0], c[1])
						}
					}
				}
				near(t, "sum", sum[i:][:1], []float64{want}, []float64{float64(rows+80) * unit * want})
				near(t, "m", m[i:][:1], []float64{top}, []float64{0})
			}
		}
	}
}

// 2^x as the tiles compute it: within 2 ulp, and 0 for what is below 2^-127.
func TestExp2Accuracy(t *testing.T) {
	x := append(floatsOver(-126, 20, 1<<16), make([]float32, 16)...)
	inf := float32(math.Inf(1))
	copy(x[1<<16:], []float32{-inf, -200, -127.1, -1e30, 0, 1, -1, -125.99, junk})
	for l := portable; l <= detect(); l++ {
		var zero [lanes]float32
		worst := 0.0
		for o := 0; o < len(x); o += lanes {
			s, dp := make([]float32, tileQ), make([]float32, tileQ)
			copy(s, x[o:o+lanes])
			gradTile(l, s, dp, 1, &zero, &zero, 1)
			for i, v := range x[o : o+lanes] {
				want := math.Exp2(float64(v))
				switch {
				case v != v:
					if s[i] == s[i] {
						t.Errorf("%v: 2^NaN = %v", l, s[i])
					}
				case want < 1.1e-38:
					if s[i] != 0 {
						t.Errorf("%v: 2^%v = %v", l, v, s[i])
					}
				default:
					worst = max(worst, ulps(s[i], want))
				}
			}
		}
		t.Logf("%v: exp2 is within %.2f ulp", l, worst)
		if worst > 2 {
			t.Errorf("%v: exp2 is off by %v ulp", l, worst)
		}
	}
}

func TestGradTile(t *testing.T) {
	for l := portable; l <= detect(); l++ {
		for rows := 1; rows <= 64; rows += 1 + rows/5 {
			m := newMem(t, uint64(rows))
			s, dp := m.matrix(rows, tileQ, lanes, 3), m.matrix(rows, tileQ, lanes, 1)
			lse, delta := m.vec(lanes, 2), m.vec(lanes, 1)
			x, y := dense(s, rows, tileQ, lanes), dense(dp, rows, tileQ, lanes)
			gradTile(l, s, dp, rows, (*[lanes]float32)(lse), (*[lanes]float32)(delta), 0.25)
			m.check()
			for i := range x {
				r, c := i/lanes, i%lanes
				e := float64(x[i]) - float64(lse[c])
				p, g := math.Exp2(e), float64(y[i])-float64(delta[c])
				rel := (6 + math.Abs(e)) * unit
				near(t, "p", s[r*tileQ+c:][:1], []float64{p}, []float64{rel * p})
				near(t, "ds", dp[r*tileQ+c:][:1], []float64{p * g / 4}, []float64{p * ((rel+3*unit)*math.Abs(g) + unit*math.Abs(g)) / 4})
			}
		}
	}
}

func TestRowDotsAndTranspose(t *testing.T) {
	for l := portable; l <= detect(); l++ {
		for i := range 60 {
			m := newMem(t, uint64(i))
			rows, n := 1+m.rng.IntN(tileQ), 1+m.rng.IntN(40)
			if i%2 == 0 {
				rows, n = (rows+7)&^7, 8*(1+n/8)
			}
			ldx, ldy := n+m.rng.IntN(4), n+m.rng.IntN(4)
			x, y, out := m.matrix(rows, ldx, n, 1), m.matrix(rows, ldy, n, 1), m.vec(rows, 0)
			rowDots(l, out, x, ldx, y, ldy, rows, n)
			tr := m.vec(n*tileQ, 0)
			transpose(l, tr, x, ldx, rows, n, 1.5)
			m.check()
			for r := range rows {
				a, b := rows64(x[r*ldx:], 1, n, n), rows64(y[r*ldy:], 1, n, n)
				size := 0.0
				for i := range a {
					size += math.Abs(a[i] * b[i])
				}
				near(t, "dot", out[r:][:1], []float64{dot64(a, b)}, []float64{float64(n) * unit * size})
			}
			for c := range n {
				for r := range tileQ {
					want := float32(0)
					if r < rows {
						want = x[r*ldx+c] * 1.5
					}
					if tr[c*tileQ+r] != want {
						t.Fatalf("%v: transpose of [%d,%d] at %d, %d: %v, want %v", l, rows, n, r, c, tr[c*tileQ+r], want)
					}
				}
			}
		}
	}
}
