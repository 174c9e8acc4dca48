package weights

import (
	"fmt"
	"math"
	"strings"

	"github.com/llamac/llamac/runtime/model"
)

// document is an object of a JSON file, read key by key.
type document struct {
	*claims
	values map[string]any
	at     string // "config.json: text_config."
}

// place names a key.
func (d *document) place(key string) string { return d.at + key }

// wrong reports a value that means nothing under its key.
func (d *document) wrong(key, want string) {
	d.problems = append(d.problems, fmt.Sprintf("%s is %s, not %s", d.place(key), brief(d.values[key]), want))
}

// brief prints a value of JSON, cut where it is long.
func brief(v any) string {
	t := fmt.Sprintf("%#v", v)
	switch v := v.(type) {
	case nil:
		return "null"
	case float64, bool, string:
		t = show(v)
	case []any:
		t = fmt.Sprintf("a list of %d", len(v))
	case map[string]any:
		t = "an object"
	}
	const most = 60
	if len(t) > most {
		t = t[:most] + "..."
	}
	return t
}

// get has the value of a key. null is a key that says nothing.
func (d *document) get(key string) (any, bool) {
	v := d.values[key]
	return v, v != nil
}

// number reads a number.
func (d *document) number(key string) (float64, bool) {
	v, ok := d.get(key)
	if !ok {
		return 0, false
	}
	n, ok := v.(float64)
	if !ok {
		d.wrong(key, "a number")
	}
	return n, ok
}

// flag reads a truth value.
func (d *document) flag(key string) (value, ok bool) {
	v, ok := d.get(key)
	if !ok {
		return false, false
	}
	b, ok := v.(bool)
	if !ok {
		d.wrong(key, "true or false")
	}
	return b, ok
}

// text reads a string.
func (d *document) text(key string) (string, bool) {
	v, ok := d.get(key)
	if !ok {
		return "", false
	}
	s, ok := v.(string)
	if !ok {
		d.wrong(key, "a string")
	}
	return s, ok
}

// object reads an object.
func (d *document) object(key string) (*document, bool) {
	v, ok := d.get(key)
	if !ok {
		return nil, false
	}
	o, ok := v.(map[string]any)
	if !ok {
		d.wrong(key, "an object")
	}
	return &document{d.claims, o, d.place(key) + "."}, ok
}

// numbers takes down the facts that are one number under one key. It tells whether
// one of the keys was there.
func (d *document) numbers(about subject, keys ...string) (found bool) {
	for _, key := range keys {
		if v, ok := d.number(key); ok {
			d.add(about, v, "", d.place(key))
			found = true
		}
	}
	return found
}

// plain takes down a number that changes what a model computes unless it has its
// usual value.
func (d *document) plain(key string, usual float64, why string) {
	if v, ok := d.number(key); ok && v != usual {
		d.add(ofElse, why, show(v), d.place(key))
	}
}

// huggingFace reads config.json of transformers, of any age.
func (s *claims) huggingFace(config map[string]any, file string) {
	d := &document{s, config, file + ": "}
	// Weights of this kind have other types than a file shows, or scales beside
	// them.
	for _, key := range []string{"quantization_config", "compression_config"} {
		if v, ok := d.get(key); ok {
			how := "quantised"
			if q, ok := v.(map[string]any); ok {
				if m, ok := q["quant_method"].(string); ok {
					how += " by " + m
				}
			}
			s.problems = append(s.problems, fmt.Sprintf("%s: the weights are %s, which is not read; %s", d.place(key), how, readableTypes))
		}
	}
	// Models that see or hear keep their language model's numbers one level down.
	if text, ok := d.object("text_config"); ok {
		d = text
	}
	name, cl, known := d.class()
	d.sizes()
	d.activation(cl, known, name)
	d.attention(cl, known, name)
	d.rope(cl, known, name)
	d.window(cl, known, name)
	d.others()
	// Last, as these follow from others.
	d.defaults(cl, known, name)
}

// class finds what the names of the model stand for.
func (d *document) class() (name string, c class, known bool) {
	name, ok := d.text("model_type")
	if ok {
		if c, known = classes[name]; known {
			c.imply(d.claims, name, d.place("model_type"))
		} else {
			d.add(ofElse, "that is none of the models whose computation is known here ("+classNames+")", show(name), d.place("model_type"))
		}
	}
	// The name of the code is a second word on the same: LlamaForCausalLM.
	list, ok := d.values["architectures"].([]any)
	if !ok {
		if d.values["architectures"] != nil {
			d.wrong("architectures", "a list")
		}
		return name, c, known
	}
	for _, v := range list {
		arch, _ := v.(string)
		base, _, _ := strings.Cut(strings.ToLower(arch), "for")
		base = strings.TrimSuffix(base, "model")
		other, found := classes[base]
		switch {
		case !found:
			d.add(ofElse, "that is none of the models whose computation is known here ("+classNames+")", show(arch), d.place("architectures"))
		case name == "":
			// Without a model_type this is all there is to go by.
			name, c, known = base, other, true
			c.imply(d.claims, name, d.place("architectures"))
		case base != name && known:
			other.imply(d.claims, arch, d.place("architectures"))
		}
	}
	return name, c, known
}

// sizes reads what also shows in the tensors' shapes.
func (d *document) sizes() {
	d.numbers(ofDim, "hidden_size")
	d.numbers(ofLayers, "num_hidden_layers")
	d.numbers(ofVocab, "vocab_size")
	d.numbers(ofContext, "max_position_embeddings")
	d.numbers(ofFFNDim, "intermediate_size")
	d.numbers(ofHeads, "num_attention_heads")
	d.numbers(ofKVHeads, "num_key_value_heads")
	d.numbers(ofHeadDim, "head_dim")
}

// activations are transformers' names for what specs have as kinds of nodes.
var activations = map[string]string{"silu": "silu", "swish": "silu", "gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh",
	"gelu_fast": "gelu_tanh", "gelu_python": "gelu", "relu": "relu", "relu2": "relu2", "tanh": "tanh", "sigmoid": "sigmoid"}

// activation reads the function of the feed-forward network, and its biases.
func (d *document) activation(c class, known bool, name string) {
	stated := false
	for _, key := range []string{"hidden_act", "hidden_activation"} {
		v, ok := d.text(key)
		if !ok {
			continue
		}
		stated = true
		kind, ok := activations[v]
		// A name that is not known is at least none of the spec's.
		if !ok {
			kind = v
		}
		d.add(ofActivation, kind, show(v), d.place(key))
	}
	if known && !stated {
		d.absent(ofActivation, c.act, "hidden_act", c.act, name)
	}
	if known && c.mlpBiases != "" {
		d.flagOr(ofFFNBias, c.mlpBiases, name)
	}
}

// absent takes down what a class has where a key is missing.
func (d *document) absent(about subject, value any, key, means, name string) {
	d.add(about, value, fmt.Sprintf("absent, which means %s for model_type %s", means, name), d.place(key))
}

// flagOr takes down a truth value that is false where it is missing.
func (d *document) flagOr(about subject, key, name string) bool {
	v, ok := d.flag(key)
	if ok {
		d.add(about, v, "", d.place(key))
	} else if d.values[key] == nil {
		d.absent(about, false, key, "false", name)
	}
	return v
}

// attention reads biases and norms, and how scores are scaled.
func (d *document) attention(c class, known bool, name string) {
	if known && c.biases != "" {
		v := d.flagOr(ofQKVBias, c.biases, name)
		if c.outBiased {
			d.add(ofOutBias, v, fmt.Sprint(v), d.place(c.biases))
		}
	} else if v, ok := d.flag("attention_bias"); ok && !known {
		d.add(ofQKVBias, v, "", d.place("attention_bias"))
	}
	d.numbers(ofScoreCap, "attn_logit_softcapping")
	d.numbers(ofLogitCap, "final_logit_softcapping")
	d.numbers(ofScoreScale, "attention_multiplier")
	// Gemma's spelling: the number whose root divides the scores.
	if v, ok := d.number("query_pre_attn_scalar"); ok {
		d.add(ofScoreScale, 1/math.Sqrt(v), "", d.place("query_pre_attn_scalar"))
	}
	for _, key := range []string{"qk_layernorm", "use_qk_norm"} {
		if v, ok := d.flag(key); ok && v != (c.qkNorm != "") {
			d.add(ofElse, "whether queries and keys are normalised is another matter in this model", fmt.Sprint(v), d.place(key))
		}
	}
	if v, ok := d.flag("use_parallel_residual"); ok {
		d.add(ofForm, map[bool]string{true: "parallel", false: "sequential"}[v], fmt.Sprint(v), d.place("use_parallel_residual"))
	}
}

// rope reads the base of the frequencies, their scaling, and how much of a head
// turns: beside each other until transformers 4, and in one object since 5, which
// may hold one for each kind of layer.
func (d *document) rope(c class, known bool, name string) {
	theta := d.numbers(ofTheta, "rope_theta")
	turned := d.numbers(ofRotatedFraction, "partial_rotary_factor", "rotary_pct", "rope_pct")
	scaled := false
	for _, key := range []string{"rope_scaling", "rope_parameters"} {
		o, ok := d.object(key)
		if !ok {
			continue
		}
		all := []*document{o}
		for k, v := range o.values {
			if _, nested := v.(map[string]any); nested {
				kind, _ := o.object(k)
				all = append(all, kind)
			}
		}
		for _, o := range all {
			// The outer one of a nested object says nothing itself.
			if len(all) > 1 && o == all[0] {
				continue
			}
			theta = o.numbers(ofTheta, "rope_theta") || theta
			turned = o.numbers(ofRotatedFraction, "partial_rotary_factor") || turned
			o.scaling(d, known)
			o.plain("llama_4_scaling_beta", 0, "scores are scaled by their position")
			scaled = true
		}
	}
	if known && !theta && c.theta != 0 {
		d.absent(ofTheta, c.theta, "rope_theta", show(c.theta), name)
	}
	if known && !turned {
		d.absent(ofRotatedFraction, c.rotated, "partial_rotary_factor", show(c.rotated), name)
	}
	if known && !scaled && c.theta != 0 {
		d.absent(ofScaling, scalingSaid{}, "rope_scaling", "none", name)
	}
	// Rows of queries and keys lie in another order than transformers'.
	for _, key := range []string{"rope_interleaved", "rope_interleave"} {
		if v, ok := d.flag(key); ok && v {
			d.add(ofElse, "its queries and keys are rotated in neighbouring pairs, which files under these names do not have", "true", d.place(key))
		}
	}
}

// scaling reads how frequencies are stretched. config is the object around it.
func (d *document) scaling(config *document, known bool) {
	key := "rope_type"
	kind, ok := d.text(key)
	if !ok {
		// Until transformers 4.43.
		key = "type"
		kind, ok = d.text(key)
	}
	if !ok {
		// Without a type transformers scales nothing, and a factor means nothing.
		key, kind = "rope_type", "default"
		if _, factor := d.get("factor"); factor {
			d.problems = append(d.problems, fmt.Sprintf("%s is %s, and no rope_type beside it says what kind of scaling that is", d.place("factor"), brief(d.values["factor"])))
		} else if !known {
			return
		}
	}
	v := scalingSaid{RopeScaling: model.RopeScaling{Kind: kind}}
	number := func(key string, dst *float64) {
		if n, ok := d.number(key); ok {
			*dst = n
		}
	}
	number("factor", &v.Factor)
	original, context := 0.0, 0.0
	switch kind {
	case "default", "none":
		v = scalingSaid{}
	case "linear":
	case "llama3":
		number("low_freq_factor", &v.LowFreqFactor)
		number("high_freq_factor", &v.HighFreqFactor)
		number("original_max_position_embeddings", &original)
	case "dynamic":
		// Nothing changes before the text is longer than this.
		v.other = kind
		if context, ok = config.number("max_position_embeddings"); ok {
			v.harmless = integer(context)
		}
	default:
		v.other = kind
	}
	v.OriginalContext = integer(original)
	text := describeScaling(v.RopeScaling)
	switch {
	case v.other != "":
		text = show(kind)
	case !ok:
		text = "absent, which means none"
	}
	d.add(ofScaling, v, text, d.place(key))
}

// integer makes an int of a number of a file; what is none, or beyond any context,
// is a number that no spec has.
func integer(x float64) int {
	if x != math.Trunc(x) || math.Abs(x) > 1<<40 {
		return -1
	}
	return int(x)
}

// window reads how far attention sees.
func (d *document) window(c class, known bool, name string) {
	window, stated := d.number("sliding_window")
	_, null := d.values["sliding_window"]
	used, said := d.flag("use_sliding_window")
	switch {
	// transformers has no window in such a model, whatever the file says; who wrote
	// it meant one.
	case known && !c.windowed && (window == 0 || said && !used):
		d.add(ofWindow, 0.0, name+", which has no window", d.place("model_type"))
		return
	case said && !used, known && c.windowUsed && !used:
		window = 0
	case !stated && !null && known && c.window > 0:
		d.absent(ofWindow, c.window, "sliding_window", show(c.window), name)
		return
	// Nothing is said, and nothing known of what that means.
	case !stated && !known:
		return
	}
	at, text := d.place("sliding_window"), show(window)
	// Only some layers may have it. Then it is a window as far as texts are longer
	// than it, and no spec has it in some layers.
	if layers, ok := d.number("num_hidden_layers"); ok && window > 0 && c.windowUsed {
		first, ok := d.number("max_window_layers")
		if _, listed := d.get("layer_types"); ok && !listed && first >= layers {
			window = 0
		} else if ok && !listed && first > 0 {
			text += fmt.Sprintf(" from layer %s on (max_window_layers)", show(first))
		}
	}
	if types, ok := d.get("layer_types"); ok {
		window, text = d.layerTypes(types, window, text)
	}
	if window == 0 {
		text = "0 (none)"
	}
	d.add(ofWindow, window, text, at)
}

// layerTypes reads which layers have the window.
func (d *document) layerTypes(types any, window float64, text string) (float64, string) {
	list, ok := types.([]any)
	if !ok {
		d.wrong("layer_types", "a list")
		return window, text
	}
	slides, full := 0, 0
	for _, v := range list {
		switch v {
		case "sliding_attention":
			slides++
		case "full_attention", "attention":
			full++
		default:
			d.add(ofElse, "a layer of this kind is none of the spec's", brief(v), d.place("layer_types"))
			return 0, text
		}
	}
	switch {
	case slides == 0:
		return 0, text
	case full > 0:
		return window, text + fmt.Sprintf(" in %d of %d layers (layer_types)", slides, slides+full)
	}
	return window, text
}

// others reads what makes a model another one than any spec of plain layers.
func (d *document) others() {
	d.numbers(ofNormEps, "rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps")
	if v, ok := d.flag("tie_word_embeddings"); ok {
		d.add(ofTie, v, "", d.place("tie_word_embeddings"))
	}
	for _, key := range []string{"num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"} {
		d.plain(key, 0, "the feed-forward network is one of several, chosen for each token")
	}
	d.plain("embedding_multiplier", 1, "the embedding is multiplied by it")
	d.plain("residual_multiplier", 1, "what layers add is multiplied by it")
	d.plain("logits_scaling", 1, "logits are divided by it")
	d.plain("logit_scale", 1, "logits are multiplied by it")
	if _, ok := d.number("clip_qkv"); ok {
		d.add(ofElse, "queries, keys and values are cut at it", brief(d.values["clip_qkv"]), d.place("clip_qkv"))
	}
	if v, ok := d.flag("alibi"); ok && v {
		d.add(ofElse, "positions are biases of scores", "true", d.place("alibi"))
	}
}

// defaults takes down what the class has where the file says nothing.
func (d *document) defaults(c class, known bool, name string) {
	if !known {
		return
	}
	if _, ok := d.claims.number(ofKVHeads); !ok {
		// null means as many as of queries in all classes.
		_, null := d.values["num_key_value_heads"]
		if heads, ok := d.claims.number(ofHeads); ok && (null || c.kvHeads == 0) {
			d.add(ofKVHeads, heads, fmt.Sprintf("absent, which means num_attention_heads, %s, for model_type %s", show(heads), name), d.place("num_key_value_heads"))
		} else if !null {
			d.absent(ofKVHeads, c.kvHeads, "num_key_value_heads", show(c.kvHeads), name)
		}
	}
	if _, ok := d.claims.number(ofNormEps); !ok {
		d.absent(ofNormEps, c.eps, "rms_norm_eps", show(c.eps), name)
	}
	if c.headDim == 0 {
		d.impliedHeadDim(d.place("head_dim"))
	} else if _, ok := d.claims.number(ofHeadDim); !ok {
		d.absent(ofHeadDim, c.headDim, "head_dim", show(c.headDim), name)
	}
	// SmolLM3 leaves RoPE out of each fourth layer.
	if c.skipsRope {
		d.skippedRope(name)
	}
}

// skippedRope reads in which layers RoPE is left out.
func (d *document) skippedRope(name string) {
	list, ok := d.values["no_rope_layers"].([]any)
	for _, v := range list {
		if v != 1.0 && v != true {
			d.add(ofElse, "some layers have no rotation", "a list with 0", d.place("no_rope_layers"))
			return
		}
	}
	if !ok {
		d.add(ofElse, "each fourth layer has no rotation", "absent for model_type "+name, d.place("no_rope_layers"))
	}
}
