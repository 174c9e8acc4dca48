package fuzz

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/ir/interp"
	"github.com/llamac/llamac/passes"
	"github.com/llamac/llamac/runtime/model"
)

// reference is what the interpreter gives for a case's untouched graph, with
// how far rounding may move each number.
// It is float64 and comes from the graph before any pass, differentiated: nothing that
// a pass does later can have touched it.
type reference struct {
	c               *Case
	tokens, targets []int32
	starts          []int32 // of documents, for a module that reads them; else nil
	weights         map[string][]*interp.Tensor

	loss, lossMoves float64
	grads           map[string][]*interp.Tensor
	moves           map[string]float64 // of a weight's gradient, all layers
	scale           map[string]float64 // largest element
	largest         float64            // of all
	logits          *interp.Tensor
	logitMoves      float64
	module          *ir.Module // with derivatives, before all other passes
}

// nudge is the relative size of the random changes that stand for rounding:
// four times that of float32.
// The unit roundoff of float32 is 2^-24.
const nudge = 1.0 / (1 << 22)

// errWild says that a case's numbers leave the range in which a comparison in
// float32 means something.
var errWild = fmt.Errorf("numbers beyond comparison")

// newReference runs a case in the interpreter: as it is, and with every result
// of every node moved at random by what rounding may.
// What the moved runs differ by measures how the model itself enlarges rounding, which
// no bound that only knows sizes could: deep random graphs differ by powers of ten.
func newReference(c *Case) (*reference, error) {
	r := &reference{c: c, moves: map[string]float64{}, scale: map[string]float64{}}
	rng := rand.New(rand.NewPCG(c.Seed, 1))
	n := c.B * c.T
	r.tokens, r.targets = make([]int32, n), make([]int32, n)
	// An eighth of the positions.
	for i := range n {
		r.tokens[i], r.targets[i] = int32(rng.IntN(c.Vocab)), int32(rng.IntN(c.Vocab))
		if i > 0 && rng.IntN(8) == 0 {
			// Positions without a loss; the first always has one, so that their number
			// is not 0.
			r.targets[i] = -1
		}
	}
	if c.masked() {
		r.starts = make([]int32, n)
		for i := range r.starts {
			switch at := i % c.T; {
			// A third of the tokens begin a document; the others belong to that of the
			// token before.
			case rng.IntN(3) == 0:
				r.starts[i] = int32(at)
			case at > 0:
				r.starts[i] = r.starts[i-1]
			}
		}
	}
	r.weights = randomWeights(c.Train, rng)
	m := ir.Clone(c.Train, nil)
	// Differentiation is the one pass that the reference needs: rules themselves are
	// tested in package ir against central differences.
	u := &passes.Unit{Module: m, Stats: passes.Stats{}}
	if err := passes.Differentiate.Run(u); err != nil {
		return nil, err
	}
	if err := ir.Verify(m); err != nil {
		return nil, fmt.Errorf("differentiate: %w\n%s", err, m)
	}
	r.module = m
	mach := r.machine(cloneAll(r.weights))
	wild := false
	mach.Trace = func(_ *ir.Func, _ int, v *ir.Value, t *interp.Tensor) {
		for _, x := range t.F {
			wild = wild || !(math.Abs(x) < 2e4 || math.Abs(x) > 1e8) // larger ones are masks
		}
	}
	loss, err := r.step(mach, m, true)
	if err != nil {
		return nil, err
	}
	if wild {
		return nil, fmt.Errorf("%w: large", errWild)
	}
	mach.Trace = nil
	r.loss, r.grads = loss, cloneAll(mach.Grads)
	for name, rows := range r.grads {
		for _, t := range rows {
			r.scale[name] = math.Max(r.scale[name], t.MaxAbs())
		}
		r.largest = math.Max(r.largest, r.scale[name])
	}
	// The gradient of the loss is nothing but 1 - 1 where the model is sure.
	// Gradients above 60, or all below 0.01, leave no room between noise and number.
	if r.largest > 60 || r.largest < 0.01 {
		return nil, fmt.Errorf("%w: gradients of %v", errWild, r.largest)
	}
	if err := r.measure(m, loss, r.grads, rng); err != nil {
		return nil, err
	}
	return r, nil
}

// measure runs a module with noise and raises what may move to how far that is
// from what it gives without. An error says that it enlarges rounding so much
// that it tells nothing.
func (r *reference) measure(m *ir.Module, loss float64, grads map[string][]*interp.Tensor, rng *rand.Rand) error {
	// Twice, for one draw may happen to cancel.
	for range 2 {
		moved := r.machine(cloneAll(r.weights))
		moved.Noise = nudger(rng)
		for _, name := range sortedNames(moved.Weights) {
			for _, t := range moved.Weights[name] {
				nudgeAll(t, rng)
			}
		}
		other, err := r.step(moved, m, true)
		if err != nil {
			return err
		}
		r.lossMoves = math.Max(r.lossMoves, math.Abs(other-loss))
		for name, rows := range moved.Grads {
			for l, t := range rows {
				r.moves[name] = math.Max(r.moves[name], interp.MaxDiff(t, grads[name][l]))
			}
		}
	}
	for name, move := range r.moves {
		if !(move <= 1e-2*math.Max(r.scale[name], 1e-3)) {
			return fmt.Errorf("%w: gradient moves of %v by %v", errWild, r.scale[name], move)
		}
	}
	if !(r.lossMoves <= 1e-3*math.Max(1, math.Abs(r.loss))) {
		return fmt.Errorf("%w: loss moves of %v by %v", errWild, r.loss, r.lossMoves)
	}
	return nil
}

// widened is the reference for a module that was made of the graph, and allows
// what rounding moves that one, too. Passes replace a softmax by an attention
// that adds up do·o where the graph has do·v: where those cancel, nudging the
// graph shows too little. How far the module itself is from the reference does
// not count. One case in 30,000 needs this, so it is for comparisons that
// failed, and failed by little: a wrong module is not asked how wrong it may be.
// For any other error it gives that one back.
func (r *reference) widened(failed error, made *ir.Module) (*reference, error) {
	var rounded Rounded
	var reordered reordered
	if !(errors.As(failed, &rounded) && rounded.Times <= mostForgiven || errors.As(failed, &reordered) && reordered.times <= mostForgiven) {
		return nil, failed
	}
	plain := r.machine(cloneAll(r.weights))
	loss, err := r.step(plain, made, true)
	if err != nil {
		return nil, err
	}
	w := *r
	w.moves = maps.Clone(r.moves)
	if err := w.measure(made, loss, plain.Grads, rand.New(rand.NewPCG(r.c.Seed, 6))); err != nil {
		return nil, fmt.Errorf("%w: %s", errWild, madeWild)
	}
	return &w, nil
}

// madeWild is why a case is wild of which only what was made of the graph is.
const madeWild = "what the compiler made"

// reordered is a difference of numbers in float64.
type reordered struct {
	error
	times float64 // of what is allowed; NaN if a number is
}

// exact are the ops whose results are numbers that were there before: float32
// does not round them.
var exact = map[string]bool{"const": true, "iota": true, "cast": true, "reshape": true, "transpose": true, "broadcast": true, "slice": true,
	"pad": true, "concat": true, "gather": true, "neg": true, "abs": true, "relu": true, "step": true, "sign": true,
	"max": true, "min": true, "reduce_max": true, "where": true}

// nudger moves the results of nodes as rounding does: by a share of themselves,
// and of what was added up to them. Whole numbers stay: they are exact, and may
// be exponents.
func nudger(rng *rand.Rand) interp.Noise {
	whole := func(t *interp.Tensor) bool {
		return !slices.ContainsFunc(t.F, func(x float64) bool { return x != math.Trunc(x) })
	}
	return func(n *ir.Node, results, terms []*interp.Tensor) {
		for i, t := range results {
			switch {
			case exact[n.Op.Name]:
			case terms != nil && !whole(terms[i]):
				for j, x := range terms[i].F {
					t.F[j] += nudge * (2*rng.Float64() - 1) * x
				}
			case terms == nil && !whole(t):
				nudgeAll(t, rng)
			}
		}
	}
}

func nudgeAll(t *interp.Tensor, rng *rand.Rand) {
	for i := range t.F {
		t.F[i] *= 1 + nudge*(2*rng.Float64()-1)
	}
}

// machine is a machine for the case with the given weights.
func (r *reference) machine(weights map[string][]*interp.Tensor) *interp.Machine {
	mach := interp.NewMachine(map[string]int64{"B": int64(r.c.B), "T": int64(r.c.T), "N": int64(r.c.T)})
	mach.Weights = weights
	return mach
}

// args are what the programs of training take.
func (r *reference) args() []*interp.Tensor {
	var list []*interp.Tensor
	for _, ids := range [][]int32{r.tokens, r.targets, r.starts} {
		if ids != nil {
			list = append(list, interp.FromI32(ids, r.c.B, r.c.T))
		}
	}
	return list
}

// batch is the same as package exec takes it.
func (r *reference) batch() model.Batch {
	return model.Batch{Tokens: r.tokens, Targets: r.targets, Starts: r.starts}
}

// step runs micro_step.
func (r *reference) step(mach *interp.Machine, m *ir.Module, first bool) (loss float64, err error) {
	mach.First = first
	out, err := mach.Run(m, "micro_step", r.args()...)
	if err != nil {
		return 0, err
	}
	return out[0].F[0], nil
}

// randomWeights draws weights that float32 holds exactly: matrices of variance
// 1/width, others near 1.
// Rounded to float32 before either side reads them, so that both start from the same
// numbers. Variance 1/width keeps the size of what passes through a matrix.
func randomWeights(m *ir.Module, rng *rand.Rand) map[string][]*interp.Tensor {
	all := map[string][]*interp.Tensor{}
	for _, w := range m.Weights {
		var shape []int
		for _, d := range w.Type.Dims {
			shape = append(shape, int(d.N))
		}
		for range max(1, w.Layers) {
			t := interp.New(ir.F32, shape...)
			for i := range t.F {
				x := rng.NormFloat64()
				if len(shape) >= 2 {
					x /= math.Sqrt(float64(shape[len(shape)-1]))
				} else {
					x = 1 + x/4
				}
				t.F[i] = float64(float32(x))
			}
			all[w.Name] = append(all[w.Name], t)
		}
	}
	return all
}

func cloneAll(ts map[string][]*interp.Tensor) map[string][]*interp.Tensor {
	out := map[string][]*interp.Tensor{}
	for name, rows := range ts {
		for _, t := range rows {
			out[name] = append(out[name], t.Clone())
		}
	}
	return out
}

// allowed is how far float32 may be from the reference: some multiple of how
// far the nudges move it, and some units in the last place of the largest
// element for what they do not reach. In 8,000 models no gradient was off by
// more than a fifth of this.
func allowed(moves, scale float64) float64 { return 32*moves + 1e-5*scale + 1e-9 }

// allowedGrad is the same for the gradient of a weight. The nudges move what is
// added up, so that a gradient which is small because its terms cancel is
// allowed the noise of the terms. One that vanishes, such as that of a query
// which sees one key, may do so by terms that the graph does not have and a
// kernel has: it gets a share of the largest gradient.
func (r *reference) allowedGrad(name string) float64 {
	most := allowed(r.moves[name], r.scale[name])
	if r.vanishes(name) {
		most += 1e-5 * r.largest
	}
	return most
}

// vanishes reports that a weight has a gradient, which is 0 but for rounding.
func (r *reference) vanishes(name string) bool {
	scale, ok := r.scale[name]
	return ok && scale < 1e-9*r.largest
}

// count counts the weights by how much of their gradients a comparison sees.
func (r *reference) count(counts map[string]int) {
	for name, scale := range r.scale {
		counts["weights"]++
		switch most := r.allowedGrad(name); {
		case r.vanishes(name):
			counts["weights not compared: the gradient vanishes"]++
		case most > scale/2:
			counts["weights not compared: noise"]++
		case most > scale/100:
			counts["weights compared to more than 1 %"]++
		}
	}
}

// allowed64 is the same for another order of operations in float64.
func allowed64(moves, scale float64) float64 { return 1e-6*moves + 1e-11*scale + 1e-13 }

// compareStep holds one run of a module in the interpreter to the reference.
func (r *reference) compareStep(m *ir.Module) error {
	err := r.compareModule(m)
	if err == nil || !differentiated(m) {
		return err
	}
	wide, err := r.widened(err, m)
	if err != nil {
		return err
	}
	return wide.compareModule(m)
}

// differentiated tells modules behind the pass differentiate from those before
// it by the names of their functions.
func differentiated(m *ir.Module) bool { return m.Func("loss") == nil }

func (r *reference) compareModule(m *ir.Module) error {
	// Until then the loss is all that there is to compare.
	if !differentiated(m) {
		out, err := r.machine(r.weights).Run(m, "loss", r.args()...)
		if err != nil {
			return err
		}
		return r.compareLoss64(out[0].F[0])
	}
	mach := r.machine(r.weights)
	loss, err := r.step(mach, m, true)
	if err != nil {
		return err
	}
	if err := r.compareLoss64(loss); err != nil {
		return err
	}
	for _, name := range sortedNames(r.grads) {
		for l, want := range r.grads[name] {
			if len(mach.Grads[name]) <= l {
				return fmt.Errorf("no gradient of $%s", name)
			}
			diff := interp.MaxDiff(mach.Grads[name][l], want)
			if most := allowed64(r.moves[name], r.scale[name]); !(diff <= most) {
				return reordered{fmt.Errorf("gradient of $%s, layer %d, differs by %.3g of %.3g, at most %.3g is allowed", name, l, diff, r.scale[name], most), diff / most}
			}
		}
	}
	for _, name := range sortedNames(mach.Grads) {
		for _, t := range mach.Grads[name] {
			// A weight without a gradient may get one of zeros, not another.
			if r.grads[name] == nil && t.MaxAbs() != 0 { // of an unused member of a pack
				return fmt.Errorf("a gradient of $%s where there was none", name)
			}
		}
	}
	out, err := r.machine(r.weights).Run(m, "eval", r.args()...)
	if err != nil {
		return err
	}
	return r.compareLoss64(out[0].F[0])
}

// compareLoss holds exec's loss to the reference.
func (r *reference) compareLoss(loss float64) error {
	most := allowed(r.lossMoves, math.Max(1, math.Abs(r.loss)))
	if d := math.Abs(loss - r.loss); !(d <= most) {
		return differs(d, most, "loss %v, want %v: differs by %.3g, at most %.3g is allowed", loss, r.loss, d, most)
	}
	return nil
}

// compareLoss64 holds the interpreter's loss to the reference: both are in
// float64, and no difference is forgiven.
func (r *reference) compareLoss64(loss float64) error {
	most := allowed64(r.lossMoves, math.Max(1, math.Abs(r.loss)))
	if d := math.Abs(loss - r.loss); !(d <= most) {
		return fmt.Errorf("loss %v, want %v: differs by %.3g, at most %.3g is allowed", loss, r.loss, d, most)
	}
	return nil
}
