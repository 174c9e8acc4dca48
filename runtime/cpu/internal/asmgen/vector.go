package main

// emitAdamW emits the update of AdamW. Operations and their order are those
// of the portable twin, without fused multiply-adds, so bits agree.
//
// p, m and v are each read and written once: the update is bound by memory, so
// that a loop of one vector is enough. n is cut to whole vectors, and the twin
// does the rest.
//
//	m = β1·m + (1-β1)·g        v = β2·v + (1-β2)·g²
//	p = p·decay - rate·m / (sqrt(v)·root + eps)
//
//	with g = grad·scale, decay = 1 - lr·wd; root and rate have the bias corrections
func emitAdamW(a *asm) {
	for _, v := range []vector{v512, v256} {
		a.f("adamw"+v.suffix, "(p, grad, m, v unsafe.Pointer, n int, c *adamwScalars)", 48)
		a.op("MOVQ p+0(FP), DI; MOVQ grad+8(FP), SI; MOVQ m+16(FP), R8; MOVQ v+24(FP), R9; MOVQ n+32(FP), CX; MOVQ c+40(FP), AX")
		// The nine numbers are in a struct in this order. With 16 registers
		// they take the upper nine, and seven are left to work with.
		const decay, scale, beta1, rest1, beta2, rest2, root, eps, rate = 7, 8, 9, 10, 11, 12, 13, 14, 15
		for i := range 9 {
			a.op("VBROADCASTSS %d(AX), %s", 4*i, v.r(decay+i))
		}
		a.op("XORQ DX, DX; SUBQ $%d, CX; JLT done", v.lanes)
		a.label("loop")
		mul := func(x, y, to int) { a.op("VMULPS %s, %s, %s", v.r(x), v.r(y), v.r(to)) }
		add := func(x, y, to int) { a.op("VADDPS %s, %s, %s", v.r(x), v.r(y), v.r(to)) }
		// The gradient, scaled: by clipping and by the number of micro-batches.
		a.op("VMULPS (SI)(DX*1), %s, %s", v.r(scale), v.r(0))
		a.op("VMULPS (R8)(DX*1), %s, %s", v.r(beta1), v.r(1))
		mul(rest1, 0, 2)
		add(2, 1, 1)
		a.op("VMOVUPS %s, (R8)(DX*1)", v.r(1))
		// β2·v is taken before g is squared in place.
		a.op("VMULPS (R9)(DX*1), %s, %s", v.r(beta2), v.r(3))
		mul(0, 0, 0)
		mul(rest2, 0, 0)
		add(0, 3, 3)
		a.op("VMOVUPS %s, (R9)(DX*1)", v.r(3))
		// The root is of the new v.
		a.op("VSQRTPS %s, %s", v.r(3), v.r(3))
		mul(root, 3, 3)
		add(eps, 3, 3)
		// Both root and division are correctly rounded by IEEE 754, so that
		// they are the twin's.
		a.op("VDIVPS %s, %s, %s", v.r(3), v.r(1), v.r(1))
		mul(rate, 1, 1)
		// Decoupled decay (Loshchilov and Hutter 2019): the weight shrinks by
		// itself and not by way of the gradient.
		a.op("VMULPS (DI)(DX*1), %s, %s", v.r(decay), v.r(4))
		a.op("VSUBPS %s, %s, %s", v.r(1), v.r(4), v.r(4))
		a.op("VMOVUPS %s, (DI)(DX*1)", v.r(4))
		a.op("ADDQ $%d, DX; SUBQ $%d, CX; JGE loop", v.bytes(), v.lanes)
		a.label("done")
		a.ret()
	}
}

// emitSumSquares emits sums of squares in 16 lanes of float64: the square of
// a float32 is exact there, so all instruction sets give the same bits.
//
// Sixteen lanes are two registers of 512 bits or four of 256. Element i is in
// lane i mod 16 either way, and the portable twin does the same.
func emitSumSquares(a *asm) {
	for _, v := range []vector{v512, v256} {
		a.f("sumSquares"+v.suffix, "(x unsafe.Pointer, n int, lanes *[16]float64)", 24)
		a.op("MOVQ x+0(FP), SI; MOVQ n+8(FP), CX; MOVQ lanes+16(FP), DI")
		// A register of the width holds half as many float64 as float32.
		regs := 16 / (v.lanes / 2)
		for i := range regs {
			v.zero(a, i)
		}
		// Whole groups of 16 only; what is left goes to the lanes in Go.
		a.op("SUBQ $16, CX; JLT done")
		a.label("loop")
		for i := range regs {
			a.op("VCVTPS2PD %d(SI), %s", i*v.bytes()/2, v.r(regs+i))
		}
		for i := range regs {
			a.op("VFMADD231PD %[1]s, %[1]s, %[2]s", v.r(regs+i), v.r(i))
		}
		a.op("ADDQ $64, SI; SUBQ $16, CX; JGE loop")
		a.label("done")
		for i := range regs {
			a.op("VMOVUPD %s, %d(DI)", v.r(i), i*v.bytes())
		}
		a.ret()
	}
}

// emitPeaks emits loops of independent fused multiply-adds.
//
// The latency of a multiply-add times what starts in a cycle is eight or ten on
// most processors; 24 and 12 chains are more than that, and fit in the
// registers beside the two operands.
func emitPeaks(a *asm) {
	for _, p := range []struct {
		v    vector
		sums int
	}{{v512, 24}, {v256, 12}} {
		a.f("fmaPeak"+p.v.suffix, "(n int)", 8)
		a.op("MOVQ n+0(FP), CX")
		// All operands are zero: the time does not depend on values.
		for i := range p.sums + 2 {
			p.v.zero(a, i)
		}
		a.op("PCALIGN $32")
		a.label("loop")
		for i := range p.sums {
			a.op("VFMADD231PS %s, %s, %s", p.v.r(p.sums), p.v.r(p.sums+1), p.v.r(i))
		}
		a.op("DECQ CX; JNE loop")
		a.ret()
	}
}
