package tokenizer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/llamac/llamac/runtime/filekind"
	"github.com/llamac/llamac/runtime/gguf"
)

// A Tokenizer maps text to ids and back. It is safe for concurrent use.
type Tokenizer interface {
	// Vocab is the number of ids: ids are 0 ≤ id < Vocab.
	Vocab() int
	// BOS and EOS are the ids that begin and end a document, -1 when absent.
	BOS() int32
	EOS() int32
	// Encode appends the ids of text to dst. It adds neither BOS nor EOS.
	// Any bytes are valid input.
	Encode(dst []int32, text []byte) []int32
	// Decode appends the text of ids to dst. Ids outside the vocabulary
	// and control pieces such as BOS have no text.
	Decode(dst []byte, ids []int32) []byte
	// Piece is the vocabulary's own spelling of an id ("▁the", "<0x0A>"), ""
	// when id is out of range.
	Piece(id int32) string
	// Hash identifies the vocabulary and all rules that ids depend on: sha256,
	// in hex. Two files of different formats with the same contents have
	// the same hash, and so do a tokenizer and its WithoutSpecials: the same
	// ids mean the same.
	Hash() string
}

// maxFile bounds the tokenizer files that are read whole, in bytes. A GGUF file
// may be larger: only its key/value pairs are read.
const maxFile = 256 << 20

// Open reads a tokenizer file. The format is recognised by content, never by
// name.
func Open(path string) (Tokenizer, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var magic [len(gguf.Magic)]byte
	if _, err := io.ReadFull(f, magic[:]); err == nil && string(magic[:]) == gguf.Magic {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		return ParseGGUF(path, f)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	// A byte more than allowed tells a file that is too large from one that
	// just fits.
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: larger than %d bytes: not a tokenizer", path, maxFile)
	}
	return Parse(path, data)
}

// errFormat is what Parse reports for a file that is none of the formats.
var errFormat = errors.New("not a tokenizer: neither SentencePiece model, llama2.c tokenizer.bin, GGUF nor tokenizer.json")

// Parse reads a tokenizer from memory. name stands for the file in errors.
func Parse(name string, data []byte) (Tokenizer, error) {
	if what := filekind.Describe(name, data[:min(len(data), filekind.Head)], int64(len(data))); what != "" {
		return nil, fmt.Errorf("%s: not a tokenizer: %s", name, what)
	}
	switch {
	case bytes.HasPrefix(data, []byte(gguf.Magic)):
		return ParseGGUF(name, bytes.NewReader(data))
	case looksLikeBin(data):
		return ParseBin(name, data)
	case data[0] == 1<<3|2: // field 1 of a protobuf, length-delimited: the first piece
		return ParseModel(name, data)
	case bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n\uFEFF"), []byte("{")):
		return ParseJSON(name, data)
	}
	return nil, fmt.Errorf("%s: %w", name, errFormat)
}

// looksLikeBin recognises tokenizer.bin: a maximum length that is small, then
// a first piece whose length is within it.
func looksLikeBin(data []byte) bool {
	if len(data) < 13 {
		return false
	}
	longest := binary.LittleEndian.Uint32(data)
	n := binary.LittleEndian.Uint32(data[8:])
	return longest > 0 && longest <= maxPiece && n > 0 && n <= maxPiece && int(n) <= len(data)-12
}
