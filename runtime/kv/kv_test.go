package kv

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// naive is the meaning of a cache: each sequence is a list of tokens, and
// nothing is shared.
type naive struct{ seqs [][]int }

// memory is what a decoder keeps in the blocks: the token that was written at
// each place.
type memory struct {
	block int
	cells []int
}

// write does a decoder's step: the copies first, then a token at each position.
func (m *memory) write(c *Cache, seqs []int32, pos []int32, copies []Copy, tokens []int) {
	for _, k := range copies {
		copy(m.cells[int(k.To)*m.block:][:m.block], m.cells[int(k.From)*m.block:][:m.block])
	}
	for i, s := range seqs {
		m.cells[m.at(c, int(s), int(pos[i]))] = tokens[i]
	}
}

// at is the cell of a position of a sequence, as kernels find it.
func (m *memory) at(c *Cache, seq, pos int) int {
	return int(c.Table()[seq*c.MaxBlocks()+pos/m.block])*m.block + pos%m.block
}

// TestAgainstNaive runs random steps, forks and resets on a cache and on lists:
// after each, every sequence reads back what it was given, whoever shares its
// blocks, and blocks are neither lost nor used twice. A step is refused only
// where the lists need more blocks than there are, and then changes nothing.
func TestAgainstNaive(t *testing.T) {
	var steps, refused, copied int
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 7))
		sequences, blocks, block := 1+r.IntN(5), 1+r.IntN(12), 1+r.IntN(5)
		context := 1 + r.IntN(4*block)
		capacity := 1 + r.IntN(12)
		c := New(sequences, blocks, block, context, capacity)
		mem := &memory{block, make([]int, blocks*block)}
		want := naive{make([][]int, sequences)}
		token := 1
		for range 80 {
			switch r.IntN(6) {
			case 0:
				s := r.IntN(sequences)
				c.Reset(s)
				want.seqs[s] = nil
			case 1:
				dst, src := r.IntN(sequences), r.IntN(sequences)
				if err := c.Fork(dst, src); (err != nil) != (dst == src) {
					t.Fatalf("fork of %d to %d: %v", src, dst, err)
				} else if err == nil {
					want.seqs[dst] = slices.Clone(want.seqs[src])
				}
			default:
				seqs := make([]int32, 1+r.IntN(capacity))
				tokens := make([]int, len(seqs))
				for i := range seqs {
					seqs[i], tokens[i] = int32(r.IntN(sequences)), token
					token++
				}
				after := naive{make([][]int, sequences)}
				for s := range want.seqs {
					after.seqs[s] = slices.Clone(want.seqs[s])
				}
				tooLong := false
				for i, s := range seqs {
					after.seqs[s] = append(after.seqs[s], tokens[i])
					tooLong = tooLong || len(after.seqs[s]) > context
				}
				before := snapshot(c)
				pos, copies, err := c.Append(seqs)
				if err != nil {
					refused++
					if got := snapshot(c); got != before {
						t.Fatalf("seed %d: refused, and yet\n%s\nbecame\n%s", seed, before, got)
					}
					if !tooLong && blocksNeeded(c, seqs) <= len(c.free) {
						t.Fatalf("seed %d: %v, with %d blocks free and %d needed", seed, err, len(c.free), blocksNeeded(c, seqs))
					}
					continue
				}
				if tooLong {
					t.Fatalf("seed %d: a sequence is longer than the context of %d", seed, context)
				}
				steps++
				copied += len(copies)
				mem.write(c, seqs, pos, copies, tokens)
				want = after
			}
			check(t, seed, c, mem, want)
		}
	}
	t.Logf("%d steps, %d refused, %d blocks copied", steps, refused, copied)
	if steps < 2000 || refused < 1000 || copied < 100 {
		t.Errorf("too little happened: %d steps, %d refused, %d blocks copied", steps, refused, copied)
	}
}

// check compares what sequences hold, and counts who uses each block.
func check(t *testing.T, seed uint64, c *Cache, mem *memory, want naive) {
	t.Helper()
	users := make([]int, len(c.refs))
	for s, tokens := range want.seqs {
		if c.Len(s) != len(tokens) {
			t.Fatalf("seed %d: sequence %d has %d tokens, want %d", seed, s, c.Len(s), len(tokens))
		}
		for p, token := range tokens {
			if got := mem.cells[mem.at(c, s, p)]; got != token {
				t.Fatalf("seed %d: sequence %d holds %d at %d, want %d\n%s", seed, s, got, p, token, snapshot(c))
			}
			if p%c.block == 0 {
				users[c.table[s*c.maxBlocks+p/c.block]]++
			}
		}
	}
	for _, b := range c.free {
		if users[b] != 0 {
			t.Fatalf("seed %d: block %d is free and used", seed, b)
		}
		users[b] = -1
	}
	for b, n := range users {
		if n == 0 || n > 0 && n != c.refs[b] {
			t.Fatalf("seed %d: block %d has %d users, counted %d (0: lost)", seed, b, n, c.refs[b])
		}
	}
}

// blocksNeeded counts for a step what Append must find free, from the
// definition: sequence by sequence, a copy of a block that others still have,
// and the blocks that begin.
func blocksNeeded(c *Cache, seqs []int32) (n int) {
	refs := slices.Clone(c.refs)
	for s, length := range c.lens {
		tokens := 0
		for _, q := range seqs {
			if int(q) == s {
				tokens++
			}
		}
		for i := range tokens {
			switch at := length + i; {
			case at%c.block == 0:
				n++
			case i == 0:
				if b := c.table[s*c.maxBlocks+at/c.block]; refs[b] > 1 {
					refs[b]--
					n++
				}
			}
		}
	}
	return n
}

// snapshot spells what a cache holds, the order of free blocks included.
func snapshot(c *Cache) string {
	var b strings.Builder
	for s, n := range c.lens {
		fmt.Fprintf(&b, "sequence %d: %d tokens in %v\n", s, n, c.table[s*c.maxBlocks:][:c.blocks(n)])
	}
	fmt.Fprintf(&b, "users %v, free %v", c.refs, c.free)
	return b.String()
}

// TestErrors spells out what each refusal says, and that the sequences that a
// full cache holds can be read and emptied.
func TestErrors(t *testing.T) {
	c := New(3, 3, 2, 5, 6)
	if _, _, err := c.Append([]int32{0, 0, 0, 1, 1}); err != nil {
		t.Fatal(err)
	}
	for _, e := range []struct {
		seqs []int32
		want string
	}{
		{[]int32{0, 0, 0, 0, 0, 0, 0}, "7 tokens in one step, capacity 6"},
		{[]int32{3}, "no sequence 3: there are 3"},
		{[]int32{-1}, "no sequence -1: there are 3"},
		{[]int32{0, 0, 0}, "sequence 0 would have 6 tokens, the context is 5"},
		{[]int32{2}, "the cache is full: 1 blocks needed, 0 free of 3"},
		{[]int32{0, 1}, "the cache is full: 1 blocks needed, 0 free of 3"},
	} {
		if _, _, err := c.Append(e.seqs); err == nil || err.Error() != e.want {
			t.Errorf("%v: %v, want %s", e.seqs, err, e.want)
		}
	}
	// There is still room in the block that sequence 0 has begun.
	if pos, copies, err := c.Append([]int32{0}); err != nil || !slices.Equal(pos, []int32{3}) || len(copies) != 0 {
		t.Errorf("position %v, copies %v, %v", pos, copies, err)
	}
	c.Reset(1)
	if pos, _, err := c.Append([]int32{2, 2}); err != nil || !slices.Equal(pos, []int32{0, 1}) {
		t.Errorf("positions %v, %v", pos, err)
	}
	for _, f := range [][2]int{{0, 0}, {-1, 0}, {0, 3}} {
		if err := c.Fork(f[0], f[1]); err == nil {
			t.Errorf("fork of %d to %d: no error", f[1], f[0])
		}
	}
}

// TestForkedTail writes to a block that three sequences share: the first two
// copy it, the last that is left keeps it.
func TestForkedTail(t *testing.T) {
	c := New(3, 8, 4, 8, 8)
	if _, _, err := c.Append([]int32{0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	for _, dst := range []int{1, 2} {
		if err := c.Fork(dst, 0); err != nil {
			t.Fatal(err)
		}
	}
	shared := c.Table()[0]
	pos, copies, err := c.Append([]int32{2, 0, 1})
	if err != nil || !slices.Equal(pos, []int32{3, 3, 3}) {
		t.Fatalf("positions %v, %v", pos, err)
	}
	if len(copies) != 2 || copies[0].From != shared || copies[1].From != shared || c.Table()[2*c.MaxBlocks()] != shared {
		t.Errorf("copies %v, tables %v", copies, c.Table())
	}
}

// TestAllocs: a step allocates nothing, copies included.
func TestAllocs(t *testing.T) {
	c := New(2, 64, 2, 64, 4)
	seqs := []int32{0, 1, 0}
	if n := testing.AllocsPerRun(20, func() {
		c.Reset(0)
		c.Reset(1)
		for range 5 {
			if _, _, err := c.Append(seqs); err != nil {
				t.Fatal(err)
			}
			if err := c.Fork(1, 0); err != nil {
				t.Fatal(err)
			}
		}
	}); n != 0 {
		t.Errorf("%g allocations", n)
	}
}
