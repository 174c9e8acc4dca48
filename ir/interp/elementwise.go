package interp

import (
	"fmt"
	"math"
)

// One scalar function each, over elements aligned as NumPy does. Integers have
// their own arithmetic, exact in 64 bits; it can fail where floats give an
// infinity.
var elementwiseKernels = map[string]kernel{
	// Functions of the standard library are correct to a unit in the last place
	// of float64, far below what any test allows.
	"neg":        unary(func(x float64) float64 { return -x }),
	"exp":        unary(math.Exp),
	"log":        unary(math.Log),
	"sqrt":       unary(math.Sqrt),
	"rsqrt":      unary(func(x float64) float64 { return 1 / math.Sqrt(x) }),
	"reciprocal": unary(func(x float64) float64 { return 1 / x }),
	"square":     unary(func(x float64) float64 { return x * x }),
	"abs":        unary(math.Abs),
	// The slope of abs.
	"sign": unary(func(x float64) float64 {
		switch {
		case x > 0:
			return 1
		case x < 0:
			return -1
		}
		return x // a zero, or not a number
	}),
	// 0 at 0, as the slope of relu there.
	"step": unary(func(x float64) float64 {
		if x > 0 {
			return 1
		}
		return 0
	}),
	"relu":    unary(func(x float64) float64 { return math.Max(x, 0) }),
	"sigmoid": unary(sigmoid),
	"silu":    unary(func(x float64) float64 { return x * sigmoid(x) }),
	// exp of what is not positive, which cannot overflow.
	"softplus": unary(func(x float64) float64 { return math.Max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }),
	"tanh":     unary(math.Tanh),
	"erf":      unary(math.Erf),
	"sin":      unary(math.Sin),
	"cos":      unary(math.Cos),

	"add": binary(func(a, b float64) float64 { return a + b }, func(a, b int64) (int64, error) { return a + b, nil }),
	"sub": binary(func(a, b float64) float64 { return a - b }, func(a, b int64) (int64, error) { return a - b, nil }),
	"mul": binary(func(a, b float64) float64 { return a * b }, func(a, b int64) (int64, error) { return a * b, nil }),
	"div": binary(func(a, b float64) float64 { return a / b }, func(a, b int64) (int64, error) {
		if b == 0 {
			return 0, fmt.Errorf("integer division by zero")
		}
		return a / b, nil // truncates
	}),
	// Exact by repeated products: no exponent of a spec is large.
	"pow": binary(math.Pow, func(a, b int64) (int64, error) {
		if b < 0 {
			return 0, fmt.Errorf("integer power %d", b)
		}
		y := int64(1)
		for range b {
			y *= a
		}
		return y, nil
	}),
	// Not a number if either operand is.
	// As math.Max has it; kernels and PyTorch agree.
	"max": binary(math.Max, func(a, b int64) (int64, error) { return max(a, b), nil }),
	"min": binary(math.Min, func(a, b int64) (int64, error) { return min(a, b), nil }),

	"less":          compare(func(sign int) bool { return sign < 0 }),
	"less_equal":    compare(func(sign int) bool { return sign <= 0 }),
	"greater":       compare(func(sign int) bool { return sign > 0 }),
	"greater_equal": compare(func(sign int) bool { return sign >= 0 }),
	"equal":         compare(func(sign int) bool { return sign == 0 }),

	// Each element is copied from the side that is chosen; nothing is computed
	// with the other, so a NaN there does not spread.
	"where": pure(func(c *call) {
		y := c.out[0]
		at := c.aligned()
		for i := range y.Len() {
			if c.in[0].B[at[0][i]] {
				y.copyFrom(i, c.in[1], at[1][i])
			} else {
				y.copyFrom(i, c.in[2], at[2][i])
			}
		}
	}),
}

// sigmoid is exact at both ends: exp overflows to infinity, 1/(1+inf) is 0.
// No branch on the sign is needed: only the ends could overflow.
func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// aligned gives for each operand the element that each element of the result
// reads.
// The lists are as long as the result: slow, and the same for every pattern of
// broadcasting.
func (c *call) aligned() [][]int {
	at := make([][]int, len(c.in))
	for i, x := range c.in {
		at[i] = broadcast(x.Dims, c.out[0].Dims)
	}
	return at
}

// unary makes a kernel of a function of one real number.
// There is no form for integers: the type rules let only floats here.
func unary(f func(float64) float64) kernel {
	return pure(func(c *call) {
		for i, x := range c.in[0].F {
			c.out[0].F[i] = f(x)
		}
	})
}

// binary makes a kernel of a function of two real numbers and its form for
// integers.
// The integers' form may fail; floats have an infinity or a NaN for what fails.
func binary(f func(a, b float64) float64, g func(a, b int64) (int64, error)) kernel {
	return func(c *call) error {
		a, b, y := c.in[0], c.in[1], c.out[0]
		at := c.aligned()
		// Only one of F and I has elements, by the result's type.
		for i := range y.F {
			y.F[i] = f(a.F[at[0][i]], b.F[at[1][i]])
		}
		for i := range y.I {
			var err error
			if y.I[i], err = g(a.I[at[0][i]], b.I[at[1][i]]); err != nil {
				return err
			}
		}
		return nil
	}
}

// compare makes a comparison from the sign of a - b. Nothing holds of a NaN.
// Integers are compared as integers: above 2^53 different ones are the same
// float64.
func compare(holds func(sign int) bool) kernel {
	return pure(func(c *call) {
		a, b := c.in[0], c.in[1]
		at := c.aligned()
		for i := range c.out[0].B {
			j, k := at[0][i], at[1][i]
			switch {
			case a.I != nil && a.I[j] == b.I[k], a.I == nil && a.number(j) == b.number(k):
				c.out[0].B[i] = holds(0)
			case a.I != nil && a.I[j] < b.I[k], a.I == nil && a.number(j) < b.number(k):
				c.out[0].B[i] = holds(-1)
			// Neither equal nor less: of integers that leaves greater, of
			// floats it may also be a NaN, of which nothing holds.
			case a.I != nil || a.number(j) > b.number(k):
				c.out[0].B[i] = holds(1)
			}
		}
	})
}
