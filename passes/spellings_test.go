package passes

import (
	"testing"

	"github.com/llamac/llamac/internal/spelling"
	"github.com/llamac/llamac/ir"
	"pgregory.net/rapid"
)

// TestRandomSpellings composes LLaMA layers of randomly chosen spellings, in
// random node order. Whatever the choice, the same ops must be left after the
// fusions, without a single transpose, and compute the same.
func TestRandomSpellings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSpeller(t)
		s.Layer()
		if err := ir.Verify(s.m); err != nil {
			t.Fatalf("the test's own layer: %v\n%s", err, s.m)
		}
		before := ir.Clone(s.m, nil)
		ir.Shuffle(s.F, rapid.Uint64().Draw(t, "order"))
		runPasses(t, s.m, allFusions)
		s.fused(t, before)
		sameNumbers(t, before, s.m)

		// Every fused op's own expansion is a spelling too.
		expandAll(s.F)
		if err := ir.Verify(s.m); err != nil {
			t.Fatalf("expanded: %v\n%s", err, s.m)
		}
		sameNumbers(t, before, s.m)
		before = ir.Clone(s.m, nil)
		runPasses(t, s.m, allFusions)
		s.fused(t, before)
		sameNumbers(t, before, s.m)
	})
}

// fused checks that exactly the ops of a fused layer are left, and views.
func (s *speller) fused(t *rapid.T, before *ir.Module) {
	got := map[string]int{}
	for _, n := range s.F.Nodes {
		if n.Op.Name != "reshape" {
			got[n.Op.Name]++
		}
	}
	for op, n := range map[string]int{
		"rms_norm": 1, "linear_pack": 2, "rope": 2, "attention": 1, "linear": 2, "add_rms_norm": 1, "swiglu": 1, "add": 1 + s.Biases,
	} {
		if got[op] != n {
			t.Errorf("%d of %s are left, want %d", got[op], op, n)
		}
		delete(got, op)
	}
	if len(got) > 0 {
		t.Errorf("left over: %v", got)
	}
	if t.Failed() {
		t.Logf("before\n%s\nafter\n%s", before, s.m)
		t.FailNow()
	}
}

// expandAll replaces every node that stands for others by those, down to the
// primitives.
func expandAll(f *ir.Func) {
	for again := true; again; {
		again = false
		instead := map[*ir.Node][]*ir.Node{}
		b := ir.NewBuilder(f)
		for _, n := range f.Nodes {
			if n.Op.Expand == nil {
				continue
			}
			for i, v := range n.Op.Expand(b, n) {
				adopt(n.Results[i], v)
				for _, made := range b.Nodes {
					aliases{v: n.Results[i]}.apply(made.Operands)
				}
			}
			instead[n], again = b.Nodes, true
			b.Nodes = nil
		}
		splice(f, instead)
	}
}

// speller writes one layer into a module, choosing by rapid.
type speller struct {
	*spelling.Speller
	m *ir.Module
}

func newSpeller(t *rapid.T) *speller {
	f := &ir.Func{Name: "layer", Role: ir.RoleLayer}
	s := &speller{&spelling.Speller{Builder: ir.NewBuilder(f)}, &ir.Module{Name: "m", Funcs: []*ir.Func{f}}}
	s.Choose = func(what string, n int) int { return rapid.IntRange(0, n-1).Draw(t, what) }
	s.NewWeight = func(name string, dims ...int64) *ir.Value {
		t := ir.Type{DType: ir.F32}
		for _, d := range dims {
			t.Dims = append(t.Dims, ir.Const(d))
		}
		w := &ir.Weight{Name: name, Type: t, Layout: ir.RowMajor}
		s.m.Weights = append(s.m.Weights, w)
		return s.F.WeightValue(w)
	}
	s.m.Dims = []ir.DimDecl{{Name: "B", Min: 1, Max: 8}, {Name: "T", Min: 2, Max: 64}}
	s.B, s.T = ir.Sym("B"), ir.Sym("T")
	if s.Choose("numeric batch", 4) == 0 {
		s.B = ir.Const(int64(1 + s.Choose("batch", 3)))
	}
	if s.Choose("numeric length", 3) == 0 {
		s.T = ir.Const(int64(2 + s.Choose("length", 5)))
	}
	s.KVHeads = int64(1 + s.Choose("kv heads", 3))
	s.Heads = s.KVHeads * int64(1+s.Choose("group", 3))
	s.HeadDim = 2 * int64(2+s.Choose("pairs", 3))
	if s.Choose("starts", 3) == 0 {
		s.Starts = s.Param("starts", ir.TensorOf(ir.I32, s.B, s.T))
	}
	if s.Choose("window", 4) == 0 {
		s.Window = int64(1 + s.Choose("keys", 4))
	}
	return s
}
