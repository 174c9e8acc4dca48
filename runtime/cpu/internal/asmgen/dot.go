package main

import "fmt"

// Dot products for products with few rows, where time goes into reading w
// once. Each sum has one accumulator register whatever the number of rows and
// columns computed together, so a row's result does not depend on how many
// other rows there are.

// A row of x has its sums in registers while w goes by; the number of columns
// that are computed together falls with the rows, since there is a sum for each
// pair. More columns mean that a register of x serves more multiplies, more
// rows that a register of w does.
func emitDots(a *asm) {
	emitDot(a, v512, []int{8, 4, 4, 4, 4, 4, 2, 2})
	emitDot(a, v256, []int{8, 4, 2, 2})
	a.line("")
	a.line("// Sliding window of lane masks: n ones are at 4*(8-n).")
	// Eight lanes of ones, then eight of zeros: reading eight lanes from
	// 4·(8-n) bytes on gives n ones.
	for i := range 8 {
		word := "-1"
		if i >= 4 {
			word = "0"
		}
		a.line(fmt.Sprintf("DATA ·laneMasks+%d(SB)/8, $%s", 8*i, word))
	}
	a.line("GLOBL ·laneMasks(SB), RODATA|NOPTR, $64")
}

// emitDot emits a function for 1..len(groups) rows; with r rows, groups[r-1]
// columns are computed together, and the columns left over one by one.
//
// x is read a vector at a time, and each vector of a row is step bytes behind
// the last one: rows may have been brought together (linear_dot.go), vector by
// vector in turn.
func emitDot(a *asm, v vector, groups []int) {
	a.f("dotRows"+v.suffix, "(y, x, w unsafe.Pointer, in, ldx, step, ldw, ldy, rows, outs, add int)", 88)
	a.op("MOVQ y+0(FP), DI; MOVQ w+16(FP), DX; MOVQ ldw+48(FP), R10; MOVQ ldx+32(FP), R8")
	if v.lanes == 16 {
		a.note("K1 selects the lanes of the last, partial step.")
		a.op("MOVQ in+24(FP), CX; ANDQ $15, CX; MOVQ $1, AX; SHLQ CX, AX; DECQ AX; KMOVW AX, K1")
	}
	// R10 and R8 are the distances of rows of w and of x in bytes, R11 and R9
	// three times them.
	a.op("SHLQ $2, R10; SHLQ $2, R8; LEAQ (R10)(R10*2), R11; LEAQ (R8)(R8*2), R9")
	a.op("MOVQ outs+72(FP), SI; MOVQ rows+64(FP), CX")
	// The number of rows is one for the whole call, so that a chain of
	// comparisons is passed once.
	for r := len(groups); r > 1; r-- {
		a.op("CMPQ CX, $%d; JEQ r%d", r, r)
	}
	// For each number of rows: whole groups of columns as long as there are
	// enough, then single columns.
	for i, g := range groups {
		rows := i + 1
		a.label("r%d", rows)
		a.op("CMPQ SI, $%d; JLT r%ds", g, rows)
		dotGroup(a, v, rows, g, fmt.Sprintf("r%d", rows))
		a.op("JMP r%d", rows)
		a.label("r%ds", rows)
		a.op("TESTQ SI, SI; JEQ done")
		dotGroup(a, v, rows, 1, fmt.Sprintf("r%ds", rows))
		a.op("JMP r%ds", rows)
	}
	a.label("done")
	a.ret()
}

// dotGroup computes rows × outs sums of the columns at DX and DI and steps on.
//
// The sums of one row and one column are a single chain over in, in the same
// order in every group. That is what makes a row's bits independent of its
// company.
func dotGroup(a *asm, v vector, rows, outs int, name string) {
	const x = 0 // register of a row of x; w follows, then sums
	w := func(o int) int { return 1 + o }
	// The mask, with 256 bits only, is the last register; with 512 it is K1.
	mask, first := v.count-1, 1+outs
	// With one row, a register of w is used once: it is an operand of the
	// multiply and needs no register of its own.
	if rows == 1 {
		first = 2 // w comes straight from memory
	}
	sum := func(r, o int) int { return first + r*outs + o }
	xRow := func(r int) string { return rowOf(r, "AX", "R13", "R8", "R9") }
	// Columns, and those of the next group to prefetch, in fours.
	// The columns behind this group are the next one's: they are asked for
	// while this one is computed. w is read once from memory, and that is where
	// the time goes.
	bases := []string{"BX", "R12", "R13", "R15"}[:(2*outs+3)/4]
	wRow := func(o int) string {
		return rowOf(o%4, bases[o/4], "", "R10", "R11")
	}
	load := func(from string, to int, partial bool) {
		switch {
		case !partial:
			a.op("VMOVUPS %s, %s", from, v.r(to))
		case v.lanes == 16:
			a.op("VMOVUPS.Z %s, K1, %s", from, v.r(to))
		default:
			// The second four columns have a base of their own.
			a.op("VMASKMOVPS %s, %s, %s", from, v.r(mask), v.r(to))
		}
	}
	step := func(partial bool) {
		if rows == 1 {
			load(xRow(0), x, partial)
			for o := range outs {
				if partial {
					// A masked read cannot be an operand of the multiply with
					// 256 bits, and with 512 the other lanes would have to be
					// zeroed.
					load(wRow(o), w(0), true)
					a.op("VFMADD231PS %s, %s, %s", v.r(w(0)), v.r(x), v.r(sum(0, o)))
				} else {
					a.op("VFMADD231PS %s, %s, %s", wRow(o), v.r(x), v.r(sum(0, o)))
				}
			}
			return
		}
		for o := range outs {
			load(wRow(o), w(o), partial)
		}
		for r := range rows {
			load(xRow(r), x, partial)
			for o := range outs {
				a.op("VFMADD231PS %s, %s, %s", v.r(w(o)), v.r(x), v.r(sum(r, o)))
			}
		}
	}

	// AX walks along x, the bases along rows of w, CX counts the elements that
	// are left.
	a.op("MOVQ x+8(FP), AX; MOVQ DX, BX; MOVQ in+24(FP), CX")
	if rows > 4 {
		a.op("LEAQ (AX)(R8*4), R13") // no group of five or more rows has so many columns
	}
	for i, base := range bases[1:] {
		a.op("LEAQ (%s)(R10*4), %s", bases[i], base)
	}
	for i := range rows * outs {
		v.zero(a, first+i)
	}
	a.op("SUBQ $%d, CX; JLT %srest", v.lanes, name)
	a.label("%sloop", name)
	// Single columns are few, and what follows them is not known.
	if outs > 1 {
		for o := range outs {
			a.op("PREFETCHT1 %s", wRow(outs+o))
		}
	}
	step(false)
	a.op("ADDQ step+40(FP), AX")
	if rows > 4 {
		a.op("ADDQ step+40(FP), R13")
	}
	for _, base := range bases {
		a.op("ADDQ $%d, %s", v.bytes(), base)
	}
	a.op("SUBQ $%d, CX; JGE %sloop", v.lanes, name)
	a.label("%srest", name)
	// What is left of a row is less than a vector: masked reads give zeros for
	// the rest and touch no memory there.
	a.op("ADDQ $%d, CX; JEQ %ssum", v.lanes, name)
	if v.lanes == 8 {
		a.op("SHLQ $2, CX; NEGQ CX; MOVQ $·laneMasks+32(SB), R15; VMOVUPS (R15)(CX*1), %s", v.r(mask))
	}
	step(true)

	// Row r of y is at AX; rows are BX floats apart.
	a.label("%ssum", name)
	a.op("MOVQ DI, AX; MOVQ ldy+56(FP), BX")
	for r := range rows {
		sumLanes(a, v, rows, outs, r, first, name)
		if r < rows-1 {
			a.op("LEAQ (AX)(BX*4), AX")
		}
	}
	// DX moves by outs rows of w.
	a.note("On to the next columns.")
	a.op("ADDQ $%d, DI; SUBQ $%d, SI", 4*outs, outs)
	for _, step := range []int{8, 4, 2, 1} {
		for ; outs >= step; outs -= step {
			a.op("LEAQ (DX)(R10*%d), DX", step)
		}
	}
}

// sumLanes adds up the lanes of a row's sums, halves first and then neighbours,
// and stores or adds them at AX.
//
// Whether four, two or one sum are stored together, a sum's lanes are added in
// the same tree: halves of the register until four lanes are left, then
// neighbours, then their sums.
func sumLanes(a *asm, v vector, rows, outs, r, first int, name string) {
	// VHADDPS has no form for registers beyond the first 16. For several rows
	// the registers of w are free by now; with one row the sums themselves lie
	// low enough.
	low := func(o int) int { // the register of four lanes, one of the first 16
		if rows == 1 {
			return first + o
		}
		return 1 + o
	}
	for o := range outs {
		s := first + r*outs + o
		if v.lanes == 16 {
			a.op("VEXTRACTF64X4 $1, Z%d, Y0; VADDPS Y0, Y%d, Y%d", s, s, low(o))
			s = low(o)
		}
		a.op("VEXTRACTF128 $1, Y%d, X0; VADDPS X0, X%d, X%d", s, s, low(o))
	}
	hadd := func(x, y, to int) { a.op("VHADDPS X%d, X%d, X%d", y, x, to) }
	for o := 0; o < outs; {
		put := fmt.Sprintf("%sput%d_%d", name, r, o)
		x, at := low(o), 4*o
		// The flag of the comparison survives the vector instructions.
		a.op("CMPQ add+80(FP), $0")
		switch {
		// Four sums side by side make one store.
		case outs-o >= 4:
			hadd(x, low(o+1), x)
			hadd(low(o+2), low(o+3), low(o+2))
			hadd(x, low(o+2), 0)
			a.op("JEQ %s; VADDPS %d(AX), X0, X0", put, at)
			a.label("%s", put)
			a.op("VMOVUPS X0, %d(AX)", at)
			o += 4
		case outs-o >= 2:
			hadd(x, low(o+1), x)
			hadd(x, x, 0)
			a.op("JEQ %s; VMOVSD %d(AX), X1; VADDPS X1, X0, X0", put, at)
			a.label("%s", put)
			a.op("VMOVSD X0, %d(AX)", at)
			o += 2
		default:
			hadd(x, x, x)
			hadd(x, x, 0)
			a.op("JEQ %s; VADDSS %d(AX), X0, X0", put, at)
			a.label("%s", put)
			a.op("VMOVSS X0, %d(AX)", at)
			o++
		}
	}
}
