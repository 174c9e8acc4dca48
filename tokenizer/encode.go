package tokenizer

import (
	"math"
	"unicode/utf8"
)

// state is the memory of one encoding in progress. A tokenizer keeps those
// that are not in use, so that encoding allocates only its result.
type state struct {
	// norm holds normalised text, or the first word with its dummy space. Text
	// that needs no normalising is encoded where it lies.
	norm  []byte
	dead  []uint64 // bit i: no encoding goes through place i of the word at hand
	spare []int32  // symbols while emit turns them into ids
	// Of pipelines: what each normalizer and each step makes of a text, and
	// where steps have cut.
	bufs []*[]byte
	cuts []cut
	join jsonDecoder
	// Words repeat, in prose above all.
	cache []cached
	// Only vocabularies with unused pieces need these.
	g    greedy
	seen map[int32][2]int32 // unused symbol → the pair it was last made of
}

// get takes the memory of an encoding that has ended, or new memory. A list
// under a lock does what sync.Pool would, but keeps the words that a state has
// learned for as long as the tokenizer lives.
func (t *BPE) get() *state {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.idle); n > 0 {
		st := t.idle[n-1]
		t.idle = t.idle[:n-1]
		return st
	}
	return &state{cache: make([]cached, cacheSize)}
}

// maxKeep bounds the text buffer that an idle state holds on to, in bytes.
const maxKeep = 1 << 20

// put gives the memory back, without what an unusually long text needed.
func (t *BPE) put(st *state) {
	if cap(st.norm) > maxKeep {
		st.norm, st.dead, st.spare = nil, nil, nil
	}
	for _, b := range st.bufs {
		if cap(*b) > maxKeep {
			st.bufs, st.cuts = nil, nil
			break
		}
	}
	t.mu.Lock()
	t.idle = append(t.idle, st)
	t.mu.Unlock()
}

// buffer is the n-th buffer of a pipeline.
func (st *state) buffer(n int) *[]byte {
	for len(st.bufs) <= n {
		st.bufs = append(st.bufs, new([]byte))
	}
	return st.bufs[n]
}

// Encode appends the ids of text to dst. It takes time linear in the text and
// allocates nothing once dst is large enough.
func (t *BPE) Encode(dst []int32, text []byte) []int32 {
	// Not even the dummy space.
	if len(text) == 0 {
		return dst
	}
	st := t.get()
	defer t.put(st)
	from := len(dst)
	if t.hf != nil {
		return t.hf.encode(t, st, dst, text)
	}
	// The common case comes first: LLaMA's own rules and text that is UTF-8.
	if t.plain(text) {
		return t.encodeWords(st, dst, from, text, t.cfg.DummyPrefix)
	}
	st.norm = t.normalize(st.norm[:0], text)
	text = st.norm
	if t.unused {
		// What an unused piece is split into depends on which merges were
		// looked at, not only on those made: the search below cannot know.
		return t.encodeUnused(st, dst, text)
	}
	if t.user.cells == nil {
		return t.encodeWords(st, dst, from, text, false)
	}
	// User-defined pieces cut the text: nothing merges with them.
	begin := 0
	for i := 0; i < len(text); {
		id := t.user.longest(text[i:])
		if id < 0 {
			_, n := utf8.DecodeRune(text[i:])
			i += n
			continue
		}
		dst = t.encodeWords(st, dst, from, text[begin:i], false)
		dst = append(dst, id)
		i += len(t.internal(t.pieces[id].Text))
		begin = i
	}
	return t.encodeWords(st, dst, from, text[begin:], false)
}

// encodeWords appends the ids of normalised text, with a space before it if
// prefix is set. It cuts the text where no merge can cross, which is before
// most spaces. What this call of Encode has produced starts at dst[from].
func (t *BPE) encodeWords(st *state, dst []int32, from int, text []byte, prefix bool) []int32 {
	r := &t.rules
	begin, i := 0, 1
	if prefix {
		// The first word is copied to put the space before it; the rest of
		// the text stays where it is.
		for i = 0; i < len(text); i++ {
			last := byte(' ')
			if i > 0 {
				last = text[i-1]
			}
			if !r.crosses(last, text[i]) {
				break
			}
		}
		st.norm = append(append(st.norm[:0], ' '), text[:i]...)
		dst = t.encodeWord(st, dst, from, st.norm)
		begin = i
		i++
	}
	for ; i < len(text); i++ {
		if !r.crosses(text[i-1], text[i]) {
			dst = t.encodeWord(st, dst, from, text[begin:i])
			begin = i
		}
	}
	if begin < len(text) {
		dst = t.encodeWord(st, dst, from, text[begin:])
	}
	return dst
}

// encodeWord appends the ids of a stretch of text that nothing merges with.
func (t *BPE) encodeWord(st *state, dst []int32, from int, word []byte) []int32 {
	// Rare, and not worth the memory.
	if len(word) > maxCached {
		return t.merge(st, dst, from, word)
	}
	// Most words of prose end here.
	lo, hi := wordKey(word)
	c := &st.cache[wordSlot(lo, hi, len(word))]
	if c.lo == lo && c.hi == hi && int(c.size) == len(word) {
		return append(dst, c.ids[:c.n]...)
	}
	start := len(dst)
	dst = t.merge(st, dst, from, word)
	// Neighbouring unknown characters become one id across words, so what
	// starts with one or follows one is not remembered.
	if n := len(dst) - start; n > 0 && n <= len(c.ids) && dst[start] != t.unk && (start == from || dst[start-1] != t.unk) {
		c.lo, c.hi, c.size, c.n = lo, hi, uint8(len(word)), uint8(n)
		copy(c.ids[:], dst[start:])
	}
	return dst
}

// merge appends the ids of a word by searching for the one sequence of
// symbols in which all neighbours are compatible: the longest symbol first,
// shorter ones when it does not fit, and a step back when none does. A place
// that was left that way lies on no encoding, for only one sequence of
// compatible symbols leads to any place; so every place is tried once.
func (t *BPE) merge(st *state, dst []int32, from int, word []byte) []int32 {
	r := &t.rules
	// Nearly all words fit the bits on the stack; clearing those costs nothing.
	var small [4]uint64
	dead := small[:]
	if len(word) >= 64*len(small) {
		dead = st.clearDead(len(word))
	}
	start := len(dst) // where the symbols since the last unknown character start
	at := 0
	sym := r.trie.longest(word)
	for {
		// Look for the longest symbol that may stand here: it must not lead to
		// a place that was given up, nor merge with the symbol before it.
		for sym >= 0 {
			end := at + len(r.text[sym])
			if dead[end>>6]&(1<<(end&63)) == 0 &&
				(len(dst) == start || r.compatible(dst[len(dst)-1], sym)) {
				break
			}
			sym = r.shorter[sym]
		}
		switch {
		case sym >= 0:
			dst = append(dst, sym)
			at += len(r.text[sym])
			if at == len(word) {
				return t.emitSymbols(st, dst, start, from)
			}
			sym = r.trie.longest(word[at:])
			if sym < 0 {
				// A character that no piece holds ends what can merge.
				dst = t.emitSymbols(st, dst, start, from)
				dst, at = t.emitUnknowns(dst, from, word, at)
				start = len(dst)
				if at == len(word) {
					return dst
				}
				sym = r.trie.longest(word[at:])
			}
		case at == 0 && len(dst) == start && r.trie.longest(word) < 0:
			// The word starts with characters that no piece holds. At any
			// other place the case above has dealt with them.
			dst, at = t.emitUnknowns(dst, from, word, at)
			start = len(dst)
			if at == len(word) {
				return dst
			}
			sym = r.trie.longest(word[at:])
		default:
			// Nothing may stand here: go back and try a shorter symbol. Every
			// text has an encoding, so there always is one to go back to.
			dead[at>>6] |= 1 << (at & 63)
			last := dst[len(dst)-1]
			dst = dst[:len(dst)-1]
			at -= len(r.text[last])
			sym = r.shorter[last]
		}
	}
}

// clearDead returns zeroed bits for the places 0 to n of a word.
func (st *state) clearDead(n int) []uint64 {
	need := n/64 + 1
	if cap(st.dead) < need {
		st.dead = make([]uint64, need)
	}
	st.dead = st.dead[:need]
	clear(st.dead)
	return st.dead
}

// emitUnknowns emits the characters from word[at:] on that no piece holds, and
// returns where they end.
func (t *BPE) emitUnknowns(dst []int32, from int, word []byte, at int) ([]int32, int) {
	for at < len(word) && t.rules.trie.longest(word[at:]) < 0 {
		n := 1
		if !t.rules.bytewise {
			_, n = utf8.DecodeRune(word[at:])
		}
		dst = t.emitUnknown(dst, from, word[at:at+n])
		at += n
	}
	return dst, at
}

// emitUnknown emits one unknown character: its bytes, or the unknown piece
// once for a run of them.
func (t *BPE) emitUnknown(dst []int32, from int, char []byte) []int32 {
	if t.cfg.ByteFallback {
		// Inside, a space is one byte, but its bytes are those of ▁.
		if t.cfg.EscapeSpaces && len(char) == 1 && char[0] == ' ' {
			char = []byte(space)
		}
		for _, b := range char {
			dst = append(dst, t.bytes[b])
		}
		return dst
	}
	// Without an unknown piece, Hugging Face leaves the character out.
	if t.unk < 0 || (!t.keepUnknowns && len(dst) > from && dst[len(dst)-1] == t.unk) {
		return dst
	}
	return append(dst, t.unk)
}

// emitSymbols turns the symbols dst[start:] into ids. For most vocabularies
// they are the same.
//
// Where symbols are not ids, a table says which they are, and unused ones may
// be unknown.
func (t *BPE) emitSymbols(st *state, dst []int32, start, from int) []int32 {
	if t.emit == nil {
		return dst
	}
	st.spare = append(st.spare[:0], dst[start:]...)
	dst = dst[:start]
	for _, sym := range st.spare {
		dst = t.emitSymbol(dst, from, sym)
	}
	return dst
}

// emitSymbol turns one symbol into its ids.
func (t *BPE) emitSymbol(dst []int32, from int, sym int32) []int32 {
	if pair, ok := t.split[sym]; ok {
		dst = t.emitSymbol(dst, from, pair[0])
		return t.emitSymbol(dst, from, pair[1])
	}
	id, ok := t.emit[sym]
	switch {
	case !ok:
		return append(dst, sym)
	case id == t.unk:
		return t.emitUnknown(dst, from, []byte(t.rules.text[sym]))
	}
	return append(dst, id)
}

// unknownSymbol stands for characters that no piece holds, where one is needed.
const unknownSymbol = math.MaxInt32 - 1

// encodeUnused encodes for vocabularies with unused pieces. Those merge like
// others, but in the end are split into what they were last made of.
func (t *BPE) encodeUnused(st *state, dst []int32, text []byte) []int32 {
	g, from := &st.g, len(dst)
	// A pair is noted when it comes to stand side by side, merged or not, and a
	// later one of the same spelling takes its place: so SentencePiece does it.
	if st.seen == nil {
		st.seen = map[int32][2]int32{}
	}
	clear(st.seen)
	note := func(left, right, result int32) {
		if t.pieces[result].Kind == KindUnused {
			st.seen[result] = [2]int32{left, right}
		}
	}
	var split func(sym int32)
	split = func(sym int32) {
		if pair, ok := st.seen[sym]; ok {
			split(pair[0])
			split(pair[1])
			return
		}
		dst = append(dst, sym)
		dst = t.emitSymbols(st, dst, len(dst)-1, from)
	}
	for len(text) > 0 {
		// Nothing merges with a user-defined piece: the texts between them are
		// merged one after the other.
		g.reset()
		stretch, i := text, 0
		user := int32(-1)
		for i < len(text) {
			if t.user.cells != nil {
				if user = t.user.longest(text[i:]); user >= 0 {
					break
				}
			}
			_, n := utf8.DecodeRune(text[i:])
			sym := t.rules.trie.find(string(text[i : i+n]))
			if sym < 0 {
				sym = unknownSymbol
			}
			g.add(sym)
			i += n
		}
		text = text[i:]
		if len(g.sym) > 0 {
			g.runSeen(&t.rules.pairs, nil, note)
			for at, where := int32(0), 0; at >= 0; at = g.next[at] {
				if g.sym[at] == unknownSymbol {
					_, n := utf8.DecodeRune(stretch[where:])
					dst = t.emitUnknown(dst, from, stretch[where:where+n])
					where += n
					continue
				}
				where += len(t.rules.text[g.sym[at]])
				split(g.sym[at])
			}
		}
		if user >= 0 {
			dst = append(dst, user)
			text = text[len(t.internal(t.pieces[user].Text)):]
		}
	}
	return dst
}
