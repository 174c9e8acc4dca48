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
	"slices"
	"strings"
)

// Names of a Hugging Face folder: the weights in one file, or an index of
// several.
const (
	oneFile   = "model.safetensors"
	indexFile = "model.safetensors.index.json"
)

// openFolder finds the weight files of a folder: Hugging Face's or Meta's. Nothing
// else in it is looked at, so that a tokenizer or a README does no harm.
func openFolder(dir string) (File, error) {
	switch {
	// A folder that has both was converted and not cleaned: Hugging Face's own
	// reader takes the whole file as well.
	case exists(filepath.Join(dir, oneFile)):
		return openOne(dir)
	case exists(filepath.Join(dir, indexFile)):
		return openIndexed(dir)
	case exists(filepath.Join(dir, partName(0))):
		return openParts(dir)
	}
	return nil, bad(dir, -1, "the folder holds no %s, %s or %s; name the weight file itself", oneFile, indexFile, partName(0))
}

// exists tells whether there is something that can be asked for its size.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// openOne opens a folder with a single weight file. It is opened as if it had been
// named itself, and may be of any format.
func openOne(dir string) (File, error) {
	f, err := Open(filepath.Join(dir, oneFile))
	if err != nil {
		return nil, err
	}
	// Recognised by content, and a config.json says nothing of other formats.
	if s, ok := f.(*safetensors); ok {
		if s.config, err = readConfig(filepath.Join(dir, "config.json")); err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}

// readConfig reads the JSON object that lies beside the weights, nil if there is
// none. It is there for people and for messages: the model's shapes come from
// the spec.
func readConfig(path string) (config map[string]any, err error) {
	b, err := readSmall(path)
	// Weights are complete without it.
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &config); err != nil {
		return nil, bad(path, -1, "%v", err)
	}
	return config, nil
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

// sharded is a Hugging Face folder with an index: its files taken together.
type sharded struct {
	path     string
	metadata map[string]any
	config   map[string]any
	files    []*safetensors // in the order of their names
	tensors  []Tensor       // file by file
	at       map[string]*safetensors
}

// openIndexed opens the files that the index names and compares: each tensor is
// in the file that the index says, and in no other.
func openIndexed(dir string) (_ File, err error) {
	path := filepath.Join(dir, indexFile)
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
	if err := json.Unmarshal(b, &index); err != nil {
		return nil, bad(path, -1, "%v", err)
	}
	// Other files of that name exist, and {} is one.
	if len(index.WeightMap) == 0 {
		return nil, bad(path, -1, "there is no weight_map")
	}
	s := &sharded{path: path, metadata: index.Metadata, at: map[string]*safetensors{}}
	// Whatever was opened until an error is closed again.
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.config, err = readConfig(filepath.Join(dir, "config.json")); err != nil {
		return nil, err
	}
	for _, name := range index.WeightMap.files() {
		// The name is a stranger's: "../x" or "/etc/x" must not be opened.
		if name == "" || strings.ContainsAny(name, `/\`) || !filepath.IsLocal(name) || name == "." {
			return nil, bad(path, -1, "weight_map names %q, which is no file of this folder", name)
		}
		if err := s.add(dir, name, index.WeightMap); err != nil {
			return nil, err
		}
	}
	return s, s.complete(index.WeightMap)
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
	shard, ok := f.(*safetensors)
	// Checkpoints are whole, and are verified as such.
	if !ok || shard.Format() != "safetensors" {
		f.Close()
		return bad(path, -1, "this is a file of format %s, and part of a model of %s", f.Format(), indexFile)
	}
	s.files = append(s.files, shard)
	for _, t := range shard.Tensors() {
		// The index is a table of contents. If it is wrong about one tensor, the files
		// are those of another model or another version of it.
		switch file, listed := index[t.Name]; {
		case s.at[t.Name] != nil:
			return bad(shard.path, -1, "tensor %q is in %s as well", t.Name, s.at[t.Name].path)
		case !listed:
			return bad(shard.path, -1, "tensor %q is not in %s", t.Name, indexFile)
		case file != name:
			return bad(shard.path, -1, "tensor %q is here, and %s says in %s", t.Name, indexFile, file)
		}
		s.at[t.Name] = shard
		s.tensors = append(s.tensors, t)
	}
	return nil
}

// complete refuses an index that lists what no file has.
func (s *sharded) complete(index weightMap) error {
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(index)) {
		if s.at[name] == nil {
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

func (s *sharded) Format() string    { return "safetensors" }
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
	f := s.at[name]
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
