package compile

import (
	"bytes"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/passes"
	"github.com/llamac/llamac/specs"
)

func load(t testing.TB, name string, set ...string) *specs.Spec {
	t.Helper()
	s, err := specs.Load(filepath.Join("..", "..", "specs", name), specs.Options{Set: set})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sizes are Table 2 of the LLaMA paper with the exact number of parameters,
// and the activations of all layers in GiB for one sequence of 2048 tokens in
// 16 bits, by checkpoint policy.
var sizes = []struct {
	spec                   string
	params                 int64
	none, keepLinear, full float64
}{
	{"7b.jsonnet", 6738415616, 8.04, 5.70, 0.50},
	{"13b.jsonnet", 13015864320, 12.59, 8.92, 0.78},
	{"33b.jsonnet", 32528943616, 24.52, 17.37, 1.52},
	{"65b.jsonnet", 65285660672, 40.20, 28.48, 2.50},
}

func TestSizes(t *testing.T) {
	var lines []int
	for _, c := range sizes {
		r, err := Spec(load(t, c.spec), Options{})
		if err != nil {
			t.Fatal(err)
		}
		f := Figures(load(t, c.spec), r)
		if f.Params != c.params {
			t.Errorf("%s: %d parameters, want %d", c.spec, f.Params, c.params)
		}
		lines = append(lines, f.Lines)
		again, err := Spec(load(t, c.spec), Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i, file := range r.Files {
			if !bytes.Equal(file.Data, again.Files[i].Data) {
				t.Errorf("%s: %s comes out differently the second time", c.spec, file.Name)
			}
		}
	}
	if d := lines[3] - lines[0]; d < -200 || d > 200 {
		t.Errorf("65B has %d lines of Go, 7B %d", lines[3], lines[0])
	}
}

// TestActivations holds the plans of the four sizes in 16 bits to the closed
// forms: a layer stores s·b·e·(4h + 2·h_kv + 2f) + 4asb under keep-linear,
// s·b·e·(6h + 2·h_kv + 3f) + 4asb with everything stored, s·b·e·h in full.
func TestActivations(t *testing.T) {
	for _, c := range sizes {
		s := load(t, c.spec, "precision.compute=bf16")
		m := s.Model
		tokens := int64(s.Train.MicroBatch) * int64(m.Context)
		h, kv, f, lse := int64(m.Dim), int64(m.KVHeads*m.HeadDim), int64(m.FFNDim), 4*int64(m.Heads)
		for policy, want := range map[string]struct {
			bytes int64
			gib   float64
		}{
			"none":        {2*(6*h+2*kv+3*f) + lse, c.none},
			"keep-linear": {2*(4*h+2*kv+2*f) + lse, c.keepLinear},
			"full":        {2 * h, c.full},
		} {
			r, err := Spec(s, Options{Checkpoint: policy, Modes: []string{"train"}, Targets: []string{}})
			if err != nil {
				t.Fatal(err)
			}
			got := Figures(s, r).SavedPerLayer
			if got != tokens*want.bytes {
				t.Errorf("%s, %s: a layer stores %d bytes, want %d", c.spec, policy, got, tokens*want.bytes)
			}
			// The printed table leaves out the statistics of the norms, as we do.
			if gib := float64(got) * float64(m.Layers) / (1 << 30); math.Abs(gib-want.gib) > 0.006 {
				t.Errorf("%s, %s: %.3f GiB for all layers, want %.2f", c.spec, policy, gib, want.gib)
			}
		}
	}
}

// TestModelFLOPs compares the work of a token with 6·(parameters of matrix
// products) + 6·L·h·s.
func TestModelFLOPs(t *testing.T) {
	for _, c := range sizes {
		s := load(t, c.spec)
		r, err := Spec(s, Options{Modes: []string{"train"}, Targets: []string{}})
		if err != nil {
			t.Fatal(err)
		}
		m := s.Model
		h, f, l, v := int64(m.Dim), int64(m.FFNDim), int64(m.Layers), int64(m.Vocab)
		want := 6*(l*(4*h*h+3*h*f)+v*h) + 6*l*h*int64(m.Context)
		if got := r.Plan.ModelFLOPsPerToken(); got != want {
			t.Errorf("%s: %d FLOPs a token, want %d", c.spec, got, want)
		}
	}
}

// TestPipelineDeterminism compiles in five random legal orders of nodes: the
// plans must be as large, and the same order must give the same text.
func TestPipelineDeterminism(t *testing.T) {
	for _, name := range []string{"tiny_gqa.jsonnet", "tiny_mha.jsonnet", "testdata/parallel.jsonnet"} {
		s := load(t, name)
		var saved int64
		for seed := uint64(1); seed <= 5; seed++ {
			var texts [2]string
			for i := range texts {
				var b strings.Builder
				r, err := Spec(s, Options{Shuffle: seed, Observe: func(_ string, p passes.Report) { b.WriteString(p.Unit.Module.String()) }})
				if err != nil {
					t.Fatal(err)
				}
				b.WriteString(r.Plan.String())
				texts[i] = b.String()
				f := Figures(s, r)
				if saved == 0 {
					saved = f.SavedPerLayer
				}
				if f.SavedPerLayer != saved {
					t.Errorf("%s, order %d: a layer stores %d bytes, in another order %d", name, seed, f.SavedPerLayer, saved)
				}
			}
			if texts[0] != texts[1] {
				t.Errorf("%s, order %d: two compilations differ", name, seed)
			}
		}
	}
}

// TestTextForms parses the module after each pass and prints it again.
func TestTextForms(t *testing.T) {
	for _, name := range []string{"gopher.jsonnet", "smollm-135m.jsonnet", "testdata/qknorm.jsonnet", "testdata/gelu.jsonnet"} {
		_, err := Spec(load(t, name), Options{Observe: func(mode string, r passes.Report) {
			text := r.Unit.Module.String()
			where := fmt.Sprintf("%s-%s-%s", name, mode, r.Pass.Name)
			m, err := ir.Parse(where, []byte(text))
			if err != nil {
				t.Errorf("%v", err)
				return
			}
			if m.String() != text {
				t.Errorf("%s changes when parsed and printed", where)
			}
			if err := ir.Verify(m); err != nil {
				t.Errorf("%s: %v", where, err)
			}
		}})
		if err != nil {
			t.Error(err)
		}
	}
}
