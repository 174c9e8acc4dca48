package cpu

// The cache of keys and values is cut into blocks, [blocks, 2, kvHeads, block,
// hd]: keys at 0 and values at 1 of the second axis. Row seq of the table
// [sequences, maxBlocks] lists the blocks of a sequence, position p being row
// p%block of its block p/block. Sequences may share blocks.

// KVWrite stores the keys and values of tokens in the cache. k and v are
// [tokens, kvHeads·hd] with ldk and ldv elements from row to row; token i is at
// position pos[i] of sequence seq[i]. No two tokens may have the same place.
func (d *Device) KVWrite(cache []float32, k []float32, ldk int, v []float32, ldv int, tokens, kvHeads, hd, block int, pos, seq, table []int32, maxBlocks int) {
	t := &d.tasks.model.kvWrite
	*t = kvWriteTask{
		kvCache: kvCache{cache, kvHeads, hd, block, pos[:tokens], seq[:tokens], table, maxBlocks},
		k:       view(k, tokens, ldk, kvHeads*hd), v: view(v, tokens, ldv, kvHeads*hd), ldk: ldk, ldv: ldv,
		per: rowsPerChunk(kvHeads * hd),
	}
	d.run(t, chunksOf(tokens, t.per))
	// Watched are the rows written, not the cache, most of which may never have
	// been.
	d.launchedRows("kv_write", tokens, strided{k, ldk, kvHeads * hd}, strided{v, ldv, kvHeads * hd})
}

// kvCache finds rows of the cache.
type kvCache struct {
	cache              []float32
	kvHeads, hd, block int
	pos, seq, table    []int32
	maxBlocks          int
}

// rows returns the keys and values, each [block, hd], of one head in block b of
// a sequence.
func (c *kvCache) rows(seq, b, head int) (k, v []float32) {
	n := c.block * c.hd
	id := int(c.table[seq*c.maxBlocks+b])
	k = c.cache[(id*2*c.kvHeads+head)*n:][:n]
	v = c.cache[((id*2+1)*c.kvHeads+head)*n:][:n]
	return k, v
}

// kvWriteTask is one launch of KVWrite, cut into groups of tokens.
type kvWriteTask struct {
	kvCache
	k, v          []float32
	ldk, ldv, per int
}

func (t *kvWriteTask) do(chunk, _ int) {
	for i := chunk * t.per; i < min(len(t.pos), (chunk+1)*t.per); i++ {
		p := int(t.pos[i])
		o := p % t.block * t.hd
		for h := range t.kvHeads {
			k, v := t.rows(int(t.seq[i]), p/t.block, h)
			copy(k[o:o+t.hd], t.k[i*t.ldk+h*t.hd:][:t.hd])
			copy(v[o:o+t.hd], t.v[i*t.ldv+h*t.hd:][:t.hd])
		}
	}
}
