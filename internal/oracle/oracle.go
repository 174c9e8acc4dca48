// Package oracle computes in float64, with the interpreter and on the graph of
// primitive ops that no fusion has touched, what generated code must give.
//
// It shares nothing with what it judges: no kernel, no fusion, no planner, and
// float64 instead of float32. Only the front of the compiler (specs, ir/build)
// and the rules of differentiation are common to both, and those are held to
// central differences and to PyTorch elsewhere.
package oracle

import (
	"fmt"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/ir/build"
	"github.com/llamac/llamac/ir/interp"
	"github.com/llamac/llamac/passes"
	"github.com/llamac/llamac/plan"
	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/runtime/model/modeltest"
	"github.com/llamac/llamac/specs"
)

// Result is what one micro-batch must give.
type Result struct {
	Loss float64
	// Row-major, each in its weight's own shape.
	Grads  map[string][]float64 // by full name: "layers.1.attention.wq"
	Logits []float64            // [B, T, vocab]
}

// Run computes the loss, the gradients and the logits of B sequences of the
// spec's context length, for the weights and tokens of package modeltest.
// Both sides take weights and tokens from the same formulas, so that a test in
// a generated package needs no file of inputs.
func Run(s *specs.Spec, batch int) (*Result, error) {
	info := &model.Info{Vocab: s.Model.Vocab, Context: s.Model.Context, Masked: build.Masked(s), Recipe: model.Recipe{MicroBatch: batch}}
	return Compute(s, batch, modeltest.Batch(info, modeltest.TokenSeed, modeltest.TargetSeed),
		func(dst []float32, name string, shape []int) error {
			modeltest.Weight(dst, name, shape, modeltest.WeightSeed)
			return nil
		})
}

// Compute is Run for a given micro-batch and for weights that a function gives
// by their full names.
func Compute(s *specs.Spec, batch int, in model.Batch, weight func(dst []float32, name string, shape []int) error) (*Result, error) {
	m, err := build.Train(s)
	if err != nil {
		return nil, err
	}
	u := &passes.Unit{Module: m, Stats: passes.Stats{}}
	// Alone, without the fusions before it: the rules of fused ops are among
	// what is tested.
	if err := passes.Differentiate.Run(u); err != nil {
		return nil, err
	}
	T := s.Model.Context
	tokens := interp.FromI32(in.Tokens, batch, T)
	args := []*interp.Tensor{tokens, interp.FromI32(in.Targets, batch, T)}
	if build.Masked(s) {
		args = append(args, interp.FromI32(in.Starts, batch, T))
	}
	// N is the decoder's number of tokens, which the graph of inference names;
	// here whole sequences go through it.
	mach := interp.NewMachine(map[string]int64{"B": int64(batch), "T": int64(T), "N": int64(T)})
	// The first micro-batch of a step overwrites gradients, later ones add.
	mach.First = true
	if err := fill(mach, m, weight); err != nil {
		return nil, fmt.Errorf("oracle: %w", err)
	}
	out, err := mach.Run(m, "micro_step", args...)
	if err != nil {
		return nil, fmt.Errorf("oracle: %w", err)
	}
	r := &Result{Loss: out[0].F[0], Grads: map[string][]float64{}}
	for name, rows := range mach.Grads {
		w := m.Weight(name)
		for l, t := range rows {
			r.Grads[fullName(w, l)] = t.F
		}
	}
	mi, err := build.Infer(s)
	if err != nil {
		return nil, err
	}
	out, err = mach.Run(mi, "logits", tokens)
	if err != nil {
		return nil, fmt.Errorf("oracle: %w", err)
	}
	r.Logits = out[0].F
	return r, nil
}

// fullName is a weight's name with its layer, as files of weights spell it.
func fullName(w *ir.Weight, l int) string {
	if w.Stack == "" {
		return w.Name
	}
	return fmt.Sprintf("%s.%d.%s", w.Stack, l, w.Name)
}

// fill gives the machine its weights.
// As float32: what the other side has been given.
func fill(mach *interp.Machine, m *ir.Module, weight func(dst []float32, name string, shape []int) error) error {
	for _, w := range m.Weights {
		var shape []int
		for _, d := range w.Type.Dims {
			shape = append(shape, int(d.N))
		}
		for l := range max(1, w.Layers) {
			x := make([]float32, w.Type.Elems())
			if err := weight(x, fullName(w, l), shape); err != nil {
				return err
			}
			mach.Weights[w.Name] = append(mach.Weights[w.Name], interp.FromF32(x, shape...))
		}
	}
	return nil
}

// Arena lays the gradients out as the plan's base table says.
// Gaps that pad weights to cache lines stay zero. Rounding to float32 is the
// only loss, and the tests' tolerances allow for it.
func (r *Result) Arena(p *plan.Plan) []float32 {
	a := make([]float32, p.Arena("weights")/4)
	for _, w := range p.Weights {
		for l := range max(1, w.Layers) {
			name := w.Name
			if w.Layers > 0 {
				name = fmt.Sprintf("%s.%d.%s", build.Stack, l, w.Name)
			}
			for i, x := range r.Grads[name] {
				a[w.At(l)+int64(i)] = float32(x)
			}
		}
	}
	return a
}
