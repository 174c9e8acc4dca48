//go:build !amd64

package cpu

func fmaLoop(_ isa, n int) { fmaPortable(n) }

// fmaLoopFLOPs is the work of one turn of fmaLoop.
func fmaLoopFLOPs(isa) float64 { return 2 * 8 }
