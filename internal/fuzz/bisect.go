package fuzz

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/ir/interp"
	"github.com/llamac/llamac/passes"
	"github.com/llamac/llamac/plan"
	"github.com/llamac/llamac/runtime/model"
)

// Culprit is the first pass after which a case computes something else than
// its untouched graph.
// It accuses and does not prove: a pass may do what is allowed and so bring a bug of a
// later station to light. The texts are there to be compared by a person.
type Culprit struct {
	Mode          string // train or infer
	Pass          string
	Setting       string // policy and order of nodes with which it goes wrong
	Err           error  // the difference
	Before, After string // texts of the module around the pass, or of the plan
}

func (c *Culprit) String() string {
	return fmt.Sprintf("%s, %s: wrong after pass %s: %v", c.Mode, c.Setting, c.Pass, c.Err)
}

// behind names what lowers a module and runs it, where no pass over the module
// is to blame.
// The interpreter has run the last module and found it right.
const behind = "schedule, plan_memory or a kernel"

// Bisect looks for the pass that makes a case go wrong; it is nil where all
// is well. Under every checkpoint policy and in two orders of nodes, and under
// the policy auto with the smallest budget and with one midway, it compares the
// interpreter after each pass with the interpreter before all, then package exec
// on the plan. Where only the plan is wrong, it lets the optional passes run one after
// the other until it is.
//
// A case that computes in 16 bits has its graphs compared and no plan, which no
// kernel runs.
func (k *Checker) Bisect(c *Case) (*Culprit, error) {
	r, err := newReference(c)
	if err != nil {
		return nil, err
	}
	if c.Infer != nil {
		// The logits that a decoder is held to.
		if err := r.wholeSequences(rand.New(rand.NewPCG(c.Seed, 2))); err != nil {
			return nil, err
		}
	}
	// A pass that leans on the order of nodes goes wrong in the second.
	// Every pass is compared, not half of them at a time: numbers that went wrong once
	// may by chance be right again, and a case is small.
	for _, shuffle := range []uint64{0, 1 + c.Seed} {
		order := ""
		if shuffle != 0 {
			order = ", nodes in another order"
		}
		var first *bisection
		look := func(b *bisection) (*Culprit, error) {
			found, err := b.look()
			if found != nil || err != nil || shuffle != 0 || b.last == nil {
				return found, err // another order of nodes adds gradients in another
			}
			// Recomputation runs the same kernels on the same numbers, so between policies not
			// a bit may differ.
			if first == nil {
				first = b
			} else if err := sameGrads(first.last.plan, first.last.trainer, b.last.plan, b.last.trainer); err != nil {
				return &Culprit{"train", passes.PlanCheckpoint.Name, first.setting + " and " + strings.TrimPrefix(b.setting, "checkpoint "),
					fmt.Errorf("the policies differ: %w", firstLine(err)), first.last.plan.String(), b.last.plan.String()}, nil
			}
			return nil, nil
		}
		for _, policy := range passes.Policies {
			found, err := look(&bisection{k: k, c: c, r: r, mode: "train", setting: "checkpoint " + policy + order, policy: policy, shuffle: shuffle})
			if found != nil || err != nil {
				return found, err
			}
		}
		var budgets []int64 // the policy counts on the order of nodes that it saw
		if shuffle == 0 {
			if budgets, err = k.budgets(c); err != nil {
				return nil, err
			}
		}
		for _, bytes := range budgets {
			found, err := look(&bisection{k: k, c: c, r: r, mode: "train", setting: fmt.Sprintf("checkpoint auto with %d bytes", bytes),
				policy: "auto", budget: bytes})
			if found != nil || err != nil {
				return found, err
			}
		}
		if c.Infer != nil {
			// Policies concern training alone.
			b := &bisection{k: k, c: c, r: r, mode: "infer", setting: "inference" + order, shuffle: shuffle}
			if found, err := b.look(); found != nil || err != nil {
				return found, err
			}
		}
	}
	return nil, nil
}

// fewUnits of a layer are stored or left out by the policy auto: 32 choices are
// priced in milliseconds.
const fewUnits = 5

// budgets are the smallest one with which the policy auto has an answer and one
// midway to that which stores everything; none for a model that auto refuses,
// and that of no bytes where no answer is as bad as a crash.
func (k *Checker) budgets(c *Case) ([]int64, error) {
	u := &passes.Unit{Module: ir.Clone(c.Train, nil), Config: c.config("auto")}
	u.Config.Units = fewUnits
	crash, err := passes.Caught(u, k.Train)
	var small *passes.BudgetError
	switch {
	case crash != nil:
		return []int64{0}, nil // it happens again, and is looked into
	case errors.Is(err, passes.ErrNoMenu):
		return nil, nil
	case !errors.As(err, &small):
		return nil, fmt.Errorf("policy auto with no bytes: %v, want a minimum", err)
	}
	none, err := k.compile(c, passes.Policies[0], 0, nil)
	if err != nil {
		return nil, err
	}
	return []int64{small.Minimum, (small.Minimum + max(small.Minimum, none.Plan.Arena("act.train"))) / 2}, nil
}

// bisection is the search in one mode with one setting.
// It holds what stays the same while passes are left out.
type bisection struct {
	k       *Checker
	c       *Case
	r       *reference
	mode    string
	setting string
	policy  string
	budget  int64 // of the policy auto
	shuffle uint64
	last    *execResult // of the plan that was right
}

func (b *bisection) pipeline() []passes.Pass {
	if b.mode == "infer" {
		return b.k.Infer
	}
	return b.k.Train
}

// look finds the culprit among the passes that run.
func (b *bisection) look() (*Culprit, error) {
	// First with all that the case itself would run.
	found, err := b.try(b.c.Disable, nil)
	if found == nil || err != nil || found.Pass != behind {
		return found, err
	}
	// The graph is right and the plan is wrong. Without the optional passes,
	// and then with one after the other:
	var optional []string
	for _, p := range b.pipeline() {
		if !p.Required && !slices.Contains(b.c.Disable, p.Name) {
			optional = append(optional, p.Name)
		}
	}
	// In the pipeline's order, so that each runs on what those before it made.
	for n := range len(optional) + 1 {
		// optional[n:] are left out, so each round lets one more run.
		without := append(slices.Clone(b.c.Disable), optional[n:]...)
		watch := ""
		if n > 0 {
			// The one that was left out in the round before.
			watch = optional[n-1]
		}
		wrong, err := b.try(without, &watch)
		var refused Refusal
		// Some plans cannot be made of what fusions have left.
		if errors.As(err, &refused) {
			continue // a plan that needs the passes
		}
		if err != nil {
			return nil, err
		}
		// With this pass the plan is wrong, and with those before it alone it was right.
		if wrong != nil && n > 0 && wrong.Pass == behind {
			wrong.Pass = watch
			wrong.Err = fmt.Errorf("the graph computes the same, its plan does not: the plan goes wrong once this pass runs: %w", wrong.Err)
		}
		if wrong != nil {
			return wrong, nil
		}
	}
	return found, nil
}

// try compiles without some passes and compares after each that runs. watch
// names a pass whose texts are kept for a plan that is wrong.
func (b *bisection) try(disable []string, watch *string) (*Culprit, error) {
	m := b.c.Train
	config := b.c.config(b.policy)
	config.Disable, config.VerifyLast, config.Shuffle = disable, false, b.shuffle
	config.Budget, config.Units = b.budget, fewUnits
	if b.mode == "infer" {
		m = b.c.Infer
		config = b.c.inferConfig(b.shuffle)
		config.Disable, config.VerifyLast = disable, false
	}
	u := &passes.Unit{Module: ir.Clone(m, nil)}
	// Passes change the module in place, so its text is taken before each.
	before := u.Module.String()
	var found *Culprit
	var watched [2]string
	config.Observe = func(rep passes.Report) {
		// The first difference is the answer; what comes after it follows from it.
		if found != nil {
			return
		}
		text := rep.Unit.Module.String()
		// Kept for the report, since the module alone will not show the difference.
		if watch != nil && rep.Pass.Name == *watch {
			watched = [2]string{before, text}
		}
		if err := b.step(rep.Unit.Module); err != nil {
			found = &Culprit{b.mode, rep.Pass.Name, b.setting, err, before, text}
		}
		before = text
	}
	u.Config = config
	crash, err := passes.Caught(u, b.pipeline())
	switch {
	case found != nil:
		return found, nil
	// A pass that panics has an even clearer culprit.
	case crash != nil:
		return &Culprit{b.mode, crash.Pass, b.setting, crash, before, u.Module.String()}, nil
	case errors.As(err, new(*passes.BudgetError)):
		return nil, Refusal{err} // without some passes there is more to store
	case err != nil:
		return nil, refusal(err)
	}
	// Only now that all modules were right.
	b.last, err = b.exec(u)
	var refused Refusal
	switch {
	case errors.As(err, &refused):
		return nil, err
	case err != nil && watch != nil && *watch != "":
		return &Culprit{b.mode, behind, b.setting, firstLine(err), watched[0], watched[1]}, nil
	case err != nil:
		return &Culprit{b.mode, behind, b.setting, firstLine(err), u.Module.String(), u.Plan.String()}, nil
	}
	return nil, nil
}

// step compares a module in the interpreter. A pass may have left what the
// interpreter cannot run, which is a difference too.
func (b *bisection) step(m *ir.Module) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the interpreter: %v", r)
		}
	}()
	if b.mode == "train" {
		return b.r.compareStep(m)
	}
	// Behind specialise_kv there is no whole sequence to compare.
	if m.Func("logits") == nil {
		return nil // decode takes tokens apart: exec compares it
	}
	out, err := b.r.machine(b.r.weights).Run(m, "logits", interp.FromI32(b.r.tokens, b.c.B, b.c.T))
	if err != nil {
		return err
	}
	diff := interp.MaxDiff(out[0], b.r.logits)
	// The interpreter computes in float64 before and after: only sums taken in
	// another order may differ, so the bound is tight.
	if most := allowed64(b.r.logitMoves, b.r.logits.MaxAbs()); !(diff <= most) {
		return fmt.Errorf("logits differ by %.3g, at most %.3g is allowed", diff, most)
	}
	return nil
}

// execResult is a plan that was run, with the gradients it gave.
type execResult struct {
	plan    *plan.Plan
	trainer model.Trainer
}

// exec runs the unit's plan and compares it; a panic is a difference.
func (b *bisection) exec(u *passes.Unit) (res *execResult, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("exec: panic: %v", r)
		}
	}()
	if b.c.Compute != "" {
		_, err := throughText(u.Plan)
		return nil, err
	}
	if got := u.Plan.Arena("act.train"); b.policy == "auto" && (got > b.budget || got != u.Checkpoint.Peak) {
		return nil, fmt.Errorf("it takes %d bytes, and says %d", got, u.Checkpoint.Peak)
	}
	// Decoding is compared token by token, and gives no gradients.
	if b.mode == "infer" {
		return nil, b.k.decode(b.c, b.r, u.Plan, rand.New(rand.NewPCG(b.c.Seed, 3)))
	}
	t, err := b.k.run(u.Plan, u.Module, b.r)
	return &execResult{u.Plan, t}, err
}

// firstLine is an error without the texts below its message.
// Differences carry modules and plans below their first line.
func firstLine(err error) error {
	first, _, _ := strings.Cut(err.Error(), "\n")
	return errors.New(first)
}
