package passes

import (
	"math"
	"slices"

	"github.com/llamac/llamac/ir"
)

// scalar is the number that every element of v is, if v is such a constant.
//
// Moving elements does not change that, and a cast to float does not either, up
// to rounding.
func scalar(v *ir.Value) (float64, bool) {
	for v.Def != nil {
		switch n := v.Def; n.Op.Name {
		case "reshape", "broadcast", "transpose", "slice":
			v = n.Operands[0]
			continue
		case "cast":
			// A cast to an integer would round, one to bool make 1 of it.
			if t := n.In(0).DType; (t == ir.I32 || t == ir.I64 || t.Float()) && v.Type.DType.Float() {
				v = n.Operands[0]
				continue
			}
		case "const":
			x := n.Floats("values")
			if len(x) == 0 || slices.ContainsFunc(x, func(y float64) bool { return y != x[0] }) {
				return 0, false
			}
			return x[0], true
		}
		break
	}
	return 0, false
}

// isScalar reports that v is the constant c, up to single precision: an
// exporter writes 1/3 as the nearest float32.
func isScalar(v *ir.Value, c float64) bool {
	x, ok := scalar(v)
	return ok && near(x, c)
}

// 1e-7 is a little more than the distance of a number to the nearest float32,
// 2^-24 of it.
func near(x, c float64) bool { return math.Abs(x-c) <= 1e-7*math.Abs(c) }

// product is one way to read a value as coef · Π num / Π den.
type product struct {
	coef     float64
	num, den []*ir.Value
	inner    []*ir.Node // the products, quotients and negations passed
}

// The longest pattern has three factors; one more leaves room for an operand
// that is a product itself. It bounds the number of ways, which multiply with
// every node that may be opened.
const maxFactors = 4

// products lists the ways to read v as a product, the value itself as its only
// factor first. Every mul on the way may be opened or taken as a factor, since
// a pattern's operand may itself be a product.
func products(v *ir.Value) []product { return productsTo(v, 4) }

// A constant is a coefficient and never a factor, wherever it stands.
func productsTo(v *ir.Value, depth int) []product {
	if c, ok := scalar(v); ok {
		return []product{{coef: c}}
	}
	ways := []product{{coef: 1, num: []*ir.Value{v}}}
	n := def(v, "mul", "div", "reciprocal", "neg")
	if n == nil || depth == 0 {
		return ways
	}
	// Clip makes append copy: the ways must not share what they append to.
	open := productsTo(n.Operands[0], depth-1)
	unary := func(change func(p product) product) {
		for _, p := range open {
			p.inner = append(slices.Clip(p.inner), n)
			ways = append(ways, change(p))
		}
	}
	switch n.Op.Name {
	case "neg":
		unary(func(p product) product { p.coef = -p.coef; return p })
	case "reciprocal":
		unary(product.inverse)
	default:
		for _, q := range productsTo(n.Operands[1], depth-1) {
			if n.Op.Name == "div" {
				q = q.inverse()
			}
			unary(func(p product) product { return p.times(q) })
		}
	}
	return slices.DeleteFunc(ways, func(p product) bool { return len(p.num)+len(p.den) > maxFactors })
}

func (p product) inverse() product {
	return product{1 / p.coef, p.den, p.num, p.inner}
}

func (p product) times(q product) product {
	return product{p.coef * q.coef, slices.Concat(p.num, q.num), slices.Concat(p.den, q.den), slices.Concat(p.inner, q.inner)}
}

// term is a signed summand.
//
// Patterns for rotations need to know which of two products is subtracted.
type term struct {
	sign float64
	v    *ir.Value
}

// sum reads v as a sum of exactly two terms, through one add or sub and any
// negations in front of or behind it.
func sum(v *ir.Value) (terms [2]term, inner []*ir.Node, ok bool) {
	sign := 1.0
	for n := def(v, "neg"); n != nil; n = def(v, "neg") {
		sign, v, inner = -sign, n.Operands[0], append(inner, n)
	}
	n := def(v, "add", "sub")
	if n == nil {
		return terms, nil, false
	}
	inner = append(inner, n)
	terms = [2]term{{sign, n.Operands[0]}, {sign, n.Operands[1]}}
	if n.Op.Name == "sub" {
		terms[1].sign = -sign
	}
	return terms, inner, true
}

// addend reads v as x plus a constant.
// Nothing to commute in a difference: c - x is no x plus a constant.
func addend(v *ir.Value) (x *ir.Value, c float64, n *ir.Node) {
	switch n := def(v, "add", "sub"); {
	case n == nil:
	case n.Op.Name == "sub":
		if c, ok := scalar(n.Operands[1]); ok {
			return n.Operands[0], -c, n
		}
	default:
		for i, x := range n.Operands {
			if c, ok := scalar(n.Operands[1-i]); ok {
				return x, c, n
			}
		}
	}
	return nil, 0, nil
}

// rowwise lists the values that v stands for when it meets a tensor of type t
// in an elementwise op and gives every row one number: v itself, and what it
// is a view of, with the last axis of size 1 or without it.
//
// A vector [B, T] is reshaped to [B, T, 1] before it meets [B, T, n]:
// candidates include what lies in front of that reshape.
func rowwise(v *ir.Value, t ir.Type) []*ir.Value {
	if v.Type.Rank() != t.Rank() {
		return nil
	}
	last := t.Rank() - 1
	c := trace(v, false)
	var out []*ir.Value
	for i, s := range c.vals {
		w, ok := c.view(i)
		if !ok || s.Type.Rank() < last || s.Type.Rank() > last+1 {
			continue
		}
		// All axes in front must be there, whole and in their places; of the
		// last one only a single element may be left.
		for j := range last {
			ok = ok && s.Type.Dims[j] == t.Dims[j] && w.is(j, j)
		}
		if s.Type.Rank() > last {
			ok = ok && s.Type.Dims[last].Is(1)
		}
		if ok {
			out = append(out, s)
		}
	}
	return out
}

// reduction recognises op over the last axis of t in v, which reads x.
//
// The operand must have the type t, so that "the last axis" is the one which is
// meant.
func reduction(v *ir.Value, op string, t ir.Type) (n *ir.Node, x *ir.Value) {
	n = def(v, op)
	if n == nil || !n.In(0).Equal(t) || !slices.Equal(n.Ints("axes"), []int64{int64(t.Rank() - 1)}) {
		return nil, nil
	}
	return n, n.Operands[0]
}
