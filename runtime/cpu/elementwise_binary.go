package cpu

import (
	"math"
	"slices"
)

// BinaryOp is a function of two numbers.
type BinaryOp uint8

// The binary operations. Comparisons give 1 or 0; Max and Min keep NaN.
//
// They are numbered in the order of the names below.
const (
	Add BinaryOp = iota
	Sub
	Mul
	Div
	Pow
	Max
	Min
	Less
	LessEqual
	Greater
	GreaterEqual
	Equal
)

var binaryNames = [...]string{
	"add", "sub", "mul", "div", "pow", "max", "min", "less", "less_equal", "greater", "greater_equal", "equal",
}

// String is the operation's name in the compiler's op table.
func (op BinaryOp) String() string { return binaryNames[op] }

// BinaryNamed finds an operation by that name.
func BinaryNamed(name string) (op BinaryOp, ok bool) {
	i := slices.Index(binaryNames[:], name)
	return BinaryOp(max(i, 0)), i >= 0
}

// Binary computes y = a op b with broadcasting. y is contiguous with the given
// dims, at most six; sa and sb are the strides of the operands in elements, one
// a dimension, 0 where an operand is broadcast. y may be an operand that is
// itself contiguous.
func (d *Device) Binary(op BinaryOp, y []float32, dims []int, a []float32, sa []int, b []float32, sb []int) {
	t := &d.tasks.model.binary
	var w walk
	w.init(dims, nil, sa, sb, nil)
	y = y[:w.len()]
	t.set(d.isa, op, y, a, b, w)
	d.run(t, w.chunks())
	d.launched("binary", y)
}

// binaryTask is one launch of Binary, Add or Accumulate.
type binaryTask struct {
	isa     isa
	op      BinaryOp
	y, a, b []float32
	walk    walk
}

func (t *binaryTask) set(l isa, op BinaryOp, y, a, b []float32, w walk) {
	t.isa, t.op, t.y, t.a, t.b, t.walk = l, op, y, a, b, w
}

// A chunk may have several runs: rows of a strided operand, each at most runLen
// long.
func (t *binaryTask) do(chunk, _ int) {
	// Operands that are not contiguous are gathered, so that each operation
	// has one loop.
	var bufA, bufB run
	for it := t.walk.start(chunk); it.next(); {
		a := bufA.load(t.a, it.off[1], it.step[1], it.n)
		b := bufB.load(t.b, it.off[2], it.step[2], it.n)
		binaryLoop(t.isa, t.op, t.y[it.off[0]:it.off[0]+it.n], a, b)
	}
}

// binaryLoop applies op to contiguous runs.
func binaryLoop(l isa, op BinaryOp, y, a, b []float32) {
	a, b = a[:len(y)], b[:len(y)]
	switch op {
	case Add:
		vecAdd(l, y, a, b)
	case Sub:
		vecSub(l, y, a, b)
	case Mul:
		vecMul(l, y, a, b)
	case Div:
		vecDiv(l, y, a, b)
	// No vector form: powers are rare, and the square is taken out below.
	case Pow:
		for i := range y {
			y[i] = float32(math.Pow(float64(a[i]), float64(b[i])))
		}
	// The built-in max would do, but for the order of -0 and 0; this has the op
	// table's.
	case Max:
		for i := range y {
			v := b[i] // if that is NaN, no comparison changes it
			if a[i] > v || a[i] != a[i] {
				v = a[i]
			}
			y[i] = v
		}
	case Min:
		for i := range y {
			v := b[i]
			if a[i] < v || a[i] != a[i] {
				v = a[i]
			}
			y[i] = v
		}
	case Less:
		for i := range y {
			y[i] = truth(a[i] < b[i])
		}
	case LessEqual:
		for i := range y {
			y[i] = truth(a[i] <= b[i])
		}
	case Greater:
		for i := range y {
			y[i] = truth(a[i] > b[i])
		}
	// A comparison with NaN is false, so that Equal is no test of it.
	case GreaterEqual:
		for i := range y {
			y[i] = truth(a[i] >= b[i])
		}
	case Equal:
		for i := range y {
			y[i] = truth(a[i] == b[i])
		}
	default:
		panic("cpu: unknown binary operation")
	}
}

// BinaryScalar computes y[i] = a[i] op s. y may be a.
func (d *Device) BinaryScalar(op BinaryOp, y, a []float32, s float32) {
	d.scalarOp(op, y, a, s, false)
}

// ScalarBinary computes y[i] = s op a[i]. y may be a.
func (d *Device) ScalarBinary(op BinaryOp, y []float32, s float32, a []float32) {
	d.scalarOp(op, y, a, s, true)
}

// Both orders share a task; left says on which side the number stands.
func (d *Device) scalarOp(op BinaryOp, y, a []float32, s float32, left bool) {
	if len(a) != len(y) {
		panic("cpu: BinaryScalar: lengths differ")
	}
	t := &d.tasks.model.scalar
	*t = scalarTask{d.isa, op, y, a, s, left}
	d.run(t, chunksOf(len(y), chunkElems))
	d.launched("binary_scalar", y)
}

// scalarTask is one launch of BinaryScalar or, if left, ScalarBinary.
type scalarTask struct {
	isa  isa
	op   BinaryOp
	y, a []float32
	s    float32
	left bool
}

func (t *scalarTask) do(chunk, _ int) {
	lo := chunk * chunkElems
	hi := min(lo+chunkElems, len(t.y))
	y, a := t.y[lo:hi], t.a[lo:hi]
	switch {
	// For these the sides do not matter, and the constant needs no buffer.
	case t.op == Mul:
		vecScale(t.isa, y, a, t.s)
		return
	case t.op == Add:
		vecShift(t.isa, y, a, t.s)
		return
	case t.op == Pow && !t.left && t.s == 2: // the square that norms spell as a power
		vecMul(t.isa, y, a, a)
		return
	}
	// Other operations reuse the loops for two slices: a few hundred elements
	// of the number are made once a chunk and stay in L1.
	var buf run // holds s, as many times as there are elements in a run
	for len(y) > 0 {
		n := min(len(y), len(buf))
		s := buf[:n]
		for i := range s {
			s[i] = t.s
		}
		if t.left {
			binaryLoop(t.isa, t.op, y[:n], s, a[:n])
		} else {
			binaryLoop(t.isa, t.op, y[:n], a[:n], s)
		}
		y, a = y[n:], a[n:]
	}
}

// Where computes y = a where c is not 0, else b, with broadcasting as in Binary.
//
// A condition that is NaN counts as true, as it is not 0.
func (d *Device) Where(y []float32, dims []int, c []float32, sc []int, a []float32, sa []int, b []float32, sb []int) {
	t := &d.tasks.model.where
	t.walk.init(dims, nil, sc, sa, sb)
	y = y[:t.walk.len()]
	t.y, t.c, t.a, t.b = y, c, a, b
	d.run(t, t.walk.chunks())
	d.launched("where", y)
}

// whereTask is one launch of Where.
type whereTask struct {
	y, c, a, b []float32
	walk       walk
}

func (t *whereTask) do(chunk, _ int) {
	// Three buffers of 2 KiB, on the stack.
	var bufC, bufA, bufB run
	for it := t.walk.start(chunk); it.next(); {
		c := bufC.load(t.c, it.off[1], it.step[1], it.n)
		a := bufA.load(t.a, it.off[2], it.step[2], it.n)
		b := bufB.load(t.b, it.off[3], it.step[3], it.n)
		y := t.y[it.off[0] : it.off[0]+it.n]
		for i := range y {
			v := b[i]
			if c[i] != 0 {
				v = a[i]
			}
			y[i] = v
		}
	}
}
