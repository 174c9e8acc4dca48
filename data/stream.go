package data

import (
	"crypto/sha256"
	"fmt"
	"math"
)

// StreamConfig says how a set is read.
type StreamConfig struct {
	Context int    // inputs of a sequence; a sequence has Context+1 tokens
	Seed    uint64 // of the order within each source

	// Shares replaces the shares of the set, which need no new preparation.
	// Sources that it does not name get nothing. Nil keeps the set's own.
	Shares map[string]float64
}

// Stream is the endless training sequence of a mixture and its finite
// validation sequence. All methods are pure functions of their arguments and
// safe for use by several goroutines.
type Stream struct {
	set     *Set
	context int
	mix     *mixture
	src     []streamSource
	val     []valRef
}

// streamSource is how one source is cut into windows.
type streamSource struct {
	*source
	windows int64 // sequences in an epoch
	// Of its order, from the seed and the source's name: a source that joins
	// the mixture does not reorder the others.
	key uint64
}

// Stream opens the set for a context length and a seed. A source with a share
// must have tokens to give.
func (s *Set) Stream(cfg StreamConfig) (*Stream, error) {
	if cfg.Context < 1 || cfg.Context > math.MaxInt32-1 {
		return nil, fmt.Errorf("%s: context of %d tokens", s.Dir, cfg.Context)
	}
	// Any positive numbers: the mixture divides by their sum.
	shares := make([]float64, len(s.sources))
	for i := range s.sources {
		shares[i] = s.Manifest.Sources[i].Share
	}
	if cfg.Shares != nil {
		clear(shares)
		for name, share := range cfg.Shares {
			i, err := s.sourceIndex(name)
			if err != nil {
				return nil, err
			}
			shares[i] = share
		}
	}
	st := &Stream{set: s, context: cfg.Context}
	var err error
	if st.mix, err = newMixture(shares); err != nil {
		return nil, fmt.Errorf("%s: %w", s.Dir, err)
	}
	var names []string
	for i := range s.sources {
		names = append(names, s.sources[i].name)
	}
	if err := CheckShares(names, shares); err != nil {
		return nil, fmt.Errorf("%s: %w", s.Dir, err)
	}
	for i := range s.sources {
		src := &s.sources[i]
		// Found at the start, not after the hours until its first turn.
		if shares[i] > 0 && src.train.tokens == 0 {
			return nil, fmt.Errorf("%s: source %q has a share of %g and no training tokens", s.Dir, src.name, shares[i])
		}
		st.src = append(st.src, streamSource{
			source: src,
			// A source shorter than a window gives one window that goes round
			// more than once.
			windows: max(1, src.train.tokens/int64(cfg.Context)),
			key:     mixString(mix(cfg.Seed), src.name),
		})
	}
	st.val = layValidation(s.sources, st.mix, cfg.Context)
	return st, nil
}

// Context is the number of inputs of a sequence.
func (st *Stream) Context() int { return st.context }

// Set is the set that the stream reads.
func (st *Stream) Set() *Set { return st.set }

// Identity is a hash of all that decides the training sequences: the contents
// of the set, the shares, the context and the seed. A run may be resumed where
// it is the same as when the run began.
func (st *Stream) Identity() string {
	// What the words and numbers below say is part of the format: changing them
	// would make every run under way refuse to go on.
	h := sha256.New()
	fmt.Fprintf(h, "%s context %d\n", st.set.Key, st.context)
	for i, s := range st.src {
		fmt.Fprintf(h, "%q %d of %d, %x\n", s.name, st.mix.counts[i], len(st.mix.pick), s.key)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// place finds sequence n: its source and the first of its tokens there.
//
// An epoch of a source is a grid of windows, Context apart, laid on its circle
// of tokens at an offset of its own, and visited in an order of its own. So
// every token is a target once an epoch, save a rest shorter than a window
// that falls elsewhere each time, and windows do not repeat from epoch to epoch.
func (st *Stream) place(n int64) (*streamSource, int64) {
	if n < 0 {
		panic(fmt.Sprintf("data: sequence %d", n))
	}
	i, k := st.mix.at(n)
	src := &st.src[i]
	// k counts the source's own sequences, so a share that changes moves no
	// window.
	epoch, j := k/src.windows, k%src.windows
	key := mix(src.key ^ mix(uint64(epoch)))
	// mix of the key, not the key: the permutation uses that.
	offset := int64(scale(mix(key), uint64(src.train.tokens)))
	j = newPermutation(src.windows, key).at(j)
	return src, (offset + j*int64(st.context)) % src.train.tokens
}

// Sequence writes the n-th training sequence to dst, which must have
// Context+1 elements: inputs dst[:Context], targets dst[1:]. It does not
// allocate.
func (st *Stream) Sequence(n int64, dst []int32) {
	st.check(dst)
	src, at := st.place(n)
	src.train.read(at, dst)
}

func (st *Stream) check(dst []int32) {
	if len(dst) != st.context+1 {
		panic(fmt.Sprintf("data: %d elements for a context of %d, want %d", len(dst), st.context, st.context+1))
	}
}

// Starts appends to dst the positions within the inputs of training sequence n
// at which a document begins, in rising order. Attention that must not cross
// documents begins at the last start at or before a position, and at 0 in the
// rest of a document that began earlier.
func (st *Stream) Starts(n int64, dst []int32) []int32 {
	src, at := st.place(n)
	return src.train.starts(at, int64(st.context), dst)
}

// Source returns the index of the source of training sequence n, as in
// Manifest.Sources.
func (st *Stream) Source(n int64) int {
	i, _ := st.mix.at(n)
	return i
}

// Count returns how many of the first n training sequences come from each
// source.
func (st *Stream) Count(n int64) []int64 { return st.mix.count(n) }

// Epochs returns how often the first n training sequences go through each
// source, in target tokens; 0 for a source without tokens.
func (st *Stream) Epochs(n int64) []float64 {
	out := make([]float64, len(st.src))
	for i, c := range st.Count(n) {
		if t := st.src[i].train.tokens; t > 0 {
			out[i] = float64(c) * float64(st.context) / float64(t)
		}
	}
	return out
}
