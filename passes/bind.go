package passes

import (
	"fmt"
	"slices"

	"github.com/llamac/llamac/ir"
)

// Bind fixes the module's dimensions: one with a value in Config.Dims becomes
// that number, the others keep their upper bound as the capacity that buffers
// are made for. Shapes keep their symbols, so that plans and generated code
// read B and T; Sizes gives the numbers.
var Bind = Pass{
	Name: "bind", Doc: "Fixes every dimension to a number or a capacity.",
	Run: bind, Required: true,
}

func bind(u *Unit) error {
	// The order of the map does not matter: each name has a declaration of its
	// own. A size that no dimension bears is no error: `block`, of the cache,
	// is a number in the type of a state and never a symbol.
	for name, n := range u.Config.Dims {
		i := slices.IndexFunc(u.Module.Dims, func(d ir.DimDecl) bool { return d.Name == name })
		if i < 0 {
			continue
		}
		d := &u.Module.Dims[i]
		// The declared range was what the verifier and shape inference relied
		// on; a number outside of it could make a shape that was never checked.
		if n < d.Min || n > d.Max {
			return fmt.Errorf("bind: %s = %d is outside of [%d, %d]", name, n, d.Min, d.Max)
		}
		d.Min, d.Max = n, n
		u.Stats["bound"]++
	}
	return nil
}

// Sizes gives each dimension's number or capacity.
//
// Before bind that is the upper bound of each, afterwards the number where one
// was given. Everything that counts bytes or FLOPs goes through here, so that a
// program whose sizes vary is planned for the largest.
func Sizes(m *ir.Module) map[string]int64 {
	s := map[string]int64{}
	for _, d := range m.Dims {
		s[d.Name] = d.Max
	}
	return s
}
