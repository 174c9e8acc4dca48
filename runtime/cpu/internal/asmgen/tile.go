package main

import "strconv"

// Tiles of matrix products.
//
// A tile adds, for k steps, the outer product of a column of the packed panel
// of a (height floats) and a row of the packed panel of b (two registers, or
// one for the last columns of a matrix). Its accumulators stay in registers:
// 14×32 of 28 registers with AVX-512, 6×16 of 12 with AVX2, which leaves two
// for the row of b and two for broadcasts of a.

// Each height and width is code of its own, chosen once a tile: a tile at the
// edge of c has no row that is computed in vain, and no accumulator is
// addressed by a variable, which registers cannot be.
func emitTiles(a *asm) {
	emitTile(a, v512, 14)
	emitTile(a, v256, 6)
}

// AX and BX walk along the panels, DI is the tile of c and DX the distance of
// its rows, R9 whether to add, CX the steps of k.
func emitTile(a *asm, v vector, maxRows int) {
	a.f("gemmTile"+v.suffix, "(a, b, c unsafe.Pointer, k, ldc, rows, cols, add int)", 64)
	a.op("MOVQ a+0(FP), AX; MOVQ b+8(FP), BX; MOVQ c+16(FP), DI")
	a.op("MOVQ ldc+32(FP), DX; SHLQ $2, DX")
	a.op("MOVQ rows+40(FP), R8; MOVQ cols+48(FP), CX; MOVQ add+56(FP), R9")
	if v.lanes == 16 {
		a.note("K1 and K2 select the columns that exist.")
		a.op("MOVQ $1, R10; SHLQ CX, R10; DECQ R10; KMOVW R10, K1; SHRQ $16, R10; KMOVW R10, K2")
	}
	// MOVQ leaves the flags of the comparison alone.
	a.op("CMPQ CX, $%d; MOVQ k+24(FP), CX; JLE narrow", v.lanes)
	// Full height comes first in the chain, as most tiles have it.
	for rows := maxRows; rows > 1; rows-- {
		a.op("CMPQ R8, $%d; JEQ w2h%d", rows, rows)
	}
	for _, width := range []int{2, 1} {
		for rows := 1; rows <= maxRows; rows++ {
			if width == 1 && rows == 1 {
				a.label("narrow")
				for r := maxRows; r > 1; r-- {
					a.op("CMPQ R8, $%d; JEQ w1h%d", r, r)
				}
			}
			tileBody(a, v, maxRows, rows, width)
		}
	}
}

// tileBody is the code of one height and width (in registers).
//
// Registers: accumulators from 0 on, row by row; then b, at the same numbers
// for every height; then two for elements of a.
func tileBody(a *asm, v vector, maxRows, rows, width int) {
	acc := func(row, col int) int { return width*row + col }
	b := func(col int) int { return 2*maxRows + col }
	name := func(s string) string { return s + "w" + strconv.Itoa(width) + "h" + strconv.Itoa(rows) }
	a.label("w%dh%d", width, rows)
	if rows == maxRows {
		// c is wanted at the end; without this its misses stall a tile by 5%.
		a.op("MOVQ DI, SI")
		for row := range rows {
			for col := 0; col < width*v.bytes(); col += 64 {
				a.op("PREFETCHT0 %d(SI)", col)
			}
			if row < rows-1 {
				a.op("ADDQ DX, SI")
			}
		}
	}
	for i := range rows * width {
		v.zero(a, i)
	}
	// A step loads a row of b, and for each element of a's column broadcasts it
	// and multiplies. Broadcasts alternate between two registers, so that one
	// can be on its way while the other is in use.
	step := func(u int) {
		for col := range width {
			a.op("VMOVUPS %d(BX), %s", (u*width+col)*v.bytes(), v.r(b(col)))
		}
		for row := range rows {
			s := v.r(2*maxRows + 2 + row%2)
			a.op("VBROADCASTSS %d(AX), %s", 4*(u*rows+row), s)
			for col := range width {
				a.op("VFMADD231PS %s, %s, %s", v.r(b(col)), s, v.r(acc(row, col)))
			}
		}
	}
	// Only the full height is unrolled: it is where the time goes, and the code
	// for all heights is large as it is.
	unroll := 1
	if rows == maxRows {
		unroll = 4
	}
	a.op("SUBQ $%d, CX; JLT %s", unroll, name("rest"))
	// On a boundary of what the processor fetches at once.
	a.op("PCALIGN $32")
	a.label("%s", name("loop"))
	for u := range unroll {
		step(u)
	}
	a.op("ADDQ $%d, AX; ADDQ $%d, BX", 4*unroll*rows, unroll*width*v.bytes())
	a.op("SUBQ $%d, CX; JGE %s", unroll, name("loop"))
	a.label("%s", name("rest"))
	if unroll > 1 {
		a.op("ADDQ $%d, CX; JEQ %s", unroll, name("end"))
		a.label("%s", name("one"))
		step(0)
		a.op("ADDQ $%d, AX; ADDQ $%d, BX; DECQ CX; JNE %s", 4*rows, width*v.bytes(), name("one"))
	}
	if unroll > 1 {
		a.label("%s", name("end"))
	}
	// The product was summed from zero, and c is added last: c's bits are a sum
	// over blocks of k, each rounded once.
	a.op("TESTQ R9, R9; JEQ %s", name("store"))
	// Lanes of columns that do not exist are neither read nor written. With 256
	// bits the caller passes whole widths only, and brings others through a
	// buffer.
	mask := func(col int) string {
		if v.lanes == 16 {
			return []string{"K1, ", "K2, "}[col]
		}
		return ""
	}
	a.op("MOVQ DI, SI")
	for row := range rows {
		for col := range width {
			r := v.r(acc(row, col))
			a.op("VADDPS %d(SI), %s, %s%s", col*v.bytes(), r, mask(col), r)
		}
		a.op("ADDQ DX, SI")
	}
	a.label("%s", name("store"))
	for row := range rows {
		for col := range width {
			a.op("VMOVUPS %s, %s%d(DI)", v.r(acc(row, col)), mask(col), col*v.bytes())
		}
		if row < rows-1 {
			a.op("ADDQ DX, DI")
		}
	}
	a.ret()
}
