package interp_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/ir/interp"
)

// TestAttentionByHand: equal scores average the values that a query sees, and
// a large score picks one.
func TestAttentionByHand(t *testing.T) {
	q, k := interp.New(ir.F32, 1, 4, 1, 1), interp.New(ir.F32, 1, 4, 1, 1)
	v := interp.FromF64([]float64{1, 2, 4, 8}, 1, 4, 1, 1)
	const f = "(%%q: f32[1, 4, 1, 1], %%k: f32[1, 4, 1, 1], %%v: f32[1, 4, 1, 1], %%s: i32[1]) -> (%%o, %%l) {" +
		"%%o, %%l = attention(%%q, %%k, %%v, %s) {causal = %v, scale = 1.0, window = %d} : f32[1, 4, 1, 1], f32[1, 1, 4] }"
	for _, c := range []struct {
		start  string
		causal bool
		window int
		want   []float64
		keys   []float64
	}{
		{"_", true, 0, []float64{1, 1.5, 7.0 / 3, 15.0 / 4}, []float64{1, 2, 3, 4}},
		{"_", true, 2, []float64{1, 1.5, 3, 6}, []float64{1, 2, 2, 2}},
		{"_", false, 0, []float64{15.0 / 4, 15.0 / 4, 15.0 / 4, 15.0 / 4}, []float64{4, 4, 4, 4}},
		{"_", false, 3, []float64{15.0 / 4, 15.0 / 4, 15.0 / 4, 14.0 / 3}, []float64{4, 4, 4, 3}},
		{"%s", true, 0, []float64{0, 0, 4, 6}, []float64{0, 0, 1, 2}},
		{"%s", true, 1, []float64{0, 0, 4, 8}, []float64{0, 0, 1, 1}},
	} {
		out := eval(t, fmt.Sprintf(f, c.start, c.causal, c.window), q, k, v, interp.FromI32([]int32{2}, 1))
		for i, want := range c.want {
			if got := out[0].F[i]; math.Abs(got-want) > 1e-15*8 {
				t.Errorf("%+v: query %d gives %v, want %v", c, i, got, want)
			}
			if got, want := out[1].F[i], math.Log(c.keys[i]); got != want && math.Abs(got-want) > 1e-15 {
				t.Errorf("%+v: query %d has the logarithm %v, want %v", c, i, got, want)
			}
		}
	}
	// A start for each query: the last two begin anew at key 2, the second sees nothing.
	each := strings.Replace(strings.Replace(f, "%%s: i32[1]", "%%s: i32[1, 4]", 1), "%s)", "%%s)", 1)
	packed := eval(t, fmt.Sprintf(each, true, 0), q, k, v, interp.FromI32([]int32{0, 2, 2, 2}, 1, 4))
	for i, want := range []float64{1, 0, 4, 6} {
		if got := packed[0].F[i]; got != want {
			t.Errorf("packed: query %d gives %v, want %v", i, got, want)
		}
	}
	k.Set(100, 0, 1, 0, 0)
	q.Set(7, 0, 3, 0, 0)
	out := eval(t, fmt.Sprintf(f, "_", true, 0), q, k, v, interp.New(ir.I32, 1))
	if out[0].F[3] != 2 || out[1].F[3] != 700 {
		t.Errorf("a score of 700 gives %v and the logarithm %v", out[0].F[3], out[1].F[3])
	}
}

// kvCache runs attention_kv on a cache of 9 blocks of 3 tokens.
type kvCache struct {
	t              *testing.T
	m              *ir.Module
	mach           *interp.Machine
	table          *interp.Tensor
	heads, kvHeads int
}

func newKV(t *testing.T, heads, kvHeads, window int) *kvCache {
	c := &kvCache{t: t, heads: heads, kvHeads: kvHeads}
	c.m = parse(t, fmt.Sprintf(`module kv
dim T in [1, 99]
state !kv: f32[9, 2, %d, 3, 4]

func @f main(%%q: f32[1, T, %d, 4], %%k: f32[1, T, %d, 4], %%v: f32[1, T, %d, 4], %%pos: i32[T], %%seq: i32[T], %%table: i32[3, 4]) -> (%%o) {
  %%o = attention_kv(%%q, %%k, %%v, %%pos, %%seq, %%table, !kv) {scale = 0.5, window = %d} : f32[1, T, %d, 4]
}
`, kvHeads, heads, kvHeads, kvHeads, window, heads))
	c.mach = interp.NewMachine(map[string]int64{})
	// What no token wrote must never be read.
	cache := interp.New(ir.F32, 9, 2, kvHeads, 3, 4)
	for i := range cache.F {
		cache.F[i] = math.NaN()
	}
	c.mach.State["kv"] = []*interp.Tensor{cache}
	c.table = interp.FromI32([]int32{7, 2, 5, 0, 1, 8, 3, -1, 4, 6, -1, -1}, 3, 4)
	return c
}

// feed runs tokens, each (sequence, position), whose q, k and v are rows of
// whole sequences [1, T, heads, 4].
func (c *kvCache) feed(q, k, v []*interp.Tensor, tokens [][2]int) *interp.Tensor {
	c.t.Helper()
	n := len(tokens)
	rows := func(x []*interp.Tensor, heads int) *interp.Tensor {
		y := interp.New(ir.F32, 1, n, heads, 4)
		for i, tok := range tokens {
			copy(y.F[i*heads*4:(i+1)*heads*4], x[tok[0]].F[tok[1]*heads*4:])
		}
		return y
	}
	pos, seq := interp.New(ir.I32, n), interp.New(ir.I32, n)
	for i, tok := range tokens {
		seq.I[i], pos.I[i] = int64(tok[0]), int64(tok[1])
	}
	c.mach.Dims["T"] = int64(n)
	out, err := c.mach.Run(c.m, "f", rows(q, c.heads), rows(k, c.kvHeads), rows(v, c.kvHeads), pos, seq, c.table)
	if err != nil {
		c.t.Fatal(err)
	}
	return out[0]
}

// TestAttentionKV: whatever the portions in which tokens of several sequences
// come, each gets what causal attention over its whole sequence gives it.
func TestAttentionKV(t *testing.T) {
	for _, c := range []struct{ heads, kvHeads, window int }{{2, 2, 0}, {4, 2, 0}, {4, 1, 0}, {4, 2, 2}, {2, 1, 4}} {
		lengths := []int{11, 8, 5}
		kv := newKV(t, c.heads, c.kvHeads, c.window)
		var q, k, v, want []*interp.Tensor
		for s, n := range lengths {
			q = append(q, random(uint64(10+s), ir.F32, 1, n, c.heads, 4))
			k = append(k, random(uint64(20+s), ir.F32, 1, n, c.kvHeads, 4))
			v = append(v, random(uint64(30+s), ir.F32, 1, n, c.kvHeads, 4))
			want = append(want, eval(t, fmt.Sprintf("(%%q: f32[1, %d, %d, 4], %%k: f32[1, %d, %d, 4], %%v: f32[1, %d, %d, 4]) -> (%%o) {"+
				"%%o, %%l = attention(%%q, %%k, %%v) {scale = 0.5, window = %d} : f32[1, %d, %d, 4], f32[1, %d, %d] }",
				n, c.heads, n, c.kvHeads, n, c.kvHeads, c.window, n, c.heads, c.heads, n), q[s], k[s], v[s])[0])
		}
		rng := rand.New(rand.NewPCG(5, 5))
		next := make([]int, len(lengths))
		for next[0] < lengths[0] || next[1] < lengths[1] || next[2] < lengths[2] {
			var tokens [][2]int
			for range 1 + rng.IntN(5) {
				if s := rng.IntN(3); next[s] < lengths[s] {
					tokens = append(tokens, [2]int{s, next[s]})
					next[s]++
				}
			}
			if tokens == nil {
				continue
			}
			got := kv.feed(q, k, v, tokens)
			for i, tok := range tokens {
				for h := range c.heads {
					for d := range 4 {
						a, b := got.At(0, i, h, d), want[tok[0]].At(0, tok[1], h, d)
						if !(math.Abs(a-b) <= 1e-13) {
							t.Fatalf("%+v: sequence %d, position %d, head %d: %v, want %v", c, tok[0], tok[1], h, a, b)
						}
					}
				}
			}
		}
	}
}

// TestAttentionKVShares lets a second sequence read the first one's block.
func TestAttentionKVShares(t *testing.T) {
	kv := newKV(t, 1, 1, 0)
	q := []*interp.Tensor{random(1, ir.F32, 1, 4, 1, 4), random(2, ir.F32, 1, 4, 1, 4)}
	k := []*interp.Tensor{random(3, ir.F32, 1, 4, 1, 4), random(4, ir.F32, 1, 4, 1, 4)}
	v := []*interp.Tensor{random(5, ir.F32, 1, 4, 1, 4), random(6, ir.F32, 1, 4, 1, 4)}
	for i := range 3 * 4 { // the prefix is the same
		q[1].F[i], k[1].F[i], v[1].F[i] = q[0].F[i], k[0].F[i], v[0].F[i]
	}
	kv.feed(q, k, v, [][2]int{{0, 0}, {0, 1}, {0, 2}, {0, 3}, {1, 0}, {1, 1}, {1, 2}})
	own := kv.feed(q, k, v, [][2]int{{1, 3}})
	kv.table.Set(kv.table.At(0, 0), 1, 0)
	if d := interp.MaxDiff(kv.feed(q, k, v, [][2]int{{1, 3}}), own); d != 0 {
		t.Errorf("a shared block changes the result by %g", d)
	}
}
