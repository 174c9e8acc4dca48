package tokenizer

import (
	"encoding/binary"
	"fmt"
)

// field is one field of a protobuf message.
// What stays unread costs nothing: bytes are a window into the file.
type field struct {
	number int
	value  uint64 // of varint and fixed fields
	bytes  []byte // of length-delimited fields
	at     int    // offset of the field's contents in the file
}

// errorf is an error at the field's place in the file.
func (f field) errorf(format string, args ...any) error {
	return fmt.Errorf("offset %d: "+format, append([]any{f.at}, args...)...)
}

// fields calls f for each field of the message in f.
func (f field) fields(each func(field) error) error { return fields(f.bytes, f.at, each) }

// fields calls each for every field of the message in data, which starts at
// offset base of the file. Lengths are checked against what is there.
func fields(data []byte, base int, each func(field) error) error {
	for at := 0; at < len(data); {
		// Number of the field and wire type in one.
		key, n := binary.Uvarint(data[at:])
		f := field{number: int(key >> 3), at: base + at}
		if n <= 0 || key>>3 == 0 || key>>3 > 1<<29-1 {
			return f.errorf("not a protobuf field")
		}
		at += n
		// 3 and 4, groups, have been out of use for as long as SentencePiece
		// exists.
		switch key & 7 {
		case 0:
			f.value, n = binary.Uvarint(data[at:])
			if n <= 0 {
				return f.errorf("a number is cut off or too long")
			}
			at += n
		case 1:
			if len(data)-at < 8 {
				return f.errorf("a field is cut off")
			}
			f.value = binary.LittleEndian.Uint64(data[at:])
			at += 8
		case 5:
			if len(data)-at < 4 {
				return f.errorf("a field is cut off")
			}
			f.value = uint64(binary.LittleEndian.Uint32(data[at:]))
			at += 4
		// Lengths are compared with what is left, before anything is cut.
		case 2:
			size, n := binary.Uvarint(data[at:])
			if n <= 0 || size > uint64(len(data)-at-n) {
				return f.errorf("a field of %d bytes does not fit the file", size)
			}
			at += n
			f.bytes, f.at = data[at:at+int(size)], base+at
			at += int(size)
		default:
			return f.errorf("wire type %d", key&7)
		}
		if err := each(f); err != nil {
			return err
		}
	}
	return nil
}

// appendVarint writes a field that holds a number.
func appendVarint(b []byte, number int, v uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(number)<<3), v)
}

// appendBool writes a field that holds a flag, also when it is off.
func appendBool(b []byte, number int, v bool) []byte {
	if v {
		return appendVarint(b, number, 1)
	}
	return appendVarint(b, number, 0)
}

// appendBytes writes a field that holds a string or a message.
func appendBytes(b []byte, number int, v []byte) []byte {
	b = binary.AppendUvarint(b, uint64(number)<<3|2)
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}
