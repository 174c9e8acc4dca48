// Package build turns a specification into a module of primitive ops: one
// function per kind of node, symbolic dimensions, every weight declared once.
// It knows what a kind of node means and nothing of any particular model: the
// order of nodes is the spec's.
package build

import (
	"fmt"
	"slices"
	"strings"

	"github.com/llamac/llamac/internal/diag"
	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/specs"
)

// Stack is the name of the stack that a spec's repeat makes.
const Stack = "layers"

// Train builds the module whose function @loss(%tokens, %targets) gives the
// mean cross-entropy of the spec's network in nats, over B sequences of T
// tokens. If the spec wants attention to stop at documents (data.boundary
// "mask"), it is @loss(%tokens, %targets, %starts): %starts [B, T] has for each
// token the position in its sequence at which its document begins, 0 in the rest
// of one that began before.
// The logits are f32 whatever the run computes in: the pass precision narrows
// types later. Errors are those of the spec, at the node's place in its file.
func Train(s *specs.Spec) (*ir.Module, error) { return newBuilder(s, "T").module("loss") }

// Masked reports that the spec's training function reads %starts.
func Masked(s *specs.Spec) bool { return s.Data.Boundary == "mask" }

// Starts is the name of that parameter.
const Starts = "starts"

// Infer builds the module whose function @logits(%tokens) gives the network's
// result, over B sequences of N tokens. A sequence is one document there.
// It is the model without a cache; specialise_kv finds attention in it and gives
// it one. So there is one meaning of a network, and inference cannot drift from
// training.
func Infer(s *specs.Spec) (*ir.Module, error) { return newBuilder(s, "N").module("logits") }

// builder builds one function of the module at a time.
// A layer's function has a builder of its own that points at main's: what the two
// share are the module and the list of errors.
type builder struct {
	spec  *specs.Spec
	m     *ir.Module
	errs  *diag.List
	pairs *pairs // of the whole module
	time  ir.Dim // the dimension that positions run along

	// values are the spec's names in this function. A layer sees its own nodes
	// and x, nothing of main's.
	b      *ir.Builder
	values map[string]*ir.Value
	made   map[string]*ir.Value // invariants of the main function, by key
	starts *ir.Value            // the parameter of that name, in main; nil if attention crosses documents
	masks  int                  // causal masks that read it, in main
	layer  *layerScope          // set while a layer's function is built
	main   *builder             // the function that runs the stack, from a layer
	// being built, for the place of an error that shows only at the end
	node *specs.Node
}

// layerScope collects what a layer reads from outside: its invariants.
// The layer's function is the same for all layers, so what it needs from outside
// has to be the same for all: tables, positions and starts of documents.
type layerScope struct {
	layers     int
	invariants []*ir.Value // in the main function, in the order of parameters
	params     map[string]*ir.Value
}

// B has a bound only so that it has one; a run's batch is what bind puts there.
// Positions end where the spec's context does.
func newBuilder(s *specs.Spec, time string) *builder {
	return &builder{
		spec:  s,
		time:  ir.Sym(time),
		errs:  &diag.List{},
		pairs: &pairs{class: map[any]*channels{}},
		m: &ir.Module{Name: s.Name, Dims: []ir.DimDecl{
			{Name: "B", Min: 1, Max: specs.MaxMicroBatch},
			{Name: time, Min: 1, Max: int64(s.Model.Context)},
		}},
	}
}

// module builds the function that is the entry and all that it runs. A spec with a
// mistake is told of all its nodes at once. A module that does not verify is a bug
// of this package, since each node's types were checked as it was made.
func (c *builder) module(entry string) (_ *ir.Module, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(tooLarge)
			if !ok {
				panic(r)
			}
			err = diag.List{e.Error}
		}
	}()
	f := &ir.Func{Name: entry, Role: ir.RoleMain}
	c.m.Funcs = append(c.m.Funcs, f)
	c.begin(f)
	tokens := c.b.Param("tokens", ir.TensorOf(ir.I32, ir.Sym("B"), c.time))
	// It is the one name that a spec may read without having made it.
	c.values["tokens"] = tokens
	var targets *ir.Value
	if entry == "loss" {
		targets = c.b.Param("targets", tokens.Type) // before any node takes the name
		if Masked(c.spec) {
			c.starts = c.b.Param(Starts, tokens.Type)
		}
	}
	// Logits are [B, T, vocabulary]; the loss is no node of a spec, so that
	// inference need not take it away.
	out := c.nodes(c.spec.Model.Network)
	if out != nil {
		want := ir.TensorOf(ir.F32, ir.Sym("B"), c.time, ir.Const(int64(c.spec.Model.Vocab)))
		if !out.Type.Equal(want) {
			c.errorf(c.node, "the network ends in %s, want logits of type %s", out.Type, want)
		}
		c.pairs.find(out).fixed = true // a logit's place is its token
		if entry == "loss" {
			if n, err := c.b.TryOp("cross_entropy", "loss", nil, out, targets); err != nil {
				c.errorf(c.node, "%v", err)
			} else {
				out = n.Result()
			}
		}
		f.Results = []*ir.Value{out}
	}
	c.b.Flush()
	c.pairs.mark(c.m, c.spec.Model.Rope.Layout)
	// A spec that asks for borders in vain would train across documents and say
	// nothing.
	if c.starts != nil && c.masks == 0 && len(*c.errs) == 0 {
		pos := diag.Pos{File: c.spec.File}
		if c.spec.Pos != nil {
			pos = c.spec.Pos("data.boundary")
		}
		c.errs.Add(pos, "data.boundary is \"mask\", but the network has no causal_mask that could stop at documents")
	}
	// Before verifying: a module of which a part is missing does not verify.
	if err := c.errs.Err(); err != nil {
		return nil, err
	}
	if err := ir.Verify(c.m); err != nil {
		panic(fmt.Sprintf("ir/build: %s: %v", c.spec.File, err))
	}
	return c.m, nil
}

// begin starts a function: names of the last one mean nothing in it.
func (c *builder) begin(f *ir.Func) {
	c.b = ir.NewBuilder(f)
	c.values, c.made = map[string]*ir.Value{}, map[string]*ir.Value{}
}

// nodes builds a list of nodes and gives the last one's value, or nil if a
// node was wrong; later nodes that do not depend on it are still checked.
// Input names were resolved by package specs, so one that has no value here is
// one whose node failed.
func (c *builder) nodes(list []specs.Node) *ir.Value {
	var out *ir.Value
	for i := range list {
		c.node = &list[i]
		in := make([]*ir.Value, len(c.node.Inputs))
		missing := false
		for j, name := range c.node.Inputs {
			in[j] = c.values[name]
			missing = missing || in[j] == nil
		}
		if out = nil; missing {
			continue // reported where the input was built
		}
		v, err := c.kind(c.node, in)
		if err != nil {
			c.errorf(c.node, "%s %q: %v", c.node.Kind, c.node.Name, err)
			continue
		}
		c.values[c.node.Name] = v
		c.pairs.node(c.m, c.node, in, v)
		out = v
	}
	return out
}

// A spec made by hand, as tests do, has no positions: the file alone is named.
func (c *builder) errorf(n *specs.Node, format string, args ...any) {
	pos := diag.Pos{File: c.spec.File}
	if n != nil && c.spec.Pos != nil {
		pos = c.spec.Pos(n.Path)
	}
	c.errs.Add(pos, format, args...)
}

// op appends a node of the IR or fails the spec's node with its message.
// Unwinding keeps the kinds below as short as formulas; nothing but kind recovers.
func (c *builder) op(name, as string, attrs ir.Attrs, operands ...*ir.Value) *ir.Value {
	n, err := c.b.TryOp(name, as, attrs, operands...)
	if err != nil {
		panic(illTyped{err})
	}
	c.fits(n.Results[0].Name, n.Results[0].Type)
	return n.Results[0]
}

// mostElems bounds a value with its symbols: in bytes it stays below 2^62.
const mostElems = 1 << 58

// fits refuses a type whose elements cannot be counted, before anything is made
// of it. The place is the field's that is too large, and not the node's: the
// nodes are the library's.
func (c *builder) fits(what string, t ir.Type) {
	// The fields that are factors of it.
	of := func(path string, value int) bool {
		return slices.ContainsFunc(t.Dims, func(d ir.Dim) bool {
			switch path {
			case "train.micro_batch":
				return strings.Contains(d.Sym, "B")
			case "model.context":
				return strings.Contains(d.Sym, c.time.Sym)
			}
			return value > 1 && d.N%int64(value) == 0
		})
	}
	numbers := t.Estimate(map[string]int64{"B": 1, c.time.Sym: 1})
	if numbers > ir.MaxElems {
		panic(tooLarge{c.spec.TooLarge(of, "%s would have %.3g elements, more than the %.3g that a tensor may have", what, numbers, float64(ir.MaxElems))})
	}
	all := t.Estimate(map[string]int64{"B": int64(c.spec.Train.MicroBatch), c.time.Sym: int64(c.spec.Model.Context)})
	if all > mostElems {
		panic(tooLarge{c.spec.TooLarge(of, "%s would have %.3g elements in a micro-batch, more than the %.3g that can be counted", what, all, float64(mostElems))})
	}
}

// tooLarge unwinds to module: sizes are the spec's, and every further node would
// say the same.
type tooLarge struct{ *diag.Error }

// illTyped unwinds from op to kind.
// A type of its own tells a spec's mistake from a bug's panic, which goes on.
type illTyped struct{ error }

// Constants are rank 0 and broadcast; canonicalize folds what can be folded.
func (c *builder) scalar(as string, x float64) *ir.Value { return c.b.Scalar(as, ir.F32, x) }

// weight declares a weight at its first use and checks later ones against it.
// Weights are named by the spec, and two nodes with one name share it: so
// embedding and output are tied. The first node's initialisation counts.
func (c *builder) weight(name string, init ir.Init, shard string, dims ...int) *ir.Value {
	t := ir.Type{DType: ir.F32}
	for _, d := range dims {
		t.Dims = append(t.Dims, ir.Const(int64(d)))
	}
	c.fits("the weight "+name, t)
	w := c.m.Weight(name)
	switch {
	case w == nil:
		// Matrices decay, gains and biases do not.
		w = &ir.Weight{Name: name, Type: t, Layout: ir.RowMajor, Init: init, Decay: len(dims) > 1, Shard: shard}
		key := name
		if c.layer != nil {
			w.Layers, w.Stack = c.layer.layers, Stack
			// Names of other formats are listed with N for the layer's number.
			key = model.InLayers(name)
		}
		names := c.spec.Names
		for format, table := range map[string]map[string]string{"hf": names.HF, "gguf": names.GGUF, "meta": names.Meta} {
			if n := table[key]; n != "" {
				if w.Names == nil {
					w.Names = map[string]string{}
				}
				w.Names[format] = n
			}
		}
		c.m.Weights = append(c.m.Weights, w)
	case !w.Type.Equal(t):
		panic(illTyped{fmt.Errorf("weight %q has shape %s here and %s before", name, t, w.Type)})
	// One tensor or one for each layer: it cannot be both.
	case (w.Stack != "") != (c.layer != nil):
		panic(illTyped{fmt.Errorf("weight %q is used inside and outside of the layers", name)})
	}
	return c.b.F.WeightValue(w)
}

// repeat builds the layer's function and the node that runs the stack.
// Whatever the number of layers, one function is built, so a model of 80 layers
// compiles like one of 2.
func (c *builder) repeat(n *specs.Node, x *ir.Value) *ir.Value {
	f := &ir.Func{Name: "layer", Role: ir.RoleLayer}
	c.m.Funcs = append(c.m.Funcs, f)
	l := &builder{spec: c.spec, m: c.m, errs: c.errs, pairs: c.pairs, time: c.time, main: c,
		layer: &layerScope{layers: n.Layers, params: map[string]*ir.Value{}}}
	l.begin(f)
	// In the body "x" is the layer's input; the last node is its output, and the
	// next layer's x: hence the same type.
	l.values["x"] = l.b.Param("x", x.Type)
	c.m.Stacks = append(c.m.Stacks, &ir.Stack{Name: Stack, Segments: []ir.Segment{{From: 0, To: n.Layers, Forward: f}}})
	// Tells an empty body from one whose last node failed.
	before := len(*c.errs)
	out := l.nodes(n.Body)
	l.b.Flush()
	switch {
	case out == nil:
		if len(*c.errs) == before {
			panic(illTyped{fmt.Errorf("empty body")})
		}
		return x // reported already; go on with the rest of the network
	case !out.Type.Equal(x.Type):
		panic(illTyped{fmt.Errorf("a layer turns %s into %s", x.Type, out.Type)})
	}
	f.Results = []*ir.Value{out}
	// A layer's result is the next one's input.
	c.pairs.join(l.values["x"], x)
	c.pairs.join(out, x)
	// Invariants are known only now: building the body has asked for them.
	operands := append([]*ir.Value{x}, l.layer.invariants...)
	return c.op("stack", n.Name, ir.Attrs{"name": Stack}, operands...)
}

// invariant gives a value of the main function, made once by make_, to the
// function being built: itself in main, a parameter in a layer.
// The key says what it is, so that 32 layers with two ropes each read one table.
// make_ runs on main's builder: its nodes are there, not in the layer. Parameters
// of the layer and operands of the stack are listed in the same order.
func (c *builder) invariant(key string, make_ func(main *builder) *ir.Value) *ir.Value {
	if c.layer == nil {
		if v := c.made[key]; v != nil {
			return v
		}
		v := make_(c)
		c.made[key] = v
		return v
	}
	if p := c.layer.params[key]; p != nil {
		return p
	}
	v := c.main.invariant(key, make_)
	p := c.b.Param(v.Name, v.Type)
	c.layer.params[key] = p
	c.layer.invariants = append(c.layer.invariants, v)
	return p
}
