package main

// specialFuncs are the loops of vec_special.go.
//
// Additions and products take two vectors a turn. Division and root are bound
// by one unit of the processor, which unrolling does not make faster, and erf
// and tanh have enough to do in one vector.
var specialFuncs = []lanewise{
	{name: "vecSub", pointers: "y a b", unroll: 2, step: func(e *elements) {
		e.load("a", 0)
		e.load("b", 1)
		e.sub(0, 1, 0)
		e.store(0, "y")
	}},
	{name: "vecDiv", pointers: "y a b", step: func(e *elements) {
		e.load("a", 0)
		e.load("b", 1)
		e.three("VDIVPS", 1, 0, 0)
		e.store(0, "y")
	}},
	{name: "vecShift", pointers: "y x", floats: "s", unroll: 2, step: func(e *elements) {
		e.load("x", 0)
		e.add(0, e.scalar["s"], 0)
		e.store(0, "y")
	}},
	{name: "vecSqrt", pointers: "y x", step: func(e *elements) {
		e.load("x", 0)
		e.op("VSQRTPS %[1]s, %[1]s", e.r(0))
		e.store(0, "y")
	}},
	{name: "vecRecip", pointers: "y x", setup: func(e *elements) { e.hold("one") }, step: func(e *elements) {
		e.load("x", 0)
		e.three("VDIVPS", 0, e.held["one"], 0)
		e.store(0, "y")
	}},
	{name: "vecRelu", pointers: "y x", unroll: 2, setup: func(e *elements) { e.v.zero(e.asm, 1) }, step: func(e *elements) {
		e.load("x", 0)
		e.three("VMAXPS", 0, 1, 0) // the order of operands lets NaN through
		e.store(0, "y")
	}},
	// Both forms are computed for every lane and one is chosen: there are no
	// branches by lane, and the other form's result, even if it is nonsense
	// there, is dropped.
	{name: "vecErf", pointers: "y x", setup: func(e *elements) {
		holdExp(e)
		e.hold("sign", "erfSplit", "erfMax")
		e.wants("erfL0", "erfL1", "erfL2", "erfL3", "erfL4", "erfL5", "erfL6")
	}, step: func(e *elements) {
		// Registers 0 to 3 are exp's, which consumes its argument.
		sign, t, s, near := 5, 6, 7, 8
		e.load("x", 0)
		magnitude(e.code, 0, sign, t)
		// Near 0: x times a polynomial in x².
		e.mul(t, t, s)
		poly(e.code, s, near, "erfS5", "erfS4", "erfS3", "erfS2", "erfS1", "erfS0")
		e.mul(near, t, near)
		// Elsewhere: 1 - e^(t·L(t)), with t held at a point from where the
		// result is 1.
		e.three("VMINPS", t, e.held["erfMax"], 0)
		poly(e.code, 0, 4, "erfL6", "erfL5", "erfL4", "erfL3", "erfL2", "erfL1", "erfL0")
		e.mul(4, 0, 0)
		exp(e.code, 0, 1, 2, 3)
		e.op("VMOVUPS %s, %s", e.k("one"), e.r(0))
		e.sub(0, 3, 3)
		chooseBelow(e.code, t, e.held["erfSplit"], near, 3, 0)
		signed(e.code, sign, 3)
		e.store(3, "y")
	}},
	// Near 0 as x + x·x²·p(x²), so that small x keep all their bits.
	{name: "vecTanh", pointers: "y x", setup: func(e *elements) {
		holdExp(e)
		e.hold("sign", "tanhSplit")
		e.wants("two", "tanhS0", "tanhS1", "tanhS2", "tanhS3", "tanhS4")
	}, step: func(e *elements) {
		sign, t, s, near := 5, 6, 7, 8
		e.load("x", 0)
		magnitude(e.code, 0, sign, t)
		e.mul(t, t, s)
		poly(e.code, s, near, "tanhS4", "tanhS3", "tanhS2", "tanhS1", "tanhS0")
		e.mul(near, s, s)
		e.move(t, near)
		e.fma(s, t, near)
		// Elsewhere: 1 - 2/(e^(2t) + 1). An overflow of e^(2t) gives 1, as it
		// should.
		e.add(t, t, 0)
		exp(e.code, 0, 1, 2, 3)
		e.op("VMOVUPS %s, %s", e.k("one"), e.r(0))
		e.add(3, 0, 3)
		e.op("VMOVUPS %s, %s", e.k("two"), e.r(1))
		e.three("VDIVPS", 3, 1, 3)
		e.sub(0, 3, 3)
		chooseBelow(e.code, t, e.held["tanhSplit"], near, 3, 0)
		signed(e.code, sign, 3)
		e.store(3, "y")
	}},
}

// magnitude parts x into its sign bit and |x|.
//
// The functions are odd, so they are computed of |x| and get x's sign at the
// end. NaN keeps its bits but for the sign.
func magnitude(c *code, x, sign, abs int) {
	and, xor := "VANDPS", "VXORPS"
	if c.v.lanes == 16 {
		and, xor = "VPANDD", "VPXORD" // the others need more than AVX512F
	}
	c.three(and, x, c.held["sign"], sign)
	c.three(xor, x, sign, abs)
}

// signed puts a sign bit on y, which has none.
//
// An or is enough.
func signed(c *code, sign, y int) {
	or := "VORPS"
	if c.v.lanes == 16 {
		or = "VPORD"
	}
	c.three(or, sign, y, y)
}

// chooseBelow makes y near where t is below the limit; NaN is not. The scratch
// register holds the mask of 256 bits.
//
// Predicate 1 is "less than", false for NaN, which so takes the other form and
// comes out as NaN.
func chooseBelow(c *code, t, limit, near, y, scratch int) {
	if c.v.lanes == 16 {
		c.op("VCMPPS $1, %s, %s, K2", c.r(limit), c.r(t))
		c.op("VBLENDMPS %s, %s, K2, %s", c.r(near), c.r(y), c.r(y))
		return
	}
	c.op("VCMPPS $1, %s, %s, %s", c.r(limit), c.r(t), c.r(scratch))
	c.op("VBLENDVPS %s, %s, %s, %s", c.r(scratch), c.r(near), c.r(y), c.r(y))
}
