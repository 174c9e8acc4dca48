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
// and Hugging Face's form and GGUF, or by its own names in a checkpoint of llamac,
// and by the names that the file itself gives for one tensor. Where file and model
// rotate queries and keys in different layouts, the rows of those weights, and of
// all that is added to or multiplied with them, are permuted (HF row c·hd/2+i is
// Meta row 2i+c of each head). A tied file fills an untied model, and a file with
// two copies a tied one. Anything that is missing, of another shape, or left over
// is an error that names it, and then nothing is written.
func Load(info model.Info, path string, params []float32) error {
	return LoadNoting(info, path, params, func(string) {})
}

// Doubt begins a note of what may be wrong with a file; the others tell what was
// made of it.
const Doubt = "warning: "

// LoadNoting is Load that says what a reader should know of a file that is read
// all the same: which of several it was, or what was taken off the names.
func LoadNoting(info model.Info, path string, params []float32, note func(string)) error {
	f, err := openNoting(path, note)
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
		md := s.metadata
		if err := sameModel(path, md["name"], md["spec"], md["spec_json"], info); err != nil {
			return err
		}
	}
	if err := load(info, path, f, params, note); err != nil {
		return err
	}
	return CheckFinite(path, info, params)
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
	head   func(*model.Names) string // of the projection that a tied model does without
}

var (
	own  = naming{"own", "", func(w *model.Weight) string { return w.Name }, func(*model.Names) string { return "" }}
	meta = naming{"Meta", "interleaved", func(w *model.Weight) string { return w.Meta }, func(n *model.Names) string { return n.Meta }}
	hf   = naming{"Hugging Face", "half", func(w *model.Weight) string { return w.HF }, func(n *model.Names) string { return n.HF }}
)

// ggufNaming is that of a GGUF file, which says in which layout it has its pairs.
func ggufNaming(layout string) naming {
	return naming{"GGUF", layout, func(w *model.Weight) string { return w.GGUF }, func(n *model.Names) string { return n.GGUF }}
}

// load fills params from an open file.
func load(info model.Info, path string, f File, params []float32, note func(string)) error {
	// What a file says of itself comes before its shapes, which follow from it.
	said, err := agree(info, path, f)
	if err != nil {
		return err
	}
	// In this order, which decides where both find equally many.
	names := []naming{meta, hf}
	switch g := f.(type) {
	case *ggufFile:
		// This format says which naming it follows, and almost which layout.
		layout, known := ropeLayouts[g.architecture()]
		if !known {
			return bad(path, -1, "the architecture %q is not known: how its queries and keys are rotated would be a guess", g.architecture())
		}
		names = []naming{ggufNaming(layout)}
	case *safetensors:
		if f.Format() == "llamac checkpoint" {
			names = []naming{own}
		}
	}
	c, err := newCatalogue(info, path, f, names)
	if err != nil {
		return err
	}
	// Everything is checked before the first weight is written: an arena half
	// filled with a wrong file looks like a bad model.
	p, err := c.assign(info)
	if err != nil {
		return err
	}
	// Files that were cut in parts become one by the shapes of the model. Until then
	// their tensors have the shapes of a part.
	if parts, ok := f.(*torchParts); ok {
		if f, err = parts.join(p.shapes(info)); err != nil {
			return err
		}
		c.f = f
	}
	if err := c.check(info, p); err != nil {
		return err
	}
	// What was not compared may be wrong; what was read in another way is not.
	for _, n := range said {
		note(Doubt + path + ": " + n)
	}
	for _, n := range slices.Concat(c.notes, p.notes) {
		note(path + ": " + n)
	}
	for i := range info.Weights {
		w := &info.Weights[i]
		if err := readWeight(f, c.names, w, p.from[i], params[w.Offset:w.Offset+w.Len()]); err != nil {
			return err
		}
	}
	return nil
}

// assignment says which tensor each weight is read from, by its name in the file.
type assignment struct {
	from []string
	// Tensors that the model has one weight for, and that must therefore be equal.
	twins []twin
	notes []string
}

// twin is a second tensor for a weight, and why it has to say the same.
type twin struct {
	weight       int // whose tensor it repeats
	name, reason string
}

// assign finds a tensor for each weight, or says all that are missing.
func (c *catalogue) assign(info model.Info) (*assignment, error) {
	p := &assignment{from: make([]string, len(info.Weights))}
	var missing []string
	found := 0
	ends := c.ends(&info, p, &missing)
	for i := range info.Weights {
		w := &info.Weights[i]
		if !slices.Contains(ends, i) {
			p.from[i] = c.find(c.names.of(w))
			if p.from[i] == "" {
				missing = append(missing, c.lacks(w))
			}
		}
		if p.from[i] != "" {
			found++
		}
	}
	if found == 0 && len(info.Weights) > 0 {
		return nil, bad(c.path, -1, "none of the tensors has a name of model %s; %s", info.Name, c.examples(&info))
	}
	if len(missing) > 0 {
		return nil, bad(c.path, -1, "%s", strings.Join(append([]string{several(missing)}, c.hints()...), "\n\t"))
	}
	return p, nil
}

// shapes is what the model wants of each tensor of the file.
func (p *assignment) shapes(info model.Info) map[string][]int {
	want := map[string][]int{}
	for i, name := range p.from {
		want[name] = info.Weights[i].Shape
	}
	for _, t := range p.twins {
		want[t.name] = info.Weights[t.weight].Shape
	}
	return want
}

// check compares shapes, types and layouts, tensors that have to be equal, and
// whether any are left over.
func (c *catalogue) check(info model.Info, p *assignment) error {
	tensors := map[string]Tensor{}
	for _, t := range c.f.Tensors() {
		tensors[t.Name] = t
	}
	// All are collected, so that one run names all that is wrong with a file.
	var wrong []string
	judge := func(name string, w *model.Weight) {
		switch t := tensors[name]; {
		case !slices.Equal(t.Shape, w.Shape):
			wrong = append(wrong, fmt.Sprintf("tensor %q has shape %v, weight %s of %s wants %v", t.Name, t.Shape, w.Name, info.Name, w.Shape))
		case !t.DType.readable():
			wrong = append(wrong, fmt.Sprintf("tensor %q is of type %s; "+readableTypes, t.Name, t.DType))
		}
	}
	for i := range info.Weights {
		w := &info.Weights[i]
		judge(p.from[i], w)
		if w.Rope != "" && w.RopeHeads == 0 && c.names.layout != "" && c.names.layout != w.Rope {
			wrong = append(wrong, fmt.Sprintf("weight %s is rotated together with what cannot be permuted, and files in %s's form have the pairs in the layout %q: --set model.rope.layout=%s reads them as they are",
				w.Name, c.names.label, c.names.layout, c.names.layout))
		}
	}
	for _, t := range p.twins {
		judge(t.name, &info.Weights[t.weight])
	}
	wrong = append(wrong, c.leftOver(info, p)...)
	if len(wrong) > 0 {
		return bad(c.path, -1, "%s", several(wrong))
	}
	for _, t := range p.twins {
		same, err := equal(c.f, p.from[t.weight], t.name, info.Weights[t.weight].Len())
		if err != nil {
			return err
		}
		if !same {
			return bad(c.path, -1, "tensors %q and %q differ, and %s", p.from[t.weight], t.name, t.reason)
		}
	}
	return nil
}

// most is how many problems are shown: a file of another model misses hundreds.
const most = 5

// several joins a few problems, a line each.
func several(problems []string) string {
	if len(problems) > most {
		problems = append(problems[:most:most], fmt.Sprintf("and %d more", len(problems)-most))
	}
	return strings.Join(problems, "\n\t")
}

// equal tells whether two tensors of n elements are the same, bit for bit.
func equal(f File, a, b string, n int) (bool, error) {
	if t, ok := f.(*torchFile); ok && t.offset[t.at[a]] == t.offset[t.at[b]] && t.tensors[t.at[a]].DType == t.tensors[t.at[b]].DType {
		return true, nil // two names of one storage
	}
	x, y := make([]float32, n), make([]float32, n)
	if err := f.Read(a, x); err != nil {
		return false, err
	}
	if err := f.Read(b, y); err != nil {
		return false, err
	}
	return slices.EqualFunc(x, y, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) }), nil
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

// leftOver lists tensors that the model has no place for: a bias or a norm
// that is silently left out gives another model. Tables of RoPE's angles are
// derived data.
func (c *catalogue) leftOver(info model.Info, p *assignment) (extra []string) {
	used := map[string]bool{}
	for _, name := range p.from {
		used[name] = true
	}
	for _, t := range p.twins {
		used[t.name] = true
	}
	for _, t := range c.f.Tensors() {
		if !used[t.Name] && !derived(c.f, t.Name) {
			extra = append(extra, fmt.Sprintf("tensor %q %v has no place in model %s", t.Name, t.Shape, info.Name))
		}
	}
	return extra
}

// derived tells whether a tensor holds nothing of the model itself.
func derived(f File, name string) bool {
	if f.Format() == "llamac checkpoint" && (strings.HasPrefix(name, firstMoment) || strings.HasPrefix(name, secondMoment) || name == vocabularyTensor) {
		return true
	}
	return strings.HasSuffix(name, "rope.freqs") || name == "rope_freqs.weight" || strings.HasSuffix(name, "attn_rot_embd") || strings.HasSuffix(name, "rotary_emb.inv_freq")
}
