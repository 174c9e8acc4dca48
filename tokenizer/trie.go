package tokenizer

import (
	"cmp"
	"slices"
	"strings"
)

// A trie maps byte strings to symbols and finds the longest one that begins a
// text. It is a double array (Aoe 1989): the child of cell s under byte c is
// cell base[s]+c, and is real only if its parent says s. One step is one load.
//
// Cells that no string leads to are shared out among others, so that the array
// has few more cells than the trie has nodes.
type trie struct {
	cells []trieCell
}

// Base and symbol are looked at with every byte of a text; the three numbers
// lie in one line of the cache.
type trieCell struct {
	base   int32
	parent int32 // -1: free
	symbol int32 // -1: no string ends here
}

// longest returns the symbol of the longest string that begins s, -1 if none
// does.
//
// The loop ends at the first byte that no piece goes on with, wherever that is.
func (t *trie) longest(s []byte) int32 {
	// Keeping the slice in a local variable lets the compiler drop bounds checks
	// in the loop that encoding spends most of its time in.
	cells := t.cells
	at, best := int32(0), int32(-1)
	for _, c := range s {
		next := cells[at].base + int32(c)
		// One comparison finds both ends: a negative index is a large number.
		if uint32(next) >= uint32(len(cells)) {
			break
		}
		cell := &cells[next]
		if cell.parent != at {
			break
		}
		if cell.symbol >= 0 {
			best = cell.symbol
		}
		at = next
	}
	return best
}

// prefixes calls f with the symbol and length of each string that begins s,
// short ones first, until f returns false.
//
// The rules are built this way; encoding asks for the longest alone.
func (t *trie) prefixes(s string, f func(symbol int32, n int) bool) {
	at := int32(0)
	for i := 0; i < len(s); i++ {
		next := t.cells[at].base + int32(s[i])
		if uint32(next) >= uint32(len(t.cells)) || t.cells[next].parent != at {
			return
		}
		at = next
		if sym := t.cells[at].symbol; sym >= 0 && !f(sym, i+1) {
			return
		}
	}
}

// find returns the symbol of s, -1 if it is not there.
func (t *trie) find(s string) int32 {
	if at := t.cell(s); at >= 0 {
		return t.cells[at].symbol
	}
	return -1
}

// remove takes s out. Strings that s begins stay.
//
// The cells stay, so that nothing else moves.
func (t *trie) remove(s string) {
	if at := t.cell(s); at >= 0 {
		t.cells[at].symbol = -1
	}
}

// cell returns where s ends, -1 if no string begins with it.
func (t *trie) cell(s string) int32 {
	cells, at := t.cells, int32(0)
	for i := 0; i < len(s); i++ {
		next := cells[at].base + int32(s[i])
		if uint32(next) >= uint32(len(cells)) || cells[next].parent != at {
			return -1
		}
		at = next
	}
	return at
}

// trieKey is one string of a trie. Strings are not empty.
type trieKey struct {
	text   string
	symbol int32
}

// newTrie builds a trie; it sorts keys. Of equal strings the largest symbol stays.
func newTrie(keys []trieKey) trie {
	// In order, so that the keys of a subtree are neighbours.
	slices.SortFunc(keys, func(a, b trieKey) int {
		if c := strings.Compare(a.text, b.text); c != 0 {
			return c
		}
		return cmp.Compare(a.symbol, b.symbol)
	})
	b := trieBuilder{keys: keys}
	b.grow(512)
	// Cell 0 is the root, its own parent. No child is at 0, since bases are
	// positive.
	b.take(0, 0) // the root
	b.place(0, 0, len(keys), 0)
	return trie{b.cells}
}

// trieBuilder fills a double array. Free cells form a ring through base
// (next) and symbol (previous), so that searching visits free cells only.
//
// Both numbers of a free cell have no other use.
type trieBuilder struct {
	keys  []trieKey
	cells []trieCell
	free  int32 // where searching the ring starts, -1 if none is free
	end   int32 // from here on all cells are free

	labels []byte // first bytes of children, of the nodes being placed
}

// grow appends n free cells.
func (b *trieBuilder) grow(n int) {
	start := int32(len(b.cells))
	if start == 0 {
		b.free = -1
	}
	for i := start; i < start+int32(n); i++ {
		// New cells are linked in at the end of the ring.
		b.cells = append(b.cells, trieCell{parent: -1})
		if b.free < 0 {
			b.free = i
			b.cells[i].base, b.cells[i].symbol = i, i
			continue
		}
		last := b.cells[b.free].symbol
		b.cells[i].base, b.cells[i].symbol = b.free, last
		b.cells[last].base, b.cells[b.free].symbol = i, i
	}
}

// take removes cell i from the ring and gives it a parent.
//
// From then on base and symbol have their real meaning.
func (b *trieBuilder) take(i, parent int32) {
	next, prev := b.cells[i].base, b.cells[i].symbol
	b.cells[prev].base, b.cells[next].symbol = next, prev
	if b.free == i {
		b.free = next
		if next == i {
			b.free = -1
		}
	}
	b.cells[i] = trieCell{base: 0, parent: parent, symbol: -1}
	b.end = max(b.end, i+1)
}

// place builds the subtree under cell at for keys[lo:hi], which agree in their
// first depth bytes.
func (b *trieBuilder) place(at int32, lo, hi, depth int) {
	// Equal strings are neighbours, and the last of them wins.
	for lo < hi && len(b.keys[lo].text) == depth {
		b.cells[at].symbol = b.keys[lo].symbol
		lo++
	}
	if lo == hi {
		return
	}
	// The children stand in order in keys[lo:hi], each with the keys below it.
	// Their first bytes are kept in one stack for all depths.
	mark := len(b.labels)
	for i := lo; i < hi; i++ {
		if c := b.keys[i].text[depth]; len(b.labels) == mark || b.labels[len(b.labels)-1] != c {
			b.labels = append(b.labels, c)
		}
	}
	base := b.findBase(b.labels[mark:])
	b.cells[at].base = base
	for _, c := range b.labels[mark:] {
		// All children first: their own subtrees must not take these cells.
		b.take(base+int32(c), at)
	}
	b.labels = b.labels[:mark]
	// The keys of one child are a stretch, as keys are sorted.
	for lo < hi {
		c, end := b.keys[lo].text[depth], lo+1
		for end < hi && b.keys[end].text[depth] == c {
			end++
		}
		b.place(base+int32(c), lo, end, depth+1)
		lo = end
	}
}

// findBase returns a base under which the cells of all labels are free. It
// gives up searching early and takes cells behind all others, so that building
// stays linear.
//
// The bound on tries leaves some cells unused; without it, a full array would
// be searched for every node.
func (b *trieBuilder) findBase(labels []byte) int32 {
	const tries = 32
	first := int32(labels[0])
	for n := 0; n < tries && b.free >= 0; n++ {
		if base := b.free - first; base > 0 && b.fits(base, labels) {
			return base
		}
		if n > 0 || len(labels) > 1 {
			b.free = b.cells[b.free].base // crowded here: let the next search start further on
		}
	}
	base := max(b.end-first, 1)
	// A label is a byte, so 256 cells behind the base are enough for all of
	// them. Growing by a quarter keeps the number of copies low.
	if need := int(base) + 256 - len(b.cells); need > 0 {
		b.grow(need + len(b.cells)/4)
	}
	return base
}

// fits says whether the cells of all labels are free under base.
func (b *trieBuilder) fits(base int32, labels []byte) bool {
	for _, c := range labels {
		i := base + int32(c)
		if int(i) >= len(b.cells) || b.cells[i].parent >= 0 {
			return false
		}
	}
	return true
}
