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
	d.AttentionStarts(o, lse, q, ldq, k, ldk, v, ldv, batch, T, heads, kvHeads, hd, scale, causal, window, nil)
}

// AttentionStarts is Attention that hides still more: query t of sequence b
// does not see the keys before starts[b·T+t]. For sequences packed of documents
// that is where the query's document begins. Nil hides nothing. A query that
// sees no key gets a row of zeros and -Inf for its logarithm.
func (d *Device) AttentionStarts(o, lse []float32, q []float32, ldq int, k []float32, ldk int, v []float32, ldv int, batch, T, heads, kvHeads, hd int, scale float32, causal bool, window int, starts []int32) {
	t := &d.tasks.model.attention
	// visited is kept over launches, so that it is allocated once.
	*t = attentionTask{
		attentionShape: newAttentionShape(d, ldq, ldk, ldv, batch, T, heads, kvHeads, hd, scale, causal, window),
		tiles:          d.tasks.model.tiles, visited: t.visited,
	}
	t.check(q, k, v)
	t.from(d, starts)
	t.o, t.lse = o[:batch*T*heads*hd], lse[:batch*heads*T]
	d.tasks.model.tileScratch(queryTileScratch(hd))
	if len(t.visited) < d.tasks.model.workers {
		t.visited = make([]int64, d.tasks.model.workers)
	}
	clear(t.visited)
	// A chunk is one block of queries of one head: the smallest piece that
	// shares nothing it writes.
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

	starts []int32       // first key of each query, [batch·T]; nil hides none
	ranges []startsRange // of each block of queries, [batch·blocks]
}

// newAttentionShape checks what does not depend on the operands.
func newAttentionShape(d *Device, ldq, ldk, ldv, batch, T, heads, kvHeads, hd int, scale float32, causal bool, window int) attentionShape {
	if heads%kvHeads != 0 {
		panic("cpu: Attention: heads is not a multiple of kvHeads")
	}
	return attentionShape{
		isa: d.isa, ldq: ldq, ldk: ldk, ldv: ldv, T: T, heads: heads, kvHeads: kvHeads, hd: hd, hp: roundUp(hd, lanes),
		scale: scale, causal: causal, window: window, blocks: chunksOf(T, tileQ), batch: batch, group: heads / kvHeads,
	}
}

// check cuts the operands to their extent.
func (t *attentionShape) check(q, k, v []float32) {
	rows := t.batch * t.T
	t.q = view(q, rows, t.ldq, t.heads*t.hd)
	t.k = view(k, rows, t.ldk, t.kvHeads*t.hd)
	t.v = view(v, rows, t.ldv, t.kvHeads*t.hd)
}

// padded reports whether a head is not a whole number of vectors, so that tiles
// must be copied before they are read as vectors.
func (t *attentionShape) padded() bool { return t.hp != t.hd }

// keyBlocks is the range of key blocks that block qi of queries of sequence b
// sees.
func (t *attentionShape) keyBlocks(b, qi int) (first, end int) {
	end = t.blocks
	if t.causal {
		end = qi + 1
	}
	// With a window, the first query of the block sees furthest back.
	if t.window > 0 {
		first = max(0, qi*tileQ-t.window+1) / tileK
	}
	// Starts only cut key blocks off for causal masks; without, they are hidden
	// in the tile.
	if t.starts != nil && t.causal {
		first = max(first, t.ranges[b*t.blocks+qi].first)
	}
	return first, end
}

// scores computes the masked scores s [nk, tileQ] of a tile of sequence b, from
// the block of keys and the transposed block of queries.
func (t *attentionShape) scores(s, k, qt []float32, b, q0, k0, nq, nk int) (diagonal bool) {
	// Query and key blocks are of one size, so that only the tile on the
	// diagonal is cut by the causal mask.
	diagonal = t.causal && k0 == q0
	t.cross(s, k, t.ldk, qt, nq, nk, diagonal)
	maskTile(s, q0, k0, nq, nk, diagonal, t.window)
	if t.starts != nil {
		t.maskStarts(s, b, q0, k0, nq, nk)
	}
	return diagonal
}

// cross computes s [nk, tileQ] = x·yt for rows x of keys or values and a
// transposed block of queries yt [hd, tileQ]. Of a diagonal tile, 16 keys at a
// time take the queries from theirs on only.
func (t *attentionShape) cross(s, x []float32, ldx int, yt []float32, nq, nk int, diagonal bool) {
	n := roundUp(nq, lanes)
	// Whole vectors of queries, those beyond nq included: their columns are
	// computed and never read.
	if !diagonal {
		tileMul(t.isa, s, tileQ, x, ldx, 1, yt, tileQ, nk, n, t.hd, false)
		return
	}
	for r := 0; r < nk; r += lanes {
		tileMul(t.isa, s[r*tileQ+r:], tileQ, x[r*ldx:], ldx, 1, yt[r:], tileQ, min(lanes, nk-r), n-r, t.hd, false)
	}
}

// keysOf is the number of keys of a tile that the 16 queries from c on may see.
func keysOf(c, nk int, diagonal bool) int {
	if diagonal {
		return min(nk, c+lanes)
	}
	return nk
}

// attentionTask is one launch of Attention; a chunk is a block of queries.
type attentionTask struct {
	attentionShape
	o, lse  []float32
	tiles   [][]float32
	visited []int64 // by worker
}

// do computes one block of queries of one head. Chunks of a head follow each
// other, since they read the same keys and values; its late blocks, which see
// most of them, come first, so that workers end together.
func (t *attentionTask) do(chunk, worker int) {
	qi := t.blocks - 1 - chunk%t.blocks
	b, h := chunk/t.blocks/t.heads, chunk/t.blocks%t.heads
	q0 := qi * tileQ
	nq := min(tileQ, t.T-q0)
	row := b * t.T // first row of the sequence
	// On the worker's stack, with its larger parts in the worker's scratch.
	var g queryTile
	g.begin(t.isa, t.tiles[worker], t.q[(row+q0)*t.ldq+h*t.hd:], t.ldq, nq, t.hd, t.scale)
	kv := h / t.group * t.hd
	first, end := t.keyBlocks(b, qi)
	for ki := first; ki < end; ki++ {
		k0 := ki * tileK
		nk := min(tileK, t.T-k0)
		diagonal := t.scores(g.s, t.k[(row+k0)*t.ldk+kv:], g.qt, b, q0, k0, nq, nk)
		g.absorb(t.v[(row+k0)*t.ldv+kv:], t.ldv, nk, diagonal)
		// By worker, so that counting needs no atomic operation; they are added
		// up afterwards.
		t.visited[worker]++
	}
	g.finish(t.o[((row+q0)*t.heads+h)*t.hd:], t.heads*t.hd, t.lse[(b*t.heads+h)*t.T+q0:])
}
