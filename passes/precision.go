package passes

import (
	"fmt"

	"github.com/llamac/llamac/ir"
)

// Precision gives values the dtype that the run computes in (Micikevicius et
// al. 2018). Weights become narrow and every value that is computed from them
// follows by its op's rule:
//
//	%attn.q = linear(%attn.n, $attention.wq) : f32[B, T, 64]   ──▶   bf16[B, T, 64]
//
// What must not be rounded stays f32 by those rules: logsumexp, losses, the
// gradients of weights, and the tables of RoPE, which no weight enters. A
// constant that meets a narrow value is cast to it.
var Precision = Pass{
	Name: "precision", Doc: "Gives values the dtype that the run computes in; logsumexp, losses and gradients of weights stay f32.",
	Run: precision, Required: true,
}

func precision(u *Unit) error {
	// The module is f32 as it comes; nothing has to be typed anew.
	if u.Config.Compute == "" || u.Config.Compute == "f32" {
		return nil
	}
	dt, ok := ir.ParseDType(u.Config.Compute)
	if !ok || !dt.Float() {
		return fmt.Errorf("precision: cannot compute in %q", u.Config.Compute)
	}
	// Gradients and moments have no types in the module: they stay f32, and a
	// master copy of the weights is added where they are laid out.
	for _, w := range u.Module.Weights {
		w.Type = w.Type.With(dt)
	}
	for _, s := range u.Module.State {
		s.Type = s.Type.With(dt)
	}
	n := &narrower{u: u, to: dt, done: map[*ir.Func]bool{}}
	// From the main functions, since a layer's parameters get their types from
	// the call.
	for _, f := range u.Module.Funcs {
		if f.Role == ir.RoleMain {
			n.function(f)
		}
	}
	n.unreached()
	return n.err
}

// Functions are visited once each, callers before what they call.
type narrower struct {
	u    *Unit
	to   ir.DType
	done map[*ir.Func]bool
	err  error
}

// function types the nodes of f anew, from its parameters on.
func (c *narrower) function(f *ir.Func) {
	if c.done[f] {
		return
	}
	c.done[f] = true
	b := ir.NewBuilder(f)
	// Casts are collected in the builder and put in front of the node that
	// needs them.
	var nodes []*ir.Node
	for _, n := range f.Nodes {
		for _, v := range n.Operands {
			if v != nil && v.Weight != nil {
				v.Type = v.Weight.Type
			} else if v != nil && v.State != nil {
				v.Type = v.State.Type
			}
		}
		if n.Op.Name == "stack" || n.Op.Name == "stack_grad" {
			c.stack(n)
		}
		// These ops need operands of one dtype; of others the rule says what
		// they take.
		if n.Op.Elementwise || n.Op.Name == "matmul" || n.Op.Name == "concat" {
			c.agree(b, n)
		}
		// The op's own shape rule types the result: the pass knows nothing of
		// which op widens.
		types, err := n.Op.Infer(n)
		if err != nil { // the gradient of a wide value may have become narrow
			c.agree(b, n)
			types, err = n.Op.Infer(n)
		}
		nodes = append(nodes, b.Nodes...)
		b.Nodes = nil
		if err != nil {
			if c.err == nil {
				// The first error is the one to show: those behind it follow
				// from it.
				c.err = fmt.Errorf("precision: @%s: %w", f.Name, err)
			}
			continue
		}
		for i, t := range types {
			if n.Results[i].Type.DType != t.DType {
				c.u.Stats["narrowed"]++
			}
			n.Results[i].Type = t
		}
		nodes = append(nodes, n)
	}
	// A layer hands on what it takes, also where its result depends on no
	// weight.
	if f.Role != ir.RoleMain && f.Results[0].Type.DType != f.Params[0].Type.DType {
		f.Results[0] = b.Op("cast", f.Results[0].Name+".cast", ir.Attrs{"dtype": f.Params[0].Type.DType.String()}, f.Results[0])
		nodes = append(nodes, b.Nodes...)
		c.u.Stats["casts"]++
	}
	f.Nodes = nodes
}

// unreached types the functions of layers that no program runs: those whose
// result or gradient nobody asks for.
func (c *narrower) unreached() {
	for _, s := range c.u.Module.Stacks {
		// Nobody calls them, so no call gives them types; they must still
		// verify.
		for _, seg := range s.Segments {
			for _, f := range []*ir.Func{seg.Forward, seg.Backward} {
				if f == nil || c.done[f] {
					continue
				}
				f.Params[0].Type = f.Params[0].Type.With(c.to)
				if f == seg.Backward {
					for i, v := range seg.Forward.Saved {
						f.Saved[i].Type = v.Type
					}
				}
				c.function(f)
			}
		}
	}
}

// agree casts the wide operands of a node that needs all of one dtype.
//
// Only f32 is cast: integers are indices, and what is narrow already is meant
// to be.
func (c *narrower) agree(b *ir.Builder, n *ir.Node) {
	narrow := false
	for _, v := range n.Operands {
		narrow = narrow || v != nil && v.Type.DType == c.to
	}
	// With all operands wide the node stays wide: the tables of RoPE are
	// computed in f32 and cast where they meet a narrow q.
	for i, v := range n.Operands {
		statistic := i < len(n.Op.Operands) && n.Op.Operands[i] == "lse" // never rounded
		if narrow && v != nil && v.Type.DType == ir.F32 && !statistic {
			n.Operands[i] = b.Op("cast", v.Name+".narrow", ir.Attrs{"dtype": c.to.String()}, v)
			c.u.Stats["casts"]++
		}
	}
}

// stack hands the types of a call's operands to the layers' functions, and of
// stored values to the backward.
func (c *narrower) stack(n *ir.Node) {
	// The backward also reads stored values, which come with the types that the
	// forward gave them.
	for _, seg := range c.u.Module.Stack(n.Str("name")).Segments {
		f := seg.Forward
		if n.Op.Name == "stack_grad" {
			f = seg.Backward
			for i, v := range seg.Forward.Saved {
				f.Saved[i].Type = v.Type
			}
		}
		for i, v := range n.Operands {
			f.Params[i].Type = v.Type
		}
		c.function(f)
	}
}
