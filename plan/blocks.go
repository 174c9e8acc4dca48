package plan

import (
	"cmp"
	"slices"
)

// Block is what each layer of a range stores for its backward: the saved
// buffers of those layers, side by side.
type Block struct {
	From, To int
	Base     int64     // where layer From's lies, in bytes into the arena
	Bytes    int64     // from one layer to the next
	Buffers  []*Buffer // by offset; the layer's input comes first
}

// Blocks lists the blocks of the program from the first layer to the last. A
// program whose layers all store the same has one, one that stores nothing
// none.
func (q *Program) Blocks(layers int) []Block {
	var out []Block
	for _, b := range q.Buffers {
		if b.Region != Saved {
			continue
		}
		from, to := b.From, b.To
		if to == 0 {
			to = layers
		}
		i := slices.IndexFunc(out, func(k Block) bool { return k.From == from && k.To == to })
		if i < 0 {
			i = len(out)
			out = append(out, Block{From: from, To: to, Base: b.At(from), Bytes: b.Stride})
		}
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
