package data

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
)

// File is what a shard is written to.
// WriterAt is for the header, which is written last.
type File interface {
	io.Writer
	io.WriterAt
}

// Writer writes one shard, document by document. It keeps the table of
// documents and their names in memory (48 bytes and a name each) and streams
// the tokens. Making the file appear whole or not at all is the caller's work.
type Writer struct {
	h     Header
	f     File
	w     *bufio.Writer
	sum   hash.Hash
	docs  []Doc
	names []byte
	buf   []byte
}

// NewWriter starts a shard for ids of a tokenizer: Vocab, BOS, EOS and
// Tokenizer of h are used. The width of tokens follows from the vocabulary.
func NewWriter(f File, h Header) (*Writer, error) {
	if h.Vocab <= 0 || h.Vocab > math.MaxInt32 {
		return nil, fmt.Errorf("vocabulary of %d ids", h.Vocab)
	}
	if len(h.Tokenizer) > hashSize {
		return nil, fmt.Errorf("tokenizer hash of %d bytes, at most %d", len(h.Tokenizer), hashSize)
	}
	w := &Writer{f: f, sum: sha256.New()}
	w.h = Header{Vocab: h.Vocab, BOS: h.BOS, EOS: h.EOS, Tokenizer: h.Tokenizer, Width: 2}
	if h.Vocab > 1<<16 {
		w.h.Width = 4
	}
	// A quarter of a megabyte, so that many small documents become few writes.
	w.w = bufio.NewWriterSize(f, 1<<18)
	_, err := w.w.Write(make([]byte, headerSize)) // all zero until Finish
	return w, err
}

// Add appends a document. Start and Name of d are filled in here; tokens must
// lie within the vocabulary.
func (w *Writer) Add(d Doc, name string, tokens []int32) error {
	// After an error the writer is of no more use: the counts below already
	// include the document.
	d.Start, d.Name = w.h.Tokens, int64(len(w.names))
	w.docs = append(w.docs, d)
	w.names = append(w.names, name...)
	w.h.Docs++
	w.h.Tokens += int64(len(tokens))
	w.h.Bytes += int64(d.Bytes)

	// The width is that of the vocabulary, not of the ids at hand, so that all
	// shards of a set have the same.
	w.buf = w.buf[:0]
	le := binary.LittleEndian
	for _, t := range tokens {
		if uint32(t) >= uint32(w.h.Vocab) {
			return fmt.Errorf("document %q has token %d of a vocabulary of %d", name, t, w.h.Vocab)
		}
		if w.h.Width == 2 {
			w.buf = le.AppendUint16(w.buf, uint16(t))
		} else {
			w.buf = le.AppendUint32(w.buf, uint32(t))
		}
	}
	return w.put(w.buf)
}

// put writes bytes that the checksum covers.
func (w *Writer) put(b []byte) error {
	w.sum.Write(b)
	_, err := w.w.Write(b)
	return err
}

// Docs counts the documents added so far.
func (w *Writer) Docs() int64 { return w.h.Docs }

// Finish writes the table, the names and last of all the header, which it
// returns. The caller still has to sync and close the file.
func (w *Writer) Finish() (Header, error) {
	// The product of counts has overflowed.
	if w.h.Size() < 0 {
		return w.h, errors.New("shard is too large")
	}
	// Entries of the table then lie at multiples of 8, as a mapping of them
	// wants.
	pad := (8 - w.h.Tokens*int64(w.h.Width)%8) % 8
	if err := w.put(make([]byte, pad)); err != nil {
		return w.h, err
	}
	var b [docSize]byte
	for i := range w.docs {
		w.docs[i].encode(b[:])
		if err := w.put(b[:]); err != nil {
			return w.h, err
		}
	}
	if err := w.put(w.names); err != nil {
		return w.h, err
	}
	w.h.NameBytes = int64(len(w.names))
	if err := w.w.Flush(); err != nil {
		return w.h, err
	}
	copy(w.h.Sum[:], w.sum.Sum(nil))
	_, err := w.f.WriteAt(w.h.encode(), 0)
	return w.h, err
}
