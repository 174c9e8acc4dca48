package cpu

import (
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"strings"
	"testing"
)

var unaryRef = map[UnaryOp]func(float64) float64{
	Neg: func(x float64) float64 { return -x }, Exp: math.Exp, Log: math.Log, Sqrt: math.Sqrt,
	Rsqrt: func(x float64) float64 { return 1 / math.Sqrt(x) }, Reciprocal: func(x float64) float64 { return 1 / x },
	Sigmoid: sigmoid64, Silu: func(x float64) float64 { return x * sigmoid64(x) }, Softplus: softplus64, Tanh: math.Tanh, Erf: math.Erf,
	Sin: math.Sin, Cos: math.Cos, Relu: func(x float64) float64 { return max(x, 0) }, Abs: math.Abs,
	Square: func(x float64) float64 { return x * x },
	Step: func(x float64) float64 {
		if x > 0 {
			return 1
		}
		return 0
	},
	Sign: func(x float64) float64 {
		switch {
		case x > 0:
			return 1
		case x < 0:
			return -1
		}
		return 0
	},
}

// softplus64 is the definition, and x where 1 + e^x is e^x in float64.
func softplus64(x float64) float64 {
	if x > 40 {
		return x
	}
	return math.Log1p(math.Exp(x))
}

// TestOpNames holds the constants to the names of the compiler's ops, from which
// generated code derives them: LessEqual is less_equal.
func TestOpNames(t *testing.T) {
	for file, names := range map[string]func(i int) string{
		"elementwise.go":        func(i int) string { return UnaryOp(i).String() },
		"elementwise_binary.go": func(i int) string { return BinaryOp(i).String() },
	} {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		count := 0
		ast.Inspect(f, func(n ast.Node) bool {
			d, ok := n.(*ast.GenDecl)
			if !ok || d.Tok != token.CONST {
				return true
			}
			for i, spec := range d.Specs {
				constant := spec.(*ast.ValueSpec).Names[0].Name
				if name := names(i); strings.ToLower(constant) != strings.ReplaceAll(name, "_", "") {
					t.Errorf("%s: constant %s is named %s", file, constant, name)
				}
				count++
			}
			return false
		})
		if count < 12 {
			t.Errorf("%s has %d constants", file, count)
		}
	}
	for i := range unaries {
		if op, ok := UnaryNamed(unaries[i].name); !ok || op != UnaryOp(i) || unaryRef[op] == nil {
			t.Errorf("%s: found %v, %v, or has no reference", unaries[i].name, op, ok)
		}
	}
	for i, name := range binaryNames {
		if op, ok := BinaryNamed(name); !ok || op != BinaryOp(i) {
			t.Errorf("%s: found %v, %v", name, op, ok)
		}
	}
	if _, ok := UnaryNamed("add"); ok {
		t.Error("add has one operand")
	}
	if _, ok := BinaryNamed("neg"); ok {
		t.Error("neg has two operands")
	}
}

func TestUnary(t *testing.T) {
	for op := range UnaryOp(len(unaries)) {
		for _, n := range []int{1, 7, 65, 9000} {
			onDevices(t, uint64(n), func(t *testing.T, d *Device, m *mem, compare bool) [][]float32 {
				x, y := m.vec(n, 3), m.vec(n, 0)
				if n == 65 {
					copy(x, []float32{0, 88, -88, 103, -103, 1e-30, -1e-30, 88.8, 1e30, -1e30})
				}
				if op == Log || op == Sqrt || op == Rsqrt {
					for i := range x {
						x[i] = float32(math.Abs(float64(x[i])))
					}
				}
				d.Unary(op, y, x)
				if compare {
					want := rows64(x, 1, n, n)
					for i := range want {
						want[i] = unaryRef[op](want[i])
					}
					tiny := 1e-44
					if op == Sigmoid || op == Silu { // 1+e^-x overflows where the result is below the normal numbers
						tiny = 3e-37
					}
					near(t, op.String(), y, want, relTol(want, 8*unit, tiny))
				}
				d.Unary(op, x, x)
				equalBits(t, "in place", x, y)
				return [][]float32{y}
			})
		}
	}
}

// NaN stays NaN through every function of one number but Step.
func TestUnaryNaN(t *testing.T) {
	for l := portable; l <= detect(); l++ {
		d := New(1)
		d.isa = l
		for op := range UnaryOp(len(unaries)) {
			x := []float32{junk, 1, junk, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, junk}
			d.Unary(op, x, x)
			for _, i := range []int{0, 2, 17} {
				if (x[i] == x[i]) != (op == Step) {
					t.Errorf("%v: %s of NaN is %v", l, op, x[i])
				}
			}
		}
		d.Close()
	}
}

func binaryRef(op BinaryOp, a, b float64) float64 {
	is := func(c bool) float64 {
		if c {
			return 1
		}
		return 0
	}
	switch op {
	case Add:
		return a + b
	case Sub:
		return a - b
	case Mul:
		return a * b
	case Div:
		return a / b
	case Pow:
		return math.Pow(a, b)
	case Max:
		return math.Max(a, b)
	case Min:
		return math.Min(a, b)
	case Less:
		return is(a < b)
	case LessEqual:
		return is(a <= b)
	case Greater:
		return is(a > b)
	case GreaterEqual:
		return is(a >= b)
	}
	return is(a == b)
}

// at is the element at a multi-index, given as its number in row-major order.
func at(x []float32, dims, strides []int, i int) float32 {
	o := 0
	for d := len(dims) - 1; d >= 0; d-- {
		o += i % dims[d] * strides[d]
		i /= dims[d]
	}
	return x[o]
}

type stridedCase struct{ dims, sa, sb []int }

var stridedCases = []stridedCase{
	{nil, nil, nil},
	{[]int{1}, []int{5}, []int{0}},
	{[]int{7}, []int{1}, []int{0}},
	{[]int{130, 65}, []int{65, 1}, []int{0, 1}}, // row vector
	{[]int{130, 65}, []int{65, 1}, []int{1, 0}}, // column vector
	{[]int{130, 65}, []int{1, 130}, []int{65, 1}},
	{[]int{2, 3, 4, 5}, []int{60, 20, 5, 1}, []int{0, 5, 0, 1}},
	{[]int{2, 3, 1, 4, 2, 5}, []int{120, 40, 7, 10, 5, 1}, []int{1, 2, 0, 6, 24, 48}},
	{[]int{2, 9000}, []int{9001, 1}, []int{0, 1}},
	{[]int{20000}, []int{1}, []int{2}},
	{[]int{3, 0, 4}, []int{4, 4, 1}, []int{4, 4, 1}},
}

func count(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}

func reach(dims, strides []int) int {
	n := 1
	for i, d := range dims {
		n += max(0, d-1) * strides[i]
	}
	return n
}

func TestBinary(t *testing.T) {
	for op := range BinaryOp(len(binaryNames)) {
		for i, c := range stridedCases {
			onDevices(t, uint64(i), func(t *testing.T, d *Device, m *mem, compare bool) [][]float32 {
				a, b, y := m.vec(reach(c.dims, c.sa), 1), m.vec(reach(c.dims, c.sb), 1), m.vec(count(c.dims), 0)
				for i := range a {
					if op == Pow {
						a[i] = float32(math.Abs(float64(a[i])))
					} else if m.rng.IntN(3) == 0 {
						a[i] = b[m.rng.IntN(len(b))]
					}
				}
				d.Binary(op, y, c.dims, a, c.sa, b, c.sb)
				if compare {
					for i := range y {
						want := float32(binaryRef(op, float64(at(a, c.dims, c.sa, i)), float64(at(b, c.dims, c.sb, i))))
						if y[i] != want {
							t.Fatalf("%s, %v: element %d is %v, want %v", op, c, i, y[i], want)
						}
					}
				}
				return [][]float32{y}
			})
		}
	}
}

func TestBinaryScalar(t *testing.T) {
	for op := range BinaryOp(len(binaryNames)) {
		for _, s := range []float32{2, 0.5, -1.5} {
			onDevices(t, 1, func(t *testing.T, d *Device, m *mem, compare bool) [][]float32 {
				const n = 8195
				a, y, z := m.vec(n, 1), m.vec(n, 0), m.vec(n, 0)
				a[3] = s
				d.BinaryScalar(op, y, a, s)
				d.ScalarBinary(op, z, s, a)
				for i := range y {
					w, v := float32(binaryRef(op, float64(a[i]), float64(s))), float32(binaryRef(op, float64(s), float64(a[i])))
					if y[i] != w && w == w || z[i] != v && v == v {
						t.Fatalf("%s: %v and %v give %v, %v, want %v, %v", op, a[i], s, y[i], z[i], w, v)
					}
				}
				d.BinaryScalar(op, a, a, s)
				equalBits(t, "in place", a, y)
				return [][]float32{y, z}
			})
		}
	}
}

func TestMaxMinNaN(t *testing.T) {
	d := New(1)
	defer d.Close()
	y := make([]float32, 2)
	for _, op := range []BinaryOp{Max, Min} {
		d.Binary(op, y, []int{2}, []float32{junk, 1}, []int{1}, []float32{1, junk}, []int{1})
		if y[0] == y[0] || y[1] == y[1] {
			t.Errorf("%s loses NaN: %v", op, y)
		}
	}
}

func TestWhere(t *testing.T) {
	for i, c := range stridedCases {
		onDevices(t, uint64(i), func(t *testing.T, d *Device, m *mem, compare bool) [][]float32 {
			sc := make([]int, len(c.dims))
			for i := range sc {
				sc[i] = i & 1
			}
			a, b, cond := m.vec(reach(c.dims, c.sa), 1), m.vec(reach(c.dims, c.sb), 1), m.vec(reach(c.dims, sc), 1)
			for i := range cond {
				cond[i] = float32(m.rng.IntN(2))
			}
			y := m.vec(count(c.dims), 0)
			d.Where(y, c.dims, cond, sc, a, c.sa, b, c.sb)
			for i := range y {
				want := at(b, c.dims, c.sb, i)
				if at(cond, c.dims, sc, i) != 0 {
					want = at(a, c.dims, c.sa, i)
				}
				if y[i] != want {
					t.Fatalf("%v: element %d is %v, want %v", c, i, y[i], want)
				}
			}
			return [][]float32{y}
		})
	}
}

func TestCopy(t *testing.T) {
	for i, c := range stridedCases {
		for _, to := range []bool{false, true} { // from strided, to strided
			onDevices(t, uint64(i), func(t *testing.T, d *Device, m *mem, compare bool) [][]float32 {
				full := make([]int, len(c.dims))
				n := 1
				for i := len(full) - 1; i >= 0; i-- {
					full[i] = n
					n *= c.dims[i]
				}
				if to {
					x, y := m.vec(n, 1), m.vec(reach(c.dims, c.sa), 1)
					d.Copy(y, c.sa, x, full, c.dims)
					for i := range x {
						if v := at(y, c.dims, c.sa, i); v != x[i] {
							t.Fatalf("%v: element %d is %v, want %v", c, i, v, x[i])
						}
					}
					return [][]float32{y}
				}
				x, y := m.vec(reach(c.dims, c.sb), 1), m.vec(n, 0)
				d.Copy(y, full, x, c.sb, c.dims)
				for i := range y {
					if v := at(x, c.dims, c.sb, i); v != y[i] {
						t.Fatalf("%v: element %d is %v, want %v", c, i, y[i], v)
					}
				}
				return [][]float32{y}
			})
		}
	}
}

func TestAddAccumulateFill(t *testing.T) {
	onDevices(t, 1, func(t *testing.T, d *Device, m *mem, compare bool) [][]float32 {
		const n = 20001
		a, b, y, z := m.vec(n, 1), m.vec(n, 1), m.vec(n, 0), m.vec(n, 0)
		d.Add(y, a, b)
		d.Accumulate(a, b)
		equalBits(t, "Accumulate", a, y)
		d.Fill(z, 2.5)
		d.Fill(b, 0)
		for i := range z {
			if z[i] != 2.5 || b[i] != 0 {
				t.Fatalf("Fill: element %d is %v, %v", i, z[i], b[i])
			}
		}
		return [][]float32{y, z}
	})
}

func TestElementwiseAllocs(t *testing.T) {
	d := New(2)
	defer d.Close()
	x, y := make([]float32, 9000), make([]float32, 9000)
	dims, s, ids := []int{90, 10, 10}, []int{1, 90, 900}, make([]int32, 4)
	noAllocs(t, "Unary", func() { d.Unary(Tanh, y, x) })
	noAllocs(t, "Binary", func() { d.Binary(Mul, y, dims, x, s, x, s) })
	noAllocs(t, "BinaryScalar", func() { d.BinaryScalar(Pow, y, x, 0.5) })
	noAllocs(t, "Where", func() { d.Where(y, dims, x, s, x, s, x, s) })
	noAllocs(t, "Copy", func() { d.Copy(y, []int{100, 10, 1}, x, s, dims) })
	noAllocs(t, "Add", func() { d.Add(y, x, x) })
	noAllocs(t, "Fill", func() { d.Fill(y, 1) })
	noAllocs(t, "Reduce", func() { d.Reduce(ReduceSum, y, x, 9, 100, 10) })
	noAllocs(t, "Softmax", func() { d.Softmax(y, x, 90, 100) })
	noAllocs(t, "SoftmaxGrad", func() { d.SoftmaxGrad(y, x, x, 90, 100) })
	noAllocs(t, "Embedding", func() { d.Embedding(y, x, ids, 4, 100, 90) })
	noAllocs(t, "EmbeddingGrad", func() { d.EmbeddingGrad(y, ids, x, 4, 100, 90, Overwrite) })
}

// Watch sees results only, not what lies between the rows of a view.
func TestWatchStrided(t *testing.T) {
	d := New(2)
	defer d.Close()
	m := newMem(t, 1)
	var names []string
	d.Watch(func(_ int, kernel string, finite bool) {
		if names = append(names, kernel); !finite {
			t.Errorf("%s reports a result that is not finite", kernel)
		}
	})
	c := attnCase{1, 70, 2, 1, 8, true, 0, true}
	x, g := c.operands(m, 1), c.operands(m, 0)
	o, lse := m.vec(70*16, 0), m.vec(140, 0)
	c.forward(d, x, o, lse)
	c.backward(d, g, x, o, o, lse)
	v, cs := m.matrix(3, 11, 8, 1), m.vec(12, 1)
	d.Rope(v, 11, v, 11, cs, cs, 3, 3, 2, 4, false, false)
	d.SwiGLUGrad(v, 11, v[4:], 11, m.vec(12, 1), v, 11, v[4:], 11, 3, 4)
	y := m.vec(12, 0)
	d.Copy(y, []int{1}, v, []int{1}, []int{8})
	if len(names) != 5 {
		t.Errorf("watched %v", names)
	}
	v[0] = junk
	finite := true
	d.Watch(func(_ int, _ string, f bool) { finite = f })
	d.Rope(v, 11, v, 11, cs, cs, 3, 3, 2, 4, false, false)
	if finite {
		t.Error("NaN not reported")
	}
}
