package specs

import (
	"fmt"
	"math"

	"github.com/llamac/llamac/internal/diag"
	"github.com/llamac/llamac/specs/internal/eval"
)

// This file holds the rules that tie fields to each other. A rule is looked at
// only when its fields were decoded without error.

// check applies the rules, save those of the model's own fields, which
// decoder.model applies before it decodes the nodes made from them.
func (d *decoder) check(s *Spec) {
	d.checkRecipe(s)
	d.checkTokenizer(s)
	d.checkData(s)
	d.checkParallel(s)
	d.checkNames(s)
}

// relation reports that the value at path does not go with the one at other,
// and says where other is set when a reader of path would not see it there.
// Of two fields that contradict each other either may be the mistake, so the
// reader gets both places.
func (d *decoder) relation(path, other, format string, args ...any) {
	pos, note := d.at.value(path)
	if at, atNote := d.at.value(other); note == "" && (at.File != pos.File || atNote != "") {
		note = fmt.Sprintf("%s is set at %s", other, at)
		if atNote != "" {
			note = other + " is " + atNote
		}
	}
	d.errs = append(d.errs, &diag.Error{Pos: pos, Msg: fmt.Sprintf(format, args...), Note: note})
}

// checkHeads completes the width of a head, and holds the numbers of heads to
// each other.
func (d *decoder) checkHeads(m *Model) {
	// The usual case: the heads share the width.
	if d.ok("model.dim", "model.n_heads") && m.HeadDim == 0 && d.ok("model.head_dim") {
		if m.Dim%m.Heads != 0 {
			d.relation("model.dim", "model.n_heads", "dim %d is not a multiple of n_heads %d; give head_dim if that is meant", m.Dim, m.Heads)
			d.bad["model.head_dim"] = true
		} else {
			m.HeadDim = m.Dim / m.Heads
		}
	}
	// Each group of query heads shares one head of keys and values (Ainslie et
	// al. 2023).
	if d.ok("model.n_heads", "model.n_kv_heads") && m.Heads%m.KVHeads != 0 {
		d.relation("model.n_heads", "model.n_kv_heads", "n_heads %d is not a multiple of n_kv_heads %d", m.Heads, m.KVHeads)
	}
}

// checkRope is about the block's rotations and their frequencies.
// Rotations pair the channels of a head, whatever the layout.
func (d *decoder) checkRope(m *Model) {
	if d.ok("model.head_dim", "model.block") && m.HeadDim%2 != 0 {
		path := "model.head_dim"
		// Nobody wrote head_dim: blame what it was computed from.
		if !d.at.known(path) {
			path = "model.dim"
		}
		for _, n := range m.Block {
			if n.Kind == "rope" {
				d.errorf(path, "head_dim is %d, and rope rotates pairs: it must be even", m.HeadDim)
				break
			}
		}
	}
	if s := m.Rope.Scaling; s.Kind == "llama3" && d.ok("model.rope.scaling.low_freq_factor", "model.rope.scaling.high_freq_factor") && s.HighFreqFactor <= s.LowFreqFactor {
		d.relation("model.rope.scaling.high_freq_factor", "model.rope.scaling.low_freq_factor",
			"high_freq_factor %s must be greater than low_freq_factor %s", show(s.HighFreqFactor), show(s.LowFreqFactor))
	}
}

// checkRecipe is about lengths that have to fit into each other.
func (d *decoder) checkRecipe(s *Spec) {
	if d.ok("train.steps", "schedule.warmup") && s.Schedule.Warmup > s.Train.Steps {
		d.relation("schedule.warmup", "train.steps", "warmup %d is more than train.steps %d", s.Schedule.Warmup, s.Train.Steps)
	}
	if d.ok("schedule.warmup", "schedule.decay") && s.Schedule.Decay != 0 && s.Schedule.Decay < s.Schedule.Warmup {
		d.relation("schedule.decay", "schedule.warmup", "decay %d ends before warmup %d does", s.Schedule.Decay, s.Schedule.Warmup)
	}
	d.checkTokens(s)
	if !d.ok("checkpoint.policy", "checkpoint.budget") {
		return
	}
	switch c := s.Checkpoint; { // the library's budget is 0
	case c.Policy == "auto" && c.Budget == 0:
		d.errorf("checkpoint.budget", "checkpoint.policy auto needs a budget in bytes")
	case c.Policy != "auto" && c.Budget != 0:
		d.relation("checkpoint.budget", "checkpoint.policy", "a budget is kept by the policy auto alone: checkpoint.policy is %s", c.Policy)
	}
}

// MaxTokens is what a run may train on: counts of tokens are int64s, here and
// in the program.
const MaxTokens = 1 << 62

// checkTokens is about the product of all that makes a run long.
func (d *decoder) checkTokens(s *Spec) {
	fields := []size{{"train.steps", s.Train.Steps, 1e7}, {"train.accum", s.Train.Accum, 1e4},
		{"train.micro_batch", s.Train.MicroBatch, 1e3}, {"model.context", s.Model.Context, 1e6}}
	tokens, worst := 1.0, fields[0]
	for _, f := range fields {
		if !d.ok(f.path) {
			return
		}
		tokens *= float64(f.value)
		if float64(f.value)/f.usual > float64(worst.value)/worst.usual {
			worst = f
		}
	}
	if tokens > MaxTokens {
		d.errorf(worst.path, "%s is %d: %d steps of %d x %d sequences of %d tokens are %.3g tokens, more than the %.3g that can be counted",
			worst.path, worst.value, s.Train.Steps, s.Train.Accum, s.Train.MicroBatch, s.Model.Context, tokens, float64(MaxTokens))
	}
}

// checkTokenizer holds the vocabulary of the text to that of the model.
func (d *decoder) checkTokenizer(s *Spec) {
	t := &s.Tokenizer
	if !d.ok("tokenizer.kind", "tokenizer.vocab") {
		return
	}
	// Its ids are the bytes; there is none left for marks.
	if t.Kind == "byte" {
		if t.Vocab != 256 {
			d.errorf("tokenizer.vocab", "the byte tokenizer has 256 ids, not %d", t.Vocab)
			return
		}
		for _, f := range []string{"bos", "eos"} {
			if path := "tokenizer." + f; d.ok(path) && (f == "bos" && t.BOS || f == "eos" && t.EOS) {
				d.errorf(path, "the byte tokenizer has no %s", f)
			}
		}
	}
	// Neither bytes nor a vocabulary that is learned here look for control
	// tokens in text.
	if path := "tokenizer.specials"; d.ok(path) && t.Specials && (t.Kind == "byte" || t.Kind == "bpe") {
		d.errorf(path, "a tokenizer of kind %s finds no control tokens in text: leave specials false", t.Kind)
	}
	// A larger model.vocab has rows that no text reaches, as many published models
	// do; a smaller one could not read its own text.
	if d.ok("model.vocab") && t.Vocab > s.Model.Vocab {
		d.relation("model.vocab", "tokenizer.vocab", "vocab is %d, and the tokenizer has %d ids", s.Model.Vocab, t.Vocab)
	}
	if d.ok("tokenizer.path") && t.Kind == "file" && t.Path == "" {
		d.errorf("tokenizer.path", "tokenizer.kind file needs a path")
	}
}

// shareTolerance allows for shares that are no binary fractions: a sum of a
// few dozen of them is off by a few ulps, 1e-16 each.
const shareTolerance = 1e-9

// checkData is about the mixture as a whole. That its files exist is found when
// they are read.
func (d *decoder) checkData(s *Spec) {
	const path = "data.sources"
	if !d.ok(path, "tokenizer.kind") {
		return
	}
	// Specs of tests are fed ids, and may do without.
	if len(s.Data.Sources) == 0 {
		if s.Tokenizer.Kind != "none" {
			d.errorf(path, "data.sources must have at least one source")
		}
		return
	}
	sum := 0.0
	// Names are those of files in a data set, so they must differ.
	first := map[string]int{}
	for i, src := range s.Data.Sources {
		sum += src.Share
		if j, dup := first[src.Name]; dup && src.Name != "" {
			d.errorf(eval.Field(eval.Elem(path, i), "name"), "source name %s is taken by %s", src.Name, eval.Elem(path, j))
			continue
		}
		first[src.Name] = i
	}
	if math.Abs(sum-1) > shareTolerance {
		d.errorf(path, "the shares of data.sources sum to %.10g, not 1", sum)
	}
}

// checkParallel is about what tensor parallelism divides: heads, the hidden
// width and the vocabulary. 33B, for one, has 52 heads, which 8 ranks cannot
// share.
func (d *decoder) checkParallel(s *Spec) {
	tp := s.Parallel.TP
	if !d.ok("parallel.tp") {
		return
	}
	// Every rank holds an equal part (Shoeybi et al. 2019).
	divides := func(field string, size int) {
		if path := "model." + field; d.ok(path) && size%tp != 0 {
			d.relation("parallel.tp", path, "tp %d does not divide %s %d", tp, field, size)
		}
	}
	divides("n_heads", s.Model.Heads)
	divides("ffn_dim", s.Model.FFNDim)
	divides("vocab", s.Model.Vocab)
	// Fewer key/value heads than ranks: each head is held by tp/n_kv_heads
	// ranks, which must be a whole number.
	if kv := s.Model.KVHeads; d.ok("model.n_kv_heads") && kv != s.Model.Heads && kv%tp != 0 && tp%kv != 0 {
		d.relation("parallel.tp", "model.n_kv_heads", "tp %d and n_kv_heads %d: one must divide the other", tp, kv)
	}
	if s.Parallel.SP && d.ok("parallel.sp", "model.context") && s.Model.Context%tp != 0 {
		d.relation("parallel.tp", "model.context", "tp %d does not divide context %d, which sequence parallelism splits", tp, s.Model.Context)
	}
}
