package fuzz

import (
	"errors"
	"fmt"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/passes"
	"github.com/llamac/llamac/plan"
	"github.com/llamac/llamac/runtime/model"
)

// budget checks the policy auto at a budget that the seed draws between the
// smallest and what storing everything takes: the arena keeps within it, a byte
// less than the smallest is refused, and the gradients are those of the plan p
// of another policy, bit for bit.
// What the answer costs is for package passes to test, against a search of all.
func (k *Checker) budget(c *Case, r *reference, p *plan.Plan, first model.Trainer) error {
	// Units bounds how many things a layer may store or not, and so the prices that
	// have to be computed.
	under := func(bytes int64) (*passes.Unit, error) {
		u := &passes.Unit{Module: ir.Clone(c.Train, nil), Config: c.config("auto")}
		// Few choices a layer and the policies' own are priced in milliseconds.
		u.Config.Budget, u.Config.Units, u.Config.Audit = bytes, fewUnits, true
		return u, passes.Run(u, k.Train)
	}
	// No model fits into nothing, and the error says what would do.
	_, err := under(0)
	var small *passes.BudgetError
	if !errors.As(err, &small) {
		// Random graphs have two segments at times, or no layers.
		if errors.Is(err, passes.ErrNoMenu) {
			k.Counts["budget: "+err.Error()]++
			return nil
		}
		return fmt.Errorf("policy auto with no bytes: %v, want a minimum", err)
	}
	// The minimum is exact: a byte less must be too little.
	if _, err := under(small.Minimum - 1); !errors.As(err, &small) {
		return fmt.Errorf("policy auto with a byte less than its minimum of %d: %v", small.Minimum, err)
	}
	none, err := k.compile(c, "none", 0, nil)
	if err != nil {
		return err
	}
	// With as much as a policy takes auto recomputes no more than it.
	if u, err := under(none.Plan.Arena("act.train")); err != nil || u.Checkpoint.FLOPs > 0 {
		return fmt.Errorf("policy auto with what none takes, %d bytes: %v, chosen is %+v", none.Plan.Arena("act.train"), err, u.Checkpoint)
	}
	more := max(0, none.Plan.Arena("act.train")-small.Minimum)
	budgets := []int64{small.Minimum + int64(mixed(c.Seed, ofBudget)>>1)%(more+1)}
	if c.Extra { // a reproducer must not depend on what its seed draws
		for eighths := range int64(8) {
			budgets = append(budgets, small.Minimum+more*eighths/8)
		}
	}
	for _, budget := range budgets {
		u, err := under(budget)
		if err != nil {
			return fmt.Errorf("policy auto with %d bytes: %w", budget, err)
		}
		if err := k.underBudget(r, u, budget, p, first); err != nil {
			return fmt.Errorf("policy auto with %d bytes: %w", budget, err)
		}
	}
	return nil
}

// underBudget checks one plan of the policy auto.
func (k *Checker) underBudget(r *reference, u *passes.Unit, budget int64, p *plan.Plan, first model.Trainer) error {
	// The solver prices plans by the planner itself, so what it says must be what
	// the plan takes, to the byte.
	if got := u.Plan.Arena("act.train"); got > budget || got != u.Checkpoint.Peak {
		return fmt.Errorf("it takes %d, and says %d", got, u.Checkpoint.Peak)
	}
	q, err := throughText(u.Plan)
	if err != nil {
		return err
	}
	t, err := k.run(q, u.Module, r)
	if err != nil {
		return err
	}
	if err := sameGrads(p, first, q, t); err != nil {
		return err
	}
	k.Counts[fmt.Sprintf("budget: %d segments", len(u.Checkpoint.Segments))]++
	return nil
}
