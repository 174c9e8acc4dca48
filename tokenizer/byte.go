package tokenizer

// byteTokenizer has one id for each byte and no special ids.
type byteTokenizer struct{}

// Byte is the tokenizer of 256 ids, one a byte, without BOS and EOS.
func Byte() Tokenizer { return byteTokenizer{} }

// Vocab is 256: one id a byte.
func (byteTokenizer) Vocab() int { return 256 }

// BOS and EOS are absent: every id is taken by a byte.
func (byteTokenizer) BOS() int32 { return -1 }
func (byteTokenizer) EOS() int32 { return -1 }

// Encode appends one id a byte.
func (byteTokenizer) Encode(dst []int32, text []byte) []int32 {
	for _, b := range text {
		dst = append(dst, int32(b))
	}
	return dst
}

// Decode appends the bytes; ids that are none have no text.
func (byteTokenizer) Decode(dst []byte, ids []int32) []byte {
	for _, id := range ids {
		if id >= 0 && id < 256 {
			dst = append(dst, byte(id))
		}
	}
	return dst
}

// Piece is the byte itself, which need not be valid UTF-8.
func (byteTokenizer) Piece(id int32) string {
	if id < 0 || id > 255 {
		return ""
	}
	return string([]byte{byte(id)})
}

// Hash is the sha256 of the family's name: there is nothing else to it.
func (byteTokenizer) Hash() string { return hashStrings("byte") }
