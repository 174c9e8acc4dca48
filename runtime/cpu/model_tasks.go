package cpu

import "sync/atomic"

// modelTasks are the tasks of attention, norms, elementwise kernels and losses,
// and the scratch memory that they share. Scratch grows when a kernel first
// meets a larger shape and is then reused, so that later launches allocate
// nothing.
type modelTasks struct {
	unary         unaryTask
	binary        binaryTask
	scalar        scalarTask
	where         whereTask
	copy          copyTask
	fill          fillTask
	reduce        reduceTask
	softmax       softmaxTask
	softmaxGrad   softmaxGradTask
	norm          normTask
	normGrad      normGradTask
	sumParts      sumPartsTask
	rope          ropeTask
	swiglu        swigluTask
	swigluGrad    swigluGradTask
	embedding     embeddingTask
	embeddingGrad embeddingGradTask
	xentRows      xentRowsTask
	attention     attentionTask
	attentionGrad attentionGradTask
	kvWrite       kvWriteTask
	attentionKV   attentionKVTask

	workers int
	tiles   [][]float32 // per worker: the tiles of attention
	shared  []float32   // partial sums, logits of a chunk
	losses  []float64   // loss of each row

	progress     []atomic.Int64 // of the chunks of AttentionGrad that wait for each other
	startsRanges []startsRange  // of Attention and AttentionGrad
}

func (t *modelTasks) init(workers int) {
	t.workers = workers
	t.tiles = make([][]float32, workers)
}

// tileScratch makes each worker's tile memory hold at least n elements.
//
// Tiles are made for each worker and never shared.
func (t *modelTasks) tileScratch(n int) {
	for w := range t.tiles {
		if len(t.tiles[w]) < n {
			t.tiles[w] = make([]float32, max(n, 16<<10)) // large enough to start on a page
		}
	}
}

// sharedScratch returns n elements of the memory that one launch at a time uses.
//
// Who asks for it twice gets the same memory: a launch may use it for one
// purpose only.
func (t *modelTasks) sharedScratch(n int) []float32 {
	if len(t.shared) < n {
		t.shared = make([]float32, n)
	}
	return t.shared[:n]
}

// chunkElems is the number of elements that elementwise kernels do in one
// chunk: large against the cost of handing out a chunk, small against a cache.
const chunkElems = 8192

// rowsPerChunk is the number of rows of the given width in one chunk.
func rowsPerChunk(width int) int { return max(1, chunkElems/max(1, width)) }

// The number depends on sizes alone: parts of a sum must not follow the
// workers.
func chunksOf(n, per int) int { return (n + per - 1) / per }

// extent is the number of elements from the first to the last element of a
// strided matrix.
func extent(rows, ld, cols int) int {
	if rows == 0 || cols == 0 {
		return 0
	}
	return (rows-1)*ld + cols
}

// view checks that x holds a strided matrix and cuts it to its extent.
//
// Rows may be part of wider rows, of which the last one ends with its columns.
func view(x []float32, rows, ld, cols int) []float32 {
	if ld < cols {
		panic("cpu: distance between rows below their width")
	}
	return x[:extent(rows, ld, cols)]
}

// launchedRows is launched for results that are strided views: when watched it
// looks at their elements only, not at what lies between them.
func (d *Device) launchedRows(kernel string, rows int, results ...strided) {
	if d.watch == nil {
		d.launched(kernel)
		return
	}
	var all [][]float32
	for _, s := range results {
		for r := range rows {
			all = append(all, s.x[r*s.ld:r*s.ld+s.cols])
		}
	}
	d.launched(kernel, all...)
}

type strided struct {
	x        []float32
	ld, cols int
}
