package cpu

// isa is an instruction set that kernels are written for.
type isa int

const (
	portable isa = iota // plain Go
	avx2                // AVX2 and FMA, 256 bits
	avx512              // AVX-512 F, BW, DQ, VL, 512 bits
)

func (i isa) String() string { return [...]string{"portable", "avx2", "avx512"}[i] }

func detect() isa { return portable }
