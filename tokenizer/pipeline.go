package tokenizer

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// pipeline is what Hugging Face's tokenizers do around the merging: added
// tokens are found in the text as it is, the texts between them are normalised,
// more added tokens are found in that, and what is left is cut into words.
//
// The order is Hugging Face's and decides ids: a token that is only found in
// normalised text is not found in what a raw token took away.
type pipeline struct {
	added []addedToken
	raw   matcher // tokens to find before normalising
	norm  matcher // and after it

	normalizers  []normalizer
	steps        []step // pre-tokenizers, one after the other
	dropUnknown  bool
	spelled      bool // words come out of steps with a character for each byte
	ignoreMerges bool // a word that is a piece is that piece, however it merges
	whole        map[string]int32
	fast         shortcut

	decode []decodePart
	json   *jsonFile // what the file said, for writing it again
}

// addedToken is an entry of tokenizer.json's added_tokens.
type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"` // only where no word character touches it
	LStrip     bool   `json:"lstrip"`      // takes the white space before it
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"` // found in normalised text, in normal form
	Special    bool   `json:"special"`
}

// matcher finds added tokens: the leftmost, and of those the longest.
type matcher struct {
	// It looks at the first byte of each place before it walks the trie: most
	// bytes begin no token.
	trie  trie
	first [256]bool
	only  int   // the first byte of all of them, -1 if they differ
	size  []int // of the text of each symbol of trie
	token []int // the added token of each symbol
	plain bool  // special tokens are found but left in the text
}

// newMatcher builds a matcher; texts[i] is the form in which token i appears,
// "" if this matcher does not look for it.
func newMatcher(texts []string) matcher {
	m := matcher{only: -1}
	var keys []trieKey
	for i, text := range texts {
		if text == "" {
			continue
		}
		keys = append(keys, trieKey{text, int32(len(m.size))})
		if b := int(text[0]); len(keys) == 1 {
			m.only = b
		} else if m.only != b {
			m.only = -1
		}
		m.first[text[0]] = true
		m.size, m.token = append(m.size, len(text)), append(m.token, i)
	}
	if len(keys) > 0 {
		m.trie = newTrie(keys)
	}
	return m
}

// next finds the first match at or behind from that counts. [start, end) is what
// it takes of the text, of which what lies before done is taken already, token
// is the added token, -1 if there is none, and the search goes on at again.
func (m *matcher) next(p *pipeline, text []byte, from, done int) (start, end, token, again int) {
	// Most files have no tokens of one of the two sorts.
	if m.trie.cells == nil {
		return len(text), len(text), -1, len(text)
	}
	for i := from; i < len(text); {
		if !m.first[text[i]] {
			i++
			// Control tokens mostly begin alike.
			if m.only >= 0 {
				n := bytes.IndexByte(text[i:], byte(m.only))
				if n < 0 {
					break
				}
				i += n
			}
			continue
		}
		sym := m.trie.longest(text[i:])
		if sym < 0 {
			i++
			continue
		}
		start, end, token = i, i+m.size[sym], m.token[sym]
		// Even a match that does not count takes its place in the search:
		// the next one starts behind it.
		i = end
		a := &p.added[token]
		if m.plain && a.Special || a.SingleWord && (endsWithWord(text[:start]) || startsWithWord(text[end:])) {
			continue
		}
		again = end
		// White space to the left of it belongs to the token, though never what
		// an earlier one has taken. To the right it takes what there is, and
		// yet another token may be found in there: the library's search goes
		// on where the spelling ends.
		if a.LStrip {
			start = max(done, len(bytes.TrimRightFunc(text[:start], unicode.IsSpace)))
		}
		if a.RStrip {
			end = len(text) - len(bytes.TrimLeftFunc(text[end:], unicode.IsSpace))
		}
		// One that an earlier token has taken altogether is gone.
		if start >= end {
			continue
		}
		return start, end, token, again
	}
	return len(text), len(text), -1, len(text)
}

// endsWithWord says whether the last character belongs to a word.
func endsWithWord(s []byte) bool {
	r, n := utf8.DecodeLastRune(s)
	return n > 0 && isWord(r)
}

// startsWithWord says whether the first character belongs to a word.
func startsWithWord(s []byte) bool {
	r, n := utf8.DecodeRune(s)
	return n > 0 && isWord(r)
}

// isWord is \w of Unicode regular expressions.
//
// Go's own \w is ASCII only.
func isWord(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic, unicode.Join_Control)
}

// between calls f for the texts between the tokens that m finds, in order, and
// appends the tokens' ids. f hears where its text begins.
func (p *pipeline) between(m *matcher, dst []int32, text []byte, f func(dst []int32, text []byte, at int) []int32) []int32 {
	done, from := 0, 0
	for {
		start, end, token, again := m.next(p, text, from, done)
		if start > done {
			dst = f(dst, text[done:start], done)
		}
		if token < 0 {
			return dst
		}
		dst = append(dst, p.added[token].ID)
		done, from = end, again
	}
}

// encode appends the ids of text to dst.
func (p *pipeline) encode(t *BPE, st *state, dst []int32, text []byte) []int32 {
	if p.raw.trie.cells == nil {
		return p.encodeBetween(t, st, dst, text, true)
	}
	return p.between(&p.raw, dst, text, func(dst []int32, text []byte, at int) []int32 {
		return p.encodeBetween(t, st, dst, text, at == 0)
	})
}

// encodeBetween encodes a text between added tokens; first says that it is the
// start of the whole text, as one prepend_scheme wants to know.
func (p *pipeline) encodeBetween(t *BPE, st *state, dst []int32, text []byte, first bool) []int32 {
	if p.fast.spaced {
		if dst, ok := p.encodeSpaced(t, st, dst, text, first); ok {
			return dst
		}
	}
	// Hugging Face's tokenizers are given Unicode; each byte that is none is
	// U+FFFD here, but for vocabularies that have all bytes.
	if t.cfg.Family == SentencePiece && !utf8.Valid(text) {
		b := st.buffer(0)
		*b = appendValid((*b)[:0], text)
		text = *b
	}
	for i := range p.normalizers {
		if f := p.normalizers[i].front; first && f != nil {
			first = f(text)
		}
		b := st.buffer(1 + i)
		*b = p.normalizers[i].apply((*b)[:0], text)
		text = *b
	}
	if p.norm.trie.cells == nil {
		if len(text) == 0 {
			return dst
		}
		return p.encodeStep(t, st, dst, text, 0, first)
	}
	return p.between(&p.norm, dst, text, func(dst []int32, text []byte, at int) []int32 {
		return p.encodeStep(t, st, dst, text, 0, first && at == 0)
	})
}

// appendValid appends text with U+FFFD for each byte that is not UTF-8.
func appendValid(dst, text []byte) []byte {
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r == utf8.RuneError && n == 1 {
			dst = append(dst, replacement...)
		} else {
			dst = append(dst, text[:n]...)
		}
		text = text[n:]
	}
	return dst
}

// encodeStep applies the pre-tokenizers from number n on to text, which is not
// empty, and encodes the words.
//
// Steps nest: what one has cut, the next cuts further.
func (p *pipeline) encodeStep(t *BPE, st *state, dst []int32, text []byte, n int, first bool) []int32 {
	if n == p.fast.steps {
		return p.encodeWord(t, st, dst, text)
	}
	s := &p.steps[n]
	text = s.change(st.buffer(1+len(p.normalizers)+n), text, first)
	if s.cut != cutNone {
		// A scanner needs no list of what it finds.
		for at := 0; at < len(text); {
			size := s.cut.next(text[at:])
			dst = p.encodeCut(t, st, dst, text[at:at+size], n, first && at == 0)
			at += size
		}
		return dst
	}
	if s.find == nil {
		return p.encodeCut(t, st, dst, text, n, first)
	}
	// What is found is kept on a stack, for the steps within this one find
	// things, too.
	base := len(st.cuts)
	st.cuts = s.pieces(st.cuts, base, text)
	for i, end := base, len(st.cuts); i < end; i++ {
		c := st.cuts[i]
		dst = p.encodeCut(t, st, dst, text[c.lo:c.hi], n, first && c.lo == 0)
	}
	st.cuts = st.cuts[:base]
	return dst
}

// encodeCut hands what step n has cut to the next.
func (p *pipeline) encodeCut(t *BPE, st *state, dst []int32, text []byte, n int, first bool) []int32 {
	if p.steps[n].spell {
		b := st.buffer(2 + len(p.normalizers) + len(p.steps))
		*b = (*b)[:0]
		for _, c := range text {
			*b = utf8.AppendRune(*b, byteRune[c])
		}
		text = *b
	}
	if n+1 == p.fast.steps {
		return p.encodeWord(t, st, dst, text)
	}
	return p.encodeStep(t, st, dst, text, n+1, first)
}

// encodeWord encodes what all cuts have left.
func (p *pipeline) encodeWord(t *BPE, st *state, dst []int32, text []byte) []int32 {
	if p.fast.word {
		return t.encodeWord(st, dst, len(dst), text)
	}
	b := st.buffer(1 + len(p.normalizers) + len(p.steps))
	switch {
	case p.spelled:
		*b = (*b)[:0]
		for _, r := range string(text) {
			*b = append(*b, runeByte[r])
		}
		text = *b
	case t.cfg.EscapeSpaces && bytes.Contains(text, []byte(space)):
		*b = foldSpaces(append((*b)[:0], text...), 0)
		text = *b
	}
	// With ignore_merges a word that is a piece is taken whole, though merging
	// may not lead there.
	if id, ok := p.whole[string(text)]; ok {
		return append(dst, id)
	}
	// Where nothing stands for them, unknown characters are gone before merging,
	// and what they stood between may merge.
	if p.dropUnknown {
		b := st.buffer(3 + len(p.normalizers) + len(p.steps))
		*b = (*b)[:0]
		for len(text) > 0 {
			n := 1
			if !t.rules.bytewise {
				_, n = utf8.DecodeRune(text)
			}
			if t.known(text[:n]) {
				*b = append(*b, text[:n]...)
			}
			text = text[n:]
		}
		if text = *b; len(text) == 0 {
			return dst
		}
	}
	// A run of unknown characters is one within a word only, so that each word
	// begins its own stretch of ids.
	if t.cfg.Family == ByteLevel {
		return t.encodeWord(st, dst, len(dst), text)
	}
	return t.encodeWords(st, dst, len(dst), text, false)
}

// known says whether the vocabulary has a character, or a byte.
func (t *BPE) known(char []byte) bool {
	sym := t.rules.trie.longest(char)
	return sym >= 0 && len(t.rules.text[sym]) == len(char)
}

// dropsUnknown says whether unknown characters vanish, and there may be any.
func (t *BPE) dropsUnknown() bool {
	if t.unk >= 0 || t.cfg.ByteFallback {
		return false
	}
	for b := range 256 {
		if !t.rules.bytewise || !t.known([]byte{byte(b)}) {
			return true
		}
	}
	return false
}
