package cpu

import (
	"fmt"
	"os"
	"strings"
)

// isa is an instruction set that kernels are written for.
type isa int

const (
	portable isa = iota // plain Go
	avx2                // AVX2 and FMA, 256 bits
	avx512              // AVX-512 F, BW, DQ, VL, 512 bits
)

var isaNames = [...]string{"portable", "avx2", "avx512"}

func (i isa) String() string { return isaNames[i] }

// variable is the environment variable that names an instruction set to use
// instead of the machine's best.
const variable = "LLAMAC_ISA"

// detect picks the best instruction set of the machine, or the lower one that
// the environment variable names. One that cannot be had changes nothing here:
// programs ask CheckISA before they make a device.
//
// Results differ between instruction sets in their last bits, so a run that
// must repeat another machine's bits needs the same one.
func detect() isa {
	best := supported()
	if chosen, err := choose(os.Getenv(variable), best); err == nil {
		return chosen
	}
	return best
}

// ISA names the instruction set of a device's kernels.
func ISA() string { return detect().String() }

// CheckISA tells whether LLAMAC_ISA, if it is set, names an instruction set that
// this machine has.
func CheckISA() error {
	_, err := choose(os.Getenv(variable), supported())
	return err
}

// choose reads a value of the variable on a machine whose best is given.
func choose(value string, best isa) (isa, error) {
	if value == "" {
		return best, nil
	}
	for i, name := range isaNames {
		if name == value && isa(i) <= best {
			return isa(i), nil
		}
	}
	have := strings.Join(isaNames[:best+1], ", ")
	for _, name := range isaNames {
		if name == value {
			return best, fmt.Errorf("%s=%s: this machine does not have it; it has %s", variable, value, have)
		}
	}
	return best, fmt.Errorf("%s=%s: no such instruction set; there are %s, and this machine has %s", variable, value, strings.Join(isaNames[:], ", "), have)
}
