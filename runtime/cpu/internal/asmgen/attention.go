package main

import "fmt"

// emitAttention emits the products and the softmax of attention's tiles;
// attention_tile.go has their portable twins and says what each computes.
func emitAttention(a *asm) {
	for _, v := range []vector{v512, v256} {
		emitTileMul(a, v)
		emitSoftmaxTile(a, v)
		emitGradTile(a, v)
		emitRowDots(a, v)
	}
	// One instruction for each line of 64 bytes, into L2: the data is wanted
	// soon and not at once.
	a.f("prefetch", "(x unsafe.Pointer, bytes int)", 16)
	a.op("MOVQ x+0(FP), SI; MOVQ bytes+8(FP), CX; ADDQ SI, CX")
	a.label("loop")
	a.op("PREFETCHT1 (SI); ADDQ $64, SI; CMPQ SI, CX; JLT loop; RET")
}

// emitTileMul emits C = A·B or C += A·B with A read one element at a time, at
// any two strides, for n a multiple of 16 and m, n, k above 0. Columns are
// taken a panel at a time, and in each panel some rows at a time, with one
// accumulator a row and vector; what is left of the rows goes one by one.
//
// An element of C has one accumulator, started from 0 or from C, that goes over
// k in order. How columns are cut into panels, and rows into groups, changes
// nothing in it.
//
//	DI  C        R8   distance of rows of C, in bytes
//	SI  A        R9   of rows of A, R12 three times that, R10 of its columns
//	DX  B        R11  of rows of B
//	R15 rows that are left
func emitTileMul(a *asm, v vector) {
	a.f("tileMul"+v.suffix, "(c unsafe.Pointer, ldc int, a unsafe.Pointer, ars, aks int, b unsafe.Pointer, ldb, m, n, k, add int)", 88)
	a.op("MOVQ ldc+8(FP), R8; MOVQ ars+24(FP), R9; MOVQ aks+32(FP), R10; MOVQ ldb+48(FP), R11")
	a.op("SHLQ $2, R8; SHLQ $2, R9; SHLQ $2, R10; SHLQ $2, R11; LEAQ (R9)(R9*2), R12")
	// Accumulators are vectors × rows: 16 at most of 32, or 8 of 16, and what a
	// step reads fits beside them. Narrow panels take more rows, or else there
	// would be too few independent chains to hide the latency of a
	// multiply-add. With 256 bits two vectors are 16 columns, of which n is a
	// multiple, so that no other panel is needed.
	panels := []struct{ vectors, rows int }{{4, 4}, {3, 4}, {2, 8}, {1, 8}}
	if v.lanes == 8 {
		panels = []struct{ vectors, rows int }{{2, 4}}
	}
	for _, p := range panels {
		name := fmt.Sprintf("p%d", p.vectors)
		a.label("%s", name)
		a.op("CMPQ n+64(FP), $%d; JLT %send", p.vectors*v.lanes, name)
		// c, b and n move on in their places on the stack, as there is no
		// register left for them over the whole function.
		a.op("MOVQ c+0(FP), DI; MOVQ a+16(FP), SI; MOVQ b+40(FP), DX; MOVQ m+56(FP), R15")
		a.op("SUBQ $%d, R15; JLT %sfew", p.rows, name)
		a.label("%srows", name)
		tileRows(a, v, p.vectors, p.rows, name+"many")
		a.op("SUBQ $%d, R15; JGE %srows", p.rows, name)
		a.label("%sfew", name)
		a.op("ADDQ $%d, R15; JEQ %snext", p.rows, name)
		a.label("%sone", name)
		tileRows(a, v, p.vectors, 1, name+"single")
		a.op("DECQ R15; JNE %sone", name)
		a.label("%snext", name)
		a.op("ADDQ $%[1]d, c+0(FP); ADDQ $%[1]d, b+40(FP); SUBQ $%[2]d, n+64(FP)", p.vectors*v.bytes(), p.vectors*v.lanes)
		a.op("JMP %s", name)
		a.label("%send", name)
	}
	a.ret()
}

// tileRows computes rows × vectors of C at DI from A at SI and B at DX, and
// steps DI and SI on.
//
// AX and BX walk along k; R13, where there are more than four rows, is the
// second base of A's rows.
func tileRows(a *asm, v vector, vectors, rows int, name string) {
	acc := func(r, i int) string { return v.r(r*vectors + i) }
	b := func(i int) string { return v.r(rows*vectors + i) }
	x := v.r(v.count - 1)
	// The flag is tested once for a group of rows; it is the same for the whole
	// call.
	a.op("CMPQ add+80(FP), $0; JNE %sload", name)
	for r := range rows * vectors {
		v.zero(a, r)
	}
	a.op("JMP %sgo", name)
	a.label("%sload", name)
	a.op("MOVQ DI, CX")
	for r := range rows {
		for i := range vectors {
			a.op("VMOVUPS %d(CX), %s", i*v.bytes(), acc(r, i))
		}
		if r < rows-1 {
			a.op("ADDQ R8, CX")
		}
	}
	a.label("%sgo", name)
	a.op("MOVQ SI, AX; MOVQ DX, BX; MOVQ k+72(FP), CX")
	if rows > 4 {
		a.op("LEAQ (AX)(R9*4), R13")
	}
	// Decoders and instruction caches work on aligned blocks; the loop is short
	// enough for it to matter where it begins.
	a.op("PCALIGN $32")
	a.label("%s", name)
	for i := range vectors {
		a.op("VMOVUPS %d(BX), %s", i*v.bytes(), b(i))
	}
	for r := range rows {
		from := rowOf(r, "AX", "R13", "R9", "R12")
		// A broadcast that only one multiply needs is an operand of it: one
		// instruction and one register less.
		if vectors == 1 && v.lanes == 16 {
			a.op("VFMADD231PS.BCST %s, %s, %s", from, b(0), acc(r, 0))
			continue
		}
		// One broadcast serves all vectors of its row.
		a.op("VBROADCASTSS %s, %s", from, x)
		for i := range vectors {
			a.op("VFMADD231PS %s, %s, %s", b(i), x, acc(r, i))
		}
	}
	a.op("ADDQ R10, AX; ADDQ R11, BX")
	// The second base of rows follows the first.
	if rows > 4 {
		a.op("ADDQ R10, R13")
	}
	a.op("DECQ CX; JNE %s", name)
	for r := range rows {
		for i := range vectors {
			a.op("VMOVUPS %s, %d(DI)", acc(r, i), i*v.bytes())
		}
		a.op("ADDQ R8, DI")
	}
	// On by the rows that are done, with the scales that an address has.
	switch rows {
	case 1:
		a.op("ADDQ R9, SI")
	case 4:
		a.op("LEAQ (SI)(R9*4), SI")
	case 8:
		a.op("LEAQ (SI)(R9*8), SI")
	}
}

// A tile is 64 queries wide, whatever the number that is in use.
// tileStride is the distance in bytes between rows of a tile of scores.
const tileStride = 64 * 4

// emitSoftmaxTile emits one step of the running softmax of 16 queries, in
// columns of as many as a vector holds.
//
// Queries lie along the lanes, so that maximum and sum over keys are plain
// vector instructions and nothing is shuffled. Scores are in units of log2
// (scale·log2(e) was put into q), which makes 2^x do for e^x.
func emitSoftmaxTile(a *asm, v vector) {
	a.f("softmaxTile"+v.suffix, "(s unsafe.Pointer, rows int, m, sum, alpha unsafe.Pointer)", 40)
	c := newCode(a, v)
	holdExp2(c)
	a.op("MOVQ s+0(FP), DI; MOVQ m+16(FP), SI; MOVQ sum+24(FP), R8; MOVQ alpha+32(FP), R9")
	// Numbers of registers. top is the new maximum, old the one before this
	// tile, add the sum of this tile.
	const top, old, add, x, t, n, p = 0, 1, 2, 3, 4, 5, 6
	for col := range 16 / v.lanes {
		at := col * v.bytes()
		// Both chains start at the old maximum: a tile whose scores are all
		// lower leaves it, and the maximum is never -Inf, against which nothing
		// could be subtracted.
		a.op("VMOVUPS %d(SI), %s", at, c.r(old))
		c.move(old, top)
		a.note("Two maxima at a time.")
		c.move(old, add)
		a.op("MOVQ DI, AX; MOVQ rows+8(FP), CX; SUBQ $2, CX; JLT max%done", col)
		a.label("max%d", col)
		a.op("VMAXPS %d(AX), %s, %s; VMAXPS %d(AX), %s, %s", at, c.r(top), c.r(top), at+tileStride, c.r(add), c.r(add))
		a.op("ADDQ $%d, AX; SUBQ $2, CX; JGE max%d", 2*tileStride, col)
		a.label("max%done", col)
		a.op("ADDQ $2, CX; JEQ max%dend", col)
		a.op("VMAXPS %d(AX), %s, %s", at, c.r(top), c.r(top))
		a.label("max%dend", col)
		c.three("VMAXPS", add, top, top)
		c.v.zero(a, add)
		// Second pass: the tile is still in L1.
		a.op("MOVQ DI, AX; MOVQ rows+8(FP), CX")
		a.label("exp%d", col)
		a.op("VMOVUPS %d(AX), %s", at, c.r(x))
		c.sub(x, top, x)
		exp2(c, x, t, n, p)
		a.op("VMOVUPS %s, %d(AX)", c.r(p), at)
		c.add(p, add, add)
		a.op("ADDQ $%d, AX; DECQ CX; JNE exp%d", tileStride, col)
		// What was summed before this tile counts 2^(old - top) from now on,
		// and so do the results: alpha is for absorb, which scales them.
		c.sub(old, top, x)
		exp2(c, x, t, n, p)
		a.op("VMOVUPS %s, %d(R9)", c.r(p), at)
		// sum·alpha + add.
		a.op("VFMADD231PS %d(R8), %s, %s; VMOVUPS %s, %d(R8)", at, c.r(p), c.r(add), c.r(add), at)
		a.op("VMOVUPS %s, %d(SI)", c.r(top), at)
	}
	a.ret()
}

// emitGradTile emits the probabilities of a tile and the gradient of its
// scores, for 16 queries.
//
// Of p = 2^(s - lse) and dp, which is read where it is then overwritten, it
// makes ds = p·(dp - delta)·scale. delta is the sum of do·o over a row, which
// is what the gradient of softmax subtracts.
func emitGradTile(a *asm, v vector) {
	a.f("gradTile"+v.suffix, "(s, dp unsafe.Pointer, rows int, lse, delta unsafe.Pointer, scale float32)", 44)
	c := newCode(a, v)
	holdExp2(c)
	// scale is an argument and takes a register from the top, behind the
	// constants.
	scale := c.top()
	a.op("VBROADCASTSS scale+40(FP), %s", c.r(scale))
	a.op("MOVQ s+0(FP), DI; MOVQ dp+8(FP), SI; MOVQ lse+24(FP), R8; MOVQ delta+32(FP), R9")
	const lse, delta, d, x, t, n, p = 0, 1, 2, 3, 4, 5, 6
	for col := range 16 / v.lanes {
		at := col * v.bytes()
		a.op("VMOVUPS %d(R8), %s; VMOVUPS %d(R9), %s", at, c.r(lse), at, c.r(delta))
		a.op("MOVQ DI, AX; MOVQ SI, BX; MOVQ rows+16(FP), CX")
		a.label("row%d", col)
		a.op("VMOVUPS %d(AX), %s; VMOVUPS %d(BX), %s", at, c.r(x), at, c.r(d))
		c.sub(x, lse, x)
		exp2(c, x, t, n, p)
		a.op("VMOVUPS %s, %d(AX)", c.r(p), at)
		c.sub(d, delta, d)
		c.mul(p, d, d)
		c.mul(scale, d, d)
		a.op("VMOVUPS %s, %d(BX)", c.r(d), at)
		a.op("ADDQ $%[1]d, AX; ADDQ $%[1]d, BX; DECQ CX; JNE row%[2]d", tileStride, col)
	}
	a.ret()
}

// emitRowDots emits the dot products of corresponding rows of two matrices, for
// n a multiple of the lanes.
//
// One accumulator is enough, since rows are as short as a head.
func emitRowDots(a *asm, v vector) {
	a.f("rowDots"+v.suffix, "(out, x unsafe.Pointer, ldx int, y unsafe.Pointer, ldy, rows, n int)", 56)
	a.op("MOVQ out+0(FP), DI; MOVQ x+8(FP), SI; MOVQ ldx+16(FP), R8; MOVQ y+24(FP), DX; MOVQ ldy+32(FP), R9")
	a.op("MOVQ rows+40(FP), R10; MOVQ n+48(FP), R11; SHLQ $2, R8; SHLQ $2, R9; SHLQ $2, R11")
	a.label("row")
	v.zero(a, 0)
	a.op("XORQ BX, BX")
	a.label("loop")
	a.op("VMOVUPS (SI)(BX*1), %[1]s; VFMADD231PS (DX)(BX*1), %[1]s, %[2]s", v.r(1), v.r(0))
	a.op("ADDQ $%d, BX; CMPQ BX, R11; JLT loop", v.bytes())
	foldLanes(a, v, "VADDPS")
	a.op("VMOVSS X0, (DI); ADDQ $4, DI; ADDQ R8, SI; ADDQ R9, DX; DECQ R10; JNE row")
	a.ret()
}
