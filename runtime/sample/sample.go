// Package sample picks the next token from logits: the most probable one, or
// one drawn at random with a temperature, from the TopK most probable (Fan et
// al. 2018) and from the nucleus of probability TopP (Holtzman et al. 2020).
//
// A choice is a function of the logits, the seed and the position alone, so a
// text does not depend on what else was generated before or beside it.
package sample

import (
	"errors"
	"math"
	"slices"

	"github.com/llamac/llamac/runtime/rng"
)

// Config says how to choose. The zero value is greedy.
type Config struct {
	Temperature float64 // divides the logits; 0 or less takes the most probable token
	TopK        int     // draw from the k most probable tokens; 0 or less for all
	TopP        float64 // then from the fewest whose probabilities reach TopP; outside (0, 1) for all
	// Texts with different seeds are independent, the same seed gives the same
	// text again.
	Seed uint64
}

// ErrNotFinite says that logits hold a NaN or +Inf, or nothing above -Inf.
// A logit of -Inf is a token that must not be chosen.
var ErrNotFinite = errors.New("logits are not finite")

// A Sampler chooses tokens. It is not safe for concurrent use.
type Sampler struct {
	cfg    Config
	source rng.Source
	work   []candidate // capacity: the vocabulary
}

// candidate is a token and its probability times an unknown constant.
type candidate struct {
	id     int32
	weight float64
}

// stream keeps a sampler's numbers apart from those of weights with its seed.
const stream = 0x73616d706c65

// New makes a sampler for logits of a vocabulary of the given size.
func New(vocab int, cfg Config) *Sampler {
	return &Sampler{cfg: cfg, source: rng.New(cfg.Seed, stream), work: make([]candidate, 0, vocab)}
}

// Next returns the token for a position, given its logits, one for each token
// of the vocabulary. It allocates nothing.
func (s *Sampler) Next(logits []float32, position int) (int32, error) {
	best, err := argmax(logits)
	if err != nil || s.cfg.Temperature <= 0 {
		return best, err
	}
	c := s.work[:0]
	total := 0.0
	for i, x := range logits {
		// Relative to the largest logit no weight overflows.
		w := math.Exp(float64(x-logits[best]) / s.cfg.Temperature)
		if w > 0 {
			c = append(c, candidate{int32(i), w})
			total += w
		}
	}
	// K first, then p of what is left, as Holtzman's own code and most
	// libraries have it.
	if k := s.cfg.TopK; k > 0 && k < len(c) {
		c = topK(c, k)
		total = sum(c)
	}
	if p := s.cfg.TopP; p > 0 && p < 1 {
		c = nucleus(c, p, total)
		total = sum(c)
	}
	return draw(c, s.source.Float64(uint64(position))*total), nil
}

// argmax returns the first of the largest logits.
func argmax(logits []float32) (int32, error) {
	best, top := int32(-1), float32(math.Inf(-1))
	for i, x := range logits {
		if x != x || x > math.MaxFloat32 {
			return -1, ErrNotFinite
		}
		if x > top {
			best, top = int32(i), x
		}
	}
	if best < 0 {
		return -1, ErrNotFinite
	}
	return best, nil
}

// sum adds in the order given, so that the same candidates give the same bits.
func sum(c []candidate) float64 {
	s := 0.0
	for _, x := range c {
		s += x.weight
	}
	return s
}

// before orders candidates by falling weight, then by id, so that equal
// weights leave nothing to chance.
func before(a, b candidate) int {
	switch {
	case a.weight > b.weight:
		return -1
	case a.weight < b.weight:
		return 1
	}
	return int(a.id) - int(b.id)
}

// topK moves the k first candidates, in the order of before, to the front of c
// and returns them. It keeps a heap of k whose root is the last of them.
func topK(c []candidate, k int) []candidate {
	heap := c[:k]
	for i := k/2 - 1; i >= 0; i-- {
		down(heap, i)
	}
	for i := k; i < len(c); i++ {
		if before(c[i], heap[0]) < 0 {
			heap[0], c[i] = c[i], heap[0]
			down(heap, 0)
		}
	}
	// The heap's order depends on what it rejected; the draw must not.
	slices.SortFunc(heap, before)
	return heap
}

// down sinks a candidate until both below it come earlier: the root is the one
// that before puts last.
func down(heap []candidate, i int) {
	for {
		child := 2*i + 1
		if child >= len(heap) {
			return
		}
		if child+1 < len(heap) && before(heap[child+1], heap[child]) > 0 {
			child++
		}
		if before(heap[child], heap[i]) < 0 {
			return
		}
		heap[i], heap[child] = heap[child], heap[i]
		i = child
	}
}

// nucleus returns the fewest most probable candidates whose share of total
// reaches p, in the order of before.
func nucleus(c []candidate, p, total float64) []candidate {
	// A candidate outside the first place is in the nucleus only if it and
	// all after it, at most len(c)-1, hold more than 1-p together. Dropping
	// those that are too light for that leaves little to sort.
	if len(c) > 1 {
		least := (1 - p) / float64(len(c)-1) * total
		kept := c[:0]
		for _, x := range c {
			// Order is kept, and c's memory reused: the write never passes the
			// read.
			if x.weight >= least {
				kept = append(kept, x)
			}
		}
		if len(kept) > 0 {
			c = kept
		}
	}
	slices.SortFunc(c, before)
	reached := 0.0
	for i, x := range c {
		reached += x.weight
		if reached >= p*total {
			return c[:i+1]
		}
	}
	return c
}

// draw returns the candidate in whose interval at falls when their weights lie
// end to end. Rounding may leave at behind the last one.
func draw(c []candidate, at float64) int32 {
	for _, x := range c {
		at -= x.weight
		if at < 0 {
			return x.id
		}
	}
	return c[len(c)-1].id
}
