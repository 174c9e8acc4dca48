package main

import (
	"fmt"
	"math"
	"strings"
)

// Functions over contiguous slices of equal length: whole vectors in a loop,
// and one step with masked loads and stores for what is left over.

// constant is a float32 that kernels use, replicated over 32 bytes of the
// table ·vecConsts. The values are those of vec.go and vec_special.go.
//
// A 256-bit instruction can then use a constant where it lies, as an operand;
// 512 bits are broadcast from its first element.
type constant struct {
	name  string
	value float32
}

// Two tables hold the same numbers, this one and the constants of the portable
// twins: what changes in one changes in the other.
var constants = []constant{
	{"one", 1},
	{"log2e", 1.44269504088896340736},
	{"ln2hi", 0.693359375},
	{"ln2lo", -2.12194440054690581e-4},
	{"magic", 12582912},
	{"expMax", 89},
	{"expMin", -104.5},
	{"expC2", 0.5},
	{"expC3", 0.166665763},
	{"expC4", 0.0416665561},
	{"expC5", 0.00836317893},
	{"expC6", 0.0013926184},
	{"exp2C1", 0.693147182},
	{"exp2C2", 0.240226507},
	{"exp2C3", 0.0555035695},
	{"exp2C4", 0.00961808208},
	{"exp2C5", 0.00133908866},
	{"exp2C6", 0.000154531823},
	{"flush", -126},
	{"exp2Min", -127},
	{"sign", float32(math.Copysign(0, -1))},
	{"lowest", float32(math.Inf(-1))},
	{"two", 2},
	{"erfSplit", 0.875},
	{"erfS0", 1.1283791065216064},
	{"erfS1", -0.3761255443096161},
	{"erfS2", 0.11282496899366379},
	{"erfS3", -0.026792947202920914},
	{"erfS4", 0.005034370813518763},
	{"erfS5", -0.0006214585155248642},
	{"erfMax", 3.95},
	{"erfL0", -1.1286982297897339},
	{"erfL1", -0.6349186301231384},
	{"erfL2", -0.10666996985673904},
	{"erfL3", 0.024172453209757805},
	{"erfL4", -0.0038512577302753925},
	{"erfL5", 0.00037696384242735803},
	{"erfL6", -1.6840680473251268e-05},
	{"tanhSplit", 0.625},
	{"tanhS0", -0.333333283662796},
	{"tanhS1", 0.1333276927471161},
	{"tanhS2", -0.05385090783238411},
	{"tanhS3", 0.020997179672122},
	{"tanhS4", -0.006096714176237583},
}

func emitConstants(a *asm) {
	// Each constant eight times, two to a word of 64 bits.
	a.line("")
	for i, c := range constants {
		b := uint64(math.Float32bits(c.value))
		for j := range 4 {
			a.line(fmt.Sprintf("DATA ·vecConsts+%d(SB)/8, $0x%016x", 32*i+8*j, b<<32|b))
		}
	}
	a.line(fmt.Sprintf("GLOBL ·vecConsts(SB), RODATA|NOPTR, $%d", 32*len(constants)))
}

func constantAt(name string) string {
	for i, c := range constants {
		if c.name == name {
			return fmt.Sprintf("·vecConsts+%d(SB)", 32*i)
		}
	}
	panic("asmgen: no constant " + name)
}

// code emits instructions for one width and hands out its registers: low ones
// by number to the body, high ones to constants, which stay in a register with
// 512 bits and, unless they must not, are memory operands with 256.
type code struct {
	*asm
	v    vector
	next int // next register from the top
	held map[string]int
}

// The top register is the first to be given to a constant or an argument; the
// body numbers its own from 0.
func newCode(a *asm, v vector) *code {
	return &code{asm: a, v: v, next: v.count - 1, held: map[string]int{}}
}

func (c *code) r(i int) string { return c.v.r(i) }

// top takes a register from the top.
// r panics where both meet.
func (c *code) top() int {
	c.next--
	return c.next + 1
}

// hold loads constants into registers, ahead of the loop.
//
// They are read once a call and not once a vector.
func (c *code) hold(names ...string) {
	for _, n := range names {
		c.held[n] = c.top()
		c.op("VBROADCASTSS %s, %s", constantAt(n), c.r(c.held[n]))
	}
}

// wants loads constants into registers where there are many of those.
//
// With 256 bits there are 16 registers and constants are operands in memory,
// which costs nothing: they are in L1 from the second vector on.
func (c *code) wants(names ...string) {
	if c.v.lanes == 16 {
		c.hold(names...)
	}
}

// k is a constant as an operand.
func (c *code) k(name string) string {
	if i, ok := c.held[name]; ok {
		return c.r(i)
	}
	if c.v.lanes == 16 {
		// With 512 bits an operand in memory would have to be 64 bytes long, so
		// constants must have been held.
		panic("asmgen: constant is not held: " + name)
	}
	return constantAt(name)
}

// three emits name src2, src1, dst with registers given by number.
//
// For a subtraction or division that is src1 - src2, src1 / src2.
func (c *code) three(name string, src2, src1, dst int) {
	c.op("%s %s, %s, %s", name, c.r(src2), c.r(src1), c.r(dst))
}

func (c *code) mul(x, y, to int) { c.three("VMULPS", x, y, to) }
func (c *code) add(x, y, to int) { c.three("VADDPS", x, y, to) }

// sub computes to = x - y.
func (c *code) sub(x, y, to int) { c.three("VSUBPS", y, x, to) }

// fma computes to += x·y.
func (c *code) fma(x, y, to int) { c.three("VFMADD231PS", x, y, to) }

func (c *code) move(from, to int) { c.op("VMOVAPS %s, %s", c.r(from), c.r(to)) }

// lanewise is a function of n elements. Its arguments are pointers, n, floats,
// and possibly a float result.
//
// One description gives both widths, and the loop around the body with it:
// unrolled turns, single vectors, and a masked step for the last few elements.
type lanewise struct {
	name     string
	pointers string // names, "y x"
	floats   string
	result   bool
	// A loop that is bound by loads and stores gains by unrolling; one with a
	// long body does not.
	unroll int // vectors a turn of the main loop; 1 if 0
	setup  func(e *elements)
	step   func(e *elements)
	finish func(e *elements)
}

// elements is what the body of a lanewise function works with.
type elements struct {
	*code
	ptr    map[string]string
	scalar map[string]int // registers of the broadcast floats
	u      int            // which vector of an unrolled turn
	masked bool
	mask   int
	retOff int
}

// A pointer stays in its register, since all of them are indexed by DX.
var pointerRegs = []string{"DI", "SI", "R8", "R9", "R10", "R11", "R12", "R13"}

func (l lanewise) emit(a *asm, v vector) {
	c := newCode(a, v)
	e := &elements{code: c, ptr: map[string]string{}, scalar: map[string]int{}}
	ptrs, floats := strings.Fields(l.pointers), strings.Fields(l.floats)
	sig, off := "(", 0
	for i, p := range ptrs {
		// Offsets follow Go's stack layout: arguments in order at their natural
		// alignment, the result on a multiple of eight.
		e.ptr[p] = pointerRegs[i]
		if sig += p; i < len(ptrs)-1 {
			sig += ", "
		}
		off += 8
	}
	sig += " unsafe.Pointer, n int"
	nOff := off
	off += 8
	for i, f := range floats {
		sep := ", "
		sig += sep + f
		if i == len(floats)-1 {
			sig += " float32"
		}
	}
	floatOff := off
	off += 4 * len(floats)
	sig += ")"
	if l.result {
		off = (off + 7) &^ 7
		e.retOff = off
		off += 4
		sig += " float32"
	}
	a.f(l.name+v.suffix, sig, off)
	for i, p := range ptrs {
		a.op("MOVQ %s+%d(FP), %s", p, 8*i, e.ptr[p])
	}
	a.op("MOVQ n+%d(FP), CX", nOff)
	for i, f := range floats {
		e.scalar[f] = c.top()
		a.op("VBROADCASTSS %s+%d(FP), %s", f, floatOff+4*i, c.r(e.scalar[f]))
	}
	// With 512 bits the mask is K1.
	if v.lanes == 8 {
		e.mask = c.top()
	}
	if l.setup != nil {
		l.setup(e)
	}
	// DX is the offset in bytes into all slices, CX the number of elements that
	// are left, less what the next turn takes.
	a.op("XORQ DX, DX")
	if u := max(1, l.unroll); u > 1 {
		a.op("SUBQ $%d, CX; JLT few", u*v.lanes)
		a.label("many")
		// u tells the body which vector of the turn it is: reductions have a
		// sum for each.
		for e.u = range u {
			l.step(e)
		}
		a.op("ADDQ $%d, DX; SUBQ $%d, CX; JGE many", u*v.bytes(), u*v.lanes)
		a.label("few")
		a.op("ADDQ $%d, CX", u*v.lanes)
		e.u = 0
	}
	a.op("SUBQ $%d, CX; JLT rest", v.lanes)
	a.label("loop")
	l.step(e)
	a.op("ADDQ $%d, DX; SUBQ $%d, CX; JGE loop", v.bytes(), v.lanes)
	a.label("rest")
	// Fewer than a vector are left. Masked lanes are not read and not written,
	// so that the slice's end may be the end of a page.
	a.op("ADDQ $%d, CX; JEQ done", v.lanes)
	if v.lanes == 16 {
		a.op("MOVQ $1, AX; SHLQ CX, AX; DECQ AX; KMOVW AX, K1")
	} else {
		a.op("NEGQ CX; LEAQ ·laneMasks+32(SB), AX; VMOVUPS (AX)(CX*4), %s", v.r(e.mask))
	}
	// u is 0 here: what is left goes into the first sum.
	e.masked = true
	l.step(e)
	a.label("done")
	if l.finish != nil {
		l.finish(e)
	}
	a.ret()
}

func (e *elements) addr(p string) string {
	if e.u > 0 {
		return fmt.Sprintf("%d(%s)(DX*1)", e.u*e.v.bytes(), e.ptr[p])
	}
	return fmt.Sprintf("(%s)(DX*1)", e.ptr[p])
}

// load reads a vector; masked lanes read as 0.
func (e *elements) load(p string, to int) {
	switch {
	case !e.masked:
		e.op("VMOVUPS %s, %s", e.addr(p), e.r(to))
	case e.v.lanes == 16:
		e.op("VMOVUPS.Z %s, K1, %s", e.addr(p), e.r(to))
	default:
		e.op("VMASKMOVPS %s, %s, %s", e.addr(p), e.r(e.mask), e.r(to))
	}
}

func (e *elements) store(from int, p string) {
	switch {
	case !e.masked:
		e.op("VMOVUPS %s, %s", e.r(from), e.addr(p))
	case e.v.lanes == 16:
		e.op("VMOVUPS %s, K1, %s", e.r(from), e.addr(p))
	default:
		e.op("VMASKMOVPS %s, %s, %s", e.r(from), e.r(e.mask), e.addr(p))
	}
}

// keep makes the masked lanes of a register 0.
//
// Masked lanes are read as 0, and most functions of 0 would not matter, as they
// are never stored. A sum is another matter: e^0 is 1.
func (e *elements) keep(reg int) {
	switch {
	case !e.masked:
	case e.v.lanes == 16:
		e.op("VMOVAPS.Z %[1]s, K1, %[1]s", e.r(reg))
	default:
		e.op("VANDPS %[1]s, %[2]s, %[2]s", e.r(e.mask), e.r(reg))
	}
}

// sums adds the first n registers and the lanes of the sum, and returns it.
//
// The tree is fixed by the number of sums and lanes, so that a result depends
// on the length and the instruction set alone.
func (e *elements) sums(n int) {
	for w := n / 2; w > 0; w /= 2 {
		for i := range w {
			e.add(i+w, i, i)
		}
	}
	e.fold("VADDPS")
}

// fold combines the lanes of register 0 and returns the result.
func (e *elements) fold(name string) {
	foldLanes(e.asm, e.v, name)
	e.op("VMOVSS X0, ret+%d(FP)", e.retOff)
}

// foldLanes combines the lanes of register 0 in its lowest.
//
// Halves are added until one lane is left.
func foldLanes(a *asm, v vector, name string) {
	if v.lanes == 16 {
		a.op("VEXTRACTF64X4 $1, Z0, Y1; %s Y1, Y0, Y0", name)
	}
	a.op("VEXTRACTF128 $1, Y0, X1; %s X1, X0, X0", name)
	a.op("VPERMILPS $0x0e, X0, X1; %s X1, X0, X0", name)
	a.op("VPERMILPS $0x01, X0, X1; %s X1, X0, X0", name)
}
