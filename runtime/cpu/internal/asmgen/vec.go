package main

import "slices"

// emitVec emits the inner loops of the model's kernels: vec.go has their
// portable twins and says what each computes.
//
// Operands may be each other, since an element is read before it is written.
func emitVec(a *asm) {
	emitConstants(a)
	for _, l := range slices.Concat(lanewiseFuncs, specialFuncs) {
		for _, v := range []vector{v512, v256} {
			l.emit(a, v)
		}
	}
	for _, v := range []vector{v512, v256} {
		emitRopePairs(a, v)
		emitRopeHalf(a, v)
	}
}

// The table's rows: name, pointers in the order of arguments, and what one
// vector of elements takes. Registers are given by number and are the body's
// own.
var lanewiseFuncs = []lanewise{
	{name: "vecAdd", pointers: "y a b", unroll: 2, step: func(e *elements) {
		e.load("a", 0)
		e.load("b", 1)
		e.add(0, 1, 0)
		e.store(0, "y")
	}},
	{name: "vecMul", pointers: "y a b", unroll: 2, step: func(e *elements) {
		e.load("a", 0)
		e.load("b", 1)
		e.mul(0, 1, 0)
		e.store(0, "y")
	}},
	{name: "vecScale", pointers: "y x", floats: "s", unroll: 2, step: func(e *elements) {
		e.load("x", 0)
		e.mul(0, e.scalar["s"], 0)
		e.store(0, "y")
	}},
	// Four sums: each step needs two loads for one multiply-add, so that a new
	// one can start every cycle at best, and four chains cover its latency.
	{name: "vecDot", pointers: "x y", result: true, unroll: 4, setup: zeroSums, step: func(e *elements) {
		e.load("x", 4)
		e.load("y", 5)
		e.fma(4, 5, e.u)
	}, finish: func(e *elements) { e.sums(4) }},
	{name: "vecDot3", pointers: "a b c", result: true, unroll: 4, setup: zeroSums, step: func(e *elements) {
		e.load("a", 4)
		e.load("b", 5)
		e.load("c", 6)
		e.mul(4, 5, 4)
		e.fma(4, 6, e.u)
	}, finish: func(e *elements) { e.sums(4) }},
	{name: "vecMax", pointers: "x", result: true, unroll: 4, setup: func(e *elements) {
		e.hold("lowest")
		for i := range 4 {
			// Maxima start at -Inf, also of no elements.
			e.move(e.held["lowest"], i)
		}
	}, step: vecMaxStep, finish: func(e *elements) {
		// The first fold is written out, as a maximum is no addition.
		e.three("VMAXPS", 2, 0, 0)
		e.three("VMAXPS", 3, 1, 1)
		e.three("VMAXPS", 1, 0, 0)
		e.fold("VMAXPS")
	}},
	// Exponentials have enough instructions a vector to be busy, and they
	// overlap with those of the next one.
	{name: "vecExp", pointers: "y x", setup: holdExp, step: func(e *elements) {
		e.load("x", 0)
		exp(e.code, 0, 1, 2, 3)
		e.store(3, "y")
	}},
	{name: "vecSigmoid", pointers: "y x", setup: holdSigmoid, step: func(e *elements) {
		e.load("x", 0)
		sigmoid(e.code, 0, 1, 2, 3)
		e.store(3, "y")
	}},
	{name: "vecSilu", pointers: "y x", setup: holdSigmoid, step: func(e *elements) {
		// The body of exp consumes its argument: x is kept for the product.
		e.load("x", 4)
		e.move(4, 0)
		sigmoid(e.code, 0, 1, 2, 3)
		e.mul(3, 4, 3)
		e.store(3, "y")
	}},
	// The maximum is subtracted first, so that no result exceeds 1. The sum is
	// of the rounded results, those that are stored.
	{name: "vecExpSum", pointers: "y x", floats: "m", result: true, setup: func(e *elements) {
		holdExp(e)
		e.v.zero(e.asm, 4)
	}, step: func(e *elements) {
		e.load("x", 0)
		e.sub(0, e.scalar["m"], 0)
		exp(e.code, 0, 1, 2, 3)
		e.store(3, "y")
		// Masked lanes hold e^(0 - m) by now.
		e.keep(3)
		e.add(3, 4, 4)
	}, finish: func(e *elements) {
		e.move(4, 0)
		e.sums(1)
	}},
	// g·sigmoid(g)·u, with nothing stored in between.
	{name: "vecSwiGLU", pointers: "m gate up", setup: holdSigmoid, step: func(e *elements) {
		e.load("gate", 4)
		e.move(4, 0)
		sigmoid(e.code, 0, 1, 2, 3)
		e.mul(3, 4, 3)
		e.load("up", 4)
		e.mul(3, 4, 3)
		e.store(3, "m")
	}},
	// dm is read before du is written, as they may be the same slice.
	{name: "vecSwiGLUGrad", pointers: "dg du dm gate up", setup: holdSigmoid, step: func(e *elements) {
		e.load("gate", 4)
		e.load("dm", 5)
		e.move(4, 0)
		sigmoid(e.code, 0, 1, 2, 3)
		e.mul(3, 4, 4) // g·s
		e.load("up", 1)
		e.mul(5, 1, 1) // dm·u
		e.mul(4, 5, 5)
		e.store(5, "du")
		e.sub(e.held["one"], 3, 0)
		e.fma(4, 0, 3) // s + g·s·(1-s)
		e.mul(1, 3, 3)
		e.store(3, "dg")
	}},
	// (x·r)·w, in the order of the twin.
	{name: "vecNorm", pointers: "y x w", floats: "r", step: func(e *elements) {
		e.load("x", 0)
		e.load("w", 1)
		e.mul(0, e.scalar["r"], 0)
		e.mul(0, 1, 0)
		e.store(0, "y")
	}},
	// The factor of the row, r, is 1 over its root mean square.
	{name: "vecNormGradW", pointers: "dw dy x", floats: "r", step: func(e *elements) {
		e.load("x", 0)
		e.load("dy", 1)
		e.load("dw", 2)
		e.mul(0, e.scalar["r"], 0)
		e.fma(0, 1, 2)
		e.store(2, "dw")
	}},
	{name: "vecNormGradX", pointers: "dx dy x w", floats: "r c", step: func(e *elements) {
		normGradX(e)
		e.store(0, "dx")
	}},
	{name: "vecNormGradXRes", pointers: "dx dy x w res", floats: "r c", step: func(e *elements) {
		normGradX(e)
		e.load("res", 1)
		e.add(0, 1, 0)
		e.store(0, "dx")
	}},
}

func zeroSums(e *elements) {
	for i := range 4 {
		e.v.zero(e.asm, i)
	}
}

// vecMaxStep keeps what masked lanes hold: they are loaded as the maximum so
// far.
//
// Zero would be wrong for them: all elements may be negative.
func vecMaxStep(e *elements) {
	switch {
	case !e.masked:
		e.load("x", 4)
	case e.v.lanes == 16:
		e.move(0, 4)
		e.op("VMOVUPS %s, K1, %s", e.addr("x"), e.r(4))
	default:
		e.load("x", 4)
		e.op("VBLENDVPS %s, %s, %s, %s", e.r(e.mask), e.r(4), e.r(0), e.r(4))
	}
	e.three("VMAXPS", 4, e.u, e.u)
}

// normGradX computes r·w·dy - c·x in register 0.
//
// r is 1 over the root mean square of the row, c gathers what the row's other
// elements contribute (rmsnorm.go).
func normGradX(e *elements) {
	e.load("w", 0)
	e.load("dy", 1)
	e.load("x", 2)
	e.mul(0, 1, 0)
	e.mul(0, e.scalar["r"], 0)
	e.three("VFNMADD231PS", 2, e.scalar["c"], 0)
}

// The functions below work on registers given by number: x is consumed, t and
// n are scratch, p is the result.

func holdExp(e *elements) {
	e.hold("expMax", "expMin")
	e.wants("log2e", "ln2hi", "ln2lo", "expC2", "expC3", "expC4", "expC5", "expC6", "one")
}

// exp is e^x, as exp32 of vec.go.
//
// The range is reduced as by Cody and Waite: x = n·ln2 + r, with ln2 in two
// parts of which n times the first is exact, so that r keeps its bits. A
// polynomial gives e^r and the exponent is raised by n.
func exp(c *code, x, t, n, p int) {
	// Clamped to where the result is +Inf or 0 for certain.
	// The order of operands lets NaN through.
	c.three("VMINPS", x, c.held["expMax"], x)
	c.three("VMAXPS", x, c.held["expMin"], x)
	// With 512 bits there is an instruction that rounds. With 256, adding
	// 1.5·2^23 leaves no bits behind the point; subtracting it again gives the
	// integer as a float, while t has it in its low bits.
	if c.v.lanes == 16 {
		c.op("VMULPS %s, %s, %s", c.k("log2e"), c.r(x), c.r(n))
		c.op("VRNDSCALEPS $8, %s, %s", c.r(n), c.r(n))
	} else {
		c.op("VMOVUPS %s, %s", c.k("magic"), c.r(t))
		c.op("VFMADD231PS %s, %s, %s", c.k("log2e"), c.r(x), c.r(t))
		c.op("VSUBPS %s, %s, %s", c.k("magic"), c.r(t), c.r(n))
	}
	c.op("VFNMADD231PS %s, %s, %s", c.k("ln2hi"), c.r(n), c.r(x))
	c.op("VFNMADD231PS %s, %s, %s", c.k("ln2lo"), c.r(n), c.r(x))
	poly(c, x, p, "expC6", "expC5", "expC4", "expC3", "expC2", "one", "one")
	// The exponent is added by an instruction that overflows and underflows as
	// it should.
	if c.v.lanes == 16 {
		c.three("VSCALEFPS", n, p, p)
		return
	}
	// n may be below what one exponent can say, down to results that are not
	// normal numbers: half of it is multiplied in first.
	// 2^n in two factors.
	c.op("VPSUBD %s, %s, %s", c.k("magic"), c.r(t), c.r(t))
	c.op("VPSRAD $1, %s, %s", c.r(t), c.r(n))
	c.three("VPSUBD", n, t, t)
	for _, i := range []int{n, t} {
		c.op("VPSLLD $23, %[1]s, %[1]s", c.r(i))
		// 127, the exponent of 1, in its place.
		c.op("VPADDD %[1]s, %[2]s, %[2]s", c.k("one"), c.r(i))
		c.mul(i, p, p)
	}
}

// poly evaluates a polynomial in x, the highest coefficient first. Those that
// are not held are read, and broadcast where the table is too narrow.
//
// Horner's rule: the fewest instructions, each fused.
func poly(c *code, x, p int, first string, rest ...string) {
	held := func(name string) bool { _, ok := c.held[name]; return ok || c.v.lanes == 8 }
	if held(first) {
		c.op("VMOVUPS %s, %s", c.k(first), c.r(p))
	} else {
		c.op("VBROADCASTSS %s, %s", constantAt(first), c.r(p))
	}
	for _, name := range rest {
		if held(name) {
			c.op("VFMADD213PS %s, %s, %s", c.k(name), c.r(x), c.r(p))
		} else {
			c.op("VFMADD213PS.BCST %s, %s, %s", constantAt(name), c.r(x), c.r(p))
		}
	}
}

func holdSigmoid(e *elements) {
	e.hold("one")
	e.hold("expMax", "expMin")
	e.wants("log2e", "ln2hi", "ln2lo", "expC2", "expC3", "expC4", "expC5", "expC6", "sign")
}

// sigmoid is 1/(1+e^-x).
//
// For large -x the exponential is +Inf and the result 0; for NaN it is NaN.
func sigmoid(c *code, x, t, n, p int) {
	xor := "VXORPS"
	if c.v.lanes == 16 {
		xor = "VPXORD"
	}
	c.op("%s %s, %s, %s", xor, c.k("sign"), c.r(x), c.r(x))
	exp(c, x, t, n, p)
	c.add(p, c.held["one"], p)
	c.three("VDIVPS", p, c.held["one"], p)
}

func holdExp2(c *code) {
	c.wants("exp2C1", "exp2C2", "exp2C3", "exp2C4", "exp2C5", "exp2C6", "one", "flush")
}

// exp2 is 2^x with results below the normal numbers flushed to 0, as exp2Neg
// of vec.go.
//
// Attention only asks for x <= 0, or little above. Numbers that are not normal
// are slow on some processors, and so small that a softmax does not see them.
func exp2(c *code, x, t, n, p int) {
	if c.v.lanes == 16 {
		c.note("K2: x is not below -126, or NaN.")
		// Predicate 5 is "not less than": true for NaN, which must not be
		// flushed. K2 zeroes the other lanes when the result is scaled.
		c.op("VCMPPS $5, %s, %s, K2", c.k("flush"), c.r(x))
		c.op("VRNDSCALEPS $8, %s, %s", c.r(x), c.r(n))
		c.sub(x, n, x)
		poly(c, x, p, "exp2C6", "exp2C5", "exp2C4", "exp2C3", "exp2C2", "exp2C1", "one")
		c.op("VSCALEFPS.Z %[1]s, %[2]s, K2, %[2]s", c.r(n), c.r(p))
		return
	}
	// At -127 the exponent's bits are 0, and so is the factor.
	c.op("VMOVUPS %s, %s", constantAt("exp2Min"), c.r(t))
	c.three("VMAXPS", x, t, x)
	c.op("VADDPS %s, %s, %s", c.k("magic"), c.r(x), c.r(t))
	c.op("VSUBPS %s, %s, %s", c.k("magic"), c.r(t), c.r(n))
	c.sub(x, n, x)
	poly(c, x, p, "exp2C6", "exp2C5", "exp2C4", "exp2C3", "exp2C2", "exp2C1", "one")
	c.op("VPSLLD $23, %[1]s, %[1]s", c.r(t))
	c.op("VPADDD %[1]s, %[2]s, %[2]s", c.k("one"), c.r(t))
	c.mul(t, p, p)
}

// emitRopePairs emits the rotation of the pairs (2i, 2i+1) of heads heads of
// hd elements, a multiple of the lanes.
//
// A row of heads has one position, so all heads take the same row of the
// tables.
//
//	BX  offset into the tables, DX into the head: twice as fast
func emitRopePairs(a *asm, v vector) {
	a.f("vecRopePairs"+v.suffix, "(y, x, cos, sin unsafe.Pointer, hd, heads int, sign float32)", 52)
	c := newCode(a, v)
	half, wide := "X", v.r(0)[:1]
	if v.lanes == 16 {
		half = "Y"
	}
	a.op("MOVQ y+0(FP), DI; MOVQ x+8(FP), SI; MOVQ cos+16(FP), R8; MOVQ sin+24(FP), R9")
	a.op("MOVQ hd+32(FP), R10; MOVQ heads+40(FP), CX; VBROADCASTSS sign+48(FP), %s; SHLQ $2, R10", c.r(6))
	a.op("TESTQ CX, CX; JLE done")
	a.label("head")
	a.op("XORQ DX, DX; XORQ BX, BX")
	a.label("loop")
	// Zero-extending to 64 bits puts each number into the low half of a pair,
	// and MOVSLDUP copies it to the high half.
	a.note("Each cosine and sine in both lanes of its pair.")
	a.op("VMOVUPS (R8)(BX*1), %[1]s0; VPMOVZXDQ %[1]s0, %[2]s0; VMOVSLDUP %[2]s0, %[2]s0", half, wide)
	a.op("VMOVUPS (R9)(BX*1), %[1]s1; VPMOVZXDQ %[1]s1, %[2]s1; VMOVSLDUP %[2]s1, %[2]s1", half, wide)
	a.op("VMULPS %[1]s6, %[1]s1, %[1]s1", wide)
	// Immediate 0xb1 exchanges the two of each pair.
	a.op("VMOVUPS (SI)(DX*1), %[1]s2; VPERMILPS $0xb1, %[1]s2, %[1]s3; VMULPS %[1]s1, %[1]s3, %[1]s3", wide)
	a.note("Even lanes subtract, odd lanes add.")
	a.op("VFMADDSUB213PS %[1]s3, %[1]s0, %[1]s2; VMOVUPS %[1]s2, (DI)(DX*1)", wide)
	a.op("ADDQ $%d, BX; ADDQ $%d, DX; CMPQ DX, R10; JLT loop", v.bytes()/2, v.bytes())
	a.op("ADDQ R10, SI; ADDQ R10, DI; DECQ CX; JNE head")
	a.label("done")
	a.ret()
}

// emitRopeHalf emits the rotation of the pairs (i, i+hd/2); hd/2 is a multiple
// of the lanes.
//
// Both halves of a head are read at the same offset, through two pointers each
// for x and y, and both before either is written: y may be x.
func emitRopeHalf(a *asm, v vector) {
	a.f("vecRopeHalf"+v.suffix, "(y, x, cos, sin unsafe.Pointer, hd, heads int, sign float32)", 52)
	w := v.r(0)[:1]
	a.op("MOVQ y+0(FP), DI; MOVQ x+8(FP), SI; MOVQ cos+16(FP), R8; MOVQ sin+24(FP), R9")
	a.op("MOVQ hd+32(FP), R10; MOVQ heads+40(FP), CX; VBROADCASTSS sign+48(FP), %s; SHLQ $1, R10", v.r(6))
	a.op("TESTQ CX, CX; JLE done")
	a.label("head")
	a.op("XORQ DX, DX; LEAQ (SI)(R10*1), R11; LEAQ (DI)(R10*1), R12")
	a.label("loop")
	a.op("VMOVUPS (R8)(DX*1), %[1]s0; VMULPS (R9)(DX*1), %[1]s6, %[1]s1", w)
	a.op("VMOVUPS (SI)(DX*1), %[1]s2; VMOVUPS (R11)(DX*1), %[1]s3", w)
	a.op("VMULPS %[1]s2, %[1]s0, %[1]s4; VFNMADD231PS %[1]s3, %[1]s1, %[1]s4; VMOVUPS %[1]s4, (DI)(DX*1)", w)
	a.op("VMULPS %[1]s3, %[1]s0, %[1]s4; VFMADD231PS %[1]s2, %[1]s1, %[1]s4; VMOVUPS %[1]s4, (R12)(DX*1)", w)
	a.op("ADDQ $%d, DX; CMPQ DX, R10; JLT loop", v.bytes())
	a.op("LEAQ (SI)(R10*2), SI; LEAQ (DI)(R10*2), DI; DECQ CX; JNE head")
	a.label("done")
	a.ret()
}
