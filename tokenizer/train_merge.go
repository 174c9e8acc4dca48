package tokenizer

import (
	"context"
	"math"
	"unicode/utf8"
)

// The merger holds every distinct word once, as a row of cells, one for each
// character. A symbol of n characters lies in n cells: the first holds its
// number, the last -(n-1), the way back to the first, and those between some
// negative number. Words are kept apart by walls, and so are the characters
// around one that gets no piece.
//
//	▁ t h e |   →   ▁t . h e |   →   ▁t . he . |   →   ▁the . . . |
//
// Each pair of symbols that may merge knows how often it occurs and where. A
// pair gets all its places while the younger of its two symbols comes into
// being, and only loses some after that; so counts never rise, and a heap with
// outdated counts finds the most frequent pair.
type merger struct {
	opt     *TrainOptions
	cells   []int32
	bounds  []countBound // where words of the next lower count start
	symbols []trainSymbol
	pairs   []trainPair
	index   pairIndex
	heap    []heapEntry
	places  []uint32 // of all pairs, each a stretch
	kept    []uint64 // bit i: the pair of equal symbols at cell i counts
	made    map[string]bool
	scripts *scriptSet

	found []placed // the places of pairs that come into being in the merge at hand
}

// It is below every distance that a cell may hold.
const wall = math.MinInt32

// One for each distinct count: text has few of those beside its words.
type countBound struct {
	cell  uint32
	count int64
}

// trainSymbol is a character or what merged. Scripts are those of the first
// and last characters that have one.
type trainSymbol struct {
	text        string
	chars       int32
	first, last script
	blank       bool // only spaces
	spaced      bool // starts with a space
	digit       bool // holds a digit
}

// Pairs are never removed, since the heap and the index know them by number.
type trainPair struct {
	left, right int32
	count       int64
	from, size  uint32 // its stretch of places
	dead        bool   // merged, or another way to a piece that exists
	double      bool   // left and right are the same
}

type placed struct {
	pair  int32
	place uint32
}

// newMerger lays out the words, most frequent first, and finds their pairs.
func newMerger(words []wordCount, chars []charCount, opt *TrainOptions) *merger {
	m := &merger{opt: opt, made: map[string]bool{}, scripts: scripts(), index: newPairIndex(1 << 16)}
	// Their numbers come before those of all pieces.
	// Characters are the first symbols, in the order of their counts.
	number := make(map[rune]int32, len(chars))
	for i, c := range chars {
		number[c.r] = int32(i)
		m.symbols = append(m.symbols, m.charSymbol(c.r))
	}
	size := 1
	for i := range words {
		size += 1 + utf8.RuneCountInString(words[i].text)
	}
	m.cells = append(make([]int32, 0, size), wall)
	// Words are in order of their counts, so that the count of the word at any
	// cell can be found from few bounds, instead of being kept for each.
	last := int64(-1)
	for _, w := range words {
		if w.count != last {
			m.bounds = append(m.bounds, countBound{uint32(len(m.cells)), w.count})
			last = w.count
		}
		for _, r := range w.text {
			if r == ' ' {
				r = '▁'
				// SentencePiece's spelling of a space, which the text of a piece
				// has.
			}
			if s, ok := number[r]; ok {
				m.cells = append(m.cells, s)
				// A character without a piece parts the word in two.
			} else {
				m.cells = append(m.cells, wall)
			}
		}
		m.cells = append(m.cells, wall)
	}
	// Places are numbers of cells, in 32 bits: 4 billion characters of distinct
	// words, which MaxMemory keeps training well below.
	m.kept = make([]uint64, len(m.cells)/64+1)
	m.firstPairs()
	return m
}

// charSymbol makes the symbol of a character.
func (m *merger) charSymbol(r rune) trainSymbol {
	s := trainSymbol{text: string(r), chars: 1, first: scriptNone, last: scriptNone}
	// Full-width digits are digits too.
	s.digit = '0' <= r && r <= '9' || '０' <= r && r <= '９'
	s.blank = r == '▁'
	s.spaced = s.blank
	switch c := m.scripts.joint(r); {
	case s.blank:
	case s.digit && !m.opt.SplitByNumber:
		s.first, s.last = scriptAny, scriptAny
	case c != m.scripts.inherited:
		s.first, s.last = c, c
	}
	return s
}

// joins says whether two symbols may become one piece.
func (m *merger) joins(a, b *trainSymbol) bool {
	switch {
	case int(a.chars+b.chars) > m.opt.MaxPieceLength:
		return false
	case b.spaced:
		// Spaces stand first in a piece, or make it up.
		// A run of spaces does not take text in; a single space does.
		return m.opt.SpaceOnlyPieces && a.blank && b.blank
	case a.blank && a.chars > 1:
		return false
	case m.opt.SplitDigits && (a.digit || b.digit):
		return false
	}
	return !m.opt.SplitByScript || a.last < 0 || b.first < 0 || a.last == b.first
}

// join makes the symbol of a pair. Characters without a script of their own,
// such as accents, take that of the character before.
func (m *merger) join(a, b *trainSymbol) trainSymbol {
	s := trainSymbol{
		text: a.text + b.text, chars: a.chars + b.chars, first: a.first, last: b.last,
		blank: a.blank && b.blank, spaced: a.spaced, digit: a.digit || b.digit,
	}
	if s.first == scriptNone {
		s.first = b.first
	}
	if s.last == scriptNone {
		s.last = a.last
	}
	return s
}

// pair returns the number of a pair, -1 if the two may not join. A pair that is
// met for the first time is added.
//
// That two may not join is remembered as well, as -1, so that it is asked once.
func (m *merger) pair(left, right int32) int32 {
	slot := m.index.find(left, right)
	if slot.left >= 0 {
		return slot.pair
	}
	n := int32(-1)
	if m.joins(&m.symbols[left], &m.symbols[right]) {
		n = int32(len(m.pairs))
		m.pairs = append(m.pairs, trainPair{left: left, right: right, double: left == right})
	}
	m.index.put(slot, left, right, n)
	return n
}

// firstPairs finds the pairs of neighbouring characters.
func (m *merger) firstPairs() {
	// The first round finds which pairs there are and how many places each has,
	// the second writes the places down.
	cells := m.cells
	at := make([]int32, len(cells)) // the pair that starts at each cell
	// Cell 0 is a wall, and so is the last: i-1 and i+1 exist wherever a symbol
	// lies.
	for i := range at {
		at[i] = -1
		if cells[i] < 0 || cells[i+1] < 0 {
			continue
		}
		p := m.pair(cells[i], cells[i+1])
		if p < 0 {
			continue
		}
		// aaa holds aa at two places, of which only the first counts.
		if m.pairs[p].double && !m.opt.CountOverlaps {
			if at[i-1] == p {
				continue
			}
			m.keep(uint32(i), true)
		}
		at[i] = p
		m.pairs[p].size++
	}
	// Each pair's places are one stretch of one array, in order: a list for each
	// of a million pairs would take more memory than the places themselves.
	total := uint32(0)
	for i := range m.pairs {
		p := &m.pairs[i]
		p.from, total, p.size = total, total+p.size, 0
	}
	// Room for half as many again: pairs that come into being later have their
	// places behind.
	m.places = make([]uint32, total, int(total)+int(total)/2)
	b := 0
	for i, p := range at {
		for b+1 < len(m.bounds) && m.bounds[b+1].cell <= uint32(i) {
			b++
		}
		if p < 0 {
			continue
		}
		q := &m.pairs[p]
		m.places[q.from+q.size] = uint32(i)
		q.size++
		q.count += m.bounds[b].count
	}
	for i := range m.pairs {
		m.heap = append(m.heap, heapEntry{m.pairs[i].count, int32(i)})
	}
	// From the bottom up, in linear time.
	for i := len(m.heap)/2 - 1; i >= 0; i-- {
		m.down(i)
	}
}

// isKept and keep read and write a bit of kept.
func (m *merger) isKept(i uint32) bool { return m.kept[i>>6]&(1<<(i&63)) != 0 }

func (m *merger) keep(i uint32, on bool) {
	m.kept[i>>6] &^= 1 << (i & 63)
	if on {
		m.kept[i>>6] |= 1 << (i & 63)
	}
}

// run makes up to n pieces and returns their texts. There are fewer if the
// pairs run out.
func (m *merger) run(ctx context.Context, n int) ([]string, error) {
	var texts []string
	for len(texts) < n && len(m.heap) > 0 {
		p := m.best()
		if p < 0 {
			break
		}
		pair := &m.pairs[p]
		pair.dead = true
		// ▁a and b may have made ▁ab before ▁ and ab come up to make it again.
		text := m.symbols[pair.left].text + m.symbols[pair.right].text
		if m.made[text] {
			// Another way to spell a piece that exists. SentencePiece lets
			// its places be: the two stay apart from here on.
			continue
		}
		m.made[text] = true
		texts = append(texts, text)
		count := pair.count
		m.merge(p)
		// Often enough to be cancelled soon, seldom enough to cost nothing.
		if len(texts)%64 == 0 || len(texts) == n {
			m.opt.Progress(Progress{Phase: "merge", Done: int64(len(texts)), Total: int64(n), Piece: text, Count: count})
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
	}
	return texts, nil
}

// merge joins a pair at all its places.
func (m *merger) merge(p int32) {
	// Pairs and symbols are looked up by number throughout: both lists grow
	// while this runs.
	left, right := m.pairs[p].left, m.pairs[p].right
	places := m.places[m.pairs[p].from : m.pairs[p].from+m.pairs[p].size]
	double := m.pairs[p].double && !m.opt.CountOverlaps
	s := int32(len(m.symbols))
	m.symbols = append(m.symbols, m.join(&m.symbols[left], &m.symbols[right]))
	nl, nr := uint32(m.symbols[left].chars), uint32(m.symbols[right].chars)
	m.found = m.found[:0]
	old := int32(len(m.pairs)) // pairs from here on come into being now
	bound := 0
	// Places are in the order of the text, so that the bound for the count only
	// moves on.
	for _, at := range places {
		// The place counts only if the pair is still there: in aaa, the second
		// aa went with the first.
		mid := at + nl
		if m.cells[at] != left || m.cells[mid] != right || (double && !m.isKept(at)) {
			continue
		}
		for bound+1 < len(m.bounds) && m.bounds[bound+1].cell <= at {
			bound++
		}
		// The neighbours lose a pair each, with the old symbols, and gain one
		// with the new symbol.
		count := m.bounds[bound].count
		before, after := at-1, mid+nr
		if c := m.cells[before]; c != wall {
			// The cell before is the last of a longer symbol, or all of one.
			if c < 0 {
				before -= uint32(-c)
			}
			m.lose(before, m.cells[before], left, count, p)
		} else {
			before = at
		}
		if m.cells[after] != wall {
			m.lose(mid, right, m.cells[after], count, p)
		}
		// A right part of one cell is its own last cell: the second line then
		// overwrites the first.
		m.cells[mid] = -1
		m.cells[after-1] = -int32(nl + nr - 1)
		m.cells[at] = s
		if before != at {
			m.gain(before, m.cells[before], s, count)
		}
		if m.cells[after] != wall {
			m.gain(at, s, m.cells[after], count)
		}
	}
	m.settle(old)
}

// lose takes a place of a pair away.
//
// The places of the pair that is merging go all at once, and need not be
// counted down.
func (m *merger) lose(at uint32, left, right int32, count int64, merging int32) {
	p := m.pair(left, right)
	if p < 0 || p == merging || (left == right && !m.opt.CountOverlaps && !m.isKept(at)) {
		return
	}
	m.pairs[p].count -= count
}

// gain adds a place to a pair, which came into being in this merge.
//
// Such a pair has the new symbol in it, so nobody has counted it before.
func (m *merger) gain(at uint32, left, right int32, count int64) {
	p := m.pair(left, right)
	if p < 0 {
		return
	}
	m.found = append(m.found, placed{p, at})
	m.pairs[p].size++
	if left == right && !m.opt.CountOverlaps {
		m.keep(at, false) // settle decides
		return
	}
	m.pairs[p].count += count
}

// settle gives the pairs from number old on, which came into being in this
// merge, their places and lets them compete.
func (m *merger) settle(old int32) {
	// As in firstPairs, a stretch for each, filled in the order of the text.
	total := uint32(len(m.places))
	for i := old; i < int32(len(m.pairs)); i++ {
		p := &m.pairs[i]
		p.from, total, p.size = total, total+p.size, 0
	}
	m.places = append(m.places, make([]uint32, len(m.found))...)
	for _, f := range m.found {
		p := &m.pairs[f.pair]
		m.places[p.from+p.size] = f.place
		p.size++
	}
	for i := old; i < int32(len(m.pairs)); i++ {
		// Which places of a run overlap is only known when all of them are
		// there.
		p := &m.pairs[i]
		if p.double && !m.opt.CountOverlaps {
			m.settleDouble(p)
		}
		m.push(heapEntry{p.count, i})
	}
}

// settleDouble counts a pair of equal symbols: at every other place of a run.
//
// In aaaa the pair aa is at three places, of which the first and the third
// count.
func (m *merger) settleDouble(p *trainPair) {
	// Two places overlap if the second starts where the first has its right half.
	step := uint32(m.symbols[p.left].chars)
	bound, taken := 0, uint32(0)
	for _, at := range m.places[p.from : p.from+p.size] {
		for bound+1 < len(m.bounds) && m.bounds[bound+1].cell <= at {
			bound++
		}
		if taken != 0 && at == taken+step {
			taken = 0
			continue
		}
		taken = at
		m.keep(at, true)
		p.count += m.bounds[bound].count
	}
}
