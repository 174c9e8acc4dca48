package exec_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/llamac/llamac/exec"
	"github.com/llamac/llamac/generated/tiny_gqa_mask"
	"github.com/llamac/llamac/internal/compile"
	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/runtime/model/modeltest"
	"github.com/llamac/llamac/specs"
)

// TestMaskedPolicies holds the promise of checkpoint planning where attention
// stops at documents: under every policy the gradients have the bits of the
// generated program.
func TestMaskedPolicies(t *testing.T) {
	s, err := specs.Load(filepath.Join("..", "specs", "tiny_gqa.jsonnet"), specs.Options{Set: []string{"data.boundary=mask"}})
	if err != nil {
		t.Fatal(err)
	}
	info := &tiny_gqa_mask.Info
	in := modeltest.Batch(info, 1, 2)
	run := func(tr model.Trainer, err error) (float32, []float32) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(tr.Close)
		modeltest.Fill(tr.Params(), info.Weights, 5)
		return tr.MicroStep(in, true), tr.Grads()
	}
	loss, grads := run(info.NewTrainer(model.Options{Workers: 2}))
	stored := map[int64]bool{}
	menu, err := compile.Menu(s, compile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	least := menu.Minimum()
	for _, o := range []compile.Options{{Checkpoint: "none"}, {Checkpoint: "keep-linear"}, {Checkpoint: "full"},
		{Checkpoint: "auto", Budget: least}, {Checkpoint: "auto", Budget: (least + menu.Maximum()) / 2}} {
		policy := o.Checkpoint
		if o.Budget > 0 {
			policy = fmt.Sprintf("auto with %d bytes", o.Budget)
		}
		o.Modes = []string{"train"}
		r, err := compile.Spec(s, o)
		if err != nil {
			t.Fatal(err)
		}
		stored[r.Plan.Program("micro_step").SavedPerLayer] = true
		l, g := run(exec.NewTrainer(r.Plan, exec.Options{Poison: true}))
		sameBits(t, policy+": loss", []float32{l}, []float32{loss})
		for _, w := range info.Weights {
			sameBits(t, policy+": "+w.Name, g[w.Offset:][:w.Len()], grads[w.Offset:][:w.Len()])
		}
	}
	if len(stored) < 3 {
		t.Errorf("the policies store the same: %v", stored)
	}
}
