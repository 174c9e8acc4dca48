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

	prefix      prefixRule // of the SentencePiece family
	splitSpaces bool       // no merge crosses the start of a space

	steps        []step // of the byte-level family, one after the other
	ignoreMerges bool   // a word that is a piece is that piece, however it merges
	whole        map[string]int32

	json *jsonFile // what the file said, for writing it again
}

// prefixRule says before which texts the dummy space goes.
type prefixRule uint8

const (
	prefixNone   prefixRule = iota
	prefixAlways            // before each text between added tokens
	prefixUnless            // the same, unless it starts with a space
	prefixFirst             // only where it is the start of the whole, unless it starts with a space
)

// step is one pre-tokenizer.
type step struct {
	cut         cutter
	prefixSpace bool // a space goes before what does not start with one
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
	size  []int // of the text of each symbol of trie
	token []int // the added token of each symbol
}

// newMatcher builds a matcher; texts[i] is the form in which token i appears,
// "" if this matcher does not look for it.
func newMatcher(texts []string) matcher {
	var m matcher
	var keys []trieKey
	for i, text := range texts {
		if text == "" {
			continue
		}
		keys = append(keys, trieKey{text, int32(len(m.size))})
		m.first[text[0]] = true
		m.size, m.token = append(m.size, len(text)), append(m.token, i)
	}
	if len(keys) > 0 {
		m.trie = newTrie(keys)
	}
	return m
}

// next finds the first match in text[at:] that counts. [start, end) is what it
// takes of the text and token the added token; token is -1 if there is none.
func (m *matcher) next(p *pipeline, text []byte, at int) (start, end, token int) {
	// Most files have no tokens of one of the two sorts.
	if m.trie.cells == nil {
		return len(text), len(text), -1
	}
	for i := at; i < len(text); {
		if !m.first[text[i]] {
			i++
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
		if a.SingleWord && (endsWithWord(text[:start]) || startsWithWord(text[end:])) {
			continue
		}
		// White space to the left of it belongs to the token, though never what
		// an earlier one has taken.
		if a.LStrip {
			start = max(at, len(bytes.TrimRightFunc(text[:start], unicode.IsSpace)))
		}
		if a.RStrip {
			end = len(text) - len(bytes.TrimLeftFunc(text[end:], unicode.IsSpace))
		}
		return start, end, token
	}
	return len(text), len(text), -1
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

// encode appends the ids of text to dst.
func (p *pipeline) encode(t *BPE, st *state, dst []int32, text []byte) []int32 {
	// Texts between added tokens are encoded one by one, and ids come in order.
	for at := 0; at < len(text); {
		start, end, token := p.raw.next(p, text, at)
		if start > at {
			dst = p.encodeBetween(t, st, dst, text[at:start], at == 0)
		}
		if token >= 0 {
			dst = append(dst, p.added[token].ID)
		}
		at = end
	}
	return dst
}

// encodeBetween encodes a text between added tokens; first says that it is the
// start of the whole text.
//
// Only the first text may get a dummy space under prefixFirst.
func (p *pipeline) encodeBetween(t *BPE, st *state, dst []int32, text []byte, first bool) []int32 {
	if t.cfg.Family == SentencePiece {
		st.norm = p.normalize(t, st.norm[:0], text, first)
		text = st.norm
	}
	for at := 0; at < len(text); {
		start, end, token := p.norm.next(p, text, at)
		if start > at {
			if t.cfg.Family == SentencePiece {
				dst = p.encodeSpaced(t, st, dst, text[at:start])
			} else {
				dst = p.encodeStep(t, st, dst, text[at:start], 0)
			}
		}
		if token >= 0 {
			dst = append(dst, p.added[token].ID)
		}
		at = end
	}
	return dst
}

// normalize appends the form of text that merging works on: see BPE.normalize.
func (p *pipeline) normalize(t *BPE, dst, text []byte, first bool) []byte {
	// Metaspace, unlike Prepend, puts no space before a text that has one.
	// A text may also begin with ▁ as such, which counts as a space here.
	starts := len(text) > 0 && (text[0] == ' ' || bytes.HasPrefix(text, []byte(space)))
	switch p.prefix {
	case prefixAlways:
		dst = append(dst, ' ')
	case prefixUnless, prefixFirst:
		if !starts && (first || p.prefix == prefixUnless) {
			dst = append(dst, ' ')
		}
	}
	// What stands before bare is the dummy space, which is not folded again.
	bare := len(dst)
	// Nearly always; then one copy does.
	if utf8.Valid(text) {
		dst = append(dst, text...)
	} else {
		for len(text) > 0 {
			unit, n := t.normalUnit(text)
			dst, text = append(dst, unit...), text[n:]
		}
	}
	if t.cfg.EscapeSpaces {
		dst = foldSpaces(dst, bare)
	}
	return dst
}

// encodeSpaced encodes normalised text of the SentencePiece family.
func (p *pipeline) encodeSpaced(t *BPE, st *state, dst []int32, text []byte) []int32 {
	from := len(dst)
	if !p.splitSpaces {
		return t.encodeWords(st, dst, from, text, false)
	}
	// Every space starts a word of its own, even in a run of them.
	begin := 0
	for i := 1; i <= len(text); i++ {
		if i == len(text) || text[i] == ' ' {
			// Unknown characters do not join across words here, so each word
			// begins its own stretch of ids.
			dst = t.encodeWords(st, dst, len(dst), text[begin:i], false)
			begin = i
		}
	}
	return dst
}

// encodeStep applies the pre-tokenizers from number n on and encodes the words.
//
// Steps nest: what one has cut, the next cuts further.
func (p *pipeline) encodeStep(t *BPE, st *state, dst []int32, text []byte, n int) []int32 {
	if n == len(p.steps) {
		// All cuts are made: text is one word.
		// With ignore_merges a word that is a piece is taken whole, though
		// merging may not lead there.
		if id, ok := p.whole[string(text)]; ok {
			return append(dst, id)
		}
		return t.encodeWord(st, dst, len(dst), text)
	}
	s := &p.steps[n]
	// At most one step does this, so one buffer is enough.
	if s.prefixSpace && text[0] != ' ' {
		st.norm = append(append(st.norm[:0], ' '), text...)
		text = st.norm
	}
	for len(text) > 0 {
		i := s.cut.next(text)
		dst = p.encodeStep(t, st, dst, text[:i], n+1)
		text = text[i:]
	}
	return dst
}
