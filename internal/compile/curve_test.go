package compile

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/llamac/llamac/specs"
)

// TestCurve holds the curve of several specs to the solver: from each corner on
// its cost holds, a byte below it more must be recomputed, and no fixed policy
// lies below the curve.
func TestCurve(t *testing.T) {
	for _, c := range []struct {
		spec     string
		set      []string
		complete bool // every corner is there
	}{
		{"tiny_gqa", nil, true}, {"tiny_gqa", []string{"model.n_layers=1"}, true}, {"tiny_gqa", []string{"checkpoint.policy=auto", "checkpoint.budget=1e9"}, true},
		{"testdata/parallel", nil, true}, {"testdata/gelu", nil, true}, {"gopher", nil, true}, {"7b", []string{"model.n_layers=12"}, false},
	} {
		s, err := specs.Load(filepath.Join("..", "..", "specs", c.spec+".jsonnet"), specs.Options{Set: c.set})
		if err != nil {
			t.Fatal(err)
		}
		curve, err := CheckpointCurve(s, Options{})
		if err != nil {
			t.Fatal(err)
		}
		menu, err := Menu(s, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if curve.Complete != c.complete {
			t.Errorf("%s: complete is %v with %d corners", c.spec, curve.Complete, len(curve.Points))
		}
		ps := curve.Points
		if first, last := ps[0], ps[len(ps)-1]; first.Budget != menu.Minimum() || last.FLOPs != 0 || last.Budget > menu.Maximum() {
			t.Errorf("%s: from %v to %v, want from %d bytes to 0 FLOPs at %d", c.spec, first, last, menu.Minimum(), menu.Maximum())
		}
		at := func(budget int64) int64 {
			a, err := menu.Solve(budget)
			if err != nil {
				t.Fatal(err)
			}
			return a.FLOPs
		}
		for i, p := range ps {
			if got := at(p.Budget); got != p.FLOPs || i > 0 && (p.Budget <= ps[i-1].Budget || p.FLOPs >= ps[i-1].FLOPs) {
				t.Errorf("%s: corner %d, %v, costs %d", c.spec, i, p, got)
			}
			if i > 0 && curve.Complete {
				if got := at(p.Budget - 1); got != ps[i-1].FLOPs {
					t.Errorf("%s: a byte below corner %d, %v, costs %d, want %d", c.spec, i, p, got, ps[i-1].FLOPs)
				}
			}
		}
		if len(curve.Policies) != 3 {
			t.Errorf("%s: policies %v", c.spec, curve.Policies)
		}
		var none int64
		for i, p := range curve.Policies {
			// What the program that runs under the policy takes and does.
			set := append(slices.Clone(c.set), "checkpoint.policy="+p.Name, "checkpoint.budget=0")
			s, err := specs.Load(filepath.Join("..", "..", "specs", c.spec+".jsonnet"), specs.Options{Set: set})
			if err != nil {
				t.Fatal(err)
			}
			r, err := Spec(s, Options{})
			if err != nil {
				t.Fatal(err)
			}
			flops := Figures(s, r).StepFLOPs
			if i == 0 {
				none = flops
			}
			if arena := r.Plan.Arena("act.train"); p != (CurvePolicy{[]string{"none", "keep-linear", "full"}[i], arena, flops - none}) {
				t.Errorf("%s: %v, compiled it takes %d bytes and %d FLOPs more than none", c.spec, p, arena, flops-none)
			}
			if at(p.Arena) > p.FLOPs {
				t.Errorf("%s: policy %s recomputes %d FLOPs in %d bytes, auto %d", c.spec, p.Name, p.FLOPs, p.Arena, at(p.Arena))
			}
		}
		t.Logf("%s %v: %d corners", c.spec, c.set, len(ps))
	}
}

// TestBudgetOrders: in whatever order a graph's nodes stand, auto counts on the
// arena that its plan then takes.
func TestBudgetOrders(t *testing.T) {
	for _, name := range []string{"tiny_gqa.jsonnet", "testdata/parallel.jsonnet", "testdata/qknorm.jsonnet"} {
		s := load(t, name)
		sizes := map[int64]bool{}
		for seed := range uint64(6) { // 0 is the order of the graph
			o := Options{Shuffle: seed, Checkpoint: "auto", Modes: []string{"train"}, Targets: []string{}}
			m, err := Menu(s, o)
			if err != nil {
				t.Fatal(err)
			}
			o.Budget = m.Minimum() * 5 / 4
			r, err := Spec(s, o)
			if err != nil {
				t.Errorf("%s, order %d: %v", name, seed, err)
				continue
			}
			got := r.Plan.Arena("act.train")
			sizes[got] = true
			if got != r.Checkpoint.Peak || got > o.Budget {
				t.Errorf("%s, order %d: %d bytes, counted on %d of %d", name, seed, got, r.Checkpoint.Peak, o.Budget)
			}
		}
		t.Logf("%s: %d sizes", name, len(sizes))
	}
}

// TestCurveOfManyLayers answers with fewer steps, and says so, where all of them
// would take minutes.
func TestCurveOfManyLayers(t *testing.T) {
	s, err := specs.Load(filepath.Join("..", "..", "specs", "gopher.jsonnet"), specs.Options{Set: []string{"model.n_layers=1000"}})
	if err != nil {
		t.Fatal(err)
	}
	curve, err := CheckpointCurve(s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(curve.Points); n < curveFewest || n > curveSteps/2 || curve.Complete || curve.Resolution < (curve.Maximum-curve.Minimum)/int64(n+1) {
		t.Errorf("%d corners, complete %v, in steps of %d bytes", n, curve.Complete, curve.Resolution)
	}
}
