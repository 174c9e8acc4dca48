package compile

import (
	"path/filepath"
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
		{"testdata/parallel", nil, true}, {"gopher", nil, false}, {"7b", []string{"model.n_layers=12"}, false},
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
			if i > 0 && c.complete {
				if got := at(p.Budget - 1); got != ps[i-1].FLOPs {
					t.Errorf("%s: a byte below corner %d, %v, costs %d, want %d", c.spec, i, p, got, ps[i-1].FLOPs)
				}
			}
		}
		if len(curve.Policies) != 3 || curve.Policies[0].FLOPs != 0 {
			t.Errorf("%s: policies %v", c.spec, curve.Policies)
		}
		for _, p := range curve.Policies {
			if p.Arena >= menu.Minimum() && at(p.Arena) > p.FLOPs {
				t.Errorf("%s: policy %s recomputes %d FLOPs in %d bytes, auto %d", c.spec, p.Name, p.FLOPs, p.Arena, at(p.Arena))
			}
		}
		t.Logf("%s %v: %d corners", c.spec, c.set, len(ps))
	}
}
