package interp_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/ir/interp"
)

// bf16 and f16 spell the numbers of their types from their bits.
func bf16(bits uint16) float64 { return float64(math.Float32frombits(uint32(bits) << 16)) }

func f16(bits uint16) float64 {
	sign, e, f := 1.0, int(bits>>10&31), float64(bits&1023)
	if bits>>15 == 1 {
		sign = -1
	}
	switch e {
	case 31:
		return sign * math.Inf(1)
	case 0:
		return sign * math.Ldexp(f, -24)
	}
	return sign * math.Ldexp(1024+f, e-25)
}

// TestRoundTo walks all numbers of the 16-bit types: each stays, what lies
// between two goes to the nearer one, and a midpoint to the one with an even
// last bit.
func TestRoundTo(t *testing.T) {
	for _, c := range []struct {
		d   ir.DType
		of  func(uint16) float64
		inf uint16
	}{{ir.BF16, bf16, 0x7f80}, {ir.F16, f16, 0x7c00}} {
		for bits := range c.inf {
			a, b := c.of(bits), c.of(bits+1)
			if bits+1 == c.inf { // the next number, were there no infinity
				b = 2*a - c.of(bits-1)
			}
			up := b
			if bits+1 == c.inf {
				up = math.Inf(1)
			}
			middle := a
			if bits&1 == 1 {
				middle = up
			}
			for _, x := range []struct{ in, want float64 }{
				{a, a}, {a + (b-a)/2, middle}, {math.Nextafter(a+(b-a)/2, 0), a}, {math.Nextafter(a+(b-a)/2, b), up}, {a + (b-a)*0.25, a}, {a + (b-a)*0.75, up},
			} {
				if got := interp.RoundTo(c.d, x.in); got != x.want {
					t.Fatalf("%s: %v rounds to %v, want %v", c.d, x.in, got, x.want)
				}
				if got := interp.RoundTo(c.d, -x.in); got != -x.want {
					t.Fatalf("%s: %v rounds to %v, want %v", c.d, -x.in, got, -x.want)
				}
			}
		}
		if !math.IsNaN(interp.RoundTo(c.d, math.NaN())) || !math.IsInf(interp.RoundTo(c.d, math.Inf(-1)), -1) {
			t.Errorf("%s: NaN or infinity changes", c.d)
		}
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 1000 {
		x := math.Float64frombits(rng.Uint64())
		if got := interp.RoundTo(ir.F32, x); got != float64(float32(x)) && x == x {
			t.Errorf("%v rounds to %v", x, got)
		}
		if got := interp.RoundTo(ir.F64, x); got != x && x == x {
			t.Errorf("%v rounds to %v", x, got)
		}
	}
}

// TestRound rounds the results of nodes by their types, and nothing without
// being asked to.
func TestRound(t *testing.T) {
	m := parse(t, `module m

func @f main(%x: f32[3]) -> (%b, %s, %w) {
  %b = cast(%x) {dtype = "bf16"} : bf16[3]
  %s = add(%b, %b) : bf16[3]
  %w = cast(%s) {dtype = "f64"} : f64[3]
}
`)
	x := interp.FromF64([]float64{1 + 1.0/512, math.Pi, 1e-30}, 3)
	mach := interp.NewMachine(nil)
	exact := run(t, mach, m, "f", x)
	mach.Round = interp.RoundTo
	rounded := run(t, mach, m, "f", x)
	for i, v := range x.F {
		r := interp.RoundTo(ir.BF16, v)
		if exact[2].F[i] != 2*v || rounded[0].F[i] != r || rounded[1].F[i] != 2*r || rounded[2].F[i] != 2*r {
			t.Errorf("%v: exact %v, rounded %v %v %v", v, exact[2].F[i], rounded[0].F[i], rounded[1].F[i], rounded[2].F[i])
		}
	}
}
