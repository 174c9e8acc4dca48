package weights

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/llamac/llamac/runtime/model"
)

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one with %q", parts)
		return
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q lacks %q", err, p)
		}
	}
}

// TestHalf compares every binary16 with the definition of the format.
func TestHalf(t *testing.T) {
	for h := range 1 << 16 {
		exp, frac := h>>10&31, float64(h&1023)
		var want float64
		switch exp {
		case 0:
			want = math.Ldexp(frac, -24)
		case 31:
			want = math.Inf(1)
			if frac != 0 {
				want = math.NaN()
			}
		default:
			want = math.Ldexp(1+frac/1024, exp-15)
		}
		if h>>15 == 1 {
			want = -want
		}
		got := half(uint16(h))
		if want != want {
			if got == got {
				t.Fatalf("%#04x = %v, want NaN", h, got)
			}
			continue
		}
		if float64(got) != want || math.Signbit(float64(got)) != math.Signbit(want) {
			t.Fatalf("%#04x = %v, want %v", h, got, want)
		}
	}
}

// named is a tensor for a test's file.
type named struct {
	name  string
	dtype DType
	shape []int
	data  []float32
}

// safetensorsFile encodes tensors, whose values must be exact in their types.
func safetensorsFile(metadata map[string]string, tensors []named) []byte {
	head := map[string]any{}
	if metadata != nil {
		head["__metadata__"] = metadata
	}
	var data bytes.Buffer
	for _, t := range tensors {
		begin := data.Len()
		for _, x := range t.data {
			switch b := math.Float32bits(x); t.dtype {
			case BF16:
				binary.Write(&data, binary.LittleEndian, uint16(b>>16))
			case F16:
				binary.Write(&data, binary.LittleEndian, toHalf(x))
			case F32:
				binary.Write(&data, binary.LittleEndian, b)
			default:
				data.WriteByte(byte(b))
			}
		}
		head[t.name] = map[string]any{"dtype": t.dtype, "shape": t.shape, "data_offsets": []int{begin, data.Len()}}
	}
	j, _ := json.Marshal(head)
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(j)))
	return append(append(out, j...), data.Bytes()...)
}

// toHalf finds the binary16 of a value that is one.
func toHalf(x float32) uint16 { return halves()[x] }

var halves = sync.OnceValue(func() map[float32]uint16 {
	m := map[float32]uint16{}
	for h := range 1 << 16 {
		m[half(uint16(h))] = uint16(h)
	}
	return m
})

// modelTensors makes tensors for all weights, named and laid out as n says,
// small multiples of 1/8 so that every type holds them exactly.
func modelTensors(r *rand.Rand, info model.Info, n naming, dtype DType) []named {
	var out []named
	for i := range info.Weights {
		w := &info.Weights[i]
		t := named{n.of(w), dtype, w.Shape, make([]float32, w.Len())}
		for i := range t.data {
			t.data[i] = float32(r.IntN(255)-127) / 8
		}
		out = append(out, t)
	}
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func write(t *testing.T, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "weights.file")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestLoadSafetensors loads random models in each type, naming and layout and
// compares each element with its place by definition.
func TestLoadSafetensors(t *testing.T) {
	eachModel(rand.New(rand.NewPCG(1, 1)), func(info model.Info, n naming, tensors []named, _ DType) {
		a := loaded(t, info, write(t, safetensorsFile(nil, tensors)))
		checkLoaded(t, info, n, tensors, a)
	})
}

// eachModel makes random models in each naming, layout and plain type.
func eachModel(r *rand.Rand, f func(model.Info, naming, []named, DType)) {
	for _, n := range []naming{meta, hf} {
		for _, rope := range []string{"interleaved", "half"} {
			for _, dtype := range []DType{F32, F16, BF16} {
				info := llama(24, 2, 3, 1, 10, 13, 8, r.IntN(2) == 0, rope)
				f(info, n, modelTensors(r, info, n, dtype), dtype)
			}
		}
	}
}

// checkLoaded compares each row of an arena with the file's row by definition.
func checkLoaded(t *testing.T, info model.Info, n naming, tensors []named, a []float32) {
	t.Helper()
	for i := range info.Weights {
		w := &info.Weights[i]
		x := tensors[slices.IndexFunc(tensors, func(x named) bool { return x.name == n.of(w) })]
		width := w.Len() / w.Shape[0]
		for row := range w.Shape[0] {
			from := row
			if w.Rope != "" && w.Rope != n.layout {
				from = permuted(row, w.Shape[0]/w.RopeHeads, w.Rope)
			}
			if got, want := a[w.Offset+row*width:][:width], x.data[from*width:][:width]; !slices.Equal(got, want) {
				t.Fatalf("%s %s %s: %s row %d is %v, want row %d: %v", n.label, w.Rope, x.dtype, w.Name, row, got, from, want)
			}
		}
	}
}

// permuted is the source row by FACTS' words: Meta row 2i+c of a head goes to
// Hugging Face's row c·hd/2+i.
func permuted(row, hd int, to string) int {
	for i := range hd / 2 {
		for c := range 2 {
			metaRow, hfRow := 2*i+c, c*hd/2+i
			if to == "half" && hfRow == row%hd {
				return row/hd*hd + metaRow
			}
			if to == "interleaved" && metaRow == row%hd {
				return row/hd*hd + hfRow
			}
		}
	}
	panic("no such row")
}

// TestPermuteInverse goes there and back, for a bias as well as a matrix.
func TestPermuteInverse(t *testing.T) {
	for _, width := range []int{1, 5} {
		x := make([]float32, 6*8*width)
		for i := range x {
			x[i] = float32(i)
		}
		y, z := make([]float32, len(x)), make([]float32, len(x))
		Permute(y, x, 48, 6, "half")
		Permute(z, y, 48, 6, "interleaved")
		if !slices.Equal(x, z) || slices.Equal(x, y) {
			t.Errorf("width %d: not an inverse pair", width)
		}
	}
}

// TestLoadRefuses changes one thing at a time and wants it named.
func TestLoadRefuses(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	info := llama(16, 1, 2, 1, 6, 11, 8, true, "half")
	good := modelTensors(r, info, hf, F32)
	index := func(ts []named, name string) *named {
		return &ts[slices.IndexFunc(ts, func(x named) bool { return x.name == name })]
	}
	const w1 = "model.layers.0.mlp.gate_proj.weight"
	for _, c := range []struct {
		name   string
		change func(ts []named) []named
		want   []string
	}{
		{"shape", func(ts []named) []named {
			index(ts, w1).shape = []int{16, 6}
			return ts
		}, []string{`tensor "` + w1 + `" has shape [16 6], weight layers.0.feed_forward.w1 of tiny wants [6 16]`}},
		{"missing", func(ts []named) []named {
			return slices.DeleteFunc(ts, func(x named) bool { return x.name == w1 })
		}, []string{`no tensor "` + w1 + `" for weight layers.0.feed_forward.w1`}},
		{"foreign names", func(ts []named) []named {
			for i := range ts {
				ts[i].name = fmt.Sprint("x", i)
			}
			return ts
		}, []string{"none of the tensors has a name of model tiny"}},
		{"bias", func(ts []named) []named {
			return append(ts, named{"model.layers.0.self_attn.q_proj.bias", F32, []int{16}, make([]float32, 16)})
		}, []string{`tensor "model.layers.0.self_attn.q_proj.bias" [16] has no place in model tiny`}},
		{"another output", func(ts []named) []named {
			return append(ts, named{"lm_head.weight", F32, []int{11, 16}, make([]float32, 11*16)})
		}, []string{`tensors "model.embed_tokens.weight" and "lm_head.weight" differ`, "--set model.tie=false"}},
		{"type", func(ts []named) []named {
			*index(ts, "model.norm.weight") = named{"model.norm.weight", "I8", []int{16}, make([]float32, 16)}
			return ts
		}, []string{`"model.norm.weight" is of type I8`}},
	} {
		ts := slices.Clone(good)
		for i := range ts {
			ts[i].shape = slices.Clone(ts[i].shape)
		}
		a := arena(info)
		err := Load(info, write(t, safetensorsFile(nil, c.change(ts))), a)
		wantError(t, err, c.want...)
		for _, x := range a {
			if x == x {
				t.Errorf("%s: refused, but the arena was written", c.name)
				break
			}
		}
	}
}

// TestLoadAccepts takes files with harmless additions.
func TestLoadAccepts(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	info := llama(16, 1, 2, 1, 6, 11, 8, true, "half")
	ts := modelTensors(r, info, hf, BF16)
	e := ts[slices.IndexFunc(ts, func(x named) bool { return x.name == "model.embed_tokens.weight" })]
	ts = append(ts, named{"lm_head.weight", BF16, e.shape, e.data},
		named{"model.layers.0.self_attn.rotary_emb.inv_freq", F32, []int{4}, make([]float32, 4)})
	f, err := Open(write(t, safetensorsFile(map[string]string{"format": "pt"}, ts)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Config()["format"] != "pt" || f.Format() != "safetensors" {
		t.Errorf("metadata %v, format %s", f.Config(), f.Format())
	}
	loaded(t, info, f.(*safetensors).path)
}

// llama2cFile writes a file as llama2.c's export does, from named tensors.
func llama2cFile(info model.Info, tied bool, byName map[string][]float32) []byte {
	var b bytes.Buffer
	vocab := info.Vocab
	if !tied {
		vocab = -vocab
	}
	for _, x := range []int{info.Dim, info.FFNDim, info.Layers, info.Heads, info.KVHeads, vocab, info.Context} {
		binary.Write(&b, binary.LittleEndian, int32(x))
	}
	put := func(name string) { binary.Write(&b, binary.LittleEndian, byName[name]) }
	put("tok_embeddings.weight")
	for _, kind := range []string{"attention_norm", "attention.wq", "attention.wk", "attention.wv", "attention.wo", "ffn_norm",
		"feed_forward.w1", "feed_forward.w2", "feed_forward.w3"} {
		for l := range info.Layers {
			put(fmt.Sprintf("layers.%d.%s.weight", l, kind))
		}
	}
	put("norm.weight")
	binary.Write(&b, binary.LittleEndian, make([]float32, info.Context*info.HeadDim))
	if !tied {
		put("output.weight")
	}
	return b.Bytes()
}

func llama2cOf(r *rand.Rand, info model.Info, tied bool) ([]byte, map[string][]float32) {
	byName := map[string][]float32{}
	for _, x := range modelTensors(r, info, meta, F32) {
		byName[x.name] = x.data
	}
	return llama2cFile(info, tied, byName), byName
}

// TestLoadLlama2c loads tied and untied files and checks every tensor.
func TestLoadLlama2c(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for _, tied := range []bool{true, false} {
		info := llama(24, 3, 3, 1, 10, 13, 8, tied, "interleaved")
		b, byName := llama2cOf(r, info, tied)
		a := loaded(t, info, write(t, b))
		for _, w := range info.Weights {
			if !slices.Equal(a[w.Offset:w.Offset+w.Len()], byName[w.Meta]) {
				t.Errorf("tied %v: %s differs", tied, w.Name)
			}
		}
		if !tied {
			continue
		}
		other := llama(24, 3, 3, 3, 10, 13, 8, tied, "interleaved")
		wantError(t, Load(other, write(t, b), arena(other)),
			`tensor "layers.0.attention.wk.weight" has shape [8 24], weight layers.0.attention.wk of tiny wants [24 24]`, "and 1 more")
	}
}

// TestDamaged cuts, extends and corrupts files of each format.
func TestDamaged(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	info := llama(16, 1, 2, 1, 6, 11, 8, true, "interleaved")
	bin, _ := llama2cOf(r, info, true)
	st := safetensorsFile(nil, modelTensors(r, info, meta, F32))
	header := func(s string, data int) []byte {
		return append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(s))), s...), make([]byte, data)...)
	}
	for _, c := range []struct {
		name string
		data []byte
		want []string
	}{
		{"empty", nil, []string{"an empty file"}},
		{"llama2.c cut", bin[:len(bin)-1], []string{fmt.Sprintf("offset %d: ", len(bin)-1), "cut off", fmt.Sprintf("needs %d bytes", len(bin))}},
		{"llama2.c long", append(slices.Clone(bin), 0, 0), []string{fmt.Sprintf("offset %d: 2 bytes after the end", len(bin))}},
		{"llama2.c header only", bin[:28], []string{"cut off"}},
		{"llama2.c half a header", bin[:20], []string{"20 bytes are no weight file"}},
		{"huge llama2.c", func() []byte {
			b := slices.Clone(bin)
			binary.LittleEndian.PutUint32(b[0:], 1<<30)
			binary.LittleEndian.PutUint32(b[12:], 1<<20)
			binary.LittleEndian.PutUint32(b[16:], 1<<20)
			binary.LittleEndian.PutUint32(b[8:], 4096)
			return b
		}(), []string{"more than 2^62"}},
		{"safetensors cut", st[:len(st)-1], []string{"are outside the data"}},
		{"safetensors long", append(slices.Clone(st), 0), []string{fmt.Sprintf("offset %d: 1 bytes follow", len(st))}},
		{"safetensors header cut", st[:40], []string{"offset 40: cut off"}},
		{"safetensors header length", append(binary.LittleEndian.AppendUint64(nil, 101<<20), "{}"...), []string{"above the format's limit"}},
		{"no object", header(`{"a"]`, 0), []string{"offset"}},
		{"text after", header(`{}x`, 0), []string{"1 bytes after the JSON object"}},
		{"twice", header(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4), []string{`tensor "a" appears twice`}},
		{"gap", header(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8), []string{`tensor "a" begins at byte 4 of the data, the one before ends at 0`}},
		{"overlap", header(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8), []string{`tensor "b" begins at byte 4`}},
		{"span", header(`{"a":{"dtype":"F16","shape":[3],"data_offsets":[0,8]}}`, 8), []string{"F16 of shape [3] takes 6 bytes, its offsets span 8"}},
		{"overflow", header(`{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}`, 8), []string{"does not fit"}},
		{"negative", header(`{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, 4), []string{"does not fit"}},
		{"backwards", header(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`, 4), []string{"outside the data"}},
		{"no shape", header(`{"a":{"dtype":"F32","data_offsets":[0,4]}}`, 4), []string{"missing"}},
		{"unknown key", header(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"stride":1}}`, 4), []string{"stride"}},
		{"fraction", header(`{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}`, 4), []string{"1.5"}},
		{"llama2.c v1", append([]byte("24ka\x01\x00\x00\x00"), make([]byte, 300)...), []string{"version 1"}},
	} {
		path := write(t, c.data)
		f, err := Open(path)
		if err == nil {
			t.Errorf("%s: opened as %s", c.name, f.Format())
			continue
		}
		var fe *FormatError
		if !errors.As(err, &fe) || fe.Path != path {
			t.Errorf("%s: error %v is no FormatError of the file", c.name, err)
		}
		if wantError(t, err, c.want...); t.Failed() {
			t.Logf("case %q", c.name)
		}
	}
}

// bytesFile is a file in memory.
type bytesFile struct{ *bytes.Reader }

func (bytesFile) Close() error { return nil }

// FuzzOpen opens any bytes: no panic, and what opens can be read, within the
// size of the file.
func FuzzOpen(f *testing.F) {
	r := rand.New(rand.NewPCG(6, 6))
	info := llama(4, 1, 1, 1, 2, 3, 2, false, "interleaved")
	bin, _ := llama2cOf(r, info, false)
	f.Add(bin)
	f.Add(safetensorsFile(map[string]string{"a": "b"}, modelTensors(r, info, hf, BF16)))
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x00\x00{}"))
	f.Add([]byte("GGUF\x03\x00\x00\x00\x00\x00"))
	f.Add(ggufBytes(f, architecture("llama"), modelTensors(r, info, ggufNames("llama"), F16)))
	f.Add(ggufBytes(f, architecture("llama"), []named{{"a", "Q4_K", []int{2, 256}, nil}, {"b", "Q5_1", []int{64}, nil}, {"c", "IQ2_XXS", []int{256}, nil}}))
	f.Add(torchBytes(f, modelTensors(r, info, meta, F16)))
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := open("fuzz", bytesFile{bytes.NewReader(b)}, int64(len(b)))
		if err != nil {
			var fe *FormatError
			if !errors.As(err, &fe) && !errors.Is(err, io.EOF) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		total := 0
		for _, x := range w.Tensors() {
			if !x.DType.readable() {
				continue
			}
			n, size := x.DType.block()
			if w.Format() == "PyTorch" {
				total = 0 // whose tensors may be views of the same bytes
			}
			if total += x.Len() / n * size; total > len(b) {
				t.Fatalf("tensors of more than %d bytes", len(b))
			}
			if err := w.Read(x.Name, make([]float32, x.Len())); err != nil {
				t.Fatal(err)
			}
		}
		w.Config()
	})
}
