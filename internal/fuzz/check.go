package fuzz

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/llamac/llamac/exec"
	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/passes"
	"github.com/llamac/llamac/plan"
	"github.com/llamac/llamac/runtime/cpu"
	"github.com/llamac/llamac/runtime/model"
)

// Checker checks cases one after the other and counts what it saw.
// A checker belongs to one goroutine: Counts is a plain map, and the device has one
// worker, since many checkers run side by side.
type Checker struct {
	Device       *cpu.Device
	Counts       map[string]int // cases by what came of them, and rules by how often they fired
	Train, Infer []passes.Pass  // the pipelines
	Excused      []string       // why cases that differ are no failures
}

// NewChecker makes a checker of the compiler's pipelines, with a device of its
// own.
func NewChecker() *Checker {
	// One worker: results do not depend on their number, and runs have many checkers.
	return &Checker{Device: cpu.New(1), Counts: map[string]int{}, Train: passes.Train, Infer: passes.Infer}
}

// Refusal is an error with which the compiler may turn a random model away:
// it names what no kernel or no plan can do.
// It is counted and is no failure, so the list below must stay narrow: a phrase that
// is too common would hide bugs.
type Refusal struct{ error }

// refusals are what such errors say.
// Inference has to know tokens from positions, and so refuses graphs in which they
// mix; the last line's phrases are of that kind.
var refusals = []string{
	"which do not follow each other", // reductions over axes apart
	"plans hold one",                 // several stacks or segments
	"is not an input of 32-bit integers",
	"no kernel reads it as numbers",
	"the loss's gradient is not 1",
	"packed in one place and apart in another",
	"lets tokens see each other", "counts along", "has no cache", "is not causal", "attention was not recognised",
}

func refusal(err error) error {
	for _, s := range refusals {
		if strings.Contains(err.Error(), s) {
			return Refusal{err}
		}
	}
	return err
}

// Check gives the first difference that it finds between a case's graph and
// what the compiler makes of it, or nil. A panic is a difference.
//
// A comparison of two numbers may be decided otherwise in float32 and in
// float64, and then more differs than rounding explains. So a difference of
// exec's numbers that is not much larger than what is allowed is forgiven if
// another choice of weights and tokens was compared to the end, at the same
// stations, without one. If not, the case is run once more and allowed what
// rounding moves the module that the compiler made (see widened).
// TooManyForgiven bounds how many of either may be: a bug that few inputs show
// looks the same.
func (k *Checker) Check(c *Case) error {
	_, err := k.once(c, false)
	// Most cases are compared at few stations, which does not tell where it happened.
	if err != nil && !c.also(everyPass, 4) { // once more, so that the pass is named
		// Modules are shared with c, which nobody writes into.
		again := *c
		again.Extra = true
		if _, named := k.once(&again, false); named != nil {
			c.Extra, err = true, named
		}
	}
	times := timesAllowed(err)
	if math.IsInf(times, 1) || math.IsNaN(times) {
		return err
	}
	// A true bug depends on the graph and mostly fails again with other numbers.
	tries := 2 // that are compared to the end
	for numbers := uint64(1); errors.As(err, new(Rounded)) && times <= mostForgiven && tries > 0 && numbers <= 8; numbers++ {
		again := *c
		again.numbers = numbers
		switch came, other := k.once(&again, false); {
		case came == checked:
			k.excuse(forgiven)
			return nil
		case other != nil:
			tries--
		}
	}
	if came, other := k.once(c, true); other != nil || came == refused || came == checked && times > mostEnlarged {
		return err
	}
	k.excuse(enlarged)
	return nil
}

// forgiven is what cases are counted as that differ for one choice of weights
// and tokens and not for another, enlarged those that differ by no more than
// rounding moves what the compiler made of them.
const (
	forgiven = "rounded otherwise"
	enlarged = "rounding enlarged"
)

// excuse counts a case that differs and is no failure.
func (k *Checker) excuse(what string) {
	k.Counts[what]++
	k.Excused = append(k.Excused, what)
}

// timesAllowed is how many times what is allowed numbers differ by; +Inf for
// differences of another kind.
func timesAllowed(err error) float64 {
	var r Rounded
	var o reordered
	switch {
	case errors.As(err, &r):
		return r.Times
	case errors.As(err, &o):
		return o.times
	}
	return math.Inf(1)
}

// mostForgiven is how many times as large as what is allowed a difference may
// be that is forgiven. One branch taken otherwise moves a loss or a gradient by
// more than rounding and, the branches meeting there, not by much. Beyond
// mostEnlarged times the compiled module has to be beyond comparison itself: that
// nothing differs when it is run once more explains nothing.
const mostForgiven, mostEnlarged = 100, 1000

// Rounded is a difference of numbers in float32.
type Rounded struct {
	error
	Times float64 // of what is allowed; +Inf if a number is NaN or infinite
}

// differs reports a difference d of two numbers where at most most is allowed.
func differs(d, most float64, format string, args ...any) error {
	times := d / most
	if math.IsNaN(times) {
		times = math.Inf(1)
	}
	return Rounded{fmt.Errorf(format, args...), times}
}

// outcome is what came of a case without a difference.
type outcome int

const (
	failed  outcome = iota
	checked         // it was compared to the end
	wild            // its numbers leave the range in which float32 can be compared
	refused         // a station turned it away
)

// once checks a case as it is. wide allows what rounding moves modules that were
// made.
func (k *Checker) once(c *Case, wide bool) (came outcome, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
		var turned Refusal
		switch {
		// The model's numbers explode or vanish: nothing can be said about it.
		case errors.Is(err, errWild):
			k.Counts["wild"]++
			// Counts go by the reason, without its numbers.
			_, why, _ := strings.Cut(err.Error(), errWild.Error()+": ")
			why, _, _ = strings.Cut(why, " of ")
			k.Counts["wild: "+why]++
			came, err = wild, nil
		case errors.As(err, &turned):
			k.Counts["refused: "+cause(err)]++
			came, err = refused, nil
		case err == nil:
			k.Counts["checked"]++
			came = checked
		}
	}()
	k.Counts["cases"]++
	// A generator's mistake must not be taken for the compiler's.
	if err := ir.Verify(c.Train); err != nil {
		return failed, fmt.Errorf("the test's own module: %w\n%s", err, c.Train)
	}
	r, err := newReference(c)
	if err != nil {
		return failed, refusal(err)
	}
	r.wide = wide
	// Modules first, so that a plan is only run if they were right.
	if err := k.train(c, r); err != nil {
		return failed, err
	}
	if c.Infer != nil {
		return failed, k.infer(c, r)
	}
	return failed, nil
}

// cause names a refusal by the phrase that it is known by.
// By it the counts show which refusals are common.
func cause(err error) string {
	for _, s := range refusals {
		if strings.Contains(err.Error(), s) {
			return s
		}
	}
	return err.Error()
}

// config is what all compilations of the case's training share. Verifying costs
// a fifth of the time; a case that passes every station is verified after each
// pass, others at the end.
func (c *Case) config(policy string) passes.Config {
	return passes.Config{Checkpoint: policy, Dims: map[string]int64{"B": int64(c.B), "T": int64(c.T)}, Disable: c.Disable,
		Compute: c.Compute, VerifyLast: !c.also(everyPass, 4)}
}

// Stations that cost much are passed by a share of the cases, which the case's
// seed chooses; an extra case passes all.
// A station's number is its place in the mixed seed: eight bits for each, so that
// the choices are independent.
const (
	everyPass   = iota // the module after each pass, also as text
	otherOrder         // nodes in another order
	planText           // the plan as text
	narrow             // computing in 16 bits
	underBudget        // the policy auto
	ofBudget           // no station: the budget itself
	ofNarrow           // no station: the dtype and the policy
	ofUpdate           // no station: what an update clips
)

// also chooses one in n cases for a station; those of seed 0, to which a failing
// case shrinks, pass all. It depends on the seed alone, so that a failing case
// passes the same stations each time.
func (c *Case) also(station int, n uint64) bool {
	return c.Extra || c.Seed == 0 || mixed(c.Seed, station)%n == 0
}

// mixed is a number for a seed and a purpose, of which no bits depend on those
// of another in a way that shows: two rounds of splitmix64 (Steele et al. 2014).
func mixed(seed uint64, purpose int) uint64 {
	x := seed
	for _, add := range []uint64{uint64(purpose), 0x9e3779b97f4a7c15} {
		x += add*0x9e3779b97f4a7c15 + 1
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		x ^= x >> 31
	}
	return x
}

// compile runs the pipeline of training over a copy of the case's module.
// Each compilation takes its own copy, since passes change the module.
func (k *Checker) compile(c *Case, policy string, shuffle uint64, observe func(passes.Report)) (*passes.Unit, error) {
	u := &passes.Unit{Module: ir.Clone(c.Train, nil), Config: c.config(policy)}
	u.Config.Shuffle, u.Config.Observe = shuffle, observe
	if err := passes.Run(u, k.Train); err != nil {
		return nil, refusal(err)
	}
	return u, nil
}

// train checks training: the passes, the plan under several policies and in
// another order of nodes, and that compiling again gives the same.
func (k *Checker) train(c *Case, r *reference) error {
	// Any policy may be the one that the others are compared with.
	base := int(c.Seed % 3)
	u, err := k.observed(c, r, passes.Policies[base])
	if err != nil {
		return err
	}
	p := u.Plan
	if c.also(planText, 4) {
		// From here on the plan that was read is used, so what the text loses shows.
		if p, err = throughText(p); err != nil {
			return err
		}
	}
	if c.Compute != "" { // no kernel reads it
		return nil
	}
	first, err := k.run(p, u.Module, r)
	if err != nil {
		return fmt.Errorf("policy %s: %w", passes.Policies[base], err)
	}
	others := []string{passes.Policies[(base+1)%3], passes.Policies[(base+2)%3]}
	if !c.Extra {
		n := c.Seed / 3 % 2
		others = others[n : n+1]
	}
	for _, policy := range others {
		u, err := k.compile(c, policy, 0, nil)
		if err != nil {
			return err
		}
		other, err := k.run(u.Plan, u.Module, r)
		if err != nil {
			return fmt.Errorf("policy %s: %w", policy, err)
		}
		if err := sameGrads(p, first, u.Plan, other); err != nil {
			return fmt.Errorf("policies %s and %s: %w", passes.Policies[base], policy, err)
		}
	}
	// Costs several compilations.
	if c.also(underBudget, 16) {
		if err := k.budget(c, r, p, first); err != nil {
			return err
		}
	}
	if c.also(otherOrder, 4) {
		u, err := k.compile(c, others[0], 1+c.Seed, nil)
		if err != nil {
			return err
		}
		// Its bits may differ, its numbers not beyond rounding.
		if _, err := k.run(u.Plan, u.Module, r); err != nil {
			return fmt.Errorf("policy %s, nodes in another order: %w", others[0], err)
		}
	}
	if c.also(narrow, 8) {
		if err := k.narrow(c, r); err != nil {
			return err
		}
	}
	if c.Extra {
		again, err := k.compile(c, passes.Policies[base], 0, nil)
		if err != nil {
			return err
		}
		if again.Module.String() != u.Module.String() || again.Plan.String() != u.Plan.String() {
			return fmt.Errorf("compiled again, the plan differs")
		}
	}
	return nil
}

// observed compiles and compares what the module computes with the reference:
// after each pass, or else in front of the derivatives and at the end, since
// what a pass spoils stays so.
func (k *Checker) observed(c *Case, r *reference, policy string) (*passes.Unit, error) {
	return k.afterPasses(c, r, policy, c.also(everyPass, 4))
}

// Reading the text back at each station means that the comparison runs on what a dump
// would hold, so printer and parser are tested on the way.
func (k *Checker) afterPasses(c *Case, r *reference, policy string, every bool) (*passes.Unit, error) {
	var failed error
	before := ""
	u, err := k.compile(c, policy, 0, func(rep passes.Report) {
		for rule, n := range rep.Stats {
			// Counts show that random models reach every rule of the fusions.
			if n > 0 && strings.HasPrefix(rep.Pass.Name, "fuse_") {
				k.Counts["rule "+rep.Pass.Name+" "+rule]++
			}
		}
		m := rep.Unit.Module
		last := rep.Number == len(k.Train)
		if failed != nil || !every && !last && rep.Pass.Name != passes.Cleanup.Name {
			return
		}
		var err error
		if every {
			text := m.String()
			// Nothing changed, so nothing new can be wrong.
			if text == before {
				return
			}
			before = text
			// What was read is what is compared.
			if m, err = parseModule("after "+rep.Pass.Name, []byte(text)); err == nil && m.String() != text {
				err = fmt.Errorf("the text changes when it is read and printed")
			}
		}
		if err == nil {
			err = r.compareStep(m)
		}
		if err != nil {
			failed = fmt.Errorf("after %s, policy %s: %w\n%s", rep.Pass.Name, policy, err, m)
		}
	})
	if failed != nil {
		return nil, failed
	}
	return u, err
}

// throughText reads a plan back from its text.
// The text must be complete: a plan from a file is all that some tests and tools have.
func throughText(p *plan.Plan) (*plan.Plan, error) {
	text := p.String()
	q, err := plan.Parse("plan", []byte(text))
	if err != nil {
		return nil, fmt.Errorf("the plan's text: %w\n%s", err, text)
	}
	if again := q.String(); again != text {
		return nil, fmt.Errorf("the plan's text changes when it is read and printed:\n%s\n%s", text, again)
	}
	return q, q.Verify()
}

// run runs a plan's training and compares it with the reference.
// Memory is poisoned with NaN, so a launch that reads what nothing wrote gives numbers
// that no bound allows.
// made is the module that the plan was made of.
func (k *Checker) run(p *plan.Plan, made *ir.Module, r *reference) (model.Trainer, error) {
	r, err := r.widened(made)
	if err != nil {
		return nil, err
	}
	return k.runOnce(p, r)
}

func (k *Checker) runOnce(p *plan.Plan, r *reference) (model.Trainer, error) {
	t, err := exec.NewTrainer(p, exec.Options{Device: k.Device, Poison: true})
	if err != nil {
		return nil, refusal(err)
	}
	// By name: the layout is the plan's, and not the same in all.
	for _, w := range p.Weights {
		for l, x := range r.weights[w.Name] {
			copy(t.Params()[w.At(l):], x.F32())
		}
	}
	wrong := func(what string, err error) (model.Trainer, error) {
		return nil, fmt.Errorf("exec%s: %w\n%s", what, err, p)
	}
	if err := r.compareLoss(float64(t.MicroStep(r.batch(), true))); err != nil {
		return wrong("", err)
	}
	// The trainer goes on to change them.
	grads := slices.Clone(t.Grads())
	if err := r.compareGrads(p, grads, 1); err != nil {
		return wrong("", err)
	}
	if err := r.compareLoss(float64(t.Eval(r.batch()))); err != nil {
		return wrong(": eval", err)
	}
	// Gradients of the step before must be gone to the last bit.
	t.MicroStep(r.batch(), true) // overwrites what the first one left
	for i, g := range t.Grads() {
		if math.Float32bits(g) != math.Float32bits(grads[i]) {
			return nil, fmt.Errorf("exec: the first micro-batch of a second step gives %v as gradient %d, in the step before %v\n%s", g, i, grads[i], p)
		}
	}
	// The same batch once more must double the gradients.
	r.count(k.Counts)
	t.MicroStep(r.batch(), false)
	if err := r.compareGrads(p, t.Grads(), 2); err != nil {
		return wrong(": second micro-batch", err)
	}
	if err := r.compareUpdate(p, t); err != nil {
		return wrong("", err)
	}
	copy(t.Grads(), grads) // of the first micro-batch, to compare policies by
	return t, nil
}

// compareGrads holds gradients in the plan's layout to times the reference.
// Weights that no rule writes must have zeros. Not "<=" but its negation, so that a
// NaN fails too.
func (r *reference) compareGrads(p *plan.Plan, grads []float32, times float64) error {
	for _, w := range p.Weights {
		for l := range max(1, w.Layers) {
			got := grads[w.At(l):][:w.Elems()]
			for i, x := range got {
				// No rule wrote this weight.
				want := 0.0
				if rows := r.grads[w.Name]; rows != nil {
					want = times * rows[l].F[i]
				}
				most := times * r.allowedGrad(w.Name)
				if d := math.Abs(float64(x) - want); !(d <= most) {
					return differs(d, most, "gradient of $%s, layer %d, element %d is %v, want %v: differs by %.3g, at most %.3g is allowed (largest %.3g)",
						w.Name, l, i, x, want, d, most, r.scale[w.Name])
				}
			}
		}
	}
	return nil
}

// sameGrads compares gradients bit for bit, by weight.
// Plans of two policies may lay weights out alike or not, so elements are found by
// name and layer.
func sameGrads(p *plan.Plan, a model.Trainer, q *plan.Plan, b model.Trainer) error {
	for _, w := range p.Weights {
		v := q.FindWeight(w.Name)
		for l := range max(1, w.Layers) {
			for i := range w.Elems() {
				x, y := a.Grads()[w.At(l)+i], b.Grads()[v.At(l)+i]
				if math.Float32bits(x) != math.Float32bits(y) {
					return fmt.Errorf("gradient of $%s, layer %d, element %d is %v and %v\n%s\n%s", w.Name, l, i, x, y, p, q)
				}
			}
		}
	}
	return nil
}

func sortedNames[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
