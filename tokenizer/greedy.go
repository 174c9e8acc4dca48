package tokenizer

// greedy is the definition of byte-pair encoding made efficient: it merges the
// pair of lowest rank, leftmost first, until none is left, with a linked list
// and a heap: O(n log n). It learns how each symbol comes into being, and
// encodes for vocabularies with unused pieces.
type greedy struct {
	sym, prev, next []int32  // a symbol lies at the place of its first character; next is -1 at the end
	rank            []int32  // of the pair that starts here, never if it does not merge
	result          []int32  // what that pair becomes
	heap            []uint64 // rank<<32 | place, a binary heap; entries may be out of date
}

// reset empties it and keeps the memory.
//
// Slices are kept between texts.
func (g *greedy) reset() {
	g.sym, g.prev, g.next, g.heap = g.sym[:0], g.prev[:0], g.next[:0], g.heap[:0]
	g.rank, g.result = g.rank[:0], g.result[:0]
}

// add appends a character's symbol.
func (g *greedy) add(sym int32) {
	i := int32(len(g.sym))
	if i > 0 {
		g.next[i-1] = i
	}
	g.sym, g.prev, g.next = append(g.sym, sym), append(g.prev, i-1), append(g.next, -1)
	g.rank, g.result = append(g.rank, never), append(g.result, -1)
}

// run merges all that merges. merged is called after each merge with the place
// of the new symbol and the rank.
func (g *greedy) run(pairs *pairTable, merged func(at, rank int32)) {
	g.runSeen(pairs, merged, nil)
}

// runSeen is run with a second function, which sees every pair that can merge
// at the moment it comes to stand side by side.
// Whoever looks at a pair puts it on the heap; an entry that is out of date is
// known by its rank.
func (g *greedy) runSeen(pairs *pairTable, merged func(at, rank int32), seen func(left, right, result int32)) {
	// look notes what the pair that starts at a place merges to.
	look := func(at int32) {
		if at < 0 || g.next[at] < 0 {
			return
		}
		l, r := g.sym[at], g.sym[g.next[at]]
		g.rank[at], g.result[at] = pairs.get(l, r)
		if g.rank[at] != never {
			g.push(uint64(g.rank[at])<<32 | uint64(at))
			if seen != nil {
				seen(l, r, g.result[at])
			}
		}
	}
	for i := range g.sym {
		look(int32(i))
	}
	// Each merge takes one symbol away and looks at two pairs, so the heap sees
	// at most three entries a character.
	for len(g.heap) > 0 {
		top := g.pop()
		at, rank := int32(uint32(top)), int32(top>>32)
		// An entry with the rank that the place has now is as good as a new
		// one.
		if g.rank[at] != rank {
			continue // the pair here has changed since
		}
		// The pair's left place holds the new symbol; the right one drops out.
		right := g.next[at]
		g.sym[at], g.next[at] = g.result[at], g.next[right]
		g.rank[at], g.rank[right] = never, never
		if g.next[at] >= 0 {
			g.prev[g.next[at]] = at
		}
		if merged != nil {
			merged(at, rank)
		}
		if p := g.prev[at]; p >= 0 {
			g.rank[p] = never
			look(p)
		}
		look(at)
	}
}

// push adds an entry to the heap: the smallest is on top, and that is the pair
// of lowest rank and, among those, the leftmost.
func (g *greedy) push(x uint64) {
	g.heap = append(g.heap, x)
	// By hand: container/heap would call through an interface for every step.
	h, i := g.heap, len(g.heap)-1
	for i > 0 {
		up := (i - 1) / 2
		if h[up] <= x {
			break
		}
		h[i], i = h[up], up
	}
	h[i] = x
}

// pop takes the smallest entry.
func (g *greedy) pop() uint64 {
	h := g.heap
	top, x := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	g.heap = h
	i := 0
	for {
		down := 2*i + 1
		if down >= len(h) {
			break
		}
		if down+1 < len(h) && h[down+1] < h[down] {
			down++
		}
		if h[down] >= x {
			break
		}
		h[i], i = h[down], down
	}
	if len(h) > 0 {
		h[i] = x
	}
	return top
}
