package cpu

import "unsafe"

// dotRows512 computes y[r*ldy+o] = Σ x[r*ldx+i]·w[o*ldw+i], or adds it if add
// is not 0, for rows (1..8) and outs. Each 16 elements of a row of x are
// followed by the next 16 step bytes on.
//
//go:noescape
func dotRows512(y, x, w unsafe.Pointer, in, ldx, step, ldw, ldy, rows, outs, add int)

// dotRows256 is dotRows512 for at most 4 rows and with 8 elements a step.
//
//go:noescape
func dotRows256(y, x, w unsafe.Pointer, in, ldx, step, ldw, ldy, rows, outs, add int)

// dotRows computes y = x·wᵀ, or adds it, for at most dotMaxRows rows.
func dotRows(isa isa, y []float32, ldy int, x []float32, ldx int, w []float32, ldw, rows, outs, in int, add bool) {
	switch isa {
	case avx512:
		dotRows512(unsafe.Pointer(&y[0]), unsafe.Pointer(&x[0]), unsafe.Pointer(&w[0]), in, ldx, 4*16, ldw, ldy, rows, outs, btoi(add))
	case avx2:
		// The second four rows find w in the cache.
		for r := 0; r < rows; r += 4 {
			dotRows256(unsafe.Pointer(&y[r*ldy]), unsafe.Pointer(&x[r*ldx]), unsafe.Pointer(&w[0]), in, ldx, 4*8, ldw, ldy, min(4, rows-r), outs, btoi(add))
		}
	default:
		dotPortable(y, ldy, x, ldx, w, ldw, rows, outs, in, add)
	}
}

// dotTogether is dotRows for rows of x that interleave brought together, with
// room for width elements each.
func dotTogether(isa isa, y []float32, ldy int, x []float32, width int, w []float32, ldw, rows, outs, in int, add bool) {
	if isa == avx512 {
		dotRows512(unsafe.Pointer(&y[0]), unsafe.Pointer(&x[0]), unsafe.Pointer(&w[0]), in, 16, 4*16*rows, ldw, ldy, rows, outs, btoi(add))
		return
	}
	for r := 0; r < rows; r += 4 {
		n := min(4, rows-r)
		dotRows256(unsafe.Pointer(&y[r*ldy]), unsafe.Pointer(&x[r*width]), unsafe.Pointer(&w[0]), in, 8, 4*8*n, ldw, ldy, n, outs, btoi(add))
	}
}
