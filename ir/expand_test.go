package ir_test

import (
	"math"
	"slices"
	"testing"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/ir/interp"
)

// expanded copies a function and puts the expansion of its node with the given
// op in the node's place.
func expanded(t testing.TB, f *ir.Func, op string) *ir.Func {
	t.Helper()
	k := ir.CloneFunc(f, f.Name)
	i := slices.IndexFunc(k.Nodes, func(n *ir.Node) bool { return n.Op.Name == op })
	n := k.Nodes[i]
	b := ir.NewBuilder(k)
	again := n.Op.Expand(b, n)
	if len(again) != len(n.Results) {
		t.Fatalf("the expansion has %d results, want %d", len(again), len(n.Results))
	}
	for j, v := range again {
		if !v.Type.Equal(n.Results[j].Type) {
			t.Fatalf("the expansion's result %d has type %s, want %s", j, v.Type, n.Results[j].Type)
		}
	}
	k.Nodes = slices.Replace(k.Nodes, i, i+1, b.Nodes...)
	for j, v := range again {
		k.Replace(n.Results[j], v)
		v.Name = n.Results[j].Name
	}
	return k
}

// near compares two results of nearly the same computation: relative to the
// largest element, a few thousand roundings of float64.
func near(t testing.TB, what string, got, want *interp.Tensor) {
	t.Helper()
	size := 0.0
	for _, x := range want.F {
		if !math.IsInf(x, 0) {
			size = math.Max(size, math.Abs(x))
		}
	}
	if d := interp.MaxDiff(got, want); !(d <= 1e-12*size) {
		t.Errorf("%s differs by %g of %g", what, d, size)
	}
}

// TestExpand: an expansion computes what the op does, holds no fused op, and has
// the same gradients.
func TestExpand(t *testing.T) {
	for _, s := range samples(t) {
		if ir.Lookup(s.op).Expand == nil {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			full := expanded(t, s.f, s.op)
			for _, n := range full.Nodes {
				if n.Op.Name == s.op || n.Op.Group != ir.Primitive && n.Op.Expand == nil {
					t.Errorf("the expansion holds %s, which is %s", n.Op.Name, n.Op.Group)
				}
			}
			verifyAlone(t, s.m, full)
			p := newProblem(s.m, s.f, newRNG(s.name))
			q := &problem{s.m, full, p.mach, p.args[:len(s.f.Params)]}
			want := (&problem{s.m, s.f, p.mach, q.args}).run(t, s.f)
			for i, got := range q.run(t, full) {
				near(t, s.f.Results[i].String(), got, want[i])
			}
			q = &problem{s.m, withLoss(full), p.mach, p.args}
			wrt := p.operands()
			fused := p.analytic(t, wrt)
			for i, d := range q.analytic(t, q.operands()) {
				near(t, "the gradient of "+wrt[i].String(), d, fused[i])
			}
		})
	}
}

// TestRederive computes each result that a row can derive from stored ones and
// wants the node's own bits.
func TestRederive(t *testing.T) {
	count := 0
	for _, s := range samples(t) {
		n := s.node(t)
		if n.Op.Rederive == nil {
			continue
		}
		for i, r := range n.Results {
			k := ir.CloneFunc(s.f, s.f.Name)
			m := k.Nodes[slices.IndexFunc(s.f.Nodes, func(x *ir.Node) bool { return x == n })]
			b := ir.NewBuilder(k)
			again := n.Op.Rederive(b, m, i, func(v *ir.Value) *ir.Value {
				if v == m.Results[i] {
					return nil // what is derived is not stored
				}
				return v
			})
			if again == nil {
				continue
			}
			count++
			if slices.ContainsFunc(b.Nodes, func(x *ir.Node) bool { return slices.Contains(x.Operands, m.Results[i]) }) {
				t.Errorf("%s: %s is derived from itself", s.name, r)
			}
			b.Flush()
			k.Results = []*ir.Value{m.Results[i], again}
			verifyAlone(t, s.m, k)
			rng := newRNG(s.name)
			out := (&problem{s.m, k, machine(s.m, rng), arguments(k, rng)}).run(t, k)
			for j, x := range out[0].F {
				if math.Float64bits(x) != math.Float64bits(out[1].F[j]) {
					t.Errorf("%s: %s[%d] is %v, derived %v", s.name, r, j, x, out[1].F[j])
				}
			}
			// Without the other results there is nothing to derive it from.
			if n.Op.Rederive(ir.NewBuilder(k), m, i, func(*ir.Value) *ir.Value { return nil }) != nil {
				t.Errorf("%s: %s is derived from nothing", s.name, r)
			}
		}
	}
	if count == 0 {
		t.Error("no op derives a result again")
	}
}
