package weights

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// cutAxis is the axis along which Meta's code cuts a weight, -1 for none, by the
// layers of llama/model.py: ColumnParallelLinear cuts rows of [out, in],
// RowParallelLinear columns, ParallelEmbedding columns and, since LLaMA 3,
// VocabParallelEmbedding rows.
func cutAxis(name string, embedding int) int {
	for part, axis := range map[string]int{".wq.": 0, ".wk.": 0, ".wv.": 0, ".w1.": 0, ".w3.": 0, ".wo.": 1, ".w2.": 1, "tok_embeddings": embedding} {
		if strings.Contains(name, part) {
			return axis
		}
	}
	if strings.HasPrefix(name, "output.") {
		return 0
	}
	return -1
}

// cut returns part k of n of tensors.
func cut(tensors []named, n, k, embedding int) []named {
	var out []named
	for _, t := range tensors {
		shape := slices.Clone(t.shape)
		p := named{t.name, t.dtype, shape, nil}
		switch cutAxis(t.name, embedding) {
		case -1:
			p.data = t.data
		case 0:
			shape[0] /= n
			p.data = t.data[len(t.data)/n*k : len(t.data)/n*(k+1)]
		case 1:
			shape[1] /= n
			for row := range shape[0] {
				p.data = append(p.data, t.data[(row*n+k)*shape[1]:][:shape[1]]...)
			}
		}
		out = append(out, p)
	}
	return out
}

// partFiles are the files of a model in n parts by name.
func partFiles(t *testing.T, tensors []named, n, embedding int) map[string][]byte {
	files := map[string][]byte{paramsFile: []byte(`{"max_batch_size": 1}`)}
	for k := range n {
		files[partName(k)] = torchBytes(t, cut(tensors, n, k, embedding))
	}
	return files
}

func writeAll(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestLoadParts loads models cut in one to six parts in both ways.
func TestLoadParts(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 17))
	for _, n := range []int{1, 2, 3, 6} {
		for embedding := range 2 {
			for _, rope := range []string{"interleaved", "half"} {
				info := llama(24, 2, 6, 6, 18, 12, 8, false, rope)
				tensors := modelTensors(r, info, meta, []DType{F32, F16, BF16}[r.IntN(3)])
				// Equal in all parts, but cut: the shape says so.
				w1 := slices.IndexFunc(tensors, func(x named) bool { return strings.Contains(x.name, "0.feed_forward.w1") })
				clear(tensors[w1].data)
				with := append(tensors[:len(tensors):len(tensors)], named{"rope.freqs", F32, []int{2}, []float32{1, 0.5}})
				dir := writeAll(t, partFiles(t, with, n, embedding))
				checkLoaded(t, info, meta, tensors, loaded(t, info, dir))
				f, err := Open(dir)
				if err != nil {
					t.Fatal(err)
				}
				if f.Format() != "PyTorch" || len(f.Tensors()) != len(with) || f.Config()["max_batch_size"] != 1.0 {
					t.Errorf("%s, %d tensors, %v", f.Format(), len(f.Tensors()), f.Config())
				}
				wantError(t, f.Read("x", nil), `no tensor "x"`)
				if n > 1 {
					wantError(t, f.Read("output.weight", nil), fmt.Sprintf(`"output.weight" is cut over %d files`, n))
				}
				f.Close()
			}
		}
	}
}

// TestPartsRefused changes one thing in a model of two parts.
func TestPartsRefused(t *testing.T) {
	r := rand.New(rand.NewPCG(18, 18))
	info := llama(24, 1, 2, 2, 10, 12, 8, false, "half")
	tensors := modelTensors(r, info, meta, F32)
	find := func(ts []named, name string) *named {
		return &ts[slices.IndexFunc(ts, func(x named) bool { return x.name == name })]
	}
	second := func(change func(ts []named) []named) func(files map[string][]byte) {
		return func(files map[string][]byte) {
			files[partName(1)] = torchBytes(t, change(cut(tensors, 2, 1, 1)))
		}
	}
	both := func(change func(k int, ts []named) []named) func(files map[string][]byte) {
		return func(files map[string][]byte) {
			for k := range 2 {
				files[partName(k)] = torchBytes(t, change(k, cut(tensors, 2, k, 1)))
			}
		}
	}
	for name, c := range map[string]struct {
		change func(files map[string][]byte)
		want   []string
	}{
		"one missing": {func(files map[string][]byte) { delete(files, partName(1)) }, []string{`has shape [12 12], weight embed of tiny wants [12 24]`}},
		"a gap":       {func(files map[string][]byte) { files[partName(2)] = files[partName(1)]; delete(files, partName(1)) }, []string{"there is no " + partName(1)}},
		"three": {func(files map[string][]byte) { files[partName(2)] = files[partName(1)] },
			[]string{`] in each of 3 files, which no axis joins to [`, "and 4 more"}},
		"norm": {second(func(ts []named) []named {
			x := find(ts, "norm.weight")
			x.data = slices.Clone(x.data)
			x.data[5] += 1. / 8
			return ts
		}), []string{`tensor "norm.weight" has the whole shape [24] in each of 2 files, but not the same numbers`}},
		"zero's sign": {both(func(k int, ts []named) []named {
			x := find(ts, "norm.weight")
			x.data = make([]float32, 24)
			x.data[3] = float32(math.Copysign(0, float64(-k)))
			return ts
		}), []string{`"norm.weight" has the whole shape`}},
		"lost": {second(func(ts []named) []named {
			return slices.DeleteFunc(ts, func(x named) bool { return x.name == "norm.weight" })
		}),
			[]string{partName(1) + `: tensor "norm.weight" of ` + partName(0) + " is not here"}},
		"more":  {second(func(ts []named) []named { return append(ts, named{"x", F32, []int{1}, []float32{1}}) }), []string{partName(1) + `: tensor "x" is not in ` + partName(0)}},
		"dtype": {second(func(ts []named) []named { find(ts, "output.weight").dtype = BF16; return ts }), []string{partName(1) + `: tensor "output.weight" is BF16 [6 24] here and F32 [6 24] in`}},
		"shape": {second(func(ts []named) []named { find(ts, "output.weight").shape = []int{24, 6}; return ts }), []string{partName(1) + `: tensor "output.weight" is F32 [24 6] here`}},
		"two axes": {both(func(k int, ts []named) []named {
			x := find(ts, "output.weight")
			*x = named{x.name, F32, []int{6, 12}, x.data[:72]}
			return ts
		}), []string{`"output.weight" has shape [6 12] in each of 2 files, which no axis joins to [12 24]`}},
		"rank": {both(func(k int, ts []named) []named {
			x := find(ts, "output.weight")
			*x = named{x.name, F32, []int{144}, x.data}
			return ts
		}), []string{`"output.weight" has shape [144] in each of 2 files, which no axis`}},
		"unknown": {both(func(k int, ts []named) []named {
			return append(ts, named{"x", F32, []int{1}, []float32{float32(k)}})
		}), []string{`tensor "x" [1] has no place in model tiny`}},
		"missing": {both(func(k int, ts []named) []named {
			return slices.DeleteFunc(ts, func(x named) bool { return x.name == "output.weight" })
		}), []string{`no tensor "output.weight" for weight output`}},
		"format": {func(files map[string][]byte) { files[partName(1)] = safetensorsFile(nil, cut(tensors, 2, 1, 1)) }, []string{partName(1), "a file of format safetensors"}},
		"params": {func(files map[string][]byte) { files[paramsFile] = []byte("{") }, []string{paramsFile}},
	} {
		files := maps.Clone(partFiles(t, tensors, 2, 1))
		c.change(files)
		dir, a := writeAll(t, files), arena(info)
		err := Load(info, dir, a)
		if wantError(t, err, append(c.want, dir)...); t.Failed() {
			t.Fatalf("case %q", name)
		}
		untouched(t, name, a)
	}
}

// bfloat16 rounds as PyTorch does, ties to even.
func bfloat16(x float32) float32 {
	b := math.Float32bits(x)
	return math.Float32frombits((b + 0x7fff + b>>16&1) &^ 0xffff)
}

// TestStoriesMeta loads the real model in Meta's form, from the file and from
// its folder: llama2.c's numbers rounded to bfloat16.
func TestStoriesMeta(t *testing.T) {
	bin, dir := asset(t, stories), asset(t, "weights/stories260K_meta")
	for _, rope := range []string{"interleaved", "half"} {
		info := stories260K(rope, true)
		a, b, c := loaded(t, info, bin), loaded(t, info, filepath.Join(dir, partName(0))), loaded(t, info, dir)
		for _, w := range info.Weights {
			for i := w.Offset; i < w.Offset+w.Len(); i++ {
				if want := bfloat16(a[i]); b[i] != want || c[i] != want {
					t.Fatalf("%s: %s[%d] is %v, rounded %v, and %v and %v in Meta's form", rope, w.Name, i-w.Offset, a[i], want, b[i], c[i])
				}
			}
		}
	}
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Config()["vocab_size"] != 512.0 {
		t.Errorf("%v", f.Config())
	}
}

// TestTinyFair loads a checkpoint of Meta's form that others wrote.
func TestTinyFair(t *testing.T) {
	path := asset(t, "weights/meta_pth/tiny_fair_checkpoint.pt")
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	// Sizes by its own tensors; the number of heads moves nothing as long as
	// the layout is Meta's own.
	shape := map[string][]int{}
	for _, x := range f.Tensors() {
		shape[x.Name] = x.Shape
	}
	e, w1 := shape["tok_embeddings.weight"], shape["layers.0.feed_forward.w1.weight"]
	if !slices.Equal(e, []int{500, 32}) || !slices.Equal(w1, []int{256, 32}) {
		t.Fatalf("%v", shape)
	}
	info := llama(32, 2, 4, 4, 256, 500, 8, false, "interleaved")
	loaded(t, info, path)
}
