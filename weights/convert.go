package weights

import (
	"encoding/binary"
	"math"
)

// size is the number of bytes of an element, 0 for a type that is not read.
// Quantised and 8-bit types are listed by name and left unread.
func (d DType) size() int {
	switch d {
	case F32:
		return 4
	case F16, BF16:
		return 2
	}
	return 0
}

// decode converts little-endian elements to float32. Every value of the three
// types is a float32, so nothing is rounded.
// src has d.size() bytes for each element of dst.
func decode(dst []float32, src []byte, d DType) {
	switch d {
	case F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	case BF16: // the upper half of a float32
		for i := range dst {
			dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
		}
	case F16:
		for i := range dst {
			dst[i] = half(binary.LittleEndian.Uint16(src[2*i:]))
		}
	}
}

// half converts IEEE 754 binary16.
func half(h uint16) float32 {
	sign := uint32(h>>15) << 31
	// 5 bits of exponent with a bias of 15, 10 bits of fraction.
	exp, frac := uint32(h>>10)&31, uint32(h)&1023
	switch exp {
	case 0: // zero or subnormal: frac units of 2^-24, exact in a float32
		return math.Float32frombits(sign | math.Float32bits(float32(frac)*0x1p-24))
	case 31: // infinity or NaN, payload kept
		return math.Float32frombits(sign | 255<<23 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+127-15)<<23 | frac<<13)
}

// encode writes src as little-endian float32.
// dst has 4 bytes for each element.
func encode(dst []byte, src []float32) {
	for i, x := range src {
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(x))
	}
}

// chunk is how many bytes are converted at a time.
// Large enough that a disk reads in sequence, small enough for the second-level
// cache.
const chunk = 256 << 10

// readTensor converts len(dst) elements that start at an offset of f.
func readTensor(path string, f source, offset int64, d DType, dst []float32) error {
	// A whole number of elements: chunk is a multiple of each size.
	buf := make([]byte, min(chunk, len(dst)*d.size()))
	for len(dst) > 0 {
		n := min(len(dst), len(buf)/d.size())
		b := buf[:n*d.size()]
		if _, err := f.ReadAt(b, offset); err != nil {
			return bad(path, offset, "reading %d bytes: %v", len(b), err)
		}
		decode(dst[:n], b, d)
		dst, offset = dst[n:], offset+int64(len(b))
	}
	return nil
}
