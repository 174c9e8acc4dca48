package gguf

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

func all(string) bool { return true }

// example is a file with a pair of every type and tensors of some.
func example(t testing.TB) ([]byte, []KeyValue, []Tensor) {
	t.Helper()
	pairs := []KeyValue{
		{"general.architecture", "llama"}, {"llama.block_count", uint32(5)}, {"a.int32", int32(-7)}, {"a.float", float32(1e-5)},
		{"a.true", true}, {"a.false", false}, {"a.u64", uint64(1) << 63}, {"a.i64", int64(math.MinInt64)}, {"a.f64", math.Pi},
		{"a.strings", []string{"", "ä", strings.Repeat("x", 70000)}}, {"a.floats", []float32{1, -2}}, {"a.ints", []int32{3, -4, 5}},
	}
	tensors := []Tensor{
		{Name: "token_embd.weight", Type: 0, Shape: []int{3, 64}}, {Name: "q", Type: 8, Shape: []int{2, 64}},
		{Name: "k", Type: 12, Shape: []int{1, 2, 256}}, {Name: "norm", Type: 1, Shape: []int{5}}, {Name: "scalar", Type: 30},
	}
	b, err := Append(nil, pairs, tensors)
	if err != nil {
		t.Fatal(err)
	}
	last := tensors[len(tensors)-1]
	return append(b, make([]byte, last.Offset+last.Bytes-int64(len(b)))...), pairs, tensors
}

// TestRoundTrip reads back what Append wrote.
func TestRoundTrip(t *testing.T) {
	b, pairs, tensors := example(t)
	f, err := Read(bytes.NewReader(b), int64(len(b)), all)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Pairs) != len(pairs) {
		t.Errorf("%d pairs, want %d", len(f.Pairs), len(pairs))
	}
	for _, p := range pairs {
		if !reflect.DeepEqual(f.Pairs[p.Key], p.Value) {
			t.Errorf("%s is %v, want %v", p.Key, f.Pairs[p.Key], p.Value)
		}
	}
	if !reflect.DeepEqual(f.Tensors, tensors) {
		t.Errorf("%v, want %v", f.Tensors, tensors)
	}
	// 68 bytes are two blocks of 34 in each of two rows; all begin at a multiple of 32.
	for i, want := range []int64{3 * 64 * 4, 2 * 2 * 34, 2 * 144, 10, 2} {
		if got := f.Tensors[i]; got.Bytes != want || got.Offset%32 != 0 {
			t.Errorf("%s takes %d bytes from %d on, want %d", got.Name, got.Bytes, got.Offset, want)
		}
	}
	few, err := Read(bytes.NewReader(b), int64(len(b)), func(key string) bool { return key == "a.true" })
	if err != nil || len(few.Pairs) != 1 || len(few.Tensors) != len(tensors) {
		t.Errorf("keeping one: %v, %v", few, err)
	}
	kept, err := ReadPairs(bytes.NewReader(b[:200]), func(string) bool { return false })
	if err == nil {
		t.Errorf("cut off pairs give %v", kept)
	}
}

// TestCutOff ends the file at every byte: each is an error, none a panic.
func TestCutOff(t *testing.T) {
	b, _, _ := example(t)
	for n := range len(b) {
		if n > 500 && n < len(b)-2000 && n%977 != 0 { // within the long string
			continue
		}
		_, err := Read(bytes.NewReader(b[:n]), int64(n), all)
		var e *Error
		if !errors.As(err, &e) || e.Offset > int64(n) || !strings.Contains(err.Error(), "cut off") {
			t.Fatalf("of %d bytes: %v", n, err)
		}
	}
}

// TestDamage: what a file claims and cannot have is an error with its place.
func TestDamage(t *testing.T) {
	head := func(pairs []KeyValue, tensors ...Tensor) []byte {
		b, err := Append(nil, pairs, tensors)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	patch := func(b []byte, old, new string) []byte {
		if !bytes.Contains(b, []byte(old)) {
			t.Fatalf("no %q", old)
		}
		return bytes.Replace(b, []byte(old), []byte(new), 1)
	}
	f32 := Tensor{Name: "abcd", Type: 0, Shape: []int{3, 5}}
	entry := "abcd\x02\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"magic":      {patch(head(nil), "GGUF", "GGUX"), "not a GGUF file"},
		"version":    {patch(head(nil), "\x03\x00\x00\x00", "\x01\x00\x00\x00"), "version 1"},
		"big endian": {patch(head(nil), "\x03\x00\x00\x00", "\x00\x00\x00\x03"), "big-endian"},
		"many pairs": {patch(head(nil), "GGUF\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "GGUF\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff"), "cut off"},
		"long key":   {append(head(nil)[:16], "\x01\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff"...), "a string of"},
		"type":       {patch(head([]KeyValue{{"key!", uint32(9)}}), "key!\x04", "key!\x0d"), "unknown type 13"},
		"nested":     {patch(head([]KeyValue{{"key!", []int32{9}}}), "key!\x09\x00\x00\x00\x05", "key!\x09\x00\x00\x00\x09"), "an array of arrays"},
		"long array": {patch(head([]KeyValue{{"key!", []int32{9}}}), "\x01\x00\x00\x00\x00\x00\x00\x00\x09\x00\x00\x00", "\xff\xff\xff\xff\xff\xff\xff\x7f\x09\x00\x00\x00"), "an array of"},
		"twice":      {head([]KeyValue{{"key!", uint32(9)}, {"key!", uint32(9)}}), `"key!" appears twice`},
		"alignment":  {head([]KeyValue{{"general.alignment", uint32(48)}}), "no power of two"},
		"names":      {head(nil, f32, f32), `"abcd" appears twice`},
		"dimensions": {patch(head(nil, f32), "abcd\x02", "abcd\x05"), "has 5 dimensions"},
		"empty":      {patch(head(nil, f32), "\x05\x00\x00\x00", "\x00\x00\x00\x00"), "a dimension of 0"},
		"huge":       {patch(head(nil, f32), "\x05\x00\x00\x00\x00\x00\x00\x00", "\x05\x00\x00\x00\x00\x00\x00\xff"), "a dimension of"},
		"product":    {patch(head(nil, f32), "\x05\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00", "\x00\x00\x00\x00\x01\x00\x00\x00\xff\xff\xff\xff"), "a dimension of"},
		"element":    {patch(head(nil, f32), entry, entry[:24]+"\x63\x00\x00\x00"), "unknown type 99"},
		"blocks":     {patch(head(nil, f32), entry, entry[:24]+"\x08\x00\x00\x00"), "no multiple of a Q8_0 block's 32"},
		"unaligned":  {patch(head(nil, f32), entry+"\x00", entry+"\x10"), "no multiple of 32"},
		"outside":    {patch(head(nil, f32), entry+"\x00\x00\x00\x00\x00\x00\x00\x00", entry+"\x00\x00\x00\x00\x00\x00\x00\x40"), "begins at byte"},
		"short":      {head(nil, f32), "cut off"},
		"overlap": {append(patch(head(nil, f32, Tensor{Name: "wxyz", Type: 0, Shape: []int{7}}), "wxyz\x01\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x40",
			"wxyz\x01\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x20"), make([]byte, 200)...), `"wxyz" begins before the end of "abcd"`},
	} {
		_, err := Read(bytes.NewReader(c.file), int64(len(c.file)), all)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "offset ") {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// FuzzRead reads arbitrary bytes: an error with a place in the file, or tensors
// that lie within it.
func FuzzRead(f *testing.F) {
	b, _, _ := example(f)
	f.Add(b[:400])
	small, err := Append(nil, []KeyValue{{"a", []string{"b"}}}, []Tensor{{Name: "t", Type: 8, Shape: []int{32}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(small, make([]byte, 34)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := Read(bytes.NewReader(b), int64(len(b)), all)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Offset < 0 {
				t.Fatal(err)
			}
			return
		}
		for _, x := range g.Tensors {
			if x.Offset < 0 || x.Bytes <= 0 || x.Offset+x.Bytes > int64(len(b)) {
				t.Fatalf("%v in %d bytes", x, len(b))
			}
		}
	})
}
