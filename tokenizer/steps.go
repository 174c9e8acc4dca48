package tokenizer

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// step is one pre-tokenizer: it may change a text, and cuts it.
type step struct {
	// What goes in front, and whether spaces are spelled ▁ before cutting.
	prefixSpace bool       // a space goes before what does not start with one
	prefix      prefixRule // Metaspace: ▁ goes there
	escape      bool       // Metaspace

	// How it cuts: by a scanner, which takes all of a text as words, or by what
	// find finds; not at all without either.
	cut      cutter
	find     finder
	behavior behavior
	invert   bool

	spell bool   // what it has cut is spelled with a character for each byte
	label string // what find finds, in words
	key   string // all of the above, for the hash
}

// prefixRule says before which texts the dummy space goes.
type prefixRule uint8

const (
	prefixNone  prefixRule = iota
	prefixEach             // before each, unless it starts with a space
	prefixFirst            // only where it is the start of the whole, unless it starts with a space
)

// behavior says what becomes of what a pattern matches.
type behavior uint8

const (
	isolated behavior = iota
	removed
	mergedWithPrevious
	mergedWithNext
	contiguous
)

// behaviors are their names in tokenizer.json.
var behaviors = map[string]behavior{
	"Isolated": isolated, "Removed": removed, "MergedWithPrevious": mergedWithPrevious, "MergedWithNext": mergedWithNext, "Contiguous": contiguous,
}

// cut is a stretch of a text, and whether a pattern matched it.
type cut struct {
	lo, hi int
	match  bool
}

// A finder appends the stretches of text, those that match and those between.
type finder func(dst []cut, text []byte) []cut

// change returns the text to cut; buf is where it is made, if it is.
func (s *step) change(buf *[]byte, text []byte, first bool) []byte {
	switch {
	case s.prefixSpace && text[0] != ' ':
		*buf = append(append((*buf)[:0], ' '), text...)
		return *buf
	case s.escape:
		b := (*buf)[:0]
		starts := text[0] == ' ' || bytes.HasPrefix(text, []byte(space))
		if !starts && (s.prefix == prefixEach || s.prefix == prefixFirst && first) {
			b = append(b, space...)
		}
		for _, c := range text {
			if c == ' ' {
				b = append(b, space...)
			} else {
				b = append(b, c)
			}
		}
		*buf = b
		return b
	}
	return text
}

// pieces appends what the step makes of a text: all of dst[base:] is its own.
// Empty stretches vanish, but part what lies around them.
func (s *step) pieces(dst []cut, base int, text []byte) []cut {
	dst = s.find(dst, text)
	found := dst[base:]
	if s.invert {
		for i := range found {
			found[i].match = !found[i].match
		}
	}
	// Behaviours only join neighbours, so that they work where they read.
	out := found[:0]
	switch s.behavior {
	case removed:
		for _, c := range found {
			if !c.match {
				out = append(out, c)
			}
		}
	case contiguous:
		for _, c := range found {
			if n := len(out); n > 0 && out[n-1].match == c.match {
				out[n-1].hi = c.hi
			} else {
				out = append(out, c)
			}
		}
	case mergedWithPrevious:
		before := false // whether the stretch before is a match
		for _, c := range found {
			if n := len(out); n > 0 && c.match && !before {
				out[n-1].hi = c.hi
			} else {
				out = append(out, c)
			}
			before = c.match
		}
	case mergedWithNext:
		// From the end, as the library does: of several matches in a row the
		// last goes with what follows.
		at, after := len(found), false
		for i := len(found) - 1; i >= 0; i-- {
			c := found[i]
			if at < len(found) && c.match && !after {
				found[at].lo = c.lo
			} else {
				at--
				found[at] = c
			}
			after = c.match
		}
		out = found[at:]
	default:
		out = found
	}
	n := base
	for _, c := range out {
		if c.hi > c.lo {
			dst[n] = c
			n++
		}
	}
	return dst[:n]
}

// findRegex finds an expression's matches.
func findRegex(x *regex) finder {
	return func(dst []cut, text []byte) []cut {
		m := x.begin()
		defer x.idle.Put(m)
		done, at, last := 0, 0, -1
		for at <= len(text) {
			start, end := x.findNext(m, text, at)
			if start < 0 {
				break
			}
			if start == end {
				// Behind a match an empty one does not count; elsewhere it
				// parts the text.
				_, n := runeAt(text, end)
				at = end + max(n, 1)
				if end == last {
					continue
				}
			} else {
				at = end
			}
			if start > done {
				dst = append(dst, cut{done, start, false})
			}
			dst, done, last = append(dst, cut{start, end, true}), end, end
		}
		if done < len(text) {
			dst = append(dst, cut{done, len(text), false})
		}
		return dst
	}
}

// findString finds a string, which is not empty.
func findString(s string) finder {
	return func(dst []cut, text []byte) []cut {
		done := 0
		for {
			i := bytes.Index(text[done:], []byte(s))
			if i < 0 {
				break
			}
			if i > 0 {
				dst = append(dst, cut{done, done + i, false})
			}
			dst = append(dst, cut{done + i, done + i + len(s), true})
			done += i + len(s)
		}
		if done < len(text) {
			dst = append(dst, cut{done, len(text), false})
		}
		return dst
	}
}

// findChars finds characters of a kind, one by one.
func findChars(is func(rune) bool) finder {
	return func(dst []cut, text []byte) []cut {
		done := 0
		for i := 0; i < len(text); {
			r, n := utf8.DecodeRune(text[i:])
			if is(r) && (r != utf8.RuneError || n > 1) {
				if i > done {
					dst = append(dst, cut{done, i, false})
				}
				dst, done = append(dst, cut{i, i + n, true}), i+n
			}
			i += n
		}
		if done < len(text) {
			dst = append(dst, cut{done, len(text), false})
		}
		return dst
	}
}

// isNumeric is a number of any kind.
func isNumeric(r rune) bool { return classOf(r) == number }

// isPunctuation is what Hugging Face's library takes for punctuation: that of
// Unicode, and all symbols of ASCII.
func isPunctuation(r rune) bool {
	if r < utf8.RuneSelf {
		return unicode.IsPunct(r) || unicode.IsSymbol(r)
	}
	return r == 0x166D || r == 0x111C9 || unicode.IsPunct(r) && !unicode.Is(notPunctuation, r)
}

// readPreTokenizer reads a pre-tokenizer and those within it.
// Sequences nest; what counts is the order of the steps.
func (p *pipeline) readPreTokenizer(t *BPE, n *jsonPart, depth int) error {
	if n == nil {
		return nil
	}
	if depth > maxPartDepth {
		return fmt.Errorf("pre-tokenizers nest deeper than %d", maxPartDepth)
	}
	s := step{}
	switch n.Type {
	case "Sequence":
		for _, part := range n.Pretokenizers {
			if err := p.readPreTokenizer(t, part, depth+1); err != nil {
				return err
			}
		}
		return nil
	case "ByteLevel":
		// The name stands for two things: bytes are spelled as characters,
		// and text is cut by GPT-2's pattern unless told otherwise.
		if t.cfg.Family == ByteLevel {
			return fmt.Errorf("a second pre-tokenizer ByteLevel is not supported")
		}
		t.cfg.Family = ByteLevel
		s.spell = true
		s.prefixSpace = n.AddPrefixSpace == nil || *n.AddPrefixSpace
		if n.UseRegex == nil || *n.UseRegex {
			s.cut = cutGPT2
		}
	case "Digits":
		if n.IndividualDigits {
			s.cut = cutDigits
		} else {
			s.find, s.behavior = findChars(isNumeric), contiguous
			s.label = "digits"
		}
	case "Punctuation":
		b, err := n.behavior("Isolated")
		if err != nil {
			return err
		}
		s.find, s.behavior = findChars(isPunctuation), b
		s.label = "punctuation"
	case "Whitespace":
		x, err := compileFor(`\w+|[^\w\s]+`, true)
		if err != nil {
			return err
		}
		s.find, s.behavior, s.invert = findRegex(x), removed, true
		s.label = "words"
	case "WhitespaceSplit":
		s.find, s.behavior = findChars(unicode.IsSpace), removed
		s.label = "white space"
	case "CharDelimiterSplit":
		r, size := utf8.DecodeRuneInString(n.Delimiter)
		if size == 0 || size != len(n.Delimiter) {
			return fmt.Errorf("pre-tokenizer CharDelimiterSplit by %q: not one character", n.Delimiter)
		}
		s.find, s.behavior = findChars(func(c rune) bool { return c == r }), removed
		s.label = "delimiter " + n.Delimiter
	case "Split":
		if err := s.readSplit(n); err != nil {
			return err
		}
	case "Metaspace":
		if err := s.readMetaspace(n); err != nil {
			return err
		}
	default:
		return fmt.Errorf("pre-tokenizer %s is not supported", n.Type)
	}
	s.key = fmt.Sprintf("%s cut %d behavior %d invert %v space %v prefix %d escape %v spell %v",
		s.label, s.cut, s.behavior, s.invert, s.prefixSpace, s.prefix, s.escape, s.spell)
	p.steps = append(p.steps, s)
	return nil
}

// name describes a step in reports.
func (s *step) name() string {
	switch {
	case s.cut != cutNone:
		return [...]string{"", "GPT-2's pattern", "LLaMA 3's pattern", "Qwen 2's pattern", "single digits"}[s.cut]
	case s.label != "":
		return s.label
	}
	return "bytes"
}

// behavior reads what becomes of matches.
func (n *jsonPart) behavior(otherwise string) (behavior, error) {
	name := n.Behavior
	if name == "" {
		name = otherwise
	}
	b, ok := behaviors[name]
	if !ok {
		return 0, fmt.Errorf("pre-tokenizer %s with the behavior %q is not supported", n.Type, n.Behavior)
	}
	return b, nil
}

// readSplit reads a pre-tokenizer that cuts by a pattern.
func (s *step) readSplit(n *jsonPart) (err error) {
	if s.behavior, err = n.behavior(""); err != nil {
		return err
	}
	s.invert = n.Invert
	switch {
	case n.Pattern == nil || (n.Pattern.Regex == nil) == (n.Pattern.String == nil):
		return fmt.Errorf("pre-tokenizer Split without a pattern")
	case n.Pattern.String != nil:
		if *n.Pattern.String == "" {
			return fmt.Errorf("pre-tokenizer Split by nothing is not supported")
		}
		s.find, s.label = findString(*n.Pattern.String), "string "+*n.Pattern.String
		return nil
	}
	// The expressions in use have scanners. Theirs match every character, so
	// that keeping the matches apart and removing what lies between them are
	// the same.
	if c, ok := patterns[*n.Pattern.Regex]; ok && (s.behavior == isolated || s.behavior == removed && s.invert) {
		s.cut, s.behavior, s.invert = c, isolated, false
		return nil
	}
	x, err := compileRegex(*n.Pattern.Regex)
	if err != nil {
		return fmt.Errorf("pre-tokenizer Split: %w", err)
	}
	s.find, s.label = findRegex(x), "regex "+*n.Pattern.Regex
	return nil
}

// readMetaspace reads the pre-tokenizer that spells spaces ▁.
func (s *step) readMetaspace(n *jsonPart) error {
	if n.Replacement != space {
		return fmt.Errorf("pre-tokenizer Metaspace with %q for spaces is not supported", n.Replacement)
	}
	s.escape = true
	// Every ▁ starts a word of its own, even in a run of them.
	if n.Split == nil || *n.Split {
		s.find, s.behavior = findString(space), mergedWithNext
	}
	s.label = fmt.Sprintf("metaspace split %v", s.find != nil)
	scheme := n.PrependScheme
	if scheme == "" {
		// Versions before 0.15 had a flag in its place.
		scheme = "always"
		if n.AddPrefixSpace != nil && !*n.AddPrefixSpace {
			scheme = "never"
		}
	}
	switch scheme {
	case "always":
		s.prefix = prefixEach
	case "first":
		s.prefix = prefixFirst
	case "never":
	default:
		return fmt.Errorf("pre-tokenizer Metaspace with prepend_scheme %q is not supported", scheme)
	}
	return nil
}
