package tokenizer

import (
	"cmp"
	"math"
	"slices"
	"unicode/utf8"
)

// Symbols are what merging works on: a piece, named by its id, or a character
// that pieces contain without being one itself, named by a number from the
// size of the vocabulary on.

// rules are the merges of a vocabulary: which two neighbouring symbols become
// which symbol, and how early. The pair of lowest rank merges first; of equal
// ranks, the leftmost.
type rules struct {
	text  []string // of each symbol; "" for ids that text cannot become
	pairs pairTable
	trie  trie

	// shorter[s] is the longest symbol that is a proper prefix of s, or -1.
	//
	// It is where the search goes on when a symbol does not fit.
	shorter []int32

	// A symbol comes into being by merging its characters. rightEdge lists
	// the symbols that stand at its right end meanwhile, each with the highest
	// rank among the merges made until the next one stands there; the last is
	// the symbol itself, with rank never. leftEdge is the same at the left end.
	leftStart, rightStart []uint32
	leftEdge, rightEdge   []edge

	// adjacent[a][b/8] has bit b%8 set unless no symbol holds byte b after
	// byte a with a character ending between them: there no merge crosses.
	//
	// 8 KiB, looked at with every byte of a text.
	adjacent [256][32]byte

	bytewise bool // the smallest symbols are bytes, not characters
}

type edge struct{ symbol, rank int32 }

// never is the rank of a merge that does not exist.
const never = math.MaxInt32

// compatible says whether symbols a and b stay apart when the text of a is
// followed by the text of b, given that each of them comes out of its own text
// alone. An encoding is the one sequence of symbols in which all neighbours
// are compatible: no merge can reach across two boundaries without first
// crossing one.
//
// It follows both symbols as they come into being. While e stands at the right
// end of a and f at the left end of b, the two would merge as soon as all that
// remains to be done on both sides ranks higher. The side whose highest rank
// is lower gets through first, and its next edge takes over.
func (r *rules) compatible(a, b int32) bool {
	// e and f are the symbols that stand at the boundary at some time, with the
	// highest rank that has to be gone through before the next one takes over.
	right, left := r.rightEdge[r.rightStart[a]:], r.leftEdge[r.leftStart[b]:]
	i, j := 0, 0
	for {
		e, f := right[i], left[j]
		across := r.pairs.rank(e.symbol, f.symbol)
		if e.rank <= f.rank {
			// Of equal ranks the leftmost merges first: those within a,
			// then the one across, then those within b.
			if across < e.rank {
				return false
			}
			if e.rank == never {
				return true
			}
			i++
		} else {
			if across <= f.rank {
				return false
			}
			j++
		}
	}
}

// crosses says whether a merge may cross the boundary between bytes a and b.
func (r *rules) crosses(a, b byte) bool {
	return r.adjacent[a][b>>3]&(1<<(b&7)) != 0
}

// index builds the trie over all symbols.
func (r *rules) index() {
	keys := make([]trieKey, 0, len(r.text))
	for s, text := range r.text {
		if text != "" {
			keys = append(keys, trieKey{text, int32(s)})
		}
	}
	r.trie = newTrie(keys)
}

// build fills the tables that follow from text, trie and pairs. Symbols that do
// not come out of their own text can be no part of an encoding: they leave the
// trie.
//
// Whether a symbol comes out of its own text is decided once, here: encoding
// then never meets one that does not.
func (r *rules) build() {
	n := len(r.text)
	r.leftStart, r.rightStart = make([]uint32, n), make([]uint32, n)
	// Room for a few edges of each symbol, to begin with.
	r.leftEdge, r.rightEdge = make([]edge, 0, 4*n), make([]edge, 0, 4*n)
	// The trie must stay whole until all symbols are derived, for it holds the
	// characters that they are derived from.
	var d deriver
	var lost []string
	for s, text := range r.text {
		if text == "" {
			continue
		}
		if d.derive(r, text, int32(s)) {
			r.leftStart[s], r.rightStart[s] = uint32(len(r.leftEdge)), uint32(len(r.rightEdge))
			r.leftEdge, r.rightEdge = append(r.leftEdge, d.left...), append(r.rightEdge, d.right...)
		} else {
			lost = append(lost, text)
		}
		// Lost symbols count as well: the table must have every place that a
		// merge could cross.
		r.noteAdjacent(text)
	}
	for _, text := range lost {
		r.trie.remove(text)
	}
	r.shorter = make([]int32, n)
	for s, text := range r.text {
		r.shorter[s] = -1
		r.trie.prefixes(text, func(symbol int32, n int) bool {
			if n < len(text) {
				r.shorter[s] = symbol
			}
			return true
		})
	}
	// A character is never cut, whatever follows whatever inside of it.
	for a := range r.adjacent {
		for b := 0x80; b < 0xC0 && !r.bytewise; b++ {
			r.adjacent[a][b>>3] |= 1 << (b & 7) // inside a character
		}
	}
}

// unit is the length of the character, or byte, that begins s.
func (r *rules) unit(s string) int {
	if r.bytewise || s[0] < utf8.RuneSelf {
		return 1
	}
	_, n := utf8.DecodeRuneInString(s)
	return n
}

// noteAdjacent marks the pairs of bytes at the character boundaries of text.
func (r *rules) noteAdjacent(text string) {
	for i := r.unit(text); i < len(text); i += r.unit(text[i:]) {
		b := text[i]
		r.adjacent[text[i-1]][b>>3] |= 1 << (b & 7)
	}
}

// A pairTable finds the rank and result of a merge. It is a hash table with
// open addressing, at most half full; ranks lie apart from results, which only
// the slow paths need.
//
// Compatible asks for ranks alone, several times a symbol, so that a slot
// without the result is smaller.
type pairTable struct {
	slots   []pairSlot
	results []int32
	shift   uint
	used    int
}

type pairSlot struct {
	left, right int32 // left is -1 in an empty slot
	rank        int32
}

// newPairTable makes a table for n merges; it grows if there are more.
// The shift leaves as many upper bits as the size needs: 16 slots, 4 bits.
func newPairTable(n int) pairTable {
	size, shift := 16, uint(60)
	for size < 2*n+2 {
		size, shift = size*2, shift-1
	}
	p := pairTable{slots: make([]pairSlot, size), results: make([]int32, size), shift: shift}
	for i := range p.slots {
		p.slots[i].left = -1
	}
	return p
}

// start is the slot where the search for a pair begins: the upper bits of a
// product with an odd constant (Fibonacci hashing, Knuth 6.4).
func (p *pairTable) start(left, right int32) uint64 {
	return (uint64(uint32(left))<<32 | uint64(uint32(right))) * 0x9E3779B97F4A7C15 >> p.shift
}

// rank returns the rank of a merge, never if the two do not merge.
func (p *pairTable) rank(left, right int32) int32 {
	// The search ends, as there always is an empty slot.
	mask := uint64(len(p.slots) - 1)
	for i := p.start(left, right); ; i = (i + 1) & mask {
		s := &p.slots[i&mask]
		if s.left == left && s.right == right {
			return s.rank
		}
		if s.left < 0 {
			return never
		}
	}
}

// get returns rank and result of a merge.
func (p *pairTable) get(left, right int32) (rank, result int32) {
	mask := uint64(len(p.slots) - 1)
	for i := p.start(left, right); ; i = (i + 1) & mask {
		s := &p.slots[i&mask]
		if s.left == left && s.right == right {
			return s.rank, p.results[i&mask]
		}
		if s.left < 0 {
			return never, -1
		}
	}
}

// set adds a merge, or replaces it.
//
// The slots are spread anew when half of them are taken.
func (p *pairTable) set(left, right, rank, result int32) {
	if 2*p.used >= len(p.slots) {
		bigger := newPairTable(2 * p.used)
		for i, s := range p.slots {
			if s.left >= 0 {
				bigger.set(s.left, s.right, s.rank, p.results[i])
			}
		}
		*p = bigger
	}
	mask := uint64(len(p.slots) - 1)
	i := p.start(left, right) & mask
	for ; p.slots[i].left >= 0; i = (i + 1) & mask {
		if p.slots[i].left == left && p.slots[i].right == right {
			p.slots[i].rank, p.results[i] = rank, result
			return
		}
	}
	p.slots[i], p.results[i] = pairSlot{left, right, rank}, result
	p.used++
}

// sorted returns the merges by rank, then by symbols.
//
// The order depends on the merges alone, and so do hashes and files that are
// made of it.
func (p *pairTable) sorted() []pairSlot {
	slots := make([]pairSlot, 0, p.used)
	for _, s := range p.slots {
		if s.left >= 0 {
			slots = append(slots, s)
		}
	}
	slices.SortFunc(slots, func(a, b pairSlot) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.left, b.left), cmp.Compare(a.right, b.right))
	})
	return slots
}
