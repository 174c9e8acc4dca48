package tokenizer

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// GGUF (ggml's file format, versions 2 and 3) starts with key/value pairs, and
// some of them hold the tokenizer. All is little-endian:
//
//	"GGUF", uint32 version, uint64 tensors, uint64 pairs
//	for each pair: string key, uint32 type, value
//	string: uint64 length, bytes;  array: uint32 type, uint64 length, values
const ggufMagic = "GGUF"

// ggufPrefix starts the keys of the tokenizer.
const ggufPrefix = "tokenizer.ggml."

// KeyValue is one key/value pair of GGUF. Value is of type bool, uint32, int32,
// uint64, int64, float32, float64, string, []string, []float32 or []int32.
type KeyValue struct {
	Key   string
	Value any
}

// ParseGGUF reads the tokenizer in a GGUF file. It reads r no further than the
// key/value pairs.
//
// The tensors behind them may be many gigabytes, and are none of a tokenizer's
// business.
func ParseGGUF(name string, r io.Reader) (*BPE, error) {
	g := &ggufReader{r: bufio.NewReaderSize(r, 1<<16)}
	kv, err := g.pairs()
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("the file is cut off")
		}
		return nil, fmt.Errorf("%s: offset %d: %w", name, g.at, err)
	}
	t, err := FromGGUF(kv)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

// ggufReader reads values and counts bytes, for errors.
//
// The count is for messages: an offset finds the place in a hex dump.
type ggufReader struct {
	r       *bufio.Reader
	at      int64
	scratch [8]byte
}

// bytes reads n ≤ 8 bytes, which are valid until the next call.
func (g *ggufReader) bytes(n int) ([]byte, error) {
	b := g.scratch[:n]
	_, err := io.ReadFull(g.r, b)
	if err == nil {
		g.at += int64(n)
	}
	return b, err
}

// u32 reads a number of four bytes.
func (g *ggufReader) u32() (uint32, error) {
	b, err := g.bytes(4)
	return binary.LittleEndian.Uint32(b), err
}

// u64 reads a number of eight bytes.
func (g *ggufReader) u64() (uint64, error) {
	b, err := g.bytes(8)
	return binary.LittleEndian.Uint64(b), err
}

// str reads a string of at most limit bytes. Memory grows with what is there,
// not with what the length claims.
func (g *ggufReader) str(limit uint64) (string, error) {
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
		_, err = io.ReadFull(g.r, b)
		g.at += int64(n)
		return string(b), err
	}
	// Beyond that memory grows as bytes arrive.
	var buf bytes.Buffer
	m, err := io.CopyN(&buf, g.r, int64(n))
	g.at += m
	return buf.String(), err
}

// skip passes over n bytes. A file that claims more than it has ends in an
// error here, whatever it claims.
func (g *ggufReader) skip(n uint64) error {
	if n > math.MaxInt64 {
		return fmt.Errorf("a value of %d bytes", n)
	}
	m, err := io.CopyN(io.Discard, g.r, int64(n))
	g.at += m
	return err
}

// ggufSize is the size of the fixed types by number, 0 for others: u8 i8 u16
// i16 u32 i32 f32 bool string array u64 i64 f64.
var ggufSize = [...]uint64{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8}

const (
	ggufString = 8
	ggufArray  = 9
)

// pairs reads all pairs and returns those of the tokenizer.
func (g *ggufReader) pairs() (map[string]any, error) {
	magic, err := g.bytes(4)
	if err != nil {
		return nil, err
	}
	if string(magic) != ggufMagic {
		return nil, errors.New("not a GGUF file")
	}
	version, err := g.u32()
	if err != nil {
		return nil, err
	}
	// Version 1 had lengths of 32 bits.
	if version != 2 && version != 3 {
		return nil, fmt.Errorf("GGUF version %d, not 2 or 3", version)
	}
	if _, err := g.u64(); err != nil { // tensors
		return nil, err
	}
	n, err := g.u64()
	if err != nil {
		return nil, err
	}
	// The number of pairs is not to be trusted, but each takes some bytes of the
	// file, so that reading ends where the file does.
	kv := map[string]any{}
	for ; n > 0; n-- {
		key, err := g.str(1 << 16)
		if err != nil {
			return nil, err
		}
		kind, err := g.u32()
		if err != nil {
			return nil, err
		}
		// Other keys describe the model and may be as large as they like.
		v, err := g.value(kind, strings.HasPrefix(key, ggufPrefix))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		if v != nil {
			kv[key] = v
		}
	}
	return kv, nil
}

// value reads a value, or skips it and returns nil unless it is wanted.
func (g *ggufReader) value(kind uint32, wanted bool) (any, error) {
	switch {
	case kind == ggufString:
		if !wanted {
			n, err := g.u64()
			if err != nil {
				return nil, err
			}
			return nil, g.skip(n)
		}
		return g.str(maxVocabBytes)
	case kind == ggufArray:
		return g.array(wanted)
	case kind < uint32(len(ggufSize)):
		b, err := g.bytes(int(ggufSize[kind]))
		if err != nil || !wanted {
			return nil, err
		}
		return ggufScalar(kind, b), nil
	}
	return nil, fmt.Errorf("unknown type %d", kind)
}

// ggufScalar decodes a fixed-size value; small integers widen to 32 bits, with
// their sign.
func ggufScalar(kind uint32, b []byte) any {
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
	case 6:
		return math.Float32frombits(uint32(u))
	case 7:
		return u != 0
	case 10:
		return u
	case 11:
		return int64(u)
	}
	return math.Float64frombits(u)
}

// array reads an array of strings, or of the number types that tokenizers use;
// anything else is passed over. Slices grow as values come in, so that a length
// alone costs no memory.
func (g *ggufReader) array(wanted bool) (any, error) {
	kind, err := g.u32()
	if err != nil {
		return nil, err
	}
	n, err := g.u64()
	if err != nil {
		return nil, err
	}
	switch {
	case kind == ggufString:
		if wanted && n > maxPieces {
			return nil, fmt.Errorf("%d strings, more than %d", n, maxPieces)
		}
		var out []string
		for ; n > 0; n-- {
			if !wanted {
				if _, err := g.value(kind, false); err != nil {
					return nil, err
				}
				continue
			}
			s, err := g.str(maxVocabBytes)
			if err != nil {
				return nil, err
			}
			out = append(out, s)
		}
		if !wanted {
			return nil, nil
		}
		return out, nil
	case kind == ggufArray:
		return nil, errors.New("an array of arrays")
	case kind >= uint32(len(ggufSize)):
		return nil, fmt.Errorf("an array of unknown type %d", kind)
	}
	size := ggufSize[kind]
	// Only int32, uint32, float32 and bytes occur among the keys in use.
	if !wanted || (kind != 5 && kind != 6 && kind != 0 && kind != 4) {
		if n > math.MaxInt64/size {
			return nil, fmt.Errorf("an array of %d values", n)
		}
		return nil, g.skip(n * size)
	}
	if n > maxVocabBytes {
		return nil, fmt.Errorf("an array of %d values", n)
	}
	var floats []float32
	var ints []int32
	for ; n > 0; n-- {
		b, err := g.bytes(int(size))
		if err != nil {
			return nil, err
		}
		switch v := ggufScalar(kind, b).(type) {
		case float32:
			floats = append(floats, v)
		case int32:
			ints = append(ints, v)
		case uint32:
			ints = append(ints, int32(v))
		}
	}
	if kind == 6 {
		return floats, nil
	}
	return ints, nil
}
