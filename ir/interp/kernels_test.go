package interp_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/ir/interp"
)

// parse reads a module that must parse and verify.
func parse(t *testing.T, src string) *ir.Module {
	t.Helper()
	m, err := ir.Parse("test.ir", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	if err := ir.Verify(m); err != nil {
		t.Fatal(err)
	}
	return m
}

// eval runs one function of parameters and nodes and returns its results.
func eval(t *testing.T, function string, args ...*interp.Tensor) []*interp.Tensor {
	t.Helper()
	m := parse(t, "module m\ndim B in [1, 9]\n\nfunc @f main"+function)
	out, err := interp.NewMachine(map[string]int64{"B": 2}).Run(m, "f", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func random(seed uint64, t ir.DType, dims ...int) *interp.Tensor {
	return interp.New(t, dims...).Random(rand.New(rand.NewPCG(seed, 0)))
}

// count is the tensor 1, 2, 3, ... of a shape.
func count(dims ...int) *interp.Tensor {
	t := interp.New(ir.F32, dims...)
	for i := range t.F {
		t.F[i] = float64(i + 1)
	}
	return t
}

func numbers(t *interp.Tensor) []float64 {
	out := make([]float64, t.Len())
	for i := range out {
		out[i] = t.Clone().Reshape(t.Len()).At(i)
	}
	return out
}

// TestPrimitives holds each kernel that moves or computes data to results that
// one can check by hand. Fused ops are held to these by their expansions, and
// gradients by central differences, in package ir.
func TestPrimitives(t *testing.T) {
	a, b := count(2, 3), interp.FromF64([]float64{10, 20, 30}, 3)
	ids := interp.FromI32([]int32{1, 0, 1}, 3)
	inf, nan := math.Inf(1), math.NaN()
	odd := interp.FromF64([]float64{-inf, -2.5, math.Copysign(0, -1), 0.5, inf, nan}, 6)
	mask := interp.New(ir.Bool, 2, 1)
	mask.Set(1, 1, 0)
	for _, c := range []struct {
		name, function string
		args           []*interp.Tensor
		want           []float64
	}{
		{"const", `() -> (%y) { %y = const() {values = [2.0, -1.0], shape = [2], dtype = "i32"} : i32[2] }`, nil, []float64{2, -1}},
		{"iota first", `() -> (%y) { %y = iota() {dims = dims[3, B]} : i32[3, B] }`, nil, []float64{0, 0, 1, 1, 2, 2}},
		{"iota last", `() -> (%y) { %y = iota() {dims = dims[B, 3], axis = 1} : i32[B, 3] }`, nil, []float64{0, 1, 2, 0, 1, 2}},
		{"cast to integers", `(%x: f32[4]) -> (%y) { %y = cast(%x) {dtype = "i32"} : i32[4] }`, []*interp.Tensor{interp.FromF64([]float64{0.5, 1.5, -1.5, 2.6}, 4)}, []float64{0, 2, -2, 3}},
		{"cast to truth", `(%x: f32[6]) -> (%y) { %y = cast(%x) {dtype = "bool"} : bool[6] }`, []*interp.Tensor{odd}, []float64{1, 1, 0, 1, 1, 1}},
		{"reshape", `(%x: f32[2, 3]) -> (%y) { %y = reshape(%x) {dims = dims[3, 2]} : f32[3, 2] }`, []*interp.Tensor{a}, []float64{1, 2, 3, 4, 5, 6}},
		{"transpose", `(%x: f32[2, 3]) -> (%y) { %y = transpose(%x) {perm = [1, 0]} : f32[3, 2] }`, []*interp.Tensor{a}, []float64{1, 4, 2, 5, 3, 6}},
		{"transpose three", `(%x: f32[2, 1, 3]) -> (%y) { %y = transpose(%x) {perm = [2, 0, 1]} : f32[3, 2, 1] }`, []*interp.Tensor{count(2, 1, 3)}, []float64{1, 4, 2, 5, 3, 6}},
		{"broadcast", `(%x: f32[3, 1]) -> (%y) { %y = broadcast(%x) {dims = dims[2, 3, 2]} : f32[2, 3, 2] }`, []*interp.Tensor{count(3, 1)}, []float64{1, 1, 2, 2, 3, 3, 1, 1, 2, 2, 3, 3}},
		{"slice", `(%x: f32[2, 6]) -> (%y) { %y = slice(%x) {axis = 1, from = 1, to = 6, step = 3} : f32[2, 2] }`, []*interp.Tensor{count(2, 6)}, []float64{2, 5, 8, 11}},
		{"pad", `(%x: f32[2, 2]) -> (%y) { %y = pad(%x) {axis = 1, before = 1, step = 2, size = 5} : f32[2, 5] }`, []*interp.Tensor{count(2, 2)}, []float64{0, 1, 0, 2, 0, 0, 3, 0, 4, 0}},
		{"concat", `(%x: f32[2, 3], %z: f32[2, 1]) -> (%y) { %y = concat(%x, %z, %x) {axis = 1} : f32[2, 7] }`, []*interp.Tensor{a, count(2, 1)}, []float64{1, 2, 3, 1, 1, 2, 3, 4, 5, 6, 2, 4, 5, 6}},
		{"gather", `(%x: f32[2, 3], %i: i32[3]) -> (%y) { %y = gather(%x, %i) : f32[3, 3] }`, []*interp.Tensor{a, ids}, []float64{4, 5, 6, 1, 2, 3, 4, 5, 6}},
		{"gather_grad", `(%i: i32[3], %d: f32[3, 2]) -> (%y) { %y = gather_grad(%i, %d) {rows = dims[3]} : f32[3, 2] }`, []*interp.Tensor{ids, count(3, 2)}, []float64{3, 4, 1 + 5, 2 + 6, 0, 0}},
		{"add", `(%x: f32[2, 3], %z: f32[3]) -> (%y) { %y = add(%x, %z) : f32[2, 3] }`, []*interp.Tensor{a, b}, []float64{11, 22, 33, 14, 25, 36}},
		{"sub", `(%x: f32[2, 3], %z: f32[3]) -> (%y) { %y = sub(%x, %z) : f32[2, 3] }`, []*interp.Tensor{a, b}, []float64{-9, -18, -27, -6, -15, -24}},
		{"div", `(%x: f32[2, 3], %z: f32[3]) -> (%y) { %y = div(%z, %x) : f32[2, 3] }`, []*interp.Tensor{a, b}, []float64{10, 10, 10, 2.5, 4, 5}},
		{"integer div", `(%i: i32[3]) -> (%y) { %z = const() {values = [-7.0], dtype = "i32"} : i32[] %o = const() {values = [2.0], dtype = "i32"} : i32[] %n = add(%i, %o) : i32[3] %y = div(%z, %n) : i32[3] }`, []*interp.Tensor{ids}, []float64{-2, -3, -2}},
		{"pow", `(%x: f32[2, 3]) -> (%y) { %z = const() {values = [2.0]} : f32[] %y = pow(%z, %x) : f32[2, 3] }`, []*interp.Tensor{a}, []float64{2, 4, 8, 16, 32, 64}},
		{"max", `(%x: f32[6]) -> (%y) { %z = const() {values = [0.0]} : f32[] %y = max(%x, %z) : f32[6] }`, []*interp.Tensor{odd}, []float64{0, 0, 0, 0.5, inf, nan}},
		{"min", `(%x: f32[6]) -> (%y) { %z = const() {values = [0.0]} : f32[] %y = min(%x, %z) : f32[6] }`, []*interp.Tensor{odd}, []float64{-inf, -2.5, 0, 0, 0, nan}},
		{"sign", `(%x: f32[6]) -> (%y) { %y = sign(%x) : f32[6] }`, []*interp.Tensor{odd}, []float64{-1, -1, 0, 1, 1, nan}},
		{"step", `(%x: f32[6]) -> (%y) { %y = step(%x) : f32[6] }`, []*interp.Tensor{odd}, []float64{0, 0, 0, 1, 1, 0}},
		{"relu", `(%x: f32[6]) -> (%y) { %y = relu(%x) : f32[6] }`, []*interp.Tensor{odd}, []float64{0, 0, 0, 0.5, inf, nan}},
		{"abs", `(%x: f32[6]) -> (%y) { %y = abs(%x) : f32[6] }`, []*interp.Tensor{odd}, []float64{inf, 2.5, 0, 0.5, inf, nan}},
		{"less", `(%x: f32[6]) -> (%y) { %z = const() {values = [0.5]} : f32[] %y = less(%x, %z) : bool[6] }`, []*interp.Tensor{odd}, []float64{1, 1, 1, 0, 0, 0}},
		{"less_equal", `(%x: f32[6]) -> (%y) { %z = const() {values = [0.5]} : f32[] %y = less_equal(%x, %z) : bool[6] }`, []*interp.Tensor{odd}, []float64{1, 1, 1, 1, 0, 0}},
		{"greater", `(%x: f32[6]) -> (%y) { %z = const() {values = [0.5]} : f32[] %y = greater(%x, %z) : bool[6] }`, []*interp.Tensor{odd}, []float64{0, 0, 0, 0, 1, 0}},
		{"greater_equal", `(%x: f32[6]) -> (%y) { %z = const() {values = [0.5]} : f32[] %y = greater_equal(%x, %z) : bool[6] }`, []*interp.Tensor{odd}, []float64{0, 0, 0, 1, 1, 0}},
		{"equal", `(%x: f32[6]) -> (%y) { %y = equal(%x, %x) : bool[6] }`, []*interp.Tensor{odd}, []float64{1, 1, 1, 1, 1, 0}},
		{"where", `(%c: bool[2, 1], %x: f32[2, 3], %z: f32[3]) -> (%y) { %y = where(%c, %x, %z) : f32[2, 3] }`, []*interp.Tensor{mask, a, b}, []float64{10, 20, 30, 4, 5, 6}},
		{"reduce_sum", `(%x: f32[2, 3]) -> (%y) { %y = reduce_sum(%x) {axes = [0]} : f32[3] }`, []*interp.Tensor{a}, []float64{5, 7, 9}},
		{"reduce_sum keep", `(%x: f32[2, 3]) -> (%y) { %y = reduce_sum(%x) {axes = [1], keep = true} : f32[2, 1] }`, []*interp.Tensor{a}, []float64{6, 15}},
		{"reduce_mean", `(%x: f32[2, 3]) -> (%y) { %y = reduce_mean(%x) {axes = [0, 1]} : f32[] }`, []*interp.Tensor{a}, []float64{3.5}},
		{"reduce_max", `(%x: f32[2, 3]) -> (%y) { %z = neg(%x) : f32[2, 3] %y = reduce_max(%z) {axes = [1]} : f32[2] }`, []*interp.Tensor{a}, []float64{-1, -4}},
		{"matmul", `(%x: f32[2, 3], %z: f32[3, 2]) -> (%y) { %y = matmul(%x, %z) : f32[2, 2] }`, []*interp.Tensor{a, count(3, 2)}, []float64{22, 28, 49, 64}},
		{"matmul transposed", `(%x: f32[2, 3]) -> (%y) { %y = matmul(%x, %x) {trans_a = true} : f32[3, 3] }`, []*interp.Tensor{a}, []float64{17, 22, 27, 22, 29, 36, 27, 36, 45}},
		{"linear", `(%x: f32[2, 3], %w: f32[2, 3]) -> (%y) { %y = linear(%x, %w) : f32[2, 2] }`, []*interp.Tensor{a, a}, []float64{14, 32, 32, 77}},
	} {
		out := eval(t, c.function, c.args...)[0]
		got := numbers(out)
		if !slices.EqualFunc(got, c.want, func(a, b float64) bool { return a == b || a != a && b != b }) {
			t.Errorf("%s gives %v, want %v", c.name, got, c.want)
		}
	}
}

// TestFunctions checks elementwise functions against values known otherwise.
func TestFunctions(t *testing.T) {
	x := []float64{-2, -0.5, 0.25, 1, 3}
	for name, want := range map[string]func(x float64) float64{
		"exp": func(x float64) float64 { return math.Pow(math.E, x) },
		"log": func(x float64) float64 { return math.Log2(x) * math.Ln2 }, "sqrt": func(x float64) float64 { return math.Pow(x, 0.5) },
		"rsqrt": func(x float64) float64 { return math.Pow(x, -0.5) }, "reciprocal": func(x float64) float64 { return math.Pow(x, -1) },
		"square": func(x float64) float64 { return math.Pow(x, 2) }, "neg": func(x float64) float64 { return 0 - x },
		"sigmoid": func(x float64) float64 { return (1 + math.Tanh(x/2)) / 2 },
		"silu":    func(x float64) float64 { return x * (1 + math.Tanh(x/2)) / 2 },
		"tanh":    func(x float64) float64 { return 1 - 2/(math.Exp(2*x)+1) }, "erf": func(x float64) float64 { return 1 - math.Erfc(x) },
		"sin": func(x float64) float64 { return math.Cos(x - math.Pi/2) }, "cos": func(x float64) float64 { return math.Sin(x + math.Pi/2) },
	} {
		out := eval(t, "(%x: f32[5]) -> (%y) { %y = "+name+"(%x) : f32[5] }", interp.FromF64(x, 5))[0]
		for i, got := range out.F {
			if w := want(x[i]); !(math.Abs(got-w) <= 1e-14*max(1, math.Abs(w))) && !(math.IsNaN(got) && math.IsNaN(w)) {
				t.Errorf("%s(%g) = %g, want %g", name, x[i], got, w)
			}
		}
	}
}

// TestSoftmax: rows sum to 1, a shift changes nothing, large numbers neither.
func TestSoftmax(t *testing.T) {
	const f = "(%x: f32[3, 5]) -> (%y) { %y = softmax(%x) : f32[3, 5] }"
	x := random(1, ir.F32, 3, 5)
	y := eval(t, f, x)[0]
	for r := range 3 {
		sum := 0.0
		for i := range 5 {
			sum += y.At(r, i)
			x.Set(x.At(r, i)+1000*float64(r), r, i)
		}
		if math.Abs(sum-1) > 1e-15 {
			t.Errorf("row %d sums to %v", r, sum)
		}
	}
	if d := interp.MaxDiff(eval(t, f, x)[0], y); !(d < 1e-12) {
		t.Errorf("a shift changes softmax by %g", d)
	}
	if r := y.At(0, 1) / y.At(0, 0); math.Abs(r-math.Exp(x.At(0, 1)-x.At(0, 0))) > 1e-12*r {
		t.Errorf("the ratio of two probabilities is %g", r)
	}
}

// TestCrossEntropy: equal logits cost the log of their number, targets below 0
// do not count, and without any target there is nothing to lose.
func TestCrossEntropy(t *testing.T) {
	const f = "(%x: f32[3, 4], %t: i32[3]) -> (%y, %d) {" +
		"%y = cross_entropy(%x, %t) : f32[] %one = const() {values = [1.0]} : f32[] %d = cross_entropy_grad(%one, %x, %t) : f32[3, 4] }"
	x := interp.New(ir.F32, 3, 4)
	out := eval(t, f, x, interp.FromI32([]int32{0, 3, 1}, 3))
	if math.Abs(out[0].At()-math.Log(4)) > 1e-15 {
		t.Errorf("equal logits cost %v", out[0].At())
	}
	if out[1].At(0, 0) != (0.25-1)/3 || out[1].At(0, 1) != 0.25/3 {
		t.Errorf("with the gradient %v", out[1])
	}
	x.Set(math.Log(5), 2, 1) // probability 5/8 for target 1
	out = eval(t, f, x, interp.FromI32([]int32{-1, -100, 1}, 3))
	if math.Abs(out[0].At()-math.Log(8.0/5)) > 1e-15 {
		t.Errorf("one target of probability 5/8 costs %v", out[0].At())
	}
	out = eval(t, f, x, interp.FromI32([]int32{-1, -1, -1}, 3))
	if out[0].At() != 0 || out[1].MaxAbs() != 0 {
		t.Errorf("no targets cost %v with the gradient %v", out[0].At(), out[1])
	}
}

// TestRope: a quarter turn takes (a, b) to (-b, a), in either layout, and the
// inverse takes it back.
func TestRope(t *testing.T) {
	x, cos, sin := count(1, 1, 1, 4), interp.New(ir.F32, 1, 2), interp.FromF64([]float64{1, 1}, 1, 2)
	for layout, want := range map[string][]float64{"interleaved": {-2, 1, -4, 3}, "half": {-3, -4, 1, 2}} {
		out := eval(t, `(%x: f32[1, 1, 1, 4], %c: f32[1, 2], %s: f32[1, 2]) -> (%y, %z) {
			%y = rope(%x, %c, %s) {layout = "`+layout+`"} : f32[1, 1, 1, 4]
			%z = rope(%y, %c, %s) {layout = "`+layout+`", inverse = true} : f32[1, 1, 1, 4] }`, x, cos, sin)
		if !slices.Equal(out[0].F, want) || !slices.Equal(out[1].F, x.F) {
			t.Errorf("%s: a quarter turn gives %v, back %v", layout, out[0].F, out[1].F)
		}
	}
}

// TestNorm: a normalised row has the mean square 1.
func TestNorm(t *testing.T) {
	x := random(3, ir.F32, 2, 5)
	y := eval(t, "(%x: f32[2, 5], %w: f32[5]) -> (%y) { %y = rms_norm(%x, %w) {eps = 0.0} : f32[2, 5] }", x, interp.FromF64([]float64{1, 1, 1, 1, 1}, 5))[0]
	for r := range 2 {
		sum := 0.0
		for i := range 5 {
			sum += y.At(r, i) * y.At(r, i)
		}
		if math.Abs(sum-5) > 1e-14 || y.At(r, 0)*x.At(r, 0) < 0 {
			t.Errorf("row %d has the square sum %v", r, sum)
		}
	}
}
