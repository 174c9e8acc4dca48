package passes

import (
	"maps"
	"math"
	"slices"

	"github.com/llamac/llamac/ir"
)

// simplify gives a simpler value that is n's only result to the last bit, and
// the rule's name, or nil. The value exists already or is that of the last
// node made by b.
func simplify(b *ir.Builder, n *ir.Node) (*ir.Value, string) {
	if v := fold(b, n); v != nil {
		return v, "fold"
	}
	if rule := rules[n.Op.Name]; rule != nil {
		// A rule may hand back something of another type where it does not
		// apply; asking once here is shorter than asking in each.
		if v := rule(b, n); v != nil && v.Type.Equal(n.Result().Type) {
			return v, n.Op.Name
		}
	}
	if v := beforeRepeat(b, n); v != nil {
		return v, "before_repeat"
	}
	return nil, ""
}

// rules by op. A rule's result counts only if it has the node's type, so rules
// need not look at broadcasting.
var rules = map[string]func(b *ir.Builder, n *ir.Node) *ir.Value{
	// Of reshapes in a row only those that undo each other go. A reshape costs
	// nothing, and the shapes between say what a spec or an exporter meant by
	// the axes.
	"reshape": func(b *ir.Builder, n *ir.Node) *ir.Value {
		x := n.Operands[0]
		// Back to the first value that has the wanted type. If there is none, x
		// ends as the source of all reshapes, of another type, and the rule
		// does not count.
		for r := def(x, "reshape"); r != nil && !x.Type.Equal(n.Result().Type); r = def(x, "reshape") {
			x = r.Operands[0]
		}
		return x
	},
	"transpose": func(b *ir.Builder, n *ir.Node) *ir.Value {
		x, perm := n.Operands[0], n.Ints("perm")
		if slices.IsSorted(perm) {
			return x
		}
		if t := def(x, "transpose"); t != nil {
			// Axis i of the result is axis perm[i] of the inner transpose,
			// which is axis t.perm[perm[i]] of its operand.
			both := make([]int64, len(perm))
			for i, p := range perm {
				both[i] = t.Ints("perm")[p]
			}
			return b.Op("transpose", "y", ir.Attrs{"perm": both}, t.Operands[0])
		}
		return nil
	},
	"broadcast": func(b *ir.Builder, n *ir.Node) *ir.Value {
		x := n.Operands[0]
		// Both align axes at the end, so that the last shape says all.
		if r := def(x, "broadcast"); r != nil {
			return b.Op("broadcast", "y", ir.Attrs{"dims": n.DimsOf("dims")}, r.Operands[0])
		}
		return x
	},
	"slice":  simplifySlice,
	"concat": simplifyConcat,
	"cast": func(b *ir.Builder, n *ir.Node) *ir.Value {
		x := n.Operands[0]
		// f32 to f64 and back is the same number; f32 to bf16 and back is a
		// rounded one, and stays.
		if c := def(x, "cast"); c != nil && c.In(0).DType == n.Result().Type.DType && widens(c.In(0).DType, x.Type.DType) {
			return c.Operands[0]
		}
		return x // of another type unless the cast does nothing
	},
	// x·1 is x for every x, infinities, NaN and -0 included.
	"mul": func(b *ir.Builder, n *ir.Node) *ir.Value {
		for i, x := range n.Operands {
			if c, ok := scalar(n.Operands[1-i]); ok && c == 1 && x.Type.Equal(n.Result().Type) {
				return x
			}
		}
		return nil
	},
	// Of these the left operand alone may be returned: 1/x is another matter. x
	// - 0 is x for -0 as well; x - (-0) would make 0 of it, which is why
	// rightIs looks at the sign.
	"div": rightIs(1),
	"pow": rightIs(1),
	"sub": rightIs(0),
	"add": func(b *ir.Builder, n *ir.Node) *ir.Value {
		for i, x := range n.Operands {
			c, ok := scalar(n.Operands[1-i])
			exact := math.Signbit(c) || !x.Type.DType.Float() // x + 0 makes 0 of -0
			if ok && c == 0 && exact && x.Type.Equal(n.Result().Type) {
				return x
			}
		}
		return nil
	},
	// Negation turns the sign bit, so twice is nothing at all, also for NaN.
	"neg": func(b *ir.Builder, n *ir.Node) *ir.Value {
		if m := def(n.Operands[0], "neg"); m != nil {
			return m.Operands[0]
		}
		return nil
	},
	"max": bothSame,
	"min": bothSame,
	"where": func(b *ir.Builder, n *ir.Node) *ir.Value {
		if n.Operands[1] == n.Operands[2] {
			return n.Operands[1]
		}
		return nil
	},
	"matmul": simplifyMatmul,
}

func rightIs(c float64) func(b *ir.Builder, n *ir.Node) *ir.Value {
	return func(b *ir.Builder, n *ir.Node) *ir.Value {
		if x, ok := scalar(n.Operands[1]); ok && x == c && !math.Signbit(x) {
			return n.Operands[0]
		}
		return nil
	}
}

func bothSame(b *ir.Builder, n *ir.Node) *ir.Value {
	if n.Operands[0] == n.Operands[1] {
		return n.Operands[0]
	}
	return nil
}

// widens reports that every number of type t is one of type u.
//
// Of the narrow types neither holds the other: f16 has the finer mantissa, bf16
// the wider exponent.
func widens(t, u ir.DType) bool {
	switch {
	case t == u:
		return true
	case t == ir.F16 || t == ir.BF16:
		return u == ir.F32 || u == ir.F64
	}
	return t == ir.F32 && u == ir.F64
}

func simplifySlice(b *ir.Builder, n *ir.Node) *ir.Value {
	// A slice that takes all of its operand has the operand's type, and that is
	// the only case in which handing it back counts.
	x := n.Operands[0]
	s := def(x, "slice")
	if s == nil || s.Int("axis") != n.Int("axis") {
		return x
	}
	// Element j of the outer slice is element from + j·step of the inner one.
	// The end is put just behind the last element taken: behind a step it could
	// lie outside of the operand.
	step := int64(s.Int("step") * n.Int("step"))
	from := int64(s.Int("from") + n.Int("from")*s.Int("step"))
	count := n.Result().Type.Dims[n.Int("axis")].N
	return b.Op("slice", "y", ir.Attrs{"axis": int64(n.Int("axis")), "from": from, "to": from + (count-1)*step + 1, "step": step}, s.Operands[0])
}

// simplifyConcat undoes a split: the slices of x, in order and without gaps.
//
// That they reach x's end is not asked here: if they do not, the type is
// another one and simplify drops the answer.
func simplifyConcat(b *ir.Builder, n *ir.Node) *ir.Value {
	if len(n.Operands) == 1 {
		return n.Operands[0]
	}
	var x *ir.Value
	next := 0
	for _, v := range n.Operands {
		s := def(v, "slice")
		if s == nil || s.Int("axis") != n.Int("axis") || s.Int("step") != 1 || s.Int("from") != next || x != nil && x != s.Operands[0] {
			return nil
		}
		x, next = s.Operands[0], s.Int("to")
	}
	return x
}

// simplifyMatmul takes a transposition of the last two axes into the product,
// and calls the product with a weight from its transposed side a linear layer.
//
// A linear layer is x·wᵀ with w of [out, in], as PyTorch and the checkpoints
// have it. To know it as such is what fuse_qkv and the packed kernels wait for.
func simplifyMatmul(b *ir.Builder, n *ir.Node) *ir.Value {
	attrs := ir.Attrs{"trans_a": n.Flag("trans_a"), "trans_b": n.Flag("trans_b")}
	operands := slices.Clone(n.Operands)
	for i, name := range []string{"trans_a", "trans_b"} {
		if t := def(operands[i], "transpose"); t != nil && swapsLast(t.Ints("perm")) {
			operands[i], attrs[name] = t.Operands[0], !attrs[name].(bool)
		}
	}
	// trans_b is that of the operands as they are now, after a transpose was
	// taken in.
	w := operands[1]
	switch {
	case w.Weight != nil && w.Type.Rank() == 2 && attrs["trans_a"] == false && attrs["trans_b"] == true:
		return b.Op("linear", "y", nil, operands...)
	case !slices.Equal(operands, n.Operands):
		return b.Op("matmul", "y", attrs, operands...)
	}
	return nil
}

func swapsLast(perm []int64) bool {
	k := len(perm)
	return k >= 2 && perm[k-1] == int64(k-2) && perm[k-2] == int64(k-1) && slices.IsSorted(perm[:k-2])
}

// beforeRepeat moves an elementwise function of one tensor in front of that
// tensor's repetition: the cosine of angles that stand there twice is computed
// once.
//
// Only one operand may be a tensor: another would have to be repeated in the
// same way, and where that is so it is seldom worth finding out.
//
//	before                          after
//	%a2 = concat(%a, %a)            %c  = cos(%a)
//	%y  = cos(%a2)                  %y  = concat(%c, %c)
func beforeRepeat(b *ir.Builder, n *ir.Node) *ir.Value {
	if !n.Op.Elementwise || len(n.Operands) > 2 {
		return nil
	}
	at := -1 // the operand that is not a plain number
	for i, x := range n.Operands {
		if _, ok := scalar(x); !ok || x.Type.Rank() > 0 {
			if at >= 0 {
				return nil
			}
			at = i
		}
	}
	if at < 0 {
		return nil
	}
	c := trace(n.Operands[at], false)
	// The smallest value of the chain is where the work is least. Sizes may be
	// symbolic: one is smaller if the other is a multiple of it.
	best := 0
	for i, v := range c.vals {
		if q, ok := c.vals[best].Type.Size().Div(v.Type.Size()); ok && !q.Is(1) {
			best = i
		}
	}
	if best == 0 {
		return nil
	}
	operands := slices.Clone(n.Operands)
	operands[at] = c.vals[best]
	name := n.Result().Name
	return c.replay(b, name, best, b.Op(n.Op.Name, name+"."+n.Op.Name, maps.Clone(n.Attrs), operands...))
}
