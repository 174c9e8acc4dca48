package weights

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/llamac/llamac/runtime/filekind"
)

// Names of a Hugging Face folder: the weights in one file, or an index of
// several; in PyTorch's format until 2023, in safetensors since.
const (
	oneFile    = "model.safetensors"
	indexFile  = "model.safetensors.index.json"
	torchOne   = "pytorch_model.bin"
	torchIndex = "pytorch_model.bin.index.json"
	// Mistral's own form: Meta's names in a safetensors file.
	mistralFile = "consolidated.safetensors"
	configFile  = "config.json"
)

// shardOf is the name of one of several files of a model, by which the index lists
// them.
var shardOf = regexp.MustCompile(`(?:^|[/\\])(model|pytorch_model)-(\d{5})-of-(\d{5})\.(safetensors|bin)$`)

// forms are the ways in which a folder has a model, in the order in which they are
// taken: that of Hugging Face's own reader, then the makers' files. The name is of a
// file that only this form has.
func forms() []form {
	return []form{
		{oneFile, func(dir string) (File, error) { return openOne(dir, oneFile, configFile) }},
		{indexFile, func(dir string) (File, error) { return openIndexed(dir, indexFile, "safetensors") }},
		{shardPattern("model", "safetensors"), func(dir string) (File, error) { return openShards(dir, "model", "safetensors", "safetensors") }},
		{torchOne, func(dir string) (File, error) { return openOne(dir, torchOne, configFile) }},
		{torchIndex, func(dir string) (File, error) { return openIndexed(dir, torchIndex, "PyTorch") }},
		{shardPattern("pytorch_model", "bin"), func(dir string) (File, error) { return openShards(dir, "pytorch_model", "bin", "PyTorch") }},
		{partName(0), openParts},
		{mistralFile, func(dir string) (File, error) { return openOne(dir, mistralFile, paramsFile) }},
	}
}

// form is one of them.
type form struct {
	name string
	open func(dir string) (File, error)
}

// shardPattern is a pattern of the names of shards.
func shardPattern(model, ext string) string { return model + "-*-of-*." + ext }

// openFolder finds the weight files of a folder: Hugging Face's or Meta's. Nothing
// else in it is looked at, so that a tokenizer or a README does no harm.
func openFolder(dir string, note func(string)) (File, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	has := func(pattern string) bool {
		return slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
			ok, _ := filepath.Match(pattern, e.Name())
			return ok
		})
	}
	all := forms()
	for i, form := range all {
		if !has(form.name) {
			continue
		}
		f, err := form.open(dir)
		if err != nil {
			return nil, err
		}
		// A folder that has two was converted and not cleaned, or offers both. An
		// index belongs to its files.
		for k, other := range all[i+1:] {
			if has(other.name) && !(form.name == indexFile && k == 0 || form.name == torchIndex && k == 0) {
				note(fmt.Sprintf(Doubt+"%s: %s is read, and not %s", dir, form.name, other.name))
			}
		}
		return f, nil
	}
	return nil, bad(dir, -1, "the folder holds no %s, %s or %s, nor their index%s", oneFile, torchOne, partName(0), candidates(entries))
}

// candidates names what in a folder without a model may be one.
func candidates(entries []fs.DirEntry) string {
	var whole, partial []string
	for _, e := range entries {
		switch name := e.Name(); {
		case name == "adapter_model.safetensors" || name == "adapter_model.bin":
			return "; " + name + " is an adapter, which changes a model and is none: merge it into its base model first"
		case filekind.Partial(name):
			partial = append(partial, name)
		case slices.Contains([]string{".safetensors", ".gguf", ".bin", ".pth", ".pt", ".ckpt"}, filepath.Ext(name)):
			whole = append(whole, name)
		}
	}
	switch {
	case len(whole) > 0:
		return "; name the weight file itself: " + strings.Join(whole[:min(len(whole), 5)], ", ")
	case len(partial) > 0:
		return "; " + strings.Join(partial[:min(len(partial), 5)], ", ") + " looks like a download that has not ended"
	}
	return "; name the weight file itself"
}

// openOne opens a folder with a single weight file. It is opened as if it had been
// named itself, and may be of any format.
func openOne(dir, name, config string) (File, error) {
	path := filepath.Join(dir, name)
	// A folder of that name might be this one again.
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
		return nil, bad(path, -1, "this is no file")
	}
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	// Recognised by content, and a config.json says nothing of other formats.
	switch w := f.(type) {
	case *safetensors:
		w.config, err = readConfig(filepath.Join(dir, config))
	case *torchFile:
		w.config, err = readConfig(filepath.Join(dir, config))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// readConfig reads the JSON object that lies beside the weights, nil if there is
// none. What it says of the model
// is compared with the spec.
func readConfig(path string) (config map[string]any, err error) {
	b, err := readSmall(path)
	// Weights are complete without it.
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := unmarshal(path, b, &config); err != nil {
		return nil, err
	}
	return config, nil
}

// unmarshal reads a file of JSON, and says what it is if it is none, or only a
// server's answer.
func unmarshal(path string, b []byte, v any) error {
	if what := filekind.Describe(path, b, int64(len(b))); what != "" {
		return bad(path, -1, "%s", what)
	}
	if err := json.Unmarshal(b, v); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return bad(path, syntax.Offset, "%v", err)
		}
		return bad(path, -1, "%v", err)
	}
	return nil
}

// readSmall reads a file of text that no model makes larger than maxHeader.
func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// One byte more than the limit tells a longer file from one that fits.
	b, err := io.ReadAll(io.LimitReader(f, maxHeader+1))
	if err == nil && len(b) > maxHeader {
		return nil, bad(path, maxHeader, "the file is longer than %d bytes", maxHeader)
	}
	return b, err
}

// sharded is a Hugging Face folder with several files, taken together.
type sharded struct {
	path     string // of the index, or of the folder if there is none
	format   string // of each file
	metadata map[string]any
	config   map[string]any
	files    []shard  // in the order of their names
	tensors  []Tensor // file by file
	at       map[string]shard
}

// shard is one of the files.
type shard struct {
	File
	path string
}

// openIndexed opens the files that the index names and compares: each tensor is
// in the file that the index says, and in no other.
func openIndexed(dir, name, format string) (_ File, err error) {
	path := filepath.Join(dir, name)
	b, err := readSmall(path)
	if err != nil {
		return nil, err
	}
	// total_size among the metadata is not compared: each file is checked against its
	// own size.
	var index struct {
		Metadata  map[string]any `json:"metadata"`
		WeightMap weightMap      `json:"weight_map"`
	}
	if err := unmarshal(path, b, &index); err != nil {
		return nil, err
	}
	// Other files of that name exist, and {} is one.
	if len(index.WeightMap) == 0 {
		return nil, bad(path, -1, "there is no weight_map")
	}
	s := &sharded{path: path, format: format, metadata: index.Metadata}
	if err := s.open(dir, index.WeightMap.files(), index.WeightMap); err != nil {
		return nil, err
	}
	return s, nil
}

// openShards opens the files of a folder without an index: by their names, which
// say how many there are.
func openShards(dir, model, ext, format string) (File, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	of, names := "", []string(nil)
	for _, e := range entries {
		m := shardOf.FindStringSubmatch(e.Name())
		if m == nil || m[1] != model || m[4] != ext {
			continue
		}
		if of != "" && of != m[3] {
			return nil, bad(dir, -1, "the folder has files of a model of %s and of one of %s, and no index; name those of one", of, m[3])
		}
		of, names = m[3], append(names, e.Name())
	}
	n, _ := strconv.Atoi(of) // digits
	if len(names) == 0 {
		return nil, bad(dir, -1, "the files %s are not numbered as those of a model are", shardPattern(model, ext))
	}
	for i := range min(n, len(names)+1) {
		if want := fmt.Sprintf("%s-%05d-of-%s.%s", model, i+1, of, ext); !slices.Contains(names, want) {
			return nil, bad(dir, -1, "there is no %s, of %d files %s, nor an index of them", want, n, shardPattern(model, ext))
		}
	}
	if n != len(names) {
		return nil, bad(dir, -1, "there are %d files %s, and by their names %d", len(names), shardPattern(model, ext), n)
	}
	s := &sharded{path: dir, format: format}
	if err := s.open(dir, names, nil); err != nil {
		return nil, err
	}
	return s, nil
}

// open opens the files by their names, and compares them with the index if there is
// one.
func (s *sharded) open(dir string, names []string, index weightMap) (err error) {
	s.at = map[string]shard{}
	// Whatever was opened until an error is closed again.
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.config, err = readConfig(filepath.Join(dir, configFile)); err != nil {
		return err
	}
	for _, name := range names {
		// The name is a stranger's: "../x" or "/etc/x" must not be opened.
		if name == "" || strings.ContainsAny(name, `/\`) || !filepath.IsLocal(name) || name == "." {
			return bad(s.path, -1, "weight_map names %q, which is no file of this folder", name)
		}
		if err := s.add(dir, name, index); err != nil {
			return err
		}
	}
	return s.complete(index)
}

// add opens one file and takes over its tensors.
func (s *sharded) add(dir, name string, index weightMap) error {
	path := filepath.Join(dir, name)
	st, err := os.Stat(path)
	if err != nil {
		return bad(s.path, -1, "weight_map names %s: %v", name, err)
	}
	// A folder might be this one again.
	if !st.Mode().IsRegular() {
		return bad(s.path, -1, "weight_map names %s, which is no file", name)
	}
	f, err := Open(path)
	if err != nil {
		return err
	}
	// Checkpoints are whole, and are verified as such.
	if f.Format() != s.format {
		f.Close()
		return bad(path, -1, "this is a file of format %s, and part of a model of %s", f.Format(), filepath.Base(s.path))
	}
	one := shard{f, path}
	s.files = append(s.files, one)
	for _, t := range f.Tensors() {
		// The index is a table of contents. If it is wrong about one tensor, the files
		// are those of another model or another version of it.
		switch file, listed := index[t.Name]; {
		case s.at[t.Name].File != nil:
			return bad(path, -1, "tensor %q is in %s as well", t.Name, s.at[t.Name].path)
		case !listed && index != nil:
			return bad(path, -1, "tensor %q is not in %s", t.Name, filepath.Base(s.path))
		case file != name && index != nil:
			return bad(path, -1, "tensor %q is here, and %s says in %s", t.Name, filepath.Base(s.path), file)
		}
		s.at[t.Name] = one
		s.tensors = append(s.tensors, t)
	}
	return nil
}

// aliases are those of all files: the other tensor may be in another one.
func (s *sharded) aliases() map[string]string {
	out := map[string]string{}
	for _, f := range s.files {
		if f, ok := f.File.(*safetensors); ok {
			maps.Copy(out, aliasesIn(f.metadata, func(name string) bool { return s.at[name].File != nil }))
		}
	}
	return out
}

// complete refuses an index that lists what no file has.
func (s *sharded) complete(index weightMap) error {
	var missing []string
	aliases := s.aliases()
	for _, name := range slices.Sorted(maps.Keys(index)) {
		if s.at[name].File == nil && aliases[name] == "" {
			missing = append(missing, fmt.Sprintf("tensor %q is not in %s", name, index[name]))
		}
	}
	if len(missing) > 0 {
		return bad(s.path, -1, "%s", several(missing))
	}
	return nil
}

// weightMap has the file's name for each tensor: one file, and not a path.
type weightMap map[string]string

// UnmarshalJSON wants each tensor once: of two, other readers may take the other.
func (m *weightMap) UnmarshalJSON(b []byte) error {
	// Token by token, since a map would not tell.
	dec := json.NewDecoder(bytes.NewReader(b))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return errors.New("weight_map is no object")
	}
	*m = weightMap{}
	for dec.More() {
		// The syntax was checked before this method was called.
		key, err := dec.Token()
		if err != nil {
			return err
		}
		name, _ := key.(string)
		var file string
		if err := dec.Decode(&file); err != nil {
			return fmt.Errorf("weight_map: tensor %q: %w", name, err)
		}
		if _, twice := (*m)[name]; twice {
			return fmt.Errorf("weight_map: tensor %q appears twice", name)
		}
		(*m)[name] = file
	}
	return nil
}

// files lists each file once, by name, which is the order of their numbers.
func (m weightMap) files() []string {
	return slices.Compact(slices.Sorted(maps.Values(m)))
}

func (s *sharded) Format() string    { return s.format }
func (s *sharded) Tensors() []Tensor { return s.tensors }

// Config has the index's metadata and config.json, which is preferred where both
// have a key.
func (s *sharded) Config() map[string]any {
	m := maps.Clone(s.metadata)
	if m == nil {
		m = map[string]any{}
	}
	maps.Copy(m, s.config)
	return m
}

// Read reads from the file that has the tensor.
func (s *sharded) Read(name string, dst []float32) error {
	// That file checks length and type, and its errors name it.
	f := s.at[name].File
	if f == nil {
		return bad(s.path, -1, "no tensor %q", name)
	}
	return f.Read(name, dst)
}

// Close closes all files, whatever happens to one.
func (s *sharded) Close() error {
	var all []error
	for _, f := range s.files {
		all = append(all, f.Close())
	}
	return errors.Join(all...)
}
