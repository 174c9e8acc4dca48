package prepare

import (
	"encoding/binary"
	"fmt"
)

// hashSet is a set of document hashes of a fixed capacity: a table with open
// addressing, 16 bytes a place.
type hashSet struct {
	table [][16]byte
	n     int
	zero  bool // whether the hash of all zeros, which marks a free place, is in
}

// placesFor is the size of a table for n hashes: a power of two that n fills
// by three quarters at most.
func placesFor(n int64) int64 {
	p := int64(16)
	for p*3/4 < n {
		p *= 2
	}
	return p
}

// add puts a hash in. It reports whether it was there before, and fails when
// the table is full.
func (s *hashSet) add(h [16]byte) (had, ok bool) {
	if h == ([16]byte{}) {
		had, s.zero = s.zero, true
		return had, true
	}
	// The size is a power of two.
	mask := uint64(len(s.table) - 1)
	// From the half that the passes do not look at: within a pass the first
	// bits are all the same.
	i := binary.LittleEndian.Uint64(h[8:]) & mask
	for s.table[i] != ([16]byte{}) {
		if s.table[i] == h {
			return true, true
		}
		i = (i + 1) & mask
	}
	// Fuller tables are slow to search.
	if s.n >= len(s.table)*3/4 {
		return false, false
	}
	s.table[i] = h
	s.n++
	return false, true
}

// dedup calls drop for every document that equals an earlier one. walk goes
// through all documents in their order, as often as it is called.
//
// The memory is bounded, not the number of documents: a pass looks only at
// hashes that begin with certain bits, as many passes as it takes for a pass's
// hashes to fit. If they do not, because they are more alike than hashes
// should be, everything starts again with twice the passes; dropping a document
// twice is dropping it once. The table takes at most memory bytes.
func dedup[D any](docs, memory int64, walk func(f func(D, [16]byte) error) error, drop func(D)) error {
	most := int64(16)
	// The largest power of two that the memory allows.
	for most*2*16 <= memory {
		most *= 2
	}
	bits := 0
	// 2^bits passes, if hashes spread as they should.
	for placesFor(docs>>bits) > most && bits < 40 {
		bits++
	}
again:
	set := hashSet{table: make([][16]byte, min(most, placesFor(docs>>bits+docs>>(bits+2)+64)))}
	for pass := uint64(0); pass < 1<<bits; pass++ {
		clear(set.table)
		set.n, set.zero = 0, false
		full := false
		err := walk(func(d D, h [16]byte) error {
			if full || bits > 0 && binary.BigEndian.Uint64(h[:])>>(64-bits) != pass {
				return nil
			}
			had, ok := set.add(h)
			if had {
				drop(d)
			}
			full = !ok
			return nil
		})
		if err != nil {
			return err
		}
		if full {
			if bits++; bits > 40 {
				return fmt.Errorf("%d bytes are too few for the hashes of %d documents", memory, docs)
			}
			goto again
		}
	}
	return nil
}
