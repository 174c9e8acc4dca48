package interp

import (
	"fmt"
	"math"

	"github.com/llamac/llamac/ir"
)

// Ops that run layers or touch what outlives a run. Stacks call functions, the
// others read and write the machine.
var controlKernels = map[string]kernel{
	"stack": stack, "stack_grad": stackGrad, "grad_add": gradAdd, "global_norm": globalNorm, "adamw": adamW,
	"all_reduce": alone, "all_gather": alone, "reduce_scatter": alone,
}

// stack runs the forward functions of the layers one after the other, each on
// the result of the one before, and keeps what each saves.
func stack(c *call) error {
	s := c.mod.Stack(c.n.Str("name"))
	// By name, which the forward and the backward function share.
	saved := make([]map[string]*Tensor, s.Layers())
	x := c.in[0]
	// Segments differ in what their layers store, not in what they compute.
	for _, seg := range s.Segments {
		for layer := seg.From; layer < seg.To; layer++ {
			f := seg.Forward
			env := c.enter(f, x)
			if err := c.function(f, layer, env); err != nil {
				return err
			}
			x = env[f.Results[0]]
			saved[layer] = map[string]*Tensor{}
			for _, v := range f.Saved {
				saved[layer][v.Name] = env[v]
			}
		}
	}
	c.Saved[s.Name] = saved
	c.out[0] = x
	return nil
}

// stackGrad runs the backward functions from the last layer to the first.
func stackGrad(c *call) error {
	s := c.mod.Stack(c.n.Str("name"))
	saved := c.Saved[s.Name]
	if len(saved) != s.Layers() {
		return fmt.Errorf("stack %s has not run forward", s.Name)
	}
	d := c.in[0]
	// The gradient goes through the layers in the order opposite to the
	// forward's.
	for i := len(s.Segments) - 1; i >= 0; i-- {
		seg := s.Segments[i]
		for layer := seg.To - 1; layer >= seg.From; layer-- {
			f := seg.Backward
			env := c.enter(f, d)
			for _, v := range f.Saved {
				// A pass that forgets to store what its backward reads is found
				// here.
				if env[v] = saved[layer][v.Name]; env[v] == nil {
					return fmt.Errorf("@%s: layer %d did not save %s", f.Name, layer, v)
				}
			}
			if err := c.function(f, layer, env); err != nil {
				return err
			}
			d = env[f.Results[0]]
		}
	}
	c.out[0] = d
	return nil
}

// enter binds a layer function's parameters: x, then what is the same for all
// layers.
// The first parameter is what goes from layer to layer, x forwards and its
// gradient backwards.
func (c *call) enter(f *ir.Func, x *Tensor) map[*ir.Value]*Tensor {
	env := map[*ir.Value]*Tensor{f.Params[0]: x}
	for i, p := range f.Params[1:] {
		env[p] = c.in[1+i]
	}
	return env
}

// gradAdd adds to the gradient of the current layer's weight. Which addition is
// the first is remembered for each tensor and each run, since a tied weight
// receives several.
func gradAdd(c *call) error {
	w := c.n.Operands[1].Weight
	if c.Grads[w.Name] == nil {
		c.Grads[w.Name] = c.perLayer(w.Layers, w.Type)
	}
	g, err := ofLayer(c.Grads[w.Name], c.n.Operands[1], w.Layers, c.layer)
	if err != nil {
		return err
	}
	// Buffers hold the last step's gradients until then: zeroing by the first
	// addition, as kernels do, saves a sweep over the arena.
	if c.First && !c.touched[g] {
		clear(g.F)
	}
	c.touched[g] = true
	axpy(g.F, 1, c.in[0].F)
	return nil
}

// gradScale is the factor that gradients get before anything else.
// It is 1 over the number of micro-batches: gradients are summed over them, the
// loss is a mean.
func (m *Machine) gradScale() float64 {
	if m.Hyper.GradScale == 0 {
		return 1
	}
	return m.Hyper.GradScale
}

// globalNorm is over all gradients of the module, each tied weight once.
func globalNorm(c *call) error {
	// Over all layers and weights at once, as clipping in the paper's training
	// is global.
	sum := 0.0
	for _, w := range c.mod.Weights {
		for _, g := range c.Grads[w.Name] {
			sum += dot(g.F, g.F)
		}
	}
	c.out[0].F[0] = c.gradScale() * math.Sqrt(sum)
	return nil
}

// adamW makes one step as PyTorch's AdamW and clip_grad_norm_ do: gradients
// shrink by clip/(norm + 1e-6) if that is below 1, decay comes first and
// shrinks p by 1 - lr·wd, moments are corrected for their start at zero, eps is
// added to the root. Weights without a gradient stay.
func adamW(c *call) error {
	h := c.Hyper
	if h.Step < 1 {
		return fmt.Errorf("step %d: steps count from 1", h.Step)
	}
	scale := c.gradScale()
	if h.Clip > 0 {
		// The operand is the norm, already scaled.
		scale *= math.Min(1, h.Clip/(c.in[0].F[0]+1e-6))
	}
	correct1 := 1 - math.Pow(h.Beta1, float64(h.Step))
	correct2 := 1 - math.Pow(h.Beta2, float64(h.Step))
	for _, w := range c.mod.Weights {
		if c.Grads[w.Name] == nil {
			continue
		}
		// At the first step, as zeros.
		if c.Moments.M[w.Name] == nil {
			c.Moments.M[w.Name] = c.perLayer(w.Layers, w.Type)
			c.Moments.V[w.Name] = c.perLayer(w.Layers, w.Type)
		}
		for l, p := range c.Weights[w.Name] {
			g, m, v := c.Grads[w.Name][l].F, c.Moments.M[w.Name][l].F, c.Moments.V[w.Name][l].F
			for i := range p.F {
				x := scale * g[i]
				m[i] = h.Beta1*m[i] + (1-h.Beta1)*x
				v[i] = h.Beta2*v[i] + (1-h.Beta2)*x*x
				if w.Decay {
					p.F[i] *= 1 - h.LR*h.WeightDecay
				}
				p.F[i] -= h.LR * (m[i] / correct1) / (math.Sqrt(v[i]/correct2) + h.Eps)
			}
		}
	}
	return nil
}

// alone is a collective in a group of one device.
// It is the identity there: specs for several devices can be interpreted one
// rank at a time with ways of 1.
func alone(c *call) error {
	if ways := c.n.Int("ways"); ways != 1 {
		return fmt.Errorf("%d ways: there is only one device", ways)
	}
	copy(c.out[0].F, c.in[0].F)
	copy(c.out[0].I, c.in[0].I)
	copy(c.out[0].B, c.in[0].B)
	return nil
}
