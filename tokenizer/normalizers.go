package tokenizer

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// normalizer is one of Hugging Face's: it changes a text before it is cut.
// Bytes that are no UTF-8 pass unchanged.
type normalizer struct {
	apply func(dst, text []byte) []byte
	key   string // what it does, for the hash
	// Whether a plain space may come out of what was none.
	spaces   bool
	escape   bool   // spaces become ▁
	prepends string // what goes before every text that is not empty
	// front says whether the start of a text stays in it, as one prepend_scheme
	// wants to know; nil is always.
	front func(text []byte) bool
}

// maxPartDepth bounds how deep the parts of a file nest.
const maxPartDepth = 16

// readNormalizer reads a normalizer and those within it. What is not known is an
// error that names it: a normalizer left out would change ids in silence.
func (p *pipeline) readNormalizer(n *jsonPart, depth int) error {
	if n == nil {
		return nil
	}
	if depth > maxPartDepth {
		return fmt.Errorf("normalizers nest deeper than %d", maxPartDepth)
	}
	z := normalizer{key: n.Type}
	switch n.Type {
	case "Sequence":
		for _, part := range n.Normalizers {
			if err := p.readNormalizer(part, depth+1); err != nil {
				return err
			}
		}
		return nil
	case "Prepend":
		s := n.Prepend
		z.key += " " + s
		z.prepends, z.spaces = s, strings.Contains(s, " ")
		z.apply = func(dst, text []byte) []byte {
			if len(text) > 0 {
				dst = append(dst, s...)
			}
			return append(dst, text...)
		}
	case "Replace":
		if err := z.readReplace(n.Pattern, n.Content); err != nil {
			return fmt.Errorf("normalizer %w", err)
		}
	case "NFC", "NFD", "NFKC", "NFKD":
		z.spaces = n.Type == "NFKC" || n.Type == "NFKD" // of a no-break space, for one
		compose, compat := strings.HasSuffix(n.Type, "C"), strings.HasPrefix(n.Type, "NFK")
		z.apply = func(dst, text []byte) []byte { return normalForm(dst, text, compose, compat) }
	case "Lowercase":
		z.apply = lowercase
	case "StripAccents":
		z.front = func(text []byte) bool {
			r, _ := utf8.DecodeRune(text)
			return !isAccent(r)
		}
		z.apply = func(dst, text []byte) []byte {
			return appendRunes(dst, text, func(dst []byte, r rune) []byte {
				if isAccent(r) {
					return dst
				}
				return utf8.AppendRune(dst, r)
			})
		}
	case "Strip":
		left, right := n.StripLeft == nil || *n.StripLeft, n.StripRight == nil || *n.StripRight
		z.key += fmt.Sprintf(" %v %v", left, right)
		z.front = func(text []byte) bool {
			r, _ := utf8.DecodeRune(text)
			return !left || !unicode.IsSpace(r)
		}
		z.apply = func(dst, text []byte) []byte {
			if left {
				text = bytes.TrimLeftFunc(text, unicode.IsSpace)
			}
			if right {
				text = bytes.TrimRightFunc(text, unicode.IsSpace)
			}
			return append(dst, text...)
		}
	default:
		return fmt.Errorf("normalizer %s is not supported", n.Type)
	}
	p.normalizers = append(p.normalizers, z)
	return nil
}

// readReplace reads the replacement of a string or of what an expression
// matches.
func (z *normalizer) readReplace(pattern *jsonPattern, content string) error {
	if pattern == nil || (pattern.Regex == nil) == (pattern.String == nil) {
		return errors.New("a Replace without a pattern")
	}
	z.spaces = strings.Contains(content, " ")
	if pattern.String != nil {
		from := *pattern.String
		if from == "" {
			return errors.New("a Replace of nothing is not supported")
		}
		z.key = fmt.Sprintf("replace %q %q", from, content)
		z.escape = from == " " && content == space
		z.apply = func(dst, text []byte) []byte {
			for {
				i := bytes.Index(text, []byte(from))
				if i < 0 {
					return append(dst, text...)
				}
				dst = append(append(dst, text[:i]...), content...)
				text = text[i+len(from):]
			}
		}
		return nil
	}
	x, err := compileRegex(*pattern.Regex)
	if err != nil {
		return fmt.Errorf("a Replace: %w", err)
	}
	if x.match(nil, 0) >= 0 {
		return fmt.Errorf("a Replace by the pattern %q, which matches nothing at all, is not supported", *pattern.Regex)
	}
	z.key = fmt.Sprintf("replace regex %q %q", *pattern.Regex, content)
	z.apply = func(dst, text []byte) []byte {
		m := x.begin()
		defer x.idle.Put(m)
		done := 0
		for at := 0; at <= len(text); {
			start, end := x.findNext(m, text, at)
			if start < 0 {
				break
			}
			dst = append(append(dst, text[done:start]...), content...)
			done, at = end, end
			if end == start {
				_, n := runeAt(text, end)
				at += max(n, 1)
			}
		}
		return append(dst, text[done:]...)
	}
	return nil
}

// appendRunes calls f for each character and copies bytes that are none.
func appendRunes(dst, text []byte, f func(dst []byte, r rune) []byte) []byte {
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r == utf8.RuneError && n == 1 {
			dst = append(dst, text[0])
		} else {
			dst = f(dst, r)
		}
		text = text[n:]
	}
	return dst
}

// lowercase maps each character on its own.
func lowercase(dst, text []byte) []byte {
	return appendRunes(dst, text, func(dst []byte, r rune) []byte {
		if r == 'İ' { // the one character whose lower case is two
			return append(dst, "i\u0307"...)
		}
		return utf8.AppendRune(dst, lowerOf(r))
	})
}
