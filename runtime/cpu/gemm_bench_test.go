package cpu

import (
	"fmt"
	"testing"
)

// BenchmarkGemm runs the products of layers of the given rows, inputs and
// outputs: y (NT), dx (NN) and dw (TN).
func BenchmarkGemm(b *testing.B) {
	for _, s := range []struct{ rows, in, out int }{
		{512, 2048, 2048}, {2048, 256, 768}, {2048, 256, 1024}, {2048, 1024, 256}, {512, 64, 172},
	} {
		x, y, w := make([]float32, s.rows*s.in), make([]float32, s.rows*s.out), make([]float32, s.out*s.in)
		fill(x)
		fill(y)
		fill(w)
		for _, f := range forms[:3] {
			for _, workers := range []int{1, 2} {
				b.Run(fmt.Sprintf("%dx%dx%d/%s/workers=%d", s.rows, s.in, s.out, f.name, workers), func(b *testing.B) {
					d := New(workers)
					defer d.Close()
					for b.Loop() {
						switch f.name {
						case "NT":
							d.Linear(y, s.out, x, s.in, w, s.rows, s.out, s.in)
						case "NN":
							d.LinearGradX(x, s.in, y, s.out, w, s.rows, s.out, s.in, Overwrite)
						case "TN":
							d.LinearGradW(w, y, s.out, x, s.in, s.rows, s.out, s.in, Overwrite)
						}
					}
					flops := 2 * float64(s.rows) * float64(s.in) * float64(s.out) * float64(b.N)
					b.ReportMetric(flops/b.Elapsed().Seconds()/1e9, "GFLOP/s")
				})
			}
		}
	}
}

// fill makes values so small that products of products stay finite.
func fill(x []float32) {
	for i := range x {
		x[i] = float32(i%7)*0x1p-9 - 0x1p-8
	}
}

// BenchmarkLinearRows decodes: bytes are those of the weight, 64 MiB, which
// no cache holds.
func BenchmarkLinearRows(b *testing.B) {
	const in, out = 4096, 4096
	w := make([]float32, in*out)
	fill(w)
	for _, rows := range []int{1, 2, 4, 8, 16} {
		x, y := make([]float32, rows*in), make([]float32, rows*out)
		fill(x)
		for _, workers := range []int{1, 2} {
			b.Run(fmt.Sprintf("rows=%d/workers=%d", rows, workers), func(b *testing.B) {
				d := New(workers)
				defer d.Close()
				b.SetBytes(4 * in * out)
				for b.Loop() {
					d.Linear(y, out, x, in, w, rows, out, in)
				}
			})
		}
	}
}

func BenchmarkAdamW(b *testing.B) {
	const n = 8 << 20
	p, g, m, v := make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)
	fill(g)
	d := New(0)
	defer d.Close()
	b.SetBytes(7 * 4 * n) // four read, three written
	for b.Loop() {
		d.AdamW(p, g, m, v, AdamWStep{LR: 1e-3, Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, GradScale: 1, Step: 10})
	}
}

func BenchmarkSumSquares(b *testing.B) {
	x := make([]float32, 16<<20)
	fill(x)
	d := New(0)
	defer d.Close()
	b.SetBytes(int64(4 * len(x)))
	for b.Loop() {
		d.SumSquares(x)
	}
}
