package specs

import (
	"go/token"
	"regexp"
	"strings"

	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/specs/internal/eval"
)

// spec decodes every section of the document. The fields here are the whole
// schema: what no line below asks for is an unknown field.
// Sections and fields stand here in the order of the shipped specs, and so do
// the errors about them. Nothing has a default at this stage:
// lib/llama.libsonnet sets them, in the language of the spec, where a reader
// can see them.
func (d *decoder) spec(doc map[string]any, s *Spec) {
	o := &object{d: d, m: doc}
	d.name(o, s)
	// Headers of generated files quote it.
	o.string("doc", &s.Doc)
	o.section("model", func(o *object) { d.model(o, &s.Model) })
	o.section("train", func(o *object) { d.train(o, &s.Train) })
	// Loshchilov and Hutter 2019. Rates of the moments stay below 1, at which
	// nothing would be learned.
	o.section("optim", func(o *object) {
		o.number("lr", &s.Optim.LR, positive)
		o.number("beta1", &s.Optim.Beta1, moment)
		o.number("beta2", &s.Optim.Beta2, moment)
		o.number("eps", &s.Optim.Eps, positive)
		o.number("weight_decay", &s.Optim.WeightDecay, nonNegative)
		o.number("clip", &s.Optim.Clip, nonNegative)
	})
	// Steps, not tokens: what a step is stands in train.
	o.section("schedule", func(o *object) {
		o.int("warmup", &s.Schedule.Warmup, nonNegative)
		// 1 keeps the rate at its peak, 0 ends at nothing.
		o.number("min_ratio", &s.Schedule.MinRatio, fraction)
		o.int("decay", &s.Schedule.Decay, nonNegative)
	})
	// path is needed by one kind and allowed with the others, so that a spec
	// can change its kind alone.
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
		if o.has("specials") {
			o.bool("specials", &t.Specials)
		}
	})
	o.section("data", func(o *object) { d.data(o, &s.Data) })
	// Which policies a pipeline can do is for the compiler to say.
	o.section("checkpoint", func(o *object) {
		o.enum("policy", &s.Checkpoint.Policy, "none", "full", "keep-linear", "auto")
		o.bytes("budget", &s.Checkpoint.Budget)
	})
	// As with policies: what a target cannot do it refuses, with the place.
	o.section("precision", func(o *object) {
		o.enum("compute", &s.Precision.Compute, "f32", "bf16", "f16")
		o.enum("master", &s.Precision.Master, "f32", "bf16", "f16")
	})
	// Degrees of 1 are one device; whether there are more is found out at run
	// time.
	o.section("parallel", func(o *object) {
		o.int("tp", &s.Parallel.TP, atLeast(1))
		o.bool("sp", &s.Parallel.SP)
		o.int("dp", &s.Parallel.DP, atLeast(1))
		// Stages of Rajbhandari et al. 2020, of which the optimiser's state is
		// the first.
		o.int("zero", &s.Parallel.Zero, bound{func(x float64) bool { return x == 0 || x == 1 }, "0 or 1"})
	})
	// Only the forms that others' files have; the model's own names are those
	// of its nodes.
	o.section("names", func(o *object) {
		d.names(o, "hf", &s.Names.HF)
		d.names(o, "gguf", &s.Names.GGUF)
		d.names(o, "meta", &s.Names.Meta)
	})
	o.close()
}

// section decodes the object in a field and reports its unknown fields.
// A field of the wrong type is one error: nothing inside is looked at.
func (o *object) section(name string, fields func(*object)) {
	if s := o.object(name); s != nil {
		fields(s)
		s.close()
	}
}

// goName is what names of specs and of sources may be: they become names of
// packages and of files.
var goName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// device names a file that Windows takes for a device.
var device = regexp.MustCompile(`^(con|prn|aux|nul|com[0-9]|lpt[0-9])$`)

// maxName bounds a spec's name: files are called after it, with more behind it.
const maxName = 64

// name decodes the spec's name, which becomes a Go package's.
func (d *decoder) name(o *object, s *Spec) {
	o.string("name", &s.Name)
	switch {
	// Already reported as missing or no string.
	case !d.ok("name"):
	case !goName.MatchString(s.Name):
		d.errorf("name", "name must be a Go identifier of a-z, 0-9 and _, not %s", show(s.Name))
	// A package cannot be called "func", "main" is a program, and of package
	// init nothing can be imported.
	case token.IsKeyword(s.Name), s.Name == "main", s.Name == "init":
		d.errorf("name", "name %s cannot be a Go package's; %s_model can", s.Name, s.Name)
	// Go keeps such packages for tests of others.
	case strings.HasSuffix(s.Name, "_test"):
		d.errorf("name", "name %s cannot be a Go package's, for it ends in _test; %s can", s.Name, strings.TrimSuffix(s.Name, "_test")+"_tests")
	// Nor may any part of an import path have such a name, on any system.
	case device.MatchString(s.Name):
		d.errorf("name", "name %s is a device on Windows, where no file can be called so; %s_model can", s.Name, s.Name)
	// It is a part of file names, whose length systems bound.
	case len(s.Name) > maxName:
		d.errorf("name", "name has %d letters, more than %d", len(s.Name), maxName)
	}
}

// model decodes sizes first and nodes last. The block's nodes are computed from
// sizes by the library, so a wrong size would be reported once for each node
// that has it.
func (d *decoder) model(o *object, m *Model) {
	o.int("dim", &m.Dim, atLeast(1))
	o.int("n_layers", &m.Layers, atLeast(1))
	o.int("n_heads", &m.Heads, atLeast(1))
	// Without grouped queries there are as many, which is the library's
	// default.
	if !o.follows("n_kv_heads", "model.n_heads") {
		o.int("n_kv_heads", &m.KVHeads, atLeast(1))
	}
	// Absent in most specs: dim over n_heads.
	if o.has("head_dim") {
		o.int("head_dim", &m.HeadDim, atLeast(1))
	}
	o.int("ffn_dim", &m.FFNDim, atLeast(1))
	o.int("vocab", &m.Vocab, atLeast(1))
	o.sizeUpTo("context", &m.Context, MaxContext)
	o.number("norm_eps", &m.NormEps, positive)
	// 0.02 in GPT-2 and LLaMA; nodes may have their own.
	o.number("init_std", &m.InitStd, positive)
	o.bool("tie", &m.Tie)
	o.bool("qkv_bias", &m.QKVBias)
	o.section("rope", func(o *object) {
		// Base of the frequencies: 10,000 in the paper, 500,000 in Llama 3.
		o.number("theta", &m.Rope.Theta, positive)
		o.enum("layout", &m.Rope.Layout, "interleaved", "half")
		o.section("scaling", func(o *object) { d.scaling(o, &m.Rope.Scaling) })
	})
	// Before the nodes: the library makes them from these numbers.
	d.checkHeads(m)
	d.nodes(o, m)
	// After them: it asks whether the block rotates at all.
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

// train decodes how much is learned at once, how long, and what a run writes on
// the way.
func (d *decoder) train(o *object, t *Train) {
	o.sizeUpTo("micro_batch", &t.MicroBatch, MaxMicroBatch)
	o.int("accum", &t.Accum, atLeast(1))
	o.int("steps", &t.Steps, atLeast(1))
	// As an integer of JSON: up to 2^53, which is as many seeds as anyone
	// needs.
	seed := int64(0)
	o.int64("seed", &seed, nonNegative, maxInt)
	t.Seed = uint64(seed)
	// 0 writes a checkpoint at the end only.
	o.int("save_every", &t.SaveEvery, nonNegative)
	o.section("keep", func(o *object) {
		o.int("last", &t.Keep.Last, atLeast(1))
		o.int("every", &t.Keep.Every, nonNegative)
		o.bool("best", &t.Keep.Best)
	})
	o.section("eval", func(o *object) {
		o.int("every", &t.Eval.Every, nonNegative)
		o.int("batches", &t.Eval.Batches, nonNegative)
	})
	o.section("sample", func(o *object) {
		s := &t.Sample
		o.int("every", &s.Every, nonNegative)
		// Each is a file, every time.
		count := int64(s.Count)
		o.int64("count", &count, nonNegative, maxSamples)
		s.Count = int(count)
		o.int("tokens", &s.Tokens, nonNegative)
		o.string("prompt", &s.Prompt)
		o.number("temperature", &s.Temperature, nonNegative)
		// Holtzman et al. 2020; 1 draws from all.
		o.number("top_p", &s.TopP, share)
	})
}

// maxSamples is how many texts a run may write after a step: far fewer than there
// are seeds for, and than a folder takes.
const maxSamples = 1000

// data decodes the mixture. Paths are not looked at: the machine that prepares
// the data may be another one.
func (d *decoder) data(o *object, data *Data) {
	o.number("validation", &data.Validation, bound{func(x float64) bool { return x >= 0 && x < 1 }, "at least 0 and less than 1"})
	o.bool("dedup", &data.Dedup)
	o.enum("boundary", &data.Boundary, "cross", "mask")
	o.number("tokens", &data.Tokens, nonNegative)
	sources, path, ok := o.array("sources")
	if !ok {
		return
	}
	// A wrong source does not hide what is wrong with the next.
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

// source decodes one component. Fields that only some kinds read are allowed
// for all, as with the tokenizer.
func (d *decoder) source(o *object) (s Source) {
	o.string("name", &s.Name)
	if p := eval.Field(o.path, "name"); d.ok(p) && !goName.MatchString(s.Name) {
		d.errorf(p, "%s must be of a-z, 0-9 and _, not %s", p, show(s.Name))
	}
	// A share of 0 would be a source that is prepared and never read.
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

// names decodes the weights' names in one other format. A word "N" stands for the
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
		// One name for all layers, or a layer's name for one weight, could only
		// be read wrong.
		case model.PerLayer(key) != model.PerLayer(s):
			d.errorf(path, "%s is %q: the layer's number N must be in both names or in none", path, s)
		}
		(*dst)[key] = s
	}
}
