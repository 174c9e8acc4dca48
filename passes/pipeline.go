// Package passes holds the compiler's passes and the tables that order them.
//
// A pass is a row: a name, a line of documentation and a function over a Unit.
// The verifier runs after every pass. Nothing registers itself: the tables
// below are the pipelines.
package passes

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/plan"
)

// Pass is one row of a pipeline.
type Pass struct {
	Name     string
	Doc      string // one line
	Run      func(*Unit) error
	Required bool // cannot be disabled
}

// Policies are the checkpoint policies without a budget, in the order of what
// they store. All give the same bits, and so does "auto" under any budget.
var Policies = []string{"none", "keep-linear", "full"}

// Unit is what a pipeline works on.
type Unit struct {
	Module *ir.Module
	Plan   *plan.Plan // filled by schedule; a second pipeline adds its programs
	Config Config
	Stats  Stats // of the pass that runs

	// Checkpoint is what plan_checkpoint chose under the policy auto, else nil.
	Checkpoint *Checkpoints
}

// Config is a compilation's choices.
type Config struct {
	Checkpoint string           // "none", "keep-linear", "full" or "auto"
	Budget     int64            // bytes of the activation arena under "auto"
	Units      int              // of a layer that "auto" stores or leaves out at most; 0 for mostUnits
	Audit      bool             // "auto" plans all sets, and checks what it would have taken for granted
	Compute    string           // dtype to compute in: "f32", "bf16", "f16"
	Dims       map[string]int64 // sizes of dimensions that are fixed
	Capacity   map[string]int64 // largest sizes of those that vary from run to run
	Disable    []string         // passes to leave out
	StopAfter  string           // last pass to run; empty for all
	Shuffle    uint64           // not 0: put nodes in a random legal order before each pass up to schedule
	VerifyLast bool             // verify once, behind the last pass: for a module that went this way before
	Observe    func(Report)     // called after each pass
}

// Stats counts what a pass did, by rule.
type Stats map[string]int

// String lists the rules that fired by name, and how often.
func (s Stats) String() string {
	var parts []string
	for _, rule := range slices.Sorted(maps.Keys(s)) {
		parts = append(parts, fmt.Sprintf("%s %d", rule, s[rule]))
	}
	if parts == nil {
		return "nothing to count"
	}
	return strings.Join(parts, ", ")
}

// Report is what one pass did.
type Report struct {
	Number int // from 1
	Pass   Pass
	Unit   *Unit
	Stats  Stats
	Time   time.Duration
}

// Train is the pipeline of training: from @loss to the programs micro_step,
// eval and update.
//
// Fusions come before differentiate, so that backwards are made from the fused
// ops' rules and what fused ops need not store is never stored. Bind comes
// before what counts bytes.
var Train = []Pass{
	Canonicalize,
	FuseRMSNorm,
	FuseRope,
	FuseAttention, // after rope: moves head transposes past it
	FuseSwiGLU,
	FuseAddRMSNorm, // after rmsnorm, whose result it extends
	FuseLinearXent,
	FuseQKV, // after attention, which looks for single projections
	Cleanup,
	Differentiate,
	Precision,
	Bind,
	PlanCheckpoint,
	Schedule,
	PlanMemory,
}

// Infer is the pipeline of inference: from @logits to the program decode.
//
// There is no backward, so nothing is stored, and linear_xent has no place:
// logits are the result.
var Infer = []Pass{
	Canonicalize,
	FuseRMSNorm,
	FuseRope,
	required(FuseAttention), // the cache is attention's: specialise_kv needs the op
	FuseSwiGLU,
	FuseAddRMSNorm,
	FuseQKV,
	Cleanup,
	SpecialiseKV,
	Precision,
	Bind,
	Schedule,
	PlanMemory,
}

// required is a pass that this pipeline cannot do without.
func required(p Pass) Pass {
	p.Required = true
	return p
}

// Cleanup is Canonicalize once more, under a name of its own, for what the
// fusions left behind.
var Cleanup = Pass{Name: "cleanup", Doc: "Canonicalize again, behind the fusions.", Run: Canonicalize.Run}

// Run runs a pipeline over the unit. A pass that panics, or that leaves a module
// which does not verify, is a bug of the compiler: Run panics with a *Crash.
func Run(u *Unit, pipeline []Pass) error {
	// Asked before anything runs, so that a refusal leaves the module as it
	// was.
	for _, name := range u.Config.Disable {
		i := slices.IndexFunc(pipeline, func(p Pass) bool { return p.Name == name })
		if i >= 0 && pipeline[i].Required {
			return fmt.Errorf("pass %s is required and cannot be disabled", name)
		}
	}
	scheduled := false // the order of nodes is the plan's from there on
	for i, p := range pipeline {
		if slices.Contains(u.Config.Disable, p.Name) {
			continue
		}
		// A random legal order between passes shows matchers that rely on where
		// nodes stand. What auto chose has the price of the order it found.
		priced := p.Name == Schedule.Name && u.Config.Checkpoint == "auto"
		if u.Config.Shuffle != 0 && !scheduled && !priced {
			for _, f := range u.Module.Funcs {
				ir.Shuffle(f, u.Config.Shuffle+uint64(i))
			}
		}
		scheduled = scheduled || p.Name == Schedule.Name
		start := time.Now()
		// Each pass starts with counts of its own; the report gets them.
		u.Stats = Stats{}
		verify := func() error {
			// Where the same module went this way before, it is enough to look
			// at what comes out.
			if u.Config.VerifyLast && i < len(pipeline)-1 {
				return nil
			}
			return ir.Verify(u.Module)
		}
		if err := guard(u, p, i+1, verify); err != nil {
			return err
		}
		if u.Config.Observe != nil {
			u.Config.Observe(Report{i + 1, p, u, u.Stats, time.Since(start)})
		}
		if p.Name == u.Config.StopAfter {
			return nil
		}
	}
	return nil
}

// Names lists all passes of both pipelines, each once, in order.
func Names() []string {
	var names []string
	for _, t := range [][]Pass{Train, Infer} {
		for _, p := range t {
			if !slices.Contains(names, p.Name) {
				names = append(names, p.Name)
			}
		}
	}
	return names
}
