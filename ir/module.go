package ir

import (
	"fmt"
	"slices"
)

// Module is one model: its dimensions, weights, state and functions.
// Slices, not maps, in the order of declaration: this order reaches the text
// form, the layout of weights and the generated code, which have to come out
// the same each time.
type Module struct {
	Name    string
	Dims    []DimDecl
	Weights []*Weight
	State   []*State
	Stacks  []*Stack
	Funcs   []*Func
}

// DimDecl declares a symbol of shapes with its bounds, both included.
// The upper bound is the capacity that buffers are made for. The pass bind
// narrows both to one number; shapes keep their symbols even then, so that plans
// and generated code read B and T.
type DimDecl struct {
	Name     string
	Min, Max int64
}

// Layout is how a weight's elements lie in memory.
// It is a name and nothing more here: no op reads it.
type Layout string

// RowMajor is the layout of files; targets may pack weights into others.
const RowMajor Layout = "row_major"

// Weight is a trained tensor. A weight with Layers > 0 stands for that many
// tensors, one a layer; inside a layer's function it is the current layer's.
// Functions refer to the declaration by pointer, through Func.WeightValue, so
// that changing a weight's type takes its users along.
type Weight struct {
	Name   string // without the layer's number: "attention.wq"
	Type   Type   // of one layer
	Layers int
	Stack  string // the stack whose layers they are
	Layout Layout
	Init   Init
	Decay  bool // subject to weight decay
	// How devices would split it, after Megatron-LM: "column" cuts the output
	// rows of w [out, in], so that results stay apart until a "row" weight,
	// cut along in, sums them up.
	Shard string // "", "column" (first axis split) or "row" (second axis split)
	// Rope and Heads are for reading files. Formats disagree on which rows of a
	// head are a pair, and a reader must know both to permute them.
	Rope  string // "interleaved" or "half" when rows are rotated in pairs, else empty
	Heads int    // heads whose rows a rope layout permutes; 0 if they cannot be, as something else meets the pairs
	// The tensor's name in other formats, "N" in the place of the layer's
	// number: name.hf = "model.layers.N.self_attn.q_proj.weight".
	Names map[string]string
}

// Init says how a weight starts: kind "normal", "ones" or "zeros".
// Std is the standard deviation of "normal" and 0 for the others. The numbers
// are drawn by package weights, at a run's start.
type Init struct {
	Kind string
	Std  float64
}

// Count is the number of elements over all layers.
// A weight outside of stacks has Layers 0 and counts once. The type must be
// bound.
func (w *Weight) Count() int64 { return w.Type.Elems() * int64(max(1, w.Layers)) }

// State is memory that outlives one run of a program and is not a weight: the
// KV cache, for example. Layers as in Weight.
// It has no gradient, and every node that touches it keeps its place in the
// order of the program.
type State struct {
	Name   string
	Type   Type
	Layers int
	Stack  string
}

// Stack is a repeated part of the model: segments of layers in order, each
// with the function that computes one of its layers.
// One segment is the usual case. More appear when layers store different things
// under checkpoint: auto, each range with its own pair of functions.
type Stack struct {
	Name     string
	Segments []Segment
}

// Segment is a range of a stack's layers [From, To) that share functions.
// The segments of a stack follow each other without a gap from layer 0, as the
// verifier checks, so To of the last is the number of layers.
type Segment struct {
	From, To int
	Forward  *Func
	Backward *Func // nil before differentiation
}

// Layers is the number of layers of the stack.
func (s *Stack) Layers() int {
	if len(s.Segments) == 0 {
		return 0
	}
	return s.Segments[len(s.Segments)-1].To
}

// Role says what a function is for.
// It decides what Saved means, and whether a weight of a stack may be named:
// a main function has no current layer.
type Role string

const (
	RoleMain     Role = "main"     // entry point
	RoleLayer    Role = "layer"    // one layer of a stack
	RoleBackward Role = "backward" // its gradient
)

// Func is a straight-line program over tensors.
// No branches and no loops: the order of Nodes is the order of execution, every
// value is defined before it is read, and exactly once. All control there is
// are the stacks, which apply a function of role layer.
type Func struct {
	Name   string
	Role   Role
	Params []*Value
	// Saved lists, in a layer's function, the values that its backward finds
	// stored, and in a backward function the parameters that receive them,
	// under the same names.
	// The names tie the two together, and the order as well: the verifier
	// compares the lists one by one.
	Saved   []*Value
	Nodes   []*Node
	Results []*Value

	// A weight that is read twice is one *Value, so that passes may compare
	// operands by pointer, as they do for local values.
	globals map[any]*Value // interned operands for weights and state
}

// Value is an operand: the result of a node, a parameter, a weight or state.
// A value belongs to one function and is compared by its pointer. Its name is
// for people, messages and the text form: it is unique in the function, and
// passes keep it where they can so that one can follow a value by it.
type Value struct {
	Name   string
	Type   Type
	Def    *Node // nil for parameters, weights and state
	Index  int   // which result of Def
	Weight *Weight
	State  *State
}

// String prints the operand with the sign that says whose it is: %x, $w, !kv.
// The three kinds of names cannot clash.
func (v *Value) String() string {
	switch {
	case v.Weight != nil:
		return "$" + v.Weight.Name
	case v.State != nil:
		return "!" + v.State.Name
	}
	return "%" + v.Name
}

// Local reports whether the value belongs to one function, as results and
// parameters do.
// Liveness, saving and the reuse of buffers concern these alone.
func (v *Value) Local() bool { return v.Weight == nil && v.State == nil }

// Node is one operation applied to operands.
// Results have no operand list of readers: Uses computes it for a pass that
// wants it, which is cheaper than keeping it true in all passes.
type Node struct {
	Op       *Op
	Operands []*Value // nil for an absent optional operand
	Results  []*Value
	Attrs    Attrs
}

// Result is the node's only result; it panics if there are several.
// Rules of ops with one result use it, so that a row that grows a second one
// fails loudly at each place that has not heard.
func (n *Node) Result() *Value {
	if len(n.Results) != 1 {
		panic(fmt.Sprintf("ir: %s has %d results", n.Op.Name, len(n.Results)))
	}
	return n.Results[0]
}

// In is the type of operand i.
// The operand must be there; Has asks first.
func (n *Node) In(i int) Type { return n.Operands[i].Type }

// Has reports whether optional operand i is present.
func (n *Node) Has(i int) bool { return i < len(n.Operands) && n.Operands[i] != nil }

// Func finds a function by name, or nil.
// These lookups scan: a module has tens of weights and a few functions, and
// passes may rename and replace without an index that would go stale.
func (m *Module) Func(name string) *Func {
	for _, f := range m.Funcs {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// Weight finds a weight by name, or nil.
func (m *Module) Weight(name string) *Weight {
	for _, w := range m.Weights {
		if w.Name == name {
			return w
		}
	}
	return nil
}

// StateNamed finds state by name, or nil.
func (m *Module) StateNamed(name string) *State {
	for _, s := range m.State {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Stack finds a stack by name, or nil.
func (m *Module) Stack(name string) *Stack {
	for _, s := range m.Stacks {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Params is the number of trained numbers, each tied weight counted once.
// A tied weight is one declaration with two readers.
func (m *Module) Params() int64 {
	var n int64
	for _, w := range m.Weights {
		n += w.Count()
	}
	return n
}

// WeightValue is the operand that stands for w in f.
// Each function has its own, since a Value belongs to one function.
func (f *Func) WeightValue(w *Weight) *Value {
	return f.global(w, func() *Value { return &Value{Type: w.Type, Weight: w} })
}

// StateValue is the operand that stands for s in f.
func (f *Func) StateValue(s *State) *Value {
	return f.global(s, func() *Value { return &Value{Type: s.Type, State: s} })
}

// global keeps weights and state in one map: the keys are pointers to different
// types and cannot be equal.
func (f *Func) global(key any, make_ func() *Value) *Value {
	if v, ok := f.globals[key]; ok {
		return v
	}
	if f.globals == nil {
		f.globals = map[any]*Value{}
	}
	v := make_()
	f.globals[key] = v
	return v
}

// Uses maps each value to the nodes that read it, once per operand, in program
// order.
// mul(%x, %x) is listed twice under %x, so a length of 1 means one operand and
// not only one node. Results and saved values of the function are not uses: see
// IsResult. The map is a snapshot that a rewrite makes stale.
func (f *Func) Uses() map[*Value][]*Node {
	uses := map[*Value][]*Node{}
	for _, n := range f.Nodes {
		for _, v := range n.Operands {
			if v != nil {
				uses[v] = append(uses[v], n)
			}
		}
	}
	return uses
}

// IsResult reports whether v is returned or saved by f.
// A value may have no reader and still be needed. In a backward function Saved
// are parameters, which nobody reads after the end.
func (f *Func) IsResult(v *Value) bool {
	return slices.Contains(f.Results, v) || (f.Role == RoleLayer && slices.Contains(f.Saved, v))
}

// Replace makes every reader of old in f read new instead.
// The two must have the same type; old's node stays, unread, until dead code is
// removed. Backward functions define their Saved, so these are left alone.
func (f *Func) Replace(old, new *Value) {
	for _, n := range f.Nodes {
		for i, v := range n.Operands {
			if v == old {
				n.Operands[i] = new
			}
		}
	}
	for i, v := range f.Results {
		if v == old {
			f.Results[i] = new
		}
	}
	if f.Role == RoleLayer {
		for i, v := range f.Saved {
			if v == old {
				f.Saved[i] = new
			}
		}
	}
}

// Names is the set of value names in use.
// Weights and state are not in it: their signs keep them apart from values.
func (f *Func) Names() map[string]bool {
	names := map[string]bool{}
	for _, p := range f.Params {
		names[p.Name] = true
	}
	if f.Role == RoleBackward {
		for _, p := range f.Saved {
			names[p.Name] = true
		}
	}
	for _, n := range f.Nodes {
		for _, r := range n.Results {
			names[r.Name] = true
		}
	}
	return names
}
