package fuzz

import (
	"testing"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/passes"
)

// lossy is a pass that is right in real numbers and in float64: it adds a number
// to what linear layers give and takes it away again, which in float32 costs the
// bits that 512 has above the result.
func lossy(by float64) passes.Pass {
	return passes.Pass{Name: "planted", Run: func(u *passes.Unit) error {
		for _, f := range u.Module.Funcs {
			var nodes []*ir.Node
			b := ir.NewBuilder(f)
			for _, n := range f.Nodes {
				nodes = append(nodes, n)
				if n.Op.Name != "linear" {
					continue
				}
				b.Nodes = nil
				r := n.Result()
				c := b.Scalar("away", r.Type.DType, by)
				sum := b.Node("add", "sum", nil, r, c)
				f.Replace(r, b.Op("sub", "back", nil, sum.Result(), c))
				nodes = append(nodes, b.Nodes...)
			}
			f.Nodes = nodes
		}
		return nil
	}}
}

// TestPrecision: a pass that loses bits is found. One that loses none, added by
// the same means, is not: it is the loss that is found.
func TestPrecision(t *testing.T) {
	for by, found := range map[float64]bool{0: false, 64: true, 512: true} {
		r := Run{Kind: Kinds[1], From: 1, N: 40, Workers: 2, MaxFailures: 1, Tries: -1, New: func() *Checker {
			k := NewChecker()
			k.Train = insert(k.Train, "cleanup", lossy(by))
			return k
		}}
		res := r.Do()
		bad := len(res.Failures) > 0 || TooManyForgiven(res.Counts) != nil
		t.Logf("%g: %d failures, excused %q", by, len(res.Failures), res.Excused)
		if bad != found {
			t.Errorf("%g away and back: found %v, want %v: %v", by, bad, found, res.Failures)
		}
	}
}
