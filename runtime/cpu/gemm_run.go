package cpu

// span is a block of a dimension.
type span struct{ from, size int }

func block(i, size, total int) span {
	return span{i * size, min(size, total-i*size)}
}

// do runs chunk i of the list: of each phase first the packing chunks, then
// the multiplying ones.
//
// The pool hands out chunks in order, so that the first chunk that is not done
// waits only for chunks which somebody has claimed already: there is no
// deadlock, with one worker as little as with many.
func (t *gemmTask) do(i, _ int) {
	products := t.chunksI * t.chunksJ
	phase, i := i/(t.packChunks+products), i%(t.packChunks+products)
	// Phases alternate between two sides, each with buffers of its own; turn
	// counts the phases that this side had before.
	side, turn := phase%2, int64(phase/2)
	// k runs fastest: the blocks of c are finished one after the other, and a
	// block of b is packed again for each block of m.
	k := block(phase%t.countK, t.blockK, t.k)
	m := block(phase/t.countK%t.countM, t.blockM, t.m)
	n := block(phase/t.countK/t.countM, t.blockN, t.n)

	if i < t.packChunks {
		// The buffers are free when the phase before last is over.
		t.multiplied[side].wait(turn * int64(products))
		t.pack(i, side, m, n, k)
		t.packed[side].add(1)
		return
	}
	// All of this phase's packing: a tile reads panels that other chunks
	// packed.
	t.packed[side].wait((turn + 1) * int64(t.packChunks))
	// The phase before this one may have written the same tiles.
	t.multiplied[1-side].wait(int64((phase+1)/2) * int64(products))
	i -= t.packChunks
	t.multiply(i%t.chunksI, i/t.chunksI, side, m, n, k)
	t.multiplied[side].add(1)
}

// pack packs the panels of chunk i: those of b come first.
func (t *gemmTask) pack(i, side int, m, n, k span) {
	if i < t.packChunksB {
		from := i * t.packB
		t.packPanels(t.workspaceB[side], &t.b, from, from+t.packB, t.width, n, k)
		return
	}
	from := (i - t.packChunksB) * t.packA
	t.packPanels(t.workspaceA[side], &t.a, from, from+t.packA, t.height, m, k)
}

// packPanels packs panels from..to, of height rows each, of an operand's block.
func (t *gemmTask) packPanels(dst []float32, x *operand, from, to, height int, rows, k span) {
	// Four whole panels in one pass, if they lie side by side in the matrix.
	if i := from * height; to*height <= rows.size && packFour(t.isa, dst[i*k.size:], x, rows.from+i, height, k) {
		return
	}
	for i := from * height; i < min(to*height, rows.size); i += height {
		// A panel of a is as high as it has rows, since tiles come in every
		// height. One of b is a whole number of registers wide, and what is not
		// there is zero.
		count := min(height, rows.size-i)
		width := count
		if x == &t.b {
			width = t.panelWidth(count)
		}
		packPanel(t.isa, dst[i*k.size:], x, rows.from+i, count, width, k)
	}
}

// panelWidth is the width of the packed panel for the given columns.
func (t *gemmTask) panelWidth(cols int) int {
	switch {
	case t.isa == portable:
		return cols
	case cols <= t.width/2:
		return t.width / 2
	}
	return t.width
}

// multiply updates the tiles of chunk (ci, cj). The panel of a stays in L1
// while panels of b stream from L2.
func (t *gemmTask) multiply(ci, cj, side int, m, n, k span) {
	// The first block of k decides about what c held, those behind it add.
	add := t.mode == Accumulate || k.from > 0
	a, b := t.workspaceA[side], t.workspaceB[side]
	// Rows outside, columns inside: the panel of a is used for all columns
	// while it is in L1.
	for p := ci * t.tilesI; p < min((ci+1)*t.tilesI, t.panelsA); p++ {
		i := p * t.height
		// The last block of m may have fewer panels than a full one.
		if i >= m.size {
			return
		}
		rows := min(t.height, m.size-i)
		pa := a[i*k.size : (i+rows)*k.size]
		for q := cj * t.tilesJ; q < min((cj+1)*t.tilesJ, t.panelsB); q++ {
			j := q * t.width
			if j >= n.size {
				break
			}
			cols := min(t.width, n.size-j)
			pb := b[j*k.size : (j+t.panelWidth(cols))*k.size]
			tile(t.isa, t.c[(m.from+i)*t.ldc+n.from+j:], t.ldc, pa, pb, k.size, rows, cols, add)
		}
	}
}
