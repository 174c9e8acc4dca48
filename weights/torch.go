package weights

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// torchFile is what torch.save writes since PyTorch 1.6: a zip archive, not
// compressed, of a pickle and of storages, the bytes of which tensors are views.
//
//	NAME/data.pkl    the pickle: a dict of tensors by name
//	NAME/byteorder   "little" or "big", since 2.0
//	NAME/data/0      the first storage
//
// The archive's checksums are not compared: PyTorch does not either, and can be
// told to write none.
type torchFile struct {
	path    string
	f       source
	tensors []Tensor // in the order of the dict
	at      map[string]int
	offset  []int64        // of each tensor's first byte in the file
	config  map[string]any // params.json beside it
}

// legacyTorch begins a file of PyTorch before 1.6: three pickles, of which the
// first is a magic number.
const legacyTorch = "\x80\x02\x8a\x0a"

// torchEntry is where a member of the archive has its bytes.
type torchEntry struct{ offset, size int64 }

// openTorch reads directory and pickle.
func openTorch(path string, f source, size int64) (File, error) {
	// The directory stands at the end of the file, and 64-bit sizes are common:
	// archive/zip knows both, and takes no more memory than the directory has.
	r, err := zip.NewReader(f, size)
	if err != nil {
		return nil, bad(path, size, "a zip archive, as of PyTorch, that is damaged or cut off: %v", err)
	}
	entries := map[string]*zip.File{}
	pickle := ""
	for _, e := range r.File {
		// Of two, PyTorch and others may take a different one.
		if _, twice := entries[e.Name]; twice {
			return nil, bad(path, -1, "the archive has two entries %q", e.Name)
		}
		entries[e.Name] = e
		// In the one folder that all others are in as well.
		if dir, ok := strings.CutSuffix(e.Name, "/data.pkl"); ok && !strings.Contains(dir, "/") {
			// Which of two models is meant would be a guess.
			if pickle != "" {
				return nil, bad(path, -1, "the archive has two pickles, %q and %q", pickle, e.Name)
			}
			pickle = e.Name
		}
	}
	if pickle == "" {
		return nil, bad(path, -1, "a zip archive without a data.pkl is no file of PyTorch")
	}
	// The folder's name is that of the file when it was written, or "archive".
	dir := strings.TrimSuffix(pickle, "data.pkl")
	find := func(name string) (torchEntry, error) { return plainEntry(entries, dir+name, size) }
	// find is asked for entries that the pickle names.
	w := &torchFile{path: path, f: f, at: map[string]int{}}
	if err := w.checkOrder(find, entries[dir+"byteorder"] != nil); err != nil {
		return nil, err
	}
	e, err := find("data.pkl")
	if err != nil {
		return nil, bad(path, -1, "%v", err)
	}
	if e.size > maxPickle {
		return nil, bad(path, e.offset, "%s has %d bytes, more than %d", pickle, e.size, maxPickle)
	}
	b := make([]byte, e.size)
	if _, err := f.ReadAt(b, e.offset); err != nil {
		return nil, bad(path, e.offset, "reading %s: %v", pickle, err)
	}
	err = w.parse(b, func(key string) (torchEntry, error) { return find("data/" + key) })
	// An entry is not compressed, so that a place in the pickle is one in the file.
	var p *pickleError
	if errors.As(err, &p) {
		return nil, bad(path, e.offset+int64(p.at), "%s: %v", pickle, p.err)
	}
	if err != nil {
		return nil, err
	}
	return w, nil
}

// plainEntry finds an entry's bytes, which must lie in the file as they are.
func plainEntry(entries map[string]*zip.File, name string, size int64) (torchEntry, error) {
	e := entries[name]
	if e == nil {
		return torchEntry{}, fmt.Errorf("the archive has no entry %q", name)
	}
	const encrypted = 1 // bit 0 of the general purpose flags
	if e.Method != zip.Store || e.Flags&encrypted != 0 || e.CompressedSize64 != e.UncompressedSize64 {
		return torchEntry{}, fmt.Errorf("entry %q is compressed or encrypted; PyTorch stores plain bytes", name)
	}
	// Behind the local header, whose names and padding the directory does not have.
	offset, err := e.DataOffset()
	if err != nil {
		return torchEntry{}, fmt.Errorf("entry %q: %w", name, err)
	}
	// The directory's word for its length, which may be anything.
	if offset > size || e.UncompressedSize64 > uint64(size-offset) {
		return torchEntry{}, fmt.Errorf("entry %q of %d bytes goes beyond the end of the file", name, e.UncompressedSize64)
	}
	return torchEntry{offset, int64(e.UncompressedSize64)}, nil
}

// checkOrder refuses files of big-endian machines. Those before 2.0 do not say.
func (w *torchFile) checkOrder(find func(string) (torchEntry, error), there bool) error {
	if !there {
		return nil
	}
	e, err := find("byteorder")
	if err != nil {
		return bad(w.path, -1, "%v", err)
	}
	// Enough to show what it says instead.
	b := make([]byte, min(e.size, 16))
	if _, err := w.f.ReadAt(b, e.offset); err != nil && err != io.EOF {
		return bad(w.path, e.offset, "reading byteorder: %v", err)
	}
	if string(b) != "little" {
		return bad(w.path, e.offset, "the byte order is %q; little is read", b)
	}
	return nil
}

// Names that a dict of tensors refers to, besides storageTypes. Every other is
// refused: of a file from the hub nothing is run.
const (
	orderedDict   pyGlobal = "collections.OrderedDict"
	rebuildTensor pyGlobal = "torch._utils._rebuild_tensor_v2"
	// Of a dict of named_parameters and not of a state dict.
	rebuildParameter pyGlobal = "torch._utils._rebuild_parameter"
)

// storageTypes are the element types by the names of PyTorch's storages, with the
// bytes of an element. Types beyond the first three are listed and left unread, for
// buffers beside the weights.
var storageTypes = map[pyGlobal]struct {
	dtype DType
	size  int64
}{
	"torch.FloatStorage": {F32, 4}, "torch.HalfStorage": {F16, 2}, "torch.BFloat16Storage": {BF16, 2},
	"torch.DoubleStorage": {"F64", 8}, "torch.LongStorage": {"I64", 8}, "torch.IntStorage": {"I32", 4}, "torch.ShortStorage": {"I16", 2},
	"torch.CharStorage": {"I8", 1}, "torch.ByteStorage": {"U8", 1}, "torch.BoolStorage": {"BOOL", 1},
}

// torchStorage is what a persistent ID stands for: bytes in the file.
type torchStorage struct {
	dtype    DType
	size     int64 // bytes of an element
	elements int64
	offset   int64 // of its first byte in the file
}

// torchTensor is a view of a storage. Its name comes from the dict.
type torchTensor struct {
	Tensor
	offset int64 // of its first byte in the file
}

// parse runs the pickle. find returns the bytes of the storage of a key.
func (w *torchFile) parse(pickle []byte, find func(key string) (torchEntry, error)) error {
	v, err := unpickle(pickle, unpickleHooks{
		global: func(g pyGlobal) error {
			if _, ok := storageTypes[g]; ok || g == orderedDict || g == rebuildTensor || g == rebuildParameter {
				return nil
			}
			return fmt.Errorf("the name %.100q is not one that a dict of tensors needs; nothing of it is run", string(g))
		},
		call: callTorch,
		load: func(id pyTuple) (any, error) { return loadStorage(id, find) },
	})
	if err != nil {
		return err
	}
	// A whole module, or a list of states, is not opened up to look for tensors.
	d, ok := v.(*pyDict)
	if !ok {
		return bad(w.path, -1, "the file holds %s and not a dict of tensors", describe(v))
	}
	for i, name := range d.keys {
		// Checkpoints of training programs have a dict in a dict, with an optimizer
		// beside it: which of them is the model would be a guess.
		t, ok := d.values[name].(*torchTensor)
		if !ok {
			return bad(w.path, -1, "%.100q is %s and not a tensor: the file is more than a model's weights", name, describe(d.values[name]))
		}
		w.at[name] = i
		w.tensors = append(w.tensors, Tensor{name, t.DType, t.Shape})
		w.offset = append(w.offset, t.offset)
	}
	return nil
}

// loadStorage, for which the pickle has only an ID, finds the bytes of ("storage", type, key, location, elements).
func loadStorage(id pyTuple, find func(key string) (torchEntry, error)) (any, error) {
	if len(id) != 5 || id[0] != "storage" {
		return nil, fmt.Errorf("a persistent ID that is not a storage's")
	}
	kind, ok1 := id[1].(pyGlobal)
	key, ok2 := id[2].(string)
	elements, ok3 := id[4].(int64)
	of, ok4 := storageTypes[kind]
	// The location, as "cuda:0", is where it was and not where it is.
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return nil, errors.New("a storage without type, key and size")
	}
	e, err := find(key)
	if err != nil {
		return nil, err
	}
	// Exactly: a storage that is larger than its entry, or smaller, is damaged.
	if elements < 0 || elements > e.size/of.size || elements*of.size != e.size {
		return nil, fmt.Errorf("the storage %q has %d elements of type %s, and %d bytes", key, elements, of.dtype, e.size)
	}
	return &torchStorage{of.dtype, of.size, elements, e.offset}, nil
}

// callTorch stands for the three functions that are known. They are described in
// Python's collections and PyTorch's torch/_utils.py.
func callTorch(f pyGlobal, args pyTuple) (any, error) {
	switch f {
	case orderedDict:
		// It is filled by instructions, not by an argument.
		if len(args) == 0 {
			return &pyDict{}, nil
		}
	case rebuildParameter: // (tensor, requires_grad, hooks)
		if len(args) != 3 {
			break
		}
		t, ok := args[0].(*torchTensor)
		if hooks, none := args[2].(*pyDict); ok && none && len(hooks.keys) == 0 {
			return t, nil
		}
		return nil, errors.New("a parameter that is no tensor, or has hooks")
	case rebuildTensor: // storage types can be named and not called
		return rebuild(args)
	}
	return nil, fmt.Errorf("a call of %s with %d arguments", f, len(args))
}

// rebuild makes a tensor of (storage, offset, size, stride, requires_grad, hooks),
// and maybe metadata, which must be none: bits of it stand for a tensor that is
// to be negated.
func rebuild(args pyTuple) (any, error) {
	if len(args) != 6 && (len(args) != 7 || args[6] != nil) {
		return nil, fmt.Errorf("a tensor of %d arguments, not 6", len(args))
	}
	s, ok1 := args[0].(*torchStorage)
	offset, ok2 := args[1].(int64)
	shape, err1 := numbers(args[2])
	stride, err2 := numbers(args[3])
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if !ok1 || !ok2 || len(shape) != len(stride) {
		return nil, errors.New("a tensor without storage, offset, size and stride")
	}
	// requires_grad, args[4], is nothing to a reader. Hooks are functions.
	if hooks, ok := args[5].(*pyDict); !ok || len(hooks.keys) > 0 {
		return nil, errors.New("a tensor with hooks")
	}
	t := &torchTensor{Tensor: Tensor{DType: s.dtype, Shape: []int{}}}
	n, empty := int64(1), slices.Contains(shape, 0)
	for _, d := range shape {
		// Neither a dimension nor a product is beyond the storage, unless there are
		// no elements at all.
		if d < 0 || d > math.MaxInt32 && empty || !empty && n > s.elements/d {
			return nil, fmt.Errorf("a tensor of shape %v in a storage of %d elements", shape, s.elements)
		}
		n *= d
		t.Shape = append(t.Shape, int(d))
	}
	if empty {
		n = 0
	}
	// All of it lies within the storage, as the storage does within the file.
	if offset < 0 || offset > s.elements-n {
		return nil, fmt.Errorf("a tensor of shape %v, %d elements into a storage of %d", shape, offset, s.elements)
	}
	// Row-major: a step along a dimension passes over all that follow. That of a
	// single step may be anything.
	next := int64(1)
	for i, d := range slices.Backward(shape) {
		if d != 1 && !empty && stride[i] != next {
			return nil, fmt.Errorf("a tensor of shape %v with strides %v, which is not contiguous", shape, stride)
		}
		next *= d
	}
	// Strides count elements, and so does the offset.
	t.offset = s.offset + offset*s.size
	return t, nil
}

// maxTorchDims bounds shapes, for messages: no weight has more than a handful, and
// PyTorch itself has that limit.
const maxTorchDims = 64

// numbers reads a tuple of integers: a size or strides. Booleans, which count as
// integers in Python, do not here.
func numbers(v any) ([]int64, error) {
	t, ok := v.(pyTuple)
	if !ok || len(t) > maxTorchDims {
		return nil, fmt.Errorf("%s where a shape is expected", describe(v))
	}
	out := make([]int64, len(t))
	for i := range t {
		if out[i], ok = t[i].(int64); !ok {
			return nil, fmt.Errorf("%s in a shape", describe(t[i]))
		}
	}
	return out, nil
}

func (w *torchFile) Format() string    { return "PyTorch" }
func (w *torchFile) Tensors() []Tensor { return w.tensors }
func (w *torchFile) Close() error      { return w.f.Close() }

// Config is the params.json of a folder. The file itself says nothing.
func (w *torchFile) Config() map[string]any {
	m := map[string]any{}
	for k, v := range w.config {
		m[k] = v
	}
	return m
}

// Read may be called by several goroutines.
func (w *torchFile) Read(name string, dst []float32) error {
	i, ok := w.at[name]
	if !ok {
		return bad(w.path, -1, "no tensor %q", name)
	}
	return readInto(w.path, w.f, w.offset[i], w.tensors[i], dst)
}
