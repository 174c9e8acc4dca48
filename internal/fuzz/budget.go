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
func (k *Checker) budget(c *Case, r *reference, p *plan.Plan, first model.Trainer) error {
	under := func(bytes int64) (*passes.Unit, error) {
		u := &passes.Unit{Module: ir.Clone(c.Train, nil), Config: c.config("auto")}
		u.Config.Budget, u.Config.Units = bytes, fewUnits
		return u, passes.Run(u, k.Train)
	}
	_, err := under(0)
	var small *passes.BudgetError
	if !errors.As(err, &small) {
		if needsStack(err) {
			k.Counts["budget: "+err.Error()]++
			return nil
		}
		return fmt.Errorf("policy auto with no bytes: %v, want a minimum", err)
	}
	if _, err := under(small.Minimum - 1); !errors.As(err, &small) {
		return fmt.Errorf("policy auto with a byte less than its minimum of %d: %v", small.Minimum, err)
	}
	none, err := k.compile(c, "none", 0, nil)
	if err != nil {
		return err
	}
	budget := small.Minimum
	if more := none.Plan.Arena("act.train") - budget; more > 0 {
		budget += int64(mixed(c.Seed, ofBudget)>>1) % (more + 1)
	}
	u, err := under(budget)
	if err != nil {
		return fmt.Errorf("policy auto with %d bytes: %w", budget, err)
	}
	if got := u.Plan.Arena("act.train"); got > budget || got != u.Checkpoint.Peak {
		return fmt.Errorf("policy auto with %d bytes takes %d, and says %d", budget, got, u.Checkpoint.Peak)
	}
	q, err := throughText(u.Plan)
	if err != nil {
		return fmt.Errorf("policy auto with %d bytes: %w", budget, err)
	}
	t, err := k.run(q, r)
	if err != nil {
		return fmt.Errorf("policy auto with %d bytes: %w", budget, err)
	}
	if err := sameGrads(p, first, q, t); err != nil {
		return fmt.Errorf("policy auto with %d bytes: %w", budget, err)
	}
	k.Counts[fmt.Sprintf("budget: %d segments", len(u.Checkpoint.Segments))]++
	return nil
}
