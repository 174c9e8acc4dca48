package fuzz

import (
	"cmp"
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
	wide            bool       // modules that were made are allowed what rounding moves them
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
	rng := rand.New(rand.NewPCG(c.Seed+c.numbers, 1))
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
	if unsure, err := r.decidedByRounding(); err != nil || unsure {
		return nil, cmp.Or(err, fmt.Errorf("%w: decided by rounding", errWild))
	}
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

// widened is the reference for a module that was made of the graph. If r is wide
// it allows what rounding moves that one, too: passes replace a softmax by an
// attention that adds up do·o where the graph has do·v, and where those cancel
// nudging the graph shows too little. How far the module itself is from the
// reference does not count, and a module without attention gets no more than the
// graph.
func (r *reference) widened(made *ir.Module) (*reference, error) {
	attends := slices.ContainsFunc(made.Funcs, func(f *ir.Func) bool {
		return slices.ContainsFunc(f.Nodes, func(n *ir.Node) bool { return n.Op.Name == "attention_grad" })
	})
	if !r.wide || !attends {
		return r, nil
	}
	plain := r.machine(cloneAll(r.weights))
	loss, err := r.step(plain, made, true)
	if err != nil {
		return nil, err
	}
	w := *r
	w.moves = maps.Clone(r.moves)
	return &w, w.measure(made, loss, plain.Grads, rand.New(rand.NewPCG(r.c.Seed, 6)))
}

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
	return func(n *ir.Node, _, results, terms []*interp.Tensor) {
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

// decisions are the ops whose results jump, by how many operands they compare;
// the others compare one with 0.
var decisions = map[string]int{"equal": 2, "less": 2, "less_equal": 2, "greater": 2, "greater_equal": 2, "step": 1, "sign": 1}

// decidedByRounding reports that the graph compares two numbers that float32 may
// find equal and float64 not, as a probability of 1 - 1e-9 and 1, or 1e-50 and 0,
// or the other way round. No random nudge shows those.
func (r *reference) decidedByRounding() (unsure bool, err error) {
	decides := func(n *ir.Node) bool { return decisions[n.Op.Name] > 0 && n.Operands[0].Type.DType.Float() }
	if !slices.ContainsFunc(r.c.Train.Funcs, func(f *ir.Func) bool { return slices.ContainsFunc(f.Nodes, decides) }) {
		return false, nil
	}
	// What is compared, in the order in which it is, as it is and nudged.
	var seen [2][][2]*interp.Tensor
	for i := range seen {
		mach := r.machine(r.weights)
		noise := nudger(rand.New(rand.NewPCG(r.c.Seed, 7)))
		mach.Noise = func(n *ir.Node, operands, results, terms []*interp.Tensor) {
			if decides(n) {
				other := interp.New(ir.F32) // 0
				if decisions[n.Op.Name] == 2 {
					other = operands[1].Clone()
				}
				seen[i] = append(seen[i], [2]*interp.Tensor{operands[0].Clone(), other})
			}
			if i == 1 {
				noise(n, operands, results, terms)
			}
		}
		if _, err := mach.Run(r.c.Train, "loss", r.args()...); err != nil {
			return false, err
		}
	}
	for i, pair := range seen[0] {
		unsure = unsure || nearlyEqual(pair, seen[1][i])
	}
	return unsure, nil
}

// smallest is the smallest number that float32 holds with all its digits.
const smallest = 0x1p-126

// nearlyEqual reports numbers of two tensors that differ by less than rounding may:
// by some units in the last place, or by what nudging moves them, which is more
// where they are small differences of large numbers. Equal ones are among them: a
// tanh of 1 may be a little less in float32. Zeros are zeros there too. Operands
// are stretched as the op stretches them.
func nearlyEqual(plain, moved [2]*interp.Tensor) bool {
	a, b := plain[0], plain[1]
	rank := max(len(a.Dims), len(b.Dims))
	x, y := aligned(a.Dims, rank), aligned(b.Dims, rank)
	n := 1
	for i := range rank {
		n *= max(x[i], y[i])
	}
	for k := range n {
		// From the last dimension on; one of size 1 stays where it is.
		i, j, strideA, strideB := 0, 0, 1, 1
		for rest, d := k, rank-1; d >= 0; d-- {
			at := rest % max(x[d], y[d])
			rest /= max(x[d], y[d])
			i, j = i+at%x[d]*strideA, j+at%y[d]*strideB
			strideA, strideB = strideA*x[d], strideB*y[d]
		}
		p, q := a.F[i], b.F[j]
		if p == q && moved[0].F[i] == moved[1].F[j] { // a copy, or positions: equal in float32 too
			continue
		}
		moves := math.Abs(moved[0].F[i]-p) + math.Abs(moved[1].F[j]-q)
		if (p != 0 || q != 0) && math.Abs(p-q) <= max(smallest, 4*nudge*max(math.Abs(p), math.Abs(q)), 32*moves) {
			return true
		}
	}
	return false
}

// aligned puts ones in front of dimensions.
func aligned(dims []int, rank int) []int {
	return append(slices.Repeat([]int{1}, rank-len(dims)), dims...)
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
