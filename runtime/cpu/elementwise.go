package cpu

import "math"

// UnaryOp is a function of one number.
type UnaryOp uint8

// The unary operations, a row of unaries each.
const (
	Neg UnaryOp = iota
	Exp
	Log
	Sqrt
	Rsqrt
	Reciprocal
	Sigmoid
	Silu
	Softplus
	Tanh
	Erf
	Sin
	Cos
	Relu
	Abs
	Square
	Step
	Sign
)

// The table is indexed by the constants. A test compares the names with the
// compiler's op table, which this package does not import.
// unaries holds for each operation its name in the compiler's op table, which
// is the constant's with underscores, and the loop over a contiguous run: y and
// x have the same length, or are the same. Functions without a vector form go
// through float64, so that they are correctly rounded in all but rare cases.
var unaries = [...]struct {
	name string
	loop func(l isa, y, x []float32)
}{
	Neg: {"neg", func(_ isa, y, x []float32) {
		for i := range y {
			y[i] = -x[i]
		}
	}},
	Exp:  {"exp", vecExp},
	Log:  {"log", through64(math.Log)},
	Sqrt: {"sqrt", vecSqrt},
	// In float64, since 1/sqrt in float32 would be rounded twice.
	Rsqrt: {"rsqrt", func(_ isa, y, x []float32) {
		for i := range y {
			y[i] = float32(1 / math.Sqrt(float64(x[i])))
		}
	}},
	Reciprocal: {"reciprocal", vecRecip},
	Sigmoid:    {"sigmoid", vecSigmoid},
	Silu:       {"silu", vecSilu},
	Softplus: {"softplus", through64(func(x float64) float64 {
		// log(1 + e^x) with the larger of the two taken out, so that nothing overflows.
		return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x)))
	})},
	Tanh: {"tanh", vecTanh},
	Erf:  {"erf", vecErf},
	Sin:  {"sin", through64(math.Sin)},
	Cos:  {"cos", through64(math.Cos)},
	Relu: {"relu", vecRelu},
	Abs: {"abs", func(_ isa, y, x []float32) {
		for i := range y {
			// The sign bit alone: NaN stays.
			y[i] = math.Float32frombits(math.Float32bits(x[i]) &^ (1 << 31))
		}
	}},
	Square: {"square", func(l isa, y, x []float32) { vecMul(l, y, x, x) }},
	Step: {"step", func(_ isa, y, x []float32) { // 0 at 0, the slope of relu there
		for i := range y {
			y[i] = truth(x[i] > 0)
		}
	}},
	Sign: {"sign", func(_ isa, y, x []float32) {
		for i := range y {
			v := x[i] // 0 and NaN stay what they are
			if v > 0 {
				v = 1
			} else if v < 0 {
				v = -1
			}
			y[i] = v
		}
	}},
}

// String is the operation's name in the compiler's op table.
func (op UnaryOp) String() string { return unaries[op].name }

// UnaryNamed finds an operation by that name.
func UnaryNamed(name string) (op UnaryOp, ok bool) {
	for i := range unaries {
		if unaries[i].name == name {
			return UnaryOp(i), true
		}
	}
	return 0, false
}

// Unary computes y[i] = op(x[i]) for two slices of the same length. y may be x.
// NaN stays NaN through all of them but Step. Exp, Sigmoid, Silu, Tanh and Erf
// are within a few units in the last place, the others correctly rounded or next
// to it.
func (d *Device) Unary(op UnaryOp, y, x []float32) {
	if len(x) != len(y) {
		panic("cpu: Unary: lengths differ")
	}
	t := &d.tasks.model.unary
	// The slices stay in the task until the next launch of its kind.
	*t = unaryTask{d.isa, op, y, x}
	d.run(t, chunksOf(len(y), chunkElems))
	d.launched("unary", y)
}

// unaryTask is one launch of Unary, cut into chunks of chunkElems.
type unaryTask struct {
	isa  isa
	op   UnaryOp
	y, x []float32
}

func (t *unaryTask) do(chunk, _ int) {
	lo := chunk * chunkElems
	hi := min(lo+chunkElems, len(t.y))
	unaries[t.op].loop(t.isa, t.y[lo:hi], t.x[lo:hi])
}

// through64 is the loop of a function of float64, rounded once.
//
// Rounding a float64 that is itself off by a little rounds to the same float32
// unless it lies next to the middle of two.
func through64(f func(float64) float64) func(isa, []float32, []float32) {
	return func(_ isa, y, x []float32) {
		for i := range y {
			y[i] = float32(f(float64(x[i])))
		}
	}
}

// truth is 1 or 0: comparisons are floats here, so that they can be multiplied
// and chosen by like any other value.
func truth(b bool) float32 {
	if b {
		return 1
	}
	return 0
}

// Add computes y = a + b, elementwise. y may be a or b.
func (d *Device) Add(y, a, b []float32) {
	if len(a) != len(y) || len(b) != len(y) {
		panic("cpu: Add: lengths differ")
	}
	d.addTask(y, a, b)
	d.launched("add", y)
}

// Accumulate computes y += x.
func (d *Device) Accumulate(y, x []float32) {
	if len(x) != len(y) {
		panic("cpu: Accumulate: lengths differ")
	}
	d.addTask(y, y, x)
	d.launched("accumulate", y)
}

// addTask is the contiguous sum, for Add and Accumulate.
func (d *Device) addTask(y, a, b []float32) {
	t := &d.tasks.model.binary
	t.set(d.isa, Add, y, a, b, oneRun(len(y), 1, 1))
	d.run(t, t.walk.chunks())
}

// Fill sets every element of y to v.
func (d *Device) Fill(y []float32, v float32) {
	t := &d.tasks.model.fill
	t.y, t.v = y, v
	d.run(t, chunksOf(len(y), chunkElems))
	d.launched("fill", y)
}

type fillTask struct {
	y []float32
	v float32
}

func (t *fillTask) do(chunk, _ int) {
	lo := chunk * chunkElems
	y := t.y[lo:min(lo+chunkElems, len(t.y))]
	// clear is several times as fast, and only +0 has no bits.
	if t.v == 0 && !math.Signbit(float64(t.v)) {
		clear(y)
		return
	}
	for i := range y {
		y[i] = t.v
	}
}
