package data

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"sort"
)

// Shard is one open token file.
// Its methods may be called by several goroutines: nothing in it changes after
// opening.
type Shard struct {
	Header
	Path string
	r    *region
}

// OpenShard opens a shard and checks its header and its size, not its
// contents: Verify does that.
func OpenShard(path string) (*Shard, error) { return openShard(path, true) }

// openShard is OpenShard with the choice of how to read; see openRegion.
func openShard(path string, mapped bool) (*Shard, error) {
	// The file is opened twice; between the two it may only be replaced as a
	// whole, by the same name, since shards are written beside their place and
	// renamed.
	h, err := ReadHeader(path)
	if err != nil {
		return nil, err
	}
	r, err := openRegion(path, h.Size(), mapped)
	if err != nil {
		return nil, err
	}
	return &Shard{Header: h, Path: path, r: r}, nil
}

// ReadHeader reads a shard's header and checks it and the file's size.
func ReadHeader(path string) (Header, error) {
	f, err := os.Open(path)
	if err != nil {
		return Header{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return Header{}, err
	}
	var b [headerSize]byte
	// A short file is not an error here: decodeHeader names the place where it
	// ends.
	n, err := io.ReadFull(f, b[:])
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return Header{}, &Error{File: path, Offset: int64(n), Err: err}
	}
	return decodeHeader(path, b[:n], st.Size())
}

// Close unmaps the shard.
func (s *Shard) Close() error { return s.r.close() }

// Read copies the tokens from start on into dst, all of which must exist.
//
// An id outside the vocabulary would send a training step out of its tables,
// and only a damaged file has one, so Read panics with an *Error: the callers
// that want an error instead of a crash run Verify first.
func (s *Shard) Read(start int64, dst []int32) {
	// A bug of the caller, not of the file.
	if start < 0 || start+int64(len(dst)) > s.Tokens {
		panic(fmt.Sprintf("data: tokens %d to %d of %d", start, start+int64(len(dst)), s.Tokens))
	}
	// The largest id is found along the way, where it costs next to nothing.
	var top uint32
	done := 0
	err := s.r.each(headerSize+start*int64(s.Width), int64(len(dst)*s.Width), func(b []byte) {
		var m uint32
		if s.Width == 2 {
			m = widen16(dst[done:], b)
			done += len(b) / 2
		} else {
			m = widen32(dst[done:], b)
			done += len(b) / 4
		}
		top = max(top, m)
	})
	if err != nil {
		panic(err)
	}
	// Compared unsigned, so that an id that would be negative as an int32
	// counts as too large.
	if top >= uint32(s.Vocab) && len(dst) > 0 {
		panic(fileErr(s.Path, headerSize+start*int64(s.Width), "token %d of a vocabulary of %d: the shard is damaged", top, s.Vocab))
	}
}

// widen16 turns little-endian uint16s into dst and returns the largest.
// b has two bytes for each element of dst that is written; what dst has beyond
// is left alone.
func widen16(dst []int32, b []byte) (top uint32) {
	dst = dst[:len(b)/2]
	// Four at a time from one load: the plain loop is bound by its loads.
	for len(dst) >= 4 && len(b) >= 8 {
		v := binary.LittleEndian.Uint64(b)
		t0, t1, t2, t3 := uint32(v&0xffff), uint32(v>>16&0xffff), uint32(v>>32&0xffff), uint32(v>>48)
		dst[0], dst[1], dst[2], dst[3] = int32(t0), int32(t1), int32(t2), int32(t3)
		top = max(top, t0, t1, t2, t3)
		dst, b = dst[4:], b[8:]
	}
	for i := range dst {
		t := uint32(binary.LittleEndian.Uint16(b[2*i:]))
		dst[i] = int32(t)
		top = max(top, t)
	}
	return top
}

// widen32 turns little-endian uint32s into dst and returns the largest.
func widen32(dst []int32, b []byte) (top uint32) {
	dst = dst[:len(b)/4]
	for i := range dst {
		t := binary.LittleEndian.Uint32(b[4*i:])
		dst[i] = int32(t)
		top = max(top, t)
	}
	return top
}

// Doc returns entry i of the table of documents.
func (s *Shard) Doc(i int64) (Doc, error) {
	if i < 0 || i >= s.Docs {
		panic(fmt.Sprintf("data: document %d of %d", i, s.Docs))
	}
	var b [docSize]byte
	// Entries have a fixed size: the table is never read whole, which for a web
	// crawl would be gigabytes.
	if err := s.r.at(s.docsAt()+i*docSize, b[:]); err != nil {
		return Doc{}, err
	}
	return decodeDoc(b[:]), nil
}

// start is the first token of document i, and Tokens for i = Docs.
func (s *Shard) start(i int64) int64 {
	if i == s.Docs {
		return s.Tokens // where the next document would begin
	}
	d, err := s.Doc(i)
	if err != nil {
		panic(err)
	}
	return d.Start
}

// docAt returns the first document that starts at token t or later.
// Starts never fall, as Verify checks, so a binary search finds it.
func (s *Shard) docAt(t int64) int64 {
	return int64(sort.Search(int(s.Docs), func(i int) bool { return s.start(int64(i)) >= t }))
}

// DocName returns the name of document i, as d was read for it.
func (s *Shard) DocName(i int64, d Doc) (string, error) {
	// A name ends where the next begins; only its start is stored.
	end := s.NameBytes
	if i+1 < s.Docs {
		next, err := s.Doc(i + 1)
		if err != nil {
			return "", err
		}
		end = next.Name
	}
	if d.Name < 0 || d.Name > end || end > s.NameBytes {
		return "", fileErr(s.Path, s.docsAt()+i*docSize, "name of document %d lies at %d to %d of %d", i, d.Name, end, s.NameBytes)
	}
	// Both ends were checked above: a damaged entry must not ask for gigabytes.
	b := make([]byte, end-d.Name)
	err := s.r.at(s.namesAt()+d.Name, b)
	return string(b), err
}

// Verify reads the whole shard, compares its checksum and walks its table of
// documents.
func (s *Shard) Verify() error {
	sum := sha256.New()
	err := s.r.each(headerSize, s.Size()-headerSize, func(b []byte) { sum.Write(b) })
	if err != nil {
		return err
	}
	if got := [32]byte(sum.Sum(nil)); got != s.Sum {
		return fileErr(s.Path, headerSize, "checksum is %x, the header says %x", got[:8], s.Sum[:8])
	}
	// Zero, which is where the first document has to begin.
	var prev Doc
	var bytes int64
	for i := int64(0); i < s.Docs; i++ {
		d, err := s.Doc(i)
		if err != nil {
			return err
		}
		if i == 0 && d.Start != 0 || d.Start < prev.Start || d.Start > s.Tokens || d.Name < prev.Name || d.Name > s.NameBytes || d.Bytes < 0 {
			return fileErr(s.Path, s.docsAt()+i*docSize, "entry of document %d is out of order", i)
		}
		prev = d
		// Counts are sums that anyone can check, so the header need not be
		// believed.
		bytes += int64(d.Bytes)
	}
	if bytes != s.Bytes {
		return fileErr(s.Path, 32, "documents have %d bytes, the header says %d", bytes, s.Bytes)
	}
	return nil
}
