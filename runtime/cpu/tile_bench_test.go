package cpu

import (
	"fmt"
	"testing"
)

func BenchmarkTileMul(b *testing.B) {
	m := newMem(b, 1)
	for l := avx2; l <= detect(); l++ {
		for _, s := range []struct{ m, n, k, ars, aks, ldb int }{
			{64, 64, 32, 768, 1, 64}, {64, 32, 64, 1, 64, 768}, {64, 32, 64, 64, 1, 768},
			{64, 64, 64, 1536, 1, 64}, {64, 64, 64, 1, 64, 1536}, {64, 64, 64, 64, 1, 1536}, {64, 128, 64, 1, 64, 1536}, {64, 64, 128, 1536, 1, 64}, {16, 64, 32, 768, 1, 64}, {16, 16, 32, 768, 1, 64},
		} {
			a, bb, c := m.vec(64*max(s.ars, s.aks)+200, 1), m.vec(128*s.ldb+200, 1), m.vec(64*128, 1)
			b.Run(fmt.Sprintf("%v/%v", l, s), func(b *testing.B) {
				for b.Loop() {
					tileMul(l, c, s.n, a, s.ars, s.aks, bb, s.ldb, s.m, s.n, s.k, false)
				}
				b.ReportMetric(2*float64(s.m*s.n*s.k)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}
