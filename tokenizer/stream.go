package tokenizer

// A Stream decodes one id at a time, as generation needs it. It holds back the
// bytes of an unfinished character, so that what it returns is always whole
// characters. The zero Stream is not usable; NewStream makes one.
type Stream struct {
	t    Tokenizer
	ids  []int32
	sent int
	buf  []byte
}

// NewStream starts a stream of text that begins with the first id fed.
func NewStream(t Tokenizer) *Stream { return &Stream{t: t} }

// Next feeds one id and returns the text that became certain, possibly none.
// The result is valid until the next call.
func (s *Stream) Next(id int32) []byte {
	s.ids = append(s.ids, id)
	s.buf = s.t.Decode(s.buf[:0], s.ids)
	whole := wholeRunes(s.buf)
	out := s.buf[min(s.sent, whole):whole]
	s.sent = whole
	return out
}

// Flush ends the text and returns what was held back, with U+FFFD for each
// byte that is not part of a character.
func (s *Stream) Flush() []byte {
	out := append([]byte(nil), s.buf[min(s.sent, len(s.buf)):]...)
	s.sent = len(s.buf)
	return out
}

// wholeRunes is the length of the longest prefix of b that does not end within
// a character.
func wholeRunes(b []byte) int {
	for n := 1; n <= 3 && n <= len(b); n++ {
		c := b[len(b)-n]
		if c&0xC0 == 0x80 {
			continue
		}
		if (c >= 0xF0 && n < 4) || (c >= 0xE0 && n < 3) || (c >= 0xC0 && n < 2) {
			return len(b) - n
		}
		break
	}
	return len(b)
}
