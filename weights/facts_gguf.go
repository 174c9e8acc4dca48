package weights

import (
	"fmt"

	"github.com/llamac/llamac/runtime/model"
)

// pairs reads keys of a GGUF that begin with its architecture's name.
type pairs struct {
	*claims
	values  map[string]any
	arch    string
	divided bool // there is a tensor that divides frequencies
}

// number reads a number of any type. Keys for each layer may be lists, of which
// all must say the same: a spec's layers are alike.
func (p *pairs) number(key string) (v float64, text string, ok bool) {
	name := p.arch + "." + key
	switch n := p.values[name].(type) {
	case nil:
		return 0, "", false
	case uint32:
		return float64(n), fmt.Sprint(n), true
	case int32:
		return float64(n), fmt.Sprint(n), true
	case uint64:
		return float64(n), fmt.Sprint(n), true
	case int64:
		return float64(n), fmt.Sprint(n), true
	case float32:
		return float64(n), show(n), true
	case float64:
		return n, show(n), true
	case []int32:
		return perLayer(p, name, n)
	case []float32:
		return perLayer(p, name, n)
	}
	p.problems = append(p.problems, fmt.Sprintf("%s is %s, not a number", name, brief(p.values[name])))
	return 0, "", false
}

// perLayer is the number that a list has for all layers.
func perLayer[T int32 | float32](p *pairs, name string, list []T) (float64, string, bool) {
	for _, n := range list {
		if n != list[0] {
			p.add(ofElse, "layers of a spec are alike", fmt.Sprintf("%v and %v among its layers", list[0], n), name)
			return 0, "", false
		}
	}
	if len(list) == 0 {
		return 0, "", false
	}
	return float64(list[0]), fmt.Sprintf("%v for each layer", list[0]), true
}

// numbers takes down a fact that is one number.
func (p *pairs) numbers(about subject, key string) bool {
	v, text, ok := p.number(key)
	if ok {
		p.add(about, v, text, p.arch+"."+key)
	}
	return ok
}

// flag reads a truth value.
func (p *pairs) flag(key string) (value, ok bool) {
	name := p.arch + "." + key
	v := p.values[name]
	if v == nil {
		return false, false
	}
	value, ok = v.(bool)
	if !ok {
		p.problems = append(p.problems, fmt.Sprintf("%s is %s, not true or false", name, brief(v)))
	}
	return value, ok
}

// gguf reads a file's pairs. What is missing is taken as llama.cpp does, where it
// has a value for it.
func (s *claims) gguf(f *ggufFile) {
	_, divided := f.at["rope_freqs.weight"]
	p := &pairs{s, f.file.Pairs, f.architecture(), divided}
	c, known := classes[map[string]string{"mistral3": "ministral3"}[p.arch]]
	if !known {
		c, known = classes[p.arch]
	}
	// The loader refuses those itself: not even the order of rows is known.
	if !known {
		return
	}
	const name = "general.architecture"
	c.biased = false // tensors show them
	c.imply(s, p.arch, name)
	s.add(ofActivation, c.act, p.arch+", whose activation is "+c.act, name)
	if c.skipsRope {
		s.add(ofElse, "each fourth layer has no rotation", p.arch, name)
	}
	for _, n := range []struct {
		about subject
		key   string
	}{{ofDim, "embedding_length"}, {ofLayers, "block_count"}, {ofVocab, "vocab_size"}, {ofContext, "context_length"}, {ofFFNDim, "feed_forward_length"},
		{ofHeads, "attention.head_count"}, {ofKVHeads, "attention.head_count_kv"}, {ofNormEps, "attention.layer_norm_rms_epsilon"}, {ofNormEps, "attention.layer_norm_epsilon"},
		{ofHeadDim, "attention.key_length"}, {ofHeadDim, "attention.value_length"}, {ofScoreCap, "attn_logit_softcapping"}, {ofLogitCap, "final_logit_softcapping"}} {
		p.numbers(n.about, n.key)
	}
	if p.values[p.arch+".attention.head_count_kv"] == nil {
		if heads, ok := s.number(ofHeads); ok {
			s.add(ofKVHeads, heads, "absent, which means attention.head_count, "+show(heads), p.arch+".attention.head_count_kv")
		}
	}
	// Many files leave the vocabulary to the tokenizer, and the embedding shows it.
	if i, ok := f.at["token_embd.weight"]; ok && p.values[p.arch+".vocab_size"] == nil {
		if shape := f.tensors[i].Shape; len(shape) == 2 {
			s.add(ofVocab, float64(shape[0]), "of "+fmt.Sprint(shape[0])+" tokens", `tensor "token_embd.weight"`)
		}
	}
	s.impliedHeadDim(p.arch + ".attention.key_length")
	p.rope()
	p.others()
}

// rope reads frequencies and their scaling.
func (p *pairs) rope() {
	if !p.numbers(ofTheta, "rope.freq_base") {
		p.add(ofTheta, 10000.0, "absent, which means 10000", p.arch+".rope.freq_base")
	}
	p.numbers(ofRotated, "rope.dimension_count")
	kindKey := p.arch + ".rope.scaling.type"
	kind, text := p.values[kindKey].(string)
	if v := p.values[kindKey]; v != nil && !text {
		p.problems = append(p.problems, fmt.Sprintf("%s is %s, not a string", kindKey, brief(v)))
	}
	key := "rope.scaling.factor"
	factor, _, stated := p.number(key)
	if !stated {
		// The name of the same until 2023.
		key = "rope.scale_linear"
		factor, _, stated = p.number(key)
	}
	at := p.arch + "." + key
	switch {
	case kind != "" && kind != "none" && kind != "linear" && kind != "llama3":
		p.add(ofScaling, scalingSaid{other: kind}, show(kind), kindKey)
	// Factors of 0 and 1 are none, and without a kind it is linear.
	case kind != "none" && stated && factor != 0 && factor != 1:
		v := scalingSaid{RopeScaling: model.RopeScaling{Kind: "linear", Factor: factor}}
		if kind == "llama3" {
			v.Kind = kind
		}
		p.add(ofScaling, v, describeScaling(v.RopeScaling), at)
	// Llama 3's scaling is in a tensor, which is a fact of its own.
	case !p.divided:
		p.add(ofScaling, scalingSaid{}, "absent or 1, which means none, and there is no tensor rope_freqs.weight", at)
	}
	if v, text, ok := p.number("rope.scaling.attn_factor"); ok && v != 1 {
		p.add(ofElse, "scores are scaled by it", text, p.arch+".rope.scaling.attn_factor")
	}
}

// others reads what makes a model another one than any spec of plain layers.
func (p *pairs) others() {
	// 0 is how files say none.
	if v, text, ok := p.number("attention.sliding_window"); ok {
		p.add(ofWindow, v, text, p.arch+".attention.sliding_window")
	}
	if v, text, ok := p.number("attention.scale"); ok && v != 0 {
		p.add(ofScoreScale, v, text, p.arch+".attention.scale")
	}
	for _, o := range []struct {
		key   string
		usual float64
		why   string
	}{{"expert_count", 0, "the feed-forward network is one of several, chosen for each token"}, {"logit_scale", 1, "logits are scaled by it"},
		{"embedding_scale", 1, "the embedding is multiplied by it"}, {"residual_scale", 1, "what layers add is multiplied by it"},
		{"attention.clamp_kqv", 0, "queries, keys and values are cut at it"}, {"attention.max_alibi_bias", 0, "positions are biases of scores"},
		{"attention.temperature_scale", 0, "scores are scaled by their position"}} {
		// Files say 0 for what they do not have.
		if v, text, ok := p.number(o.key); ok && v != o.usual && v != 0 {
			p.add(ofElse, o.why, text, p.arch+"."+o.key)
		}
	}
	if v, ok := p.flag("use_parallel_residual"); ok {
		form := "sequential"
		if v {
			form = "parallel"
		}
		p.add(ofForm, form, fmt.Sprint(v), p.arch+".use_parallel_residual")
	}
	if v, ok := p.flag("attention.causal"); ok && !v {
		p.add(ofElse, "tokens see those that follow them", "false", p.arch+".attention.causal")
	}
}
