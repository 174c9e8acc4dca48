package weights

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/llamac/llamac/runtime/gguf"
)

// oracleBlocks are random blocks and what the Python package gguf 0.19.0 makes
// of them.
func oracleBlocks(t *testing.T) map[DType]struct{ blocks, want []byte } {
	t.Helper()
	b, err := os.ReadFile("testdata/ggml_blocks.json")
	if err != nil {
		t.Fatal(err)
	}
	var raw map[DType]struct{ Blocks, Float32 string }
	if err := json.Unmarshal(b, &raw); err != nil {
		t.Fatal(err)
	}
	out := map[DType]struct{ blocks, want []byte }{}
	for d, r := range raw {
		blocks, err1 := base64.StdEncoding.DecodeString(r.Blocks)
		want, err2 := base64.StdEncoding.DecodeString(r.Float32)
		if err1 != nil || err2 != nil {
			t.Fatal(d, err1, err2)
		}
		out[d] = struct{ blocks, want []byte }{blocks, want}
	}
	return out
}

// TestBlocks decodes blocks of each type bit for bit as ggml's own package, and
// a file of many chunks of them in random order.
func TestBlocks(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	oracle := oracleBlocks(t)
	for d := range blockDecoders {
		o, ok := oracle[d]
		n, size := d.block()
		if !ok || len(o.blocks) < 2*size || len(o.want) != 4*n*(len(o.blocks)/size) {
			t.Errorf("%s: %d bytes of blocks, %d of floats", d, len(o.blocks), len(o.want))
			continue
		}
		var file, want []byte
		for len(file) < 2*chunk+chunk/2 {
			i := r.IntN(len(o.blocks) / size)
			file = append(file, o.blocks[i*size:(i+1)*size]...)
			want = append(want, o.want[4*i*n:4*(i+1)*n]...)
		}
		const before = 5
		dst := make([]float32, len(want)/4)
		for i := range dst {
			dst[i] = float32(math.NaN())
		}
		if err := readTensor("x", bytes.NewReader(append(make([]byte, before), file...)), before, d, dst); err != nil {
			t.Fatal(err)
		}
		for i, x := range dst {
			if got, want := math.Float32bits(x), binary.LittleEndian.Uint32(want[4*i:]); got != want {
				t.Errorf("%s: number %d of block %d is %v, want %v", d, i%n, i/n, x, math.Float32frombits(want))
				break
			}
		}
	}
}

// ggufType finds a type's number.
func ggufType(d DType) gguf.Type {
	for i := range gguf.Type(64) {
		if i.String() == string(d) {
			return i
		}
	}
	panic(d)
}

// ggufBytes encodes tensors, whose values must be exact in their types; those of
// Q8_0 are multiples of 1/8 up to 127/8. Other types get bytes of zeros.
func ggufBytes(t testing.TB, pairs []gguf.KeyValue, tensors []named) []byte {
	t.Helper()
	table := make([]gguf.Tensor, len(tensors))
	for i, x := range tensors {
		table[i] = gguf.Tensor{Name: x.name, Type: ggufType(x.dtype), Shape: x.shape}
	}
	b, err := gguf.Append(nil, pairs, table)
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	for i, x := range tensors {
		b = append(b, make([]byte, table[i].Offset-int64(len(b)))...)
		for j, v := range x.data {
			switch x.dtype {
			case F32:
				b = le.AppendUint32(b, math.Float32bits(v))
			case F16:
				b = le.AppendUint16(b, toHalf(v))
			case BF16:
				b = le.AppendUint16(b, uint16(math.Float32bits(v)>>16))
			case "Q8_0":
				if j%32 == 0 {
					b = le.AppendUint16(b, toHalf(1./8))
				}
				b = append(b, byte(int8(v*8)))
			}
		}
		b = append(b, make([]byte, table[i].Offset+table[i].Bytes-int64(len(b)))...)
	}
	return b
}

// architecture is the pair that every file has.
func architecture(name string) []gguf.KeyValue {
	return []gguf.KeyValue{{Key: "tokenizer.ggml.model", Value: "llama"}, {Key: "general.architecture", Value: name}, {Key: "x.context_length", Value: uint32(8)}}
}

// ggufNames is the naming that load has for an architecture.
func ggufNames(arch string) naming {
	return ggufNaming(ropeLayouts[arch])
}

// TestLoadGGUF loads random models of each type, of architectures with either
// layout, tied and not, and compares each element with its place by definition.
func TestLoadGGUF(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	for arch, layout := range map[string]string{"llama": "interleaved", "qwen2": "half"} {
		n := ggufNames(arch)
		if n.layout != layout {
			t.Errorf("%s has its queries %s", arch, n.layout)
		}
		for _, rope := range []string{"interleaved", "half"} {
			for _, dtype := range []DType{F32, F16, BF16, "Q8_0"} {
				for _, tied := range []bool{true, false} {
					info := llama(64, 2, 4, 2, 96, 13, 8, tied, rope)
					tensors := modelTensors(r, info, n, dtype)
					path := write(t, ggufBytes(t, architecture(arch), tensors))
					checkLoaded(t, info, n, tensors, loaded(t, info, path))
					if !tied {
						continue
					}
					// The same file for a model with an output of its own.
					untied := llama(64, 2, 4, 2, 96, 13, 8, false, rope)
					a, e, o := loaded(t, untied, path), untied.Weights[0], untied.Weights[len(untied.Weights)-1]
					if !slices.Equal(a[e.Offset:][:e.Len()], a[o.Offset:][:o.Len()]) {
						t.Errorf("%s %s: the output is not the embedding", arch, dtype)
					}
				}
			}
		}
	}
}

// TestGGUFConfig: pairs but for the tokenizer's, and whether the output is tied.
func TestGGUFConfig(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for _, tied := range []bool{true, false} {
		info := llama(16, 1, 2, 1, 6, 11, 8, tied, "half")
		f, err := Open(write(t, ggufBytes(t, architecture("llama"), modelTensors(r, info, ggufNames("llama"), F32))))
		if err != nil {
			t.Fatal(err)
		}
		c := f.Config()
		if len(c) != 3 || c["tie"] != tied || c["x.context_length"] != uint32(8) || c["general.architecture"] != "llama" || f.Format() != "GGUF" {
			t.Errorf("%s: %v", f.Format(), c)
		}
		if err := f.Read("nobody", nil); err == nil {
			t.Error("a tensor that is not there was read")
		}
		wantError(t, f.Read("output_norm.weight", make([]float32, 15)), `"output_norm.weight" has 16 elements, the destination 15`, "offset ")
		f.Close()
	}
}

// TestLoadGGUFRefuses changes one thing at a time: it is named with the file,
// and the arena stays as it was.
func TestLoadGGUFRefuses(t *testing.T) {
	r := rand.New(rand.NewPCG(10, 10))
	info := llama(256, 1, 2, 1, 32, 11, 8, false, "half")
	const gate, norm = "blk.0.ffn_gate.weight", "output_norm.weight"
	pairs := architecture("llama")
	for name, c := range map[string]struct {
		pairs  []gguf.KeyValue
		change func(ts map[string]*named)
		want   string
	}{
		"shape":        {pairs, func(ts map[string]*named) { ts[gate].shape = []int{256, 32} }, `tensor "` + gate + `" has shape [256 32], weight layers.0.feed_forward.w1 of tiny wants [32 256]`},
		"architecture": {architecture("mamba"), nil, `the architecture "mamba" is not known`},
		"none":         {nil, nil, `the architecture "" is not known`},
		"no string":    {[]gguf.KeyValue{{Key: "general.architecture", Value: uint32(7)}}, nil, `the architecture "" is not known`},
		"type":         {pairs, func(ts map[string]*named) { *ts[gate] = named{gate, "IQ2_XXS", []int{32, 256}, nil} }, `"` + gate + `" is of type IQ2_XXS; F32, F16, BF16 and`},
		"double":       {pairs, func(ts map[string]*named) { *ts[norm] = named{norm, "F64", []int{256}, nil} }, `"` + norm + `" is of type F64`},
		"split":        {append(pairs[:3:3], gguf.KeyValue{Key: "split.count", Value: int32(3)}), nil, "this is part of a model of 3 files"},
		"missing":      {pairs, func(ts map[string]*named) { delete(ts, gate) }, `no tensor "` + gate + `" for weight layers.0.feed_forward.w1`},
		"extra": {pairs, func(ts map[string]*named) {
			ts["x"] = &named{"blk.0.attn_q.bias", F32, []int{256}, make([]float32, 256)}
		}, `tensor "blk.0.attn_q.bias" [256] has no place in model tiny`},
		"names": {pairs, func(ts map[string]*named) {
			for _, x := range ts {
				x.name = "x." + x.name
			}
		}, "none of the tensors has a name of model tiny"},
	} {
		byName := map[string]*named{}
		list := modelTensors(r, info, ggufNames("llama"), F32)
		for i := range list {
			byName[list[i].name] = &list[i]
		}
		if c.change != nil {
			c.change(byName)
		}
		var ts []named
		for _, x := range byName {
			ts = append(ts, *x)
		}
		path, a := write(t, ggufBytes(t, c.pairs, ts)), arena(info)
		err := Load(info, path, a)
		if wantError(t, err, path, c.want); t.Failed() {
			t.Fatalf("case %q", name)
		}
		untouched(t, name, a)
	}
}

// untouched fails when an arena of NaN has a number.
func untouched(t *testing.T, name string, a []float32) {
	t.Helper()
	if slices.ContainsFunc(a, func(x float32) bool { return x == x }) {
		t.Errorf("%s: refused, but the arena was written", name)
	}
}

// TestGGUFAccepts: tables of angles, and one file of a model of one file.
func TestGGUFAccepts(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 11))
	info := llama(16, 1, 2, 1, 6, 11, 8, true, "half")
	n := ggufNames("llama")
	ts := modelTensors(r, info, n, F32)
	with := append(ts[:len(ts):len(ts)], named{"rope_freqs.weight", F32, []int{4}, make([]float32, 4)}, named{"blk.0.attn_rot_embd", F32, []int{4}, make([]float32, 4)})
	checkLoaded(t, info, n, ts, loaded(t, info, write(t, ggufBytes(t, append(architecture("llama"), gguf.KeyValue{Key: "split.count", Value: uint32(1)}), with))))
}

// TestStoriesGGUF loads the real model as llama.cpp's own tool converted it: the
// bits of llama2.c's file, in either layout, and those rounded to float16.
func TestStoriesGGUF(t *testing.T) {
	bin := asset(t, stories)
	for _, rope := range []string{"interleaved", "half"} {
		info := stories260K(rope, true)
		a := loaded(t, info, bin)
		b := loaded(t, info, asset(t, "weights/stories260K/stories260K-F32.gguf"))
		h := loaded(t, info, asset(t, "weights/stories260K/stories260K-F16.gguf"))
		rounded := 0
		for _, w := range info.Weights {
			for i := w.Offset; i < w.Offset+w.Len(); i++ {
				if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
					t.Fatalf("%s: %s[%d] is %v in llama2.c's file, %v in F32", rope, w.Name, i-w.Offset, a[i], b[i])
				}
				// llama.cpp leaves vectors in float32.
				want := a[i]
				if len(w.Shape) > 1 {
					want = nearestHalf(a[i])
				}
				if h[i] != want {
					t.Fatalf("%s: %s[%d] is %v in llama2.c's file, %v in F16", rope, w.Name, i-w.Offset, a[i], h[i])
				}
				if h[i] != a[i] {
					rounded++
				}
			}
		}
		if rounded < len(a)/2 {
			t.Errorf("%s: %d of %d numbers are rounded", rope, rounded, len(a))
		}
	}
}

// nearestHalf rounds to float16, ties to even, by the definition: 11 bits of
// mantissa, none below 2^-24.
func nearestHalf(x float32) float32 {
	_, exp := math.Frexp(float64(x))
	unit := math.Ldexp(1, max(exp-11, -24))
	return float32(math.RoundToEven(float64(x)/unit) * unit)
}

// TestRandomLlama2GGUF lists and reads a file of another writer.
func TestRandomLlama2GGUF(t *testing.T) {
	f, err := Open(asset(t, "weights/gguf/llama-2-tiny-random.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n := len(f.Tensors()); n != 12 || f.Config()["general.architecture"] != "llama" {
		t.Errorf("%d tensors, %v", n, f.Config())
	}
	for _, x := range f.Tensors() {
		data := make([]float32, x.Len())
		if err := f.Read(x.Name, data); err != nil {
			t.Fatal(err)
		}
		// Random weights are neither all the same nor wild.
		if lo, hi := slices.Min(data), slices.Max(data); x.Name != "output_norm.weight" && lo == hi && len(x.Shape) > 1 || !(hi < 10 && lo > -10) {
			t.Errorf("%v has values from %v to %v", x, lo, hi)
		}
	}
}
