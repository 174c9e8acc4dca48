package data

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"strings"
)

// A shard is one file, little-endian throughout:
//
//	header   256 bytes, fields below, CRC-32C of its first 252 bytes at the end
//	tokens   Tokens ids of Width bytes each, zero-padded to a multiple of 8
//	docs     Docs entries of 48 bytes each
//	names    the documents' names, end to end
//
// Sum is the SHA-256 of everything after the header. The header is written
// last, when the counts are known, so a file without its magic was cut short.
const (
	shardMagic   = "llamacTK"
	shardVersion = 1
	headerSize   = 256
	docSize      = 48
	hashSize     = 64 // room for the tokenizer's hash

	flagBOS = 1 // BOS before each document
	flagEOS = 2 // EOS after each document
)

// castagnoli is the polynomial with an instruction on amd64 and arm64.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header is the fixed part at the start of a shard.
type Header struct {
	Width     int   // bytes of a token: 2 when the vocabulary fits, or 4
	Tokens    int64 // BOS and EOS included
	Docs      int64
	Bytes     int64 // of text, before tokenizing
	NameBytes int64
	Vocab     int
	BOS, EOS  int32  // ids; -1 when documents carry none
	Tokenizer string // the tokenizer's hash, at most 64 bytes
	Sum       [32]byte
}

// Size is the length of the whole file in bytes.
func (h *Header) Size() int64 { return h.namesAt() + h.NameBytes }

func (h *Header) docsAt() int64  { return headerSize + (h.Tokens*int64(h.Width)+7)&^7 }
func (h *Header) namesAt() int64 { return h.docsAt() + h.Docs*docSize }

// encode returns the 256 bytes of the header.
// Unused bytes are zero, so that equal headers are equal files.
func (h *Header) encode() []byte {
	le := binary.LittleEndian
	b := make([]byte, headerSize)
	copy(b, shardMagic)
	le.PutUint32(b[8:], shardVersion)
	le.PutUint32(b[12:], uint32(h.Width))
	le.PutUint64(b[16:], uint64(h.Tokens))
	le.PutUint64(b[24:], uint64(h.Docs))
	le.PutUint64(b[32:], uint64(h.Bytes))
	le.PutUint64(b[40:], uint64(h.NameBytes))
	le.PutUint64(b[48:], uint64(h.Size()))
	le.PutUint32(b[56:], uint32(h.Vocab))
	var flags uint32
	if h.BOS >= 0 {
		flags |= flagBOS
		le.PutUint32(b[64:], uint32(h.BOS))
	}
	if h.EOS >= 0 {
		flags |= flagEOS
		le.PutUint32(b[68:], uint32(h.EOS))
	}
	le.PutUint32(b[60:], flags)
	copy(b[72:72+hashSize], h.Tokenizer)
	copy(b[136:], h.Sum[:])
	le.PutUint32(b[252:], crc32.Checksum(b[:252], castagnoli))
	return b
}

// decodeHeader reads a header and checks it against the file's size. Every
// count is bounded before it is multiplied, so a hostile header cannot
// overflow. file is for messages only.
func decodeHeader(file string, b []byte, size int64) (Header, error) {
	le := binary.LittleEndian
	var h Header
	if len(b) < headerSize {
		return h, fileErr(file, int64(len(b)), "ends inside the %d byte header of a shard", headerSize)
	}
	if string(b[:8]) != shardMagic {
		return h, fileErr(file, 0, "not a token shard: it starts with %q", b[:8])
	}
	if sum, want := crc32.Checksum(b[:252], castagnoli), le.Uint32(b[252:]); sum != want {
		return h, fileErr(file, 252, "header checksum is %08x, its bytes give %08x", want, sum)
	}
	if v := le.Uint32(b[8:]); v != shardVersion {
		return h, fileErr(file, 8, "shard version %d, this program reads %d", v, shardVersion)
	}
	// From here on the header is one that some program meant to write: the
	// checksum is right. It may still be hostile.
	h.Width = int(le.Uint32(b[12:]))
	if h.Width != 2 && h.Width != 4 {
		return h, fileErr(file, 12, "tokens of %d bytes, want 2 or 4", h.Width)
	}
	// Products of two counts with a size of at most 48 bytes stay below 2^63.
	const most = 1 << 48
	for i, p := range []*int64{&h.Tokens, &h.Docs, &h.Bytes, &h.NameBytes} {
		at := 16 + 8*i
		v := le.Uint64(b[at:])
		if v > most {
			return h, fileErr(file, int64(at), "count %d is beyond any shard", v)
		}
		*p = int64(v)
	}
	v := le.Uint32(b[56:])
	if v > math.MaxInt32 || (h.Width == 2 && v > 1<<16) {
		return h, fileErr(file, 56, "vocabulary %d with tokens of %d bytes", v, h.Width)
	}
	h.Vocab = int(v)
	// BOS and EOS are stored as they are used, -1 as the absence of a flag.
	h.BOS, h.EOS = -1, -1
	flags := le.Uint32(b[60:])
	if flags&flagBOS != 0 {
		h.BOS = int32(le.Uint32(b[64:]))
	}
	if flags&flagEOS != 0 {
		h.EOS = int32(le.Uint32(b[68:]))
	}
	h.Tokenizer = strings.TrimRight(string(b[72:72+hashSize]), "\x00")
	copy(h.Sum[:], b[136:])
	// The size is stored although the counts give it, to tell a header that
	// lies from a file that was cut.
	if want := le.Uint64(b[48:]); int64(want) != h.Size() {
		return h, fileErr(file, 48, "header gives a size of %d, its counts add up to %d", want, h.Size())
	}
	if size != h.Size() {
		return h, fileErr(file, min(size, h.Size()), "file has %d bytes, its header says %d", size, h.Size())
	}
	return h, nil
}

// Doc is an entry of a shard's table of documents.
type Doc struct {
	Start int64    // first token of the document within the shard
	Name  int64    // first byte of its name within the names
	Bytes int32    // length of the text
	Fix   int32    // bytes to add to the first text token's, so that a document's tokens add up to Bytes
	Ord   uint32   // number of the document in the unit of work it was read in
	Hash  [16]byte // SHA-256 of the text, first half
}

// encode writes the entry's 48 bytes:
//
//	start 8 · name 8 · bytes 4 · fix 4 · ord 4 · zero 4 · hash 16
func (d *Doc) encode(b []byte) {
	le := binary.LittleEndian
	le.PutUint64(b[0:], uint64(d.Start))
	le.PutUint64(b[8:], uint64(d.Name))
	le.PutUint32(b[16:], uint32(d.Bytes))
	le.PutUint32(b[20:], uint32(d.Fix))
	le.PutUint32(b[24:], d.Ord)
	le.PutUint32(b[28:], 0)
	copy(b[32:docSize], d.Hash[:])
}

// decodeDoc reads the entry's 48 bytes. What they say is checked by who uses
// it.
func decodeDoc(b []byte) (d Doc) {
	le := binary.LittleEndian
	d.Start = int64(le.Uint64(b[0:]))
	d.Name = int64(le.Uint64(b[8:]))
	d.Bytes = int32(le.Uint32(b[16:]))
	d.Fix = int32(le.Uint32(b[20:]))
	d.Ord = le.Uint32(b[24:])
	copy(d.Hash[:], b[32:docSize])
	return d
}
