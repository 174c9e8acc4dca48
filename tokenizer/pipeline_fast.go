package tokenizer

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

// Most files ask for little, and the general way costs a copy of the text for each
// of their parts. What a file never needs is found out once, when it is read.

// shortcut is how a pipeline may pass over its parts.
type shortcut struct {
	// steps is the number of steps without those at the end that leave all texts
	// as they are.
	steps int
	// word says that a word which all cuts have left needs nothing before merging.
	word bool
	// spaced says that normalizers and steps do no more than to put a dummy space
	// before a text, to spell spaces ▁ and, with split, to cut before each. Merging
	// knows spaces as they are, so that such texts can stay where they lie, unless
	// they hold one of needles.
	spaced  bool
	split   bool
	prefix  prefixRule
	always  bool     // the dummy space also goes before a space
	needles [][]byte // parts of the tokens that are found after normalising
	tokens  matcher  // those tokens, with spaces for ▁, where cutting needs no more
	found   bool     // tokens is there
}

// mostNeedles bounds how often a text is searched through before it is encoded.
const mostNeedles = 12

// findShortcuts fills p.fast. It is for pipelines that are complete.
func (p *pipeline) findShortcuts(t *BPE) {
	f := shortcut{steps: len(p.steps)}
	for f.steps > 0 && p.steps[f.steps-1].idle() {
		f.steps--
	}
	bare := !p.spelled && len(p.whole) == 0 && !p.dropUnknown
	f.word = bare && t.cfg.Family == ByteLevel && !t.cfg.EscapeSpaces
	p.fast = f
	if !bare || t.cfg.Family != SentencePiece || !t.cfg.EscapeSpaces {
		return
	}
	// Prepend and Replace, as LLaMA's files have it, or one Metaspace.
	switch {
	case len(p.steps) == 0 && len(p.normalizers) == 2 && p.normalizers[0].prepends == space && p.normalizers[1].escape:
		f.prefix, f.always = prefixEach, true
	case len(p.steps) == 0 && len(p.normalizers) == 1 && p.normalizers[0].escape:
	case len(p.steps) == 1 && len(p.normalizers) == 0 && p.steps[0].escape && p.steps[0].cut == cutNone && !p.steps[0].prefixSpace && !p.steps[0].spell:
		f.prefix, f.split = p.steps[0].prefix, p.steps[0].find != nil
	default:
		return
	}
	spelled := make([]string, len(p.added))
	f.found = len(p.steps) == 0
	for _, sym := range p.norm.token {
		// It begins with ▁ where one is put before every text, also before this
		// one. No text without the rest of it holds it.
		a := &p.added[sym]
		spelled[sym] = strings.ReplaceAll(p.normalForm(a.Content), space, " ")
		f.found = f.found && !a.LStrip && !a.RStrip && !a.SingleWord // ▁ is no white space to them
		s := strings.TrimLeft(p.normalForm(a.Content), space)
		if s == "" || strings.Contains(s, space) || len(f.needles) == mostNeedles {
			return
		}
		if !slices.ContainsFunc(f.needles, func(n []byte) bool { return string(n) == s }) {
			f.needles = append(f.needles, []byte(s))
		}
	}
	f.spaced = true
	f.tokens = newMatcher(spelled)
	f.tokens.plain = p.norm.plain
	p.fast = f
}

// idle says whether a step leaves all texts as they are.
func (s *step) idle() bool {
	return !s.prefixSpace && !s.escape && s.cut == cutNone && s.find == nil && !s.spell
}

// encodeSpaced is encodeBetween by the shortcut; ok is false if text needs the
// long way.
func (p *pipeline) encodeSpaced(t *BPE, st *state, dst []int32, text []byte, first bool) (_ []int32, ok bool) {
	f := &p.fast
	if len(text) == 0 || bytes.Contains(text, []byte(space)) || !utf8.Valid(text) {
		return dst, false
	}
	needed := slices.ContainsFunc(f.needles, func(n []byte) bool { return bytes.Contains(text, n) })
	if needed && !f.found {
		return dst, false
	}
	prefix := (f.prefix == prefixEach || f.prefix == prefixFirst && first) && (f.always || text[0] != ' ')
	if needed {
		if prefix {
			b := st.buffer(0)
			*b = append(append((*b)[:0], ' '), text...)
			text = *b
		}
		return p.between(&f.tokens, dst, text, func(dst []int32, text []byte, _ int) []int32 {
			return t.encodeWords(st, dst, len(dst), text, false)
		}), true
	}
	if !f.split {
		return t.encodeWords(st, dst, len(dst), text, prefix), true
	}
	for len(text) > 0 {
		n := bytes.IndexByte(text[1:], ' ') + 1
		if n == 0 {
			n = len(text)
		}
		// Unknown characters do not join across words.
		dst = t.encodeWords(st, dst, len(dst), text[:n], prefix)
		text, prefix = text[n:], false
	}
	return dst, true
}
