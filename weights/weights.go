// Package weights reads weight files written by others and the checkpoints of
// llamac, and fills a model's arena from them.
//
// A format is recognised by content, never by a file's name. Readers trust
// nothing: every length is checked against the size of the file before memory
// is taken for it, and every error names the file and the byte offset.
//
//	f, err := weights.Open("stories260K.bin")
//	defer f.Close()
//	for _, t := range f.Tensors() {
//		fmt.Println(t.Name, t.DType, t.Shape) // tok_embeddings.weight F32 [512 64]
//	}
package weights

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/llamac/llamac/runtime/filekind"
	"github.com/llamac/llamac/runtime/gguf"
)

// DType is an element type, spelled as safetensors spells it, or as llama.cpp
// does for the quantised types that only GGUF has.
type DType string

const (
	F32  DType = "F32"
	F16  DType = "F16"
	BF16 DType = "BF16"
)

// Tensor describes one tensor of a file.
// Names are those of the file; Load finds out which weight they stand for.
type Tensor struct {
	Name  string
	DType DType
	Shape []int // row-major, [out, in] for matrices
}

// Len is the number of elements.
func (t Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// File is an open weight file.
type File interface {
	// Format says what the file was recognised as: "llama2.c", "safetensors",
	// "GGUF", "PyTorch" or "llamac checkpoint".
	Format() string
	// Tensors lists what the file holds, in the order of the file.
	Tensors() []Tensor
	// Read converts the named tensor to float32. dst has exactly its length.
	Read(name string, dst []float32) error
	// Config is what the file says of the model, under the file's own keys.
	// A llama2.c file gives int values of dim, ffn_dim, n_layers, n_heads,
	// n_kv_heads, vocab and context and the bool tie; safetensors its string
	// metadata and, when a folder was opened, all of config.json; GGUF its pairs
	// but for the tokenizer, and tie as well; a folder of Meta's its params.json.
	Config() map[string]any
	Close() error
}

// FormatError is a file that is damaged, cut off or of an unknown kind.
type FormatError struct {
	Path   string
	Offset int64 // of the byte where it was noticed; -1 for the file as a whole
	Msg    string
}

func (e *FormatError) Error() string {
	if e.Offset < 0 {
		return fmt.Sprintf("%s: %s", e.Path, e.Msg)
	}
	return fmt.Sprintf("%s: offset %d: %s", e.Path, e.Offset, e.Msg)
}

// bad makes a FormatError.
// Every reader reports by it, so that a FormatError always has its file and
// place.
func bad(path string, offset int64, format string, args ...any) error {
	return &FormatError{path, offset, fmt.Sprintf(format, args...)}
}

// Open opens a weight file, or the folder of a model: Hugging Face's with
// model.safetensors or pytorch_model.bin, or several files of either, with or
// without their index; Meta's with consolidated.00.pth and so on; Mistral's with
// consolidated.safetensors. Of Meta's parts only Load can read, which knows how they
// are to be joined.
func Open(path string) (File, error) { return openNoting(path, func(string) {}) }

// openNoting is Open that says which of several forms in a folder it took.
func openNoting(path string, note func(string)) (File, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	// A path from a hub is a folder with weights, configuration and tokenizer.
	if st.IsDir() {
		return openFolder(path, note)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	w, err := open(path, f, st.Size())
	if err != nil {
		f.Close()
		var damage *FormatError
		if filekind.Partial(path) && errors.As(err, &damage) {
			damage.Msg += "; by its name it is a download that has not ended"
		}
		return nil, err
	}
	return w, nil
}

// source is what a reader needs of an open file.
type source interface {
	io.ReaderAt
	io.Closer
}

// open recognises the content. It owns f only when it succeeds.
func open(path string, f source, size int64) (File, error) {
	var head [filekind.Head]byte
	n, err := f.ReadAt(head[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	what := filekind.Describe(path, head[:n], size)
	// What people have and this package does not read gets a sentence of its own
	// instead of "not recognised".
	switch magic := string(head[:4]); {
	case magic == gguf.Magic:
		return openGGUF(path, f, size)
	case magic == "PK\x03\x04":
		return openTorch(path, f, size)
	case what != "":
		return nil, bad(path, -1, "%s", what)
	// The least that any format begins with.
	case n < 9:
		return nil, bad(path, -1, "%d bytes are no weight file", size)
	case magic == legacyTorch:
		return nil, bad(path, 0, "this is a file of PyTorch before version 1.6; torch.save of a newer one writes an archive, which is read")
	case magic == "24ka": // "ak42", little-endian
		return nil, bad(path, 0, "this is a llama2.c file of version %d; only the first layout, without a magic number, is read",
			binary.LittleEndian.Uint32(head[4:]))
	}
	// A llama2.c header that starts like this would have a vocabulary and
	// layers by the billion.
	if length := binary.LittleEndian.Uint64(head[:]); head[8] == '{' && length < 1<<40 {
		return openSafetensors(path, f, size)
	}
	return openLlama2c(path, f, size)
}
