package cpu

import (
	"math"
	"testing"
)

// kvBatch is a ragged batch: sequences of several lengths, whose tokens arrive
// in the given order, in a cache of blocks scattered at random.
type kvBatch struct {
	heads, kvHeads, hd, block, maxBlocks int
	table                                []int32
	cache                                []float32
}

func newKVBatch(m *mem, seqs, heads, kvHeads, hd, block, maxBlocks int) *kvBatch {
	blocks := seqs*maxBlocks + 2
	c := &kvBatch{heads: heads, kvHeads: kvHeads, hd: hd, block: block, maxBlocks: maxBlocks}
	c.cache = m.vec(blocks*2*kvHeads*block*hd, 0) // junk: rows not written must not be read
	for _, id := range m.rng.Perm(blocks)[:seqs*maxBlocks] {
		c.table = append(c.table, int32(id))
	}
	return c
}

func (c *kvBatch) run(d *Device, o []float32, x attnOperands, pos, seq []int32, scale float32, window int) {
	n := len(pos)
	d.KVWrite(c.cache, x.k, x.ldk, x.v, x.ldv, n, c.kvHeads, c.hd, c.block, pos, seq, c.table, c.maxBlocks)
	d.AttentionKV(o, x.q, x.ldq, c.cache, n, c.heads, c.kvHeads, c.hd, c.block, pos, seq, c.table, c.maxBlocks, scale, window)
}

// Sequences fed in pieces, interleaved, give what attention over the whole
// sequence gives.
func TestAttentionKV(t *testing.T) {
	for n, c := range []struct {
		T                         []int // length of each sequence
		pieces                    []int // tokens fed of each sequence, in turn
		heads, kvHeads, hd, block int
		window                    int
	}{
		{[]int{1}, []int{1}, 1, 1, 8, 16, 0},
		{[]int{7, 65, 20}, []int{3, 17, 1}, 4, 2, 16, 16, 0},
		{[]int{130, 5}, []int{130, 1}, 4, 1, 64, 32, 0},
		{[]int{70, 70}, []int{1, 40}, 2, 2, 10, 16, 9},
		{[]int{150}, []int{80}, 8, 1, 32, 64, 0},
		{[]int{40, 90}, []int{40, 90}, 2, 2, 128, 8, 33},
		{[]int{33}, []int{33}, 3, 3, 24, 7, 0},
	} {
		onDevices(t, uint64(n), func(t *testing.T, d *Device, m *mem, compare bool) [][]float32 {
			longest := 0
			for _, T := range c.T {
				longest = max(longest, T)
			}
			b := newKVBatch(m, len(c.T), c.heads, c.kvHeads, c.hd, c.block, (longest+c.block-1)/c.block)
			var full []attnOperands
			var cases []attnCase
			var outs [][]float32
			for _, T := range c.T {
				a := attnCase{1, T, c.heads, c.kvHeads, c.hd, true, c.window, true}
				full, cases, outs = append(full, a.operands(m, 1)), append(cases, a), append(outs, make([]float32, T*c.heads*c.hd))
			}
			scale, wq, wk := cases[0].scale(), c.heads*c.hd, c.kvHeads*c.hd
			fed := make([]int, len(c.T))
			for {
				var pos, seq []int32
				for s, T := range c.T {
					for range min(c.pieces[s], T-fed[s]) {
						pos, seq = append(pos, int32(fed[s])), append(seq, int32(s))
						fed[s]++
					}
				}
				if len(pos) == 0 {
					break
				}
				step := attnCase{1, len(pos), c.heads, c.kvHeads, c.hd, true, 0, true}
				x := step.operands(m, 0)
				for i := range pos {
					f, p := full[seq[i]], int(pos[i])
					copy(x.q[i*x.ldq:][:wq+2*wk], f.q[p*f.ldq:][:wq+2*wk])
				}
				o := m.vec(len(pos)*wq, 0)
				b.run(d, o, x, pos, seq, scale, c.window)
				for i := range pos {
					copy(outs[seq[i]][int(pos[i])*wq:], o[i*wq:(i+1)*wq])
				}
			}
			if compare {
				for s, a := range cases {
					want, _, tol, _ := a.reference(full[s]).forward()
					near(t, "o", outs[s], want, tol)
				}
			}
			return outs
		})
	}
}

// Two sequences whose tables begin with the same blocks read one prefix.
func TestAttentionKVSharedPrefix(t *testing.T) {
	for l := portable; l <= detect(); l++ {
		d := New(2)
		d.isa = l
		m := newMem(t, 9)
		const heads, kvHeads, hd, block, prefix = 4, 2, 16, 16, 32
		wq, wk := heads*hd, kvHeads*hd
		b := newKVBatch(m, 2, heads, kvHeads, hd, block, 5)
		copy(b.table[5:7], b.table[:2])
		a := attnCase{1, 50, heads, kvHeads, hd, true, 0, true}
		first, second := a.operands(m, 1), a.operands(m, 1)
		for r := range prefix {
			copy(second.q[r*second.ldq:][:wq+2*wk], first.q[r*first.ldq:][:wq+2*wk])
		}
		feed := func(x attnOperands, seq int32, from, to int) []float32 {
			var pos, seqs []int32
			for p := from; p < to; p++ {
				pos, seqs = append(pos, int32(p)), append(seqs, seq)
			}
			o := m.vec(len(pos)*wq, 0)
			x.q, x.k, x.v = x.q[from*x.ldq:], x.k[from*x.ldk:], x.v[from*x.ldv:]
			b.run(d, o, x, pos, seqs, a.scale(), 0)
			return o
		}
		o1 := feed(first, 0, 0, 50)
		o2 := feed(second, 1, prefix, 50) // the prefix is not fed again
		for i, x := range []attnOperands{first, second} {
			want, _, tol, _ := a.reference(x).forward()
			got := append(append([]float32(nil), o1[:prefix*wq]...), [][]float32{o1[prefix*wq:], o2}[i]...)
			near(t, "o", got, want, tol)
		}
		m.check()
		d.Close()
	}
}

func TestAttentionKVAllocs(t *testing.T) {
	d := New(2)
	defer d.Close()
	m := newMem(t, 1)
	b := newKVBatch(m, 1, 4, 2, 16, 16, 5)
	a := attnCase{1, 40, 4, 2, 16, true, 0, true}
	x, o := a.operands(m, 1), m.vec(40*64, 0)
	pos, seq := make([]int32, 40), make([]int32, 40)
	for i := range pos {
		pos[i] = int32(i)
	}
	noAllocs(t, "KVWrite, AttentionKV", func() { b.run(d, o, x, pos, seq, 0.25, 0) })
	for i, v := range o {
		if math.IsNaN(float64(v)) {
			t.Fatalf("o %d is NaN", i)
		}
	}
}
