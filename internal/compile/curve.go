package compile

import (
	"errors"
	"fmt"
	"math"
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
	Complete   bool          `json:"complete"`          // all corners are there
	Resolution int64         `json:"resolution_bytes"`  // else the curve may be lower than drawn as far as this left of a corner
	StepFLOPs  int64         `json:"micro_batch_flops"` // with nothing recomputed
	Points     []CurvePoint  `json:"points"`            // corners of the curve, by budget
	Policies   []CurvePolicy `json:"policies"`

	Joined [][]string          `json:"joined,omitempty"` // units that could be several; the curve is exact among the rest
	Chosen *passes.Checkpoints `json:"auto,omitempty"`   // the spec's own plan, if its policy is auto and its budget suffices
}

// CurvePoint is a corner of the curve: with Budget bytes this much must be
// recomputed, and there is an answer that takes exactly as many. On a complete
// curve that holds until the next corner's budget, and with a byte less more is
// recomputed.
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

// A curve of more corners than curveCorners is drawn from at least so many steps.
const curveCorners, curveSteps = 400, 250

// curveWork bounds the solver's work on all corners, to some seconds. An answer
// takes longer the more layers there are: where the work does not suffice, the curve
// has as many steps as it does suffice for, and curveFewest at least.
const curveWork, curveFewest = 30e6, 12

// CheckpointCurve finds the curve of a spec, whatever its policy. Each corner
// is an exact answer of the solver.
func CheckpointCurve(s *specs.Spec, o Options) (c *Curve, err error) {
	defer caught(s, &err)
	m, err := Menu(s, o)
	if err != nil {
		return nil, err
	}
	c = &Curve{Name: s.Name, Layers: m.Layers, Units: m.Units, Minimum: m.Minimum(), Maximum: m.Maximum(), Joined: m.Joined}
	if s.Checkpoint.Policy == "auto" {
		c.Chosen, err = m.Solve(int64(s.Checkpoint.Budget))
		var small *passes.BudgetError
		if err != nil && !errors.As(err, &small) {
			return nil, err
		}
	}
	// First every corner. Where there are too many the curve is a choice of them.
	c.Resolution, c.Complete = plan.Align, true
	before := m.Work
	tried := 0
	if c.Points, tried, err = corners(m, plan.Align, curveCorners); c.Points == nil && err == nil {
		steps := min(curveSteps, max(curveFewest, int64(curveWork/(float64(m.Work-before)/float64(tried)))))
		c.Resolution, c.Complete = max(plan.Align, (c.Maximum-c.Minimum)/steps), false
		c.Points, _, err = corners(m, c.Resolution, math.MaxInt)
	}
	if err != nil {
		return nil, err
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

// corners finds those of a curve, from the largest budget down, or nil if it takes
// more than limit answers, or with a limit more than curveWork; and how many answers it
// took. An answer's peak is mostly below its budget, and all
// budgets between the two have the same answer, so the walk goes on just below the
// peak, or a step of the resolution further, whichever is less.
func corners(m *passes.Menu, resolution int64, limit int) (points []CurvePoint, tried int, err error) {
	least := m.Minimum()
	bounded, most := limit < math.MaxInt, m.Work+curveWork
	for budget := m.Maximum(); budget >= least; tried++ {
		if tried == limit || bounded && m.Work > most {
			return nil, tried, nil
		}
		a, err := m.Solve(budget)
		if err != nil {
			return nil, tried, err
		}
		if k := len(points) - 1; k >= 0 && points[k].FLOPs == a.FLOPs {
			// The same work in less memory: the corner moves to the left.
			points[k].Budget = a.Peak
		} else {
			points = append(points, CurvePoint{a.Peak, a.FLOPs})
		}
		// At least the resolution further, so that the loop has an end that does not
		// depend on the model.
		next := min(a.Peak-plan.Align, budget-resolution)
		if budget > least {
			next = max(next, least) // the last corner is at the minimum itself
		}
		if budget = next; a.Peak == least {
			break
		}
	}
	return points, tried, nil
}
