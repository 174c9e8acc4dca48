package cpu

// Attention computes, for each sequence of a batch and each query head,
//
//	o = softmax(scale·q·kᵀ, masked)·v
//
// in tiles, storing no scores (FlashAttention-2, Dao 2023). q is [batch·T,
// heads·hd], k and v [batch·T, kvHeads·hd] with ldq, ldk, ldv elements from row
// to row; query head h reads key head h/(heads/kvHeads). o [batch·T, heads·hd]
// is contiguous. lse [batch, heads, T] receives the log of the sum of e^score
// of each query, for AttentionGrad.
//
// causal lets query t see keys 0..t; window > 0 lets it see only keys above
// t-window. Tiles in which no query sees a key are never read. T need not be a
// multiple of the tile.
func (d *Device) Attention(o, lse []float32, q []float32, ldq int, k []float32, ldk int, v []float32, ldv int, batch, T, heads, kvHeads, hd int, scale float32, causal bool, window int) {
	t := &d.tasks.model.attention
	*t = attentionTask{
		attentionShape: newAttentionShape(d, ldq, ldk, ldv, batch, T, heads, kvHeads, hd, scale, causal, window),
		tiles:          d.tasks.model.tiles, visited: t.visited,
	}
	t.check(q, k, v)
	t.o, t.lse = o[:batch*T*heads*hd], lse[:batch*heads*T]
	d.tasks.model.tileScratch(t.forwardScratch())
	if len(t.visited) < d.tasks.model.workers {
		t.visited = make([]int64, d.tasks.model.workers)
	}
	clear(t.visited)
	d.run(t, batch*heads*t.blocks)
	for _, n := range t.visited {
		d.stats.AttentionBlocks += n
	}
	d.launched("attention", t.o, t.lse)
}

// attentionShape is what forward and backward share.
type attentionShape struct {
	isa               isa
	q, k, v           []float32
	ldq, ldk, ldv     int
	T, heads, kvHeads int
	hd, hp            int // head size, and rounded up to whole vectors
	scale             float32
	causal            bool
	window, blocks    int
	batch, group      int
}

func newAttentionShape(d *Device, ldq, ldk, ldv, batch, T, heads, kvHeads, hd int, scale float32, causal bool, window int) attentionShape {
	if heads%kvHeads != 0 {
		panic("cpu: Attention: heads is not a multiple of kvHeads")
	}
	return attentionShape{
		isa: d.isa, ldq: ldq, ldk: ldk, ldv: ldv, T: T, heads: heads, kvHeads: kvHeads, hd: hd, hp: roundUp(hd, lanes),
		scale: scale, causal: causal, window: window, blocks: chunksOf(T, tileQ), batch: batch, group: heads / kvHeads,
	}
}

func (t *attentionShape) check(q, k, v []float32) {
	rows := t.batch * t.T
	t.q = view(q, rows, t.ldq, t.heads*t.hd)
	t.k = view(k, rows, t.ldk, t.kvHeads*t.hd)
	t.v = view(v, rows, t.ldv, t.kvHeads*t.hd)
}

// padded reports whether a head is not a whole number of vectors, so that tiles
// must be copied before they are read as vectors.
func (t *attentionShape) padded() bool { return t.hp != t.hd }

// keyBlocks is the range of key blocks that block qi of queries sees.
func (t *attentionShape) keyBlocks(qi int) (first, end int) {
	end = t.blocks
	if t.causal {
		end = qi + 1
	}
	if t.window > 0 {
		first = max(0, qi*tileQ-t.window+1) / tileK
	}
	return first, end
}

// scores computes the masked scores s [nk, tileQ] of a tile, from the block of
// keys and the transposed block of queries. Of a diagonal tile, sub-tiles of 16
// keys take only the queries from theirs on.
func (t *attentionShape) scores(s, k, qt []float32, q0, k0, nq, nk int) (diagonal bool) {
	diagonal = t.causal && k0 == q0
	n := roundUp(nq, lanes)
	if diagonal {
		for r := 0; r < nk; r += lanes {
			tileMul(t.isa, s[r*tileQ+r:], tileQ, k[r*t.ldk:], t.ldk, 1, qt[r:], tileQ, min(lanes, nk-r), n-r, t.hd, false)
		}
	} else {
		tileMul(t.isa, s, tileQ, k, t.ldk, 1, qt, tileQ, nk, n, t.hd, false)
	}
	maskTile(s, q0, k0, nq, nk, diagonal, t.window)
	return diagonal
}

// keysOf is the number of keys of a tile that the 16 queries from c on may see.
func keysOf(c, nk int, diagonal bool) int {
	if diagonal {
		return min(nk, c+lanes)
	}
	return nk
}

// padRows copies x [rows, hd] to y [rows, hp], with zeros between hd and hp.
func padRows(y []float32, hp int, x []float32, ldx, rows, hd int) []float32 {
	for r := range rows {
		copy(y[r*hp:][:hd], x[r*ldx:][:hd])
		clear(y[r*hp+hd : (r+1)*hp])
	}
	return y
}

type attentionTask struct {
	attentionShape
	o, lse  []float32
	tiles   [][]float32
	visited []int64 // by worker
}

func (t *attentionTask) forwardScratch() int { return t.hd*tileQ + tileK*tileQ + 2*tileQ*t.hp }

// do computes one block of queries of one head. Chunks of a head follow each
// other, since they read the same keys and values; its late blocks, which see
// most of them, come first, so that workers end together.
func (t *attentionTask) do(chunk, worker int) {
	qi := t.blocks - 1 - chunk%t.blocks
	b, h := chunk/t.blocks/t.heads, chunk/t.blocks%t.heads
	q0 := qi * tileQ
	nq := min(tileQ, t.T-q0)
	row := b * t.T // first row of the sequence

	mem := t.tiles[worker]
	qt, mem := mem[:t.hd*tileQ], mem[t.hd*tileQ:]
	s, mem := mem[:tileK*tileQ], mem[tileK*tileQ:]
	o, vp := mem[:tileQ*t.hp], mem[tileQ*t.hp:]
	var m, sum, alpha [tileQ]float32
	for i := range m {
		m[i] = noScore
	}
	transpose(t.isa, qt, t.q[(row+q0)*t.ldq+h*t.hd:], t.ldq, nq, t.hd, t.scale*log2e)
	kv := h / t.group * t.hd
	first, end := t.keyBlocks(qi)
	for ki := first; ki < end; ki++ {
		k0 := ki * tileK
		nk := min(tileK, t.T-k0)
		k, v, ldv := t.k[(row+k0)*t.ldk+kv:], t.v[(row+k0)*t.ldv+kv:], t.ldv
		if t.padded() {
			v, ldv = padRows(vp, t.hp, v, ldv, nk, t.hd), t.hp
		}
		diagonal := t.scores(s, k, qt, q0, k0, nq, nk)
		for c := 0; c < nq; c += lanes {
			softmaxTile(t.isa, s[c:], keysOf(c, nk, diagonal), (*[lanes]float32)(m[c:]), (*[lanes]float32)(sum[c:]), (*[lanes]float32)(alpha[c:]))
		}
		t.weigh(o, s, v, ldv, &alpha, nq, nk, diagonal, ki > first)
		t.visited[worker]++
	}
	for i := range nq {
		out := t.o[((row+q0+i)*t.heads+h)*t.hd:][:t.hd]
		vecScale(t.isa, out, o[i*t.hp:][:t.hd], 1/sum[i])
		t.lse[(b*t.heads+h)*t.T+q0+i] = float32(float64(m[i])*ln2 + logOf(sum[i]))
	}
}

// weigh computes o = o·alpha + pᵀ·v for the probabilities p [nk, tileQ].
func (t *attentionTask) weigh(o, p, v []float32, ldv int, alpha *[tileQ]float32, nq, nk int, diagonal, more bool) {
	if more {
		scaleRows(t.isa, o, alpha, nq, t.hp)
	}
	if !diagonal {
		tileMul(t.isa, o, t.hp, p, 1, tileQ, v, ldv, nq, t.hp, nk, more)
		return
	}
	for c := 0; c < nq; c += lanes {
		tileMul(t.isa, o[c*t.hp:], t.hp, p[c:], 1, tileQ, v, ldv, min(lanes, nq-c), t.hp, keysOf(c, nk, true), more)
	}
}

// scaleRows multiplies row i of o [rows, n] by alpha[i].
func scaleRows(l isa, o []float32, alpha *[tileQ]float32, rows, n int) {
	for i := range rows {
		if a := alpha[i]; a != 1 {
			vecScale(l, o[i*n:(i+1)*n], o[i*n:(i+1)*n], a)
		}
	}
}
