package passes

import (
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/llamac/llamac/exec"
	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/ir/build"
	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/specs"
)

// storing is the policy that stores one set of units in all layers.
func storing(mask int) Pass {
	return Pass{Name: PlanCheckpoint.Name, Required: true, Run: func(u *Unit) error {
		m, err := NewMenu(u)
		if err != nil {
			return err
		}
		f, bwd := m.variant(mask&(1<<len(m.units)-1), m.f.Name, m.bwd.Name, true)
		s := u.Module.Stacks[0]
		s.Segments = []ir.Segment{{From: 0, To: m.Layers, Forward: f, Backward: bwd}}
		u.Module.Funcs[slices.Index(u.Module.Funcs, m.f)] = f
		u.Module.Funcs[slices.Index(u.Module.Funcs, m.bwd)] = bwd
		return nil
	}}
}

// TestMenuBits runs training with sets of units drawn at random stored, which
// part what packs hold in all ways: gradients are those of a plan that
// recomputes nothing, bit for bit, also where widths are odd.
func TestMenuBits(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	for _, c := range []struct {
		spec string
		set  []string
	}{
		{"tiny_gqa", nil}, {"testdata/parallel", nil}, {"testdata/gelu", nil}, {"testdata/qknorm", nil},
		{"tiny_gqa", []string{"model.dim=42", "model.n_heads=7", "model.n_kv_heads=1", "model.ffn_dim=53"}},
		{"testdata/parallel", []string{"model.dim=42", "model.n_heads=7", "model.ffn_dim=53"}},
	} {
		s, err := specs.Load(filepath.Join("..", "specs", c.spec+".jsonnet"), specs.Options{Set: append(c.set, "model.n_layers=2")})
		if err != nil {
			t.Fatal(err)
		}
		var want []float32
		for i := range 24 {
			mask := rng.Int()
			if i == 0 {
				mask = -1
			}
			m, err := build.Train(s)
			if err != nil {
				t.Fatal(err)
			}
			passes := slices.Clone(Train)
			at := slices.IndexFunc(passes, func(p Pass) bool { return p.Name == PlanCheckpoint.Name })
			passes[at] = storing(mask)
			u := &Unit{Module: m, Config: Config{Units: 1, Checkpoint: "auto", Dims: map[string]int64{"B": int64(s.Train.MicroBatch), "T": int64(s.Model.Context)}}}
			if err := Run(u, passes); err != nil {
				t.Fatal(err)
			}
			r, err := exec.NewTrainer(u.Plan, exec.Options{Options: model.Options{Workers: 1}, Poison: true})
			if err != nil {
				t.Fatal(err)
			}
			grads := microStep(r, s)
			if i == 0 {
				want = grads
			} else if !slices.EqualFunc(grads, want, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) }) {
				t.Errorf("%s %v: other gradients with set %b", c.spec, c.set, mask)
			}
		}
	}
}
