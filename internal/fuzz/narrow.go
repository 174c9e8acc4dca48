package fuzz

import (
	"fmt"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/passes"
)

// narrow compiles a case to compute in 16 bits. No kernel does that yet, but
// plans are made; and since the interpreter rounds nothing that it is not asked
// to, the narrow module must give the reference's numbers.
// So it tests what the pass precision must not change: casts stand where types meet, and
// nothing is lost by them but bits.
func (k *Checker) narrow(c *Case, r *reference) error {
	dtype := []string{"bf16", "f16"}[mixed(c.Seed, ofNarrow)%2]
	var failed error
	u := &passes.Unit{Module: ir.Clone(c.Train, nil), Config: passes.Config{
		Checkpoint: passes.Policies[mixed(c.Seed, ofNarrow)>>1%3], Compute: dtype, Dims: map[string]int64{"B": int64(c.B), "T": int64(c.T)}, Disable: c.Disable,
		VerifyLast: !c.Extra,
		Observe: func(rep passes.Report) {
			if failed == nil && rep.Pass.Name == passes.PlanCheckpoint.Name { // behind all that types and moves nodes
				failed = r.compareStep(rep.Unit.Module)
			}
		},
	}}
	if err := passes.Run(u, k.Train); err != nil {
		return refusal(fmt.Errorf("in %s: %w", dtype, err))
	}
	if failed != nil {
		return fmt.Errorf("in %s: %w\n%s", dtype, failed, u.Module)
	}
	// A weight that stayed wide would be a cast that was forgotten.
	for _, w := range u.Module.Weights {
		if w.Type.DType.String() != dtype {
			return fmt.Errorf("in %s: weight $%s is %s", dtype, w.Name, w.Type)
		}
	}
	// Read, printed again and verified: all that a plan without kernels can show.
	if _, err := throughText(u.Plan); err != nil {
		return fmt.Errorf("in %s: %w", dtype, err)
	}
	k.Counts["narrow"]++
	return nil
}
