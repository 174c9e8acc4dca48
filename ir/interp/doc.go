// Package interp runs functions of package ir slowly and obviously: floats in
// float64, integers in int64, truth values as bools. It is the oracle of the
// compiler: a pass is right if interp computes the same before and after it, a
// backward rule if it agrees with central differences of interp, a kernel if
// it agrees with interp within the error of its type.
//
// Each op has one small function that follows the op's definition and nothing
// else; a fused op is written out directly, not through its expansion, so that
// the two can be compared.
//
//	m := interp.NewMachine(map[string]int64{"B": 2, "T": 16})
//	m.InitWeights(mod, rand.New(rand.NewPCG(1, 2)))
//	out, err := m.Run(mod, "loss", tokens, targets)
//
// Nothing here knows runtime/ or a target.
package interp
