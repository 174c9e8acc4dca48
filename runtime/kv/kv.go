// Package kv manages the blocks of a key/value cache: which blocks hold which
// positions of which sequence, and who shares them (Kwon et al. 2023). The
// memory itself belongs to the generated decoder.
//
// A block is used by every sequence that begins with its tokens: a prompt
// shared by many is stored once, and is copied, one block of it, only when they
// part. Invariants, which the tests check after every step: refs of a block is
// the number of sequences whose rows name it; free holds exactly the blocks
// with refs 0; entries of a row behind the sequence's last block mean nothing.
package kv

import "fmt"

// Cache maps sequences to blocks. Its methods do not allocate.
type Cache struct {
	block     int // tokens a block holds
	maxBlocks int // blocks a sequence can have
	context   int // tokens a sequence can have

	// Kernels read it as it is, so it never moves.
	table   []int32 // [sequences, maxBlocks]
	lens    []int   // tokens of each sequence
	refs    []int   // sequences that use each block
	free    []int32 // blocks that nobody uses, last out first
	pos     []int32
	want    []int // tokens that a step brings to each sequence
	leaving []int // sequences that a step makes write to each block
	moved   []Copy
}

// Copy is a block that must be copied before the step's tokens are written:
// it was shared with another sequence.
type Copy struct{ From, To int32 }

// New makes an empty cache of blocks for sequences of up to context tokens.
// capacity is the most tokens that one step brings.
func New(sequences, blocks, block, context, capacity int) *Cache {
	c := &Cache{block: block, context: context, maxBlocks: (context + block - 1) / block}
	c.table = make([]int32, sequences*c.maxBlocks)
	c.lens = make([]int, sequences)
	c.want = make([]int, sequences)
	c.refs = make([]int, blocks)
	c.leaving = make([]int, blocks)
	c.pos = make([]int32, capacity)
	c.moved = make([]Copy, 0, sequences)
	for b := blocks - 1; b >= 0; b-- {
		c.free = append(c.free, int32(b))
	}
	return c
}

// Table is the blocks of all sequences, [sequences, MaxBlocks].
func (c *Cache) Table() []int32 { return c.table }

// MaxBlocks is the number of blocks a sequence can have.
func (c *Cache) MaxBlocks() int { return c.maxBlocks }

// Len is the number of tokens of a sequence.
func (c *Cache) Len(seq int) int { return c.lens[seq] }

// Append makes room for one token a entry of seqs and gives each its position.
// The copies must be made before anything is written. Both results are valid
// until the next call. On error no sequence has changed.
func (c *Cache) Append(seqs []int32) (pos []int32, copies []Copy, err error) {
	if len(seqs) > len(c.pos) {
		return nil, nil, fmt.Errorf("%d tokens in one step, capacity %d", len(seqs), len(c.pos))
	}
	clear(c.want)
	clear(c.leaving)
	for i, s := range seqs {
		if s < 0 || int(s) >= len(c.lens) {
			return nil, nil, fmt.Errorf("no sequence %d: there are %d", s, len(c.lens))
		}
		c.pos[i] = int32(c.lens[s] + c.want[s])
		c.want[s]++
	}
	// Blocks that this step takes from free.
	need := 0
	for s, n := range c.want {
		if n == 0 {
			continue
		}
		if c.lens[s]+n > c.context {
			return nil, nil, fmt.Errorf("sequence %d would have %d tokens, the context is %d", s, c.lens[s]+n, c.context)
		}
		need += c.blocks(c.lens[s]+n) - c.blocks(c.lens[s])
		// Of the sequences that share a block, all but the last owner that is
		// left copy it.
		// Everything is counted before anything is changed: a step that does
		// not fit must leave the cache as it was.
		if n := c.lens[s]; n%c.block != 0 {
			b := c.table[s*c.maxBlocks+n/c.block]
			c.leaving[b]++
			if c.leaving[b] < c.refs[b] {
				need++
			}
		}
	}
	if need > len(c.free) {
		return nil, nil, fmt.Errorf("the cache is full: %d blocks needed, %d free of %d", need, len(c.free), len(c.refs))
	}
	c.moved = c.moved[:0]
	for s, n := range c.want {
		if n == 0 {
			continue
		}
		row := c.table[s*c.maxBlocks:]
		// Decided against refs as they are now: each sequence that leaves
		// lowers it, so the last finds the block its own.
		if c.sharedTail(s) {
			last := c.blocks(c.lens[s]) - 1
			from := row[last]
			c.refs[from]--
			row[last] = c.take()
			c.moved = append(c.moved, Copy{from, row[last]})
		}
		for b := c.blocks(c.lens[s]); b < c.blocks(c.lens[s]+n); b++ {
			row[b] = c.take()
		}
		c.lens[s] += n
	}
	return c.pos[:len(seqs)], c.moved, nil
}

// sharedTail reports whether the block that the sequence's next token goes to
// is also another's.
func (c *Cache) sharedTail(s int) bool {
	n := c.lens[s]
	return n%c.block != 0 && c.refs[c.table[s*c.maxBlocks+n/c.block]] > 1
}

// blocks is how many blocks so many tokens fill or begin.
func (c *Cache) blocks(tokens int) int { return (tokens + c.block - 1) / c.block }

// take gives a free block to one sequence; Append has made sure that there is
// one.
func (c *Cache) take() int32 {
	b := c.free[len(c.free)-1]
	c.free = c.free[:len(c.free)-1]
	c.refs[b] = 1
	return b
}

// Reset empties a sequence.
// Blocks that others share stay.
func (c *Cache) Reset(seq int) {
	for _, b := range c.table[seq*c.maxBlocks:][:c.blocks(c.lens[seq])] {
		if c.refs[b]--; c.refs[b] == 0 {
			c.free = append(c.free, b)
		}
	}
	c.lens[seq] = 0
}

// Fork makes dst a copy of src that shares its blocks.
func (c *Cache) Fork(dst, src int) error {
	if dst < 0 || src < 0 || dst >= len(c.lens) || src >= len(c.lens) || dst == src {
		return fmt.Errorf("cannot fork sequence %d to %d: there are %d", src, dst, len(c.lens))
	}
	c.Reset(dst)
	n := c.blocks(c.lens[src])
	copy(c.table[dst*c.maxBlocks:][:n], c.table[src*c.maxBlocks:][:n])
	for _, b := range c.table[src*c.maxBlocks:][:n] {
		c.refs[b]++
	}
	c.lens[dst] = c.lens[src]
	return nil
}
