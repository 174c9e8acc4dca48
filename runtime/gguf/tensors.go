package gguf

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// Type is how a tensor's elements are stored. The numbers are those of ggml's enum
// ggml_type, which files contain and which therefore never change.
type Type uint32

// blocks are the types by number: name, elements of a block and its bytes. A
// row of a quantised tensor is cut into blocks; types of single numbers have
// blocks of one. Numbers that are missing were withdrawn.
var blocks = map[Type]struct {
	name            string
	elements, bytes int64
}{
	0: {"F32", 1, 4}, 1: {"F16", 1, 2}, 30: {"BF16", 1, 2}, 28: {"F64", 1, 8},
	24: {"I8", 1, 1}, 25: {"I16", 1, 2}, 26: {"I32", 1, 4}, 27: {"I64", 1, 8},
	2: {"Q4_0", 32, 18}, 3: {"Q4_1", 32, 20}, 6: {"Q5_0", 32, 22}, 7: {"Q5_1", 32, 24}, 8: {"Q8_0", 32, 34}, 9: {"Q8_1", 32, 36},
	10: {"Q2_K", 256, 84}, 11: {"Q3_K", 256, 110}, 12: {"Q4_K", 256, 144}, 13: {"Q5_K", 256, 176}, 14: {"Q6_K", 256, 210}, 15: {"Q8_K", 256, 292},
	16: {"IQ2_XXS", 256, 66}, 17: {"IQ2_XS", 256, 74}, 18: {"IQ3_XXS", 256, 98}, 19: {"IQ1_S", 256, 50}, 20: {"IQ4_NL", 32, 18},
	21: {"IQ3_S", 256, 110}, 22: {"IQ2_S", 256, 82}, 23: {"IQ4_XS", 256, 136}, 29: {"IQ1_M", 256, 56},
	34: {"TQ1_0", 256, 54}, 35: {"TQ2_0", 256, 66}, 39: {"MXFP4", 32, 17},
}

// String is the name as llama.cpp prints it; a number without one is spelled out,
// for messages.
func (t Type) String() string {
	if b, ok := blocks[t]; ok {
		return b.name
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// Block is how many elements of the type of that name are stored together, and
// in how many bytes; 0 for an unknown name.
func Block(name string) (elements, bytes int) {
	for _, b := range blocks {
		if b.name == name {
			return int(b.elements), int(b.bytes)
		}
	}
	return 0, 0
}

// Tensor is an entry of the table: what a reader of its bytes has to know.
type Tensor struct {
	Name   string
	Type   Type
	Shape  []int // row-major, the slowest first: ggml's own order turned round
	Offset int64 // of the first byte in the file
	Bytes  int64
}

// File is what stands before the tensors' bytes. It does not hold the file open:
// bytes are read by whoever has it.
type File struct {
	Pairs   Pairs
	Tensors []Tensor // in the order of the table
}

// maxTensor bounds the name that ggml allows, generously, and maxDims is ggml's.
const (
	maxTensor = 1 << 10
	maxDims   = 4
)

// Read reads the pairs whose keys keep wants, and the table of tensors. size is
// that of the whole file: each tensor lies within it, and no two overlap.
func Read(r io.Reader, size int64, keep func(key string) bool) (*File, error) {
	g := newReader(r)
	// The alignment is wanted whatever keep says: without it no place is known.
	const alignmentKey = "general.alignment"
	pairs, n, err := g.pairs(func(key string) bool { return key == alignmentKey || keep(key) })
	if err != nil {
		return nil, g.failed(err)
	}
	f := &File{Pairs: pairs}
	// What a file without that key has. ggml wants a power of two as well.
	alignment := int64(32)
	if v, ok := pairs[alignmentKey]; ok {
		a, ok := v.(uint32)
		if !ok || a == 0 || a > 1<<20 || a&(a-1) != 0 {
			return nil, g.failed(fmt.Errorf("%s is %v, no power of two", alignmentKey, v))
		}
		alignment = int64(a)
	}
	// The number of tensors is not believed either: each takes bytes of the table,
	// and the list grows as they come.
	names := map[string]bool{}
	for ; n > 0; n-- {
		start := g.at // errors of a whole entry point to where it begins
		t, err := g.tensor()
		switch {
		case err != nil:
			return nil, g.failed(err)
		// Two readers could take a different one of the two.
		case names[t.Name]:
			return nil, &Error{start, fmt.Errorf("tensor %q appears twice", t.Name)}
		case t.Offset%alignment != 0:
			return nil, &Error{start, fmt.Errorf("tensor %q begins at byte %d of the data, no multiple of %d", t.Name, t.Offset, alignment)}
		}
		names[t.Name] = true
		f.Tensors = append(f.Tensors, t)
	}
	// Offsets count from the first multiple of the alignment behind the table.
	data := (g.at + alignment - 1) / alignment * alignment
	return f, place(f.Tensors, data, size)
}

// tensor reads one entry: name, dimensions, type and place, each of which is
// checked before the next is computed from it. Offset is that of the entry, from the data's start.
func (g *reader) tensor() (t Tensor, err error) {
	if t.Name, err = g.str(maxTensor); err != nil {
		return t, err
	}
	dims, err := g.u32()
	if err != nil {
		return t, err
	}
	// None at all is a scalar: a product of nothing is one element.
	if dims > maxDims {
		return t, fmt.Errorf("tensor %q has %d dimensions, more than %d", t.Name, dims, maxDims)
	}
	elements := int64(1)
	for range dims {
		d, err := g.u64()
		if err != nil {
			return t, err
		}
		// An element takes a byte and a half of a bit at least; 2^48 are beyond
		// any file.
		if d == 0 || d > 1<<48 || elements > 1<<48/int64(d) {
			return t, fmt.Errorf("tensor %q has a dimension of %d", t.Name, d)
		}
		elements *= int64(d)
		t.Shape = append(t.Shape, int(d))
	}
	kind, err := g.u32()
	if err != nil {
		return t, err
	}
	// A type without a known size makes everything behind it unknown too, so this
	// is an error even if nobody wants the tensor.
	t.Type = Type(kind)
	b, ok := blocks[t.Type]
	if !ok {
		return t, fmt.Errorf("tensor %q is of unknown type %d", t.Name, kind)
	}
	// Blocks lie along the first dimension of the file's order.
	row := int64(1)
	if dims > 0 {
		row = int64(t.Shape[0])
	}
	if row%b.elements != 0 {
		return t, fmt.Errorf("tensor %q has rows of %d elements, no multiple of a %s block's %d", t.Name, row, b.name, b.elements)
	}
	// At most 2^48 elements of 8 bytes: no overflow.
	t.Bytes = elements / b.elements * b.bytes
	// ggml counts from the fastest dimension on, everybody else from the slowest.
	slices.Reverse(t.Shape)
	offset, err := g.u64()
	if err != nil {
		return t, err
	}
	// Far beyond any file, and small enough to add the data's own place to.
	if offset > math.MaxInt64/2 {
		return t, fmt.Errorf("tensor %q begins at byte %d of the data", t.Name, offset)
	}
	t.Offset = int64(offset)
	return t, nil
}

// place turns offsets into places in the file and checks them. Bytes that belong
// to no tensor are padding.
func place(tensors []Tensor, data, size int64) error {
	// The table may be in another order than the bytes.
	order := make([]int, len(tensors))
	for i := range tensors {
		order[i] = i
		tensors[i].Offset += data
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(tensors[a].Offset, tensors[b].Offset) })
	// end is where the bytes of the tensor before end.
	end, before := data, ""
	for _, i := range order {
		t := &tensors[i]
		switch {
		case t.Offset < end:
			return &Error{t.Offset, fmt.Errorf("tensor %q begins before the end of %q", t.Name, before)}
		// Not t.Offset+t.Bytes > size, which may overflow.
		case t.Bytes > size-t.Offset:
			return &Error{size, errors.New("the file is cut off: tensor " + fmt.Sprintf("%q ends at byte %d", t.Name, t.Offset+t.Bytes))}
		}
		end, before = t.Offset+t.Bytes, t.Name
	}
	return nil
}
