package interp

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/llamac/llamac/ir"
)

// Machine holds what outlives a run of a function. Tensors are listed by the
// name of their weight or state, one a layer, or one if it has no layers.
// A machine serves one training run, forward, backward and update in the order
// in which they are called; it is not safe for concurrent use.
type Machine struct {
	Dims    map[string]int64     // values of the module's dimensions
	Weights map[string][]*Tensor // must hold every weight that is read
	Grads   map[string][]*Tensor // of weights; grad_add makes missing ones
	Moments Moments              // adamw makes missing ones
	// Of a decoder: the caches of keys and values.
	State map[string][]*Tensor // made of zeros where missing
	Hyper Hyper

	// First marks the first micro-batch of a step: the first addition to a
	// gradient in a run overwrites it.
	First bool
	// Saved is what layers stored for their backward: by stack, layer and name.
	Saved map[string][]map[string]*Tensor

	// Round, if set, is applied to every element of a node's float results;
	// RoundTo is the usual choice. Without it nothing is ever rounded, and a
	// cast between float types changes no number.
	Round func(ir.DType, float64) float64
	// CheckFinite makes a node with a result that is infinite or not a number
	// an error that names it.
	// It finds where a NaN comes from, which in a finished result is anybody's
	// guess.
	CheckFinite bool
	// Trace, if set, sees every result of every node as it is computed. layer
	// is -1 outside of the layers of a stack.
	Trace func(f *ir.Func, layer int, v *ir.Value, t *Tensor)
	// Noise, if set, may change the results of every node: see there.
	Noise Noise
}

// Moments are AdamW's running means of gradients and of their squares.
type Moments struct{ M, V map[string][]*Tensor }

// Hyper are the scalars of one optimiser step.
// They are arguments of the program update; the names are those of Loshchilov
// and Hutter 2019.
type Hyper struct {
	Step                  int // from 1
	LR, Beta1, Beta2, Eps float64
	WeightDecay           float64 // for weights marked decay
	Clip                  float64 // largest global norm; 0 for any
	GradScale             float64 // multiplies gradients first; 0 stands for 1
}

// NewMachine makes a machine without weights.
func NewMachine(dims map[string]int64) *Machine {
	return &Machine{
		Dims: dims, Weights: map[string][]*Tensor{}, Grads: map[string][]*Tensor{}, State: map[string][]*Tensor{},
		Moments: Moments{map[string][]*Tensor{}, map[string][]*Tensor{}}, Saved: map[string][]map[string]*Tensor{},
	}
}

// InitWeights gives every weight of the module random numbers: as its Init
// says, and where that is empty normal ones of variance 1/width.
func (m *Machine) InitWeights(mod *ir.Module, rng *rand.Rand) {
	// In the module's order, so that a generator in the same state gives the
	// same model.
	for _, w := range mod.Weights {
		m.Weights[w.Name] = m.perLayer(w.Layers, w.Type)
		for _, t := range m.Weights[w.Name] {
			switch w.Init.Kind {
			case "zeros":
			case "ones":
				for i := range t.F {
					t.F[i] = 1
				}
			case "normal":
				t.Random(rng).Scale(w.Init.Std)
			// Variance 1/width keeps activations of random graphs near 1, where
			// tolerances mean something.
			default:
				t.Random(rng).Scale(1 / math.Sqrt(float64(t.last())))
			}
		}
	}
}

// perLayer makes zeros for each layer of a weight or state.
func (m *Machine) perLayer(layers int, t ir.Type) []*Tensor {
	dims, err := m.shape(t)
	if err != nil {
		panic("interp: " + err.Error())
	}
	// A weight outside of a stack is a list of one.
	out := make([]*Tensor, max(1, layers))
	for i := range out {
		out[i] = New(t.DType, dims...)
	}
	return out
}

// shape is a type's dimensions as numbers.
func (m *Machine) shape(t ir.Type) ([]int, error) {
	dims := make([]int, len(t.Dims))
	for i, d := range t.Dims {
		if d = d.Bind(m.Dims); !d.IsConst() {
			return nil, fmt.Errorf("%s: dimension %s has no value", t, d.Sym)
		}
		dims[i] = int(d.N)
	}
	return dims, nil
}

// Run runs a function of the module, which must verify, and returns its
// results. A layer's or backward function runs as that of layer 0; a backward
// function takes what it loads behind its parameters.
func (m *Machine) Run(mod *ir.Module, fn string, args ...*Tensor) ([]*Tensor, error) {
	f := mod.Func(fn)
	if f == nil {
		return nil, fmt.Errorf("interp: no function named @%s", fn)
	}
	r := &run{Machine: m, mod: mod, touched: map[*Tensor]bool{}}
	params := f.Params
	if f.Role == ir.RoleBackward {
		params = slices.Concat(params, f.Saved)
	}
	layer := 0
	if f.Role == ir.RoleMain {
		layer = -1
	}
	if len(args) != len(params) {
		return nil, fmt.Errorf("interp: @%s takes %d arguments, not %d", fn, len(params), len(args))
	}
	env := map[*ir.Value]*Tensor{}
	for i, p := range params {
		dims, err := m.shape(p.Type)
		if err != nil {
			return nil, fmt.Errorf("interp: @%s: %w", fn, err)
		}
		if args[i].DType != p.Type.DType || !slices.Equal(args[i].Dims, dims) {
			return nil, fmt.Errorf("interp: @%s: argument %s is %s%v, not %s%v", fn, p, args[i].DType, args[i].Dims, p.Type.DType, dims)
		}
		env[p] = args[i]
	}
	if err := r.function(f, layer, env); err != nil {
		return nil, fmt.Errorf("interp: %w", err)
	}
	return pick(env, f.Results), nil
}

// pick lists the values of some results.
func pick(env map[*ir.Value]*Tensor, vs []*ir.Value) []*Tensor {
	out := make([]*Tensor, len(vs))
	for i, v := range vs {
		out[i] = env[v]
	}
	return out
}

// run is one call of Run.
// It is apart from Machine because a gradient's first addition is known by run.
type run struct {
	*Machine
	mod     *ir.Module
	touched map[*Tensor]bool // gradients that grad_add wrote
}

// function runs the nodes of f; env holds parameters and receives results.
func (r *run) function(f *ir.Func, layer int, env map[*ir.Value]*Tensor) error {
	// In the order given, which the verifier has found legal. Passes that
	// reorder nodes are checked by running the result.
	for _, n := range f.Nodes {
		if err := r.node(f, n, layer, env); err != nil {
			where := n.Op.Name
			if len(n.Results) > 0 {
				where = n.Results[0].String() + " = " + where
			}
			if layer >= 0 {
				where = fmt.Sprintf("layer %d: %s", layer, where)
			}
			return fmt.Errorf("@%s: %s: %w", f.Name, where, err)
		}
	}
	return nil
}

// node computes one node: operands, kernel, then what the machine was asked to
// do with the results.
// Results are new tensors: an op that may work in place in a kernel never does
// here, so aliasing cannot hide a mistake.
func (r *run) node(f *ir.Func, n *ir.Node, layer int, env map[*ir.Value]*Tensor) error {
	// Shapes are computed anew from the types for each node: results of a wrong
	// shape would be a wrong type rule, and show here.
	c := &call{run: r, n: n, layer: layer}
	for _, v := range n.Operands {
		t, err := r.operand(v, layer, env)
		if err != nil {
			return err
		}
		c.in = append(c.in, t)
	}
	for _, v := range n.Results {
		dims, err := r.shape(v.Type)
		if err != nil {
			return err
		}
		c.out = append(c.out, New(v.Type.DType, dims...))
	}
	// TestTable holds that every op has one.
	k := kernels[n.Op.Name]
	if k == nil {
		return fmt.Errorf("no reference kernel")
	}
	if err := k(c); err != nil {
		return err
	}
	if r.Noise != nil {
		terms, err := c.terms(k)
		if err != nil {
			return err
		}
		r.Noise(n, c.in, c.out, terms)
	}
	// Rounding comes first: what is traced or judged finite is what the next
	// node reads.
	for i, v := range n.Results {
		t := c.out[i]
		if r.Round != nil {
			for j, x := range t.F {
				t.F[j] = r.Round(t.DType, x)
			}
		}
		if r.CheckFinite {
			for j, x := range t.F {
				if math.IsNaN(x) || math.IsInf(x, 0) {
					return fmt.Errorf("%s is %v at element %v", v, x, unravel(j, t.Dims))
				}
			}
		}
		if r.Trace != nil {
			r.Trace(f, layer, v, t)
		}
		env[v] = t
	}
	return nil
}

// operand finds an operand's value; nil stands for an absent one.
func (r *run) operand(v *ir.Value, layer int, env map[*ir.Value]*Tensor) (*Tensor, error) {
	switch {
	case v == nil:
		return nil, nil
	case v.Weight != nil:
		return ofLayer(r.Weights[v.Weight.Name], v, v.Weight.Layers, layer)
	case v.State != nil:
		if r.State[v.State.Name] == nil {
			r.State[v.State.Name] = r.perLayer(v.State.Layers, v.State.Type)
		}
		return ofLayer(r.State[v.State.Name], v, v.State.Layers, layer)
	}
	// The verifier holds that definitions come before uses; a function's
	// parameter without an argument ends here.
	if env[v] == nil {
		return nil, fmt.Errorf("%s has no value", v)
	}
	return env[v], nil
}

// ofLayer picks the layer's row of a weight or state with layers.
func ofLayer(rows []*Tensor, v *ir.Value, layers, layer int) (*Tensor, error) {
	// The same tensor for every layer that reads it.
	if layers == 0 {
		layer = 0
	}
	switch {
	case rows == nil:
		return nil, fmt.Errorf("%s has no value", v)
	case layer < 0:
		return nil, fmt.Errorf("%s is read outside of its layers", v)
	case layer >= len(rows):
		return nil, fmt.Errorf("%s has %d layers, layer %d is read", v, len(rows), layer)
	}
	return rows[layer], nil
}

// unravel is the index of element i.
func unravel(i int, dims []int) []int {
	idx := make([]int, len(dims))
	for a := len(dims) - 1; a >= 0; a-- {
		idx[a], i = i%dims[a], i/dims[a]
	}
	return idx
}
