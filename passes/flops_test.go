package passes

import (
	"path/filepath"
	"testing"

	"github.com/llamac/llamac/ir/build"
	"github.com/llamac/llamac/plan"
	"github.com/llamac/llamac/specs"
)

// TestGradFLOPs holds the plan's work to what a linear layer's backward is: the
// gradient of its input takes as many FLOPs as that of its weight. It must not
// matter whether members of a pack lie side by side, in one launch, or apart,
// in one each; without fuse_swiglu the gradients of gate and up do not.
func TestGradFLOPs(t *testing.T) {
	launches := map[int]bool{}
	for _, disable := range [][]string{nil, {"fuse_swiglu"}} {
		s, err := specs.Load(filepath.Join("..", "specs", "gopher.jsonnet"), specs.Options{})
		if err != nil {
			t.Fatal(err)
		}
		m, err := build.Train(s)
		if err != nil {
			t.Fatal(err)
		}
		u := &Unit{Module: m, Config: Config{Disable: disable,
			Dims: map[string]int64{"B": int64(s.Train.MicroBatch), "T": int64(s.Model.Context)}}}
		if err := Run(u, Train); err != nil {
			t.Fatal(err)
		}
		flops := map[string]int64{}
		n := 0
		u.Plan.Program("micro_step").Walk(func(it plan.Item) {
			if l, ok := it.(*plan.Launch); ok {
				flops[l.Op] += l.FLOPs
				if l.Op == "linear_grad_x" {
					n++
				}
			}
		})
		launches[n] = true
		if x, w := flops["linear_grad_x"], flops["linear_grad_w"]; x != w || x == 0 {
			t.Errorf("without %v: gradients of inputs take %d FLOPs, of weights %d", disable, x, w)
		}
	}
	if len(launches) != 2 {
		t.Errorf("as many launches with the pack apart as with it whole: %v", launches)
	}
}
