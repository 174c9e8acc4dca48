package cpu

import "testing"

// What the variable asks for is used or refused, never replaced.
func TestChooseISA(t *testing.T) {
	for _, c := range []struct {
		value string
		best  isa
		want  isa
		err   string
	}{
		{"", avx2, avx2, ""},
		{"portable", avx512, portable, ""},
		{"avx2", avx512, avx2, ""},
		{"avx512", avx512, avx512, ""},
		{"portable", portable, portable, ""},
		{"avx512", avx2, 0, "LLAMAC_ISA=avx512: this machine does not have it; it has portable, avx2"},
		{"avx2", portable, 0, "LLAMAC_ISA=avx2: this machine does not have it; it has portable"},
		{"bogus", avx2, 0, "LLAMAC_ISA=bogus: no such instruction set; there are portable, avx2, avx512, and this machine has portable, avx2"},
		{"AVX2", avx2, 0, "LLAMAC_ISA=AVX2: no such instruction set; there are portable, avx2, avx512, and this machine has portable, avx2"},
	} {
		got, err := choose(c.value, c.best)
		switch {
		case c.err == "" && (err != nil || got != c.want):
			t.Errorf("%q on a machine with %v: %v, %v; want %v", c.value, c.best, got, err, c.want)
		case c.err != "" && (err == nil || err.Error() != c.err):
			t.Errorf("%q on a machine with %v: %v; want %s", c.value, c.best, err, c.err)
		}
	}
}

// A program that does not ask still gets a device that works.
func TestDetectISA(t *testing.T) {
	t.Setenv(variable, "bogus")
	if err := CheckISA(); err == nil {
		t.Error("bogus is an instruction set")
	}
	if got := detect(); got != supported() {
		t.Errorf("detected %v, supported is %v", got, supported())
	}
	t.Setenv(variable, "portable")
	if err := CheckISA(); err != nil || detect() != portable {
		t.Errorf("portable: %v, %v", detect(), err)
	}
}
