package cpu

import "fmt"

// Embedding copies rows of a table: y[r] = table[ids[r]], y [rows, dim], table
// [vocab, dim]. An id outside 0..vocab-1 is a programming error and panics.
func (d *Device) Embedding(y []float32, table []float32, ids []int32, rows, dim, vocab int) {
	t := &d.tasks.model.embedding
	*t = embeddingTask{y[:rows*dim], table[:vocab*dim], ids[:rows], dim, rowsPerChunk(dim)}
	checkIDs(t.ids, vocab)
	d.run(t, chunksOf(rows, t.per))
	d.launched("embedding", t.y)
}

// checkIDs panics at an id outside the vocabulary, with its place, before any
// worker meets it.
func checkIDs(ids []int32, vocab int) {
	for i, id := range ids {
		if id < 0 || int(id) >= vocab {
			panic(fmt.Sprintf("cpu: id %d at %d is outside the vocabulary of %d", id, i, vocab))
		}
	}
}

// embeddingTask is one launch of Embedding, cut into groups of rows.
type embeddingTask struct {
	y, table []float32
	ids      []int32
	dim, per int
}

func (t *embeddingTask) do(chunk, _ int) {
	for r := chunk * t.per; r < min(len(t.ids), (chunk+1)*t.per); r++ {
		id := int(t.ids[r])
		copy(t.y[r*t.dim:(r+1)*t.dim], t.table[id*t.dim:(id+1)*t.dim])
	}
}

// EmbeddingGrad adds each row of dy [rows, dim] to row ids[r] of dtable
// [vocab, dim], in the order of r. Overwrite zeroes dtable first, so rows that
// no id names end as 0.
func (d *Device) EmbeddingGrad(dtable []float32, ids []int32, dy []float32, rows, dim, vocab int, mode Mode) {
	t := &d.tasks.model.embeddingGrad
	*t = embeddingGradTask{d.isa, dtable[:vocab*dim], dy[:rows*dim], ids[:rows], dim, mode}
	checkIDs(t.ids, vocab)
	// Rows may meet in one row of the table, so the work is cut by columns.
	d.run(t, chunksOf(dim, embeddingCols))
	d.launched("embedding_grad", t.dtable)
}

// embeddingCols columns are a chunk of EmbeddingGrad: four cache lines.
//
// Where rows are whole lines, neighbouring chunks share none, so that workers
// do not take lines from each other.
const embeddingCols = 64

// embeddingGradTask is one launch of EmbeddingGrad.
type embeddingGradTask struct {
	isa        isa
	dtable, dy []float32
	ids        []int32
	dim        int
	mode       Mode
}

func (t *embeddingGradTask) do(chunk, _ int) {
	lo := chunk * embeddingCols
	hi := min(lo+embeddingCols, t.dim)
	if t.mode == Overwrite {
		for i := 0; i < len(t.dtable); i += t.dim {
			clear(t.dtable[i+lo : i+hi])
		}
	}
	for r, id := range t.ids {
		y := t.dtable[int(id)*t.dim+lo : int(id)*t.dim+hi]
		vecAdd(t.isa, y, y, t.dy[r*t.dim+lo:r*t.dim+hi])
	}
}
