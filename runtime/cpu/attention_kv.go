package cpu

import "math"

// AttentionKV computes attention against the cache: token i, at position
// pos[i] of sequence seq[i], attends to positions 0..pos[i] of that sequence
// (the last window of them if window > 0), whose keys and values, its own
// included, KVWrite has stored. q [tokens, heads·hd] has ldq elements from row
// to row; o is contiguous. Query head h reads key head h/(heads/kvHeads).
func (d *Device) AttentionKV(o []float32, q []float32, ldq int, cache []float32, tokens, heads, kvHeads, hd, block int, pos, seq, table []int32, maxBlocks int, scale float32, window int) {
	t := &d.tasks.model.attentionKV
	*t = attentionKVTask{
		kvCache: kvCache{cache, kvHeads, hd, block, pos[:tokens], seq[:tokens], table, maxBlocks},
		isa:     d.isa, o: o[:tokens*heads*hd], q: view(q, tokens, ldq, heads*hd), ldq: ldq, heads: heads,
		scale: scale, window: window, tiles: d.tasks.model.tiles,
	}
	d.tasks.model.tileScratch(block)
	d.run(t, tokens*kvHeads)
	d.launched("attention_kv", t.o)
}

type attentionKVTask struct {
	kvCache
	isa        isa
	o, q       []float32
	ldq, heads int
	scale      float32
	window     int
	tiles      [][]float32
}

// do attends one token to one key head, for each query head that shares it.
func (t *attentionKVTask) do(chunk, worker int) {
	i, kh := chunk/t.kvHeads, chunk%t.kvHeads
	group := t.heads / t.kvHeads
	for h := kh * group; h < (kh+1)*group; h++ {
		o := t.o[(i*t.heads+h)*t.hd:][:t.hd]
		t.row(o, t.q[i*t.ldq+h*t.hd:][:t.hd], i, kh, t.tiles[worker])
	}
}

// row is one softmax, carried over the blocks of the sequence: m is the running
// maximum, l the running sum of e^(score-m), o the running weighted sum.
func (t *attentionKVTask) row(o, q []float32, i, kh int, s []float32) {
	p := int(t.pos[i])
	first := 0
	if t.window > 0 {
		first = max(0, p-t.window+1)
	}
	m, l := float32(math.Inf(-1)), float32(0)
	clear(o)
	for b := first / t.block; b <= p/t.block; b++ {
		k, v := t.rows(int(t.seq[i]), b, kh)
		lo := max(0, first-b*t.block)
		hi := min(t.block, p+1-b*t.block)
		s := s[:hi-lo]
		for j := range s {
			s[j] = vecDot(t.isa, q, k[(lo+j)*t.hd:(lo+j+1)*t.hd]) * t.scale
		}
		if top := vecMax(t.isa, s); top > m {
			a := exp32(m - top)
			l *= a
			vecScale(t.isa, o, o, a)
			m = top
		}
		l += vecExpSum(t.isa, s, s, m)
		for j, w := range s {
			vecAxpy(t.isa, o, v[(lo+j)*t.hd:(lo+j+1)*t.hd], w)
		}
	}
	vecScale(t.isa, o, o, 1/l)
}
