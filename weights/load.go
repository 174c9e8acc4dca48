package weights

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/llamac/llamac/runtime/model"
)

// Load fills params, the flat arena of a model's weights, from a file.
//
// The file's tensors are found by the names that the model gives for Meta's
// and Hugging Face's form and GGUF, or by its own names in a checkpoint of llamac.
// Where file and model rotate queries and keys in different layouts, the rows
// of those weights are permuted (HF row c·hd/2+i is Meta row 2i+c of
// each head). A tied file fills an untied model, its output projection with
// the embedding. Anything that is missing, of another shape, or left over is
// an error that names it, and then nothing is written.
func Load(info model.Info, path string, params []float32) error {
	f, err := Open(path)
	if err != nil {
		return err
	}
	// A checkpoint's weights are as good as its checksum; other formats have
	// none.
	defer f.Close()
	if s, ok := f.(*safetensors); ok && s.metadata[checkpointKey] != "" {
		if err := s.verify(); err != nil {
			return err
		}
	}
	return load(info, path, f, params)
}

// naming is one way to find a model's weights in a file.
// Files do not say which they follow: Meta's own checkpoints and llama2.c have
// the first, everything from the hub the second.
type naming struct {
	label string
	// Hugging Face permuted the rows of wq and wk when it took LLaMA over, and
	// keeps to that.
	layout string // of rotated pairs in such files; empty for the model's own
	of     func(*model.Weight) string
}

var (
	own  = naming{"own", "", func(w *model.Weight) string { return w.Name }}
	meta = naming{"Meta", "interleaved", func(w *model.Weight) string { return w.Meta }}
	hf   = naming{"Hugging Face", "half", func(w *model.Weight) string { return w.HF }}
)

// load fills params from an open file.
func load(info model.Info, path string, f File, params []float32) error {
	// In this order, which decides where both find equally many.
	names := []naming{meta, hf}
	switch g := f.(type) {
	case *ggufFile:
		// This format says which naming it follows, and almost which layout.
		layout, known := ropeLayouts[g.architecture()]
		if !known {
			return bad(path, -1, "the architecture %q is not known: how its queries and keys are rotated would be a guess", g.architecture())
		}
		names = []naming{{"GGUF", layout, func(w *model.Weight) string { return w.GGUF }}}
	case *safetensors:
		if f.Format() == "llamac checkpoint" {
			names = []naming{own}
		}
	}
	// By the file's own names.
	have := map[string]Tensor{}
	for _, t := range f.Tensors() {
		have[t.Name] = t
	}
	n := choose(info, names, have)
	// Files that were cut in parts become one by the shapes of the model. Until then
	// their tensors have the shapes of a part.
	if parts, ok := f.(*torchParts); ok {
		want := map[string][]int{}
		for i := range info.Weights {
			want[n.of(&info.Weights[i])] = info.Weights[i].Shape
		}
		var err error
		if f, err = parts.join(want); err != nil {
			return err
		}
		for _, t := range f.Tensors() {
			have[t.Name] = t
		}
	}
	// Everything is checked before the first weight is written: an arena half
	// filled with a wrong file looks like a bad model.
	from, err := match(info, path, f, n, have)
	if err != nil {
		return err
	}
	if err := leftOver(info, path, f, from); err != nil {
		return err
	}
	for i := range info.Weights {
		w := &info.Weights[i]
		if err := readWeight(f, n, w, from[i], params[w.Offset:w.Offset+w.Len()]); err != nil {
			return err
		}
	}
	return nil
}

// choose takes the naming under which most weights are found.
func choose(info model.Info, names []naming, have map[string]Tensor) naming {
	best, most := names[0], -1
	for _, n := range names {
		// Counted, not required: a file that lacks one tensor is then told
		// which, and not that it has none.
		found := 0
		for i := range info.Weights {
			if _, ok := have[n.of(&info.Weights[i])]; ok {
				found++
			}
		}
		if found > most {
			best, most = n, found
		}
	}
	return best
}

// match returns the name of the tensor for each weight, or every difference
// between file and model.
func match(info model.Info, path string, f File, n naming, have map[string]Tensor) ([]string, error) {
	from := make([]string, len(info.Weights))
	var missing, wrong []string
	for i := range info.Weights {
		w := &info.Weights[i]
		name := n.of(w)
		t, ok := have[name]
		if !ok {
			if t, ok = embedding(info, f, n, have, w); !ok {
				missing = append(missing, fmt.Sprintf("no tensor %q for weight %s", name, w.Name))
				continue
			}
		}
		from[i] = t.Name
		// Both are collected, so that one run names all that is wrong with a
		// file.
		switch {
		case !slices.Equal(t.Shape, w.Shape):
			wrong = append(wrong, fmt.Sprintf("tensor %q has shape %v, weight %s of %s wants %v", t.Name, t.Shape, w.Name, info.Name, w.Shape))
		case !t.DType.readable():
			wrong = append(wrong, fmt.Sprintf("tensor %q is of type %s; "+readableTypes, t.Name, t.DType))
		}
	}
	if len(missing) == len(info.Weights) {
		return nil, bad(path, -1, "none of the tensors has a name of model %s", info.Name)
	}
	if problems := append(wrong, missing...); len(problems) > 0 {
		return nil, bad(path, -1, "%s", several(problems))
	}
	return from, nil
}

// several joins a few problems, a line each.
func several(problems []string) string {
	// A file of another model misses hundreds.
	const most = 5
	if len(problems) > most {
		problems = append(problems[:most:most], fmt.Sprintf("and %d more", len(problems)-most))
	}
	return strings.Join(problems, "\n\t")
}

// embedding finds the tensor that stands for a missing output projection in a
// file that ties it: that of the other weight of shape [vocabulary, dim].
func embedding(info model.Info, f File, n naming, have map[string]Tensor, w *model.Weight) (Tensor, bool) {
	c := f.Config()
	if c["tie"] != true && c["tie_word_embeddings"] != true || !vocabulary(info, w.Shape) {
		return Tensor{}, false
	}
	for i := range info.Weights {
		e := &info.Weights[i]
		if t, ok := have[n.of(e)]; ok && e.Name != w.Name && vocabulary(info, e.Shape) {
			return t, true
		}
	}
	return Tensor{}, false
}

// vocabulary tells whether a shape is that of an embedding or an output projection.
func vocabulary(info model.Info, shape []int) bool {
	return slices.Equal(shape, []int{info.Vocab, info.Dim})
}

// readWeight reads one weight and permutes its rows where the layouts differ.
func readWeight(f File, n naming, w *model.Weight, name string, dst []float32) error {
	if w.Rope == "" || n.layout == "" || n.layout == w.Rope {
		return f.Read(name, dst)
	}
	// Rows move over each other, so not in place.
	src := make([]float32, len(dst))
	if err := f.Read(name, src); err != nil {
		return err
	}
	Permute(dst, src, w.Shape[0], w.RopeHeads, w.Rope)
	return nil
}

// Permute converts a weight (or bias) whose rows are rotated in pairs to the
// layout "interleaved" or "half" from the other. rows is the first dimension
// of src, heads the number of heads it is divided into, each of even height.
func Permute(dst, src []float32, rows, heads int, layout string) {
	width, height := len(src)/rows, rows/heads
	for r := range rows {
		head, i := r/height*height, r%height
		from := 2*(i%(height/2)) + i/(height/2) // "half": row c·height/2+i comes from 2i+c
		if layout == "interleaved" {
			from = i%2*(height/2) + i/2
		}
		copy(dst[r*width:(r+1)*width], src[(head+from)*width:])
	}
}

// leftOver refuses tensors that the model has no place for: a bias or a norm
// that is silently left out gives another model. Tables of RoPE's angles are
// derived data, and an output projection equal to the embedding that the
// model ties it to says nothing new.
func leftOver(info model.Info, path string, f File, from []string) error {
	used := map[string]bool{}
	for _, name := range from {
		used[name] = true
	}
	var extra []string
	for _, t := range f.Tensors() {
		if used[t.Name] || derived(f, t.Name) {
			continue
		}
		same, err := repeatsEmbedding(info, f, t, from)
		if err != nil {
			return err
		}
		if !same {
			extra = append(extra, fmt.Sprintf("tensor %q %v has no place in model %s", t.Name, t.Shape, info.Name))
		}
	}
	if len(extra) > 0 {
		return bad(path, -1, "%s", several(extra))
	}
	return nil
}

// derived tells whether a tensor holds nothing of the model itself.
func derived(f File, name string) bool {
	if f.Format() == "llamac checkpoint" && (strings.HasPrefix(name, firstMoment) || strings.HasPrefix(name, secondMoment)) {
		return true
	}
	return strings.HasSuffix(name, "rope.freqs") || name == "rope_freqs.weight" || strings.HasSuffix(name, "attn_rot_embd") || strings.HasSuffix(name, "rotary_emb.inv_freq")
}

// repeatsEmbedding tells whether a tensor is the embedding once more, bit for bit.
func repeatsEmbedding(info model.Info, f File, t Tensor, from []string) (bool, error) {
	if !vocabulary(info, t.Shape) || !t.DType.readable() {
		return false, nil
	}
	e := slices.IndexFunc(info.Weights, func(w model.Weight) bool { return vocabulary(info, w.Shape) })
	if e < 0 {
		return false, nil
	}
	a, b := make([]float32, t.Len()), make([]float32, t.Len())
	if err := f.Read(t.Name, a); err != nil {
		return false, err
	}
	if err := f.Read(from[e], b); err != nil {
		return false, err
	}
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) }), nil
}
