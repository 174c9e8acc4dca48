package weights

import (
	"encoding/binary"
	"io"
	"math"

	"github.com/llamac/llamac/runtime/gguf"
)

// size is the number of bytes of an element, 0 for a type whose elements are not
// stored one by one, and for one that is not read.
// Other 8-bit types are listed by name and left unread.
func (d DType) size() int {
	switch d {
	case F32:
		return 4
	case F16, BF16:
		return 2
	}
	return 0
}

// readable tells whether a type becomes float32.
func (d DType) readable() bool { return d.size() > 0 || blockDecoders[d] != nil }

// readableTypes is the end of a message about one that does not.
const readableTypes = "F32, F16, BF16 and ggml's Q4_0 to Q8_0 and Q2_K to Q6_K are read"

// block is how many elements of a readable type are stored together, in how many
// bytes.
func (d DType) block() (elements, bytes int) {
	if n := d.size(); n > 0 {
		return 1, n
	}
	return gguf.Block(string(d))
}

// decode converts little-endian elements to float32. Every value of the three
// plain types is a float32, so nothing is rounded.
// src has whole blocks for all of dst.
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
	default:
		n, bytes := d.block()
		for ; len(dst) > 0; dst, src = dst[n:], src[bytes:] {
			blockDecoders[d](dst[:n], src[:bytes])
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

// readInto reads a tensor whose bytes begin at an offset of f, if its type is one
// that is read and dst has its length.
func readInto(path string, f io.ReaderAt, offset int64, t Tensor, dst []float32) error {
	// Named rather than guessed: a type with a scale beside it (FP8, INT8)
	// would give numbers that mean nothing.
	if !t.DType.readable() {
		return bad(path, offset, "tensor %q is of type %s; "+readableTypes, t.Name, t.DType)
	}
	if n := t.Len(); n != len(dst) {
		return bad(path, offset, "tensor %q has %d elements, the destination %d", t.Name, n, len(dst))
	}
	return readTensor(path, f, offset, t.DType, dst)
}

// readTensor converts len(dst) elements, whole blocks, that start at an offset of f.
func readTensor(path string, f io.ReaderAt, offset int64, d DType, dst []float32) error {
	n, bytes := d.block()
	// A whole number of blocks at a time.
	buf := make([]byte, min(chunk/bytes, len(dst)/n)*bytes)
	for len(dst) > 0 {
		blocks := min(len(dst)/n, len(buf)/bytes)
		b := buf[:blocks*bytes]
		if _, err := f.ReadAt(b, offset); err != nil {
			return bad(path, offset, "reading %d bytes: %v", len(b), err)
		}
		decode(dst[:blocks*n], b, d)
		dst, offset = dst[blocks*n:], offset+int64(len(b))
	}
	return nil
}
