package cpu

import "os"

// isa is an instruction set that kernels are written for.
type isa int

const (
	portable isa = iota // plain Go
	avx2                // AVX2 and FMA, 256 bits
	avx512              // AVX-512 F, BW, DQ, VL, 512 bits
)

func (i isa) String() string { return [...]string{"portable", "avx2", "avx512"}[i] }

// detect picks the best instruction set of the machine. The environment
// variable LLAMAC_ISA names a lower one to use instead: portable, avx2 or
// avx512. One that the machine lacks, or an unknown name, changes nothing.
//
// Results differ between instruction sets in their last bits, so a run that
// must repeat another machine's bits needs the same one.
func detect() isa {
	best := supported()
	for i := portable; i < best; i++ {
		if os.Getenv("LLAMAC_ISA") == i.String() {
			return i
		}
	}
	return best
}
