package generated

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llamac/llamac/generated/stories260k"
	"github.com/llamac/llamac/generated/stories260k_short"
	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/runtime/model/modeltest"
	"github.com/llamac/llamac/runtime/schedule"
	"github.com/llamac/llamac/tokenizer"
	"github.com/llamac/llamac/weights"
)

// asset is a file of the folder LLAMAC_ASSETS; tests without it are skipped.
func asset(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("LLAMAC_ASSETS")
	if dir == "" {
		t.Skip("LLAMAC_ASSETS not set: " + name)
	}
	return filepath.Join(dir, filepath.FromSlash(name))
}

// reference is what PyTorch gives for the trained weights of stories260K.
type reference struct {
	Forward struct {
		Tokens, Targets []int32
		Loss            float64
	}
	Grads map[string]struct{ L2, Sum float64 }
	Train struct {
		MaxLR  float64 `json:"max_lr"`
		MinLR  float64 `json:"min_lr"`
		Warmup int     `json:"warmup_iters"`
		Decay  int     `json:"lr_decay_iters"`
		Batch  int     `json:"batch_size"`
		Seq    int     `json:"seq_len"`
		Tokens []int32
		Steps  []struct {
			LR       float64
			Loss     float64
			GradNorm float64 `json:"grad_norm_before_clip"`
		}
		FinalParams map[string]struct{ L2, Sum float64 } `json:"final_params"`
	}
}

func storiesReference(t *testing.T) *reference {
	t.Helper()
	b, err := os.ReadFile(asset(t, "refs/ref_stories260K_dev.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r reference
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return &r
}

func storiesTrainer(t *testing.T) model.Trainer {
	t.Helper()
	tr, err := stories260k_short.NewTrainer(model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := weights.Load(stories260k_short.Info, asset(t, "weights/stories260K/stories260K.bin"), tr.Params()); err != nil {
		t.Fatal(err)
	}
	return tr
}

func relative(got, want float64) float64 { return math.Abs(got-want) / math.Abs(want) }

func l2(x []float32) float64 {
	var s float64
	for _, v := range x {
		s += float64(v) * float64(v)
	}
	return math.Sqrt(s)
}

// TestStoriesGradients compares loss and the norm of each gradient with
// PyTorch's on really trained weights. One sequence counts; the others of the
// micro-batch have no targets.
func TestStoriesGradients(t *testing.T) {
	ref := storiesReference(t)
	tr := storiesTrainer(t)
	defer tr.Close()
	n := stories260k_short.B * stories260k_short.T
	tokens, targets := make([]int32, n), make([]int32, n)
	for i := range targets {
		targets[i] = -1
	}
	copy(tokens, ref.Forward.Tokens)
	copy(targets, ref.Forward.Targets)
	loss := tr.MicroStep(model.Batch{Tokens: tokens, Targets: targets}, true)
	if relative(float64(loss), ref.Forward.Loss) > 1e-5 {
		t.Errorf("loss %v, PyTorch has %v", loss, ref.Forward.Loss)
	}
	checked := 0
	for _, w := range stories260k_short.Info.Weights {
		want, ok := ref.Grads[w.Meta]
		if !ok {
			t.Errorf("PyTorch has no gradient of %s", w.Meta)
			continue
		}
		checked++
		if got := l2(tr.Grads()[w.Offset:][:w.Len()]); relative(got, want.L2) > 1e-4 {
			t.Errorf("gradient of %s has norm %v, PyTorch %v", w.Name, got, want.L2)
		}
	}
	if checked != len(ref.Grads) {
		t.Errorf("%d gradients checked of %d", checked, len(ref.Grads))
	}
}

// TestStoriesTraining runs PyTorch's twenty steps of AdamW.
func TestStoriesTraining(t *testing.T) {
	ref := storiesReference(t).Train
	tr := storiesTrainer(t)
	defer tr.Close()
	if ref.Batch != stories260k_short.B || ref.Seq != stories260k_short.T {
		t.Fatalf("the reference has %d sequences of %d tokens", ref.Batch, ref.Seq)
	}
	lr := schedule.Cosine{Peak: ref.MaxLR, MinRatio: ref.MinLR / ref.MaxLR, Warmup: ref.Warmup, Decay: ref.Decay}
	n := ref.Batch * ref.Seq
	for i, s := range ref.Steps {
		loss := tr.MicroStep(model.Batch{Tokens: ref.Tokens[i*n:][:n], Targets: ref.Tokens[i*n+1:][:n]}, true)
		h := model.Hyper{Step: i + 1, LR: lr.LR(i + 1), Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, WeightDecay: 0.1, Clip: 1, GradScale: 1}
		if relative(h.LR, s.LR) > 1e-12 {
			t.Errorf("step %d: learning rate %v, PyTorch's run has %v", i+1, h.LR, s.LR)
		}
		norm := tr.Update(h)
		if relative(float64(loss), s.Loss) > 1e-3 || relative(norm, s.GradNorm) > 1e-3 {
			t.Errorf("step %d: loss %v and gradient norm %v, PyTorch has %v and %v", i+1, loss, norm, s.Loss, s.GradNorm)
		}
	}
	for _, w := range stories260k_short.Info.Weights {
		if got, want := l2(tr.Params()[w.Offset:][:w.Len()]), ref.FinalParams[w.Meta].L2; relative(got, want) > 1e-4 {
			t.Errorf("%s ends with norm %v, PyTorch's with %v", w.Name, got, want)
		}
	}
}

// TestStoriesLogits compares every position's logits with PyTorch's, from a
// prefill and token by token.
func TestStoriesLogits(t *testing.T) {
	ref := storiesReference(t)
	want, err := modeltest.ReadF32(asset(t, "refs/ref_stories260K_dev_logits_f32_64x512.bin"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := stories260k.NewDecoder(model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := weights.Load(stories260k.Info, asset(t, "weights/stories260K/stories260K.bin"), d.Params()); err != nil {
		t.Fatal(err)
	}
	V := stories260k.Vocab
	ids := ref.Forward.Tokens
	rows := make([]int32, len(ids))
	for i := range rows {
		rows[i] = int32(i)
	}
	logits := make([]float32, len(ids)*V)
	if err := d.Step(ids, make([]int32, len(ids)), rows, logits); err != nil {
		t.Fatal(err)
	}
	one := make([]float32, V)
	for i, id := range ids {
		if err := d.Step([]int32{id}, []int32{1}, []int32{0}, one); err != nil {
			t.Fatal(err)
		}
		for how, got := range map[string][]float32{"prefill": logits[i*V:][:V], "decode": one} {
			if diff, scale := modeltest.MaxDiff(got, want[i*V:][:V]); !(diff <= 1e-4*scale) {
				t.Errorf("%s: logits at %d differ by %.3g of %.3g", how, i, diff, scale)
			}
		}
	}
}

// TestStoriesGreedy writes 200 tokens of greedy text: it must be llama2.c's to
// the letter, and the same with weights and vocabulary in files of other
// programs. Meta's file has bfloat16, which changes the text late.
func TestStoriesGreedy(t *testing.T) {
	text, err := os.ReadFile(asset(t, "weights/stories260K/expected_greedy_200.txt"))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.TrimRight(string(text), "\n")
	const bin, gguf = "weights/stories260K/tok512.bin", "weights/stories260K/stories260K-F32.gguf"
	for _, c := range []struct {
		weights, tokenizer string
		tokens             int
	}{
		{"weights/stories260K/stories260K.bin", bin, 200},
		{gguf, gguf, 200},
		{"weights/stories260K/stories260K-F16.gguf", gguf, 200},
		{"weights/stories260K_hf_f32", bin, 200},
		{"weights/stories260K_meta", bin, 60},
	} {
		got := strings.TrimRight(greedy(t, asset(t, c.weights), asset(t, c.tokenizer), c.tokens), "\n")
		if c.tokens < 200 && len(got) > 100 && strings.HasPrefix(want, got) {
			continue
		}
		if got != want {
			t.Errorf("%s: got  %q\nwant %q", c.weights, got, want)
		}
	}
}

// greedy writes the likeliest tokens after BOS.
func greedy(t *testing.T, path, vocabulary string, tokens int) string {
	t.Helper()
	tok, err := tokenizer.Open(vocabulary)
	if err != nil {
		t.Fatal(err)
	}
	d, err := stories260k.NewDecoder(model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := weights.Load(stories260k.Info, path, d.Params()); err != nil {
		t.Fatal(err)
	}
	ids := []int32{tok.BOS()}
	logits := make([]float32, stories260k.Vocab)
	for len(ids) <= tokens {
		if err := d.Step(ids[len(ids)-1:], []int32{0}, []int32{0}, logits); err != nil {
			t.Fatal(err)
		}
		best := 0
		for i, x := range logits {
			if x > logits[best] {
				best = i
			}
		}
		ids = append(ids, int32(best))
	}
	return strings.TrimLeft(string(tok.Decode(nil, ids)), " ")
}
