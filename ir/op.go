package ir

import "fmt"

// Op is one row of the op table: all that the compiler knows of an operation.
type Op struct {
	Name     string
	Doc      string   // one line; %-names are operands
	Operands []string // a trailing "?" marks an optional operand, a trailing "..." the variadic tail
	Results  []string // a single "..." means as many as Infer says
	Attrs    []AttrSpec
	Group    Group

	// Infer checks operands and attributes and gives the results' types.
	Infer func(n *Node) ([]Type, error)
	// FLOPs counts the floating-point operations of a bound node, a
	// multiply-add as two. Nil means one per element of the first result.
	FLOPs func(n *Node) int64
	// Grad adds the gradients of the operands, given those of the results.
	// Exactly one of Grad and NoGrad is set.
	Grad   func(g *Grads, n *Node)
	NoGrad string // why there is no gradient
	// Expand rewrites a fused op into the ops it stands for.
	Expand func(b *Builder, n *Node) []*Value
	// Rederive computes result i of the node from another result that is
	// stored, bit for bit as the node itself did; nil if it cannot.
	Rederive func(b *Builder, n *Node, i int, stored func(*Value) *Value) *Value

	Elementwise bool // same shape in and out after broadcasting, one scalar function
	Commutative bool
	View        bool        // result is the operand's memory under another shape
	Expensive   bool        // a linear layer, matrix product or attention: keep-linear stores its results
	InPlace     map[int]int // result -> operand whose buffer it may take over
	Effect      Effect
}

// Group orders ops in documentation and tells passes what stage they belong to.
type Group uint8

const (
	Primitive  Group = iota // what specs and ONNX lower to
	Fused                   // what fusions find
	Gradient                // what differentiation makes
	Inference               // what specialise_kv makes
	Optimiser               // the update program
	Control                 // stacks of layers
	Collective              // communication between devices
)

func (g Group) String() string {
	return [...]string{"Primitive", "Fused", "Gradient", "Inference", "Optimiser", "Control", "Collective"}[g]
}

// Effect is what a node does beside computing results. Nodes with effects are
// never removed, merged or reordered against each other.
type Effect uint8

const (
	Pure           Effect = iota
	WritesGrad            // adds to the gradient of its weight operand
	WritesState           // updates its state operand
	WritesWeights         // updates all weights and moments
	Communicates          // talks to other devices
	ReadsGradients        // reads all gradients
)

// Variadic reports whether the last operand repeats.
func (o *Op) Variadic() bool {
	k := len(o.Operands)
	return k > 0 && hasSuffix(o.Operands[k-1], "...")
}

// MinOperands is the number of operands that must be present.
func (o *Op) MinOperands() int {
	n := 0
	for _, s := range o.Operands {
		if !hasSuffix(s, "?") && !hasSuffix(s, "...") {
			n++
		}
	}
	return n
}

func hasSuffix(s, suffix string) bool {
	return len(s) >= len(suffix) && s[len(s)-len(suffix):] == suffix
}

// Ops is the op table, in the order of the documentation. It is filled by init
// because the rows' functions look ops up again, which a variable's initialiser
// may not.
var Ops []*Op

var opByName = map[string]*Op{}

func init() {
	for _, table := range []func() []*Op{
		shapeOps, elementwiseOps, reduceOps, linearOps, lossOps, fusedOps, attentionOps, packOps, controlOps, collectiveOps,
	} {
		Ops = append(Ops, table()...)
	}
	for _, o := range Ops {
		if opByName[o.Name] != nil {
			panic("ir: two ops named " + o.Name)
		}
		opByName[o.Name] = o
	}
}

// Lookup finds an op by name, or nil.
func Lookup(name string) *Op { return opByName[name] }

// checker collects the first complaint of an Infer function.
type checker struct {
	n   *Node
	err error
}

func check(n *Node) *checker { return &checker{n: n} }

func (c *checker) that(ok bool, format string, args ...any) *checker {
	if !ok && c.err == nil {
		c.err = fmt.Errorf(c.n.Op.Name+": "+format, args...)
	}
	return c
}

func (c *checker) rank(i, r int) *checker {
	return c.that(c.n.In(i).Rank() == r, "%s has type %s, want rank %d", c.n.Op.operand(i), c.n.In(i), r)
}

// atLeast wants r or more axes.
func (c *checker) atLeast(i, r int) *checker {
	return c.that(c.n.In(i).Rank() >= r, "%s has type %s, want rank %d or more", c.n.Op.operand(i), c.n.In(i), r)
}

func (c *checker) float(i int) *checker {
	return c.that(c.n.In(i).DType.Float(), "%s has type %s, want a float type", c.n.Op.operand(i), c.n.In(i))
}

func (c *checker) integer(i int) *checker {
	t := c.n.In(i).DType
	return c.that(t == I32 || t == I64, "%s has type %s, want an integer type", c.n.Op.operand(i), c.n.In(i))
}

func (c *checker) same(i, j int) *checker {
	return c.that(c.n.In(i).Equal(c.n.In(j)), "%s has type %s and %s has type %s, want the same",
		c.n.Op.operand(i), c.n.In(i), c.n.Op.operand(j), c.n.In(j))
}

func (c *checker) types(t ...Type) ([]Type, error) {
	if c.err != nil {
		return nil, c.err
	}
	return t, nil
}

// operand is the name of operand i for messages.
func (o *Op) operand(i int) string {
	k := len(o.Operands)
	if i >= k-1 && o.Variadic() {
		s := o.Operands[k-1]
		return fmt.Sprintf("%s[%d]", s[:len(s)-3], i-k+1)
	}
	s := o.Operands[i]
	if hasSuffix(s, "?") {
		s = s[:len(s)-1]
	}
	return s
}
