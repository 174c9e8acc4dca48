package weights

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// safetensors is Hugging Face's format: a little-endian length of 8 bytes, a
// JSON object of that length, then the bytes of all tensors without a gap.
type safetensors struct {
	path     string
	f        source
	data     int64 // offset of the first tensor's bytes
	metadata map[string]string
	// Both are what the file says of itself, which has to agree with the spec.
	config  map[string]any // config.json beside it
	tensors []stored       // in the order of their bytes
	at      map[string]int // index in tensors
}

// stored is a tensor and where its bytes lie, counted from the data's start.
// begin and end are bytes; their distance was compared with type and shape when
// the header was read.
type stored struct {
	Tensor
	begin, end int64
}

// maxHeader is the limit that the format's own reader sets.
const maxHeader = 100 << 20

// openSafetensors reads the header. It is bounded by the file and by the
// format's own limit before memory is taken.
func openSafetensors(path string, f source, size int64) (*safetensors, error) {
	var b [8]byte
	if _, err := f.ReadAt(b[:], 0); err != nil {
		return nil, bad(path, 0, "reading the header's length: %v", err)
	}
	// Unsigned: a length that would be negative is one that is too large.
	length := binary.LittleEndian.Uint64(b[:])
	switch {
	case length > maxHeader:
		return nil, bad(path, 0, "the header's length %d is above the format's limit of %d", length, maxHeader)
	case int64(length) > size-8:
		return nil, bad(path, size, "cut off, as by a download that did not end: the header needs %d bytes, %d follow its length", length, size-8)
	}
	// At most what the file has, so a file of a kilobyte cannot ask for more
	// than that.
	head := make([]byte, length)
	if _, err := f.ReadAt(head, 8); err != nil {
		return nil, bad(path, 8, "reading the header: %v", err)
	}
	s := &safetensors{path: path, f: f, data: 8 + int64(length), at: map[string]int{}}
	if err := s.parse(head, size-s.data); err != nil {
		return nil, err
	}
	return s, nil
}

// entry is the header's record of a tensor.
// A pointer and slices, since a field that is missing is an error and a zero is
// not.
type entry struct {
	DType   *string `json:"dtype"`
	Shape   []int64 `json:"shape"`
	Offsets []int64 `json:"data_offsets"`
}

// parse reads the header, of which it wants to know positions and repeated
// keys: hence token by token.
func (s *safetensors) parse(head []byte, dataLen int64) error {
	dec := json.NewDecoder(bytes.NewReader(head))
	// The format has no other fields. What looks like one was written by
	// something that means more than this reader would do.
	dec.DisallowUnknownFields()
	// Of the byte in the file, not in the header.
	here := func() int64 { return 8 + dec.InputOffset() }
	fail := func(format string, args ...any) error { return bad(s.path, here(), format, args...) }
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return fail("the header is no JSON object")
	}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return fail("header: %v", err)
		}
		name, ok := t.(string)
		if !ok {
			return fail("header: %v is no name", t)
		}
		if name == "__metadata__" {
			if s.metadata != nil {
				return fail("header: __metadata__ appears twice")
			}
			if err := dec.Decode(&s.metadata); err != nil {
				return fail("header: __metadata__: %v", err)
			}
			continue
		}
		// JSON lets the last of two win, silently: two tools would then read
		// different weights from one file.
		if _, twice := s.at[name]; twice {
			return fail("header: tensor %q appears twice", name)
		}
		var e entry
		if err := dec.Decode(&e); err != nil {
			return fail("header: tensor %q: %v", name, err)
		}
		tensor, err := e.check(dataLen)
		if err != nil {
			return fail("header: tensor %q: %v", name, err)
		}
		tensor.Name = name
		s.at[name] = len(s.tensors)
		s.tensors = append(s.tensors, stored{tensor, e.Offsets[0], e.Offsets[1]})
	}
	if _, err := dec.Token(); err != nil {
		return fail("header: %v", err)
	}
	// Writers pad with spaces so that the data begin at a multiple of 8.
	if rest := bytes.TrimRight(head[dec.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return fail("header: %d bytes after the JSON object", len(rest))
	}
	return s.order(dataLen)
}

// check turns a record into a tensor whose bytes lie within the data and are as
// many as its type and shape take. Products are checked before they overflow.
func (e *entry) check(dataLen int64) (Tensor, error) {
	if e.DType == nil || e.Shape == nil || len(e.Offsets) != 2 {
		return Tensor{}, errors.New("dtype, shape or the two data_offsets are missing")
	}
	begin, end := e.Offsets[0], e.Offsets[1]
	if begin < 0 || end < begin || end > dataLen {
		return Tensor{}, fmt.Errorf("bytes %d to %d are outside the data, which has %d: the file is damaged, or cut off as by a download that did not end", begin, end, dataLen)
	}
	t := Tensor{DType: DType(*e.DType), Shape: make([]int, len(e.Shape))}
	n := int64(1)
	for i, d := range e.Shape {
		// An element takes at least one byte, so no dimension and no product is
		// beyond the data's size. A dimension of 0 makes an empty tensor, which
		// is allowed.
		if d < 0 || d > dataLen || n > 0 && d > 0 && n > dataLen/d {
			return Tensor{}, fmt.Errorf("shape %v does not fit in %d bytes", e.Shape, dataLen)
		}
		n *= d
		t.Shape[i] = int(d)
	}
	if blockDecoders[t.DType] != nil {
		return Tensor{}, fmt.Errorf("%s is a type of GGUF", t.DType)
	}
	// Types that are not read are carried along: the file may hold some
	// beside those that matter.
	if size := int64(t.DType.size()); size > 0 && n*size != end-begin {
		return Tensor{}, fmt.Errorf("%s of shape %v takes %d bytes, its offsets span %d", t.DType, t.Shape, n*size, end-begin)
	}
	return t, nil
}

// order sorts the tensors by their bytes and checks that these leave no gap.
func (s *safetensors) order(dataLen int64) error {
	slices.SortStableFunc(s.tensors, func(a, b stored) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end))
	})
	// Where the next tensor has to begin.
	next := int64(0)
	for i, t := range s.tensors {
		// Tensors that overlap, or bytes that belong to none, are how a damaged
		// or a crafted file shows.
		if t.begin != next {
			return bad(s.path, s.data+t.begin, "tensor %q begins at byte %d of the data, the one before ends at %d", t.Name, t.begin, next)
		}
		next = t.end
		// Places have changed with the order.
		s.at[t.Name] = i
	}
	if next != dataLen {
		return bad(s.path, s.data+next, "%d bytes follow the last tensor", dataLen-next)
	}
	return nil
}

// Format tells checkpoints of llamac by a key that no other writer has.
func (s *safetensors) Format() string {
	if s.metadata[checkpointKey] != "" {
		return "llamac checkpoint"
	}
	return "safetensors"
}

// Tensors are in the order of their bytes, in which reading them is sequential.
func (s *safetensors) Tensors() []Tensor {
	list := make([]Tensor, len(s.tensors))
	for i, t := range s.tensors {
		list[i] = t.Tensor
	}
	return list
}

// aliases are tensors that were left out because they are others, which writers of
// Hugging Face's note as metadata: the one's name, and the other's.
func (s *safetensors) aliases() map[string]string {
	return aliasesIn(s.metadata, func(name string) bool { _, ok := s.at[name]; return ok })
}

// aliasesIn takes of metadata what leads from a name that there is no tensor of to
// one that there is.
func aliasesIn(metadata map[string]string, has func(string) bool) map[string]string {
	out := map[string]string{}
	for name, other := range metadata {
		if has(other) && !has(name) {
			out[name] = other
		}
	}
	return out
}

func (s *safetensors) Close() error { return s.f.Close() }

// Config prefers config.json where both have a key.
func (s *safetensors) Config() map[string]any {
	m := map[string]any{}
	for k, v := range s.metadata {
		m[k] = v
	}
	maps.Copy(m, s.config)
	return m
}

// Read may be called by several goroutines: it uses positions, not a cursor.
func (s *safetensors) Read(name string, dst []float32) error {
	i, ok := s.at[name]
	if !ok {
		return bad(s.path, -1, "no tensor %q", name)
	}
	// Its bytes lie within the file, as order and check have seen to.
	t := s.tensors[i]
	return readInto(s.path, s.f, s.data+t.begin, t.Tensor, dst)
}
