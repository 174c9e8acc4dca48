package tokenizer

import "encoding/binary"

// Words repeat: nine of ten words of prose are among the few thousand seen
// last. A state remembers the ids of short words in a table without chains,
// where a newer word takes the place of an older one.

const (
	maxCached = 16   // bytes of a word
	cacheSize = 8192 // words; with 40 bytes each the table stays in the L2 cache
)

type cached struct {
	lo, hi  uint64 // the word's first and last bytes; with the size they are the word
	size, n uint8
	ids     [5]int32
}

// wordKey packs a word of 1 to 16 bytes. Words of the same length have the
// same key only if they are equal.
func wordKey(w []byte) (lo, hi uint64) {
	switch n := len(w); {
	case n >= 8:
		return binary.LittleEndian.Uint64(w), binary.LittleEndian.Uint64(w[n-8:])
	case n >= 4:
		return uint64(binary.LittleEndian.Uint32(w)), uint64(binary.LittleEndian.Uint32(w[n-4:]))
	case n >= 2:
		return uint64(binary.LittleEndian.Uint16(w)), uint64(binary.LittleEndian.Uint16(w[n-2:]))
	}
	return uint64(w[0]), 0
}

// wordSlot spreads keys over the table. Two rounds of multiplying mix all bytes
// into the upper bits, which number the slot.
func wordSlot(lo, hi uint64, size int) uint64 {
	h := (lo ^ uint64(size)<<56) * 0x9E3779B97F4A7C15
	h = (h ^ h>>32 ^ hi) * 0xD6E8FEB86659FD93
	return h >> 51 // 13 bits: cacheSize
}
