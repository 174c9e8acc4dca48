package interp

import (
	"fmt"
	"math"

	"github.com/llamac/llamac/ir"
)

// Attention query by query: list the keys that it sees, score them, average the
// values by the softmax of the scores. q and o are [B, T, heads, d], k and v
// [B, S, kv_heads, d]; query head h reads key head h / group.
var attentionKernels = map[string]kernel{
	// Vaswani et al. 2017. Results are o [B, T, heads, d] and lse [B, heads,
	// T], the logarithm of the sum of exponentials, from which the backward
	// makes the probabilities again.
	"attention": pure(func(c *call) {
		q, k, v, o, lse := c.in[0], c.in[1], c.in[2], c.out[0], c.out[1]
		a := newMask(c.n, q, k, c.optional(3))
		a.each(func(b, h, t int) {
			keys := a.visible(b, t)
			s := make([]float64, len(keys))
			for i, j := range keys {
				s[i] = a.scale * dot(vector(q, b, t, h), vector(k, b, j, h/a.group))
			}
			at := lse.Index(b, h, t)
			if len(keys) == 0 { // nothing to see: zeros, as if it had seen only zeros
				lse.F[at] = math.Inf(-1)
				return
			}
			lse.F[at] = softmax(s, s)
			for i, j := range keys {
				axpy(vector(o, b, t, h), s[i], vector(v, b, j, h/a.group))
			}
		})
	}),
	// Dao et al. 2022, appendix B.2: no matrix of probabilities is kept.
	// Several queries see one key, so dk and dv are sums.
	"attention_grad": pure(func(c *call) {
		do, o, lse, q, k, v := c.in[0], c.in[1], c.in[2], c.in[3], c.in[4], c.in[5]
		dq, dk, dv := c.out[0], c.out[1], c.out[2]
		a := newMask(c.n, q, k, c.optional(6))
		a.each(func(b, h, t int) {
			kh := h / a.group
			// dp is the gradient of the probabilities, ds that of the scores:
			// ds = p (dp - Σ p dp), and Σ p dp = do · o.
			delta := dot(vector(do, b, t, h), vector(o, b, t, h))
			for _, j := range a.visible(b, t) {
				p := math.Exp(a.scale*dot(vector(q, b, t, h), vector(k, b, j, kh)) - lse.At(b, h, t))
				dp := dot(vector(do, b, t, h), vector(v, b, j, kh))
				ds := p * (dp - delta)
				axpy(vector(dv, b, j, kh), p, vector(do, b, t, h))
				axpy(vector(dq, b, t, h), a.scale*ds, vector(k, b, j, kh))
				axpy(vector(dk, b, j, kh), a.scale*ds, vector(q, b, t, h))
			}
		})
	}),
	// Decoding: keys and values of all earlier tokens come from the cache,
	// whose blocks the table finds (Kwon et al. 2023).
	"attention_kv": func(c *call) error {
		q, k, v, pos, seq, table, cache := c.in[0], c.in[1], c.in[2], c.in[3], c.in[4], c.in[5], c.in[6]
		// q, k and v are [1, N, heads, d] with one row for each token of any
		// sequence; cache is [blocks, 2, kv_heads, block, d], table [sequences,
		// blocks of one].
		scale, window, group := c.n.Float("scale"), c.n.Int("window"), q.Dims[2]/k.Dims[2]
		// slot is the cached key or value of a sequence's position.
		slot := func(s int64, which, kh int, p int64) ([]float64, error) {
			size := int64(cache.Dims[3])
			if err := inRange("sequence", s, table.Dims[0]); err != nil {
				return nil, err
			}
			if err := inRange("position", p, table.Dims[1]*int(size)); err != nil {
				return nil, err
			}
			block := table.I[table.Index(int(s), int(p/size))]
			if err := inRange("cache block", block, cache.Dims[0]); err != nil {
				return nil, fmt.Errorf("sequence %d, position %d: %w", s, p, err)
			}
			at := cache.Index(int(block), which, kh, int(p%size), 0)
			return cache.F[at : at+cache.last()], nil
		}
		// All tokens are written before any attends: those of one sequence may
		// come together, and a later one must find the earlier.
		for t := range q.Dims[1] {
			for kh := range k.Dims[2] {
				for which, x := range []*Tensor{k, v} {
					to, err := slot(seq.I[t], which, kh, pos.I[t])
					if err != nil {
						return err
					}
					copy(to, vector(x, 0, t, kh))
				}
			}
		}
		for t := range q.Dims[1] {
			// Positions count from the sequence's start, and every one up to
			// its own has been written.
			first := int64(0) // position of the first key it sees
			if window > 0 {
				first = max(0, pos.I[t]-int64(window)+1)
			}
			for h := range q.Dims[2] {
				var s []float64
				var values [][]float64
				for p := first; p <= pos.I[t]; p++ {
					key, err := slot(seq.I[t], 0, h/group, p)
					if err != nil {
						return err
					}
					value, _ := slot(seq.I[t], 1, h/group, p)
					s = append(s, scale*dot(vector(q, 0, t, h), key))
					values = append(values, value)
				}
				// At least its own key is seen, so there is something to add
				// up.
				softmax(s, s)
				for i, p := range s {
					axpy(vector(c.out[0], 0, t, h), p, values[i])
				}
			}
		}
		return nil
	},
}

// mask says which keys a query sees.
type mask struct {
	batch, heads, queries, keys int
	group                       int // query heads that share a key head
	scale                       float64
	causal                      bool
	window                      int
	start                       *Tensor
}

// newMask reads the mask of an attention node; start may be nil.
// Query heads divide evenly among the key heads (Ainslie et al. 2023).
func newMask(n *ir.Node, q, k, start *Tensor) *mask {
	return &mask{q.Dims[0], q.Dims[2], q.Dims[1], k.Dims[1], q.Dims[2] / k.Dims[2],
		n.Float("scale"), n.Flag("causal"), n.Int("window"), start}
}

// each visits every query of every head and sequence.
func (a *mask) each(f func(b, h, t int)) {
	for b := range a.batch {
		for h := range a.heads {
			for t := range a.queries {
				f(b, h, t)
			}
		}
	}
}

// visible lists the keys that query t of sequence b sees.
// Straight from the definition, key by key: causal, within the window, not
// before the start.
func (a *mask) visible(b, t int) []int {
	var keys []int
	first := int64(0)
	switch {
	case a.start == nil:
	case len(a.start.Dims) == 1: // one for the whole sequence
		first = a.start.I[b]
	default:
		first = a.start.I[a.start.Index(b, t)]
	}
	for j := range a.keys {
		if a.causal && j > t || a.window > 0 && j <= t-a.window || int64(j) < first {
			continue
		}
		keys = append(keys, j)
	}
	return keys
}

// vector is the head's part of token t: x is [B, T, heads, d].
func vector(x *Tensor, b, t, h int) []float64 {
	at := x.Index(b, t, h, 0)
	return x.F[at : at+x.last()]
}

// optional is operand i, or nil.
func (c *call) optional(i int) *Tensor {
	if c.has(i) {
		return c.in[i]
	}
	return nil
}
