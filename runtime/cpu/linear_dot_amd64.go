package cpu

import "unsafe"

// dotRows512 computes y[r*ldy+o] = Σ x[r*ldx+i]·w[o*ldw+i], or adds it if add
// is not 0, for rows (1..8) and outs.
//
//go:noescape
func dotRows512(y, x, w unsafe.Pointer, in, ldx, ldw, ldy, rows, outs, add int)

// dotRows256 is dotRows512 for at most 4 rows.
//
//go:noescape
func dotRows256(y, x, w unsafe.Pointer, in, ldx, ldw, ldy, rows, outs, add int)

func dotRows(isa isa, y []float32, ldy int, x []float32, ldx int, w []float32, ldw, rows, outs, in int, add bool) {
	switch isa {
	case avx512:
		dotRows512(unsafe.Pointer(&y[0]), unsafe.Pointer(&x[0]), unsafe.Pointer(&w[0]), in, ldx, ldw, ldy, rows, outs, btoi(add))
	case avx2:
		// The second four rows find w in the cache.
		for r := 0; r < rows; r += 4 {
			dotRows256(unsafe.Pointer(&y[r*ldy]), unsafe.Pointer(&x[r*ldx]), unsafe.Pointer(&w[0]), in, ldx, ldw, ldy, min(4, rows-r), outs, btoi(add))
		}
	default:
		dotPortable(y, ldy, x, ldx, w, ldw, rows, outs, in, add)
	}
}
