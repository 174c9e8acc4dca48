package cpu

// A matrix product is computed as by Goto & van de Geijn (2008): blocks of a
// and b are packed into panels, and tiles of c are updated from one panel of
// each in registers.
//
// Three outer loops walk blocks of n, of m and of k; each turn is a phase. A
// phase packs its blocks of a and b (shared by all workers), then multiplies
// them. Both halves are cut into chunks, and the chunks of all phases form one
// list that the pool runs in order. Counters hold a chunk back until what it
// reads is there. Two pairs of buffers take turns, so that workers pack the
// next phase while others still multiply.
//
// Every element of c is a chain of multiply-adds over k in ascending order,
// broken only at blocks of k: its bits depend on k and on the instruction set,
// never on workers, m or n.

// blocking are the sizes of tiles and blocks for an instruction set.
type blocking struct {
	rows, cols int // of a tile
	k          int // steps of a block: a panel of a (rows×k) stays in L1
	colsL2     int // columns of b whose panels stay in L2 together
}

// A panel of a has 256 steps of 14 or 6 floats, 14 or 6 KiB: less than half of
// an L1 of 32 KiB, and a panel of b streams past it. 512 columns of b are 512
// KiB of L2. Longer blocks of k would write c back less often and no longer
// fit.
var blockings = [...]blocking{
	portable: {4, 2, 256, 256},
	avx2:     {6, 16, 256, 512},
	avx512:   {14, 32, 256, 512},
}

// 2100 is a multiple of both heights, 14 and 6, and 2048 of both widths.
const (
	maxBlockM = 2100 // rows of a block of a
	maxBlockN = 2048 // columns of a block of b
	maxBlockK = 256

	// evenly rounds a block up to whole panels, at most 31 columns or 13 rows.
	panelSlack = 64 // columns or rows that rounding up to panels may add

	// A chunk of few tiles costs more to hand out than to compute; many chunks
	// for each worker even out that some are slower.
	minTilesPerChunk   = 4
	maxChunksPerWorker = 12
)

// gemmTask computes one product.
type gemmTask struct {
	isa     isa
	a, b    operand
	c       []float32
	ldc     int
	m, n, k int
	mode    Mode

	height, width          int // of a panel of a and of b
	blockM, blockN, blockK int
	countM, countN, countK int // blocks

	panelsA, panelsB       int // of a full block
	packA, packB           int // panels a chunk packs
	packChunks             int // chunks a phase, for b and then for a
	packChunksB            int
	tilesI, tilesJ         int // panels of a and of b a chunk multiplies
	chunksI, chunksJ       int
	packed, multiplied     [2]counter // chunks done, by parity of the phase
	workspaceA, workspaceB [2][]float32
}

// operand is one of the factors, seen as [rows, k] for a and [cols, k] for b.
type operand struct {
	x     []float32
	ld    int
	along bool // k runs along the stored rows
}

func (t *gemmTask) setA(x []float32, ld int, trans bool) { t.a = operand{x, ld, !trans} }
func (t *gemmTask) setB(x []float32, ld int, trans bool) { t.b = operand{x, ld, trans} }

// Both pairs of buffers are made at once and for the largest blocks: some 9 MB,
// whatever is multiplied afterwards.
func (t *gemmTask) init(p patience) {
	for i := range 2 {
		t.packed[i].init(p)
		t.multiplied[i].init(p)
		t.workspaceA[i] = make([]float32, maxBlockK*(maxBlockM+panelSlack))
		t.workspaceB[i] = make([]float32, maxBlockK*(maxBlockN+panelSlack))
	}
}

// release drops the operands, so that they can be collected.
func (t *gemmTask) release() { t.a.x, t.b.x, t.c = nil, nil, nil }

// plan cuts the product. What a chunk holds may depend on workers, since it
// does not change what is computed.
func (t *gemmTask) plan(isa isa, m, n, k, workers int) {
	s := blockings[isa]
	t.isa, t.m, t.n, t.k = isa, m, n, k
	// Blocks of equal size, rather than full ones and a small rest: a rest
	// would be packed for little work. Steps of k in eights are what the
	// transposing loads work on.
	t.countM, t.blockM = evenly(m, maxBlockM, 1)
	t.countN, t.blockN = evenly(n, maxBlockN, s.cols)
	t.countK, t.blockK = evenly(k, s.k, 8)
	t.width = s.cols
	// A height at most that of the tile, such that the last panel of a block is
	// nearly as high as the others.
	t.panelsA, t.height = evenly(t.blockM, s.rows, 1)
	t.blockM = t.panelsA * t.height
	t.panelsB = ceilDiv(t.blockN, t.width)

	// Four panels of a, and two of 32 columns or four of 16, are what packFour
	// packs at once.
	t.packA, t.packB = 4, max(1, 64/t.width)
	t.packChunksB = ceilDiv(t.panelsB, t.packB)
	t.packChunks = t.packChunksB + ceilDiv(t.panelsA, t.packA)

	// As many panels of b as stay in L2 together.
	_, t.tilesJ = evenly(t.panelsB, max(1, s.colsL2/s.cols), 1)
	_, t.tilesI = evenly(t.panelsA, max(1, ceilDiv(minTilesPerChunk, t.tilesJ)), 1)
	if most := ceilDiv(t.panelsA*ceilDiv(t.panelsB, t.tilesJ), maxChunksPerWorker*workers); most > t.tilesI {
		t.tilesI = most
	}
	// Few rows: cut columns finer, to have work for all.
	for t.tilesI == 1 && t.tilesJ > minTilesPerChunk && t.panelsA*ceilDiv(t.panelsB, t.tilesJ) < 4*workers {
		t.tilesJ = ceilDiv(t.tilesJ, 2)
	}
	t.chunksI = ceilDiv(t.panelsA, t.tilesI)
	t.chunksJ = ceilDiv(t.panelsB, t.tilesJ)
	for i := range 2 {
		t.packed[i].reset()
		t.multiplied[i].reset()
	}
}

// chunks is the number of chunks of all phases.
func (t *gemmTask) chunks() int {
	return t.countM * t.countN * t.countK * (t.packChunks + t.chunksI*t.chunksJ)
}

// evenly cuts n into the fewest parts of at most limit, all but the last of one
// size, which is a multiple of unit.
func evenly(n, limit, unit int) (parts, size int) {
	parts = ceilDiv(n, limit)
	size = ceilDiv(ceilDiv(n, parts), unit) * unit
	return ceilDiv(n, size), size
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
