package fuzz

import (
	"errors"
	"fmt"
	"slices"

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
	prepared := func(bytes int64) *passes.Unit {
		u := &passes.Unit{Module: ir.Clone(c.Train, nil), Config: c.config("auto")}
		// Few choices a layer and the policies' own are priced in milliseconds.
		u.Config.Budget, u.Config.Units, u.Config.Audit = bytes, fewUnits, true
		return u
	}
	// The prices alone serve for what needs no plan.
	var menu *passes.Menu
	pipeline := slices.Clone(k.Train)
	at := slices.IndexFunc(pipeline, func(p passes.Pass) bool { return p.Name == passes.PlanCheckpoint.Name })
	pipeline[at].Run = func(u *passes.Unit) (err error) {
		menu, err = passes.NewMenu(u)
		return err
	}
	if err := passes.Run(prepared(0), pipeline[:at+1]); err != nil {
		// Random graphs have two segments at times, or no layers.
		if errors.Is(err, passes.ErrNoMenu) {
			k.Counts["budget: "+err.Error()]++
			return nil
		}
		return fmt.Errorf("policy auto: %w", err)
	}
	// No model fits into nothing, and the error says what would do; that is exact,
	// so a byte less must be too little.
	least := menu.Minimum()
	var small *passes.BudgetError
	for _, bytes := range []int64{0, least - 1} {
		if _, err := menu.Solve(bytes); !errors.As(err, &small) || small.Minimum != least {
			return fmt.Errorf("policy auto with %d bytes, %d are the least: %v", bytes, least, err)
		}
	}
	none, err := k.compile(c, "none", 0, nil)
	if err != nil {
		return err
	}
	// With as much as a policy takes auto recomputes no more than it.
	enough := none.Plan.Arena("act.train")
	if a, err := menu.Solve(enough); err != nil || a.FLOPs > 0 {
		return fmt.Errorf("policy auto with what none takes, %d bytes: %v, chosen is %+v", enough, err, a)
	}
	more := max(0, enough-least)
	budgets := []int64{least + int64(mixed(c.Seed, ofBudget)>>1)%(more+1)}
	if c.Extra { // a reproducer must not depend on what its seed draws
		for eighths := range int64(8) {
			budgets = append(budgets, least+more*eighths/8)
		}
	}
	for _, budget := range budgets {
		u := prepared(budget)
		if err := passes.Run(u, k.Train); err != nil {
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
