package data

import "sort"

// run is the shards of one source end to end: one long line of tokens.
type run struct {
	shards []*Shard
	ends   []int64 // ends[i] is the number of tokens in shards[:i+1]
	tokens int64
	docs   int64
	bytes  int64
}

// add puts a shard at the end; the manifest's order is the run's.
func (r *run) add(s *Shard) {
	r.shards = append(r.shards, s)
	r.tokens += s.Tokens
	r.docs += s.Docs
	r.bytes += s.Bytes
	r.ends = append(r.ends, r.tokens)
}

// find returns the shard that holds token t and t's place in it.
func (r *run) find(t int64) (i int, at int64) {
	// Empty shards have the end of the one before, and are never found.
	i = sort.Search(len(r.ends), func(i int) bool { return r.ends[i] > t })
	return i, t - (r.ends[i] - r.shards[i].Tokens)
}

// read copies tokens from t on into dst, going on at the beginning when the
// end is reached: a source is a circle to its epochs.
func (r *run) read(t int64, dst []int32) {
	r.spans(t, int64(len(dst)), func(s *Shard, at, n, off int64) { s.Read(at, dst[off:off+n]) })
}

// spans splits n tokens from t on, round the circle, into pieces within single
// shards: f gets a shard, the place and number of tokens in it, and how many
// came before.
func (r *run) spans(t, n int64, f func(s *Shard, at, n, off int64)) {
	// From the shard that holds t onwards; k may be 0 in an empty shard, which
	// is stepped over.
	i, at := r.find(t)
	for off := int64(0); off < n; {
		s := r.shards[i]
		k := min(n-off, s.Tokens-at)
		if k > 0 {
			f(s, at, k, off)
		}
		off += k
		at = 0
		i++
		if i == len(r.shards) {
			i = 0
		}
	}
}

// starts appends the offsets at which documents begin within the n tokens
// from t on.
func (r *run) starts(t, n int64, dst []int32) []int32 {
	r.spans(t, n, func(s *Shard, at, k, off int64) {
		for d := s.docAt(at); d < s.Docs; d++ {
			p := s.start(d)
			// Starts rise, so no later document is in the piece.
			if p >= at+k {
				break
			}
			dst = append(dst, int32(off+p-at))
		}
	})
	return dst
}

// textBytes returns how many bytes of text the n tokens from t on stand for.
// perToken gives the bytes of each id; buf is scratch of n elements.
func (r *run) textBytes(t int64, buf []int32, perToken []uint16) (total int64) {
	r.spans(t, int64(len(buf)), func(s *Shard, at, k, off int64) {
		s.Read(at, buf[off:off+k])
		for _, id := range buf[off : off+k] {
			total += int64(perToken[id])
		}
		// A tokenizer may add to or take from a text, as SentencePiece's
		// leading space does: the difference sits on the first text token.
		lead := int64(0)
		if s.BOS >= 0 {
			lead = 1
		}
		// A document whose BOS lies before the piece has its first text token
		// within.
		for d := s.docAt(at - lead); d < s.Docs; d++ {
			e, err := s.Doc(d)
			if err != nil {
				panic(err)
			}
			if e.Start+lead >= at+k {
				break
			}
			if e.Start+lead >= at {
				total += int64(e.Fix)
			}
		}
	})
	return total
}
