package generated

import (
	"fmt"
	"testing"

	"github.com/llamac/llamac/generated/stories260k_short"
	"github.com/llamac/llamac/internal/oracle"
	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/runtime/model/modeltest"
	"github.com/llamac/llamac/specs"
)

// TestStoriesFullGradients compares every element of every gradient on the
// trained weights of stories260K with the interpreter's, to 1e-4 of the
// tensor's largest.
func TestStoriesFullGradients(t *testing.T) {
	ref := storiesReference(t)
	tr := storiesTrainer(t)
	defer tr.Close()
	info := stories260k_short.Info
	n := stories260k_short.B * stories260k_short.T
	tokens, targets := make([]int32, n), make([]int32, n)
	for i := range targets {
		targets[i] = -1
	}
	copy(tokens, ref.Forward.Tokens)
	copy(targets, ref.Forward.Targets)
	tr.MicroStep(model.Batch{Tokens: tokens, Targets: targets}, true)

	s, err := specs.Load("../specs/stories260k.jsonnet", specs.Options{Set: []string{"model.context=64"}})
	if err != nil {
		t.Fatal(err)
	}
	want, err := oracle.Compute(s, 1, model.Batch{Tokens: ref.Forward.Tokens, Targets: ref.Forward.Targets}, func(dst []float32, name string, _ []int) error {
		for _, w := range info.Weights {
			if w.Name == name {
				copy(dst, tr.Params()[w.Offset:][:w.Len()])
				return nil
			}
		}
		return fmt.Errorf("no weight %s", name)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range info.Weights {
		g := make([]float32, w.Len())
		for i, x := range want.Grads[w.Name] {
			g[i] = float32(x)
		}
		if diff, scale := modeltest.MaxDiff(tr.Grads()[w.Offset:][:w.Len()], g); !(diff <= 1e-4*scale) {
			t.Errorf("gradient of %s differs by %.3g of %.3g", w.Name, diff, scale)
		}
	}
}
