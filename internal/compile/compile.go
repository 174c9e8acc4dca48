// Package compile runs the compiler from a spec to a plan and to a target's
// files. The commands of cmd/llamac and the tests call it.
package compile

import (
	"errors"
	"fmt"
	"slices"

	"github.com/llamac/llamac/codegen"
	"github.com/llamac/llamac/codegen/golang"
	"github.com/llamac/llamac/internal/diag"
	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/ir/build"
	"github.com/llamac/llamac/passes"
	"github.com/llamac/llamac/plan"
	"github.com/llamac/llamac/specs"
)

// Version of the compiler, written into what it generates.
const Version = "v0.1.0"

// Module is the import path of llamac's own packages.
const Module = "github.com/llamac/llamac"

// Options are the choices of one compilation.
// What overrides a spec's field does so for this compilation alone: the spec and its
// hash stay as they are.
type Options struct {
	Modes      []string // "train", "infer"; nil for both
	Targets    []string // "go"; nil for it
	Disable    []string
	StopAfter  string
	Checkpoint string // overrides the spec's policy
	Budget     int64  // overrides the spec's budget, for the policy auto
	MicroBatch int    // overrides the spec's
	Package    string // name of the generated package; empty for the spec's
	Runtime    string // import path prefix of the runtime; empty for llamac's own module
	Shuffle    uint64
	Tests      codegen.Tests
	Observe    func(mode string, r passes.Report)
	Pipelines  map[string][]passes.Pass // by mode; nil for Pipelines
}

// Pipelines are the compiler's passes by mode.
// Tests hand in others, with a pass that has a bug.
var Pipelines = map[string][]passes.Pass{"train": passes.Train, "infer": passes.Infer}

// Result is what a compilation made.
type Result struct {
	Train, Infer *ir.Module
	Plan         *plan.Plan          // nil when stopped before it
	Checkpoint   *passes.Checkpoints // of the policy auto, else nil
	Files        []codegen.File
}

// Targets lists all targets.
// The order is that of the files and of the help.
func Targets() []codegen.Target { return []codegen.Target{golang.Target{}} }

// cacheBlock is the number of tokens of a KV cache block, and the capacities
// of a decoder's step.
// They bound memory and not what a model can do: longer prompts come in several
// steps. A small block wastes little, 15 tokens at most for a sequence, and is shared
// sooner by sequences that begin alike.
const (
	cacheBlock   = 16
	maxPrefill   = 256
	maxRows      = 64
	maxSequences = 8
)

// Spec compiles a spec to a plan, and to files if targets are asked for.
//
// Training and inference are two modules of one plan: they share weights and
// tables. An error is the spec's, with the place of the field, or a *Crash, which
// is ours and names a file with which it happens again.
func Spec(s *specs.Spec, o Options) (r *Result, err error) {
	defer caught(s, &err)
	r = &Result{}
	modes := o.Modes
	if modes == nil {
		modes = []string{"train", "infer"}
	}
	if len(modes) == 0 {
		return nil, errors.New("no mode: train or infer")
	}
	for _, m := range modes {
		if m != "train" && m != "infer" {
			return nil, fmt.Errorf("no mode %q: train or infer", m)
		}
	}
	// Before any pass runs, so that the error names a field and not a pass.
	if err := supported(s); err != nil {
		return nil, err
	}
	// o is a copy, so the caller's options stay as they are.
	if o.Pipelines == nil {
		o.Pipelines = Pipelines
	}
	var pl *plan.Plan
	for _, mode := range []string{"train", "infer"} { // training first: it lays out the arenas of both
		// Inference alone lays out its own arenas.
		if !slices.Contains(modes, mode) {
			continue
		}
		u, err := unit(s, o, mode)
		if err != nil {
			return nil, err
		}
		// The second mode adds its programs to the plan of the first.
		u.Plan = pl
		// Passes do not know for which mode they run; observers want to.
		u.Config.Observe = func(rep passes.Report) {
			if o.Observe != nil {
				o.Observe(mode, rep)
			}
		}
		if err := guarded(s, o, mode, u); err != nil {
			var small *passes.BudgetError
			// A budget that is too small is a field's mistake, with a place.
			if errors.As(err, &small) {
				return nil, s.Errorf("checkpoint.budget", "%v", small)
			}
			return nil, placed(s, mode, err)
		}
		if mode == "train" {
			r.Train, r.Checkpoint = u.Module, u.Checkpoint
		} else {
			r.Infer = u.Module
		}
		pl = u.Plan
	}
	r.Plan = pl
	// The plan may be half made, or absent.
	if o.StopAfter != "" {
		return r, nil
	}
	// Targets see the finished plan; what they print is decided there.
	in := codegen.Input{Spec: s, Plan: pl, Package: o.Package, Runtime: o.Runtime, Version: Version, Tests: o.Tests}
	// A spec's name is a Go identifier, as package specs checks.
	if in.Package == "" {
		in.Package = s.Name
	}
	if in.Runtime == "" {
		in.Runtime = Module
	}
	// An empty list of targets, as opposed to none, asks for a plan and no files.
	for _, t := range Targets() {
		if o.Targets != nil && !slices.Contains(o.Targets, t.Name()) {
			continue
		}
		if err := unsupported(s, pl, t); err != nil {
			return nil, err
		}
		files, err := t.Generate(in)
		if err != nil {
			return nil, placed(s, "", err)
		}
		r.Files = append(r.Files, files...)
	}
	// The plan travels with the code, so that a change of either shows in a diff.
	r.Files = append(r.Files, codegen.File{Name: "plan.txt", Data: []byte(pl.String())})
	return r, nil
}

// Menu prices what the layers of a spec may store, for any number of budgets.
// The passes run as far as bind: from there on checkpoints are chosen. Pricing takes
// most of the time, so a curve asks one menu for many budgets.
func Menu(s *specs.Spec, o Options) (m *passes.Menu, err error) {
	defer caught(s, &err)
	if err := supported(s); err != nil {
		return nil, err
	}
	o.Checkpoint, o.StopAfter = "auto", passes.PlanCheckpoint.Name
	if o.Pipelines == nil {
		o.Pipelines = Pipelines
	}
	// In the place of the pass, so that a crash is reported as the pass's, and
	// replayed as the policy auto.
	train := slices.Clone(o.Pipelines["train"])
	at := slices.IndexFunc(train, func(p passes.Pass) bool { return p.Name == passes.PlanCheckpoint.Name })
	train[at].Run = func(u *passes.Unit) (err error) {
		m, err = passes.NewMenu(u)
		return err
	}
	o.Pipelines = map[string][]passes.Pass{"train": train}
	u, err := unit(s, o, "train")
	if err != nil {
		return nil, err
	}
	if err := guarded(s, o, "train", u); err != nil {
		return nil, placed(s, "train", err)
	}
	return m, nil
}

// supported refuses what a spec may ask for and no pass does yet.
// Specs have the fields already, so that they need not change when it comes.
func supported(s *specs.Spec) error {
	var errs diag.List
	// Each has the place of its field, and all are told at once.
	refuse := func(bad bool, field, format string, args ...any) {
		if bad {
			errs = append(errs, s.Errorf(field, format, args...))
		}
	}
	p := s.Parallel
	refuse(p.TP > 1, "parallel.tp", "tensor parallelism is not there yet: tp %d", p.TP)
	refuse(p.DP > 1, "parallel.dp", "data parallelism is not there yet: dp %d", p.DP)
	refuse(p.SP, "parallel.sp", "sequence parallelism is not there yet")
	refuse(p.Zero > 0, "parallel.zero", "sharded optimiser state is not there yet: zero %d", p.Zero)
	refuse(s.Precision.Master != "" && s.Precision.Master != "f32", "precision.master", "the optimiser's copy is f32, not %s", s.Precision.Master)
	return errs.Err()
}

// unit is a mode's module with what its passes are to know. Passes change it in
// place, so each run needs a new one.
func unit(s *specs.Spec, o Options, mode string) (*passes.Unit, error) {
	c := passes.Config{Checkpoint: s.Checkpoint.Policy, Budget: int64(s.Checkpoint.Budget), Compute: s.Precision.Compute, Disable: o.Disable, StopAfter: o.StopAfter, Shuffle: o.Shuffle}
	if o.Checkpoint != "" {
		c.Checkpoint = o.Checkpoint
	}
	if o.Budget > 0 {
		c.Budget = o.Budget
	}
	switch mode {
	case "train":
		m, err := build.Train(s)
		if err != nil {
			return nil, err
		}
		// B and T are fixed in training: kernels see the same shapes at each step, and
		// the arena has no slack.
		batch := s.Train.MicroBatch
		if o.MicroBatch > 0 {
			batch = o.MicroBatch
		}
		if err := fits(s, m, mode, batch); err != nil {
			return nil, err
		}
		c.Dims = map[string]int64{"B": int64(batch), "T": int64(s.Model.Context)}
		return &passes.Unit{Module: m, Config: c}, nil
	// A context that is no multiple of a block wastes the rest of the last one.
	case "infer":
		m, err := build.Infer(s)
		if err != nil {
			return nil, err
		}
		if err := fits(s, m, mode, maxSequences); err != nil {
			return nil, err
		}
		// Enough blocks for all sequences to reach the context's end at once. N and R are
		// capacities: a step has what it is given, up to them.
		perSequence := int64((s.Model.Context + cacheBlock - 1) / cacheBlock)
		c.Capacity = map[string]int64{"N": int64(min(maxPrefill, s.Model.Context)), "R": maxRows}
		c.Dims = map[string]int64{"S": maxSequences, "M": perSequence, "blocks": perSequence * maxSequences, "block": cacheBlock}
		return &passes.Unit{Module: m, Config: c}, nil
	}
	return nil, fmt.Errorf("no mode %q: train or infer", mode)
}
