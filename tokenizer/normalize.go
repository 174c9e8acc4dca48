package tokenizer

import (
	"bytes"
	"unicode/utf8"
)

// replacement stands for each byte that is not part of valid UTF-8.
const replacement = "\uFFFD"

// plain says whether normalising text would only put the dummy space before
// it, so that it can be encoded where it lies.
func (t *BPE) plain(text []byte) bool {
	return !t.cfg.RemoveExtraSpaces && !t.cfg.SpaceAsSuffix && t.chars == nil && t.rawUser.cells == nil && !t.unused &&
		utf8.Valid(text) && (!t.cfg.EscapeSpaces || !bytes.Contains(text, []byte(space)))
}

// normalize appends the form of text that merging works on, as SentencePiece's
// normaliser makes it: characters replaced, valid UTF-8, one byte for a space,
// extra spaces and the dummy space dealt with. text is not empty.
func (t *BPE) normalize(dst, text []byte) []byte {
	cfg := &t.cfg
	start := len(dst)
	// Spaces in front go before the dummy space comes, and a text of nothing
	// else has no ids at all.
	if cfg.RemoveExtraSpaces {
		for len(text) > 0 {
			unit, n := t.normalUnit(text)
			if string(unit) != " " {
				break
			}
			text = text[n:]
		}
		if len(text) == 0 {
			return dst
		}
	}
	if cfg.DummyPrefix && !cfg.SpaceAsSuffix {
		dst = append(dst, ' ')
	}
	// From here on, spaces may still be spelled ▁.
	bare := len(dst)
	if !cfg.RemoveExtraSpaces && t.chars == nil && t.rawUser.cells == nil && utf8.Valid(text) {
		dst, text = append(dst, text...), nil
	}
	// At the start as after a space: none may follow.
	afterSpace := cfg.RemoveExtraSpaces
	for len(text) > 0 {
		unit, n := t.normalUnit(text)
		text = text[n:]
		// A replacement may start with several spaces, or be nothing but.
		for afterSpace && len(unit) > 0 && unit[0] == ' ' {
			unit = unit[1:]
		}
		if len(unit) > 0 {
			afterSpace = cfg.RemoveExtraSpaces && unit[len(unit)-1] == ' '
			dst = append(dst, unit...)
		}
	}
	if cfg.EscapeSpaces {
		dst = foldSpaces(dst, bare)
	}
	// At the end ▁ and space are the same: both go.
	for cfg.RemoveExtraSpaces && len(dst) > start && dst[len(dst)-1] == ' ' {
		dst = dst[:len(dst)-1]
	}
	if cfg.DummyPrefix && cfg.SpaceAsSuffix {
		dst = append(dst, ' ')
	}
	return dst
}

var replacementBytes = []byte(replacement)

// normalUnit returns the normal form of the shortest beginning of text that is
// normalised on its own, and the length of that beginning.
func (t *BPE) normalUnit(text []byte) (unit []byte, n int) {
	if t.rawUser.cells != nil {
		// A user-defined piece keeps what it holds, such as spaces.
		if sym := t.rawUser.longest(text); sym >= 0 {
			n := len(t.pieces[sym].Text)
			return text[:n], n
		}
	}
	if t.chars != nil {
		if with, n := t.chars.longest(text); n > 0 {
			return with, n
		}
	}
	if text[0] < utf8.RuneSelf {
		return text[:1], 1
	}
	r, n := utf8.DecodeRune(text)
	if r == utf8.RuneError && n == 1 {
		return replacementBytes, 1
	}
	return text[:n], n
}

// foldSpaces turns each ▁ in b[from:] into one byte.
func foldSpaces(b []byte, from int) []byte {
	at := bytes.Index(b[from:], []byte(space))
	if at < 0 {
		return b
	}
	// The result is never longer, so it can be written over what it is made of.
	out := b[:from+at]
	for i := from + at; i < len(b); {
		if b[i] == space[0] && bytes.HasPrefix(b[i:], []byte(space)) {
			out = append(out, ' ')
			i += len(space)
			continue
		}
		out = append(out, b[i])
		i++
	}
	return out
}
