// Package gguf reads the container of GGUF, the file format of ggml and
// llama.cpp, in versions 2 and 3: key/value pairs and the table of tensors. What
// the pairs mean is the business of packages tokenizer and weights.
//
// All is little-endian:
//
//	"GGUF", uint32 version, uint64 tensors, uint64 pairs
//	for each pair: string key, uint32 type, value
//	for each tensor: string name, uint32 n, n uint64 dims, uint32 type, uint64 offset
//	string: uint64 length, bytes;  array: uint32 type, uint64 length, values
//
// and behind padding the tensors' bytes, from which offsets count.
//
// A reader trusts nothing: memory grows with what is there, not with what a
// length claims.
package gguf

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Magic begins every file.
const Magic = "GGUF"

// Error is damage, and the byte where it was noticed.
type Error struct {
	Offset int64
	Err    error
}

func (e *Error) Error() string { return fmt.Sprintf("offset %d: %v", e.Offset, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// Pairs are key/value pairs. Values are of type bool, uint32, int32, uint64,
// int64, float32, float64, string, []string, []float32 or []int32. Numbers of 8
// and 16 bits are widened with their sign, those of arrays to int32.
type Pairs map[string]any

// ReadPairs reads the pairs whose keys keep wants, and nothing behind them: the
// tensors may be many gigabytes. Other pairs are passed over, as are arrays of
// types that Pairs has no place for.
func ReadPairs(r io.Reader, keep func(key string) bool) (Pairs, error) {
	g := newReader(r)
	pairs, _, err := g.pairs(keep)
	return pairs, g.failed(err)
}

// reader reads values and counts bytes, for errors: an offset finds the place
// in a hex dump.
type reader struct {
	r       *bufio.Reader
	at      int64
	scratch [8]byte
}

// newReader buffers: values are a few bytes each.
func newReader(r io.Reader) *reader { return &reader{r: bufio.NewReaderSize(r, 1<<16)} }

// failed puts a place to an error.
func (g *reader) failed(err error) error {
	if err == nil {
		return nil
	}
	// A file that ends where a value is expected, at its beginning or within it.
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the file is cut off")
	}
	return &Error{g.at, err}
}

// bytes reads n ≤ 8 bytes, which are valid until the next call.
func (g *reader) bytes(n int) ([]byte, error) {
	b := g.scratch[:n]
	_, err := io.ReadFull(g.r, b)
	if err == nil {
		g.at += int64(n)
	}
	return b, err
}

// u32 reads the numbers of which the format itself consists: versions, types and
// counts of dimensions.
func (g *reader) u32() (uint32, error) {
	// After an error the bytes are those of before; callers look at the error.
	b, err := g.bytes(4)
	return binary.LittleEndian.Uint32(b), err
}

// u64 reads lengths, counts and places.
func (g *reader) u64() (uint64, error) {
	b, err := g.bytes(8)
	return binary.LittleEndian.Uint64(b), err
}

// Limits of what is kept. The largest values there are, the pieces of a
// tokenizer, take a few megabytes.
const (
	maxKey     = 1 << 16
	maxString  = 64 << 20
	maxStrings = 1 << 22
	maxNumbers = 64 << 20
)

// str reads a string of at most limit bytes.
func (g *reader) str(limit uint64) (string, error) {
	n, err := g.u64()
	if err != nil {
		return "", err
	}
	if n > limit {
		return "", fmt.Errorf("a string of %d bytes, more than %d", n, limit)
	}
	// Small enough to allocate on a file's word.
	if n <= 1<<16 {
		b := make([]byte, n)
		m, err := io.ReadFull(g.r, b)
		g.at += int64(m)
		return string(b), err
	}
	// Beyond that memory grows as bytes arrive.
	var buf bytes.Buffer
	m, err := io.CopyN(&buf, g.r, int64(n))
	// What arrived counts even if it was too little.
	g.at += m
	return buf.String(), err
}

// skip passes over n bytes. A file that claims more than it has ends in an
// error here, whatever it claims.
func (g *reader) skip(n uint64) error {
	if n > math.MaxInt64 {
		return fmt.Errorf("a value of %d bytes", n)
	}
	// Read, not sought: a reader may be a pipe.
	m, err := io.CopyN(io.Discard, g.r, int64(n))
	g.at += m
	return err
}

// sizes of the fixed types by number, 0 for others: u8 i8 u16 i16 u32 i32 f32
// bool string array u64 i64 f64.
var sizes = [...]uint64{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8}

// Types by number that have a case of their own.
const (
	typeF32    = 6
	typeString = 8
	typeArray  = 9
	typeU64    = 10
)

// pairs reads the head and all pairs, of which it returns those that are kept,
// and the number of tensors that the head claims.
func (g *reader) pairs(keep func(string) bool) (kept Pairs, tensors uint64, err error) {
	magic, err := g.bytes(4)
	if err != nil {
		return nil, 0, err
	}
	if string(magic) != Magic {
		return nil, 0, errors.New("not a GGUF file")
	}
	version, err := g.u32()
	if err != nil {
		return nil, 0, err
	}
	// Version 1 had lengths of 32 bits. A big-endian file has its version in the
	// upper bytes.
	switch {
	case version == 2<<24 || version == 3<<24:
		return nil, 0, errors.New("a big-endian GGUF file; little-endian ones are read")
	case version != 2 && version != 3:
		return nil, 0, fmt.Errorf("GGUF version %d, not 2 or 3", version)
	}
	// Both counts stand here, though the table follows only after all pairs.
	if tensors, err = g.u64(); err != nil {
		return nil, 0, err
	}
	n, err := g.u64()
	if err != nil {
		return nil, 0, err
	}
	// The number of pairs is not to be trusted, but each takes some bytes of the
	// file, so that reading ends where the file does.
	kept = Pairs{}
	for ; n > 0; n-- {
		key, err := g.str(maxKey)
		if err != nil {
			return nil, 0, err
		}
		kind, err := g.u32()
		if err != nil {
			return nil, 0, err
		}
		v, err := g.value(kind, keep(key))
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", key, err)
		}
		// llama.cpp refuses such a file too. Those that are not kept are not
		// remembered, and nobody asks for them.
		if _, twice := kept[key]; twice {
			return nil, 0, fmt.Errorf("the key %q appears twice", key)
		}
		// nil is a value that was passed over.
		if v != nil {
			kept[key] = v
		}
	}
	return kept, tensors, nil
}

// value reads a value, or skips it and returns nil unless it is wanted. Skipping
// takes no memory, so that a vocabulary of megabytes costs nothing to those who
// read weights.
func (g *reader) value(kind uint32, wanted bool) (any, error) {
	switch {
	case kind == typeString:
		if !wanted {
			n, err := g.u64()
			if err != nil {
				return nil, err
			}
			return nil, g.skip(n)
		}
		return g.str(maxString)
	case kind == typeArray:
		return g.array(wanted)
	case kind < uint32(len(sizes)):
		b, err := g.bytes(int(sizes[kind]))
		if err != nil || !wanted {
			return nil, err
		}
		return scalar(kind, b), nil
	}
	return nil, fmt.Errorf("unknown type %d", kind)
}

// scalar decodes a fixed-size value; small integers widen to 32 bits, with
// their sign.
func scalar(kind uint32, b []byte) any {
	// Little-endian, so that zeros behind the bytes widen them; signed ones are
	// cut to their width again below.
	var x [8]byte
	copy(x[:], b)
	u := binary.LittleEndian.Uint64(x[:])
	switch kind {
	case 0, 2, 4:
		return uint32(u)
	case 1:
		return int32(int8(u))
	case 3:
		return int32(int16(u))
	case 5:
		return int32(u)
	case typeF32:
		return math.Float32frombits(uint32(u))
	case 7:
		return u != 0
	case typeU64:
		return u
	case 11:
		return int64(u)
	}
	return math.Float64frombits(u)
}

// array reads an array of strings, or of numbers of at most 32 bits; anything
// else is passed over. Slices grow as values come in.
func (g *reader) array(wanted bool) (any, error) {
	kind, err := g.u32()
	if err != nil {
		return nil, err
	}
	n, err := g.u64()
	if err != nil {
		return nil, err
	}
	switch {
	case kind == typeString:
		return g.strings(n, wanted)
	case kind == typeArray:
		return nil, errors.New("an array of arrays")
	case kind >= uint32(len(sizes)):
		return nil, fmt.Errorf("an array of unknown type %d", kind)
	}
	// No model has pairs of arrays of bools or 64-bit numbers that anybody reads.
	size := sizes[kind]
	if !wanted || kind >= typeU64 || kind == 7 {
		if n > math.MaxInt64/size {
			return nil, fmt.Errorf("an array of %d values", n)
		}
		return nil, g.skip(n * size)
	}
	if n > maxNumbers {
		return nil, fmt.Errorf("an array of %d values", n)
	}
	// No capacity in advance: the length is only the file's word.
	var floats []float32
	var ints []int32
	for ; n > 0; n-- {
		b, err := g.bytes(int(size))
		if err != nil {
			return nil, err
		}
		switch v := scalar(kind, b).(type) {
		case float32:
			floats = append(floats, v)
		case int32:
			ints = append(ints, v)
		case uint32:
			ints = append(ints, int32(v))
		}
	}
	if kind == typeF32 {
		return floats, nil
	}
	return ints, nil
}

// strings reads n strings, or passes over them and returns nil. They cannot be
// skipped in one step, since each has a length of its own.
func (g *reader) strings(n uint64, wanted bool) (any, error) {
	if wanted && n > maxStrings {
		return nil, fmt.Errorf("%d strings, more than %d", n, maxStrings)
	}
	// Each takes at least the 8 bytes of its length from the file.
	var out []string
	for ; n > 0; n-- {
		if !wanted {
			if _, err := g.value(typeString, false); err != nil {
				return nil, err
			}
			continue
		}
		s, err := g.str(maxString)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	if !wanted {
		return nil, nil
	}
	return out, nil
}
