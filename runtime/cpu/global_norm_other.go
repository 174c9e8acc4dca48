//go:build !amd64

package cpu

func sumSquares(_ isa, x []float32, lanes *[16]float64) int { return sumSquaresPortable(x, lanes) }
