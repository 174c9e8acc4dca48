package tokenizer

import (
	"sync"
	"unicode"
	"unicode/utf8"
)

// Byte-level encodings first cut text into words by a regular expression; no
// merge crosses a cut. The expressions in use look ahead, which Go's regexp
// does not do, and differ in few points, so that one scanner with switches
// stands for all of them.

// cutter cuts text into words.
type cutter uint8

const (
	cutNone   cutter = iota
	cutGPT2          // GPT-2 and everything after its pattern
	cutLlama3        // numbers by three digits
	cutQwen2         // numbers by single digits
	cutDigits        // only isolates numeric characters
)

// patterns maps regular expressions, as tokenizer.json spells them, to their
// scanner.
var patterns = map[string]cutter{
	`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`: cutGPT2,

	`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`: cutLlama3,
	`'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`:       cutLlama3,
	`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`:      cutQwen2,
	`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`:   cutQwen2,
}

// patternOf is the spelling that a scanner is written with.
//
// Several spellings have one scanner, and the output should not depend on the
// order of a map: the smallest counts. GPT-2's alone begins with an apostrophe.
func patternOf(c cutter) string {
	best := ""
	for p, have := range patterns {
		if have == c && len(p) > 0 && p[0] != '\'' == (c != cutGPT2) && (best == "" || p < best) {
			best = p
		}
	}
	return best
}

// Classes of characters, as the expressions name them.
//
// Letters, numbers and others are what words are made of, and are numbered
// below white space for one comparison to tell.
const (
	other   = iota // [^\s\p{L}\p{N}]
	letter         // \p{L}
	number         // \p{N}
	blank          // \s but not \r, \n
	newline        // \r, \n
)

// asciiClass answers for nearly all of code and English.
var asciiClass = func() (c [utf8.RuneSelf]uint8) {
	for r := range c {
		c[r] = classOf(rune(r))
	}
	return c
}()

// Hugging Face's engine knows Unicode 16; these letters and numbers are newer
// than the tables of Go's unicode package (15.0).
var (
	newLetters = &unicode.RangeTable{
		R16: []unicode.Range16{{Lo: 0x1C89, Hi: 0x1C8A, Stride: 1}, {Lo: 0xA7CB, Hi: 0xA7CD, Stride: 1}, {Lo: 0xA7DA, Hi: 0xA7DC, Stride: 1}},
		R32: ranges32(0x105C0, 0x105F3, 0x10D4A, 0x10D65, 0x10D6F, 0x10D85, 0x10EC2, 0x10EC4, 0x11380, 0x11389,
			0x1138B, 0x1138B, 0x1138E, 0x1138E, 0x11390, 0x113B5, 0x113B7, 0x113B7, 0x113D1, 0x113D1, 0x113D3, 0x113D3,
			0x11BC0, 0x11BE0, 0x13460, 0x143FA, 0x16100, 0x1611D, 0x16D40, 0x16D6C, 0x18CFF, 0x18CFF,
			0x1E5D0, 0x1E5ED, 0x1E5F0, 0x1E5F0, 0x2EBF0, 0x2EE5D),
	}
	newNumbers = &unicode.RangeTable{
		R32: ranges32(0x10D40, 0x10D49, 0x116D0, 0x116E3, 0x11BF0, 0x11BF9, 0x16130, 0x16139, 0x16D70, 0x16D79,
			0x1CCF0, 0x1CCF9, 0x1E5F1, 0x1E5FA),
	}
)

// ranges32 makes ranges of pairs of bounds.
func ranges32(bounds ...uint32) (r []unicode.Range32) {
	for i := 0; i < len(bounds); i += 2 {
		r = append(r, unicode.Range32{Lo: bounds[i], Hi: bounds[i+1], Stride: 1})
	}
	return r
}

// classOf returns the class of any character; the tables below make it fast.
// As the regular expressions' \p{L} and \p{N} have it, with the additions
// above.
func classOf(r rune) uint8 {
	switch {
	case unicode.IsLetter(r) || unicode.Is(newLetters, r):
		return letter
	case unicode.IsNumber(r) || unicode.Is(newNumbers, r):
		return number
	case r == '\r' || r == '\n':
		return newline
	case unicode.IsSpace(r):
		return blank
	}
	return other
}

// planeClass caches the classes of the Basic Multilingual Plane.
//
// 64 KB, made when the first character beyond ASCII is met.
var planeClass = sync.OnceValue(func() *[1 << 16]uint8 {
	var c [1 << 16]uint8
	for r := range c {
		c[r] = classOf(rune(r))
	}
	return &c
})

// classAt returns the class and length of the character at s[i]; a byte that
// is not UTF-8 is an "other". At the end the length is 0.
func classAt(s []byte, i int) (class uint8, n int) {
	if i >= len(s) {
		return other, 0
	}
	if c := s[i]; c < utf8.RuneSelf {
		return asciiClass[c], 1
	}
	r, n := utf8.DecodeRune(s[i:])
	if r < 1<<16 {
		return planeClass()[r], n
	}
	return classOf(r), n
}

// run returns the end of the characters of a class from s[i] on.
//
// It stops at the end of the text too.
func run(s []byte, i int, class uint8) int {
	for {
		c, n := classAt(s, i)
		if n == 0 || c != class {
			return i
		}
		i += n
	}
}

// next returns the length of the first word of s, which is not empty.
func (c cutter) next(s []byte) int {
	// The rest of the patterns is the same for both.
	switch c {
	case cutGPT2:
		return nextGPT2(s)
	case cutLlama3, cutQwen2:
		return nextLlama3(s, c == cutQwen2)
	case cutDigits:
		return nextDigits(s)
	}
	return len(s)
}

// nextGPT2 is
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
func nextGPT2(s []byte) int {
	if s[0] == '\'' {
		if n := contraction(s, false); n > 0 {
			return n
		}
	}
	class, n := classAt(s, 0)
	// Classes below blank are those that words are made of.
	if s[0] == ' ' {
		// A space goes with what follows, unless that is white space.
		if class, _ := classAt(s, 1); len(s) > 1 && class < blank {
			return run(s, 1, class)
		}
	}
	if class < blank {
		return run(s, n, class)
	}
	return blanks(s)
}

// nextLlama3 is
//
//	(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
//	 ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
//
// or the same with \p{N} for numbers. The first alternative that matches wins,
// however short, so the order of the cases is that of the alternatives.
func nextLlama3(s []byte, singleDigits bool) int {
	if s[0] == '\'' {
		if n := contraction(s, true); n > 0 {
			return n
		}
	}
	class, n := classAt(s, 0)
	// A first character that is a letter or a number settles which alternative
	// it is; all others may start several.
	switch class {
	case letter:
		return run(s, n, letter)
	case number:
		for i := 1; !singleDigits && i < 3; i++ {
			class, m := classAt(s, n)
			if m == 0 || class != number {
				break
			}
			n += m
		}
		return n
	}
	// Letters may follow one character of another kind, such as a space or a
	// quote, but no line end.
	if class != newline {
		// Any character but a newline goes with the letters after it.
		if after, m := classAt(s, n); m > 0 && after == letter {
			return run(s, n, letter)
		}
	}
	// Punctuation, with a space before it, takes the newlines that follow.
	end := 0
	if class == other {
		end = run(s, n, other)
		// A space goes with punctuation as it goes with letters.
	} else if after, m := classAt(s, 1); s[0] == ' ' && m > 0 && after == other {
		end = run(s, 1, other)
	}
	if end > 0 {
		return run(s, end, newline)
	}
	// \s*[\r\n]+ : white space up to its last newline.
	// Greedy, and then back to the last line end: all white space is passed,
	// and the place behind the last line end is what counts.
	last := 0
	for i := 0; ; {
		class, m := classAt(s, i)
		if m == 0 || class < blank {
			break
		}
		i += m
		if class == newline {
			last = i
		}
	}
	if last > 0 {
		return last
	}
	return blanks(s)
}

// blanks is \s+(?!\S)|\s+ : white space, all but its last character when
// something else follows and more than that one is there.
func blanks(s []byte) int {
	// last is where the last character of white space begins.
	i, last := 0, 0
	for {
		class, n := classAt(s, i)
		if n == 0 {
			return i
		}
		if class < blank {
			break
		}
		last, i = i, i+n
	}
	if last > 0 {
		return last
	}
	return i
}

// nextDigits isolates each numeric character.
func nextDigits(s []byte) int {
	i := 0
	// Everything between two numbers is one piece.
	for {
		class, n := classAt(s, i)
		if n == 0 {
			return i
		}
		if class == number {
			if i == 0 {
				return n
			}
			return i
		}
		i += n
	}
}

// contraction returns the length of 's 't 're 've 'm 'll 'd at the start of s,
// 0 if there is none.
func contraction(s []byte, fold bool) int {
	if len(s) < 2 {
		return 0
	}
	// lower is the letter at s[i] in lower case, 0 behind the end.
	lower := func(i int) byte {
		if i >= len(s) {
			return 0
		}
		c := s[i]
		if fold && 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		return c
	}
	// One letter, or two of which both must match.
	switch a, b := lower(1), lower(2); {
	case a == 's' || a == 't' || a == 'm' || a == 'd':
		return 2
	case a == 'r' && b == 'e' || a == 'v' && b == 'e' || a == 'l' && b == 'l':
		return 3
	case fold && a == 0xC5 && b == 0xBF: // ſ, the long s, folds to s
		return 3
	}
	return 0
}
