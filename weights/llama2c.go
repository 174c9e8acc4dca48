package weights

import (
	"encoding/binary"
	"fmt"
	"io"
)

// llama2c is llama2.c's first .bin layout (export.py there calls it legacy):
// seven little-endian int32 and then float32 tensors in a fixed order, each
// kind of a layer's weights for all layers together. It has no magic number;
// the size that the header implies must be the file's size exactly.
type llama2c struct {
	path    string
	f       source
	dims    llama2cDims
	tensors []Tensor
	at      map[string]int // index in tensors
	offset  []int64        // byte offset of each tensor
}

// llama2cDims is the header. A negative vocabulary marks an output projection
// of its own.
type llama2cDims struct {
	dim, ffn, layers, heads, kvHeads, vocab, context int
	tied                                             bool
}

// llama2cHeader is the header's size in bytes.
const llama2cHeader = 7 * 4

// String spells the header for messages: whoever opened the wrong file sees it
// by the numbers.
func (d llama2cDims) String() string {
	return fmt.Sprintf("dim %d, hidden %d, layers %d, heads %d, kv heads %d, vocabulary %d, context %d",
		d.dim, d.ffn, d.layers, d.heads, d.kvHeads, d.vocab, d.context)
}

// openLlama2c reads the header and checks it against the size of the file.
func openLlama2c(path string, f source, size int64) (File, error) {
	var b [llama2cHeader]byte
	// A file of exactly the header's size may come with io.EOF.
	if _, err := f.ReadAt(b[:], 0); err != nil && err != io.EOF || size < llama2cHeader {
		return nil, bad(path, -1, "%d bytes are no weight file", size)
	}
	var h [7]int
	for i := range h {
		// Signed: the sign of the vocabulary means something.
		h[i] = int(int32(binary.LittleEndian.Uint32(b[4*i:])))
	}
	d := llama2cDims{h[0], h[1], h[2], h[3], h[4], h[5], h[6], true}
	if d.vocab < 0 {
		d.vocab, d.tied = -d.vocab, false
	}
	if !d.plausible() {
		return nil, bad(path, 0, "not recognised: neither safetensors nor a llama2.c header")
	}
	w := &llama2c{path: path, f: f, dims: d, at: map[string]int{}}
	// With no magic number, an exact match of the size is what makes this
	// format recognisable at all.
	need := w.layout()
	switch {
	case need < 0 || need > size:
		return nil, bad(path, size, "a llama2.c file (%s) cut off or not one at all: it needs %s bytes and has %d", d, bytesNeeded(need), size)
	case need < size:
		return nil, bad(path, need, "%d bytes after the end of a llama2.c file (%s)", size-need, d)
	}
	return w, nil
}

// bytesNeeded prints the size that layout found.
func bytesNeeded(n int64) string {
	if n < 0 {
		return "more than 2^62"
	}
	return fmt.Sprint(n)
}

// maxLayers bounds the list of tensors that a header of garbage can ask for.
const maxLayers = 4096

// plausible tells a header from other bytes, as far as its numbers go.
func (d llama2cDims) plausible() bool {
	for _, n := range []int{d.dim, d.ffn, d.layers, d.heads, d.kvHeads, d.vocab, d.context} {
		if n <= 0 {
			return false
		}
	}
	// RoPE turns pairs, so a head has an even width.
	return d.layers <= maxLayers && d.dim%d.heads == 0 && d.heads%d.kvHeads == 0 && d.dim/d.heads%2 == 0
}

// layout lists the tensors and returns the size of the file, -1 when it is
// beyond any file.
func (w *llama2c) layout() int64 {
	d := w.dims
	// Byte behind the last tensor so far.
	end := int64(llama2cHeader)
	// skip reserves float32s of a shape; false if that is beyond any file.
	skip := func(dims ...int) bool {
		n := int64(4)
		for _, x := range dims {
			// Seven numbers of up to 2^31 multiply to more than 64 bits.
			if n > 1<<62/int64(x) {
				return false
			}
			n *= int64(x)
		}
		end += n
		return end < 1<<62
	}
	// add lists a tensor under the name that Meta's checkpoints have, which are
	// the model's own.
	add := func(name string, shape ...int) bool {
		w.at[name] = len(w.tensors)
		w.tensors = append(w.tensors, Tensor{name, F32, shape})
		w.offset = append(w.offset, end)
		return skip(shape...)
	}
	// each lists a kind of weight for every layer: they lie kind by kind, not
	// layer by layer.
	each := func(name string, shape ...int) bool {
		for l := range d.layers {
			if !add(fmt.Sprintf("layers.%d.%s.weight", l, name), shape...) {
				return false
			}
		}
		return true
	}
	// Width of a head; keys and values have kvHeads of them.
	head := d.dim / d.heads
	kv := d.kvHeads * head
	ok := add("tok_embeddings.weight", d.vocab, d.dim) &&
		each("attention_norm", d.dim) &&
		each("attention.wq", d.dim, d.dim) &&
		each("attention.wk", kv, d.dim) &&
		each("attention.wv", kv, d.dim) &&
		each("attention.wo", d.dim, d.dim) &&
		each("ffn_norm", d.dim) &&
		each("feed_forward.w1", d.ffn, d.dim) &&
		each("feed_forward.w2", d.dim, d.ffn) &&
		each("feed_forward.w3", d.ffn, d.dim) &&
		add("norm.weight", d.dim) &&
		skip(2, d.context, head/2) && // tables of cosines and sines, computed afresh by every reader
		(d.tied || add("output.weight", d.vocab, d.dim))
	if !ok {
		return -1
	}
	return end
}

func (w *llama2c) Format() string    { return "llama2.c" }
func (w *llama2c) Tensors() []Tensor { return w.tensors }
func (w *llama2c) Close() error      { return w.f.Close() }

// Config is the header under the names that specs use.
func (w *llama2c) Config() map[string]any {
	d := w.dims
	return map[string]any{"dim": d.dim, "ffn_dim": d.ffn, "n_layers": d.layers, "n_heads": d.heads,
		"n_kv_heads": d.kvHeads, "vocab": d.vocab, "context": d.context, "tie": d.tied}
}

// Read copies: the format's only type is float32.
func (w *llama2c) Read(name string, dst []float32) error {
	i, ok := w.at[name]
	if !ok {
		return bad(w.path, -1, "no tensor %q", name)
	}
	return readInto(w.path, w.f, w.offset[i], w.tensors[i], dst)
}
