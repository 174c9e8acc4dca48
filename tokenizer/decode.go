package tokenizer

import "strings"

// Decode appends the text of ids to dst. The space that Encode put before the
// text is dropped again.
func (t *BPE) Decode(dst []byte, ids []int32) []byte {
	first := true
	for _, id := range ids {
		if id < 0 || int(id) >= len(t.pieces) || t.pieces[id].Kind == KindControl {
			continue
		}
		if b, ok := byteOfPiece(t.pieces[id].Text); ok {
			dst, first = append(dst, b), false
			continue
		}
		s := strings.ReplaceAll(t.pieces[id].Text, space, " ")
		if first {
			s = strings.TrimPrefix(s, " ")
		}
		dst, first = append(dst, s...), false
	}
	return dst
}
