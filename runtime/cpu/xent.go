package cpu

import (
	"fmt"
	"math"
)

// XentChunkRows is the number of rows whose logits LinearXent holds at a time:
// about 16 MiB of them, so that the vocabulary's weight and its gradient are
// streamed through memory few times.
//
// At least 64 rows, so that the product with a large vocabulary still is one of
// matrices, and at most 512.
func XentChunkRows(rows, vocab int) int {
	return max(1, min(rows, 512, max(64, (4<<20)/max(1, vocab))))
}

// LinearXent returns the mean of -log softmax(x·wᵀ)[target], in nats, over the
// rows whose target is not negative; 0 if there are none. x is [rows, dim] and
// w [vocab, dim], contiguous. Logits exist for XentChunkRows rows at a time.
func (d *Device) LinearXent(x, w []float32, targets []int32, rows, vocab, dim int) float32 {
	loss := d.linearXent(nil, nil, x, w, targets, rows, vocab, dim, Overwrite)
	d.launched("linear_xent", loss)
	return loss[0]
}

// LinearXentGrad returns the loss of LinearXent and computes its gradients: dx
// [rows, dim] is overwritten, dw [vocab, dim] stored or added to as dwMode
// says. dx may be x.
func (d *Device) LinearXentGrad(dx, dw, x, w []float32, targets []int32, rows, vocab, dim int, dwMode Mode) float32 {
	dx, dw = dx[:rows*dim], dw[:vocab*dim]
	loss := d.linearXent(dx, dw, x, w, targets, rows, vocab, dim, dwMode)
	d.launched("linear_xent_grad", loss, dx, dw)
	return loss[0]
}

// linearXent goes through the rows in chunks: logits, loss and, unless dx is
// nil, the gradient of the logits in their place, then its two products. dw is
// computed first, so that dx may take the place of x.
func (d *Device) linearXent(dx, dw, x, w []float32, targets []int32, rows, vocab, dim int, mode Mode) []float32 {
	x, w, targets = x[:rows*dim], w[:vocab*dim], targets[:rows]
	t := &d.tasks.model.xentRows
	// So many rows have their logits in memory at a time, and there they become
	// their own gradient.
	step := XentChunkRows(rows, vocab)
	logits := d.tasks.model.sharedScratch(step * vocab)
	t.begin(d, targets, vocab, 1)
	for r := 0; r < rows; r += step {
		n := min(step, rows-r)
		x := x[r*dim : (r+n)*dim]
		// Without the report of a kernel: it is part of one launch.
		d.gemm(false, true, n, vocab, dim, x, dim, w, dim, logits, vocab, Overwrite)
		t.grads = nil
		if dx != nil {
			t.grads = logits
		}
		t.part(d, logits, r, n)
		if dx != nil {
			// The first chunk overwrites dw if that is wanted, the others add.
			d.gemm(true, false, vocab, dim, n, logits, vocab, x, dim, dw, dim, mode)
			d.gemm(false, false, n, dim, vocab, logits, vocab, w, dim, dx[r*dim:], dim, Overwrite)
			mode = Accumulate
		}
	}
	if rows == 0 && mode == Overwrite {
		clear(dw)
	}
	return t.mean()
}

// CrossEntropy returns the mean of -log softmax(logits)[target] over the rows
// of logits [rows, vocab] whose target is not negative; 0 if there are none.
func (d *Device) CrossEntropy(logits []float32, targets []int32, rows, vocab int) float32 {
	t := &d.tasks.model.xentRows
	t.begin(d, targets[:rows], vocab, 1)
	t.grads = nil
	t.part(d, logits[:rows*vocab], 0, rows)
	loss := t.mean()
	d.launched("cross_entropy", loss)
	return loss[0]
}

// CrossEntropyGrad computes the gradient of dloss times CrossEntropy. dlogits
// may be logits.
func (d *Device) CrossEntropyGrad(dlogits, logits []float32, targets []int32, rows, vocab int, dloss float32) {
	t := &d.tasks.model.xentRows
	t.begin(d, targets[:rows], vocab, float64(dloss))
	t.grads = dlogits[:rows*vocab]
	t.part(d, logits[:rows*vocab], 0, rows)
	d.launched("cross_entropy_grad", t.grads)
}

// xentRowsTask computes the loss of each row of logits, and if grads is set the
// gradient (softmax - onehot)·scale, row by row.
type xentRowsTask struct {
	isa           isa
	logits, grads []float32
	targets       []int32
	losses        []float64 // of all rows
	first, rows   int       // rows of this part
	vocab, per    int
	count         int     // targets that are not negative
	scale         float64 // gradient of the loss, divided by count
	// One element, so that it can be reported like other results.
	result [1]float32
}

// begin prepares for rows with the given targets, and counts those.
func (t *xentRowsTask) begin(d *Device, targets []int32, vocab int, dloss float64) {
	m := &d.tasks.model
	if len(m.losses) < len(targets) {
		m.losses = make([]float64, len(targets))
	}
	t.isa, t.targets, t.losses, t.vocab, t.per = d.isa, targets, m.losses[:len(targets)], vocab, rowsPerChunk(vocab)
	t.count = 0
	for i, id := range targets {
		if int(id) >= vocab {
			panic(fmt.Sprintf("cpu: target %d at %d is outside the vocabulary of %d", id, i, vocab))
		}
		if id >= 0 {
			t.count++
		}
	}
	t.scale = dloss / float64(max(1, t.count))
}

// part computes the rows from first on, whose logits are given.
func (t *xentRowsTask) part(d *Device, logits []float32, first, rows int) {
	t.logits, t.first, t.rows = logits, first, rows
	d.run(t, chunksOf(rows, t.per))
}

// mean adds the losses in the order of rows.
func (t *xentRowsTask) mean() []float32 {
	sum := 0.0
	for _, l := range t.losses {
		sum += l
	}
	t.result[0] = float32(sum / float64(max(1, t.count)))
	return t.result[:]
}

func (t *xentRowsTask) do(chunk, _ int) {
	var buf [sumBlock]float32
	for r := chunk * t.per; r < min(t.rows, (chunk+1)*t.per); r++ {
		x := t.logits[r*t.vocab : (r+1)*t.vocab]
		id := t.targets[t.first+r]
		var g []float32
		if t.grads != nil {
			g = t.grads[r*t.vocab : (r+1)*t.vocab]
		}
		if id < 0 {
			t.losses[t.first+r] = 0
			// Rows that count for nothing have no loss, and a gradient of zero.
			clear(g)
			continue
		}
		target := x[id] // before g, which may be x, is written
		var m float32
		var sum float64
		if g != nil {
			m, sum = expRow(t.isa, g, x)
		} else {
			m = vecMax(t.isa, x)
			// logits may be the caller's: exponentials go to a buffer.
			for i := 0; i < len(x); i += sumBlock {
				j := min(i+sumBlock, len(x))
				sum += float64(vecExpSum(t.isa, buf[:j-i], x[i:j], m))
			}
		}
		t.losses[t.first+r] = math.Log(sum) + float64(m) - float64(target)
		if g != nil {
			// Where the answer is nearly certain p - 1 cancels: take it in float64.
			p := float64(g[id]) / sum
			vecScale(t.isa, g, g, float32(t.scale/sum))
			g[id] = float32((p - 1) * t.scale)
		}
	}
}
