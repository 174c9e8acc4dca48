package weights

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/llamac/llamac/runtime/model"
)

// TestRotatedWithProjection loads biases of queries and keys and the gains of their
// norms, of one head or of all, in each format and layout: they move as the rows of
// the projections do.
func TestRotatedWithProjection(t *testing.T) {
	r := rand.New(rand.NewPCG(39, 39))
	for _, rope := range []string{"interleaved", "half"} {
		info := llama(24, 1, 3, 1, 10, 13, 8, false, rope)
		last := info.Weights[len(info.Weights)-1]
		at := last.Offset + last.Len() + gap
		add := func(name string, heads, n int) {
			info.Weights = append(info.Weights, model.Weight{Name: name, Shape: []int{n}, Offset: at, Rope: rope, RopeHeads: heads,
				HF: "model.layers.0." + name, Meta: "layers.0." + name, GGUF: "blk.0." + name})
			at += n + gap
		}
		add("q.bias", 3, 24)
		add("k.bias", 1, 8)
		add("q_norm.weight", 1, 8)
		add("k_norm.all.weight", 1, 8)
		add("q_norm.all.weight", 3, 24)
		for _, n := range []naming{hf, meta, ggufNaming("interleaved"), ggufNaming("half")} {
			ts := modelTensors(r, info, n, F32)
			path := ""
			switch {
			case n.label == "GGUF" && n.layout == "half":
				path = write(t, ggufBytes(t, architecture("qwen3"), ts))
			case n.label == "GGUF":
				path = write(t, ggufBytes(t, architecture("llama"), ts))
			default:
				path = write(t, safetensorsFile(nil, ts))
			}
			checkLoaded(t, info, n, ts, loaded(t, info, path))
		}
		// Where nothing may move, only the model's own layout is read.
		w := slices.IndexFunc(info.Weights, func(w model.Weight) bool { return w.Name == "q.bias" })
		info.Weights[w].RopeHeads = 0
		for _, n := range []naming{hf, meta} {
			ts := modelTensors(r, info, n, F32)
			path := write(t, safetensorsFile(nil, ts))
			if n.layout == rope {
				checkLoaded(t, info, n, ts, loaded(t, info, path))
				continue
			}
			a := arena(info)
			wantError(t, Load(info, path, a), "weight q.bias is rotated together with what cannot be permuted", "--set model.rope.layout="+n.layout)
			untouched(t, "q.bias", a)
		}
	}
}

// TestSharedNames: two forms with the same names differ in nothing but the layout,
// which then something else has to tell.
func TestSharedNames(t *testing.T) {
	info := llama(24, 1, 3, 1, 10, 13, 8, false, "half")
	for i := range info.Weights {
		info.Weights[i].Meta = info.Weights[i].HF
	}
	ts := modelTensors(rand.New(rand.NewPCG(40, 40)), info, hf, F32)
	b := safetensorsFile(nil, ts)
	wantError(t, Load(info, write(t, b), arena(info)), "names of Meta's form and of Hugging Face's", "different places")
	checkLoaded(t, info, hf, ts, loaded(t, info, writeAll(t, map[string][]byte{oneFile: b, configFile: []byte(`{"hidden_size": 24}`)})))
	checkLoaded(t, info, meta, ts, loaded(t, info, writeAll(t, map[string][]byte{mistralFile: b, paramsFile: []byte(`{"dim": 24}`)})))
}
