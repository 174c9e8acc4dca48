package tokenizer

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// charsmap is the table of replacements of a SentencePiece normaliser such as
// nmt_nfkc: a double array in the layout of darts-clone (Yata 2012), then the
// replacements, each ended by a zero byte.
//
// A unit of the array holds a label in bits 0-7 and 31, whether a value hangs
// below in bit 8, and an offset in bits 10-30, shifted by 8 if bit 9 is set. A
// value has bit 31 set: the place of a replacement.
type charsmap struct {
	units []uint32
	texts []byte
}

// parseCharsmap checks the sizes. Offsets inside the array are checked where
// they are followed, for any text may lead anywhere in a damaged one.
func parseCharsmap(data []byte) (*charsmap, error) {
	if len(data) < 4 {
		return nil, fmt.Errorf("table of replacements is cut off")
	}
	n := binary.LittleEndian.Uint32(data)
	if int64(n) > int64(len(data)-4) || n < 4 || n%4 != 0 {
		return nil, fmt.Errorf("table of replacements has %d bytes for its trie, of %d", n, len(data)-4)
	}
	c := &charsmap{units: make([]uint32, n/4), texts: data[4+n:]}
	for i := range c.units {
		c.units[i] = binary.LittleEndian.Uint32(data[4+4*i:])
	}
	if len(c.texts) > 0 && c.texts[len(c.texts)-1] != 0 {
		return nil, fmt.Errorf("the last replacement has no end")
	}
	return c, nil
}

// dartsOffset is the offset in a unit: what a label is combined with to find
// the unit of the child.
func dartsOffset(u uint32) uint32 { return u >> 10 << (u & (1 << 9) >> 6) }

// longest returns the replacement for the longest entry that begins text, and
// its length, 0 if there is none.
func (c *charsmap) longest(text []byte) (with []byte, n int) {
	at := dartsOffset(c.units[0])
	for i, b := range text {
		at ^= uint32(b)
		if at >= uint32(len(c.units)) {
			break
		}
		u := c.units[at]
		if u&(1<<31|0xFF) != uint32(b) {
			break
		}
		at ^= dartsOffset(u)
		if at >= uint32(len(c.units)) {
			break
		}
		if u&(1<<8) != 0 {
			if v := c.units[at] &^ (1 << 31); v < uint32(len(c.texts)) {
				end := bytes.IndexByte(c.texts[v:], 0)
				with, n = c.texts[v:int(v)+end], i+1
			}
		}
	}
	return with, n
}
