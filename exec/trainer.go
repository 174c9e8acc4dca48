package exec

import (
	"fmt"
	"math"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/plan"
	"github.com/llamac/llamac/runtime/cpu"
	"github.com/llamac/llamac/runtime/model"
)

// trainer runs the programs micro_step, eval and update.
// The three share weights and activations, and run one at a time: evaluating
// between micro-batches leaves the gradients alone.
type trainer struct {
	*machine
	step, evaluate, update *program
	stepLoss, evalLoss     func() float32
	tokens, vocab          int // of a micro-batch, and ids
}

// NewTrainer allocates what a plan's training needs and resolves its launches.
// It reports a plan that has no training, or with a launch that no kernel runs.
func NewTrainer(p *plan.Plan, o Options) (model.Trainer, error) {
	for _, name := range []string{"micro_step", "eval", "update"} {
		if p.Program(name) == nil {
			return nil, fmt.Errorf("exec: the plan has no program %s", name)
		}
	}
	o.Params = nil // a trainer's weights are its own, as those of generated code
	m, err := newMachine(p, o, "act.train")
	if err != nil {
		return nil, err
	}
	n := len(m.params)
	// One layout for all four, the weights' own.
	m.grads, m.moment1, m.moment2 = make([]float32, n), make([]float32, n), make([]float32, n)
	// Each program is resolved here, so that a plan that cannot run fails before a
	// run has started.
	t := &trainer{machine: m}
	for _, x := range []struct {
		to   **program
		name string
	}{{&t.step, "micro_step"}, {&t.evaluate, "eval"}, {&t.update, "update"}} {
		if *x.to, err = m.compile(p.Program(x.name), nil); err != nil {
			m.close()
			return nil, err
		}
	}
	t.tokens, t.vocab = 0, math.MaxInt32
	for _, in := range p.Program("micro_step").Inputs {
		if in.Name == "tokens" {
			t.tokens = int(ir.Type{DType: in.DType, Dims: in.Dims}.Bind(p.Sizes()).Elems())
		}
	}
	// A plan of training alone does not say how many ids there are; kernels
	// refuse those that are none.
	if q := p.Program("decode"); q != nil {
		t.vocab = int(q.Results[0].Type.Last().N)
	}
	t.stepLoss, t.evalLoss = t.step.result(), t.evaluate.result()
	return t, nil
}

// MicroStep adds a micro-batch's gradients, or overwrites with them if it is the
// step's first, and gives its mean loss in nats.
func (t *trainer) MicroStep(in model.Batch, first bool) float32 {
	in.Check(t.tokens, t.vocab)
	// Closures of gradients read the mode when they run.
	t.step.mode = cpu.Accumulate
	// Poison first: what the program then leaves as NaN it should have written.
	if first {
		t.step.mode = cpu.Overwrite
		if t.poison {
			t.poisonGrads()
		}
	}
	t.step.take(in)
	t.step.run()
	return t.stepLoss()
}

// take points a program's inputs at a batch.
// Starts is nil unless the spec masks documents.
func (r *program) take(in model.Batch) {
	r.set("tokens", in.Tokens)
	r.set("targets", in.Targets)
	r.set("starts", in.Starts)
}

// poisonGrads fills the gradients that the program overwrites with NaN: of
// weights of layers, those of the layers whose loops write them. What no launch
// writes keeps the zeros of its allocation.
func (t *trainer) poisonGrads() {
	var visit func(items []plan.Item, from, to int)
	visit = func(items []plan.Item, from, to int) {
		for _, it := range items {
			switch x := it.(type) {
			case *plan.Loop:
				visit(x.Body, x.From, x.To)
			case *plan.Launch:
				for _, o := range x.Results {
					if o.Mode != plan.OverwriteFirst {
						continue
					}
					for _, w := range o.Weight {
						for l := from; l < to; l++ {
							fillNaN(t.grads[w.At(l) : w.At(l)+w.Elems()])
						}
					}
				}
			}
		}
	}
	// Outside of loops a weight has one tensor, at layer 0.
	visit(t.step.prog.Items, 0, 1)
}

// Eval gives the mean loss in nats, and changes nothing but activations.
func (t *trainer) Eval(in model.Batch) float32 {
	in.Check(t.tokens, t.vocab)
	t.evaluate.take(in)
	t.evaluate.run()
	return t.evalLoss()
}

// Update takes an optimiser's step on the gradients collected, and gives their norm
// before clipping. If it is not finite the weights stay as they are.
func (t *trainer) Update(h model.Hyper) float64 {
	t.update.hyper = h
	t.update.run()
	return t.update.norm
}

// Diagnose runs a micro-batch again and names the first launch whose result is not
// finite, or gives nothing. Gradients are overwritten by it.
func (t *trainer) Diagnose(in model.Batch) string {
	found := ""
	// The device calls back after each kernel; only the first hit counts, since
	// NaN spreads from there.
	t.dev.Watch(func(_ int, _ string, finite bool) {
		if l := t.step.launches[t.step.at]; !finite && found == "" {
			found = "%" + l.name
			if l.layer >= 0 {
				found = fmt.Sprintf("layer %d: %s", l.layer, found)
			}
		}
	})
	t.MicroStep(in, true)
	t.dev.Watch(nil)
	return found
}

func (t *trainer) Params() []float32          { return t.params }
func (t *trainer) Grads() []float32           { return t.grads }
func (t *trainer) Moments() (m, v []float32)  { return t.moment1, t.moment2 }
func (t *trainer) Counters() map[string]int64 { return t.dev.Counters() }
func (t *trainer) Close()                     { t.close() }
