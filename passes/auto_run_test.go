package passes

import (
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/llamac/llamac/exec"
	"github.com/llamac/llamac/ir/build"
	"github.com/llamac/llamac/plan"
	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/specs"
)

// trained compiles a spec's training under a policy and runs one micro-batch of
// random numbers in poisoned memory.
func trained(t *testing.T, s *specs.Spec, policy string, budget int64) (*Unit, model.Trainer, error) {
	t.Helper()
	m, err := build.Train(s)
	if err != nil {
		t.Fatal(err)
	}
	u := &Unit{Module: m, Config: Config{Checkpoint: policy, Budget: budget,
		Dims: map[string]int64{"B": int64(s.Train.MicroBatch), "T": int64(s.Model.Context)}}}
	if err := Run(u, Train); err != nil {
		return nil, nil, err
	}
	r, err := exec.NewTrainer(u.Plan, exec.Options{Options: model.Options{Workers: 1}, Poison: true})
	if err != nil {
		t.Fatal(err)
	}
	microStep(r, s)
	return u, r, nil
}

// microStep runs one micro-batch of random numbers with random parameters, the
// same each time, and gives a copy of the gradients.
func microStep(r model.Trainer, s *specs.Spec) []float32 {
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range r.Params() {
		r.Params()[i] = float32(rng.NormFloat64()) / 8
	}
	n := s.Train.MicroBatch * s.Model.Context
	tokens, targets := make([]int32, n), make([]int32, n)
	for i := range n {
		tokens[i], targets[i] = int32(rng.IntN(s.Model.Vocab)), int32(rng.IntN(s.Model.Vocab))
	}
	r.MicroStep(model.Batch{Tokens: tokens, Targets: targets}, true)
	return slices.Clone(r.Grads())
}

// touched is the end of the highest place of the arena that a program's
// operands lie in, layer by layer.
func touched(p *plan.Plan, q *plan.Program) int64 {
	var most int64
	see := func(layer int, os []plan.Operand) {
		for _, o := range os {
			switch {
			case o.Kind != plan.InBuffer:
			case o.Buffer.Region == plan.Scratch:
				most = max(most, o.Buffer.Offset+o.Buffer.Bytes)
			case o.Buffer.Region == plan.Saved:
				at := map[plan.Layer]int{plan.ThisLayer: layer, plan.NextLayer: layer + 1, plan.FirstOne: 0, plan.AfterLast: p.Layers()}[o.Layer]
				most = max(most, o.Buffer.At(at)+o.Buffer.Bytes)
			}
		}
	}
	var visit func(items []plan.Item, layer int)
	visit = func(items []plan.Item, layer int) {
		for _, it := range items {
			switch x := it.(type) {
			case *plan.Loop:
				for l := x.From; l < x.To; l++ {
					visit(x.Body, l)
				}
			case *plan.Launch:
				see(layer, x.Args)
				see(layer, x.Results)
			case *plan.Copy:
				see(layer, []plan.Operand{x.Src, x.Dst})
			}
		}
	}
	visit(q.Items, -1)
	return align(most, plan.Align)
}

// TestBudgetRuns runs training under budgets from the smallest to more than
// can be used: the programs reach exactly as far into the arena as the plan
// says, which is within the budget, and gradients are those of a plan that
// recomputes nothing, bit for bit. A byte less than the smallest is refused.
func TestBudgetRuns(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, c := range []struct {
		spec   string
		layers string
	}{{"tiny_gqa", "5"}, {"testdata/qknorm", "3"}, {"testdata/parallel", "4"}, {"testdata/gelu", "3"}} {
		s, err := specs.Load(filepath.Join("..", "specs", c.spec+".jsonnet"), specs.Options{Set: []string{"model.n_layers=" + c.layers}})
		if err != nil {
			t.Fatal(err)
		}
		_, want, err := trained(t, s, "none", 0)
		if err != nil {
			t.Fatal(err)
		}
		m := menu(t, boundUnit(t, c.spec, "model.n_layers="+c.layers))
		low, high := m.Minimum(), m.Maximum()
		var small *BudgetError
		if _, _, err := trained(t, s, "auto", low-1); !errors.As(err, &small) || small.Minimum != low {
			t.Errorf("%s: a byte less than %d: %v", c.spec, low, err)
		}
		budgets := []int64{low, high - 1, high, 2 * high}
		for range 5 {
			budgets = append(budgets, low+rng.Int64N(high-low))
		}
		var most int
		for _, budget := range budgets {
			u, got, err := trained(t, s, "auto", budget)
			if err != nil {
				t.Fatal(err)
			}
			p := u.Plan
			var reached int64
			for _, q := range p.Programs {
				if q.Arena == "act.train" {
					reached = max(reached, touched(p, q))
				}
			}
			if a := p.Arena("act.train"); reached != a || a > budget || a != u.Checkpoint.Peak || u.Checkpoint.Minimum != low {
				t.Errorf("%s, %d bytes: the programs reach %d of an arena of %d, the plan says %d from %d on", c.spec, budget, reached, a, u.Checkpoint.Peak, u.Checkpoint.Minimum)
			}
			if budget >= high && u.Checkpoint.FLOPs != 0 {
				t.Errorf("%s, %d bytes: %d FLOPs again", c.spec, budget, u.Checkpoint.FLOPs)
			}
			most = max(most, len(u.Checkpoint.Segments))
			if !slices.EqualFunc(got.Grads(), want.Grads(), func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) }) {
				t.Errorf("%s, %d bytes: gradients are not those of policy none", c.spec, budget)
			}
			got.Close()
		}
		want.Close()
		t.Logf("%s: budgets from %d to %d, up to %d segments", c.spec, low, high, most)
	}
}
