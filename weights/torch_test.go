package weights

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llamac/llamac/runtime/model"
)

// pickler writes pickles instruction by instruction.
type pickler struct{ bytes.Buffer }

func (p *pickler) op(ops string) *pickler { p.WriteString(ops); return p }

func (p *pickler) global(module, name string) *pickler {
	return p.op("c" + module + "\n" + name + "\n")
}

func (p *pickler) str(s string) *pickler {
	return p.op("X").op(string(binary.LittleEndian.AppendUint32(nil, uint32(len(s))))).op(s)
}

// num writes the shortest instruction, as Python does.
func (p *pickler) num(n int) *pickler {
	le := binary.LittleEndian
	switch {
	case n >= 0 && n < 1<<8:
		return p.op("K" + string([]byte{byte(n)}))
	case n >= 0 && n < 1<<16:
		return p.op("M" + string(le.AppendUint16(nil, uint16(n))))
	case int(int32(n)) == n:
		return p.op("J" + string(le.AppendUint32(nil, uint32(n))))
	}
	return p.op("\x8a\x08" + string(le.AppendUint64(nil, uint64(n))))
}

func (p *pickler) nums(ns ...int) *pickler {
	p.op("(")
	for _, n := range ns {
		p.num(n)
	}
	return p.op("t")
}

var storageNames = map[DType]string{F32: "FloatStorage", F16: "HalfStorage", BF16: "BFloat16Storage"}

// tensor writes a call of _rebuild_tensor_v2.
func (p *pickler) tensor(storage, key string, elements, offset int, shape, stride []int) *pickler {
	p.global("torch._utils", "_rebuild_tensor_v2").op("((").str("storage").global("torch", storage).str(key).str("cpu").num(elements).op("tQ")
	p.num(offset).nums(shape...).nums(stride...)
	return p.op("\x89").global("collections", "OrderedDict").op(")RtR")
}

// strides of a contiguous tensor.
func strides(shape []int) []int {
	out, n := make([]int, len(shape)), 1
	for i := len(shape) - 1; i >= 0; i-- {
		out[i] = n
		n *= shape[i]
	}
	return out
}

// dictPickle is the state dict of tensors, of which number i has storage i.
func dictPickle(tensors []named) []byte {
	var p pickler
	p.op("\x80\x02").global("collections", "OrderedDict").op(")R(")
	for i, t := range tensors {
		p.str(t.name).tensor(storageNames[t.dtype], fmt.Sprint(i), len(t.data), 0, t.shape, strides(t.shape))
	}
	return p.op("u.").Bytes()
}

// archive writes a zip of entries, NAME, content, NAME, content.
func archive(t testing.TB, method uint16, entries ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(entries); i += 2 {
		w, err := z.CreateHeader(&zip.FileHeader{Name: entries[i], Method: method})
		if err == nil {
			_, err = w.Write([]byte(entries[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// storages encodes tensors' data as entries.
func storages(tensors []named) []string {
	var entries []string
	for i, t := range tensors {
		// The bytes of a single tensor in a safetensors file.
		b := safetensorsFile(nil, []named{t})
		entries = append(entries, fmt.Sprintf("model/data/%d", i), string(b[8+binary.LittleEndian.Uint64(b):]))
	}
	return entries
}

// torchBytes is the file of tensors.
func torchBytes(t testing.TB, tensors []named) []byte {
	return archive(t, zip.Store, append([]string{"model/data.pkl", string(dictPickle(tensors)), "model/byteorder", "little", "model/version", "3\n"}, storages(tensors)...)...)
}

// TestLoadTorch loads random models of each type, under both namings.
func TestLoadTorch(t *testing.T) {
	eachModel(rand.New(rand.NewPCG(16, 16)), func(info model.Info, n naming, tensors []named, dtype DType) {
		path := write(t, torchBytes(t, tensors))
		checkLoaded(t, info, n, tensors, loaded(t, info, path))
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if f.Format() != "PyTorch" || len(f.Config()) != 0 {
			t.Errorf("%s %v", f.Format(), f.Config())
		}
		for i, x := range f.Tensors() { // in the order of the dict
			if x.Name != tensors[i].name || x.DType != dtype || !slices.Equal(x.Shape, tensors[i].shape) {
				t.Errorf("%v is not %v", x, tensors[i].name)
			}
		}
		wantError(t, f.Read("x", nil), `no tensor "x"`)
		wantError(t, f.Read(tensors[0].name, make([]float32, 1)), "the destination 1", "offset ")
	})
}

// TestTorchOracle reads what PyTorch 2.7.1 wrote in pickle protocols 2 and 4: a
// module's state dict with metadata, views, scalars, and numbers that are none.
func TestTorchOracle(t *testing.T) {
	b, err := os.ReadFile("testdata/torch_dict.json")
	if err != nil {
		t.Fatal(err)
	}
	var want []struct {
		Name, DType, Float32 string
		Shape                []int
	}
	if err := json.Unmarshal(b, &want); err != nil || len(want) < 10 {
		t.Fatal(len(want), err)
	}
	for _, path := range []string{"testdata/torch_dict.pt", "testdata/torch_dict4.pt"} {
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if len(f.Tensors()) != len(want) {
			t.Errorf("%s: %v", path, f.Tensors())
		}
		for i, x := range f.Tensors() {
			w := want[i]
			if x.Name != w.Name || string(x.DType) != w.DType || !slices.Equal(x.Shape, w.Shape) {
				t.Errorf("%s: %v, want %s %s %v", path, x, w.Name, w.DType, w.Shape)
				continue
			}
			got, raw := make([]float32, x.Len()), make([]byte, 4*x.Len())
			if err := f.Read(x.Name, got); err != nil {
				t.Error(err)
			}
			encode(raw, got)
			if base64.StdEncoding.EncodeToString(raw) != w.Float32 {
				t.Errorf("%s: %s is %v", path, x.Name, got)
			}
		}
	}
}

// TestTorchRefused: pickles that are more than a dict of tensors, or wrong.
func TestTorchRefused(t *testing.T) {
	// All are a value in a dict; storage 0 has 6 float32.
	value := func(f func(p *pickler)) []byte {
		var p pickler
		p.op("\x80\x02}(").str("a")
		f(&p)
		return p.op("u.").Bytes()
	}
	float := func(elements, offset int, shape, stride []int) []byte {
		return value(func(p *pickler) { p.tensor("FloatStorage", "0", elements, offset, shape, stride) })
	}
	for name, c := range map[string]struct {
		pickle []byte
		want   string
	}{
		"call":            {value(func(p *pickler) { p.global("os", "system").op("(").str("true").op("tR") }), `the name "os.system" is not one`},
		"builtin":         {value(func(p *pickler) { p.global("builtins", "eval") }), `the name "builtins.eval"`},
		"stack global":    {value(func(p *pickler) { p.str("posix").str("system").op("\x93") }), `the name "posix.system"`},
		"no name":         {value(func(p *pickler) { p.str("posix").num(1).op("\x93") }), "a number where a name is expected"},
		"dots":            {value(func(p *pickler) { p.global("torch", "FloatStorage.from_file") }), `the name "torch.FloatStorage.from_file"`},
		"type":            {value(func(p *pickler) { p.tensor("ComplexFloatStorage", "0", 3, 0, []int{3}, []int{1}) }), `the name "torch.ComplexFloatStorage"`},
		"wide type":       {value(func(p *pickler) { p.tensor("LongStorage", "0", 6, 0, []int{6}, []int{1}) }), "6 elements of type I64, and 24 bytes"},
		"parameter":       {value(func(p *pickler) { p.global("torch._utils", "_rebuild_parameter").op("(").num(1).op("NNtR") }), "a parameter that is no tensor"},
		"arguments of it": {value(func(p *pickler) { p.global("torch._utils", "_rebuild_parameter").op(")R") }), "a call of torch._utils._rebuild_parameter with 0 arguments"},
		"instance":        {value(func(p *pickler) { p.op("(cos\nsystem\no") }), `the name "os.system"`},
		"inst":            {value(func(p *pickler) { p.op("(ios\nsystem\n") }), "instruction 0x69"},
		"newobj":          {value(func(p *pickler) { p.global("collections", "OrderedDict").op(")\x81") }), "instruction 0x81"},
		"call a tensor":   {value(func(p *pickler) { p.tensor("FloatStorage", "0", 6, 0, []int{6}, []int{1}).op(")R") }), "a call of *weights.torchTensor"},
		"call a storage":  {value(func(p *pickler) { p.global("torch", "FloatStorage").op(")R") }), "a call of torch.FloatStorage with 0 arguments"},
		"dict of items":   {value(func(p *pickler) { p.global("collections", "OrderedDict").op("(").num(1).op("tR") }), "a call of collections.OrderedDict with 1 arguments"},
		"transposed":      {float(6, 0, []int{2, 3}, []int{1, 2}), "a tensor of shape [2 3] with strides [1 2], which is not contiguous"},
		"expanded":        {float(6, 0, []int{2, 3}, []int{0, 1}), "not contiguous"},
		"steps":           {float(6, 0, []int{3}, []int{2}), "not contiguous"},
		"beyond":          {float(6, 1, []int{2, 3}, []int{3, 1}), "a tensor of shape [2 3], 1 elements into a storage of 6"},
		"before":          {float(6, -1, []int{2}, []int{1}), "-1 elements into"},
		"far":             {float(6, math.MaxInt, []int{2}, []int{1}), "elements into"},
		"large":           {float(6, 0, []int{7}, []int{1}), "a tensor of shape [7] in a storage of 6"},
		"product":         {float(6, 0, []int{4, 4}, []int{4, 1}), "a tensor of shape [4 4] in a storage of 6"},
		"overflow":        {float(6, 0, []int{1 << 62, 4}, []int{4, 1}), "in a storage of 6"},
		"negative":        {float(6, 0, []int{-2, -3}, []int{3, 1}), "a tensor of shape [-2 -3]"},
		"elements":        {float(7, 0, []int{6}, []int{1}), `the storage "0" has 7 elements of type F32, and 24 bytes`},
		"fewer":           {float(5, 0, []int{5}, []int{1}), `the storage "0" has 5 elements`},
		"huge storage":    {float(math.MaxInt, 0, []int{6}, []int{1}), `the storage "0" has`},
		"minus storage":   {float(-6, 0, []int{6}, []int{1}), `the storage "0" has -6`},
		"half of it":      {value(func(p *pickler) { p.tensor("HalfStorage", "0", 6, 0, []int{6}, []int{1}) }), "6 elements of type F16, and 24 bytes"},
		"no storage":      {value(func(p *pickler) { p.tensor("FloatStorage", "9", 6, 0, []int{6}, []int{1}) }), `the archive has no entry "model/data/9"`},
		"above":           {value(func(p *pickler) { p.tensor("FloatStorage", "../x", 6, 0, []int{6}, []int{1}) }), `no entry "model/data/../x"`},
		"strides missing": {float(6, 0, []int{6}, nil), "without storage, offset, size and stride"},
		"not an id":       {value(func(p *pickler) { p.nums(1, 2, 3, 4, 5).op("Q") }), "a persistent ID that is not a storage's"},
		"id a string":     {value(func(p *pickler) { p.str("x").op("Q") }), "a string where a tuple is expected"},
		"arguments":       {value(func(p *pickler) { p.global("torch._utils", "_rebuild_tensor_v2").op("(").num(1).op("tR") }), "a tensor of 1 arguments"},
		"no tensor":       {value(func(p *pickler) { p.num(7) }), `"a" is a number and not a tensor`},
		"nested":          {value(func(p *pickler) { p.op("}") }), `"a" is a dict and not a tensor`},
		"number key":      {value(func(p *pickler) { p.op("N").num(1).op("N") }), "a number as the key of a dict"},
		"odd":             {value(func(p *pickler) {}), "1 keys and values for a dict"},
		"twice":           {value(func(p *pickler) { p.op("N").str("a").op("N") }), `the key "a" is set twice`},
		"a string":        {[]byte("\x80\x02X\x01\x00\x00\x00a."), "the file holds a string and not a dict"},
		"protocol 0":      {[]byte("(dp0\n."), "instruction 0x64"},
		"protocol":        {[]byte("\x80\x06}."), "protocol 6"},
		"nothing":         {[]byte("\x80\x02."), "too few values"},
		"empty":           {nil, "the pickle is cut off"},
		"below a mark":    {[]byte("\x80\x02}(."), "too few values"},
		"two below":       {[]byte("\x80\x02}}(\x85."), "too few values"},
		"three below":     {[]byte("\x80\x02}}(\x86t."), "too few values"},
		"no mark":         {[]byte("\x80\x02}u."), "there is no mark"},
		"forgotten":       {[]byte("\x80\x02h\x05."), "nothing was kept as 5"},
		"attributes":      {[]byte("\x80\x02K\x01}b."), "attributes for a number"},
		"long number":     {[]byte("\x80\x02\x8a\x09xxxxxxxxx."), "a number of 9 bytes"},
		"long string":     {[]byte("\x80\x02X\xff\xff\xff\xffx."), "cut off"},
		"deep":            {[]byte("\x80\x02" + strings.Repeat("(", maxStack+1)), "on the stack"},
		"high":            {[]byte("\x80\x02" + strings.Repeat("N", maxStack+1)), "on the stack"},
		"memory":          {[]byte("\x80\x02N" + strings.Repeat("\x94", maxMemo+1)), "values are kept"},
		"long pickle":     {make([]byte, maxPickle+1), "more than 4194304"},
	} {
		path := write(t, archive(t, zip.Store, "model/data.pkl", string(c.pickle), "model/data/0", string(make([]byte, 24))))
		_, err := Open(path)
		if wantError(t, err, path, c.want); t.Failed() {
			t.Fatalf("case %q", name)
		}
		var fe *FormatError
		if !errors.As(err, &fe) {
			t.Errorf("%s: %T", name, err)
		}
	}
	// Of the same form, and right: the table above refuses what it says.
	for _, good := range [][]byte{float(6, 0, []int{2, 3}, []int{3, 1}), float(6, 2, []int{1, 4}, []int{9, 1}), float(6, 6, []int{0}, []int{1}), float(6, 6, []int{3, 0, 9, 1<<31 - 1, 1<<31 - 1}, []int{1, 1, 1, 1, 1})} {
		f, err := Open(write(t, archive(t, zip.Store, "model/data.pkl", string(good), "model/data/0", string(make([]byte, 24)))))
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
}

// TestTorchParameters reads a dict of parameters, beside buffers of types that no
// weight has.
func TestTorchParameters(t *testing.T) {
	var p pickler
	p.op("\x80\x02}(").str("w").global("torch._utils", "_rebuild_parameter").op("(")
	p.tensor("FloatStorage", "0", 6, 0, []int{2, 3}, []int{3, 1}).op("\x88").global("collections", "OrderedDict").op(")RtR")
	p.str("position_ids").tensor("LongStorage", "1", 2, 1, []int{1}, []int{1})
	p.str("mask").tensor("BoolStorage", "2", 3, 0, []int{3}, []int{1})
	data := safetensorsFile(nil, []named{{"w", F32, []int{2, 3}, []float32{1, 2, 3, 4, 5, 6}}})
	f, err := Open(write(t, archive(t, zip.Store, "m/data.pkl", p.op("u.").String(), "m/data/0", string(data[len(data)-24:]), "m/data/1", string(make([]byte, 16)), "m/data/2", "\x01\x00\x01")))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := fmt.Sprint(f.Tensors()); got != "[{w F32 [2 3]} {position_ids I64 [1]} {mask BOOL [3]}]" {
		t.Error(got)
	}
	x := make([]float32, 6)
	if err := f.Read("w", x); err != nil || !slices.Equal(x, []float32{1, 2, 3, 4, 5, 6}) {
		t.Error(x, err)
	}
	wantError(t, f.Read("position_ids", x[:1]), `tensor "position_ids" is of type I64`)
}

// TestPickleNumbers: integers of each width and sign, as Python writes them.
func TestPickleNumbers(t *testing.T) {
	// But for the last zero, pickle.dumps((0, 255, 256, 65535, 65536, -1, -2**31, 2**31, 2**40, -2**33-1, 2**63-1, -2**63, 0), 2)
	b := "\x80\x02(K\x00K\xffM\x00\x01M\xff\xffJ\x00\x00\x01\x00J\xff\xff\xff\xffJ\x00\x00\x00\x80\x8a\x05\x00\x00\x00\x80\x00\x8a\x06\x00\x00\x00\x00\x00\x01" +
		"\x8a\x05\xff\xff\xff\xff\xfd\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80\x8a\x00t."
	want := []int64{0, 255, 256, 65535, 65536, -1, math.MinInt32, 1 << 31, 1 << 40, -1<<33 - 1, math.MaxInt64, math.MinInt64, 0}
	v, err := unpickle([]byte(b), unpickleHooks{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := numbers(v); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
}

// TestTorchLoops: a dict in itself, and a tuple in millions of others, are walked
// by nobody.
func TestTorchLoops(t *testing.T) {
	_, err := Open(write(t, archive(t, zip.Store, "m/data.pkl", "\x80\x02}q\x00(X\x01\x00\x00\x00ah\x00u.")))
	wantError(t, err, `"a" is a dict and not a tensor`)
	b := "\x80\x02)" + strings.Repeat("\x85", maxPickle-4) + "."
	_, err = Open(write(t, archive(t, zip.Store, "m/data.pkl", b)))
	wantError(t, err, "a tuple of 1 and not a dict of tensors")
}

// TestTorchArchive: the zip around the pickle.
func TestTorchArchive(t *testing.T) {
	ts := []named{{"a", F32, []int{2}, []float32{1, 2}}}
	pickle, data := string(dictPickle(ts)), storages(ts)[1]
	good := archive(t, zip.Store, "m/data.pkl", pickle, "m/data/0", data)
	directory := bytes.LastIndex(good, []byte("PK\x01\x02"))
	long := slices.Clone(good)
	binary.LittleEndian.PutUint32(long[directory+20:], 1<<20) // both sizes of the last entry
	binary.LittleEndian.PutUint32(long[directory+24:], 1<<20)
	locked := slices.Clone(good)
	locked[directory+8] |= 1
	method := slices.Clone(good) // the last entry's, of equal sizes
	method[directory+10] = byte(zip.Deflate)
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"compressed":   {archive(t, zip.Deflate, "m/data.pkl", pickle, "m/data/0", data), `entry "m/data.pkl" is compressed or encrypted`},
		"method":       {method, `entry "m/data/0" is compressed or encrypted`},
		"encrypted":    {locked, `entry "m/data/0" is compressed or encrypted`},
		"no pickle":    {archive(t, zip.Store, "m/data/0", data), "without a data.pkl"},
		"deep pickle":  {archive(t, zip.Store, "m/n/data.pkl", pickle), "without a data.pkl"},
		"two pickles":  {archive(t, zip.Store, "m/data.pkl", pickle, "n/data.pkl", pickle), "two pickles"},
		"same name":    {archive(t, zip.Store, "m/data.pkl", pickle, "m/data/0", data, "m/data/0", data), `two entries "m/data/0"`},
		"big endian":   {archive(t, zip.Store, "m/data.pkl", pickle, "m/byteorder", "big", "m/data/0", data), `the byte order is "big"`},
		"cut off":      {good[:len(good)-1], "damaged or cut off"},
		"beyond":       {long, `entry "m/data/0" of 1048576 bytes goes beyond the end`},
		"legacy":       {[]byte("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03."), "PyTorch before version 1.6"},
		"another name": {archive(t, zip.Store, "m/data.pkl", pickle, "n/data/0", data), `no entry "m/data/0"`},
	} {
		_, err := Open(write(t, c.file))
		if wantError(t, err, c.want); t.Failed() {
			t.Fatalf("case %q", name)
		}
	}
	for n := range len(good) {
		if f, err := open("cut", bytesFile{bytes.NewReader(good[:n])}, int64(n)); err == nil {
			t.Fatalf("%d of %d bytes open as %s", n, len(good), f.Format())
		}
	}
}

// FuzzUnpickle runs any pickle with storages of 40 bytes: an error with a place
// in it, or tensors within their storages.
func FuzzUnpickle(f *testing.F) {
	f.Add(dictPickle([]named{{"a", F32, []int{2, 5}, make([]float32, 10)}, {"b", BF16, []int{20}, make([]float32, 20)}}))
	for _, name := range []string{"torch_dict", "torch_dict4"} {
		z, err := zip.OpenReader(filepath.Join("testdata", name+".pt"))
		if err != nil {
			f.Fatal(err)
		}
		var b bytes.Buffer
		r, err := z.Open(name + "/data.pkl")
		if err == nil {
			_, err = b.ReadFrom(r)
		}
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
		z.Close()
	}
	f.Add([]byte("\x80\x02}q\x00(X\x01\x00\x00\x00ah\x00u."))
	f.Fuzz(func(t *testing.T, b []byte) {
		const begin, size = 100, 40
		w := &torchFile{path: "fuzz", at: map[string]int{}}
		err := w.parse(b, func(key string) (torchEntry, error) { return torchEntry{begin, size}, nil })
		var pe *pickleError
		var fe *FormatError
		if err != nil && !(errors.As(err, &pe) && pe.at >= 0 && pe.at <= len(b)) && !errors.As(err, &fe) {
			t.Fatalf("%T %v", err, err)
		}
		for i, x := range w.tensors {
			if end := w.offset[i] + int64(x.Len()*x.DType.size()); w.offset[i] < begin || end > begin+size {
				t.Fatalf("%v at %d to %d", x, w.offset[i], end)
			}
		}
	})
}
