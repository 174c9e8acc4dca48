package compile

import (
	"errors"
	"fmt"
	"slices"

	"github.com/llamac/llamac/passes"
	"github.com/llamac/llamac/plan"
	"github.com/llamac/llamac/specs"
)

// Curve is what a spec's activations cost: the least recomputation for every
// budget, and where the fixed policies lie.
// Sizes are bytes of the arena of activations, for one micro-batch; work is FLOPs of
// one micro-batch. The JSON names are for scripts.
type Curve struct {
	Name       string        `json:"name"`
	Layers     int           `json:"layers"`
	Units      [][]string    `json:"units"`             // what a layer may store beside its input, together what is in one list
	Minimum    int64         `json:"minimum_bytes"`     // below it there is no answer
	Maximum    int64         `json:"maximum_bytes"`     // above it nothing is recomputed
	Resolution int64         `json:"resolution_bytes"`  // corners nearer to each other than this are left out
	StepFLOPs  int64         `json:"micro_batch_flops"` // with nothing recomputed
	Points     []CurvePoint  `json:"points"`            // corners of the curve, by budget
	Policies   []CurvePolicy `json:"policies"`

	Joined [][]string          `json:"joined,omitempty"` // units that could be several; the curve is exact among the rest
	Chosen *passes.Checkpoints `json:"auto,omitempty"`   // the spec's own plan, if its policy is auto and its budget suffices
}

// CurvePoint is a corner of the curve: from this budget on, until the next
// corner's, this much is recomputed.
// Budget is the exact peak of the answer: with a byte less it is another one.
type CurvePoint struct {
	Budget int64 `json:"budget_bytes"`
	FLOPs  int64 `json:"recomputed_flops"`
}

// CurvePolicy is a policy's arena of activations and its cost.
type CurvePolicy struct {
	Name  string `json:"policy"`
	Arena int64  `json:"arena_bytes"`
	FLOPs int64  `json:"recomputed_flops"`
}

// curveSteps is how finely the range of budgets is divided at least. Curves
// with fewer corners than that are complete.
const curveSteps = 250

// CheckpointCurve finds the curve of a spec, whatever its policy. Each corner
// is an exact answer of the solver.
// It walks from the largest budget down. An answer's peak is mostly below its budget,
// and all budgets between the two have the same answer, so the walk goes on just below
// the peak: a curve has few corners, however fine the budgets.
func CheckpointCurve(s *specs.Spec, o Options) (*Curve, error) {
	m, err := Menu(s, o)
	if err != nil {
		return nil, err
	}
	c := &Curve{Name: s.Name, Layers: m.Layers, Units: m.Units, Minimum: m.Minimum(), Maximum: m.Maximum(), Joined: m.Joined}
	if s.Checkpoint.Policy == "auto" {
		c.Chosen, err = m.Solve(int64(s.Checkpoint.Budget))
		var small *passes.BudgetError
		if err != nil && !errors.As(err, &small) {
			return nil, err
		}
	}
	c.Resolution = max(plan.Align, (c.Maximum-c.Minimum)/curveSteps)
	for budget := c.Maximum; budget >= c.Minimum; {
		a, err := m.Solve(budget)
		if err != nil {
			return nil, err
		}
		if k := len(c.Points) - 1; k >= 0 && c.Points[k].FLOPs == a.FLOPs {
			// The same work in less memory: the corner moves to the left.
			c.Points[k].Budget = a.Peak
		} else {
			c.Points = append(c.Points, CurvePoint{a.Peak, a.FLOPs})
		}
		// At least the resolution further, so that the loop has an end that does not
		// depend on the model.
		next := min(a.Peak-plan.Align, budget-c.Resolution)
		if budget > c.Minimum {
			next = max(next, c.Minimum) // the last corner is at the minimum itself
		}
		if budget = next; a.Peak == c.Minimum {
			break
		}
	}
	// By budget, as the picture draws them.
	slices.Reverse(c.Points)
	// The policies are compiled for real: their arenas are those of plans.
	for _, name := range passes.Policies {
		o := o
		o.Checkpoint, o.Modes, o.Targets = name, []string{"train"}, []string{}
		r, err := Spec(s, o)
		if err != nil {
			return nil, err
		}
		q := r.Plan.Program("micro_step")
		if q == nil {
			return nil, fmt.Errorf("%s: no training", s.Name)
		}
		flops := work(q.Items, 1)
		// First in the list, since the others are counted against it.
		if name == "none" {
			c.StepFLOPs = flops
		}
		c.Policies = append(c.Policies, CurvePolicy{name, r.Plan.Arena("act.train"), flops - c.StepFLOPs})
	}
	return c, nil
}
