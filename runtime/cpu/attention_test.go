package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

type attnCase struct {
	batch, T, heads, kvHeads, hd int
	causal                       bool
	window                       int
	packed                       bool // q, k, v are views of one buffer
}

func (c attnCase) String() string {
	return fmt.Sprintf("B%d_T%d_h%d_kv%d_hd%d_causal%v_w%d_packed%v", c.batch, c.T, c.heads, c.kvHeads, c.hd, c.causal, c.window, c.packed)
}

var attnCases = []attnCase{
	{1, 1, 1, 1, 16, true, 0, false},
	{2, 7, 2, 1, 8, true, 0, true},
	{1, 64, 2, 2, 16, true, 0, true},
	{2, 65, 4, 2, 16, true, 0, true},
	{1, 130, 4, 1, 64, true, 0, true},
	{1, 130, 2, 2, 8, true, 0, false},
	{2, 130, 2, 1, 32, false, 0, true},
	{1, 200, 2, 2, 48, true, 70, true},
	{1, 200, 4, 2, 16, true, 3, false},
	{1, 150, 2, 1, 24, false, 50, true},
	{4, 65, 1, 1, 128, true, 1, true},
	{2, 33, 4, 4, 10, false, 0, false},
}

// operands lays out q, k and v for a case.
type attnOperands struct {
	q, k, v       []float32
	ldq, ldk, ldv int
}

func (c attnCase) operands(m *mem, std float64) (o attnOperands) {
	rows, wq, wk := c.batch*c.T, c.heads*c.hd, c.kvHeads*c.hd
	if c.packed {
		ld := wq + 2*wk + 3
		x := m.matrix(rows, ld, wq+2*wk, std)
		return attnOperands{x, x[wq:], x[wq+wk:], ld, ld, ld}
	}
	o.ldq, o.ldk, o.ldv = wq+5, wk, wk+1
	o.q, o.k, o.v = m.matrix(rows, o.ldq, wq, std), m.matrix(rows, o.ldk, wk, std), m.matrix(rows, o.ldv, wk, std)
	return o
}

func (c attnCase) reference(x attnOperands) *attn64 {
	rows := c.batch * c.T
	return &attn64{
		batch: c.batch, T: c.T, heads: c.heads, kvHeads: c.kvHeads, hd: c.hd,
		scale: 1 / math.Sqrt(float64(c.hd)), causal: c.causal, window: c.window,
		q: rows64(x.q, rows, x.ldq, c.heads*c.hd), k: rows64(x.k, rows, x.ldk, c.kvHeads*c.hd), v: rows64(x.v, rows, x.ldv, c.kvHeads*c.hd),
	}
}

func (c attnCase) scale() float32 { return float32(1 / math.Sqrt(float64(c.hd))) }

func (c attnCase) forward(d *Device, x attnOperands, o, lse []float32) {
	d.Attention(o, lse, x.q, x.ldq, x.k, x.ldk, x.v, x.ldv, c.batch, c.T, c.heads, c.kvHeads, c.hd, c.scale(), c.causal, c.window)
}

func (c attnCase) backward(d *Device, g, x attnOperands, do, o, lse []float32) {
	d.AttentionGrad(g.q, g.ldq, g.k, g.ldk, g.v, g.ldv, do, o, lse, x.q, x.ldq, x.k, x.ldk, x.v, x.ldv,
		c.batch, c.T, c.heads, c.kvHeads, c.hd, c.scale(), c.causal, c.window)
}

// check runs forward and backward, holds them to the reference if compare, and
// gives all results. starts may be nil.
func (c attnCase) check(t *testing.T, d *Device, m *mem, compare bool, starts []int32) [][]float32 {
	rows, wq, wk := c.batch*c.T, c.heads*c.hd, c.kvHeads*c.hd
	x := c.operands(m, 1.5)
	o, lse := m.matrix(rows, wq, wq, 0), m.vec(c.batch*c.heads*c.T, 0)
	g, do := c.operands(m, 0), m.matrix(rows, wq, wq, 1)
	if starts == nil {
		c.forward(d, x, o, lse)
		c.backward(d, g, x, do, o, lse)
	} else {
		c.forwardFrom(d, x, o, lse, starts)
		c.backwardFrom(d, g, x, do, o, lse, starts)
	}
	dq, dk, dv := dense(g.q, rows, g.ldq, wq), dense(g.k, rows, g.ldk, wk), dense(g.v, rows, g.ldv, wk)
	if compare {
		ref := c.reference(x)
		ref.starts = starts
		wantO, wantL, tolO, tolL := ref.forward()
		near(t, "o", o, wantO, tolO)
		near(t, "lse", lse, wantL, tolL)
		grads, tol := ref.backward(rows64(do, rows, wq, wq))
		near(t, "dq", dq, grads[0], tol[0])
		near(t, "dk", dk, grads[1], tol[1])
		near(t, "dv", dv, grads[2], tol[2])
	}
	return [][]float32{o, lse, dq, dk, dv}
}

func TestAttention(t *testing.T) {
	for n, c := range attnCases {
		t.Run(c.String(), func(t *testing.T) {
			onDevices(t, uint64(n), func(t *testing.T, d *Device, m *mem, compare bool) [][]float32 {
				return c.check(t, d, m, compare, nil)
			})
		})
	}
}

// The reference's own gradient against central differences of its forward.
func TestAttentionReference(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for _, c := range []attnCase{
		{2, 5, 4, 2, 4, true, 0, false}, {1, 6, 2, 1, 4, true, 3, false}, {1, 4, 2, 2, 6, false, 0, false}, {1, 6, 1, 1, 4, false, 2, false},
	} {
		a := &attn64{batch: c.batch, T: c.T, heads: c.heads, kvHeads: c.kvHeads, hd: c.hd, scale: 0.6, causal: c.causal, window: c.window}
		n := c.batch * c.T * c.hd
		a.q, a.k, a.v = randn(rng, n*c.heads, 1), randn(rng, n*c.kvHeads, 1), randn(rng, n*c.kvHeads, 1)
		do := randn(rng, n*c.heads, 1)
		g, _ := a.backward(do)
		f := func() float64 { o, _, _, _ := a.forward(); return dot64(do, o) }
		gradCheck(t, "q", f, a.q, g[0])
		gradCheck(t, "k", f, a.k, g[1])
		gradCheck(t, "v", f, a.v, g[2])
	}
}

// Causal attention over n blocks visits n(n+1)/2 of them for each head of each
// sequence; a window only those that reach into it.
func TestAttentionBlocks(t *testing.T) {
	d := New(2)
	defer d.Close()
	for _, c := range []struct {
		n      int
		causal bool
		window int
		want   int64
	}{
		{1, true, 0, 1}, {2, true, 0, 3}, {5, true, 0, 15}, {3, false, 0, 9},
		{4, true, 1, 4}, {4, true, 2, 7}, {4, true, 65, 7}, {4, true, 66, 9},
	} {
		T, heads, hd := c.n*AttentionBlockQ, 3, 8
		q := make([]float32, 2*T*heads*hd)
		o, lse := make([]float32, len(q)), make([]float32, 2*heads*T)
		d.Stats()
		d.Attention(o, lse, q, heads*hd, q, heads*hd, q, heads*hd, 2, T, heads, heads, hd, 1, c.causal, c.window)
		if got := d.Stats().AttentionBlocks; got != c.want*2*int64(heads) {
			t.Errorf("%+v: %d blocks, want %d", c, got, c.want*2*int64(heads))
		}
	}
}

// NaN in keys and values that a query must not see changes no bit of what
// earlier blocks compute, forward or backward.
func TestAttentionPoisonedFuture(t *testing.T) {
	for l := portable; l <= detect(); l++ {
		d := New(2)
		d.isa = l
		c := attnCase{1, 4 * tileK, 2, 1, 32, true, 0, false}
		m := newMem(t, 5)
		x := c.operands(m, 1)
		wq := c.heads * c.hd
		n := 2 * tileQ * wq
		o, lse := m.vec(c.T*wq, 0), m.vec(c.heads*c.T, 0)
		c.forward(d, x, o, lse)
		want := append([]float32(nil), o[:n]...)
		for r := 2 * tileK; r < c.T; r++ {
			for i := range c.hd {
				x.k[r*x.ldk+i], x.v[r*x.ldv+i] = junk, junk
			}
		}
		c.forward(d, x, o, lse)
		equalBits(t, "o before the junk", o[:n], want)
		for i, v := range o[n:] {
			if v == v {
				t.Fatalf("element %d after the junk is %v: the junk is not read at all", i, v)
			}
		}
		// Backward: the junk reaches dq of its own and later blocks, and
		// nothing of dq before.
		g := c.operands(m, 0)
		c.backward(d, g, x, m.vec(c.T*wq, 1), o, lse)
		for i, v := range dense(g.q, 2*tileQ, g.ldq, wq) {
			if v != v {
				t.Fatalf("dq %d is NaN", i)
			}
		}
		// With a window, blocks that have slid out of it are not read either.
		c.window = tileK
		for r := range c.T {
			for i := range c.hd {
				x.k[r*x.ldk+i], x.v[r*x.ldv+i] = junk, junk
				if r >= 2*tileK {
					x.k[r*x.ldk+i], x.v[r*x.ldv+i] = 1, 1
				}
			}
		}
		c.forward(d, x, o, lse)
		for i, v := range o[3*tileQ*wq:] {
			if v != 1 {
				t.Fatalf("windowed: element %d is %v, want 1", i, v)
			}
		}
		d.Close()
	}
}

// A probability far below the others is exactly 0, one row may hold scores of
// thousands, and NaN in a query reaches its own row only.
func TestAttentionExtremes(t *testing.T) {
	for l := portable; l <= detect(); l++ {
		d := New(1)
		d.isa = l
		c := attnCase{1, 70, 1, 1, 16, true, 0, false}
		m := newMem(t, 6)
		x := c.operands(m, 60)
		o, lse := m.vec(c.T*c.hd, 0), m.vec(c.T, 0)
		x.q[30*x.ldq+3] = junk
		c.forward(d, x, o, lse)
		for r := range c.T {
			for _, v := range o[r*c.hd : (r+1)*c.hd] {
				if finite := v-v == 0; finite == (r == 30) {
					t.Fatalf("%v: row %d holds %v", l, r, v)
				}
			}
		}
		d.Close()
	}
}

func TestAttentionAllocs(t *testing.T) {
	d := New(2)
	defer d.Close()
	for _, c := range []attnCase{{2, 130, 4, 2, 16, true, 0, true}, {1, 130, 2, 1, 10, true, 0, true}} {
		m := newMem(t, 1)
		x, g := c.operands(m, 1), c.operands(m, 0)
		n := c.batch * c.T * c.heads
		o, lse, do := m.vec(n*c.hd, 0), m.vec(n, 0), m.vec(n*c.hd, 1)
		noAllocs(t, "Attention", func() { c.forward(d, x, o, lse) })
		noAllocs(t, "AttentionGrad", func() { c.backward(d, g, x, do, o, lse) })
	}
}
