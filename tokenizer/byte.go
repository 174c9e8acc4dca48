package tokenizer

// byteTokenizer has one id for each byte and no special ids.
type byteTokenizer struct{}

// Byte is the tokenizer of 256 ids, one a byte, without BOS and EOS.
func Byte() Tokenizer { return byteTokenizer{} }

func (byteTokenizer) Vocab() int { return 256 }
func (byteTokenizer) BOS() int32 { return -1 }
func (byteTokenizer) EOS() int32 { return -1 }

func (byteTokenizer) Encode(dst []int32, text []byte) []int32 {
	for _, b := range text {
		dst = append(dst, int32(b))
	}
	return dst
}

func (byteTokenizer) Decode(dst []byte, ids []int32) []byte {
	for _, id := range ids {
		if id >= 0 && id < 256 {
			dst = append(dst, byte(id))
		}
	}
	return dst
}

func (byteTokenizer) Piece(id int32) string {
	if id < 0 || id > 255 {
		return ""
	}
	return string([]byte{byte(id)})
}

// Hash is the sha256 of the family's name: there is nothing else to it.
func (byteTokenizer) Hash() string { return hashStrings("byte") }
