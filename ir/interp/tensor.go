package interp

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/llamac/llamac/ir"
)

// Tensor is a row-major array. Exactly one of F, I and B is used: F if the
// type is a float type, B if it is bool, I otherwise. Elements are wide
// whatever the type says; see Machine.Round for narrow ones.
type Tensor struct {
	DType ir.DType
	Dims  []int
	F     []float64
	I     []int64
	B     []bool
}

// New makes a tensor of zeros. It panics if a dimension is negative.
func New(t ir.DType, dims ...int) *Tensor {
	x := &Tensor{DType: t, Dims: slices.Clone(dims)}
	// Zeros are what kernels that add start from.
	n := size(dims)
	switch {
	case t.Float():
		x.F = make([]float64, n)
	case t == ir.Bool:
		x.B = make([]bool, n)
	default:
		x.I = make([]int64, n)
	}
	return x
}

// Scalar makes a tensor of rank 0.
func Scalar(t ir.DType, x float64) *Tensor {
	s := New(t)
	s.setNumber(0, x)
	return s
}

// FromF64 makes an f32 tensor (in name; elements keep all their bits) of a copy of xs.
func FromF64(xs []float64, dims ...int) *Tensor {
	t := New(ir.F32, dims...)
	mustFill(t, len(xs))
	copy(t.F, xs)
	return t
}

// FromF32 makes an f32 tensor of a copy of xs.
func FromF32(xs []float32, dims ...int) *Tensor {
	t := New(ir.F32, dims...)
	mustFill(t, len(xs))
	for i, x := range xs {
		t.F[i] = float64(x)
	}
	return t
}

// FromI32 makes an i32 tensor of a copy of xs.
func FromI32(xs []int32, dims ...int) *Tensor {
	t := New(ir.I32, dims...)
	mustFill(t, len(xs))
	for i, x := range xs {
		t.I[i] = int64(x)
	}
	return t
}

// mustFill panics if n elements do not fill the shape: callers are tests and
// the compiler.
func mustFill(t *Tensor, n int) {
	if t.Len() != n {
		panic(fmt.Sprintf("interp: %d elements for shape %v", n, t.Dims))
	}
}

// Random fills a float tensor with standard normal numbers, a bool one with
// fair coin flips and an integer one with 0 or 1, and returns it.
func (t *Tensor) Random(rng *rand.Rand) *Tensor { return t.RandomBelow(rng, 2) }

// RandomBelow is Random with integers drawn from 0 to n-1.
func (t *Tensor) RandomBelow(rng *rand.Rand, n int64) *Tensor {
	for i := range t.F {
		t.F[i] = rng.NormFloat64()
	}
	// Only one of the three has elements.
	for i := range t.B {
		t.B[i] = rng.IntN(2) == 1
	}
	for i := range t.I {
		t.I[i] = rng.Int64N(n)
	}
	return t
}

// Scale multiplies a float tensor by c in place and returns it.
func (t *Tensor) Scale(c float64) *Tensor {
	for i := range t.F {
		t.F[i] *= c
	}
	return t
}

// Len is the number of elements.
func (t *Tensor) Len() int { return size(t.Dims) }

// Clone copies a tensor.
// Nothing is shared afterwards.
func (t *Tensor) Clone() *Tensor {
	return &Tensor{t.DType, slices.Clone(t.Dims), slices.Clone(t.F), slices.Clone(t.I), slices.Clone(t.B)}
}

// Reshape sees a tensor under other dimensions; elements are shared. It panics
// if their number differs.
// A view, so that a change shows in both.
func (t *Tensor) Reshape(dims ...int) *Tensor {
	mustFill(&Tensor{Dims: dims}, t.Len())
	return &Tensor{t.DType, slices.Clone(dims), t.F, t.I, t.B}
}

// Index is the place of an element in F, I or B. It panics outside of the
// shape.
func (t *Tensor) Index(idx ...int) int {
	if len(idx) != len(t.Dims) {
		panic(fmt.Sprintf("interp: index %v of shape %v", idx, t.Dims))
	}
	// Bounds are checked axis by axis: an index too large in one axis is often
	// a valid place of another row.
	at := 0
	for i, x := range idx {
		if x < 0 || x >= t.Dims[i] {
			panic(fmt.Sprintf("interp: index %v of shape %v", idx, t.Dims))
		}
		at = at*t.Dims[i] + x
	}
	return at
}

// At is an element as a number; true is 1.
func (t *Tensor) At(idx ...int) float64 { return t.number(t.Index(idx...)) }

// Set changes an element.
func (t *Tensor) Set(x float64, idx ...int) { t.setNumber(t.Index(idx...), x) }

// F32 is a float tensor's elements, each rounded to float32.
// It is how an oracle's results meet those of kernels.
func (t *Tensor) F32() []float32 {
	out := make([]float32, len(t.F))
	for i, x := range t.F {
		out[i] = float32(x)
	}
	return out
}

// number is element i as a real number.
func (t *Tensor) number(i int) float64 {
	switch {
	case t.F != nil:
		return t.F[i]
	case t.I != nil:
		return float64(t.I[i])
	case t.B[i]:
		return 1
	}
	return 0
}

// setNumber stores x in element i: an integer tensor takes the nearest
// integer, ties to even, a bool one whether x is not 0.
func (t *Tensor) setNumber(i int, x float64) {
	switch {
	case t.F != nil:
		t.F[i] = x
	case t.I != nil:
		t.I[i] = int64(math.RoundToEven(x))
	default:
		t.B[i] = x != 0
	}
}

// copyFrom copies element j of x, which has t's kind of elements, to t's i.
func (t *Tensor) copyFrom(i int, x *Tensor, j int) {
	switch {
	case t.F != nil:
		t.F[i] = x.F[j]
	case t.I != nil:
		t.I[i] = x.I[j]
	default:
		t.B[i] = x.B[j]
	}
}

// last is the innermost dimension, 1 for a scalar; rows is the rest's product.
func (t *Tensor) last() int {
	if len(t.Dims) == 0 {
		return 1
	}
	return t.Dims[len(t.Dims)-1]
}

// rows is how many vectors of the last axis there are.
func (t *Tensor) rows() int { return size(t.Dims[:max(0, len(t.Dims)-1)]) }

// row is row r of a float tensor, seen as [rows, last].
// It is a window into the elements: writing to it writes to t.
func (t *Tensor) row(r int) []float64 {
	n := t.last()
	return t.F[r*n : (r+1)*n]
}

// String shows type, shape and the first elements, for failing tests.
func (t *Tensor) String() string {
	const show = 16
	s := make([]string, 0, show+1)
	for i := range min(t.Len(), show) {
		s = append(s, fmt.Sprintf("%.6g", t.number(i)))
	}
	if t.Len() > show {
		s = append(s, "...")
	}
	return fmt.Sprintf("%s%v{%s}", t.DType, t.Dims, strings.Join(s, " "))
}

// MaxAbs is the largest absolute value of a tensor's elements, NaN if one is.
// A tolerance that is relative to it does not ask for digits that a sum has
// lost.
func (t *Tensor) MaxAbs() float64 {
	m := 0.0
	for i := range t.Len() {
		m = math.Max(m, math.Abs(t.number(i)))
	}
	return m
}

// MaxDiff is the largest absolute difference of two tensors of one shape, and
// NaN if a pair is not comparable: both the same infinity count as equal.
// NaN is returned, not ignored, for shapes that differ as well: every
// comparison with a bound then fails.
func MaxDiff(a, b *Tensor) float64 {
	if !slices.Equal(a.Dims, b.Dims) {
		return math.NaN()
	}
	m := 0.0
	for i := range a.Len() {
		if x, y := a.number(i), b.number(i); x != y {
			m = math.Max(m, math.Abs(x-y))
		}
	}
	return m
}

// size is the product of dimensions.
func size(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}
