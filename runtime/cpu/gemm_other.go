//go:build !amd64

package cpu

// Elsewhere there is no assembly, and the portable twins are all there is.
func packPanel(_ isa, dst []float32, x *operand, from, rows, width int, k span) {
	packPortable(dst, x, from, rows, width, k)
}

func packFour(isa, []float32, *operand, int, int, span) bool { return false }

func tile(_ isa, c []float32, ldc int, a, b []float32, k, rows, cols int, add bool) {
	tilePortable(c, ldc, a, b, k, rows, cols, add)
}
