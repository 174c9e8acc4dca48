package plan

import (
	"cmp"
	"slices"
)

// Block is what each layer of a range stores for its backward: the saved
// buffers of those layers, side by side.
// All its buffers have Bytes as their stride. Their offsets count from layer 0 even
// where the block begins later, so an address is what At says, not Offset.
type Block struct {
	From, To int
	Base     int64     // where layer From's lies, in bytes into the arena
	Bytes    int64     // from one layer to the next
	Buffers  []*Buffer // by offset; the layer's input comes first
}

// Blocks lists the blocks of the program from the first layer to the last. A
// program whose layers all store the same has one, one that stores nothing
// none.
// It is a view of the buffers, found each time: buffers are the only place where
// the plan says what is stored where. layers is asked for since a buffer that
// every layer has says so with 0, 0.
func (q *Program) Blocks(layers int) []Block {
	var out []Block
	for _, b := range q.Buffers {
		if b.Region != Saved {
			continue
		}
		from, to := b.From, b.To
		// A buffer without a range belongs to all layers.
		if to == 0 {
			to = layers
		}
		i := slices.IndexFunc(out, func(k Block) bool { return k.From == from && k.To == to })
		if i < 0 {
			i = len(out)
			out = append(out, Block{From: from, To: to, Base: b.At(from), Bytes: b.Stride})
		}
		// The first buffer listed need not be the lowest.
		out[i].Base = min(out[i].Base, b.At(from))
		out[i].Buffers = append(out[i].Buffers, b)
	}
	for _, k := range out {
		slices.SortStableFunc(k.Buffers, func(a, b *Buffer) int { return cmp.Compare(a.Offset, b.Offset) })
	}
	slices.SortFunc(out, func(a, b Block) int { return cmp.Compare(a.From, b.From) })
	return out
}

// Stored is what a layer stores for its backward in bytes, alignment aside;
// where layers differ, the layer that stores most.
// With one layer for the stack, a block without a range is still one block.
func (q *Program) Stored() int64 {
	var most int64
	for _, k := range q.Blocks(1) {
		var n int64
		for _, b := range k.Buffers {
			n += b.Bytes
		}
		most = max(most, n)
	}
	return most
}
