package generated

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/llamac/llamac/generated/pocket"
	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/runtime/model/modeltest"
	"github.com/llamac/llamac/runtime/schedule"
	"github.com/llamac/llamac/weights"
)

// pocketReference is what PyTorch gives for the trained weights beside it:
// reference.py there says how it was made, and what the arrays are.
type pocketReference struct {
	Loss    float64
	Tensors []struct {
		Name  string
		Shape []int
		Moved float64 // norm of the change in the ten steps
	}
	Train struct {
		MaxLR       float64 `json:"max_lr"`
		MinLR       float64 `json:"min_lr"`
		WeightDecay float64 `json:"weight_decay"`
		Warmup      int
		Accum       int
		Beta1       float64
		Beta2       float64
		Eps         float64
		Clip        float64
		Steps       []struct {
			LR       float64
			Loss     float64
			GradNorm float64 `json:"grad_norm"`
		}
	}
}

// pocketFile is a file of PyTorch's results. They are always there.
func pocketFile(name string) string { return filepath.Join("testdata", "pocket", name) }

func readPocketReference(t *testing.T) *pocketReference {
	t.Helper()
	b, err := os.ReadFile(pocketFile("reference.json"))
	if err != nil {
		t.Fatal(err)
	}
	r := new(pocketReference)
	if err := json.Unmarshal(b, r); err != nil {
		t.Fatal(err)
	}
	return r
}

// pocketText gives the held-out text as ids: bytes are tokens.
func pocketText(t *testing.T) []int32 {
	t.Helper()
	b, err := os.ReadFile(pocketFile("text.txt"))
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]int32, len(b))
	for i, c := range b {
		ids[i] = int32(c)
	}
	return ids
}

func pocketTrainer(t *testing.T) model.Trainer {
	t.Helper()
	tr, err := pocket.NewTrainer(model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	if err := weights.Load(pocket.Info, pocketFile("weights.safetensors"), tr.Params()); err != nil {
		t.Fatal(err)
	}
	return tr
}

// pocketWeight finds a weight by Meta's name.
func pocketWeight(t *testing.T, name string) model.Weight {
	t.Helper()
	i := slices.IndexFunc(pocket.Info.Weights, func(w model.Weight) bool { return w.Meta == name })
	if i < 0 {
		t.Fatalf("no weight %s", name)
	}
	return pocket.Info.Weights[i]
}

// TestPocketGradients compares loss and every element of every gradient with
// PyTorch's on trained weights, from the training step and the loss also from
// the program that evaluates.
func TestPocketGradients(t *testing.T) {
	ref, text, tr := readPocketReference(t), pocketText(t), pocketTrainer(t)
	n := pocket.B * pocket.T
	in := model.Batch{Tokens: text[:n], Targets: text[1:][:n]}
	for what, loss := range map[string]float32{"MicroStep": tr.MicroStep(in, true), "Eval": tr.Eval(in)} {
		if relative(float64(loss), ref.Loss) > 1e-5 {
			t.Errorf("%s: loss %v, PyTorch has %v", what, loss, ref.Loss)
		}
	}
	want, err := modeltest.ReadF32(pocketFile("grads.f32"))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range ref.Tensors {
		w := pocketWeight(t, x.Name)
		if !slices.Equal(w.Shape, x.Shape) || len(want) < w.Len() {
			t.Fatalf("%s has shape %v, PyTorch's %v", x.Name, w.Shape, x.Shape)
		}
		if diff, scale := modeltest.MaxDiff(tr.Grads()[w.Offset:][:w.Len()], want[:w.Len()]); !(diff <= 1e-4*scale) {
			t.Errorf("gradient of %s differs by %.3g of %.3g", w.Name, diff, scale)
		}
		want = want[w.Len():]
	}
	if len(ref.Tensors) != len(pocket.Info.Weights) || len(want) != 0 {
		t.Errorf("%d gradients checked of %d, %d numbers left over", len(ref.Tensors), len(pocket.Info.Weights), len(want))
	}
}

// TestPocketTraining runs PyTorch's ten steps of AdamW, each of two
// micro-batches, and compares how far they move each weight.
func TestPocketTraining(t *testing.T) {
	ref, text, tr := readPocketReference(t), pocketText(t), pocketTrainer(t)
	start := slices.Clone(tr.Params())
	r := ref.Train
	lr := schedule.Cosine{Peak: r.MaxLR, MinRatio: r.MinLR / r.MaxLR, Warmup: r.Warmup, Decay: len(r.Steps)}
	n, at := pocket.B*pocket.T, 0
	for i, want := range r.Steps {
		loss := 0.0
		for a := range r.Accum {
			loss += float64(tr.MicroStep(model.Batch{Tokens: text[at:][:n], Targets: text[at+1:][:n]}, a == 0)) / float64(r.Accum)
			at += n
		}
		h := model.Hyper{Step: i + 1, LR: lr.LR(i + 1), Beta1: r.Beta1, Beta2: r.Beta2, Eps: r.Eps, WeightDecay: r.WeightDecay, Clip: r.Clip,
			GradScale: 1 / float64(r.Accum)}
		if relative(h.LR, want.LR) > 1e-12 {
			t.Errorf("step %d: learning rate %v, PyTorch's run has %v", i+1, h.LR, want.LR)
		}
		if norm := tr.Update(h); relative(loss, want.Loss) > 1e-3 || relative(norm, want.GradNorm) > 1e-3 {
			t.Errorf("step %d: loss %v and gradient norm %v, PyTorch has %v and %v", i+1, loss, norm, want.Loss, want.GradNorm)
		}
	}
	for _, x := range ref.Tensors {
		w := pocketWeight(t, x.Name)
		moved := slices.Clone(tr.Params()[w.Offset:][:w.Len()])
		for i := range moved {
			moved[i] -= start[w.Offset+i]
		}
		if got := l2(moved); relative(got, x.Moved) > 1e-3 {
			t.Errorf("%s moves by %v, PyTorch's by %v", w.Name, got, x.Moved)
		}
	}
}

// TestPocketLogits compares every position's logits with PyTorch's, from a
// prefill and token by token.
func TestPocketLogits(t *testing.T) {
	want, err := modeltest.ReadF32(pocketFile("logits.f32"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := pocket.NewDecoder(model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := weights.Load(pocket.Info, pocketFile("weights.safetensors"), d.Params()); err != nil {
		t.Fatal(err)
	}
	const T, V = pocket.T, pocket.Vocab
	ids := pocketText(t)[:T]
	rows := make([]int32, T)
	for i := range rows {
		rows[i] = int32(i)
	}
	prefill, decode := make([]float32, T*V), make([]float32, T*V)
	if err := d.Step(ids, make([]int32, T), rows, prefill); err != nil {
		t.Fatal(err)
	}
	for i := range ids {
		if err := d.Step(ids[i:i+1], []int32{1}, rows[:1], decode[i*V:][:V]); err != nil {
			t.Fatal(err)
		}
	}
	for how, got := range map[string][]float32{"prefill": prefill, "decode": decode} {
		for i := range ids {
			if diff, scale := modeltest.MaxDiff(got[i*V:][:V], want[i*V:][:V]); !(diff <= 1e-4*scale) {
				t.Errorf("%s: logits at %d differ by %.3g of %.3g", how, i, diff, scale)
			}
		}
	}
}
