package tokenizer

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/llamac/llamac/runtime/gguf"
)

// Content returns what Parse makes the same tokenizer of as Open of a file: the
// file's bytes or, of a GGUF file, which may hold a model of many gigabytes, a
// GGUF file of the tokenizer's pairs alone. Runs and checkpoints keep it.
func Content(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var magic [len(gguf.Magic)]byte
	n, err := io.ReadFull(f, magic[:])
	if err == nil && string(magic[:]) == gguf.Magic {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		return ggufContent(path, f)
	}
	// A shorter file is none of the formats, which Parse says better.
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: larger than %d bytes: not a tokenizer", path, maxFile)
	}
	return append(magic[:n:n], data...), nil
}

// ggufContent writes the tokenizer's pairs anew, in an order that does not depend
// on the file's.
func ggufContent(name string, r io.Reader) ([]byte, error) {
	pairs, err := gguf.ReadPairs(r, ggufKey)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var kv []gguf.KeyValue
	for _, key := range slices.Sorted(maps.Keys(pairs)) {
		kv = append(kv, gguf.KeyValue{Key: key, Value: pairs[key]})
	}
	b, err := gguf.Append(nil, kv, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}

// Extension is the usual ending of a tokenizer file with that content, for people:
// no reader goes by it.
func Extension(content []byte) string {
	switch {
	case bytes.HasPrefix(content, []byte(gguf.Magic)):
		return ".gguf"
	case looksLikeBin(content):
		return ".bin"
	case len(content) > 0 && content[0] == 1<<3|2:
		return ".model"
	}
	return ".json"
}
