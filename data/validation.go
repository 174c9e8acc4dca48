package data

import "fmt"

// valRef is one held-out sequence: a window of a source's held-out tokens.
type valRef struct {
	source int32
	window int32
}

// validationSeed orders the held-out windows. It is no part of a run's seed:
// runs with other seeds must be judged on the same text.
const validationSeed = 0x76616c6964617465

// layValidation cuts the held-out tokens of every source into windows whose
// targets do not overlap, shuffles them within their source, and draws them by
// the shares of the mixture until all are used. So the first sequences, which
// is all that a short evaluation reads, stand for the mixture, and all together
// are every held-out token but the first of a source.
func layValidation(sources []source, mix *mixture, context int) []valRef {
	windows := make([]int64, len(sources))
	given := make([]int64, len(sources))
	perms := make([]permutation, len(sources))
	var left int64
	for i := range sources {
		if mix.counts[i] == 0 {
			continue // no share in the training, none in its evaluation
		}
		// Targets are the tokens but the first.
		windows[i] = max(0, sources[i].val.tokens-1+int64(context)-1) / int64(context)
		perms[i] = newPermutation(windows[i], mixString(validationSeed, sources[i].name))
		left += windows[i]
	}
	refs := make([]valRef, 0, left)
	// The same pattern of sources as in training, from its beginning.
	for n := int64(0); left > 0; n++ {
		i := int(mix.pick[n%int64(len(mix.pick))])
		if given[i] == windows[i] {
			// Used up: its turn goes to the source with most left in
			// proportion, which keeps the loop linear.
			i = fullest(windows, given)
		}
		refs = append(refs, valRef{int32(i), int32(perms[i].at(given[i]))})
		given[i]++
		left--
	}
	return refs
}

// fullest returns the source with the largest part of its windows unused.
func fullest(windows, given []int64) int {
	best := -1
	for i := range windows {
		if windows[i] == given[i] {
			continue
		}
		// Fractions are compared by cross products, exactly.
		if best < 0 || (windows[i]-given[i])*windows[best] > (windows[best]-given[best])*windows[i] {
			best = i
		}
	}
	return best
}

// ValidationLen is the number of held-out sequences.
func (st *Stream) ValidationLen() int { return len(st.val) }

// Validation writes the i-th held-out sequence to dst, which must have
// Context+1 elements, and returns how many bytes of text its targets dst[1:]
// stand for. Where the held-out tokens of a source end within the sequence, dst
// is filled up with -1. A token of BOS or EOS is a target that stands for no
// bytes. The order of the sequences does not depend on the seed.
func (st *Stream) Validation(i int, dst []int32) (bytes int) {
	st.check(dst)
	r, at, n := st.valPlace(i)
	r.read(at, dst[:n])
	bytes = int(r.textBytes(at+1, dst[1:n], st.set.tokenBytes))
	for k := n; k < len(dst); k++ {
		dst[k] = -1
	}
	return bytes
}

// valPlace finds held-out sequence i: its tokens from at on, n of them.
func (st *Stream) valPlace(i int) (r *run, at int64, n int) {
	if i < 0 || i >= len(st.val) {
		panic(fmt.Sprintf("data: validation sequence %d of %d", i, len(st.val)))
	}
	ref := st.val[i]
	r = &st.set.sources[ref.source].val
	// Windows overlap by the one token that is the last target of one and the
	// first input of the next.
	at = int64(ref.window) * int64(st.context)
	return r, at, int(min(int64(st.context)+1, r.tokens-at))
}

// ValidationBatch writes held-out sequences from first on as rows of inputs and
// targets, [rows*Context] each, and returns the bytes of text that all targets
// stand for. Where there is no token, and in rows beyond the last sequence, the
// input is 0 and the target -1.
func (st *Stream) ValidationBatch(first int, tokens, targets []int32) (bytes int) {
	c := st.context
	if len(tokens) != len(targets) || len(tokens)%c != 0 {
		panic(fmt.Sprintf("data: %d inputs and %d targets for a context of %d", len(tokens), len(targets), c))
	}
	for ; len(tokens) > 0; first++ {
		in, out := tokens[:c], targets[:c]
		tokens, targets = tokens[c:], targets[c:]
		n := 0 // targets of this row
		if first < len(st.val) {
			r, at, all := st.valPlace(first)
			n = all - 1
			// out serves as the scratch of textBytes, which leaves in it just
			// what belongs there.
			r.read(at, in[:n])
			bytes += int(r.textBytes(at+1, out[:n], st.set.tokenBytes)) // reads the targets
		}
		for k := n; k < c; k++ {
			in[k], out[k] = 0, -1
		}
	}
	return bytes
}

// ValidationSource returns the index of the source of held-out sequence i.
func (st *Stream) ValidationSource(i int) int { return int(st.val[i].source) }

// ValidationStarts is Starts for held-out sequence i.
func (st *Stream) ValidationStarts(i int, dst []int32) []int32 {
	r, at, n := st.valPlace(i)
	return r.starts(at, int64(min(n, st.context)), dst)
}
