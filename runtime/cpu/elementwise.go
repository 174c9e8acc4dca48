package cpu

import "math"

// UnaryOp is a function of one number.
type UnaryOp uint8

// The unary operations. Step is 1 for x > 0 and else 0; Sign(0) is 0.
const (
	Neg UnaryOp = iota
	Exp
	Log
	Sqrt
	Rsqrt
	Recip
	Sigmoid
	Silu
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

// Unary computes y[i] = op(x[i]) for two slices of the same length. y may be x.
// NaN stays NaN through all of them but Step. Exp, Sigmoid, Silu, Tanh and Erf
// are within a few units in the last place, the others correctly rounded or next
// to it.
func (d *Device) Unary(op UnaryOp, y, x []float32) {
	if len(x) != len(y) {
		panic("cpu: Unary: lengths differ")
	}
	t := &d.tasks.model.unary
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
	unaryLoop(t.isa, t.op, t.y[lo:hi], t.x[lo:hi])
}

// unaryLoop applies op to a contiguous run. Functions without a vector form go
// through float64, so that they are correctly rounded in all but rare cases.
func unaryLoop(l isa, op UnaryOp, y, x []float32) {
	x = x[:len(y)]
	switch op {
	case Neg:
		for i := range y {
			y[i] = -x[i]
		}
	case Exp:
		vecExp(l, y, x)
	case Log:
		unary64(y, x, math.Log)
	case Sqrt:
		vecSqrt(l, y, x)
	case Rsqrt:
		for i := range y {
			y[i] = float32(1 / math.Sqrt(float64(x[i])))
		}
	case Recip:
		vecRecip(l, y, x)
	case Sigmoid:
		vecSigmoid(l, y, x)
	case Silu:
		vecSilu(l, y, x)
	case Tanh:
		vecTanh(l, y, x)
	case Erf:
		vecErf(l, y, x)
	case Sin:
		unary64(y, x, math.Sin)
	case Cos:
		unary64(y, x, math.Cos)
	case Relu:
		vecRelu(l, y, x)
	case Abs:
		for i := range y {
			y[i] = math.Float32frombits(math.Float32bits(x[i]) &^ (1 << 31))
		}
	case Square:
		vecMul(l, y, x, x)
	case Step:
		for i := range y {
			y[i] = truth(x[i] > 0)
		}
	case Sign:
		for i := range y {
			v := x[i] // 0 and NaN stay what they are
			if v > 0 {
				v = 1
			} else if v < 0 {
				v = -1
			}
			y[i] = v
		}
	default:
		panic("cpu: unknown unary operation")
	}
}

// unary64 goes through float64.
func unary64(y, x []float32, f func(float64) float64) {
	for i := range y {
		y[i] = float32(f(float64(x[i])))
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
