package specs

import (
	"go/token"
	"regexp"
	"strings"

	"github.com/llamac/llamac/specs/internal/eval"
)

// spec decodes every section of the document. The fields here are the whole
// schema: what no line below asks for is an unknown field.
func (d *decoder) spec(doc map[string]any, s *Spec) {
	o := &object{d: d, m: doc}
	d.name(o, s)
	o.string("doc", &s.Doc)
	o.section("model", func(o *object) { d.model(o, &s.Model) })
	o.section("train", func(o *object) { d.train(o, &s.Train) })
	o.section("optim", func(o *object) {
		o.number("lr", &s.Optim.LR, positive)
		o.number("beta1", &s.Optim.Beta1, moment)
		o.number("beta2", &s.Optim.Beta2, moment)
		o.number("eps", &s.Optim.Eps, positive)
		o.number("weight_decay", &s.Optim.WeightDecay, nonNegative)
		o.number("clip", &s.Optim.Clip, nonNegative)
	})
	o.section("schedule", func(o *object) {
		o.int("warmup", &s.Schedule.Warmup, nonNegative)
		o.number("min_ratio", &s.Schedule.MinRatio, fraction)
		o.int("decay", &s.Schedule.Decay, nonNegative)
	})
	o.section("tokenizer", func(o *object) {
		t := &s.Tokenizer
		o.enum("kind", &t.Kind, "byte", "bpe", "file", "none")
		if o.has("path") || t.Kind == "file" {
			o.string("path", &t.Path)
		}
		if !o.follows("vocab", "model.vocab") {
			o.int("vocab", &t.Vocab, atLeast(1))
		}
		o.bool("bos", &t.BOS)
		o.bool("eos", &t.EOS)
	})
	o.section("data", func(o *object) { d.data(o, &s.Data) })
	o.section("checkpoint", func(o *object) {
		o.enum("policy", &s.Checkpoint.Policy, "none", "full", "keep-linear", "auto")
		o.number("budget", &s.Checkpoint.Budget, nonNegative)
	})
	o.section("precision", func(o *object) {
		o.enum("compute", &s.Precision.Compute, "f32", "bf16", "f16")
		o.enum("master", &s.Precision.Master, "f32", "bf16", "f16")
	})
	o.section("parallel", func(o *object) {
		o.int("tp", &s.Parallel.TP, atLeast(1))
		o.bool("sp", &s.Parallel.SP)
		o.int("dp", &s.Parallel.DP, atLeast(1))
		o.int("zero", &s.Parallel.Zero, bound{func(x float64) bool { return x == 0 || x == 1 }, "0 or 1"})
	})
	o.section("names", func(o *object) {
		d.names(o, "hf", &s.Names.HF)
		d.names(o, "gguf", &s.Names.GGUF)
		d.names(o, "meta", &s.Names.Meta)
	})
	o.close()
}

// section decodes the object in a field and reports its unknown fields.
func (o *object) section(name string, fields func(*object)) {
	if s := o.object(name); s != nil {
		fields(s)
		s.close()
	}
}

var goName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// name decodes the spec's name, which becomes a Go package's.
func (d *decoder) name(o *object, s *Spec) {
	o.string("name", &s.Name)
	switch {
	case !d.ok("name"):
	case !goName.MatchString(s.Name):
		d.errorf("name", "name must be a Go identifier of a-z, 0-9 and _, not %s", show(s.Name))
	case token.IsKeyword(s.Name), s.Name == "main":
		d.errorf("name", "name %s cannot be a Go package's", s.Name)
	}
}

func (d *decoder) model(o *object, m *Model) {
	o.int("dim", &m.Dim, atLeast(1))
	o.int("n_layers", &m.Layers, atLeast(1))
	o.int("n_heads", &m.Heads, atLeast(1))
	if !o.follows("n_kv_heads", "model.n_heads") {
		o.int("n_kv_heads", &m.KVHeads, atLeast(1))
	}
	if o.has("head_dim") {
		o.int("head_dim", &m.HeadDim, atLeast(1))
	}
	o.int("ffn_dim", &m.FFNDim, atLeast(1))
	o.int("vocab", &m.Vocab, atLeast(1))
	o.int("context", &m.Context, atLeast(1))
	o.number("norm_eps", &m.NormEps, positive)
	o.number("init_std", &m.InitStd, positive)
	o.bool("tie", &m.Tie)
	o.bool("qkv_bias", &m.QKVBias)
	o.section("rope", func(o *object) {
		o.number("theta", &m.Rope.Theta, positive)
		o.enum("layout", &m.Rope.Layout, "interleaved", "half")
		o.section("scaling", func(o *object) { d.scaling(o, &m.Rope.Scaling) })
	})
	d.checkHeads(m)
	d.nodes(o, m)
	d.checkRope(m)
}

// scaling takes each field where its kind needs it, and tolerates the others,
// so that a kind can be overridden alone.
func (d *decoder) scaling(o *object, s *RopeScaling) {
	o.enum("kind", &s.Kind, "none", "linear", "llama3")
	llama3 := s.Kind == "llama3"
	if o.has("factor") || llama3 || s.Kind == "linear" {
		o.number("factor", &s.Factor, positive)
	}
	if o.has("low_freq_factor") || llama3 {
		o.number("low_freq_factor", &s.LowFreqFactor, positive)
	}
	if o.has("high_freq_factor") || llama3 {
		o.number("high_freq_factor", &s.HighFreqFactor, positive)
	}
	if o.has("original_context") || llama3 {
		o.int("original_context", &s.OriginalContext, atLeast(1))
	}
}

func (d *decoder) train(o *object, t *Train) {
	o.int("micro_batch", &t.MicroBatch, atLeast(1))
	o.int("accum", &t.Accum, atLeast(1))
	o.int("steps", &t.Steps, atLeast(1))
	seed := int64(0)
	o.int64("seed", &seed, nonNegative, maxInt)
	t.Seed = uint64(seed)
	o.int("save_every", &t.SaveEvery, nonNegative)
	o.section("eval", func(o *object) {
		o.int("every", &t.Eval.Every, nonNegative)
		o.int("batches", &t.Eval.Batches, nonNegative)
	})
	o.section("sample", func(o *object) {
		s := &t.Sample
		o.int("every", &s.Every, nonNegative)
		o.int("count", &s.Count, nonNegative)
		o.int("tokens", &s.Tokens, nonNegative)
		o.string("prompt", &s.Prompt)
		o.number("temperature", &s.Temperature, nonNegative)
		o.number("top_p", &s.TopP, share)
	})
}

func (d *decoder) data(o *object, data *Data) {
	o.number("validation", &data.Validation, bound{func(x float64) bool { return x >= 0 && x < 1 }, "at least 0 and less than 1"})
	o.bool("dedup", &data.Dedup)
	o.enum("boundary", &data.Boundary, "cross", "mask")
	o.number("tokens", &data.Tokens, nonNegative)
	sources, path, ok := o.array("sources")
	if !ok {
		return
	}
	for i, v := range sources {
		src := d.object(v, eval.Elem(path, i))
		if src == nil {
			d.partial[path] = true
			continue
		}
		data.Sources = append(data.Sources, d.source(src))
		if !d.ok(eval.Field(src.path, "share")) {
			d.partial[path] = true
		}
	}
}

func (d *decoder) source(o *object) (s Source) {
	o.string("name", &s.Name)
	if p := eval.Field(o.path, "name"); d.ok(p) && !goName.MatchString(s.Name) {
		d.errorf(p, "%s must be of a-z, 0-9 and _, not %s", p, show(s.Name))
	}
	o.number("share", &s.Share, share)
	o.enum("kind", &s.Kind, "files", "jsonl", "wet", "go_source", "go_docs")
	// The Go kinds know where to look: in GOROOT.
	if o.has("paths") || !strings.HasPrefix(s.Kind, "go_") {
		o.strings("paths", &s.Paths)
		if p := eval.Field(o.path, "paths"); d.ok(p) && len(s.Paths) == 0 {
			d.errorf(p, "%s must have at least one path", p)
		}
	}
	if o.has("exclude") {
		o.strings("exclude", &s.Exclude)
	}
	if o.has("field") || s.Kind == "jsonl" {
		o.string("field", &s.Field)
	}
	if o.has("max_bytes") {
		o.int64("max_bytes", &s.MaxBytes, nonNegative, maxInt)
	}
	if o.has("epochs") {
		o.number("epochs", &s.Epochs, nonNegative)
	}
	if o.has("dedup") {
		o.bool("dedup", &s.Dedup)
	}
	o.close()
	return s
}

// names decodes the weights' names in one other format. "N" stands for the
// layer's number, on both sides or on none.
func (d *decoder) names(o *object, name string, dst *map[string]string) {
	t := o.object(name)
	if t == nil {
		return
	}
	*dst = map[string]string{}
	for _, key := range sortedKeys(t.m) {
		path := eval.Field(t.path, key)
		s, ok := t.m[key].(string)
		switch {
		case !ok || s == "":
			d.errorf(path, "%s must be a name, not %s", path, show(t.m[key]))
		case perLayer(key) != perLayer(s):
			d.errorf(path, "%s is %q: the layer's number N must be in both names or in none", path, s)
		}
		(*dst)[key] = s
	}
}

// perLayer says whether N is one of the words of a name.
func perLayer(name string) bool {
	for _, w := range strings.Split(name, ".") {
		if w == "N" {
			return true
		}
	}
	return false
}
