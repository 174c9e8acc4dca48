package weights

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/llamac/llamac/runtime/model"
)

// shardFile is the name that Hugging Face's writer gives.
func shardFile(i, n int) string { return fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, n) }

// indexedFolder is a folder in memory: shards by name, and the index.
type indexedFolder struct {
	shards map[string][]named
	index  map[string]string
	raw    string // the index file, instead of one made from index
	files  map[string][]byte
}

// indexed deals a model's tensors to n files at random.
func indexed(r *rand.Rand, tensors []named, n int) *indexedFolder {
	f := &indexedFolder{shards: map[string][]named{}, index: map[string]string{}, files: map[string][]byte{}}
	for i, t := range tensors {
		to := shardFile(i%n, n)
		if i >= n {
			to = shardFile(r.IntN(n), n)
		}
		f.shards[to] = append(f.shards[to], t)
		f.index[t.name] = to
	}
	return f
}

// indexJSON is the file that says where each tensor is.
func indexJSON(index map[string]string) []byte {
	b, _ := json.Marshal(map[string]any{"metadata": map[string]any{"total_size": 7}, "weight_map": index}) // strings: never fails
	return b
}

// write writes the folder.
func (f *indexedFolder) write(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	files := maps.Clone(f.files)
	for name, ts := range f.shards {
		files[name] = safetensorsFile(map[string]string{"format": "pt"}, ts)
	}
	b := indexJSON(f.index)
	if f.raw != "" {
		b = []byte(f.raw)
	}
	files[indexFile] = b
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestLoadIndexed loads models from one to five files.
func TestLoadIndexed(t *testing.T) {
	r := rand.New(rand.NewPCG(12, 12))
	for n := 1; n <= 5; n++ {
		info := llama(24, 2, 3, 1, 10, 13, 8, n%2 == 0, "interleaved")
		tensors := modelTensors(r, info, hf, []DType{F32, F16, BF16}[n%3])
		folder := indexed(r, tensors, n)
		folder.files["config.json"] = fmt.Appendf(nil, `{"hidden_size": 24, "tie_word_embeddings": %v}`, n%2 == 0)
		folder.files["model-lost.safetensors"] = []byte("nobody names this")
		dir := folder.write(t)
		checkLoaded(t, info, hf, tensors, loaded(t, info, dir))
		f, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		c := f.Config()
		if f.Format() != "safetensors" || len(f.Tensors()) != len(tensors) || c["hidden_size"] != 24.0 || c["total_size"] != 7.0 {
			t.Errorf("%s, %d tensors, %v", f.Format(), len(f.Tensors()), c)
		}
		if wantError(t, f.Read("x", nil), indexFile, `no tensor "x"`); f.Close() != nil {
			t.Error("closing fails")
		}
		if f.Read(tensors[0].name, make([]float32, len(tensors[0].data))) == nil {
			t.Error("a file is open after Close")
		}
	}
}

// TestIndexRefused: a file that is missing or says other than the index.
func TestIndexRefused(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 13))
	info := llama(16, 1, 2, 1, 6, 11, 8, true, "half")
	tensors := modelTensors(r, info, hf, F32)
	one, two, three := shardFile(0, 3), shardFile(1, 3), shardFile(2, 3)
	for name, c := range map[string]struct {
		change func(f *indexedFolder)
		want   []string
	}{
		"missing shard":   {func(f *indexedFolder) { delete(f.shards, two) }, []string{indexFile, "weight_map names " + two, "no such file"}},
		"in two shards":   {func(f *indexedFolder) { f.shards[three] = append(f.shards[three], f.shards[one][0]) }, []string{three, fmt.Sprintf("tensor %q is in ", tensors[0].name), one}},
		"not where it is": {func(f *indexedFolder) { f.index[tensors[0].name] = two }, []string{one + ": ", fmt.Sprintf("tensor %q is here, and %s says in %s", tensors[0].name, indexFile, two)}},
		"not listed":      {func(f *indexedFolder) { delete(f.index, tensors[1].name) }, []string{two + ": ", fmt.Sprintf("tensor %q is not in %s", tensors[1].name, indexFile)}},
		"listed only":     {func(f *indexedFolder) { f.index["ghost"] = two }, []string{indexFile, `tensor "ghost" is not in ` + two}},
		"above":           {func(f *indexedFolder) { f.index["x"] = "../" + one }, []string{indexFile, `"../` + one + `", which is no file of this folder`}},
		"absolute":        {func(f *indexedFolder) { f.index["x"] = "/etc/passwd" }, []string{`"/etc/passwd", which is no file of this folder`}},
		"parent":          {func(f *indexedFolder) { f.index["x"] = ".." }, []string{`"..", which is no file`}},
		"itself":          {func(f *indexedFolder) { f.index["x"] = "." }, []string{`".", which is no file`}},
		"no name":         {func(f *indexedFolder) { f.index["x"] = "" }, []string{`"", which is no file`}},
		"backslash":       {func(f *indexedFolder) { f.index["x"] = `..\x` }, []string{"which is no file of this folder"}},
		"index itself":    {func(f *indexedFolder) { f.index["x"] = indexFile }, []string{indexFile, "not recognised"}},
		"cut off":         {func(f *indexedFolder) { f.files[two], f.shards[two] = []byte("x"), nil; delete(f.shards, two) }, []string{two, "no weight file"}},
		"other format": {func(f *indexedFolder) {
			delete(f.shards, two)
			f.files[two] = ggufBytes(t, architecture("llama"), tensors[:1])
		}, []string{two, "a file of format GGUF"}},
		"checkpoint": {func(f *indexedFolder) {
			f.files[two] = safetensorsFile(map[string]string{checkpointKey: "1"}, f.shards[two])
			delete(f.shards, two)
		}, []string{two, "a file of format llamac checkpoint"}},
		"no object":    {func(f *indexedFolder) { f.raw = "[]" }, []string{indexFile}},
		"no map":       {func(f *indexedFolder) { f.raw = `{"metadata": {}}` }, []string{indexFile, "there is no weight_map"}},
		"map a list":   {func(f *indexedFolder) { f.raw = `{"weight_map": []}` }, []string{indexFile, "weight_map is no object"}},
		"number":       {func(f *indexedFolder) { f.raw = `{"weight_map": {"a": 1}}` }, []string{indexFile, `tensor "a"`}},
		"listed twice": {func(f *indexedFolder) { f.raw = `{"weight_map": {"a": "b", "a": "b"}}` }, []string{indexFile, `tensor "a" appears twice`}},
		"config":       {func(f *indexedFolder) { f.files["config.json"] = []byte("{") }, []string{"config.json"}},
	} {
		// Dealt the same way for each, at least two tensors to a file.
		f := indexed(rand.New(rand.NewPCG(13, 14)), slices.Clone(tensors), 3)
		for file, ts := range f.shards {
			if len(ts) < 2 {
				t.Fatalf("%s has %d tensors", file, len(ts))
			}
		}
		c.change(f)
		dir, a := f.write(t), arena(info)
		err := Load(info, dir, a)
		if wantError(t, err, append(c.want, dir)...); t.Failed() {
			t.Fatalf("case %q", name)
		}
		var fe *FormatError
		if !errors.As(err, &fe) {
			t.Errorf("%s: %T", name, err)
		}
		untouched(t, name, a)
	}
}

// TestIndexNamesFolder: a folder that is named as a file, such as this one again.
func TestIndexNamesFolder(t *testing.T) {
	f := indexed(rand.New(rand.NewPCG(14, 14)), []named{{"a", F32, []int{1}, []float32{1}}}, 1)
	f.index["b"] = "again"
	dir := f.write(t)
	if err := os.Symlink(dir, filepath.Join(dir, "again")); err != nil {
		t.Skip(err)
	}
	_, err := Open(dir)
	wantError(t, err, indexFile, "weight_map names again, which is no file")
}

// TestOneFileFirst: a whole file stands before an index, and a folder with
// neither says so.
func TestOneFileFirst(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 15))
	info := llama(16, 1, 2, 1, 6, 11, 8, true, "half")
	ts := modelTensors(r, info, hf, F32)
	f := indexed(r, modelTensors(r, info, hf, F32), 2)
	f.files[oneFile] = safetensorsFile(nil, ts)
	checkLoaded(t, info, hf, ts, loaded(t, info, f.write(t)))
	_, err := Open(t.TempDir())
	wantError(t, err, "holds no model.safetensors")
	var none model.Info
	wantError(t, Load(none, filepath.Join(t.TempDir(), "x"), nil), "x")
}
