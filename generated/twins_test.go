package generated

import (
	"math"
	"slices"
	"testing"

	"github.com/llamac/llamac/generated/tiny_gqa"
	"github.com/llamac/llamac/generated/tiny_gqa_auto"
	"github.com/llamac/llamac/generated/tiny_gqa_full"
	"github.com/llamac/llamac/generated/tiny_gqa_none"
	"github.com/llamac/llamac/generated/tiny_mha"
	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/runtime/model/modeltest"
)

// run is one micro-batch of a twin, and the gradients' sum with another.
type run struct {
	loss       float32
	grads, sum []float32
	counters   map[string]int64
}

func microStep(t *testing.T, info *model.Info) run {
	t.Helper()
	tr, err := info.NewTrainer(model.Options{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	modeltest.Fill(tr.Params(), info.Weights, modeltest.WeightSeed)
	tr.Counters()
	for i := range tr.Grads() {
		tr.Grads()[i] = float32(math.NaN()) // the first of a step overwrites
	}
	r := run{loss: tr.MicroStep(modeltest.Batch(info, modeltest.TokenSeed, modeltest.TargetSeed), true)}
	r.counters, r.grads = tr.Counters(), slices.Clone(tr.Grads())
	tr.MicroStep(modeltest.Batch(info, 5, 6), false)
	r.sum = tr.Grads()
	return r
}

// TestPolicies holds the promise of checkpoint planning: what is recomputed
// comes out of the same kernels on the same numbers, so that gradients are
// equal bit for bit under every policy, also where layers store different
// things; and keep-linear runs no matrix product again.
func TestPolicies(t *testing.T) {
	none, linear, full := microStep(t, &tiny_gqa_none.Info), microStep(t, &tiny_gqa.Info), microStep(t, &tiny_gqa_full.Info)
	auto := microStep(t, &tiny_gqa_auto.Info)
	for name, r := range map[string]run{"keep-linear": linear, "full": full, "auto": auto} {
		if r.loss != none.loss {
			t.Errorf("%s: loss %v, with everything stored %v", name, r.loss, none.loss)
		}
		for i := range none.grads {
			if math.Float32bits(r.grads[i]) != math.Float32bits(none.grads[i]) {
				t.Fatalf("%s: gradient %d is %v, with everything stored %v", name, i, r.grads[i], none.grads[i])
			}
			if math.Float32bits(r.sum[i]) != math.Float32bits(none.sum[i]) {
				t.Fatalf("%s: gradient %d is %v after two micro-batches, with everything stored %v", name, i, r.sum[i], none.sum[i])
			}
		}
	}
	if a, b := linear.counters["gemms"], none.counters["gemms"]; a != b {
		t.Errorf("keep-linear runs %d matrix products, without recomputation there are %d", a, b)
	}
	// A layer recomputed in full runs its packed q, k and v, its output
	// projection and its gate and up projection again; nothing reads the last
	// projection's result.
	layers := int64(tiny_gqa_full.Info.Layers)
	if a, b := full.counters["gemms"], none.counters["gemms"]+3*layers; a != b {
		t.Errorf("full recomputation runs %d matrix products, want %d", a, b)
	}
	if a, b := linear.counters["attention_blocks"], none.counters["attention_blocks"]; a != b {
		t.Errorf("keep-linear visits %d blocks of keys, without recomputation %d", a, b)
	}
	if a, b := full.counters["attention_blocks"], 2*none.counters["attention_blocks"]; a != b {
		t.Errorf("full recomputation visits %d blocks of keys, want %d", a, b)
	}
	// Under its budget the lower layer stores k, rotated, but not q and v: its
	// projections are three products in place of a pack, and q, v and the pack of
	// gate and up are made again.
	if a, b := auto.counters["gemms"], none.counters["gemms"]+2+3; a != b {
		t.Errorf("under a budget %d matrix products are run, want %d", a, b)
	}
	if m := tiny_gqa_auto.Info.Memory.TrainActivations; m > 140000 {
		t.Errorf("%d bytes of activations with a budget of 140000", m)
	}
}

// TestStoredBytes compares what the twins store of a layer with the closed
// form: with s·b tokens, width h, key/value width h_kv, hidden width f, a heads
// and e = 4 bytes a number,
//
//	none         x, n1, q', k', v, o, r, n2, g, u, m    6h + 2·h_kv + 3f numbers
//	keep-linear  x, q', k', v, o, r, g, u               4h + 2·h_kv + 2f
//	full         x                                      h
//
// and 4 bytes of logsumexp a token and head, except for full.
func TestStoredBytes(t *testing.T) {
	for _, c := range []struct {
		info *model.Info
		wide func(h, kv, f int64) int64
		lse  int64
	}{
		{&tiny_gqa_none.Info, func(h, kv, f int64) int64 { return 6*h + 2*kv + 3*f }, 1},
		{&tiny_gqa.Info, func(h, kv, f int64) int64 { return 4*h + 2*kv + 2*f }, 1},
		{&tiny_mha.Info, func(h, kv, f int64) int64 { return 4*h + 2*kv + 2*f }, 1},
		{&tiny_gqa_full.Info, func(h, kv, f int64) int64 { return h }, 0},
	} {
		i := c.info
		tokens := int64(i.Recipe.MicroBatch * i.Context)
		want := 4 * tokens * (c.wide(int64(i.Dim), int64(i.KVHeads*i.HeadDim), int64(i.FFNDim)) + c.lse*int64(i.Heads))
		if got := i.Memory.SavedPerLayer; got != want {
			t.Errorf("%s stores %d bytes a layer, want %d", i.Name, got, want)
		}
	}
}

// TestTwinsLearn trains each twin on one micro-batch until it knows it.
func TestTwinsLearn(t *testing.T) {
	for _, info := range []*model.Info{&tiny_gqa.Info, &tiny_mha.Info} {
		tr, err := info.NewTrainer(model.Options{})
		if err != nil {
			t.Fatal(err)
		}
		modeltest.Fill(tr.Params(), info.Weights, modeltest.WeightSeed)
		in := modeltest.Batch(info, 5, 6)
		var first, last float32
		for step := 1; step <= 60; step++ {
			last = tr.MicroStep(in, true)
			if step == 1 {
				first = last
			}
			tr.Update(model.Hyper{Step: step, LR: 1e-2, Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, Clip: 1, GradScale: 1})
		}
		tr.Close()
		if !(last < first/20) {
			t.Errorf("%s: 60 steps on one micro-batch took the loss from %v to %v only", info.Name, first, last)
		}
	}
}
