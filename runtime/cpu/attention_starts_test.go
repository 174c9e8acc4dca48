package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// starts draws packed documents of about so many tokens, the first of them cut
// by the beginning of the row. Sequence 0 has a document that begins at the
// first key of the second tile, where there is one.
func (c attnCase) starts(rng *rand.Rand, about int) []int32 {
	s := make([]int32, c.batch*c.T)
	for b := range c.batch {
		from := 0
		for t := range c.T {
			if rng.IntN(about) == 0 || b == 0 && t == tileK {
				from = t
			}
			s[b*c.T+t] = int32(from)
		}
	}
	return s
}

func (c attnCase) forwardFrom(d *Device, x attnOperands, o, lse []float32, starts []int32) {
	d.AttentionStarts(o, lse, x.q, x.ldq, x.k, x.ldk, x.v, x.ldv, c.batch, c.T, c.heads, c.kvHeads, c.hd, c.scale(), c.causal, c.window, starts)
}

func (c attnCase) backwardFrom(d *Device, g, x attnOperands, do, o, lse []float32, starts []int32) {
	d.AttentionStartsGrad(g.q, g.ldq, g.k, g.ldk, g.v, g.ldv, do, o, lse, x.q, x.ldq, x.k, x.ldk, x.v, x.ldv,
		c.batch, c.T, c.heads, c.kvHeads, c.hd, c.scale(), c.causal, c.window, starts)
}

// With starts, all cases of TestAttention: documents shorter and longer than
// tiles, and starts that do not rise, which no packing makes.
func TestAttentionStarts(t *testing.T) {
	for n, c := range attnCases {
		for _, about := range []int{3, 40, 150, -1} {
			t.Run(fmt.Sprintf("%v_docs%d", c, about), func(t *testing.T) {
				onDevices(t, uint64(n), func(t *testing.T, d *Device, m *mem, compare bool) [][]float32 {
					var starts []int32
					if about > 0 {
						starts = c.starts(m.rng, about)
					} else { // any key that the query sees may be its first
						for i := range c.batch * c.T {
							at := i % c.T
							if c.window > 0 {
								at -= m.rng.IntN(min(c.window, at+1))
							} else {
								at = m.rng.IntN(at + 1)
							}
							starts = append(starts, int32(at))
						}
					}
					return c.check(t, d, m, compare, starts)
				})
			})
		}
	}
}

// A document that begins where a tile begins computes the bits that it would
// compute alone, and starts of 0 those of no starts at all.
func TestAttentionStartsAlone(t *testing.T) {
	onDevices(t, 1, func(t *testing.T, d *Device, m *mem, compare bool) [][]float32 {
		c := attnCase{1, 2*tileK + 37, 2, 1, 16, true, 0, false}
		x := c.operands(m, 1.5)
		wq := c.heads * c.hd
		starts := make([]int32, c.T)
		o, lse := m.vec(c.T*wq, 0), m.vec(c.heads*c.T, 0)
		want, wantLSE := m.vec(c.T*wq, 0), m.vec(c.heads*c.T, 0)
		c.forward(d, x, want, wantLSE)
		c.forwardFrom(d, x, o, lse, starts)
		equalBits(t, "o from 0", o, want)
		equalBits(t, "lse from 0", lse, wantLSE)
		for i := range starts[tileK:] {
			starts[tileK+i] = tileK
		}
		c.forwardFrom(d, x, o, lse, starts)
		alone, y := c, x
		alone.T -= tileK
		y.q, y.k, y.v = x.q[tileK*x.ldq:], x.k[tileK*x.ldk:], x.v[tileK*x.ldv:]
		alone.forward(d, y, want[:alone.T*wq], wantLSE[:alone.heads*alone.T])
		equalBits(t, "o of the second document", o[tileK*wq:], want[:alone.T*wq])
		return [][]float32{o}
	})
}

// Blocks of keys wholly before the first start of a block of queries are not
// visited: four documents of one tile each visit four tiles and not ten, and
// what is not visited is not read, forward or backward.
func TestAttentionStartsBlocks(t *testing.T) {
	d := New(2)
	defer d.Close()
	for _, c := range []struct {
		n, document int // tiles of a sequence, tokens of a document
		window      int
		want        int64
	}{
		{4, 4 * tileK, 0, 10}, {4, tileK, 0, 4}, {4, 2 * tileK, 0, 6}, {4, tileK / 2, 0, 4}, {4, 10, 0, 7}, {4, tileK + 1, 0, 7}, {4, 2 * tileK, 1, 4},
	} {
		T, heads, hd := c.n*tileQ, 3, 16
		starts := make([]int32, 2*T)
		for i := range starts {
			starts[i] = int32(i % T / c.document * c.document)
		}
		q := make([]float32, 2*T*heads*hd)
		o, lse := make([]float32, len(q)), make([]float32, 2*heads*T)
		d.Stats()
		d.AttentionStarts(o, lse, q, heads*hd, q, heads*hd, q, heads*hd, 2, T, heads, heads, hd, 1, true, c.window, starts)
		if got := d.Stats().AttentionBlocks; got != c.want*2*int64(heads) {
			t.Errorf("%+v: %d blocks, want %d", c, got, c.want*2*int64(heads))
		}
	}
	for l := portable; l <= detect(); l++ {
		d := New(2)
		d.isa = l
		c := attnCase{1, 4 * tileK, 2, 1, 32, true, 0, false}
		m := newMem(t, 5)
		x, g := c.operands(m, 1), c.operands(m, 0)
		starts := make([]int32, c.T)
		for r := range c.T {
			starts[r] = int32(r / (2 * tileK) * (2 * tileK))
			for i := range c.hd {
				if r < 2*tileK {
					x.k[r*x.ldk+i], x.v[r*x.ldv+i] = junk, junk
				}
			}
		}
		wq := c.heads * c.hd
		o, lse := m.vec(c.T*wq, 0), m.vec(c.heads*c.T, 0)
		c.forwardFrom(d, x, o, lse, starts)
		c.backwardFrom(d, g, x, m.vec(c.T*wq, 1), o, lse, starts)
		for what, out := range map[string][]float32{"o": o[2*tileK*wq:], "dq": dense(g.q[2*tileQ*g.ldq:], 2*tileQ, g.ldq, wq),
			"dk": dense(g.k[2*tileQ*g.ldk:], 2*tileQ, g.ldk, c.hd), "dv": dense(g.v[2*tileQ*g.ldv:], 2*tileQ, g.ldv, c.hd)} {
			for i, v := range out {
				if v != v {
					t.Fatalf("%v: %s of the second document: element %d is NaN", l, what, i)
				}
			}
		}
		d.Close()
	}
}

// A query whose start lies behind itself sees no key: zeros, minus infinity,
// and no gradient goes through it.
func TestAttentionStartsBlind(t *testing.T) {
	for _, c := range []attnCase{{1, 3 * tileK, 2, 1, 16, true, 0, false}, {1, 70, 1, 1, 10, false, 0, false}} {
		onDevices(t, 1, func(t *testing.T, d *Device, m *mem, compare bool) [][]float32 {
			x, g := c.operands(m, 1), c.operands(m, 0)
			starts := make([]int32, c.T)
			blind := func(r int) bool { return r == 3 || r >= tileQ && r < 2*tileQ }
			for r := range starts {
				if blind(r) {
					starts[r] = int32(c.T + 5)
				}
			}
			wq := c.heads * c.hd
			o, lse, do := m.vec(c.T*wq, 0), m.vec(c.heads*c.T, 0), m.vec(c.T*wq, 1)
			c.forwardFrom(d, x, o, lse, starts)
			c.backwardFrom(d, g, x, do, o, lse, starts)
			dq := dense(g.q, c.T, g.ldq, wq)
			for i := range o {
				r := i / wq
				if zero := o[i] == 0 && dq[i] == 0; zero != blind(r) && r > 0 || o[i] != o[i] || dq[i] != dq[i] {
					t.Fatalf("row %d: o %v, dq %v", r, o[i], dq[i])
				}
			}
			for i, l := range lse {
				if math.IsInf(float64(l), -1) != blind(i%c.T) {
					t.Fatalf("row %d: lse %v", i%c.T, l)
				}
			}
			for _, out := range [][]float32{dense(g.k, c.T, g.ldk, c.kvHeads*c.hd), dense(g.v, c.T, g.ldv, c.kvHeads*c.hd)} {
				for i, v := range out {
					if v-v != 0 {
						t.Fatalf("gradient of key or value %d is %v", i, v)
					}
				}
			}
			return [][]float32{o, dq}
		})
	}
}

func TestAttentionStartsAllocs(t *testing.T) {
	d := New(2)
	defer d.Close()
	c := attnCase{2, 130, 4, 2, 16, true, 0, true}
	m := newMem(t, 1)
	x, g := c.operands(m, 1), c.operands(m, 0)
	n := c.batch * c.T * c.heads
	o, lse, do, starts := m.vec(n*c.hd, 0), m.vec(n, 0), m.vec(n*c.hd, 1), c.starts(m.rng, 20)
	noAllocs(t, "AttentionStarts", func() { c.forwardFrom(d, x, o, lse, starts) })
	noAllocs(t, "AttentionStartsGrad", func() { c.backwardFrom(d, g, x, do, o, lse, starts) })
}
