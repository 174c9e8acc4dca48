package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// Encode appends the ids of text to dst.
func (t *BPE) Encode(dst []int32, text []byte) []int32 {
	if len(text) == 0 {
		return dst
	}
	s := strings.ToValidUTF8(string(text), "\uFFFD")
	s = space + strings.ReplaceAll(s, " ", space)
	var syms []string
	for len(s) > 0 {
		_, n := utf8.DecodeRuneInString(s)
		syms = append(syms, s[:n])
		s = s[n:]
	}
	for {
		best, at := float32(0), -1
		for i := 0; i+1 < len(syms); i++ {
			if id, ok := t.ids[syms[i]+syms[i+1]]; ok && (at < 0 || t.pieces[id].Score > best) {
				best, at = t.pieces[id].Score, i
			}
		}
		if at < 0 {
			break
		}
		syms[at] += syms[at+1]
		syms = append(syms[:at+1], syms[at+2:]...)
	}
	for _, w := range syms {
		if id, ok := t.ids[w]; ok {
			dst = append(dst, id)
			continue
		}
		for i := 0; i < len(w); i++ {
			dst = append(dst, t.bytes[w[i]])
		}
	}
	return dst
}
