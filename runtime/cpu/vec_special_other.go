//go:build !amd64

package cpu

// The portable twins of vec_special.go.
func vecSub(_ isa, y, a, b []float32)           { subGo(y, a, b) }
func vecDiv(_ isa, y, a, b []float32)           { divGo(y, a, b) }
func vecShift(_ isa, y, x []float32, s float32) { shiftGo(y, x, s) }
func vecSqrt(_ isa, y, x []float32)             { sqrtGo(y, x) }
func vecRecip(_ isa, y, x []float32)            { recipGo(y, x) }
func vecRelu(_ isa, y, x []float32)             { reluGo(y, x) }
func vecErf(_ isa, y, x []float32)              { erfGo(y, x) }
func vecTanh(_ isa, y, x []float32)             { tanhGo(y, x) }
