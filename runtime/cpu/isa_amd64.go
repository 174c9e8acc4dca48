package cpu

// cpuid executes CPUID.
//
//go:noescape
func cpuid(leaf, sub uint32) (ax, bx, cx, dx uint32)

// xgetbv returns the low half of XCR0: which registers the system saves.
func xgetbv() uint32

// pause tells the core that it waits in a loop, n times.
func pause(n int)

// supported is the best instruction set of this machine.
func supported() isa {
	const (
		fma, osxsave, avx        = 1 << 12, 1 << 27, 1 << 28     // leaf 1, ecx
		avx2Bit                  = 1 << 5                        // leaf 7, ebx
		avx512Bits               = 1<<16 | 1<<17 | 1<<30 | 1<<31 // F, DQ, BW, VL
		saveYmm, saveZmm  uint32 = 1<<1 | 1<<2, 1<<5 | 1<<6 | 1<<7
	)
	leaves, _, _, _ := cpuid(0, 0)
	if leaves < 7 {
		return portable
	}
	_, _, c1, _ := cpuid(1, 0)
	if c1&(fma|osxsave|avx) != fma|osxsave|avx || xgetbv()&saveYmm != saveYmm {
		return portable
	}
	_, b7, _, _ := cpuid(7, 0)
	if b7&avx2Bit == 0 {
		return portable
	}
	if b7&avx512Bits == avx512Bits && xgetbv()&saveZmm == saveZmm {
		return avx512
	}
	return avx2
}
