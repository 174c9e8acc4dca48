package passes

import (
	"testing"

	"github.com/llamac/llamac/ir"
)

// fuseSoftplus is ARCHITECTURE's example of a pass. It finds softplus spelled
// out, which overflows from exp(89) on:
//
//	before                     after
//	%e = exp(%x)               %y = softplus(%x)
//	%s = add(%e, 1)
//	%y = log(%s)
var fuseSoftplus = Pass{
	Name: "fuse_softplus",
	Doc:  "Finds log(1 + exp(x)) and makes it one softplus.",
	Run:  func(u *Unit) error { return fuse(u, matchSoftplus) },
}

func matchSoftplus(_ *graph, n *ir.Node) *match {
	log := def(n.Results[0], "log")
	if log == nil {
		return nil
	}
	e, one, add := addend(log.Operands[0]) // the sum in either order
	exp := def(e, "exp")
	if exp == nil || one != 1 {
		return nil
	}
	x := exp.Operands[0]
	return &match{root: n, inner: []*ir.Node{add, exp}, rule: "softplus", build: func(b *ir.Builder) *ir.Value {
		return b.Op("softplus", n.Results[0].Name, nil, x)
	}}
}

// TestExamplePass runs the example's cases as TestTxtar does those of the
// pipelines.
func TestExamplePass(t *testing.T) {
	runFolder(t, "example_fuse_softplus", []Pass{fuseSoftplus})
}
