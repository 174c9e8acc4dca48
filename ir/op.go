package ir

import "fmt"

// Op is one row of the op table: all that the compiler knows of an operation.
// Nothing about an op stands in a switch of some pass: a pass asks the row, and
// an op that is added is known everywhere at once. What a kernel is called with
// is the target's knowledge, what an op computes that of package interp.
type Op struct {
	Name     string
	Doc      string   // one line; %-names are operands
	Operands []string // a trailing "?" marks an optional operand, a trailing "..." the variadic tail
	Results  []string // a single "..." means as many as Infer says
	Attrs    []AttrSpec
	Group    Group

	// Infer checks operands and attributes and gives the results' types.
	// It is all the type checking there is: builders call it to make a node's
	// results, the verifier to compare them with what a text or a pass claims.
	// It must not read n.Results, which do not exist yet in the first case.
	Infer func(n *Node) ([]Type, error)
	// FLOPs counts the floating-point operations of a bound node, a
	// multiply-add as two. Nil means one per element of the first result.
	// Exponentials, divisions and comparisons count as one each, and moving
	// data as none.
	FLOPs func(n *Node) int64
	// Grad adds the gradients of the operands, given those of the results.
	// Exactly one of Grad and NoGrad is set.
	// It appends nodes to g and may read operands and results of n: whatever it
	// reads has to be stored or made again, so rules read as little as they can.
	Grad func(g *Grads, n *Node)
	// The sentence is documentation, and its presence stops the search for
	// values that need gradients.
	NoGrad string // why there is no gradient
	// Expand rewrites a fused op into the ops it stands for.
	// Tests compare the two, which makes the expansion the definition that a
	// fused kernel is held to.
	Expand func(b *Builder, n *Node) []*Value
	// Rederive computes result i of the node from another result that is
	// stored, bit for bit as the node itself did; nil if it cannot.
	// Stored maps a value to its stored copy, nil if it is not stored. It saves
	// storing two results where one and a cheap op give the other.
	Rederive func(b *Builder, n *Node, i int, stored func(*Value) *Value) *Value

	Elementwise bool // same shape in and out after broadcasting, one scalar function
	Commutative bool
	View        bool // result is the operand's memory under another shape
	Expensive   bool // a linear layer, matrix product or attention: keep-linear stores its results
	// A permission, given where a kernel reads each element of the operand
	// before it writes the result's at the same place. Whether the operand dies
	// there and lies well is for the planner to see.
	InPlace map[int]int // result -> operand whose buffer it may take over
	Effect  Effect
}

// Group orders ops in documentation and tells passes what stage they belong to.
// The order is that of the documentation.
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
// All but Pure have readers or writers that no operand shows. So two nodes with
// equal operands are still two, and one without readers is still alive.
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
// Only one list fits: everything behind the fixed operands belongs to it.
func (o *Op) Variadic() bool {
	k := len(o.Operands)
	return k > 0 && hasSuffix(o.Operands[k-1], "...")
}

// MinOperands is the number of operands that must be present.
// A variadic tail may be empty here; rows that want one or more say so in Infer.
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
// Nothing changes the table after init, so it is read without a lock.
var Ops []*Op

var opByName = map[string]*Op{}

func init() {
	// The groups of files are in the order in which a reader meets the ops.
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
// Only names that a text or a spec holds can be unknown; the compiler's own are
// literals.
func Lookup(name string) *Op { return opByName[name] }

// checker collects the first complaint of an Infer function.
// It lets a row read as a list of demands. Later ones are skipped once one has
// failed, but Go still evaluates their arguments: a row that indexes Dims has
// to return in between, or a wrong rank would panic in place of being told.
type checker struct {
	n   *Node
	err error
}

func check(n *Node) *checker { return &checker{n: n} }

// Messages start with the op; verifier and builder put function, node or
// position in front.
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

// Token ids, positions and targets are i32 here; i64 is what ONNX prefers.
func (c *checker) integer(i int) *checker {
	t := c.n.In(i).DType
	return c.that(t == I32 || t == I64, "%s has type %s, want an integer type", c.n.Op.operand(i), c.n.In(i))
}

func (c *checker) same(i, j int) *checker {
	return c.that(c.n.In(i).Equal(c.n.In(j)), "%s has type %s and %s has type %s, want the same",
		c.n.Op.operand(i), c.n.In(i), c.n.Op.operand(j), c.n.In(j))
}

// The results' types are built before it is known whether they are wanted.
func (c *checker) types(t ...Type) ([]Type, error) {
	if c.err != nil {
		return nil, c.err
	}
	return t, nil
}

// operand is the name of operand i for messages.
// In a variadic tail it is the row's name with the index in the tail, "w[1]".
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
