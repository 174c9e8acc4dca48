package cpu

import "math"

// The mask of sequences packed of documents is one number a query, the place of
// its first key, and not a matrix: a block of queries knows from the smallest of
// its numbers which key blocks it need not visit, and from the largest which of
// the others hold keys to hide. Short documents therefore cost what they would
// cost alone, rounded up to tiles.

// startsRange is what the starts of one block of queries come to.
type startsRange struct {
	first int   // key block of the smallest: those before it are not visited
	last  int32 // the largest: keys from there on are hidden from none
}

// from takes in the starts of a launch.
func (t *attentionShape) from(d *Device, starts []int32) {
	if starts == nil {
		return
	}
	t.starts = starts[:t.batch*t.T]
	n := t.batch * t.blocks
	if len(d.tasks.model.startsRanges) < n {
		d.tasks.model.startsRanges = make([]startsRange, n)
	}
	t.ranges = d.tasks.model.startsRanges[:n]
	for i := range t.ranges {
		b, qi := i/t.blocks, i%t.blocks
		block := t.starts[b*t.T+qi*tileQ : b*t.T+min((qi+1)*tileQ, t.T)]
		// A block of queries may lie in several documents.
		lo, hi := block[0], block[0]
		for _, s := range block {
			lo, hi = min(lo, s), max(hi, s)
		}
		// The diagonal tile is visited even if no query of the block sees a
		// key: it is where the gradients of its keys are first stored.
		t.ranges[i] = startsRange{min(max(0, int(lo))/tileK, qi), hi}
	}
}

// maskStarts writes -Inf where a query of sequence b must not see a key that
// lies before its start.
func (t *attentionShape) maskStarts(s []float32, b, q0, k0, nq, nk int) {
	hide := float32(math.Inf(-1))
	starts := t.starts[b*t.T+q0:][:nq]
	last := int(t.ranges[b*t.blocks+q0/tileQ].last)
	// Keys from the largest start on are hidden from nobody: most tiles end
	// here at once.
	for j := range min(nk, last-k0) {
		row := s[j*tileQ:][:len(starts)]
		for i, from := range starts {
			if k0+j < int(from) {
				row[i] = hide
			}
		}
	}
}
