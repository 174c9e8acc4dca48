package cpu

// fmaPeak512 executes n times 24 independent multiply-adds of 16 lanes.
func fmaPeak512(n int)

// fmaPeak256 executes n times 12 independent multiply-adds of 8 lanes.
func fmaPeak256(n int)

func fmaLoop(isa isa, n int) {
	switch isa {
	case avx512:
		fmaPeak512(n)
	case avx2:
		fmaPeak256(n)
	default:
		fmaPortable(n)
	}
}

// fmaLoopFLOPs is the work of one turn of fmaLoop.
func fmaLoopFLOPs(isa isa) float64 {
	return [...]float64{portable: 2 * 8, avx2: 2 * 12 * 8, avx512: 2 * 24 * 16}[isa]
}
