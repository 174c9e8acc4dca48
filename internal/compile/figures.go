package compile

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/llamac/llamac/passes"
	"github.com/llamac/llamac/plan"
	"github.com/llamac/llamac/specs"
)

// Figure is what a compilation says of itself in numbers.
// llamac plan and compile print it, and the page of llamac inspect shows it.
type Figure struct {
	Name          string              `json:"name"`
	SpecHash      string              `json:"spec_sha256"`
	Params        int64               `json:"params"`
	FLOPsPerToken int64               `json:"model_flops_per_token"`
	Tokens        int64               `json:"tokens_per_step"`
	Steps         int                 `json:"steps"`
	Arenas        map[string]int64    `json:"arena_bytes"`
	SavedPerLayer int64               `json:"saved_bytes_per_layer"`
	Checkpoint    string              `json:"checkpoint"`
	StepFLOPs     int64               `json:"micro_batch_flops"`  // forward, backward and what is recomputed
	Auto          *passes.Checkpoints `json:"auto,omitempty"`     // what the policy auto chose
	Files         int                 `json:"go_files,omitempty"` // what a target has printed, if one was asked
	Lines         int                 `json:"go_lines,omitempty"`
	Bytes         int                 `json:"go_bytes,omitempty"`
}

// Figures collects the numbers of a result.
// Tokens are those of an optimiser's step: micro-batches times sequences times
// length.
func Figures(s *specs.Spec, r *Result) Figure {
	f := Figure{
		Name: s.Name, SpecHash: s.Hash, Params: r.Plan.Params(), FLOPsPerToken: r.Plan.ModelFLOPsPerToken(),
		Tokens: int64(s.Train.MicroBatch) * int64(s.Train.Accum) * int64(s.Model.Context), Steps: s.Train.Steps,
		Arenas: map[string]int64{}, Checkpoint: s.Checkpoint.Policy, Auto: r.Checkpoint,
	}
	for _, a := range r.Plan.Arenas {
		f.Arenas[a.Name] = a.Bytes
	}
	// A plan for inference alone has neither.
	if q := r.Plan.Program("micro_step"); q != nil {
		// Of the layer that stores most, where they differ.
		f.SavedPerLayer = q.Stored()
		// All launches, at capacity, which in training is what runs.
		f.StepFLOPs = work(q.Items, 1)
	}
	// Only code counts; plan.txt is for readers.
	for _, file := range r.Files {
		if strings.HasSuffix(file.Name, ".go") {
			f.Files++
			f.Lines += bytes.Count(file.Data, []byte{'\n'})
			f.Bytes += len(file.Data)
		}
	}
	return f
}

// work counts the FLOPs of items that run so many times.
// A loop multiplies by its layers, and so on inwards.
func work(items []plan.Item, times int64) (flops int64) {
	for _, it := range items {
		switch x := it.(type) {
		case *plan.Loop:
			flops += work(x.Body, times*int64(x.To-x.From))
		case *plan.Launch:
			flops += times * x.FLOPs
		}
	}
	return flops
}

// Count prints a number of parameters as people say it: 3.4 M, 6.7 B. It cuts
// off and does not round, as the LLaMA paper's table does.
// Tenths come by integer division: 6738 M is 6.7 B, and 1.19 would be 1.1.
func Count(n int64) string {
	switch {
	// 6 738 415 616 is 6.7 B; 13 015 864 320 is 13.0 B.
	case n >= 1e9:
		return fmt.Sprintf("%d.%d B", n/1e9, n%1e9/1e8)
	case n >= 1e6:
		return fmt.Sprintf("%d.%d M", n/1e6, n%1e6/1e5)
	case n >= 1e3:
		return fmt.Sprintf("%d.%d k", n/1e3, n%1e3/1e2)
	}
	return fmt.Sprint(n)
}
