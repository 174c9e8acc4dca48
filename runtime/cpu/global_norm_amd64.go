package cpu

import "unsafe"

// sumSquares512 sets lanes to sums of squares of n elements, n a multiple of 16.
//
//go:noescape
func sumSquares512(x unsafe.Pointer, n int, lanes *[16]float64)

// sumSquares256 is sumSquares512 with AVX2.
//
//go:noescape
func sumSquares256(x unsafe.Pointer, n int, lanes *[16]float64)

func sumSquares(isa isa, x []float32, lanes *[16]float64) int {
	n := len(x) &^ 15
	switch {
	case n == 0:
	case isa == avx512:
		sumSquares512(unsafe.Pointer(&x[0]), n, lanes)
	case isa == avx2:
		sumSquares256(unsafe.Pointer(&x[0]), n, lanes)
	default:
		return sumSquaresPortable(x, lanes)
	}
	return n
}
