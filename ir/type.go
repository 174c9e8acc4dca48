package ir

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// DType is the element type of a tensor. Block types are GGUF's: a row is cut
// into blocks that share scales.
// The numeric value never leaves the process: text and files name a dtype, so
// rows may be added or moved. Integers are for indices, bools for masks.
type DType uint8

// The zero value is no type, so that a Type nobody filled in fails the verifier
// and does not pass for f32.
const (
	Invalid DType = iota
	F32
	BF16
	F16
	F64
	I8
	I32
	I64
	Bool
	// GGUF's quantized blocks. Q8_0 and Q4_0 hold 32 numbers and one f16 scale;
	// the K kinds hold superblocks of 256 with scales of their own for each part.
	Q8_0
	Q4_0
	Q4_K
	Q6_K
)

// dtypes has a row for each constant above, which indexes it. Block and bytes
// are those of GGUF, scales and minima included: 34 = 2 + 32, 18 = 2 + 32/2,
// 144 = 2·2 + 12 + 256/2, 210 = 256/2 + 256/4 + 16 + 2.
var dtypes = [...]struct {
	name         string
	block, bytes int // elements and bytes of a block
}{
	Invalid: {"invalid", 1, 0},
	F32:     {"f32", 1, 4}, BF16: {"bf16", 1, 2}, F16: {"f16", 1, 2}, F64: {"f64", 1, 8},
	I8: {"i8", 1, 1}, I32: {"i32", 1, 4}, I64: {"i64", 1, 8}, Bool: {"bool", 1, 1},
	Q8_0: {"q8_0", 32, 34}, Q4_0: {"q4_0", 32, 18}, Q4_K: {"q4_k", 256, 144}, Q6_K: {"q6_k", 256, 210},
}

func (d DType) String() string { return dtypes[d].name }

// Bytes is the size of n elements; n must fill whole blocks.
// The division comes first: sizes stay small, and a part of a block has no size
// that could be told.
func (d DType) Bytes(n int64) int64 {
	return n / int64(dtypes[d].block) * int64(dtypes[d].bytes)
}

// Float reports whether elements are real numbers.
// Quantized blocks count: they stand for reals, however few bits they take.
func (d DType) Float() bool {
	switch d {
	case F32, BF16, F16, F64, Q8_0, Q4_0, Q4_K, Q6_K:
		return true
	}
	return false
}

// ParseDType finds a dtype by its name.
// "invalid" is not among them: a text cannot ask for the zero value.
func ParseDType(s string) (DType, bool) {
	for i, d := range dtypes {
		if d.name == s && i != int(Invalid) {
			return DType(i), true
		}
	}
	return Invalid, false
}

// Dim is one dimension of a shape: a number times a product of symbols, such
// as 64, B, B*T or 2*T. Dims compare with ==. The zero Dim is the number 0.
// There are no sums and no quotients. A transformer's shapes are products of a
// batch, a length and widths, and products alone have a normal form that two
// equal shapes share, so that types are compared without any algebra. What
// would need a sum, as concat along a symbol, is refused by the op's row.
type Dim struct {
	N   int64  // coefficient
	Sym string // symbols in alphabetical order joined by "*", empty for a number
}

// Const makes a dimension of a number.
func Const(n int64) Dim { return Dim{N: n} }

// Sym makes a dimension of one symbol.
func Sym(name string) Dim { return Dim{N: 1, Sym: name} }

// IsConst reports whether the dimension is a plain number.
func (d Dim) IsConst() bool { return d.Sym == "" }

// Is reports whether the dimension is the number n.
// A symbol is never a known number, not even if its bounds leave it only one:
// who wants numbers binds first.
func (d Dim) Is(n int64) bool { return d.Sym == "" && d.N == n }

// Mul is the product of two dimensions.
// The symbols are sorted, so T*B and B*T are the same Dim. A coefficient that
// would overflow stays at the largest int64, which the verifier refuses.
func (d Dim) Mul(e Dim) Dim {
	switch { // most factors are numbers
	case e.Sym == "":
		return Dim{saturated(d.N, e.N), d.Sym}
	case d.Sym == "":
		return Dim{saturated(d.N, e.N), e.Sym}
	}
	syms := append(d.symbols(), e.symbols()...)
	slices.Sort(syms)
	return Dim{saturated(d.N, e.N), strings.Join(syms, "*")}
}

// saturated is a product, or the int64 next to it.
func saturated(a, b int64) int64 {
	if p := a * b; a == 0 || p/a == b && !(a == -1 && b == math.MinInt64) {
		return p
	}
	if (a < 0) != (b < 0) {
		return math.MinInt64
	}
	return math.MaxInt64
}

// Div is the exact quotient of two dimensions, if there is one.
// Exact means for all values of the symbols: 4*T by 2 is 2*T, but T by 2 has no
// quotient, since T may be odd. Heads and packs are split with this.
func (d Dim) Div(e Dim) (Dim, bool) {
	if e.N == 0 || d.N%e.N != 0 {
		return Dim{}, false
	}
	syms := d.symbols()
	for _, s := range e.symbols() {
		i := slices.Index(syms, s)
		if i < 0 {
			return Dim{}, false
		}
		// One factor of the two lists at a time: B*T*T by T is B*T. The symbols
		// are a fresh list, so that deleting spoils no other Dim.
		syms = slices.Delete(syms, i, i+1)
	}
	return Dim{d.N / e.N, strings.Join(syms, "*")}, true
}

// symbols lists the factors, a square twice, in alphabetical order.
func (d Dim) symbols() []string {
	if d.Sym == "" {
		return nil
	}
	return strings.Split(d.Sym, "*")
}

// Bind replaces the symbols that have a value.
// Symbols without a value stay, in normal form, since Mul sorts what is left.
func (d Dim) Bind(values map[string]int64) Dim {
	out := Const(d.N)
	if v, ok := values[d.Sym]; ok && d.Sym != "" { // one symbol, as most have
		return Const(saturated(d.N, v))
	}
	for _, s := range d.symbols() {
		if v, ok := values[s]; ok {
			out.N = saturated(out.N, v)
		} else {
			out = out.Mul(Sym(s))
		}
	}
	return out
}

// String prints what the parser of dims reads: 64, B, 2*B*T.
func (d Dim) String() string {
	switch {
	case d.Sym == "":
		return strconv.FormatInt(d.N, 10)
	case d.N == 1:
		return d.Sym
	}
	return fmt.Sprintf("%d*%s", d.N, d.Sym)
}

// Type is the type of a tensor: element type and shape. A scalar has no dims.
// The innermost axis is the last, and elements lie row-major; strides belong to
// plans, where one buffer holds several values. Dims may be shared between
// types: nobody writes into a list that a Type holds.
type Type struct {
	DType DType
	Dims  []Dim
}

// TensorOf makes a type.
func TensorOf(d DType, dims ...Dim) Type { return Type{d, dims} }

// Rank is the number of dimensions.
func (t Type) Rank() int { return len(t.Dims) }

// Last is the innermost dimension; a scalar's is 1.
// A kernel's row is this long: norms, softmax and linear layers work along it.
func (t Type) Last() Dim {
	if len(t.Dims) == 0 {
		return Const(1)
	}
	return t.Dims[len(t.Dims)-1]
}

// Rows is the product of all dimensions but the last.
// Of activations [B, T, d] it is B*T, the rows of a linear layer's product.
func (t Type) Rows() Dim {
	if len(t.Dims) == 0 {
		return Const(1)
	}
	return product(t.Dims[:len(t.Dims)-1])
}

// Size is the number of elements as a dimension.
func (t Type) Size() Dim { return product(t.Dims) }

// Elems is the number of elements of a bound type. It panics on symbols.
// Callers bind the type first, to each dimension's number or capacity; a symbol
// that is left then is a bug.
func (t Type) Elems() int64 {
	n := t.Size()
	if !n.IsConst() {
		panic("ir: Elems of unbound type " + t.String())
	}
	return n.N
}

// Estimate is the number of elements with symbols of the given sizes, as a real
// number: it does not overflow, and tells what would.
func (t Type) Estimate(sizes map[string]int64) float64 {
	n := 1.0
	for _, d := range t.Dims {
		n *= float64(d.N)
		for _, s := range d.symbols() {
			n *= float64(sizes[s])
		}
	}
	return n
}

// Bytes is the storage of a bound type.
func (t Type) Bytes() int64 { return t.DType.Bytes(t.Elems()) }

// Equal reports whether two types are the same.
// An empty list of dims and none at all are the same scalar.
func (t Type) Equal(u Type) bool { return t.DType == u.DType && slices.Equal(t.Dims, u.Dims) }

// With is the type with another element type.
// The dims are shared, not copied.
func (t Type) With(d DType) Type { return Type{d, t.Dims} }

// Bind replaces symbols that have a value.
func (t Type) Bind(values map[string]int64) Type {
	dims := make([]Dim, len(t.Dims))
	for i, d := range t.Dims {
		dims[i] = d.Bind(values)
	}
	return Type{t.DType, dims}
}

// String prints what ParseType reads: f32[B, T, 64], and f32[] for a scalar.
func (t Type) String() string {
	s := make([]string, len(t.Dims))
	for i, d := range t.Dims {
		s[i] = d.String()
	}
	return t.DType.String() + "[" + strings.Join(s, ", ") + "]"
}

// product is 1 for no dims: a scalar has one element.
func product(dims []Dim) Dim {
	p := Const(1)
	for _, d := range dims {
		p = p.Mul(d)
	}
	return p
}
