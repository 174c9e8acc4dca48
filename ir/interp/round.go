package interp

import (
	"math"

	"github.com/llamac/llamac/ir"
)

// RoundTo rounds x to the nearest number of a float type, ties to even, for
// Machine.Round. Types other than f32, bf16 and f16 leave x as it is.
// With it a graph in 16 bits is computed as if each node stored its result in
// 16 bits, which is what a kernel that accumulates in float32 does.
func RoundTo(t ir.DType, x float64) float64 {
	switch t {
	case ir.F32:
		return float64(float32(x))
	case ir.BF16:
		return roundBits(x, 8, -126, 127)
	case ir.F16:
		return roundBits(x, 11, -14, 15)
	}
	return x
}

// roundBits rounds x to a binary format with p significant bits and exponents
// from emin (below it numbers are subnormal) to emax (above it infinite).
func roundBits(x float64, p, emin, emax int) float64 {
	if x == 0 || math.IsNaN(x) || math.IsInf(x, 0) {
		return x
	}
	_, e := math.Frexp(x) // |x| in [2^(e-1), 2^e)
	// Distance of neighbouring numbers of the format around x; below emin it no
	// longer shrinks.
	ulp := math.Ldexp(1, max(e-1, emin)-(p-1))
	y := math.RoundToEven(x/ulp) * ulp // both products are exact
	// Numbers that round up to the next power of two overflow, as IEEE 754 has
	// it.
	if math.Abs(y) >= math.Ldexp(1, emax+1) {
		return math.Inf(int(math.Copysign(1, x)))
	}
	return y
}
