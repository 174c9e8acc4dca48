package main

import "strconv"

// Packing of the operands of matrix products into panels: for each step of k,
// the floats of all rows of the panel side by side.

// A panel is read from beginning to end by the tile's loop, one step of k after
// the other: one stream that the processor foresees, on few pages, whatever the
// distance of rows in the matrix. Copying costs one pass over the operands, and
// every element of them is used many times.
func emitPacks(a *asm) {
	packTranspose512(a)
	packCopy512(a)
	packCopy512x4(a)
	packCopy256x4(a, 16)
	packCopy256x4(a, 6)
	packTranspose256(a, 8)
	packTranspose256(a, 6)
}

// packTranspose512 packs up to 16 rows that are contiguous along k: blocks of
// 16×16 are loaded, transposed in registers and stored with a distance of
// stride bytes between steps of k.
//
// A row of the panel may be 32 floats wide (b) or 14 (a): width says how many
// of the 16 lanes are stored, stride how far the next step of k lies.
func packTranspose512(a *asm) {
	a.f("packTranspose512", "(dst, src unsafe.Pointer, rows, k, ld, stride, width int)", 56)
	a.op("MOVQ dst+0(FP), DI; MOVQ src+8(FP), SI; MOVQ rows+16(FP), R8; MOVQ k+24(FP), R9")
	a.op("MOVQ ld+32(FP), DX; SHLQ $2, DX; MOVQ stride+40(FP), R10; SHLQ $2, R10; LEAQ (DX)(DX*2), R11")
	a.note("K1 selects the lanes to store, K2 the steps of k to load.")
	// Lanes beyond the panel's width belong to the next step and must not be
	// written.
	a.op("MOVQ width+48(FP), CX; MOVQ $1, AX; SHLQ CX, AX; DECQ AX; KMOVW AX, K1")
	// All 16 steps until the last block.
	a.op("MOVQ $-1, AX; KMOVW AX, K2")
	a.label("block")
	// The last block may have fewer steps: what lies behind them is not read,
	// as it may be behind the operand.
	a.op("CMPQ R9, $16; JGE full")
	a.op("TESTQ R9, R9; JLE done")
	a.op("MOVQ R9, CX; MOVQ $1, AX; SHLQ CX, AX; DECQ AX; KMOVW AX, K2")
	a.label("full")
	a.op("MOVQ SI, BX; CMPQ R8, $16; JEQ rows16")
	a.note("Rows that do not exist are zero.")
	// What stands there is multiplied and never stored; zeros, unlike what
	// memory may hold, are never slow to multiply.
	for i := 1; i < 16; i++ {
		v512.zero(a, i)
	}
	a.op("MOVQ SI, AX")
	for i := range 16 {
		a.op("VMOVUPS.Z (AX), K2, Z%d", i)
		if i < 15 {
			a.op("CMPQ R8, $%d; JEQ loaded; ADDQ DX, AX", i+1)
		}
	}
	a.op("JMP loaded")
	a.label("rows16")
	// All 16 rows: four addresses a base, no comparisons.
	for i := 0; i < 16; i += 4 {
		a.op("VMOVUPS.Z (BX), K2, Z%d; VMOVUPS.Z (BX)(DX*1), K2, Z%d", i, i+1)
		a.op("VMOVUPS.Z (BX)(DX*2), K2, Z%d; VMOVUPS.Z (BX)(R11*1), K2, Z%d", i+2, i+3)
		if i < 12 {
			a.op("LEAQ (BX)(DX*4), BX")
		}
	}
	a.label("loaded")
	// The transposition takes four rounds: pairs of floats, pairs of pairs,
	// then whole quarters of registers twice. Each round is half as many
	// instructions as it would take to move floats one by one into place.
	for i := 0; i < 16; i += 2 {
		a.op("VUNPCKLPS Z%d, Z%d, Z%d; VUNPCKHPS Z%d, Z%d, Z%d", i+1, i, 16+i, i+1, i, 17+i)
	}
	for g := 0; g < 16; g += 4 {
		a.op("VUNPCKLPD Z%d, Z%d, Z%d; VUNPCKHPD Z%d, Z%d, Z%d", 18+g, 16+g, g, 18+g, 16+g, g+1)
		a.op("VUNPCKLPD Z%d, Z%d, Z%d; VUNPCKHPD Z%d, Z%d, Z%d", 19+g, 17+g, g+2, 19+g, 17+g, g+3)
	}
	a.note("Now Z(4g+j) holds, in lane l, rows 4g..4g+3 of step 4l+j.")
	// Quarters: lane l of four registers becomes one register.
	for j := range 4 {
		p, q, r, s, t := j, 4+j, 8+j, 12+j, 16+4*j
		a.op("VSHUFF32X4 $0x44, Z%d, Z%d, Z%d; VSHUFF32X4 $0xee, Z%d, Z%d, Z%d", q, p, t, q, p, t+1)
		a.op("VSHUFF32X4 $0x44, Z%d, Z%d, Z%d; VSHUFF32X4 $0xee, Z%d, Z%d, Z%d", s, r, t+2, s, r, t+3)
		a.op("VSHUFF32X4 $0x88, Z%d, Z%d, Z%d; VSHUFF32X4 $0xdd, Z%d, Z%d, Z%d", t+2, t, p, t+2, t, q)
		a.op("VSHUFF32X4 $0x88, Z%d, Z%d, Z%d; VSHUFF32X4 $0xdd, Z%d, Z%d, Z%d", t+3, t+1, r, t+3, t+1, s)
	}
	// A full block stores 16 steps without counting.
	a.op("CMPQ R9, $16; JLT ragged")
	for i := range 16 {
		a.op("VMOVUPS Z%d, K1, (DI); ADDQ R10, DI", i)
	}
	a.op("ADDQ $64, SI; SUBQ $16, R9; JMP block")
	a.label("ragged")
	// The last block counts down; it has 15 steps at most.
	for i := range 15 {
		a.op("VMOVUPS Z%d, K1, (DI); ADDQ R10, DI; DECQ R9; JEQ done", i)
	}
	a.label("done")
	a.ret()
}

// packCopy512 packs rows that lie side by side for each step of k: cols
// floats of each are copied, and zeros added up to width.
//
// The source has the panel's rows side by side already, so that nothing is
// transposed. Four steps at a time keep several loads under way.
func packCopy512(a *asm) {
	a.f("packCopy512", "(dst, src unsafe.Pointer, cols, k, ld, width int)", 48)
	a.op("MOVQ dst+0(FP), DI; MOVQ src+8(FP), SI; MOVQ k+24(FP), R9")
	a.op("MOVQ ld+32(FP), DX; SHLQ $2, DX; MOVQ width+40(FP), R10")
	a.note("K1 and K2 select what to load, K3 and K4 what to store.")
	a.op("MOVQ cols+16(FP), CX; MOVQ $1, AX; SHLQ CX, AX; DECQ AX; KMOVW AX, K1; SHRQ $16, AX; KMOVW AX, K2")
	a.op("MOVQ R10, CX; MOVQ $1, AX; SHLQ CX, AX; DECQ AX; KMOVW AX, K3; SHRQ $16, AX; KMOVW AX, K4")
	// A panel of at most 16 floats is half a step, and reads one vector.
	a.op("CMPQ R10, $16; LEAQ (R10*4), R10; JLE narrow")
	a.op("SUBQ $4, R9; JLT rest")
	a.label("loop")
	for i := range 4 {
		a.op("VMOVUPS.Z (SI), K1, Z%d; VMOVUPS.Z 64(SI), K2, Z%d; ADDQ DX, SI", 2*i, 2*i+1)
	}
	for i := range 4 {
		a.op("VMOVUPS Z%d, K3, (DI); VMOVUPS Z%d, K4, 64(DI); ADDQ R10, DI", 2*i, 2*i+1)
	}
	a.op("SUBQ $4, R9; JGE loop")
	a.label("rest")
	a.op("ADDQ $4, R9; JLE done")
	a.label("one")
	a.op("VMOVUPS.Z (SI), K1, Z0; VMOVUPS.Z 64(SI), K2, Z1; ADDQ DX, SI")
	a.op("VMOVUPS Z0, K3, (DI); VMOVUPS Z1, K4, 64(DI); ADDQ R10, DI")
	a.op("DECQ R9; JNE one")
	a.op("JMP done")
	a.label("narrow")
	a.op("TESTQ R9, R9; JLE done")
	a.label("narrowOne")
	a.op("VMOVUPS.Z (SI), K1, Z0; ADDQ DX, SI; VMOVUPS Z0, K3, (DI); ADDQ R10, DI")
	a.op("DECQ R9; JNE narrowOne")
	a.label("done")
	a.ret()
}

// packCopy512x4 copies, for each step of k, four groups of cols floats that lie
// side by side to dst, dst+near, dst+far and dst+far+near. Panels that share
// cache lines of the source are packed together, so lines are read once.
//
// With 16 floats a line of the source is 64 bytes, and groups of 14 or 6 share
// their lines.
func packCopy512x4(a *asm) {
	a.f("packCopy512x4", "(dst, src unsafe.Pointer, cols, k, ld, stride, near, far int)", 64)
	a.op("MOVQ dst+0(FP), DI; MOVQ src+8(FP), SI; MOVQ cols+16(FP), R8; MOVQ k+24(FP), R9")
	a.op("MOVQ ld+32(FP), DX; SHLQ $2, DX; MOVQ stride+40(FP), R10; SHLQ $2, R10")
	a.op("MOVQ near+48(FP), AX; MOVQ far+56(FP), BX")
	// Each of the four destinations has its own register, AX the offset of the
	// step in all of them.
	a.op("LEAQ (DI)(AX*4), R11; LEAQ (DI)(BX*4), R12; LEAQ (R11)(BX*4), R13")
	a.op("MOVQ R8, CX; MOVQ $1, AX; SHLQ CX, AX; DECQ AX; KMOVW AX, K1")
	a.op("SHLQ $2, R8; LEAQ (R8)(R8*2), BX; XORQ AX, AX; TESTQ R9, R9; JLE done")
	a.label("loop")
	a.op("VMOVUPS.Z (SI), K1, Z0; VMOVUPS.Z (SI)(R8*1), K1, Z1; VMOVUPS.Z (SI)(R8*2), K1, Z2; VMOVUPS.Z (SI)(BX*1), K1, Z3")
	a.op("ADDQ DX, SI")
	a.op("VMOVUPS Z0, K1, (DI)(AX*1); VMOVUPS Z1, K1, (R11)(AX*1); VMOVUPS Z2, K1, (R12)(AX*1); VMOVUPS Z3, K1, (R13)(AX*1)")
	a.op("ADDQ R10, AX; DECQ R9; JNE loop")
	a.label("done")
	a.ret()
}

// packCopy256x4 is packCopy512x4 for groups of 16 or of 6.
//
// Six floats are 24 bytes, a register of 16 and one of 8: no masks are needed.
func packCopy256x4(a *asm, cols int) {
	a.f("packCopy256x4x"+strconv.Itoa(cols), "(dst, src unsafe.Pointer, k, ld, stride, near, far int)", 56)
	a.op("MOVQ dst+0(FP), DI; MOVQ src+8(FP), SI; MOVQ k+16(FP), R9")
	a.op("MOVQ ld+24(FP), DX; SHLQ $2, DX; MOVQ stride+32(FP), R10; SHLQ $2, R10")
	a.op("MOVQ near+40(FP), AX; MOVQ far+48(FP), BX")
	a.op("LEAQ (DI)(AX*4), R11; LEAQ (DI)(BX*4), R12; LEAQ (R11)(BX*4), R13")
	a.op("XORQ AX, AX; TESTQ R9, R9; JLE done")
	a.label("loop")
	for i, to := range []string{"DI", "R11", "R12", "R13"} {
		from := 4 * cols * i
		if cols == 16 {
			a.op("VMOVUPS %d(SI), Y%d; VMOVUPS %d(SI), Y%d", from, 2*i, from+32, 2*i+1)
			a.op("VMOVUPS Y%d, (%s)(AX*1); VMOVUPS Y%d, 32(%s)(AX*1)", 2*i, to, 2*i+1, to)
		} else {
			a.op("VMOVUPS %d(SI), X%d; VMOVSD %d(SI), X%d", from, 2*i, from+16, 2*i+1)
			a.op("VMOVUPS X%d, (%s)(AX*1); VMOVSD X%d, 16(%s)(AX*1)", 2*i, to, 2*i+1, to)
		}
	}
	a.op("ADDQ DX, SI; ADDQ R10, AX; DECQ R9; JNE loop")
	a.label("done")
	a.ret()
}

// packTranspose256 packs exactly the given number of rows, 8 or 6, for k that
// is a multiple of 8. Blocks of 8×8 are transposed in registers.
//
// A panel of six is loaded as eight rows of which two are zero, and of each
// step six floats are stored.
func packTranspose256(a *asm, rows int) {
	a.f("packTranspose256x"+strconv.Itoa(rows), "(dst, src unsafe.Pointer, k, ld, stride int)", 40)
	a.op("MOVQ dst+0(FP), DI; MOVQ src+8(FP), SI; MOVQ k+16(FP), R9")
	a.op("MOVQ ld+24(FP), DX; SHLQ $2, DX; MOVQ stride+32(FP), R10; SHLQ $2, R10; LEAQ (DX)(DX*2), R11")
	a.op("TESTQ R9, R9; JLE done")
	a.label("block")
	a.op("LEAQ (SI)(DX*4), BX")
	a.op("VMOVUPS (SI), Y0; VMOVUPS (SI)(DX*1), Y1; VMOVUPS (SI)(DX*2), Y2; VMOVUPS (SI)(R11*1), Y3")
	a.op("VMOVUPS (BX), Y4; VMOVUPS (BX)(DX*1), Y5")
	if rows == 8 {
		a.op("VMOVUPS (BX)(DX*2), Y6; VMOVUPS (BX)(R11*1), Y7")
	} else {
		a.op("VXORPS Y6, Y6, Y6; VXORPS Y7, Y7, Y7")
	}
	// Three rounds, as a block of 8 is one doubling less.
	for i := 0; i < 8; i += 2 {
		a.op("VUNPCKLPS Y%d, Y%d, Y%d; VUNPCKHPS Y%d, Y%d, Y%d", i+1, i, 8+i, i+1, i, 9+i)
	}
	for g := 0; g < 8; g += 4 {
		a.op("VUNPCKLPD Y%d, Y%d, Y%d; VUNPCKHPD Y%d, Y%d, Y%d", 10+g, 8+g, g, 10+g, 8+g, g+1)
		a.op("VUNPCKLPD Y%d, Y%d, Y%d; VUNPCKHPD Y%d, Y%d, Y%d", 11+g, 9+g, g+2, 11+g, 9+g, g+3)
	}
	a.note("Now Y(4g+j) holds, in half l, rows 4g..4g+3 of step 4l+j.")
	for j := range 4 {
		// Halves of the registers change places.
		a.op("VPERM2F128 $0x20, Y%d, Y%d, Y%d; VPERM2F128 $0x31, Y%d, Y%d, Y%d", 4+j, j, 8+j, 4+j, j, 12+j)
	}
	for i := range 8 {
		r := 8 + i
		if rows == 8 {
			a.op("VMOVUPS Y%d, (DI); ADDQ R10, DI", r)
		} else {
			a.op("VEXTRACTF128 $1, Y%d, X0; VMOVUPS X%d, (DI); VMOVSD X0, 16(DI); ADDQ R10, DI", r, r)
		}
	}
	a.op("ADDQ $32, SI; SUBQ $8, R9; JGT block")
	a.label("done")
	a.ret()
}
