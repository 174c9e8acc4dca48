package weights

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// Meta's checkpoints lie in a folder: params.json and one file for each GPU that
// the model was made for, consolidated.00.pth and so on.
const (
	partPattern = "consolidated.*.pth"
	paramsFile  = "params.json"
)

// partName is the name of a part by its number. Parts lie behind each other in
// that order, which is the rank of the GPU.
func partName(i int) string { return fmt.Sprintf("consolidated.%02d.pth", i) }

// torchParts is a model cut in parts, each of which has a slice of most weights
// (Megatron's tensor parallelism: rows of wq, wk, wv, w1, w3 and output, columns
// of wo, w2 and, until LLaMA 2, of the embedding) and all of the norms. Files do
// not say along which axis: that shows when the model's shapes are known.
type torchParts struct {
	dir     string
	parts   []*torchFile
	tensors []Tensor
	axis    map[string]int // by tensor, once joined: where parts lie behind each other, or whole
}

// whole marks a tensor that each part has completely.
const whole = -1

// openParts opens a folder of Meta's. A single part is the model.
func openParts(dir string) (_ File, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	// By their names, and not until one is missing: a gap is a lost file.
	var names []string
	for _, e := range entries {
		if ok, _ := filepath.Match(partPattern, e.Name()); ok {
			names = append(names, e.Name())
		}
	}
	config, err := readConfig(filepath.Join(dir, paramsFile))
	if err != nil {
		return nil, err
	}
	p := &torchParts{dir: dir}
	// Whatever was opened until an error is closed again.
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	for i := range names {
		// With a gap in the numbers the parts behind it would be taken for others.
		if !slices.Contains(names, partName(i)) {
			return nil, bad(dir, -1, "of %d files %s there is no %s", len(names), partPattern, partName(i))
		}
		path := filepath.Join(dir, partName(i))
		if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
			return nil, bad(path, -1, "this is no file")
		}
		f, err := Open(path)
		if err != nil {
			return nil, err
		}
		part, ok := f.(*torchFile)
		if !ok {
			f.Close()
			return nil, bad(path, -1, "this is a file of format %s, not of PyTorch", f.Format())
		}
		part.config = config
		p.parts = append(p.parts, part)
	}
	// The smallest models, and those that were joined already.
	if len(p.parts) == 1 {
		return p.parts[0], nil
	}
	p.tensors = p.parts[0].tensors
	return p, p.sameTensors()
}

// sameTensors wants the same names, types and shapes in all parts: the models
// were cut evenly.
func (p *torchParts) sameTensors() error {
	// Both ways: what only one file has belongs to another model.
	first := p.parts[0]
	for _, part := range p.parts[1:] {
		for _, t := range first.tensors {
			i, ok := part.at[t.Name]
			if !ok {
				return bad(part.path, -1, "tensor %q of %s is not here", t.Name, partName(0))
			}
			if u := part.tensors[i]; u.DType != t.DType || !slices.Equal(u.Shape, t.Shape) {
				return bad(part.path, -1, "tensor %q is %s %v here and %s %v in %s", t.Name, u.DType, u.Shape, t.DType, t.Shape, partName(0))
			}
		}
		for _, t := range part.tensors {
			if _, ok := first.at[t.Name]; !ok {
				return bad(part.path, -1, "tensor %q is not in %s", t.Name, partName(0))
			}
		}
	}
	return nil
}

// join finds the axis of each tensor from the shapes that a model wants, and
// returns the file with whole tensors. At most one axis fits a shape that is not
// a part's own: all others have their full length. Tensors that nobody wants
// keep the shape that they have in a part.
func (p *torchParts) join(want map[string][]int) (File, error) {
	// A new value: the one that was opened may be joined for another model.
	j := &torchParts{dir: p.dir, parts: p.parts, tensors: slices.Clone(p.tensors), axis: map[string]int{}}
	// All that is wrong, as in match.
	var wrong []string
	for i := range j.tensors {
		t := &j.tensors[i]
		shape, ok := want[t.Name]
		if !ok {
			shape = t.Shape
		}
		// The shape decides, and not whether parts are equal: a weight of zeros is
		// equal in all parts and cut all the same.
		axis := joinAxis(t.Shape, shape, len(p.parts))
		if axis == whole {
			same, err := p.same(*t)
			switch {
			case err != nil:
				return nil, err
			case !same && ok:
				wrong = append(wrong, fmt.Sprintf("tensor %q has the whole shape %v in each of %d files, but not the same numbers", t.Name, t.Shape, len(p.parts)))
			case !same: // a part of something unknown: load has no place for it
				continue
			}
		}
		if axis == noAxis {
			wrong = append(wrong, fmt.Sprintf("tensor %q has shape %v in each of %d files, which no axis joins to %v", t.Name, t.Shape, len(p.parts), shape))
			continue
		}
		j.axis[t.Name] = axis
		t.Shape = shape
	}
	if len(wrong) > 0 {
		return nil, bad(p.dir, -1, "%s", several(wrong))
	}
	return j, nil
}

// noAxis is joinAxis's answer where there is none: the model is of another size, or
// was cut in another number of parts.
const noAxis = -2

// joinAxis finds the axis along which n parts make the whole shape, or whole if
// one does.
func joinAxis(part, all []int, n int) int {
	if slices.Equal(part, all) {
		return whole
	}
	axis := noAxis
	for i := range min(len(part), len(all)) {
		switch {
		// Neither is a second axis cut, nor another multiple than the number of
		// files.
		case part[i] == all[i]:
		case part[i]*n == all[i] && axis == noAxis:
			axis = i
		default:
			return noAxis
		}
	}
	// Compared as far as both go, which is not enough.
	if len(part) != len(all) {
		return noAxis
	}
	return axis
}

// same tells whether all parts have the same numbers of a tensor, bit for bit. It
// is asked for norms alone, which are small.
func (p *torchParts) same(t Tensor) (bool, error) {
	// Compared as float32, to which each type converts without loss.
	a, b := make([]float32, t.Len()), make([]float32, t.Len())
	if err := p.parts[0].Read(t.Name, a); err != nil {
		return false, err
	}
	for _, part := range p.parts[1:] {
		if err := part.Read(t.Name, b); err != nil {
			return false, err
		}
		if !slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) }) {
			return false, nil
		}
	}
	return true, nil
}

func (p *torchParts) Format() string         { return "PyTorch" }
func (p *torchParts) Config() map[string]any { return maps.Clone(p.parts[0].Config()) }

// Tensors are those of a part until they are joined.
func (p *torchParts) Tensors() []Tensor { return p.tensors }

// Read reads a tensor that was joined.
func (p *torchParts) Read(name string, dst []float32) error {
	i, ok := p.parts[0].at[name]
	if !ok {
		return bad(p.dir, -1, "no tensor %q", name)
	}
	// Unless it was joined, a part would pass for the whole.
	axis, ok := p.axis[name]
	if !ok {
		return bad(p.dir, -1, "tensor %q is cut over %d files, and only a model's shape says how", name, len(p.parts))
	}
	if n := p.tensors[i].Len(); n != len(dst) {
		return bad(p.dir, -1, "tensor %q has %d elements, the destination %d", name, n, len(dst))
	}
	if axis == whole {
		return p.parts[0].Read(name, dst)
	}
	// A run is what lies together in a part: all behind the axis.
	run := 1
	for _, d := range p.parts[0].tensors[i].Shape[axis:] {
		run *= d
	}
	// One part at a time: memory for all of them is what the arena is for.
	buf := make([]float32, len(dst)/len(p.parts))
	for k, part := range p.parts {
		if err := part.Read(name, buf); err != nil {
			return err
		}
		// Run r of part k is run r·parts+k of the whole.
		for r := range len(buf) / max(run, 1) {
			copy(dst[(r*len(p.parts)+k)*run:], buf[r*run:(r+1)*run])
		}
	}
	return nil
}

// Close closes all files, whatever happens to one.
func (p *torchParts) Close() error {
	var all []error
	for _, f := range p.parts {
		all = append(all, f.Close())
	}
	return errors.Join(all...)
}
