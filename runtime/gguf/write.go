package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// KeyValue is one pair. Value is of a type that Pairs names. Files are
// written from a slice and not from Pairs, so that they have the same bytes each
// time.
type KeyValue struct {
	Key   string
	Value any
}

// Append appends the head of a version 3 file to b, which must be empty but for
// its capacity: pairs, the table of tensors, and padding up to the tensors' bytes.
// Their places are set in tensors, whose Offset and Bytes need not be: one behind
// the other, each at a multiple of 32.
func Append(b []byte, pairs []KeyValue, tensors []Tensor) ([]byte, error) {
	le := binary.LittleEndian
	// Version 3 is version 2 that also allows big-endian files.
	b = append(b, Magic...)
	b = le.AppendUint32(b, 3)
	b = le.AppendUint64(b, uint64(len(tensors)))
	b = le.AppendUint64(b, uint64(len(pairs)))
	for _, p := range pairs {
		b = appendString(b, p.Key)
		var err error
		if b, err = appendValue(b, p.Value); err != nil {
			return nil, fmt.Errorf("%s: %w", p.Key, err)
		}
	}
	// The alignment of a file without general.alignment.
	const alignment = 32
	offset := int64(0) // from the first byte behind the padding
	for i := range tensors {
		t := &tensors[i]
		block, ok := blocks[t.Type]
		if !ok || len(t.Shape) > maxDims || len(t.Name) > maxTensor {
			return nil, fmt.Errorf("tensor %q: %s of shape %v is not of this format", t.Name, t.Type, t.Shape)
		}
		elements := int64(1)
		for _, d := range t.Shape {
			elements *= int64(d)
		}
		// A row that is no multiple of its block is not refused here: whoever reads
		// the file will say so.
		b = appendString(b, t.Name)
		b = le.AppendUint32(b, uint32(len(t.Shape)))
		for _, d := range slices.Backward(t.Shape) {
			b = le.AppendUint64(b, uint64(d))
		}
		b = le.AppendUint32(b, uint32(t.Type))
		b = le.AppendUint64(b, uint64(offset))
		// The next one begins at the next multiple; readers reject others.
		t.Offset, t.Bytes = offset, elements/block.elements*block.bytes
		offset = (offset + t.Bytes + alignment - 1) / alignment * alignment
	}
	// The table ends anywhere; the data begin aligned.
	for len(b)%alignment != 0 {
		b = append(b, 0)
	}
	// From here on the places are those of the file, as Read gives them.
	for i := range tensors {
		tensors[i].Offset += int64(len(b))
	}
	return b, nil
}

// appendString appends a length and bytes; there is no zero behind them.
func appendString(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
}

// appendValue appends a type and a value. Small integers have no case: readers
// take wider ones as well.
func appendValue(b []byte, value any) ([]byte, error) {
	le := binary.LittleEndian
	// Arrays say what they are made of, and then only values follow.
	array := func(kind uint32, n int) {
		b = le.AppendUint32(b, typeArray)
		b = le.AppendUint32(b, kind)
		b = le.AppendUint64(b, uint64(n))
	}
	switch v := value.(type) {
	case uint32:
		b = le.AppendUint32(le.AppendUint32(b, 4), v)
	case int32:
		b = le.AppendUint32(le.AppendUint32(b, 5), uint32(v))
	case float32:
		b = le.AppendUint32(le.AppendUint32(b, typeF32), math.Float32bits(v))
	case bool:
		// A byte, 0 or 1.
		x := byte(0)
		if v {
			x = 1
		}
		b = append(le.AppendUint32(b, 7), x)
	case string:
		b = appendString(le.AppendUint32(b, typeString), v)
	case uint64:
		b = le.AppendUint64(le.AppendUint32(b, typeU64), v)
	case int64:
		b = le.AppendUint64(le.AppendUint32(b, 11), uint64(v))
	case float64:
		b = le.AppendUint64(le.AppendUint32(b, 12), math.Float64bits(v))
	case []string:
		array(typeString, len(v))
		for _, s := range v {
			b = appendString(b, s)
		}
	case []float32:
		array(typeF32, len(v))
		for _, x := range v {
			b = le.AppendUint32(b, math.Float32bits(x))
		}
	case []int32:
		array(5, len(v))
		for _, x := range v {
			b = le.AppendUint32(b, uint32(x))
		}
	default:
		return nil, fmt.Errorf("no type for %T", value)
	}
	return b, nil
}
