package weights

import (
	"errors"
	"io"
	"maps"
	"strings"

	"github.com/llamac/llamac/runtime/gguf"
)

// ggufFile is a file of llama.cpp. Its names are those of that program, as
// blk.0.attn_q.weight, whatever the model was called where it came from.
type ggufFile struct {
	path    string
	f       source
	file    *gguf.File
	tensors []Tensor
	at      map[string]int // index in tensors
}

// ropeLayouts says in which order llama.cpp's converter leaves the rows of q and k
// for an architecture: the pairs that RoPE rotates lie side by side where it
// undoes Hugging Face's permutation, and apart where there was none to undo.
var ropeLayouts = map[string]string{
	"llama": "interleaved", "mistral3": "interleaved", "smollm3": "interleaved",
	"qwen2": "half", "qwen3": "half", "phi3": "half", "stablelm": "half",
}

// openGGUF reads pairs and table. The tokenizer is that of another package.
func openGGUF(path string, f source, size int64) (File, error) {
	file, err := gguf.Read(io.NewSectionReader(f, 0, size), size, func(key string) bool { return !strings.HasPrefix(key, "tokenizer.") })
	// A tensor that is not read is no damage: it may be one that nobody wants.
	var damage *gguf.Error
	if errors.As(err, &damage) {
		return nil, bad(path, damage.Offset, "%v", damage.Err)
	}
	if err != nil {
		return nil, err
	}
	if n, ok := file.Pairs["split.count"]; ok && number(n) > 1 {
		return nil, bad(path, -1, "this is part of a model of %v files, which are not joined; llama-gguf-split --merge does so", n)
	}
	g := &ggufFile{path: path, f: f, file: file, at: map[string]int{}}
	// Types go by ggml's names; three of them are those of DType already.
	for i, t := range file.Tensors {
		g.at[t.Name] = i
		g.tensors = append(g.tensors, Tensor{t.Name, DType(t.Type.String()), t.Shape})
	}
	return g, nil
}

// number is a whole number of a pair, whatever its width, or -1. Writers do not
// agree on widths.
func number(v any) int64 {
	switch n := v.(type) {
	case uint32:
		return int64(n)
	case int32:
		return int64(n)
	case uint64:
		return int64(n)
	case int64:
		return n
	}
	return -1
}

func (g *ggufFile) Format() string    { return "GGUF" }
func (g *ggufFile) Tensors() []Tensor { return g.tensors }
func (g *ggufFile) Close() error      { return g.f.Close() }

// Config has the pairs. A file without an output projection ties it: there is no
// key for that.
func (g *ggufFile) Config() map[string]any {
	m := map[string]any(maps.Clone(g.file.Pairs))
	_, own := g.at["output.weight"]
	m["tie"] = !own
	return m
}

// architecture names the kind of model, as "llama", or "" where the file does not
// say. The prefix of most other keys is the same.
func (g *ggufFile) architecture() string {
	s, _ := g.file.Pairs["general.architecture"].(string)
	return s
}

// Read may be called by several goroutines. Quantised numbers become the float32
// that ggml's reference makes of them.
func (g *ggufFile) Read(name string, dst []float32) error {
	i, ok := g.at[name]
	if !ok {
		return bad(g.path, -1, "no tensor %q", name)
	}
	return readInto(g.path, g.f, g.file.Tensors[i].Offset, g.tensors[i], dst)
}
