package oracle

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/llamac/llamac/ir/build"
	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/runtime/model/modeltest"
	"github.com/llamac/llamac/specs"
	"github.com/llamac/llamac/weights"
)

// TestLayouts loads one file into a model in each layout of RoPE's pairs: the loss
// and the logits are those of the same model. Something stands between a projection
// and the scores in most of them, which has to be permuted as well.
func TestLayouts(t *testing.T) {
	const begin = `
		local twin = import 'llamac/twin.libsonnet';
		local node = import 'llamac/node.libsonnet';
		twin { name: 'layouts', model+: { local m = self, dim: 18, n_heads: 3, n_kv_heads: 1, ffn_dim: 10, context: 7, vocab: 23, n_layers: 2,`
	// Queries and keys in heads, rotated, and the attention over them.
	const attention = `
			node.linear('v', 'n', 'attention.wv', 6), node.split_heads('vh', 'v', 1), node.repeat_kv('vx', 'vh', 3), node.repeat_kv('kx', 'kr', 3),
			node.matmul_nt('s', 'qr', 'kx'), node.scale('sc', 's', 0.4), node.causal_mask('sm', 'sc'), node.softmax('p', 'sm'),
			node.matmul('o', 'p', 'vx'), node.merge_heads('om', 'o'), node.linear('out', 'om', 'attention.wo', m.dim)]`
	block := func(nodes string) string {
		return `block: [node.rms_norm('n', 'x', 'attention_norm', 1e-5),` + nodes + attention + `}}`
	}
	const projections = `node.linear('q', 'n', 'attention.wq', 18, bias='attention.bq'), node.linear('k', 'n', 'attention.wk', 6, bias='attention.bk'),`
	const heads = `node.split_heads('qh', 'q', 3), node.split_heads('kh', 'k', 1),`
	const rotated = `node.rope('qr', 'qh'), node.rope('kr', 'kh'),`
	for name, model := range map[string]string{
		"library":           `}}`,
		"library biases":    `qkv_bias: true}}`,
		"biases":            block(projections + heads + rotated),
		"norm before":       block(projections + heads + `node.rms_norm('qn', 'qh', 'g', 1e-5), node.rms_norm('kn', 'kh', 'gk', 1e-5), node.rope('qr', 'qn'), node.rope('kr', 'kn'),`),
		"norm behind":       block(projections + heads + `node.rope('q1', 'qh'), node.rope('k1', 'kh'), node.rms_norm('qr', 'q1', 'g', 1e-5), node.layer_norm('kr', 'k1', 'gk', 1e-5, bias='gb'),`),
		"norm of all":       block(projections + `node.rms_norm('qn', 'q', 'g', 1e-5), node.rms_norm('kn', 'k', 'gk', 1e-5), node.split_heads('qh', 'qn', 3), node.split_heads('kh', 'kn', 1),` + rotated),
		"one gain for both": block(projections + heads + `node.rms_norm('qn', 'qh', 'g', 1e-5), node.rms_norm('kn', 'kh', 'g', 1e-5), node.rope('qr', 'qn'), node.rope('kr', 'kn'),`),
		"queries alone":     block(projections + heads + `node.rope('qr', 'qh'), node.scale('kr', 'kh', 1),`),
		"a gate":            block(projections + `node.linear('z', 'n', 'wz', 18), node.mul('qz', 'q', 'z'), node.split_heads('qh', 'qz', 3), node.split_heads('kh', 'k', 1),` + rotated),
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "layouts.jsonnet")
			if err := os.WriteFile(file, []byte(begin+model), 0o666); err != nil {
				t.Fatal(err)
			}
			// A file in each form, of other numbers.
			for _, form := range []string{"half", "interleaved"} {
				var results []*Result
				for _, layout := range []string{form, "half", "interleaved"} {
					s, err := specs.Load(file, specs.Options{Set: []string{"model.rope.layout=" + layout}})
					if err != nil {
						t.Fatal(err)
					}
					info := infoOf(t, s, form)
					path := filepath.Join(t.TempDir(), "w.safetensors")
					writeWeights(t, path, info, form)
					last := info.Weights[len(info.Weights)-1]
					params := make([]float32, last.Offset+last.Len())
					if err := weights.Load(*info, path, params); err != nil {
						t.Fatal(err)
					}
					in := modeltest.Batch(info, modeltest.TokenSeed, modeltest.TargetSeed)
					r, err := Compute(s, 1, in, func(dst []float32, name string, _ []int) error {
						for _, w := range info.Weights {
							if w.Name == name {
								copy(dst, params[w.Offset:][:w.Len()])
								return nil
							}
						}
						return fmt.Errorf("no weight %s", name)
					})
					if err != nil {
						t.Fatal(err)
					}
					results = append(results, r)
				}
				// Sums over a head's channels in another order, in float64.
				for i, r := range results {
					if d := math.Abs(r.Loss - results[0].Loss); d > 1e-12 {
						t.Errorf("file %s, model %d: loss %v, want %v", form, i, r.Loss, results[0].Loss)
					}
					for j, x := range r.Logits {
						if math.Abs(x-results[0].Logits[j]) > 1e-11 {
							t.Fatalf("file %s, model %d: logit %d is %v, want %v", form, i, j, x, results[0].Logits[j])
						}
					}
				}
			}
		})
	}
}

// infoOf describes a spec's weights as generated code does, with names of the form
// whose files have the layout.
func infoOf(t *testing.T, s *specs.Spec, form string) *model.Info {
	t.Helper()
	m, err := build.Train(s)
	if err != nil {
		t.Fatal(err)
	}
	info := &model.Info{Name: s.Name, Vocab: s.Model.Vocab, Context: s.Model.Context, Recipe: model.Recipe{MicroBatch: 1}}
	info.Embedding, info.Output = s.Model.Ends()
	at := 0
	for _, w := range m.Weights {
		shape := []int{}
		for _, d := range w.Type.Dims {
			shape = append(shape, int(d.N))
		}
		for l := range max(1, w.Layers) {
			x := model.Weight{Name: fullName(w, l), Shape: shape, Offset: at, Rope: w.Rope, RopeHeads: w.Heads}
			if x.HF = "hf." + x.Name; form == "interleaved" {
				x.HF, x.Meta = "", "meta."+x.Name
			}
			info.Weights = append(info.Weights, x)
			at += x.Len()
		}
	}
	return info
}

// writeWeights writes a safetensors file with numbers that follow from the names.
func writeWeights(t *testing.T, path string, info *model.Info, form string) {
	t.Helper()
	head, data := map[string]any{}, bytes.Buffer{}
	for _, w := range info.Weights {
		x := make([]float32, w.Len())
		modeltest.Weight(x, w.Name, w.Shape, modeltest.WeightSeed)
		// Gains and biases that are all alike would hide a permutation.
		for i := range x {
			x[i] += float32(i%7) / 16
		}
		from := data.Len()
		for _, v := range x {
			data.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)))
		}
		head[w.HF+w.Meta] = map[string]any{"dtype": "F32", "shape": w.Shape, "data_offsets": []int{from, data.Len()}}
	}
	h, err := json.Marshal(head)
	if err != nil {
		t.Fatal(err)
	}
	b := append(binary.LittleEndian.AppendUint64(nil, uint64(len(h))), h...)
	if err := os.WriteFile(path, append(b, data.Bytes()...), 0o666); err != nil {
		t.Fatal(err)
	}
}
