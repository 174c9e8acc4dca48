package cpu

import (
	"fmt"
	"testing"
)

var benchAttention = []attnCase{
	{8, 256, 8, 8, 32, true, 0, true},
	{2, 1024, 8, 8, 64, true, 0, true},
	{1, 2048, 8, 2, 128, true, 0, true},
}

// BenchmarkAttention counts the FLOPs of pairs that a causal mask lets see each
// other: 4·hd forward and 10·hd backward, the recomputed scores included.
func BenchmarkAttention(b *testing.B) {
	for l := portable; l <= detect(); l++ {
		for _, workers := range []int{1, 2} {
			for _, c := range benchAttention {
				pairs := float64(c.batch*c.heads) * float64(c.T) * float64(c.T+1) / 2
				d := New(workers)
				d.isa = l
				m := newMem(b, 1)
				x, g := c.operands(m, 1), c.operands(m, 0)
				n := c.batch * c.T * c.heads
				o, lse, do := m.vec(n*c.hd, 0), m.vec(n, 0), m.vec(n*c.hd, 1)
				name := fmt.Sprintf("%v/workers%d/B%d_T%d_h%d_hd%d", l, workers, c.batch, c.T, c.heads, c.hd)
				b.Run("forward/"+name, func(b *testing.B) {
					for b.Loop() {
						c.forward(d, x, o, lse)
					}
					b.ReportMetric(pairs*4*float64(c.hd)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
				})
				b.Run("backward/"+name, func(b *testing.B) {
					for b.Loop() {
						c.backward(d, g, x, do, o, lse)
					}
					b.ReportMetric(pairs*10*float64(c.hd)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
				})
				d.Close()
			}
		}
	}
}

// BenchmarkAttentionStarts is BenchmarkAttention with two workers over packed
// documents of an eighth of the sequence, beside the plain mask; no FLOPs are
// counted, since what is to be seen is how much is left of the time.
func BenchmarkAttentionStarts(b *testing.B) {
	for _, c := range benchAttention {
		d := New(2)
		m := newMem(b, 1)
		x, g := c.operands(m, 1), c.operands(m, 0)
		n := c.batch * c.T * c.heads
		o, lse, do := m.vec(n*c.hd, 0), m.vec(n, 0), m.vec(n*c.hd, 1)
		packed := make([]int32, c.batch*c.T)
		for i := range packed {
			packed[i] = int32(i % c.T / (c.T / 8) * (c.T / 8))
		}
		for what, starts := range map[string][]int32{"plain": nil, "packed": packed} {
			b.Run(fmt.Sprintf("%s/B%d_T%d_h%d_hd%d", what, c.batch, c.T, c.heads, c.hd), func(b *testing.B) {
				for b.Loop() {
					c.forwardFrom(d, x, o, lse, starts)
					c.backwardFrom(d, g, x, do, o, lse, starts)
				}
			})
		}
		d.Close()
	}
}

// BenchmarkRows reports the bytes that a kernel reads and writes, once each.
func BenchmarkRows(b *testing.B) {
	for l := portable; l <= detect(); l++ {
		for _, workers := range []int{1, 2} {
			d := New(workers)
			d.isa = l
			m := newMem(b, 1)
			const rows, dim, f, vocab = 2048, 256, 768, 4096
			x, y, z, w, dw := m.vec(rows*dim, 1), m.vec(rows*dim, 1), m.vec(rows*dim, 1), m.vec(dim, 1), m.vec(dim, 1)
			gu, h, dgu := m.vec(rows*2*f, 1), m.vec(rows*f, 1), m.vec(rows*2*f, 1)
			cos := m.vec(256*16, 1)
			logits, ids := m.vec(256*vocab, 1), make([]int32, rows)
			big, big2 := m.vec(1<<24, 1), m.vec(1<<24, 1)
			for _, k := range []struct {
				name  string
				bytes int
				run   func()
			}{
				{"RMSNorm", 8 * rows * dim, func() { d.RMSNorm(y, x, dim, w, rows, dim, 1e-5) }},
				{"AddRMSNorm", 16 * rows * dim, func() { d.AddRMSNorm(y, z, x, x, w, rows, dim, 1e-5) }},
				{"RMSNormGrad", 16 * rows * dim, func() { d.RMSNormGrad(z, dw, y, x, dim, w, y, rows, dim, 1e-5, Overwrite) }},
				{"SwiGLU", 12 * rows * f, func() { d.SwiGLU(h, gu, 2*f, gu[f:], 2*f, rows, f) }},
				{"SwiGLUGrad", 20 * rows * f, func() { d.SwiGLUGrad(dgu, 2*f, dgu[f:], 2*f, h, gu, 2*f, gu[f:], 2*f, rows, f) }},
				{"SwiGLUOfDRAM", 12 << 22, func() { d.SwiGLU(big[:1<<22], big2, 2<<22, big2[1<<22:], 2<<22, 1, 1<<22) }},
				{"RopePairs", 8 * rows * dim, func() { d.Rope(y, dim, x, dim, cos, cos, rows, 256, 8, 32, false, false) }},
				{"RopeHalf", 8 * rows * dim, func() { d.Rope(y, dim, x, dim, cos, cos, rows, 256, 8, 32, true, false) }},
				{"CrossEntropyGrad", 8 * 256 * vocab, func() { d.CrossEntropyGrad(logits, logits, ids, 256, vocab, 1) }},
				{"Add", 12 << 24, func() { d.Add(big, big, big2) }},
				{"EmbeddingGrad", 4 * (3*rows*dim + vocab*dim), func() { d.EmbeddingGrad(logits, ids, x, rows, dim, 256, Overwrite) }},
			} {
				b.Run(fmt.Sprintf("%s/%v/workers%d", k.name, l, workers), func(b *testing.B) {
					b.SetBytes(int64(k.bytes))
					for b.Loop() {
						k.run()
					}
				})
			}
			d.Close()
		}
	}
}

// BenchmarkAttentionKV decodes one token of each of eight sequences, at the end
// of a long context, and fills a prompt.
func BenchmarkAttentionKV(b *testing.B) {
	for l := portable; l <= detect(); l++ {
		for _, workers := range []int{1, 2} {
			d := New(workers)
			d.isa = l
			m := newMem(b, 1)
			const seqs, heads, kvHeads, hd, block, context = 8, 8, 4, 64, 16, 2048
			c := newKVBatch(m, seqs, heads, kvHeads, hd, block, context/block)
			for i := range c.cache {
				c.cache[i] = float32(i%17) / 17
			}
			q, o := m.vec(512*heads*hd, 1), m.vec(512*heads*hd, 0)
			var pos, seq, pos1, seq1 []int32
			for i := range seqs {
				pos, seq = append(pos, context-1), append(seq, int32(i))
			}
			for i := range 512 {
				pos1, seq1 = append(pos1, int32(i)), append(seq1, 0)
			}
			b.Run(fmt.Sprintf("decode/%v/workers%d", l, workers), func(b *testing.B) {
				b.SetBytes(seqs * context * 2 * kvHeads * hd * 4)
				for b.Loop() {
					d.AttentionKV(o, q, heads*hd, c.cache, seqs, heads, kvHeads, hd, block, pos, seq, c.table, context/block, 0.125, 0)
				}
			})
			b.Run(fmt.Sprintf("prompt/%v/workers%d", l, workers), func(b *testing.B) {
				for b.Loop() {
					d.AttentionKV(o, q, heads*hd, c.cache, 512, heads, kvHeads, hd, block, pos1, seq1, c.table, context/block, 0.125, 0)
				}
				b.ReportMetric(heads*512*513/2*4*hd*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
			d.Close()
		}
	}
}

// BenchmarkLinearXentGrad counts the FLOPs of its three matrix products.
func BenchmarkLinearXentGrad(b *testing.B) {
	for _, workers := range []int{1, 2} {
		d := New(workers)
		m := newMem(b, 1)
		const rows, dim, vocab = 2048, 256, 4096
		x, w, dx, dw := m.vec(rows*dim, 0.1), m.vec(vocab*dim, 0.1), m.vec(rows*dim, 1), m.vec(vocab*dim, 1)
		ids := randTargets(m.rng, rows, vocab)
		b.Run(fmt.Sprintf("workers%d", workers), func(b *testing.B) {
			for b.Loop() {
				d.LinearXentGrad(dx, dw, x, w, ids, rows, vocab, dim, Overwrite)
			}
			b.ReportMetric(3*2*rows*dim*vocab*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
		d.Close()
	}
}
