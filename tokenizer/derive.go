package tokenizer

// deriver finds how symbols come into being, for the edges in rules. A
// vocabulary has tens of thousands of symbols of a few characters each, so this
// is most of what loading one costs: short ones are merged in arrays on the
// spot, by looking for the lowest rank each time.
type deriver struct {
	left, right []edge // of the symbol derived last
	maxLeft     int32  // highest rank since the last change of an edge
	maxRight    int32
	g           greedy
}

// shortSymbol is the number of characters up to which looking for the lowest
// rank takes less time than keeping a heap.
const shortSymbol = 24

// derive merges the characters of text and records both edges. It reports
// whether symbol s is what comes out.
func (d *deriver) derive(r *rules, text string, s int32) bool {
	d.left, d.right, d.maxLeft, d.maxRight = d.left[:0], d.right[:0], 0, 0
	var sym [shortSymbol]int32
	n := 0
	// Symbols of single characters are in the trie whatever else is.
	for i := 0; i < len(text); n++ {
		size := r.unit(text[i:])
		u := r.trie.find(text[i : i+size])
		if u < 0 {
			return false
		}
		if n == shortSymbol {
			return d.deriveLong(r, text, s)
		}
		sym[n] = u
		i += size
	}
	d.start(sym[0], sym[n-1])
	return d.mergeShort(&r.pairs, sym[:n]) == s
}

// start begins both lists with the characters at the ends.
func (d *deriver) start(first, last int32) {
	d.left = append(d.left, edge{first, never})
	d.right = append(d.right, edge{last, never})
}

// merged notes a merge: its rank, and whether the new symbol is an edge.
// The rank that an edge carries is the highest that was merged while it stood
// at the end: only then does the next one take over.
func (d *deriver) merged(sym, rank int32, atLeft, atRight bool) {
	d.maxLeft, d.maxRight = max(d.maxLeft, rank), max(d.maxRight, rank)
	if atLeft {
		d.left[len(d.left)-1].rank, d.maxLeft = d.maxLeft, 0
		d.left = append(d.left, edge{sym, never})
	}
	if atRight {
		d.right[len(d.right)-1].rank, d.maxRight = d.maxRight, 0
		d.right = append(d.right, edge{sym, never})
	}
}

// mergeShort merges in place and returns the one symbol that is left, -1 if
// there are several.
//
// At most 24 symbols: a scan for the lowest rank costs less than a heap. Ranks
// and results move along with the symbols.
func (d *deriver) mergeShort(pairs *pairTable, sym []int32) int32 {
	var rank, result [shortSymbol]int32
	for i := 0; i+1 < len(sym); i++ {
		rank[i], result[i] = pairs.get(sym[i], sym[i+1])
	}
	// rank[i] and result[i] belong to the pair of sym[i] and sym[i+1].
	for n := len(sym); n > 1; n-- {
		at, best := 0, int32(never)
		for i := 0; i < n-1; i++ {
			if rank[i] < best {
				at, best = i, rank[i]
			}
		}
		if best == never {
			return -1
		}
		// The right part drops out, and the lists close up.
		sym[at] = result[at]
		copy(sym[at+1:n-1], sym[at+2:n])
		copy(rank[at:n-2], rank[at+1:n-1])
		copy(result[at:n-2], result[at+1:n-1])
		// The new symbol makes a pair with each neighbour.
		if at > 0 {
			rank[at-1], result[at-1] = pairs.get(sym[at-1], sym[at])
		}
		if at < n-2 {
			rank[at], result[at] = pairs.get(sym[at], sym[at+1])
		}
		d.merged(sym[at], best, at == 0, at == n-2)
	}
	return sym[0]
}

// deriveLong does the same with a heap.
func (d *deriver) deriveLong(r *rules, text string, s int32) bool {
	g := &d.g
	g.reset()
	for i := 0; i < len(text); {
		size := r.unit(text[i:])
		u := r.trie.find(text[i : i+size])
		if u < 0 {
			return false
		}
		g.add(u)
		i += size
	}
	d.start(g.sym[0], g.sym[len(g.sym)-1])
	g.run(&r.pairs, func(at, rank int32) { d.merged(g.sym[at], rank, at == 0, g.next[at] < 0) })
	return g.next[0] < 0 && g.sym[0] == s
}
