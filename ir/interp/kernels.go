package interp

import (
	"maps"

	"github.com/llamac/llamac/ir"
)

// call is one node with its operands' values. Kernels fill out, which starts
// as zeros of the right shape, and must not change in.
type call struct {
	*run
	n *ir.Node
	// Chooses the layer's own weight, gradient and state.
	layer int // -1 outside of the layers
	in    []*Tensor
	out   []*Tensor
}

// kernel computes one node. Errors are of the data (a target beyond the vocabulary): what types can tell,
// the verifier has told.
type kernel func(*call) error

// kernels holds a reference kernel for each op. It is filled by init because
// the kernels of stacks run functions, which look kernels up again.
var kernels map[string]kernel

func init() {
	kernels = map[string]kernel{}
	for _, group := range []map[string]kernel{
		shapeKernels, elementwiseKernels, reduceKernels, linearKernels, lossKernels,
		fusedKernels, attentionKernels, packKernels, controlKernels,
	} {
		maps.Copy(kernels, group)
	}
}

// Has reports whether there is a reference kernel for an op.
func Has(op string) bool { return kernels[op] != nil }

// pure makes a kernel that cannot fail.
func pure(f func(c *call)) kernel {
	return func(c *call) error {
		f(c)
		return nil
	}
}

// has reports whether optional operand i is there.
func (c *call) has(i int) bool { return i < len(c.in) && c.in[i] != nil }

// dot is the scalar product of two rows.
func dot(a, b []float64) float64 {
	s := 0.0
	for i, x := range a {
		s += x * b[i]
	}
	return s
}

// axpy adds c·x to y.
func axpy(y []float64, c float64, x []float64) {
	for i := range y {
		y[i] += c * x[i]
	}
}
