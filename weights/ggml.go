package weights

import "encoding/binary"

// Blocks of ggml's quantised types, as llama.cpp writes them. A row is cut into
// blocks of 32 numbers, or of 256 for the types with a K, whose blocks have
// parts of 16 or 32. A number is d·q or d·q - m: q has 2 to 8 bits, and the
// scales d and m are those of the block or the part. Product and difference are
// rounded to float32 one after the other, as ggml's own reference does: the
// conversions keep a compiler from fusing them.
//
// Names and places are those of ggml-common.h; qs are the low bits, qh the high
// ones, which lie apart so that both can be loaded as bytes.

// blockDecoders turn one block of a type into float32.
var blockDecoders = map[DType]func(dst []float32, src []byte){
	"Q4_0": func(dst []float32, src []byte) { decode32(dst, src[2:], nil, scale(src), -8) },
	"Q5_0": func(dst []float32, src []byte) { decode32(dst, src[6:], src[2:6], scale(src), -16) },
	"Q4_1": func(dst []float32, src []byte) {
		decode32(dst, src[4:], nil, scale(src), 0)
		shift(dst, scale(src[2:]))
	},
	"Q5_1": func(dst []float32, src []byte) {
		decode32(dst, src[8:], src[4:8], scale(src), 0)
		shift(dst, scale(src[2:]))
	},
	"Q8_0": func(dst []float32, src []byte) {
		d := scale(src)
		for i, q := range src[2:34] {
			dst[i] = d * float32(int8(q))
		}
	},
	"Q2_K": decodeQ2K, "Q3_K": decodeQ3K, "Q4_K": decodeQ4K, "Q5_K": decodeQ5K, "Q6_K": decodeQ6K,
}

// scale reads the float16 at the beginning of src.
func scale(src []byte) float32 { return half(binary.LittleEndian.Uint16(src)) }

// shift adds m to all.
func shift(dst []float32, m float32) {
	for i := range dst {
		dst[i] += m
	}
}

// decode32 decodes 32 numbers d·(q + zero): the lower halves of 16 bytes are the
// first 16, the upper ones the others. Bit i of qh is the fifth of number i.
func decode32(dst []float32, qs, qh []byte, d float32, zero int) {
	var high uint32
	if qh != nil {
		high = binary.LittleEndian.Uint32(qh)
	}
	for i := range 16 {
		low, up := int(qs[i]&15)|int(high>>i&1)<<4, int(qs[i]>>4)|int(high>>(i+16)&1)<<4
		dst[i], dst[i+16] = d*float32(low+zero), d*float32(up+zero)
	}
}

// decodeQ2K: 16 parts of 16 numbers of 2 bits. scales[16] has a part's d and m in
// 4 bits each, qs[64], then d and m of the block.
func decodeQ2K(dst []float32, src []byte) {
	scales, qs, d, m := src[:16], src[16:80], scale(src[80:]), scale(src[82:])
	for part := range 16 {
		dl, ml := d*float32(scales[part]&15), m*float32(scales[part]>>4)
		for i := range 16 {
			dst[16*part+i] = float32(dl*float32(twoBits(qs, part, i))) - ml
		}
	}
}

// twoBits finds number i of a part of 16. Each half of a block has 32 bytes, of
// which the first pair of parts takes the lowest bits, the next pair the next.
func twoBits(qs []byte, part, i int) int {
	return int(qs[part/8*32+part%2*16+i]>>(part%8/2*2)) & 3
}

// decodeQ3K: 16 parts of 16 numbers of 3 bits. hmask[32] has the third bits,
// where 0 takes 4 away, qs[64] the others; scales[12] has 16 scales of 6 bits,
// less 32; then d.
func decodeQ3K(dst []float32, src []byte) {
	hmask, qs, scales, d := src[:32], src[32:96], src[96:108], scale(src[108:])
	for part := range 16 {
		// Eight bytes have the low four bits of two scales each, the last four
		// bytes the high two bits of four.
		s := int(scales[part%8]>>(part/8*4)&15) | int(scales[8+part%4]>>(part/4*2)&3)<<4
		dl := d * float32(s-32)
		for i := range 16 {
			q := twoBits(qs, part, i)
			if hmask[part%2*16+i]>>(part/2)&1 == 0 {
				q -= 4
			}
			dst[16*part+i] = dl * float32(q)
		}
	}
}

// scaleMin finds d and m of part i of eight: 6 bits each in 12 bytes, of which
// the first eight have those of parts 0 to 3 and, above them, the high bits of
// the others.
func scaleMin(scales []byte, i int) (d, m float32) {
	if i < 4 {
		return float32(scales[i] & 63), float32(scales[i+4] & 63)
	}
	return float32(scales[i+4]&15 | scales[i-4]>>6<<4), float32(scales[i+4]>>4 | scales[i]>>6<<4)
}

// decodeQ4K: 8 parts of 32 numbers of 4 bits: d, m, scales[12], qs[128].
func decodeQ4K(dst []float32, src []byte) { decodeK(dst, src, src[16:], nil) }

// decodeQ5K: the same with 5 bits, the fifth in qh[32] before qs.
func decodeQ5K(dst []float32, src []byte) { decodeK(dst, src, src[48:], src[16:48]) }

// decodeK decodes parts in pairs, which share 32 bytes of qs: the first has the
// lower halves. Bit p of qh[i] belongs to number i of part p.
func decodeK(dst []float32, src, qs, qh []byte) {
	d, m := scale(src), scale(src[2:])
	for part := range 8 {
		s, least := scaleMin(src[4:16], part)
		dl, ml := d*s, m*least
		for i := range 32 {
			q := qs[part/2*32+i] >> (part % 2 * 4) & 15
			if qh != nil {
				q |= qh[i] >> part & 1 << 4
			}
			dst[32*part+i] = float32(dl*float32(q)) - ml
		}
	}
}

// decodeQ6K: 16 parts of 16 numbers of 6 bits, less 32: ql[128] has the low four,
// qh[64] the high two, int8 scales[16], d. Each half of the block is four runs of
// 32 numbers, which share bytes.
func decodeQ6K(dst []float32, src []byte) {
	ql, qh, scales, d := src[:128], src[128:192], src[192:208], scale(src[208:])
	for run := range 8 {
		at, r := run/4, run%4
		for i := range 32 {
			low := ql[64*at+r%2*32+i] >> (r / 2 * 4) & 15
			high := qh[32*at+i] >> (2 * r) & 3
			s := int8(scales[2*run+i/16])
			dst[32*run+i] = d * float32(s) * float32(int(low|high<<4)-32)
		}
	}
}
