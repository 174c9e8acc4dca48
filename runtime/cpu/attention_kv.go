package cpu

// AttentionKV computes attention against the cache: token i, at position
// pos[i] of sequence seq[i], attends to positions 0..pos[i] of that sequence
// (the last window of them if window > 0), whose keys and values, its own
// included, KVWrite has stored. q [tokens, heads·hd] has ldq elements from row
// to row; o is contiguous. Query head h reads key head h/(heads/kvHeads).
//
// Tokens that follow each other in one sequence, as in a prompt, are computed
// together in tiles; a single one, as in decoding, takes the time of reading
// its keys and values.
func (d *Device) AttentionKV(o []float32, q []float32, ldq int, cache []float32, tokens, heads, kvHeads, hd, block int, pos, seq, table []int32, maxBlocks int, scale float32, window int) {
	t := &d.tasks.model.attentionKV
	*t = attentionKVTask{
		kvCache: kvCache{cache, kvHeads, hd, block, pos[:tokens], seq[:tokens], table, maxBlocks},
		isa:     d.isa, o: o[:tokens*heads*hd], q: view(q, tokens, ldq, heads*hd), ldq: ldq,
		heads: heads, group: heads / kvHeads, scale: scale, window: window,
		tiles: d.tasks.model.tiles, runs: t.runs[:0], context: maxBlocks * block,
	}
	t.findRuns()
	// Both ways of computing share the scratch: a tile, or the scores of one
	// token for all heads of a group.
	d.tasks.model.tileScratch(max(queryTileScratch(hd), t.group*t.context))
	// Keys and values of a key head are read by one chunk alone for a run.
	d.run(t, len(t.runs)*kvHeads)
	d.launched("attention_kv", t.o)
}

// attentionKVTask is one launch of AttentionKV; a chunk is a run of tokens and a
// key head.
type attentionKVTask struct {
	kvCache
	isa          isa
	o, q         []float32
	ldq          int
	heads, group int
	scale        float32
	window       int
	tiles        [][]float32
	runs         []tokenRun
	context      int // the longest a sequence can get
}

// A tokenRun is n tokens from first on, at consecutive positions of one
// sequence.
type tokenRun struct{ first, n int }

// fewTokens is the length below which a run is computed token by token: a tile
// has 16 lanes for its queries at least.
const fewTokens = 6

// findRuns cuts the tokens into runs of at most a tile.
//
// A run ends where the sequence changes, where positions do not follow, and at
// the size of a tile. A short one is taken token by token: its first token
// becomes a run, and the rest is looked at again.
func (t *attentionKVTask) findRuns() {
	for i := 0; i < len(t.pos); {
		n := 1
		for n < tileQ && i+n < len(t.pos) && t.seq[i+n] == t.seq[i] && t.pos[i+n] == t.pos[i]+int32(n) {
			n++
		}
		if n < fewTokens {
			n = 1
		}
		t.runs = append(t.runs, tokenRun{i, n})
		i += n
	}
}

// do attends one run to one key head, for each query head that shares it.
func (t *attentionKVTask) do(chunk, worker int) {
	run, kh := t.runs[chunk/t.kvHeads], chunk%t.kvHeads
	if run.n == 1 {
		t.single(run.first, kh, t.tiles[worker])
		return
	}
	for h := kh * t.group; h < (kh+1)*t.group; h++ {
		t.tile(run, h, kh, t.tiles[worker])
	}
}

// keys is the range of positions that a token at position p sees.
func (t *attentionKVTask) keys(p int) (first, end int) {
	if t.window > 0 {
		first = max(0, p-t.window+1)
	}
	return first, p + 1
}

// single attends one token. Its scores are computed whole, for all query heads
// of the group together, so that keys and values are read once.
func (t *attentionKVTask) single(i, kh int, s []float32) {
	first, end := t.keys(int(t.pos[i]))
	n := end - first
	q := t.q[i*t.ldq+kh*t.group*t.hd:]
	// Blocks of the cache lie anywhere, and inside of one positions are
	// contiguous for a head.
	for p, c := first, 0; p < end; p += c {
		k, _ := t.rows(int(t.seq[i]), p/t.block, kh)
		k = k[p%t.block*t.hd:]
		c = min(end-p, t.block-p%t.block)
		t.fetchAhead(i, kh, 0, p+c, end)
		// Query heads that share a key head are the rows of one product with
		// the keys.
		for h := 0; h < t.group; h += dotMaxRows {
			dotRows(t.isa, s[h*n+p-first:], n, q[h*t.hd:], t.hd, k, t.hd, min(dotMaxRows, t.group-h), c, t.hd, false)
		}
	}
	o := t.o[(i*t.heads+kh*t.group)*t.hd:][:t.group*t.hd]
	for h := range t.group {
		s := s[h*n : (h+1)*n]
		// Scaled behind the product, as the queries are read where they lie.
		vecScale(t.isa, s, s, t.scale)
		_, sum := expRow(t.isa, s, s)
		vecScale(t.isa, s, s, float32(1/sum))
	}
	for p, c := first, 0; p < end; p += c {
		_, v := t.rows(int(t.seq[i]), p/t.block, kh)
		v = v[p%t.block*t.hd:]
		c = min(end-p, t.block-p%t.block)
		t.fetchAhead(i, kh, 1, p+c, end)
		// The first block stores o, the others add.
		tileMul(t.isa, o, t.hd, s[p-first:], n, 1, v, t.hd, t.group, t.hd, c, p > first)
	}
}

// fetchAhead asks for the block of keys (0) or values (1) at position p, if that
// is before end. The processor does not foresee it: blocks lie anywhere.
func (t *attentionKVTask) fetchAhead(i, kh, which, p, end int) {
	if p < end {
		k, v := t.rows(int(t.seq[i]), p/t.block, kh)
		fetchAhead([2][]float32{k, v}[which][:min(end-p, t.block)*t.hd])
	}
}

// tile attends a run of tokens for one query head.
func (t *attentionKVTask) tile(run tokenRun, h, kh int, mem []float32) {
	var g queryTile
	g.begin(t.isa, mem, t.q[run.first*t.ldq+h*t.hd:], t.ldq, run.n, t.hd, t.scale)
	p0, seq := int(t.pos[run.first]), int(t.seq[run.first])
	first, _ := t.keys(p0)
	_, end := t.keys(p0 + run.n - 1)
	for p, c := first, 0; p < end; p += c {
		k, v := t.rows(seq, p/t.block, kh)
		off := p % t.block * t.hd
		// A tile of scores has room for so many keys.
		c = min(end-p, t.block-p%t.block, tileK)
		tileMul(t.isa, g.s, tileQ, k[off:], t.hd, 1, g.qt, tileQ, c, roundUp(run.n, lanes), t.hd, false)
		maskRun(g.s, p0, p, run.n, c, t.window)
		g.absorb(v[off:], t.hd, c, false)
	}
	g.finish(t.o[(run.first*t.heads+h)*t.hd:], t.heads*t.hd, nil)
}
