package tokenizer

import (
	"fmt"
	"io"
	"strings"

	"github.com/llamac/llamac/runtime/gguf"
)

// ggufPrefix starts the keys of the tokenizer among a GGUF file's pairs.
const ggufPrefix = "tokenizer.ggml."

// ggufKey tells whether a key is one of the tokenizer's.
func ggufKey(key string) bool { return strings.HasPrefix(key, ggufPrefix) }

// ParseGGUF reads the tokenizer in a GGUF file. It reads r no further than the
// key/value pairs.
//
// The tensors behind them may be many gigabytes, and are none of a tokenizer's
// business.
func ParseGGUF(name string, r io.Reader) (*BPE, error) {
	kv, err := gguf.ReadPairs(r, ggufKey)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	t, err := FromGGUF(kv)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}
