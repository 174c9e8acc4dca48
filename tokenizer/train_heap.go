package tokenizer

import "cmp"

// The heap holds every pair that may still merge, those that no longer occur
// included: when nothing else is left, SentencePiece takes those, too.
//
// Entries are not removed when a count falls. They are corrected when they come
// to the top (lazy deletion), which touches few of them.

// heapEntry is a pair with the count that it had when it was pushed.
type heapEntry struct {
	count int64
	pair  int32
}

// before says whether a is taken before b: it occurs more often, or as often
// and has fewer characters, or as many and its text has smaller bytes.
//
// The order is SentencePiece's, ties included: files come out the same.
func (m *merger) before(a, b heapEntry) bool {
	if a.count != b.count {
		return a.count > b.count
	}
	p, q := &m.pairs[a.pair], &m.pairs[b.pair]
	p1, p2, q1, q2 := &m.symbols[p.left], &m.symbols[p.right], &m.symbols[q.left], &m.symbols[q.right]
	if n, k := p1.chars+p2.chars, q1.chars+q2.chars; n != k {
		return n < k
	}
	if c := compareJoined(p1.text, p2.text, q1.text, q2.text); c != 0 {
		return c < 0
	}
	return a.pair < b.pair // two ways to spell the same: one of them counts for nothing
}

// compareJoined compares a+b with c+d.
func compareJoined(a, b, c, d string) int {
	// Neither is put together: ties are so frequent among rare pairs that
	// memory for it would be most of what learning costs.
	if n := min(len(a), len(c)); a[:n] != c[:n] {
		// Where the first parts differ within their common length, that
		// decides.
		return cmp.Compare(a[:n], c[:n])
	}
	// With the roles exchanged, so that a is the shorter.
	if len(a) > len(c) {
		return -compareJoined(c, d, a, b)
	}
	// a is the start of c: b stands against the rest of c, then d.
	rest := c[len(a):]
	if n := min(len(b), len(rest)); b[:n] != rest[:n] {
		return cmp.Compare(b[:n], rest[:n])
	}
	if len(b) < len(rest) {
		return -1
	}
	return cmp.Compare(b[len(rest):], d)
}

// best takes the pair that comes first, -1 if there is none.
func (m *merger) best() int32 {
	// An entry whose pair has lost places since sinks to where it belongs now.
	// Counts never rise, so whatever is on top with its true count is the best.
	for len(m.heap) > 0 {
		top := m.heap[0]
		p := &m.pairs[top.pair]
		switch {
		case p.dead:
			m.drop()
		case p.count != top.count:
			m.heap[0].count = p.count
			m.down(0)
		default:
			m.drop()
			return top.pair
		}
	}
	return -1
}

// push lets a pair compete.
func (m *merger) push(e heapEntry) {
	m.heap = append(m.heap, e)
	h, i := m.heap, len(m.heap)-1
	for i > 0 {
		up := (i - 1) / 2
		if !m.before(e, h[up]) {
			break
		}
		h[i], i = h[up], up
	}
	h[i] = e
}

// drop takes the top of the heap away.
func (m *merger) drop() {
	last := len(m.heap) - 1
	m.heap[0] = m.heap[last]
	m.heap = m.heap[:last]
	if last > 0 {
		m.down(0)
	}
}

// down lets the entry at i sink to its place.
func (m *merger) down(i int) {
	h := m.heap
	e := h[i]
	for {
		d := 2*i + 1
		if d >= len(h) {
			break
		}
		if d+1 < len(h) && m.before(h[d+1], h[d]) {
			d++
		}
		if !m.before(h[d], e) {
			break
		}
		h[i], i = h[d], d
	}
	h[i] = e
}

// pairIndex finds the number of a pair: a hash table with open addressing.
type pairIndex struct {
	slots []indexSlot
	used  int
}

type indexSlot struct {
	left, right int32 // left is -1 in an empty slot
	pair        int32
}

// newPairIndex makes an empty table; size is a power of two.
func newPairIndex(size int) pairIndex {
	x := pairIndex{slots: make([]indexSlot, size)}
	for i := range x.slots {
		x.slots[i].left = -1
	}
	return x
}

// find returns the slot of a pair, or the empty one where it belongs.
//
// There always is an empty slot, as the table is at most half full.
func (x *pairIndex) find(left, right int32) *indexSlot {
	mask := uint64(len(x.slots) - 1)
	// Fibonacci hashing: the upper bits depend on all of both.
	h := (uint64(uint32(left))<<32 | uint64(uint32(right))) * 0x9E3779B97F4A7C15
	for i := h >> 20 & mask; ; i = (i + 1) & mask {
		s := &x.slots[i]
		if s.left < 0 || s.left == left && s.right == right {
			return s
		}
	}
}

// put fills the empty slot that find returned.
func (x *pairIndex) put(s *indexSlot, left, right, pair int32) {
	*s = indexSlot{left, right, pair}
	x.used++
	// At most half full, so that searches stay short.
	if 2*x.used > len(x.slots) {
		bigger := newPairIndex(2 * len(x.slots))
		for _, s := range x.slots {
			if s.left >= 0 {
				*bigger.find(s.left, s.right) = s
			}
		}
		bigger.used = x.used
		*x = bigger
	}
}
