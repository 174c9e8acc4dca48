package tokenizer

// A Stream decodes one id at a time, as generation needs it. What it returns is
// always whole characters: the bytes of an unfinished one are held back. All
// that it returned, put together, is what Decode gives for all the ids (for
// byte-level tokenizers: with U+FFFD for each byte that is no UTF-8).
type Stream struct {
	d   decoder
	raw Tokenizer    // of tokenizers that decode to bytes
	hf  *jsonDecoder // of vocabularies with listed merges that do not
	buf []byte
	one [1]int32
	tmp []byte
}

// NewStream starts a text: the first id fed is its first.
func NewStream(t Tokenizer) *Stream {
	s := new(Stream)
	bpe, ok := t.(*BPE)
	switch {
	case ok && bpe.hf == nil:
		s.d.t = bpe
	case ok && !bpe.decodesBytes:
		s.hf = new(jsonDecoder)
		s.hf.start(bpe)
	default:
		s.raw = t
	}
	return s
}

// Next feeds one id and returns the text that became certain, possibly none.
// The result is valid until the next call.
func (s *Stream) Next(id int32) []byte {
	s.buf = s.buf[:0]
	if s.hf != nil {
		s.buf = s.hf.next(s.buf, id)
		return s.buf
	}
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

// Flush ends the text: it returns what was held back, U+FFFD for each byte that
// is no character.
func (s *Stream) Flush() []byte {
	if s.hf != nil {
		s.buf = s.hf.flush(s.buf[:0])
		return s.buf
	}
	s.buf = s.d.flush(s.buf[:0])
	return s.buf
}
