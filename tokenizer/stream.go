package tokenizer

// A Stream decodes one id at a time, as generation needs it. What it returns is
// always whole characters: the bytes of an unfinished one are held back. All
// that it returned, put together, is what Decode gives for all the ids (for
// byte-level tokenizers: with U+FFFD for each byte that is no UTF-8).
type Stream struct {
	d   decoder
	raw Tokenizer // of tokenizers that decode to bytes
	buf []byte
	one [1]int32
	tmp []byte
}

// NewStream starts a text: the first id fed is its first.
func NewStream(t Tokenizer) *Stream {
	s := new(Stream)
	if bpe, ok := t.(*BPE); ok && bpe.cfg.Family == SentencePiece {
		s.d.t = bpe
	} else {
		s.raw = t
	}
	return s
}

// Next feeds one id and returns the text that became certain, possibly none.
// The result is valid until the next call.
func (s *Stream) Next(id int32) []byte {
	s.buf = s.buf[:0]
	if s.raw == nil {
		s.buf = s.d.next(s.buf, id)
		return s.buf
	}
	s.one[0] = id
	s.tmp = s.raw.Decode(s.tmp[:0], s.one[:])
	for _, b := range s.tmp {
		s.buf = s.d.addByte(s.buf, b)
	}
	return s.buf
}

// Flush ends the text: it returns U+FFFD for each byte that was held back.
func (s *Stream) Flush() []byte {
	s.buf = s.d.flush(s.buf[:0])
	return s.buf
}
