package compile

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/llamac/llamac/internal/diag"
	"github.com/llamac/llamac/specs"
)

// absurd is a spec with its sizes from --set, and a block that has one more
// projection, of a width of its own.
const absurd = `local llama = import 'llamac/llama.libsonnet';
local node = import 'llamac/node.libsonnet';
llama {
  name: 'absurd',
  model+: {
    dim: 64, n_layers: 2, n_heads: 4, n_kv_heads: 2, ffn_dim: 176, vocab: 256, context: 64,
    block: super.block + [node.linear('wide', 'out', 'wide', 96), node.linear('back', 'wide', 'back', $.model.dim)],
  },
  train+: { micro_batch: 2, steps: 10 }, optim+: { lr: 1e-3 }, schedule+: { warmup: 2 },
  data+: { sources: [{ name: 'text', share: 1, kind: 'files', paths: ['a'] }] },
  tokenizer+: { kind: 'file', path: 'a' },
}
`

// planSizes loads the spec and plans it, within a time that is generous for a
// loaded machine.
func planSizes(t *testing.T, text string, set ...string) (*Result, *specs.Spec, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "absurd.jsonnet")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	s, err := specs.Load(file, specs.Options{Set: set})
	if err != nil {
		return nil, nil, err
	}
	r, err := Spec(s, Options{Targets: []string{}})
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("%v: took %v", set, d)
	}
	return r, s, err
}

// TestAbsurdSizes asks for more than can be counted, in each of the fields and
// in a node: the answer names the field, at its place.
func TestAbsurdSizes(t *testing.T) {
	for _, c := range []struct{ set, want string }{
		{"model.dim=1000000000 model.n_heads=1 model.n_kv_heads=1", "--set model.dim=1000000000: model.dim is 1000000000: "},
		{"model.dim=10000000 model.n_heads=1 model.n_kv_heads=1", "--set model.dim=10000000: model.dim is 10000000: heads of 10000000 channels"},
		{"model.head_dim=100000", "--set model.head_dim=100000: model.head_dim is 100000: heads of 100000"},
		{"model.n_layers=2147483647", "--set model.n_layers=2147483647: model.n_layers is 2147483647: all layers would be"},
		{"model.n_layers=100000 model.ffn_dim=2147483647", "--set model.n_layers=100000: model.n_layers is 100000: all layers would be"},
		{"model.ffn_dim=2147483647 model.dim=200000 model.n_heads=1000", "model.ffn_dim is 2147483647: "},
		{"model.ffn_dim=2147483647 train.micro_batch=1000000 model.context=1000000", "train.micro_batch is 1000000: attn.s would have 4e+18 elements"},
		{"model.vocab=2147483647 model.dim=262144", "--set model.vocab=2147483647: model.vocab is 2147483647: "},
		{"model.context=2147483647", "model.context must be at most 16777216, not 2147483647"},
		{"train.micro_batch=2147483647", "train.micro_batch must be at most 1048576, not 2147483647"},
		{"train.micro_batch=1048576 model.context=16777216", "train.micro_batch is 1048576: attn.s would have 1.18e+21 elements"},
		{"train.micro_batch=1048576 model.context=65536 model.ffn_dim=100000000", "train.micro_batch is 1048576: ffn.g would have 6.87e+18 elements in a micro-batch, more than the 2.88e+17"},
		{"train.steps=2147483647 train.accum=2147483647", "train.accum is 2147483647: 2147483647 steps of 2147483647 x 2 sequences of 64 tokens are 5.9e+20 tokens"},
	} {
		_, _, err := planSizes(t, absurd, strings.Fields(c.set)...)
		var list diag.List
		var one *diag.Error
		if err == nil || !errors.As(err, &list) && !errors.As(err, &one) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.set, err, c.want)
		}
	}
	// What a node sets by itself is blamed where it stands.
	_, _, err := planSizes(t, strings.ReplaceAll(absurd, "96)", "2e9)"), "train.micro_batch=1000", "model.dim=1000000", "model.n_heads=10000")
	if err == nil || !strings.Contains(err.Error(), ".out is 2000000000: the weight wide would have 2e+15 elements") {
		t.Errorf("a node of 2e9: %v", err)
	}
}

// TestLargeSizes plans what is large and no mistake.
func TestLargeSizes(t *testing.T) {
	for _, set := range []string{
		"model.dim=50000 model.n_layers=200 model.n_heads=500 model.n_kv_heads=500 model.ffn_dim=200000 model.context=4096", // 2 T parameters and more
		"model.context=1048576",
		"train.micro_batch=1048576",
		"model.n_layers=1000",
		"model.vocab=1000000 model.dim=16384",
		"train.micro_batch=4096",
		// The largest of LLaMA 3.1 with its whole context.
		"model.dim=16384 model.n_layers=126 model.n_heads=128 model.n_kv_heads=8 model.ffn_dim=53248 model.vocab=128256 model.context=131072 train.micro_batch=1",
	} {
		r, s, err := planSizes(t, absurd, strings.Fields(set)...)
		if err != nil {
			t.Errorf("%s: %v", set, err)
			continue
		}
		positive(t, set, s, r)
	}
}

// positive holds every count of a plan to be one: what overflows is negative,
// soon or late.
func positive(t *testing.T, set string, s *specs.Spec, r *Result) {
	t.Helper()
	f := Figures(s, r)
	for name, n := range map[string]int64{"params": f.Params, "FLOPs a token": f.FLOPsPerToken, "tokens": f.Tokens, "FLOPs": f.StepFLOPs, "saved": f.SavedPerLayer} {
		if n <= 0 {
			t.Errorf("%s: %s is %d", set, name, n)
		}
	}
	for name, n := range f.Arenas {
		if n <= 0 {
			t.Errorf("%s: arena %s has %d bytes", set, name, n)
		}
	}
	// The closed form, which real numbers cannot overflow in.
	params := 0.0
	for _, w := range r.Train.Weights {
		params += w.Type.Estimate(nil) * float64(max(1, w.Layers))
	}
	if got := float64(f.Params); got < params*(1-1e-9) || got > params*(1+1e-9) {
		t.Errorf("%s: %v parameters, want %v", set, got, params)
	}
}

// TestRandomSizes takes sizes from the whole range that a field has. Whatever
// they are, the answer is a plan whose counts are right, or an error with a
// place.
func TestRandomSizes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	n := func() int { return 1 << rng.IntN(31) }
	planned := 0
	for range 60 {
		heads := 1 << rng.IntN(12)
		set := []string{
			fmt.Sprintf("model.n_heads=%d", heads), fmt.Sprintf("model.n_kv_heads=%d", heads>>rng.IntN(2)), fmt.Sprintf("model.dim=%d", heads<<rng.IntN(24)),
			fmt.Sprintf("model.n_layers=%d", 1+n()>>rng.IntN(32)), fmt.Sprintf("model.context=%d", 1+n()>>rng.IntN(32)),
			fmt.Sprintf("model.vocab=%d", n()), fmt.Sprintf("model.ffn_dim=%d", n()), fmt.Sprintf("train.micro_batch=%d", 1+n()>>rng.IntN(32)),
		}
		r, s, err := planSizes(t, absurd, set...)
		if err == nil {
			planned++
			positive(t, fmt.Sprint(set), s, r)
			continue
		}
		for line := range strings.Lines(err.Error()) {
			if !strings.HasPrefix(line, "--set ") && !strings.Contains(line, "absurd.jsonnet:") && !strings.HasPrefix(line, "\t") {
				t.Errorf("%v: no place: %v", set, err)
			}
		}
	}
	t.Logf("%d of 60 were planned", planned)
	if planned == 0 {
		t.Error("none could be planned")
	}
}
