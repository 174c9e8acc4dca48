package weights

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	arch "github.com/llamac/llamac/internal/architecture"
	"github.com/llamac/llamac/ir/build"
	"github.com/llamac/llamac/runtime/gguf"
	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/specs"
)

// factsSpec is the spec that the files of these tests agree with.
const factsSpec = `
local llama = import 'llamac/llama.libsonnet';
llama {
  name: 'm',
  model+: { dim: 24, n_layers: 2, n_heads: 4, n_kv_heads: 2, ffn_dim: 40, vocab: 29, context: 16 },
  train+: { micro_batch: 1, steps: 1 }, optim+: { lr: 1e-3 }, schedule+: { warmup: 1 },
  data+: { sources: [] }, tokenizer+: { kind: 'none', bos: false },
}`

// evaluated keeps what specInfo made: a spec takes a process to evaluate.
var evaluated = map[string]model.Info{}

// specInfo describes a spec with fields set as generated code does.
func specInfo(t testing.TB, text string, set ...string) model.Info {
	t.Helper()
	key := text + strings.Join(set, " ")
	if info, ok := evaluated[key]; ok {
		return info
	}
	file := filepath.Join(t.TempDir(), "m.jsonnet")
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	// The last of two settings of a field counts, as in the hint after a change.
	last := map[string]string{}
	for _, s := range set {
		field, _, _ := strings.Cut(s, "=")
		last[field] = s
	}
	s, err := specs.Load(file, specs.Options{Set: slices.Collect(maps.Values(last))})
	if err != nil {
		t.Fatal(err)
	}
	m := &s.Model
	info := llama(m.Dim, m.Layers, m.Heads, m.KVHeads, m.FFNDim, m.Vocab, m.Context, m.Tie, m.Rope.Layout)
	info.SpecFile, info.HeadDim, info.Architecture = "m.jsonnet", m.HeadDim, arch.Of(s)
	evaluated[key] = info
	return info
}

// config is transformers' document for factsSpec, with keys replaced by those of
// a JSON object; a key with "-" in front is left out.
func config(t testing.TB, edit string) []byte {
	t.Helper()
	base := map[string]any{}
	for _, text := range []string{`{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": 24,
		"intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-05,
		"rope_theta": 10000.0, "rope_scaling": null, "tie_word_embeddings": false, "vocab_size": 29, "max_position_embeddings": 16,
		"attention_bias": false, "mlp_bias": false, "torch_dtype": "float32", "bos_token_id": 1, "rope_interleaved": false}`, edit} {
		edits := map[string]any{}
		if err := json.Unmarshal([]byte(text), &edits); err != nil {
			t.Fatal(text, err)
		}
		for k, v := range edits {
			if k[0] == '-' {
				delete(base, k[1:])
			} else {
				base[k] = v
			}
		}
	}
	b, err := json.Marshal(base)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// params is Meta's.
const params = `{"dim": 24, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "vocab_size": 29, "multiple_of": 5, "ffn_dim_multiplier": 0.6, "norm_eps": 1e-05, "rope_theta": 10000.0}`

// ggufPairs are llama.cpp's.
func ggufPairs() []gguf.KeyValue {
	return []gguf.KeyValue{{Key: "general.architecture", Value: "llama"}, {Key: "llama.embedding_length", Value: uint32(24)},
		{Key: "llama.block_count", Value: uint32(2)}, {Key: "llama.attention.head_count", Value: uint32(4)},
		{Key: "llama.attention.head_count_kv", Value: uint32(2)}, {Key: "llama.feed_forward_length", Value: uint32(40)},
		{Key: "llama.vocab_size", Value: uint32(29)}, {Key: "llama.context_length", Value: uint32(16)},
		{Key: "llama.attention.layer_norm_rms_epsilon", Value: float32(1e-5)}, {Key: "llama.rope.freq_base", Value: float32(10000)},
		{Key: "llama.rope.dimension_count", Value: uint32(6)}}
}

// factsFiles writes the model of factsSpec in each format.
func factsFiles(t testing.TB) map[string]string {
	t.Helper()
	info := specInfo(t, factsSpec)
	r := rand.New(rand.NewPCG(1, 2))
	dir := t.TempDir()
	file := func(b []byte, names ...string) string {
		path := filepath.Join(append([]string{dir}, names...)...)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	hfFile := file(safetensorsFile(nil, modelTensors(r, info, hf, F32)), "hf", oneFile)
	file(config(t, "{}"), "hf", "config.json")
	file(torchBytes(t, modelTensors(r, info, meta, F32)), "meta", partName(0))
	file([]byte(params), "meta", paramsFile)
	bin, _ := llama2cOf(r, info, false)
	return map[string]string{
		"Hugging Face": filepath.Dir(hfFile),
		// The file itself, named inside of its folder.
		"Hugging Face file": hfFile,
		"Meta":              filepath.Join(dir, "meta"),
		"llama2.c":          file(bin, "m.bin"),
		"GGUF":              file(ggufBytes(t, ggufPairs(), modelTensors(r, info, ggufNames("llama"), F32)), "m.gguf"),
	}
}

// agreement compares a file with a model and does not load it.
func agreement(info model.Info, path string) ([]string, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return agree(info, path, f)
}

// mismatch loads and wants a contradiction.
func mismatch(t *testing.T, info model.Info, path string, want ...string) *MismatchError {
	t.Helper()
	a := arena(info)
	err := Load(info, path, a)
	var m *MismatchError
	if !errors.As(err, &m) {
		t.Fatalf("error %v, want a contradiction with %q", err, want)
	}
	untouched(t, path, a)
	wantError(t, err, append(want, path)...)
	return m
}

// TestSpecDiffers changes one field of the spec: each format names the field, the
// value in its own place, and the settings that lead back, which load the file.
func TestSpecDiffers(t *testing.T) {
	files := factsFiles(t)
	const all = "Hugging Face, Hugging Face file, Meta, llama2.c, GGUF"
	for _, c := range []struct {
		set    string
		want   string            // the spec's side
		places map[string]string // by format; formats that are not here say nothing of it
	}{
		{"model.dim=48", "model.dim is 48", map[string]string{"Hugging Face": "config.json: hidden_size is 24", "Meta": "params.json: dim is 24",
			"llama2.c": "header at byte 0: dim is 24", "GGUF": "llama.embedding_length is 24"}},
		{"model.n_layers=3", "model.n_layers is 3", map[string]string{"Hugging Face": "config.json: num_hidden_layers is 2", "Meta": "params.json: n_layers is 2",
			"llama2.c": "header at byte 8: n_layers is 2", "GGUF": "llama.block_count is 2"}},
		{"model.n_heads=2", "model.n_heads is 2", map[string]string{"Hugging Face": "config.json: num_attention_heads is 4", "Meta": "params.json: n_heads is 4",
			"llama2.c": "header at byte 12: n_heads is 4", "GGUF": "llama.attention.head_count is 4"}},
		{"model.n_kv_heads=4", "model.n_kv_heads is 4", map[string]string{"Hugging Face": "config.json: num_key_value_heads is 2", "Meta": "params.json: n_kv_heads is 2",
			"llama2.c": "header at byte 16: n_kv_heads is 2", "GGUF": "llama.attention.head_count_kv is 2"}},
		{"model.head_dim=12", "model.head_dim is 12", map[string]string{"Hugging Face": "config.json: head_dim is absent, which means 24/4 = 6", "Meta": "params.json: head_dim is absent",
			"llama2.c": "24/4 = 6", "GGUF": "llama.attention.key_length is absent, which means 24/4 = 6"}},
		{"model.ffn_dim=36", "model.ffn_dim is 36", map[string]string{"Hugging Face": "config.json: intermediate_size is 40", "Meta": "params.json: multiple_of is 5 of dim 24 and ffn_dim_multiplier 0.6, which means a width of 40",
			"llama2.c": "header at byte 4: hidden_dim is 40", "GGUF": "llama.feed_forward_length is 40"}},
		{"model.vocab=31", "model.vocab is 31", map[string]string{"Hugging Face": "config.json: vocab_size is 29", "Meta": "params.json: vocab_size is 29",
			"llama2.c": "header at byte 20: vocab_size is 29", "GGUF": "llama.vocab_size is 29"}},
		{"model.norm_eps=1.0001e-5", "model.norm_eps is 1.0001e-05", map[string]string{"Hugging Face": "config.json: rms_norm_eps is 1e-05", "Meta": "params.json: norm_eps is 1e-05",
			"GGUF": "llama.attention.layer_norm_rms_epsilon is 1e-05"}},
		{"model.rope.theta=10001", "model.rope.theta is 10001", map[string]string{"Hugging Face": "config.json: rope_theta is 10000", "Meta": "params.json: rope_theta is 10000",
			"GGUF": "llama.rope.freq_base is 10000"}},
		{`model.rope.scaling={"kind": "linear", "factor": 2}`, "model.rope.scaling is linear by 2", map[string]string{"Hugging Face": "config.json: rope_scaling is absent, which means none",
			"Meta": "params.json: use_scaled_rope is absent", "GGUF": "llama.rope.scale_linear is absent"}},
		{`model.rope.scaling={"kind": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "original_context": 8192}`, "model.rope.scaling is llama3 factor 8 low_freq_factor 1 high_freq_factor 4 original_context 8192",
			map[string]string{"Hugging Face": "config.json: rope_scaling is absent", "Meta": "params.json: use_scaled_rope is absent", "GGUF": "there is no tensor rope_freqs.weight"}},
		{"model.tie=true", "model.tie is true", map[string]string{"Hugging Face": "config.json: tie_word_embeddings is false", "llama2.c": "header at byte 20: shared classifier is false"}},
		{"model.qkv_bias=true", "model.qkv_bias is true", map[string]string{"Hugging Face": "config.json: attention_bias is false"}},
	} {
		c.places["Hugging Face file"] = c.places["Hugging Face"]
		for _, format := range strings.Split(all, ", ") {
			place := c.places[format]
			if place == "" {
				continue
			}
			t.Run(c.set+" "+format, func(t *testing.T) {
				m := mismatch(t, specInfo(t, factsSpec, c.set), files[format], place, c.want, "m.jsonnet", "--set ")
				set := m.Set
				// A field that held an object is one of its own now.
				if !strings.Contains(c.set, "{") {
					set = append([]string{c.set}, set...)
				}
				loaded(t, specInfo(t, factsSpec, set...), files[format])
			})
		}
	}
	// And as it is, all load.
	for _, path := range files {
		loaded(t, specInfo(t, factsSpec), path)
		if notes, err := agreement(specInfo(t, factsSpec), path); len(notes) > 0 || err != nil {
			t.Errorf("%s: %v %v", path, notes, err)
		}
	}
}

// TestSeveral names all that differs, and one command for it.
func TestSeveral(t *testing.T) {
	m := mismatch(t, specInfo(t, factsSpec, "model.n_heads=2", "model.norm_eps=1e-6", "model.rope.theta=500000"), factsFiles(t)["Hugging Face"],
		"num_attention_heads is 4", "rms_norm_eps is 1e-05", "rope_theta is 10000",
		"add --set model.n_heads=4 --set model.n_kv_heads=2 --set model.head_dim=6 --set model.norm_eps=1e-05 --set model.rope.theta=10000")
	if len(m.Differences) != 3 {
		t.Errorf("%d differences: %q", len(m.Differences), m.Differences)
	}
}

// TestConfig edits transformers' document: each spelling of each fact.
func TestConfig(t *testing.T) {
	dir := factsFiles(t)["Hugging Face"]
	const scaled = `"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}`
	scaledSets := []string{"model.rope.scaling.kind=llama3", "model.rope.scaling.factor=8", "model.rope.scaling.low_freq_factor=1", "model.rope.scaling.high_freq_factor=4", "model.rope.scaling.original_context=8192"}
	for _, c := range []struct {
		edit string
		want string   // of the message; "" if the file agrees
		set  []string // the hint; the file loads with it if there is one
		spec []string // settings of the spec
	}{
		// Numbers in the right places, spelt in other ways.
		{`{"rms_norm_eps": 9.999999747378752e-06}`, "", nil, nil},
		{`{"num_attention_heads": 4.0, "head_dim": 6}`, "", nil, nil},
		{`{"-model_type": 0, "-architectures": 0}`, "", nil, nil},
		{`{"-rope_theta": 0, "-rope_scaling": 0, "rope_parameters": {"rope_type": "default", "rope_theta": 10000}}`, "", nil, nil},
		{`{"-rope_theta": 0, "-hidden_act": 0, "-attention_bias": 0, "max_position_embeddings": 4096}`, "", nil, nil},
		{`{"-rope_theta": 0, "rope_parameters": {"rope_theta": 10000}}`, "", nil, nil},
		{`{"rope_parameters": {"rope_theta": 10000}}`, "rope_parameters.rope_type is absent, which means none, and model.rope.scaling is linear by 4",
			[]string{"model.rope.scaling.kind=none"}, []string{`model.rope.scaling={"kind":"linear","factor":4}`}},
		{`{"rope_scaling": {"type": "linear", "factor": 1.0}}`, "", nil, nil},
		{`{"rope_scaling": {"type": "dynamic", "factor": 2.0}}`, "", nil, nil},
		{`{"hidden_act": "swish", "quantization_config": null, "sliding_window": null, "head_dim": null}`, "", nil, nil},
		{`{"model_type": "mistral", "architectures": ["MistralForCausalLM"], "sliding_window": 4096}`, "", nil, nil},
		{`{"model_type": "mistral", "architectures": null, "-attention_bias": 0}`, "", nil, nil},
		{`{"hidden_size": 5, "text_config": ` + string(config(t, "{}")) + `, "model_type": "llava"}`, "", nil, nil},
		// One number each.
		{`{"rope_theta": 500000.0}`, "config.json: rope_theta is 500000, and model.rope.theta is 10000", []string{"model.rope.theta=500000"}, nil},
		{`{"rms_norm_eps": 0.1}`, "config.json: rms_norm_eps is 0.1, and model.norm_eps is 1e-05", []string{"model.norm_eps=0.1"}, nil},
		{`{"-rms_norm_eps": 0}`, "config.json: rms_norm_eps is absent, which means 1e-06 for model_type llama, and model.norm_eps is 1e-05", []string{"model.norm_eps=1e-06"}, nil},
		{`{"-rope_theta": 0}`, "rope_theta is absent, which means 10000 for model_type llama, and model.rope.theta is 777", []string{"model.rope.theta=10000"}, []string{"model.rope.theta=777"}},
		{`{"-num_key_value_heads": 0}`, "num_key_value_heads is absent, which means num_attention_heads, 4, for model_type llama, and model.n_kv_heads is 2", []string{"model.n_kv_heads=4"}, nil},
		{`{"num_key_value_heads": null}`, "num_attention_heads, 4", []string{"model.n_kv_heads=4"}, nil},
		{`{"-num_key_value_heads": 0, "model_type": "mistral", "architectures": null}`, "absent, which means 8 for model_type mistral", []string{"model.n_kv_heads=8"}, nil},
		{`{"num_attention_heads": 2}`, "num_attention_heads is 2, and model.n_heads is 4", []string{"model.n_heads=2", "model.n_kv_heads=2", "model.head_dim=12"}, nil},
		{`{"head_dim": 12}`, "head_dim is 12, and model.head_dim is 6", []string{"model.head_dim=12"}, nil},
		{`{"hidden_act": "gelu"}`, `hidden_act is "gelu", and the activation in model.block is silu`, nil, nil},
		{`{"hidden_act": null, "hidden_activation": "gelu_pytorch_tanh"}`, `hidden_activation is "gelu_pytorch_tanh"`, nil, nil},
		{`{"hidden_act": "laplace"}`, `hidden_act is "laplace"`, nil, nil},
		{`{"mlp_bias": true}`, "mlp_bias is true", nil, nil},
		{`{"attention_bias": true}`, "attention_bias is true, and model.qkv_bias is false", []string{"model.qkv_bias=true"}, nil},
		// Scaling, old and new.
		{`{"rope_scaling": {"rope_type": "llama3", ` + scaled + `}`, "rope_scaling.rope_type is llama3 factor 8 low_freq_factor 1 high_freq_factor 4 original_context 8192, and model.rope.scaling is none", scaledSets, nil},
		{`{"-rope_theta": 0, "rope_parameters": {"rope_type": "llama3", "rope_theta": 500000, ` + scaled + `}`, "rope_parameters.rope_theta is 500000", append([]string{"model.rope.theta=500000"}, scaledSets...), nil},
		{`{"rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000}}}`, "rope_parameters.full_attention.rope_type is linear by 4", []string{"model.rope.scaling.kind=linear", "model.rope.scaling.factor=4"}, nil},
		{`{"rope_scaling": {"type": "linear", "factor": 2.0}}`, "config.json: rope_scaling.type is linear by 2", []string{"model.rope.scaling.kind=linear", "model.rope.scaling.factor=2"}, nil},
		{`{"rope_scaling": {"type": "linear", "factor": 2.0}}`, "linear by 2, and model.rope.scaling is linear by 3", []string{"model.rope.scaling.kind=linear", "model.rope.scaling.factor=2"}, []string{"model.rope.scaling.kind=linear", "model.rope.scaling.factor=3"}},
		{`{"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}`, `rope_scaling.rope_type is "yarn", and model.rope.scaling is none (a spec has none, linear or llama3)`, nil, nil},
		{`{"rope_scaling": {"type": "longrope"}}`, `"longrope"`, nil, nil},
		{`{"rope_scaling": {"type": "su"}}`, `"su"`, nil, nil},
		{`{"rope_scaling": {"type": "dynamic", "factor": 2.0}, "max_position_embeddings": 8}`, `rope_scaling.type is "dynamic"`, []string{"model.context=8"}, nil},
		{`{"partial_rotary_factor": 0.5}`, "partial_rotary_factor is 0.5, and the number of channels of a head that RoPE turns in model.block is 6 of 6", nil, nil},
		{`{"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.25}}`, "rope_parameters.partial_rotary_factor is 0.25", nil, nil},
		{`{"rope_interleaved": true}`, "rope_interleaved is true", nil, nil},
		// Windows: none where all of the context is seen.
		{`{"model_type": "mistral", "architectures": null, "sliding_window": 8}`, "sliding_window is 8, and the window of attention in model.block (0: none) is 0", []string{"model.context=8"}, nil},
		{`{"model_type": "mistral", "architectures": null, "-sliding_window": 0}`, "sliding_window is absent, which means 4096 for model_type mistral", []string{"model.context=4096"}, []string{"model.context=5000"}},
		{`{"model_type": "mistral", "architectures": null, "sliding_window": 8, "layer_types": ["full_attention", "sliding_attention"]}`, "8 in 1 of 2 layers (layer_types)", []string{"model.context=8"}, nil},
		{`{"model_type": "mistral", "architectures": null, "sliding_window": 8, "layer_types": ["full_attention", "full_attention"]}`, "", nil, nil},
		{`{"model_type": "mistral", "architectures": null, "layer_types": ["full_attention", "chunked_attention"], "sliding_window": 8}`, `layer_types is "chunked_attention"`, nil, nil},
		{`{"sliding_window": 8}`, "sliding_window is 8, and the window of attention in model.block (0: none) is 0", []string{"model.context=8"}, nil}, // though LlamaForCausalLM has none
		{`{"sliding_window": 8, "use_sliding_window": false}`, "", nil, nil},
		{`{"sliding_window": 4096}`, "", nil, nil},
		// Models that compute something else.
		{`{"model_type": "gemma", "architectures": ["GemmaForCausalLM"]}`, `model_type is "gemma": that is none of the models whose computation is known here`, nil, nil},
		{`{"model_type": "gpt2"}`, `model_type is "gpt2"`, nil, nil},
		{`{"architectures": ["GemmaForCausalLM"]}`, `architectures is "GemmaForCausalLM"`, nil, nil},
		{`{"-model_type": 0, "architectures": ["Qwen3ForCausalLM"]}`, "qwen3, which normalises queries and keys", []string{"model.head_dim=128"}, nil},
		{`{"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]}`, "qwen2, which has biases of queries, keys and values, and model.qkv_bias is false", []string{"model.qkv_bias=true"}, nil},
		{`{"model_type": "stablelm", "architectures": null, "layer_norm_eps": 1e-5}`, "stablelm, whose norms are of kind layer", nil, nil},
		{`{"model_type": "smollm3", "architectures": null}`, "each fourth layer has no rotation", nil, nil},
		{`{"model_type": "smollm3", "architectures": null, "no_rope_layers": [1, 1]}`, "", nil, nil},
		{`{"model_type": "smollm3", "architectures": null, "no_rope_layers": [1, 0]}`, "some layers have no rotation", nil, nil},
		{`{"num_local_experts": 8}`, "num_local_experts is 8: the feed-forward network is one of several", nil, nil},
		{`{"attn_logit_softcapping": 50.0}`, "attn_logit_softcapping is 50", nil, nil},
		{`{"final_logit_softcapping": 30.0}`, "final_logit_softcapping is 30", nil, nil},
		{`{"attention_multiplier": 0.5}`, "attention_multiplier is 0.5, and the scale of scores in model.block is 0.408", nil, nil},
		{`{"query_pre_attn_scalar": 6}`, "", nil, nil},
		{`{"query_pre_attn_scalar": 256}`, "query_pre_attn_scalar is 0.0625", nil, nil},
		{`{"embedding_multiplier": 12}`, "embedding_multiplier is 12: the embedding is multiplied by it", nil, nil},
		{`{"use_parallel_residual": true}`, "use_parallel_residual is true, and what the nodes of model.block have is sequential", nil, nil},
		// Nested, and the outer one says other things.
		{`{"text_config": ` + string(config(t, `{"rope_theta": 5}`)) + `}`, "config.json: text_config.rope_theta is 5", []string{"model.rope.theta=5"}, nil},
	} {
		t.Run(c.edit, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(dir, "config.json"), config(t, c.edit), 0o666); err != nil {
				t.Fatal(err)
			}
			info := specInfo(t, factsSpec, c.spec...)
			if c.want == "" {
				loaded(t, info, dir)
				return
			}
			m := mismatch(t, info, dir, c.want)
			if !slices.Equal(slices.Sorted(slices.Values(m.Set)), slices.Sorted(slices.Values(c.set))) {
				t.Fatalf("hint %q, want %q", m.Set, c.set)
			}
			// Eight heads of keys for four of queries are no model.
			if len(c.set) == 0 || strings.Contains(c.want, "8 for model_type mistral") {
				return
			}
			// The facts agree then; shapes are those of the file that was not edited.
			again := specInfo(t, factsSpec, append(slices.Clone(c.spec), c.set...)...)
			if _, err := agreement(again, dir); errors.As(err, &m) && !strings.Contains(c.want, "bias") && !strings.Contains(c.want, "which normalises") {
				t.Errorf("with the hint: %v", err)
			}
		})
	}
}

// TestConfigValues wants a message for values that mean nothing.
func TestConfigValues(t *testing.T) {
	dir := factsFiles(t)["Hugging Face"]
	for _, c := range []struct{ config, want string }{
		{`{"rope_theta": "10000"}`, `config.json: rope_theta is "10000", not a number`},
		{`{"num_attention_heads": [4]}`, "config.json: num_attention_heads is a list of 1, not a number"},
		{`{"hidden_act": 3}`, "config.json: hidden_act is 3, not a string"},
		{`{"tie_word_embeddings": "false"}`, `config.json: tie_word_embeddings is "false", not true or false`},
		{`{"rope_scaling": "linear"}`, `config.json: rope_scaling is "linear", not an object`},
		{`{"rope_scaling": {"type": "linear", "factor": true}}`, "config.json: rope_scaling.factor is true, not a number"},
		{`{"rope_scaling": {"factor": 8}}`, "config.json: rope_scaling.factor is 8, and no rope_type beside it says what kind of scaling that is"},
		{`{"architectures": "LlamaForCausalLM"}`, "architectures is"},
		{`{"model_type": {}}`, "config.json: model_type is an object, not a string"},
		{`{"quantization_config": {"quant_method": "gptq", "bits": 4}}`, "config.json: quantization_config: the weights are quantised by gptq, which is not read; F32, F16"},
		{`{"rms_norm_eps": NaN}`, "invalid character 'N'"},
		{`{"hidden_size": 1e999}`, "1e999"},
		{`[]`, "cannot unmarshal array"},
	} {
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(c.config), 0o666); err != nil {
			t.Fatal(err)
		}
		info := specInfo(t, factsSpec)
		a := arena(info)
		wantError(t, Load(info, dir, a), c.want, dir)
		untouched(t, c.config, a)
	}
	// Nothing, and null, is no statement.
	for _, text := range []string{`{}`, `null`, `{"rope_theta": null, "num_attention_heads": null, "model_type": null, "rope_scaling": null}`} {
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		loaded(t, specInfo(t, factsSpec, "model.rope.theta=3"), dir)
	}
}

// TestParams edits Meta's document.
func TestParams(t *testing.T) {
	dir := factsFiles(t)["Meta"]
	for _, c := range []struct {
		old, new, want string
		set            []string
	}{
		{`"vocab_size": 29`, `"vocab_size": -1`, "", nil},
		{`, "rope_theta": 10000.0`, ``, "", nil}, // unsaid: Meta's versions differ
		{`"norm_eps"`, `"use_scaled_rope": false, "norm_eps"`, "", nil},
		{`"n_heads": 4`, `"n_heads": 2`, "params.json: n_heads is 2", []string{"model.n_heads=2", "model.n_kv_heads=2", "model.head_dim=12"}},
		{`"n_kv_heads": 2, `, ``, "params.json: n_kv_heads is absent, which means n_heads, 4, and model.n_kv_heads is 2", []string{"model.n_kv_heads=4"}},
		{`"ffn_dim_multiplier": 0.6, `, ``, "params.json: multiple_of is 5 of dim 24, which means a width of 65", []string{"model.ffn_dim=65"}},
		{`"norm_eps": 1e-05`, `"norm_eps": 1e-06`, "params.json: norm_eps is 1e-06", []string{"model.norm_eps=1e-06"}},
		{`10000.0`, `1000000`, "params.json: rope_theta is 1e+06", []string{"model.rope.theta=1e+06"}},
		{`"norm_eps"`, `"use_scaled_rope": true, "norm_eps"`, "params.json: use_scaled_rope is true, which means llama3 with a factor of 8 (Llama 3.1) or 32 (Llama 3.2): the file does not say which",
			[]string{"model.rope.scaling.kind=llama3", "model.rope.scaling.factor=8", "model.rope.scaling.low_freq_factor=1", "model.rope.scaling.high_freq_factor=4", "model.rope.scaling.original_context=8192"}},
		{`"norm_eps"`, `"moe": {"num_experts": 8}, "norm_eps"`, "params.json: moe is an object: the feed-forward network is one of several", nil},
		{`"norm_eps"`, `"sliding_window": 8, "norm_eps"`, "params.json: sliding_window is 8", []string{"model.context=8"}},
	} {
		t.Run(c.new, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(dir, paramsFile), []byte(strings.Replace(params, c.old, c.new, 1)), 0o666); err != nil {
				t.Fatal(err)
			}
			info := specInfo(t, factsSpec)
			if c.want == "" {
				loaded(t, info, dir)
				return
			}
			m := mismatch(t, info, dir, c.want)
			if !slices.Equal(slices.Sorted(slices.Values(m.Set)), slices.Sorted(slices.Values(c.set))) {
				t.Fatalf("hint %q, want %q", m.Set, c.set)
			}
			if len(c.set) > 0 {
				if _, err := agreement(specInfo(t, factsSpec, c.set...), dir); err != nil {
					t.Errorf("with the hint: %v", err)
				}
			}
		})
	}
	if err := os.WriteFile(filepath.Join(dir, paramsFile), []byte(`{"quantization_args": {"scheme": "int4"}}`), 0o666); err != nil {
		t.Fatal(err)
	}
	wantError(t, Load(specInfo(t, factsSpec), dir, arena(specInfo(t, factsSpec))), "quantization_args: the weights are quantised")
}

// TestMistralFolder finds params.json and no config.json beside Mistral's own file,
// by the name of its folder and by its own.
func TestMistralFolder(t *testing.T) {
	info := specInfo(t, factsSpec)
	dir := t.TempDir()
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write(mistralFile, safetensorsFile(nil, modelTensors(rand.New(rand.NewPCG(1, 2)), info, meta, F32)))
	for _, path := range []string{dir, filepath.Join(dir, mistralFile)} {
		write(paramsFile, []byte(params))
		write(configFile, config(t, `{"rope_theta": 3}`))
		loaded(t, info, path)
		write(paramsFile, []byte(strings.Replace(params, "10000.0", "1e6", 1)))
		mismatch(t, info, path, "params.json: rope_theta is 1e+06, and model.rope.theta is 10000")
	}
}

// TestPairs edits a GGUF's keys.
func TestPairs(t *testing.T) {
	info := specInfo(t, factsSpec)
	tensors := modelTensors(rand.New(rand.NewPCG(1, 2)), info, ggufNames("llama"), F32)
	for _, c := range []struct {
		key   string
		value any // nil leaves the key out
		want  string
		set   []string
	}{
		{"llama.attention.head_count_kv", []int32{2, 2}, "", nil},
		{"llama.feed_forward_length", []int32{40, 40}, "", nil},
		{"llama.attention.head_count", int32(4), "", nil},
		{"llama.rope.freq_base", nil, "", nil},
		{"llama.rope.scaling.type", "none", "", nil},
		{"llama.rope.scaling.factor", float32(1), "", nil},
		{"llama.attention.sliding_window", uint32(0), "", nil},
		{"llama.expert_count", uint32(0), "", nil},
		{"llama.vocab_size", nil, "", nil},
		{"llama.rope.freq_base", float32(1e6), "llama.rope.freq_base is 1e+06, and model.rope.theta is 10000", []string{"model.rope.theta=1e+06"}},
		{"llama.attention.layer_norm_rms_epsilon", float32(1e-6), "llama.attention.layer_norm_rms_epsilon is 1e-06, and model.norm_eps is 1e-05", []string{"model.norm_eps=1e-06"}},
		{"llama.attention.head_count", uint32(2), "llama.attention.head_count is 2", []string{"model.n_heads=2", "model.n_kv_heads=2", "model.head_dim=12"}},
		{"llama.attention.head_count_kv", []int32{2, 4}, "llama.attention.head_count_kv is 2 and 4 among its layers: layers of a spec are alike", nil},
		{"llama.attention.head_count_kv", nil, "absent, which means attention.head_count, 4", []string{"model.n_kv_heads=4"}},
		{"llama.attention.key_length", uint32(12), "llama.attention.key_length is 12, and model.head_dim is 6", []string{"model.head_dim=12"}},
		{"llama.attention.value_length", uint32(12), "llama.attention.value_length is 12", []string{"model.head_dim=12"}},
		{"llama.rope.dimension_count", uint32(4), "llama.rope.dimension_count is 4, and the number of channels", nil},
		{"llama.rope.scale_linear", float32(4), "llama.rope.scale_linear is linear by 4", []string{"model.rope.scaling.kind=linear", "model.rope.scaling.factor=4"}},
		{"llama.rope.scaling.factor", float32(2), "llama.rope.scaling.factor is linear by 2", []string{"model.rope.scaling.kind=linear", "model.rope.scaling.factor=2"}},
		{"llama.rope.scaling.type", "yarn", `llama.rope.scaling.type is "yarn"`, nil},
		{"llama.rope.scaling.attn_factor", float32(1.19), "llama.rope.scaling.attn_factor is 1.19", nil},
		{"llama.attention.sliding_window", uint32(8), "llama.attention.sliding_window is 8", []string{"model.context=8"}},
		{"llama.expert_count", uint32(8), "llama.expert_count is 8", nil},
		{"llama.attn_logit_softcapping", float32(50), "llama.attn_logit_softcapping is 50", nil},
		{"llama.final_logit_softcapping", float32(30), "llama.final_logit_softcapping is 30", nil},
		{"llama.embedding_scale", float32(12), "llama.embedding_scale is 12", nil},
		{"llama.attention.scale", float32(0.5), "llama.attention.scale is 0.5", nil},
		{"llama.attention.causal", false, "llama.attention.causal is false", nil},
		{"llama.use_parallel_residual", true, "llama.use_parallel_residual is true", nil},
	} {
		t.Run(fmt.Sprint(c.key, c.value), func(t *testing.T) {
			pairs := slices.DeleteFunc(ggufPairs(), func(p gguf.KeyValue) bool { return p.Key == c.key })
			if strings.HasPrefix(c.key, "llama.attention.key") || c.key == "llama.attention.head_count" {
				pairs = slices.DeleteFunc(pairs, func(p gguf.KeyValue) bool { return p.Key == "llama.rope.dimension_count" })
			}
			if c.value != nil {
				pairs = append(pairs, gguf.KeyValue{Key: c.key, Value: c.value})
			}
			path := write(t, ggufBytes(t, pairs, tensors))
			if c.want == "" {
				loaded(t, info, path)
				return
			}
			m := mismatch(t, info, path, c.want)
			if !slices.Equal(slices.Sorted(slices.Values(m.Set)), slices.Sorted(slices.Values(c.set))) {
				t.Fatalf("hint %q, want %q", m.Set, c.set)
			}
			if len(c.set) > 0 && c.key != "llama.attention.value_length" {
				if _, err := agreement(specInfo(t, factsSpec, c.set...), path); err != nil {
					t.Errorf("with the hint: %v", err)
				}
			}
		})
	}
	// Architectures by their names.
	for name, want := range map[string]string{"qwen3": "qwen3, which normalises queries and keys", "stablelm": "whose norms are of kind layer",
		"smollm3": "each fourth layer has no rotation", "gemma": `the architecture "gemma" is not known`} {
		pairs := []gguf.KeyValue{{Key: "general.architecture", Value: name}}
		wantError(t, Load(info, write(t, ggufBytes(t, pairs, tensors)), arena(info)), want)
	}
	for _, v := range []any{"4", true, []string{"4"}} {
		pairs := []gguf.KeyValue{{Key: "general.architecture", Value: "llama"}, {Key: "llama.attention.head_count", Value: v}}
		wantError(t, Load(info, write(t, ggufBytes(t, pairs, tensors)), arena(info)), "llama.attention.head_count is", "not a number")
	}
}

// TestTables compares tables of frequencies in each format and type, with theta and
// scaling that agree and that do not.
func TestTables(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	scaling := []string{"model.rope.scaling.kind=llama3", "model.rope.scaling.factor=8", "model.rope.scaling.low_freq_factor=1", "model.rope.scaling.high_freq_factor=4", "model.rope.scaling.original_context=8192"}
	long := strings.Replace(factsSpec, "dim: 24", "dim: 256", 1)
	theta := "model.rope.theta=500000"
	scaled := specInfo(t, long, append([]string{theta}, scaling...)...)
	plain := specInfo(t, long, theta)
	with := func(info model.Info, n naming, name string, dtype DType, values []float64) []named {
		x := named{name, dtype, []int{len(values)}, nil}
		for _, v := range values {
			f := float32(v)
			switch dtype {
			case BF16:
				f = bfloat16(f)
			case F16:
				f = nearestHalf(f)
			}
			x.data = append(x.data, f)
		}
		return append(modelTensors(r, info, n, F32), x)
	}
	var divisors []float64
	for i, f := range frequencies(plain.Architecture.Rope, 64) {
		divisors = append(divisors, f/frequencies(scaled.Architecture.Rope, 64)[i])
	}
	pairs := []gguf.KeyValue{{Key: "general.architecture", Value: "llama"}, {Key: "llama.rope.freq_base", Value: float32(500000)}}
	divided := write(t, ggufBytes(t, pairs, with(scaled, ggufNames("llama"), "rope_freqs.weight", F32, divisors)))
	loaded(t, scaled, divided)
	m := mismatch(t, plain, divided, `tensor "rope_freqs.weight" is 1.55341 at pair 15`, "what divides it by model.rope (theta 500000, scaling none) is 1")
	if slices.Sort(m.Set); !slices.Equal(m.Set, slices.Sorted(slices.Values(scaling))) {
		t.Errorf("hint %q", m.Set)
	}
	mismatch(t, specInfo(t, long, theta, strings.Replace(strings.Join(scaling[:2], " "), " model.rope.scaling.factor=8", "", 1), "model.rope.scaling.factor=32",
		scaling[2], scaling[3], scaling[4]), divided, "rope_freqs.weight")
	// All ones are no scaling.
	ones := write(t, ggufBytes(t, pairs, with(plain, ggufNames("llama"), "rope_freqs.weight", F32, slices.Repeat([]float64{1}, 32))))
	loaded(t, plain, ones)
	mismatch(t, scaled, ones, "rope_freqs.weight", "model.rope.scaling.kind=none")
	// Hugging Face's and Meta's tables, in the types that files have.
	for _, dtype := range []DType{F32, F16, BF16} {
		for name, n := range map[string]naming{"model.layers.0.self_attn.rotary_emb.inv_freq": hf, "rope.freqs": meta} {
			table := write(t, safetensorsFile(nil, with(plain, n, name, dtype, frequencies(plain.Architecture.Rope, 64))))
			loaded(t, plain, table)
			m := mismatch(t, specInfo(t, long), table, name, "theta 10000")
			// Half precision does not tell theta to the unit.
			if dtype == F32 && !slices.Equal(m.Set, []string{theta}) {
				t.Errorf("hint %q", m.Set)
			}
			// Positions that shrink leave the table alone, or divide it.
			linear := specInfo(t, long, theta, "model.rope.scaling.kind=linear", "model.rope.scaling.factor=4")
			loaded(t, linear, table)
			loaded(t, linear, write(t, safetensorsFile(nil, with(plain, n, name, dtype, frequencies(linear.Architecture.Rope, 64)))))
			mismatch(t, plain, write(t, safetensorsFile(nil, with(plain, n, name, dtype, frequencies(scaled.Architecture.Rope, 64)))), name)
		}
	}
	mismatch(t, plain, write(t, safetensorsFile(nil, with(plain, hf, "x.inv_freq", F32, []float64{1, 2}))), `"x.inv_freq" is of 2 pairs`)
	wantError(t, Load(plain, write(t, safetensorsFile(nil, append(modelTensors(r, plain, hf, F32), named{"x.inv_freq", F32, []int{2, 2}, make([]float32, 4)}))), arena(plain)),
		"and no table of frequencies")
}

// TestLlama2cAngles compares the tables that llama2.c's own files carry.
func TestLlama2cAngles(t *testing.T) {
	info := specInfo(t, factsSpec)
	b, _ := llama2cOf(rand.New(rand.NewPCG(1, 2)), info, true)
	half := info.HeadDim / 2
	end := len(b) - 8*info.Context*half
	for p := range info.Context {
		for i, f := range frequencies(info.Architecture.Rope, info.HeadDim) {
			at := end + 4*(p*half+i)
			putFloat(b[at:], math.Cos(float64(p)*f))
			putFloat(b[at+4*info.Context*half:], math.Sin(float64(p)*f))
		}
	}
	info = specInfo(t, factsSpec, "model.tie=true")
	loaded(t, info, write(t, b))
	m := mismatch(t, specInfo(t, factsSpec, "model.tie=true", "model.rope.theta=500000"), write(t, b), "table of angles at byte")
	if !slices.Equal(m.Set, []string{"model.rope.theta=10000"}) {
		t.Errorf("hint %q", m.Set)
	}
	// The table is of positions as they were turned, so it shows division as well.
	linear := []string{"model.tie=true", "model.rope.scaling.kind=linear", "model.rope.scaling.factor=2"}
	m = mismatch(t, specInfo(t, factsSpec, linear...), write(t, b), "table of angles at byte")
	if !slices.Equal(m.Set, []string{"model.rope.scaling.kind=none"}) {
		t.Errorf("hint %q", m.Set)
	}
	scaled := specInfo(t, factsSpec, linear...)
	for p := range info.Context {
		for i, f := range frequencies(scaled.Architecture.Rope, info.HeadDim) {
			at := end + 4*(p*half+i)
			putFloat(b[at:], math.Cos(float64(p)*f))
			putFloat(b[at+4*info.Context*half:], math.Sin(float64(p)*f))
		}
	}
	loaded(t, scaled, write(t, b))
	m = mismatch(t, info, write(t, b), "table of angles at byte")
	if !slices.Equal(m.Set, []string{"model.rope.scaling.kind=linear", "model.rope.scaling.factor=2"}) {
		t.Errorf("hint %q", m.Set)
	}
}

func putFloat(b []byte, x float64) {
	v := math.Float32bits(float32(x))
	b[0], b[1], b[2], b[3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
}

// TestFrequencies holds the frequencies to those that models are built with.
func TestFrequencies(t *testing.T) {
	for _, s := range []specs.RopeScaling{{}, {Kind: "linear", Factor: 3}, {Kind: "llama3", Factor: 8, LowFreqFactor: 1, HighFreqFactor: 4, OriginalContext: 8192}} {
		r := specs.Rope{Theta: 500000, Scaling: s}
		want := build.Frequencies(r, 128)
		for i, f := range frequencies(model.Rope{Theta: r.Theta, Scaling: model.RopeScaling{Kind: s.Kind, Factor: s.Factor, LowFreqFactor: s.LowFreqFactor,
			HighFreqFactor: s.HighFreqFactor, OriginalContext: s.OriginalContext}}, 128) {
			if math.Abs(f-want[i]) > 1e-14*want[i] {
				t.Errorf("%s: frequency %d is %v, want %v", s.Kind, i, f, want[i])
			}
		}
	}
}

// TestWarnings says what was not compared, and what may be poor.
func TestWarnings(t *testing.T) {
	dir := factsFiles(t)["Hugging Face"]
	notes, err := agreement(specInfo(t, factsSpec, "model.context=17"), dir)
	if err != nil || len(notes) != 1 || !strings.Contains(notes[0], "max_position_embeddings is 16, and model.context is 17") {
		t.Errorf("%q %v", notes, err)
	}
	info := specInfo(t, factsSpec)
	info.Architecture.Attention, info.Architecture.FFN, info.Architecture.Block = model.Attention{}, model.FFN{}, ""
	if err := os.WriteFile(filepath.Join(dir, "config.json"), config(t, `{"model_type": "other", "architectures": null}`), 0o666); err != nil {
		t.Fatal(err)
	}
	notes, err = agreement(info, dir)
	all := strings.Join(notes, "\n")
	for _, want := range []string{"attention in model.block has a form that is not recognised", "the feed-forward network in model.block", `model_type is "other"`} {
		if err != nil || !strings.Contains(all, want) {
			t.Errorf("%v, and no %q in %s", err, want, all)
		}
	}
}

// TestUnderAnotherName leaves documents alone that may be of another model.
func TestUnderAnotherName(t *testing.T) {
	file := factsFiles(t)["Hugging Face file"]
	other := filepath.Join(filepath.Dir(file), "mine.safetensors")
	if err := os.Rename(file, other); err != nil {
		t.Fatal(err)
	}
	info := specInfo(t, factsSpec, "model.rope.theta=3")
	loaded(t, info, other)
	// Which is not done in silence.
	notes, err := agreement(info, other)
	if err != nil || len(notes) != 1 || !strings.Contains(notes[0], "config.json beside it was not compared") {
		t.Errorf("notes %q, error %v", notes, err)
	}
}

// FuzzConfig reads any document without a panic.
func FuzzConfig(f *testing.F) {
	f.Add(string(config(f, "{}")), false)
	f.Add(params, true)
	f.Add(`{"rope_parameters": {"full_attention": {"rope_type": 3}}, "layer_types": [null, 4], "num_hidden_layers": -1e300, "max_window_layers": "x"}`, false)
	f.Add(`{"model_type": "qwen2", "use_sliding_window": true, "sliding_window": 3, "max_window_layers": 1, "num_hidden_layers": 4, "head_dim": 0}`, false)
	info := specInfo(f, factsSpec)
	file := &safetensors{}
	f.Fuzz(func(t *testing.T, text string, isMeta bool) {
		var m map[string]any
		if json.Unmarshal([]byte(text), &m) != nil {
			return
		}
		s := &claims{}
		if isMeta {
			s.meta(m)
		} else {
			s.huggingFace(m, "config.json")
		}
		if _, err := compare(info, "x", file, s); err != nil && err.Error() == "" {
			t.Error("an error without a message")
		}
	})
}
