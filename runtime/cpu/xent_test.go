package cpu

import (
	"math"
	"math/rand/v2"
	"testing"
)

// xent64 is the mean cross-entropy, and its gradient with respect to logits.
func xent64(logits []float64, targets []int32, vocab int) (loss float64, grad []float64) {
	grad = make([]float64, len(logits))
	n := 0.0
	for _, id := range targets {
		if id >= 0 {
			n++
		}
	}
	for r, id := range targets {
		if id < 0 {
			continue
		}
		x := logits[r*vocab : (r+1)*vocab]
		top, sum := math.Inf(-1), 0.0
		for _, v := range x {
			top = max(top, v)
		}
		for _, v := range x {
			sum += math.Exp(v - top)
		}
		loss += (math.Log(sum) + top - x[id]) / n
		for i, v := range x {
			grad[r*vocab+i] = math.Exp(v-top) / sum / n
		}
		grad[r*vocab+int(id)] -= 1 / n
	}
	return loss, grad
}

func randTargets(rng *rand.Rand, rows, vocab int) []int32 {
	ids := make([]int32, rows)
	for i := range ids {
		ids[i] = int32(rng.IntN(vocab))
		if rng.IntN(5) == 0 {
			ids[i] = -1 - int32(rng.IntN(100))
		}
	}
	return ids
}

func TestCrossEntropy(t *testing.T) {
	for n, s := range [][2]int{{1, 1}, {7, 3}, {65, 130}, {3, 5000}, {600, 10}} {
		rows, vocab := s[0], s[1]
		onDevices(t, uint64(n), func(t *testing.T, d *Device, m *mem, compare bool) [][]float32 {
			x, g := m.vec(rows*vocab, 3), m.vec(rows*vocab, 0)
			targets := randTargets(m.rng, rows, vocab)
			loss := d.CrossEntropy(x, targets, rows, vocab)
			d.CrossEntropyGrad(g, x, targets, rows, vocab, 0.7)
			if compare {
				want, grad := xent64(rows64(x, rows, vocab, vocab), targets, vocab)
				near(t, "loss", []float32{loss}, []float64{want}, []float64{2*unit*want + sumErr(vocab)})
				for i := range grad {
					grad[i] *= 0.7
				}
				near(t, "grad", g, grad, relTol(grad, sumErr(vocab)+unit*100, unit/float64(rows)*4))
			}
			d.CrossEntropyGrad(x, x, targets, rows, vocab, 0.7)
			equalBits(t, "in place", x, g)
			return [][]float32{{loss}, g}
		})
	}
}

func TestLinearXent(t *testing.T) {
	for n, s := range [][3]int{{1, 1, 1}, {7, 33, 16}, {130, 65, 24}, {1100, 12, 8}, {70, 2100, 3}} {
		rows, vocab, dim := s[0], s[1], s[2]
		onDevices(t, uint64(n), func(t *testing.T, d *Device, m *mem, compare bool) [][]float32 {
			x, w := m.vec(rows*dim, 1), m.vec(vocab*dim, 1)
			targets := randTargets(m.rng, rows, vocab)
			dx, dw, dw2 := m.vec(rows*dim, 0), m.vec(vocab*dim, 0), m.vec(vocab*dim, 1)
			before := append([]float32(nil), dw2...)
			loss := d.LinearXent(x, w, targets, rows, vocab, dim)
			if l := d.LinearXentGrad(dx, dw, x, w, targets, rows, vocab, dim, Overwrite); l != loss {
				t.Errorf("loss with gradients %v, without %v", l, loss)
			}
			if compare {
				compareLinearXent(t, loss, dx, dw, x, w, targets, rows, vocab, dim)
			}
			xx := append([]float32(nil), x...)
			d.LinearXentGrad(xx, dw2, xx, w, targets, rows, vocab, dim, Accumulate)
			equalBits(t, "dx as x", xx, dx)
			for i := range dw2 {
				// Chunks are added one by one, so each may round.
				want, size := before[i]+dw[i], math.Abs(float64(before[i]))+math.Abs(float64(dw[i]))
				if e := math.Abs(float64(dw2[i]) - float64(want)); e > 16*unit*(size+1) {
					t.Fatalf("accumulated dw %d is %v, want %v", i, dw2[i], want)
				}
			}
			return [][]float32{{loss}, dx, dw, dw2}
		})
	}
}

func compareLinearXent(t *testing.T, loss float32, dx, dw, x, w []float32, targets []int32, rows, vocab, dim int) {
	x64, w64 := rows64(x, rows, dim, dim), rows64(w, vocab, dim, dim)
	logits := make([]float64, rows*vocab)
	size := 0.0 // bounds the error of a logit
	for r := range rows {
		for v := range vocab {
			xr, wv := x64[r*dim:(r+1)*dim], w64[v*dim:(v+1)*dim]
			logits[r*vocab+v] = dot64(xr, wv)
			mag := 0.0
			for i := range xr {
				mag += math.Abs(xr[i] * wv[i])
			}
			size = max(size, mag)
		}
	}
	want, g := xent64(logits, targets, vocab)
	rel := 2*float64(dim)*unit*size + sumErr(vocab) + 8*unit
	near(t, "loss", []float32{loss}, []float64{want}, []float64{rel + 2*unit*want})
	n := 0
	for _, id := range targets {
		if id >= 0 {
			n++
		}
	}
	gx, gw := make([]float64, rows*dim), make([]float64, vocab*dim)
	tx, tw := make([]float64, rows*dim), make([]float64, vocab*dim)
	for r := range rows {
		for v := range vocab {
			e := math.Abs(g[r*vocab+v]) * (rel + float64(rows+vocab)*unit)
			if int(targets[r]) == v { // 1 - p: the error is that of p
				e = rel / float64(n)
			}
			for i := range dim {
				gx[r*dim+i] += g[r*vocab+v] * w64[v*dim+i]
				gw[v*dim+i] += g[r*vocab+v] * x64[r*dim+i]
				tx[r*dim+i] += e * math.Abs(w64[v*dim+i])
				tw[v*dim+i] += e * math.Abs(x64[r*dim+i])
			}
		}
	}
	near(t, "dx", dx, gx, tx)
	near(t, "dw", dw, gw, tw)
}

func TestCrossEntropyReference(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	x, targets := randn(rng, 3*7, 1), []int32{2, -1, 6}
	_, g := xent64(x, targets, 7)
	gradCheck(t, "logits", func() float64 { l, _ := xent64(x, targets, 7); return l }, x, g)
}

// No counted target: loss 0 and gradients 0. A huge logit does not overflow.
func TestLinearXentEdges(t *testing.T) {
	d := New(1)
	defer d.Close()
	x, w, dx, dw := []float32{1, 2}, []float32{3, 4, 5, 6}, []float32{9, 9}, []float32{9, 9, 9, 9}
	if l := d.LinearXentGrad(dx, dw, x, w, []int32{-1}, 1, 2, 2, Overwrite); l != 0 {
		t.Errorf("loss %v without targets", l)
	}
	for _, v := range append(dx, dw...) {
		if v != 0 {
			t.Errorf("gradient %v without targets", v)
		}
	}
	dw[0] = 9
	if l := d.LinearXentGrad(nil, dw, nil, w, nil, 0, 2, 2, Overwrite); l != 0 || dw[0] != 0 {
		t.Errorf("no rows: loss %v, dw %v", l, dw)
	}
	if l := d.CrossEntropy([]float32{3e38, -3e38}, []int32{0}, 1, 2); l != 0 {
		t.Errorf("loss %v for a certain answer", l)
	}
	logits := []float32{1, junk, 2}
	if l := d.CrossEntropy(logits, []int32{0}, 1, 3); l == l {
		t.Errorf("loss %v of NaN logits", l)
	}
}

func TestLinearXentAllocs(t *testing.T) {
	d := New(2)
	defer d.Close()
	m := newMem(t, 1)
	x, w, dx, dw := m.vec(70*8, 1), m.vec(50*8, 1), m.vec(70*8, 1), m.vec(50*8, 1)
	ids := randTargets(m.rng, 70, 50)
	noAllocs(t, "LinearXent", func() { d.LinearXent(x, w, ids, 70, 50, 8) })
	noAllocs(t, "LinearXentGrad", func() { d.LinearXentGrad(dx, dw, x, w, ids, 70, 50, 8, Overwrite) })
	noAllocs(t, "CrossEntropy", func() { d.CrossEntropy(x, ids, 11, 50) })
	noAllocs(t, "CrossEntropyGrad", func() { d.CrossEntropyGrad(dx, x, ids, 11, 50, 1) })
}
