package cpu

// span is a block of a dimension.
type span struct{ from, size int }

func block(i, size, total int) span {
	return span{i * size, min(size, total-i*size)}
}

// do runs chunk i of the list: of each phase first the packing chunks, then
// the multiplying ones.
func (t *gemmTask) do(i, _ int) {
	products := t.chunksI * t.chunksJ
	phase, i := i/(t.packChunks+products), i%(t.packChunks+products)
	side, turn := phase%2, int64(phase/2)
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
	t.packed[side].wait((turn + 1) * int64(t.packChunks))
	// The phase before this one may have written the same tiles.
	t.multiplied[1-side].wait(int64((phase+1)/2) * int64(products))
	i -= t.packChunks
	t.multiply(i%t.chunksI, i/t.chunksI, side, m, n, k)
	t.multiplied[side].add(1)
}

// pack packs the panels of chunk i: those of b come first.
func (t *gemmTask) pack(i, side int, m, n, k span) {
	for p := i * t.packPer; p < min((i+1)*t.packPer, t.panelsA+t.panelsB); p++ {
		if p < t.panelsB {
			if j := p * t.width; j < n.size {
				cols := min(t.width, n.size-j)
				packPanel(t.isa, t.workspaceB[side][j*k.size:], &t.b, n.from+j, cols, t.panelWidth(cols), k)
			}
		} else if i := (p - t.panelsB) * t.height; i < m.size {
			rows := min(t.height, m.size-i)
			packPanel(t.isa, t.workspaceA[side][i*k.size:], &t.a, m.from+i, rows, rows, k)
		}
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
	add := t.mode == Accumulate || k.from > 0
	a, b := t.workspaceA[side], t.workspaceB[side]
	for p := ci * t.tilesI; p < min((ci+1)*t.tilesI, t.panelsA); p++ {
		i := p * t.height
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
