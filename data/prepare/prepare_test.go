package prepare

import (
	"crypto/sha256"
	"fmt"
)

// byteTok is a tokenizer of bytes with BOS 256 and EOS 257.
type byteTok struct{ name string }

func (byteTok) Vocab() int { return 258 }
func (byteTok) BOS() int32 { return 256 }
func (byteTok) EOS() int32 { return 257 }
func (t byteTok) Hash() string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte("bytes"+t.name)))
}

func (byteTok) Encode(dst []int32, text []byte) []int32 {
	for _, b := range text {
		dst = append(dst, int32(b))
	}
	return dst
}

func (byteTok) Decode(dst []byte, ids []int32) []byte {
	for _, id := range ids {
		if id < 256 {
			dst = append(dst, byte(id))
		}
	}
	return dst
}
