package cpu

import (
	"math"
	"runtime"
	"sync/atomic"
)

// AttentionGrad is the backward of Attention. From the gradient do of o, and o,
// lse, q, k and v, it computes dq, dk and dv; the sizes are those of Attention,
// do and o contiguous. Probabilities are computed again, tile by tile, from the
// scores and lse (Dao 2023):
//
//	p = e^(s - lse)    dv = pᵀ·do    dp = do·vᵀ
//	ds = p·(dp - rowsum(do·o))·scale    dq = ds·k    dk = dsᵀ·q
//
// dk and dv are summed over the query heads that share a key head, in order.
// dq, dk and dv may be views of one buffer, but not overlap the operands.
func (d *Device) AttentionGrad(dq []float32, lddq int, dk []float32, lddk int, dv []float32, lddv int, do, o, lse, q []float32, ldq int, k []float32, ldk int, v []float32, ldv int, batch, T, heads, kvHeads, hd int, scale float32, causal bool, window int) {
	d.AttentionStartsGrad(dq, lddq, dk, lddk, dv, lddv, do, o, lse, q, ldq, k, ldk, v, ldv, batch, T, heads, kvHeads, hd, scale, causal, window, nil)
}

// AttentionStartsGrad is the backward of AttentionStarts.
func (d *Device) AttentionStartsGrad(dq []float32, lddq int, dk []float32, lddk int, dv []float32, lddv int, do, o, lse, q []float32, ldq int, k []float32, ldk int, v []float32, ldv int, batch, T, heads, kvHeads, hd int, scale float32, causal bool, window int, starts []int32) {
	t := &d.tasks.model.attentionGrad
	*t = attentionGradTask{
		attentionShape: newAttentionShape(d, ldq, ldk, ldv, batch, T, heads, kvHeads, hd, scale, causal, window),
		lddq:           lddq, lddk: lddk, lddv: lddv, tiles: d.tasks.model.tiles,
	}
	t.check(q, k, v)
	t.from(d, starts)
	rows := batch * T
	t.dq = view(dq, rows, lddq, heads*hd)
	t.dk = view(dk, rows, lddk, kvHeads*hd)
	t.dv = view(dv, rows, lddv, kvHeads*hd)
	t.dO, t.o, t.lse = do[:rows*heads*hd], o[:rows*heads*hd], lse[:batch*heads*T]
	d.tasks.model.tileScratch(t.backwardScratch())
	// dk and dv are summed over all queries, dq over all keys: whichever way
	// work is cut, two chunks meet somewhere. A key head for itself meets
	// nobody.
	// A chunk is a key head of a sequence. If those do not keep the workers
	// busy, it is one block of its keys.
	n, workers := batch*kvHeads, d.Workers()
	t.split = n%workers != 0 && n < 4*workers
	if t.split {
		n *= t.blocks
		if len(d.tasks.model.progress) < n {
			d.tasks.model.progress = make([]atomic.Int64, n)
		}
		// Each launch counts from zero.
		t.progress = d.tasks.model.progress[:n]
		for i := range t.progress {
			t.progress[i].Store(0)
		}
	}
	d.run(t, n)
	d.launchedRows("attention_grad", rows, strided{t.dq, lddq, heads * hd}, strided{t.dk, lddk, kvHeads * hd}, strided{t.dv, lddv, kvHeads * hd})
}

// attentionGradTask is one launch of AttentionGrad.
type attentionGradTask struct {
	attentionShape
	dq, dk, dv       []float32
	lddq, lddk, lddv int
	dO, o, lse       []float32
	tiles            [][]float32
	split            bool
	progress         []atomic.Int64 // by chunk, if split: steps done, of group·blocks
}

func (t *attentionGradTask) backwardScratch() int {
	return 2*t.hd*tileQ + 2*tileK*tileQ + 4*tileQ*t.hp
}

// gradTiles is the scratch of one worker, and what it knows of the block of
// queries and the tile at hand.
type gradTiles struct {
	qt, dot    []float32 // q·scale·log2e and do, transposed: [hd, tileQ]
	s, dp      []float32 // [tileK, tileQ]
	qp, dop    []float32 // padded copies of q and do, when heads are padded
	kp, acc    []float32 // padded copy of k; result of a product of padded width
	lse, delta [tileQ]float32
	q, do      []float32 // rows that products read as vectors
	ldq, lddo  int

	b, qi, ki, nq, nk int // the tile: its sequence and place, its queries and keys
	diagonal          bool
}

// cutTiles lays out a worker's scratch.
func (t *attentionGradTask) cutTiles(g *gradTiles, worker int) {
	mem := t.tiles[worker]
	for _, part := range [...]struct {
		x *[]float32
		n int
	}{
		{&g.qt, t.hd * tileQ}, {&g.dot, t.hd * tileQ}, {&g.s, tileK * tileQ}, {&g.dp, tileK * tileQ},
		{&g.qp, tileQ * t.hp}, {&g.dop, tileQ * t.hp}, {&g.kp, tileQ * t.hp}, {&g.acc, tileQ * t.hp},
	} {
		*part.x, mem = mem[:part.n:part.n], mem[part.n:]
	}
}

// do computes all gradients of one key head, or if split, the share of one of
// its blocks of keys. Either way the tiles that share a row of dq, dk or dv add
// to it in one and the same order, so the bits are the same.
//
// The order in which a row of dq gets its shares is that of key blocks, and
// rows of dk and dv that of query heads and blocks.
func (t *attentionGradTask) do(chunk, worker int) {
	var g gradTiles
	t.cutTiles(&g, worker)
	if t.split {
		t.keyBlock(&g, chunk)
		return
	}
	b, kh := chunk/t.kvHeads, chunk%t.kvHeads
	for h := kh * t.group; h < (kh+1)*t.group; h++ {
		for qi := range t.blocks {
			t.prepare(&g, b, h, qi)
			first, end := t.keyBlocks(b, qi)
			for ki := first; ki < end; ki++ {
				t.tile(&g, b, h, qi, ki)
			}
		}
	}
}

// keyBlock goes through the blocks of queries that see one block of keys. It
// adds to a block of dq after the keys before it have, one step behind: so all
// blocks of keys are under way at the same time.
func (t *attentionGradTask) keyBlock(g *gradTiles, chunk int) {
	ki := chunk % t.blocks
	b, kh := chunk/t.blocks/t.kvHeads, chunk/t.blocks%t.kvHeads
	// Every head and every block is a step, seen or not, so that the chunk of
	// the next keys can wait for a number.
	for i := range t.group {
		h := kh*t.group + i
		for qi := range t.blocks {
			step := int64(i*t.blocks + qi + 1)
			if first, end := t.keyBlocks(b, qi); first <= ki && ki < end {
				t.prepare(g, b, h, qi)
				// The first keys that a block of queries sees store dq instead
				// of adding, and wait for nobody.
				if ki > first {
					waitFor(&t.progress[chunk-1], step)
				}
				t.tile(g, b, h, qi, ki)
			}
			t.progress[chunk].Store(step)
		}
	}
}

// waitFor waits until n reaches least, which an earlier chunk of the same
// launch sees to.
//
// Chunks are claimed in order, so that one is always under way whose turn it
// is.
func waitFor(n *atomic.Int64, least int64) {
	for spins := 0; n.Load() < least; spins++ {
		if spins < 100 {
			pause(1)
		} else {
			runtime.Gosched()
		}
	}
}

// prepare reads what the tiles of one block of queries share.
func (t *attentionGradTask) prepare(g *gradTiles, b, h, qi int) {
	q0 := qi * tileQ
	nq := min(tileQ, t.T-q0)
	row := b*t.T + q0
	width := t.heads * t.hd
	q, do, o := t.q[row*t.ldq+h*t.hd:], t.dO[row*width+h*t.hd:], t.o[row*width+h*t.hd:]
	// The factor log2(e) makes exponentials powers of two, which need fewer
	// instructions.
	transpose(t.isa, g.qt, q, t.ldq, nq, t.hd, t.scale*log2e)
	transpose(t.isa, g.dot, do, width, nq, t.hd, 1)
	lse := t.lse[(b*t.heads+h)*t.T+q0:][:nq]
	for i, l := range lse {
		g.lse[i] = l * log2e
		if l < -math.MaxFloat32 { // sees no key: probabilities 2^(-Inf-Inf) = 0, not 2^NaN
			g.lse[i] = -g.lse[i]
		}
	}
	// rowsum(do·o) equals the sum over keys of dp·p, which would need a pass
	// over all tiles first (Dao et al. 2022).
	rowDots(t.isa, g.delta[:], do, width, o, width, nq, t.hd)
	g.q, g.ldq, g.do, g.lddo = q, t.ldq, do, width
	if t.padded() {
		g.q, g.ldq = padRows(g.qp, t.hp, q, t.ldq, nq, t.hd), t.hp
		g.do, g.lddo = padRows(g.dop, t.hp, do, width, nq, t.hd), t.hp
	}
}

// tile adds one tile's share to the gradients; the first share is stored.
func (t *attentionGradTask) tile(g *gradTiles, b, h, qi, ki int) {
	g.b, g.qi, g.ki = b, qi, ki
	q0, k0 := qi*tileQ, ki*tileK
	g.nq, g.nk = min(tileQ, t.T-q0), min(tileK, t.T-k0)
	rowK, kv := b*t.T+k0, h/t.group*t.hd
	k, v := t.k[rowK*t.ldk+kv:], t.v[rowK*t.ldv+kv:]
	g.diagonal = t.scores(g.s, k, g.qt, b, q0, k0, g.nq, g.nk)
	t.cross(g.dp, v, t.ldv, g.dot, g.nq, g.nk, g.diagonal)
	// Sixteen queries at a time; of a diagonal tile the keys that none of them
	// sees are not touched.
	for c := 0; c < g.nq; c += lanes {
		gradTile(t.isa, g.s[c:], g.dp[c:], keysOf(c, g.nk, g.diagonal), (*[lanes]float32)(g.lse[c:]), (*[lanes]float32)(g.delta[c:]), t.scale)
	}
	t.gradKeys(g, t.dk[rowK*t.lddk+kv:], t.dv[rowK*t.lddv+kv:], h%t.group == 0)
	t.gradQueries(g, t.dq[(b*t.T+q0)*t.lddq+h*t.hd:], k)
}

// step is the number of rows or columns that are computed together: 16 in a
// diagonal tile, where each 16 keys have their own first query.
func (t *attentionGradTask) step(g *gradTiles, n int) int {
	if g.diagonal {
		return lanes
	}
	return n
}

// gradKeys adds pᵀ·do to dv and dsᵀ·q to dk, or stores them for the first block
// of queries, of the first head, that sees these keys: with a causal mask the
// one on the diagonal.
func (t *attentionGradTask) gradKeys(g *gradTiles, dk, dv []float32, firstHead bool) {
	// What the buffers held before is never read: the first share is stored. On
	// the diagonal that is the first block of queries that sees these keys.
	more := !firstHead || (t.causal && g.qi != g.ki) || (!t.causal && g.qi != 0)
	step := t.step(g, g.nk)
	for r := 0; r < g.nk; r += step {
		c, rows := 0, min(step, g.nk-r)
		if g.diagonal {
			c = r // earlier queries do not see these keys
		}
		t.product(g, dv[r*t.lddv:], t.lddv, g.s[r*tileQ+c:], tileQ, 1, g.do[c*g.lddo:], g.lddo, rows, g.nq-c, more)
		t.product(g, dk[r*t.lddk:], t.lddk, g.dp[r*tileQ+c:], tileQ, 1, g.q[c*g.ldq:], g.ldq, rows, g.nq-c, more)
	}
}

// gradQueries adds ds·k to dq, or stores it for the first block of keys.
func (t *attentionGradTask) gradQueries(g *gradTiles, dq, k []float32) {
	first, _ := t.keyBlocks(g.b, g.qi)
	ldk := t.ldk
	if t.padded() {
		k, ldk = padRows(g.kp, t.hp, k, ldk, g.nk, t.hd), t.hp
	}
	step := t.step(g, g.nq)
	for c := 0; c < g.nq; c += step {
		t.product(g, dq[c*t.lddq:], t.lddq, g.dp[c:], 1, tileQ, k, ldk, min(step, g.nq-c), keysOf(c, g.nk, g.diagonal), g.ki > first)
	}
}

// product computes c [m, hd] = or += a·b for b of padded width: directly if
// heads are whole vectors, else by way of scratch.
func (t *attentionGradTask) product(g *gradTiles, c []float32, ldc int, a []float32, ars, aks int, b []float32, ldb int, m, k int, acc bool) {
	if !t.padded() {
		// A product with heads of whole vectors writes its result where it
		// belongs.
		tileMul(t.isa, c, ldc, a, ars, aks, b, ldb, m, t.hd, k, acc)
		return
	}
	// Padded columns would overwrite the next head: the product goes to scratch
	// and its real columns are added.
	tileMul(t.isa, g.acc, t.hp, a, ars, aks, b, ldb, m, t.hp, k, false)
	for i := range m {
		y, x := c[i*ldc:][:t.hd], g.acc[i*t.hp:][:t.hd]
		if acc {
			vecAdd(t.isa, y, y, x)
		} else {
			copy(y, x)
		}
	}
}
