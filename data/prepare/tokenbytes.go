package prepare

import (
	"encoding/binary"
	"math"
)

// tokenBytes gives for each id the bytes of text that it stands for after
// another token. At the beginning of a text an id may stand for less, as
// SentencePiece's first space does: the document's Fix makes up for that.
// Bits per byte are a sum over tokens divided by a sum of these.
func tokenBytes(t Tokenizer) []uint16 {
	// The id that goes before may be any that is text.
	before := t.Encode(nil, []byte("a"))
	none := len(t.Decode(nil, before))
	out := make([]uint16, t.Vocab())
	ids := append([]int32(nil), before...)
	var buf []byte
	for id := range out {
		// The token alone would be taken for the beginning of a text.
		buf = t.Decode(buf[:0], append(ids[:len(before)], int32(id)))
		out[id] = uint16(min(max(len(buf)-none, 0), math.MaxUint16))
	}
	// BOS and EOS are never text, whatever a decoder writes for them.
	for _, id := range []int32{t.BOS(), t.EOS()} {
		if id >= 0 && int(id) < len(out) {
			out[id] = 0
		}
	}
	return out
}

// encodeTokenBytes is the table as it is stored.
func encodeTokenBytes(table []uint16) []byte {
	b := make([]byte, 0, 2*len(table))
	for _, n := range table {
		b = binary.LittleEndian.AppendUint16(b, n)
	}
	return b
}
