package weights

import (
	"fmt"
	"math"
	"strings"

	"github.com/llamac/llamac/runtime/model"
)

// comparison collects how facts and a model differ.
type comparison struct {
	info  model.Info
	said  *claims
	tied  bool // the file has no output projection of its own
	wrong []string
	set   map[string]string // by field of the spec
	notes []string
}

// setOrder is the order in which a hint lists fields.
var setOrder = []string{"model.dim", "model.n_layers", "model.n_heads", "model.n_kv_heads", "model.head_dim", "model.ffn_dim",
	"model.vocab", "model.context", "model.norm_eps", "model.rope.theta", "model.rope.scaling.kind", "model.rope.scaling.factor",
	"model.rope.scaling.low_freq_factor", "model.rope.scaling.high_freq_factor", "model.rope.scaling.original_context",
	"model.tie", "model.qkv_bias"}

// nodes stands for the spec's side where no field says it.
const nodes = "what the nodes of model.block have"

// compare holds the facts of a file against a model.
func compare(info model.Info, path string, f File, s *claims) ([]string, error) {
	c := &comparison{info: info, said: s, tied: true, set: map[string]string{}}
	for _, t := range f.Tensors() {
		if strings.HasSuffix(t.Name, "lm_head.weight") || strings.HasSuffix(t.Name, "output.weight") {
			c.tied = false
		}
	}
	// What follows from other facts comes behind them.
	for _, implied := range []bool{false, true} {
		for _, f := range s.facts {
			if f.implied == implied {
				c.fact(f)
			}
		}
	}
	if len(c.wrong) == 0 {
		return c.notes, nil
	}
	c.group()
	e := &MismatchError{Path: path, Spec: info.SpecFile, Differences: c.wrong}
	if e.Spec == "" {
		e.Spec = info.Name
	}
	for _, field := range setOrder {
		if v, ok := c.set[field]; ok {
			e.Set = append(e.Set, field+"="+v)
		}
	}
	return nil, e
}

// group completes a hint: heads, those of keys and values, and their width follow
// from each other in specs that do not give them, so that one alone may change the
// others.
func (c *comparison) group() {
	if _, heads := c.set["model.n_heads"]; heads {
		if v, ok := c.said.number(ofKVHeads); ok {
			c.set["model.n_kv_heads"] = show(v)
		}
	}
	_, heads := c.set["model.n_heads"]
	if _, dim := c.set["model.dim"]; dim || heads {
		if v, ok := c.said.number(ofHeadDim); ok {
			c.set["model.head_dim"] = show(v)
		}
	}
}

// differ takes down a contradiction: the file's value and place, then the spec's.
func (c *comparison) differ(f fact, ours, at string) {
	c.wrong = append(c.wrong, fmt.Sprintf("%s is %s, and %s is %s", f.at, f.text, at, ours))
}

// unknown notes that something was not compared.
func (c *comparison) unknown(part string) {
	note := fmt.Sprintf("%s in model.block has a form that is not recognised: what the weight file says of it was not compared", part)
	for _, n := range c.notes {
		if n == note {
			return
		}
	}
	c.notes = append(c.notes, note)
}

// size compares a whole number that a field of the spec gives; field is "" where
// the nodes have another than the field, which setting it would not change.
func (c *comparison) size(f fact, ours int, field string) {
	v, _ := f.value.(float64)
	if v == float64(ours) {
		return
	}
	if field == "" {
		c.differ(f, fmt.Sprint(ours), nodes)
		return
	}
	c.differ(f, fmt.Sprint(ours), field)
	c.set[field] = show(v)
}

// when is a field's name if the nodes have what the field says.
func when(nodes, field int, name string) string {
	if nodes == field {
		return name
	}
	return ""
}

// fact compares one fact.
func (c *comparison) fact(f fact) {
	a, info := &c.info.Architecture, &c.info
	attention, ffn := a.Attention.Heads > 0, a.FFN.Activation != ""
	switch f.about {
	case ofDim:
		c.size(f, info.Dim, "model.dim")
	case ofLayers:
		c.size(f, info.Layers, "model.n_layers")
	case ofVocab:
		c.size(f, info.Vocab, "model.vocab")
	case ofContext:
		// Positions go on behind those that the file's model saw, so that this is a
		// matter of quality: a file may also state less than it can do.
		if v, _ := f.value.(float64); v < float64(info.Context) {
			c.notes = append(c.notes, fmt.Sprintf("%s is %s, and model.context is %d: text beyond what the model was made for may be poor", f.at, f.text, info.Context))
		}
	case ofNormEps, ofNormKind:
		c.norms(f)
	case ofTheta:
		if v, _ := f.value.(float64); c.rotates() && !sameNumber(v, a.Rope.Theta) {
			c.differ(f, show(a.Rope.Theta), "model.rope.theta")
			c.set["model.rope.theta"] = f.number()
		}
	case ofScaling:
		if c.rotates() {
			c.scaling(f)
		}
	case ofTurning:
		if c.rotates() {
			c.turning(f)
		}
	case ofTie:
		// A tied file fills an untied model: its output is the embedding.
		if tie, _ := f.value.(bool); !tie && a.Tied {
			c.differ(f, "true", "model.tie")
			if !c.tied {
				c.set["model.tie"] = "false"
			}
		}
	case ofLogitCap:
		c.plain(f, a.SoftCap)
	case ofForm:
		if a.Block == "" {
			c.unknown("the order of attention and feed-forward network")
		} else if f.value != a.Block {
			c.differ(f, a.Block, nodes)
		}
	case ofElse:
		if a.Block == "" {
			c.notes = append(c.notes, fmt.Sprintf("%s is %s: whether the spec's own block does that was not compared", f.at, f.text))
		} else {
			c.wrong = append(c.wrong, fmt.Sprintf("%s is %s: %s, and no node of the spec does that", f.at, f.text, f.value))
		}
	case ofFFNDim, ofActivation, ofGated, ofFFNBias:
		if !ffn {
			c.unknown("the feed-forward network")
			return
		}
		c.ffn(f)
	default:
		if !attention {
			c.unknown("attention")
			return
		}
		c.attention(f)
	}
}

// number is the file's number as a hint spells it.
func (f fact) number() string {
	v, _ := f.value.(float64)
	// A GGUF's float32 is spelt as short as it was written.
	if float64(float32(v)) == v {
		return show(float32(v))
	}
	return show(v)
}

// rotates tells whether RoPE is part of the model, as far as is known.
func (c *comparison) rotates() bool {
	a := &c.info.Architecture.Attention
	if c.info.Architecture.Rope.Theta == 0 || a.Heads > 0 && a.Rotated == 0 {
		return false
	}
	return true
}

// norms compares a fact with every norm of the model.
func (c *comparison) norms(f fact) {
	for _, n := range c.info.Architecture.Norms {
		if f.about == ofNormKind {
			if f.value != n.Kind {
				c.differ(f, n.Kind, "the kind of the norms at "+n.At)
			}
			continue
		}
		if v, _ := f.value.(float64); !sameNumber(v, n.Eps) {
			c.differ(f, show(n.Eps), n.At)
			// A path into a list of nodes is none that --set takes.
			if n.At == "model.norm_eps" {
				c.set[n.At] = f.number()
			}
		}
	}
	if len(c.info.Architecture.Norms) == 0 {
		c.unknown("normalisation")
	}
}

// ffn compares what is said of the feed-forward network.
func (c *comparison) ffn(f fact) {
	n := &c.info.Architecture.FFN
	switch f.about {
	case ofFFNDim:
		c.size(f, n.Dim, when(n.Dim, c.info.FFNDim, "model.ffn_dim"))
	case ofActivation:
		if f.value != n.Activation {
			c.differ(f, n.Activation, "the activation in model.block")
		}
	case ofGated:
		c.flag(f, n.Gated, "whether the feed-forward network in model.block has a gate", "")
	case ofFFNBias:
		c.flag(f, n.Bias, "whether the feed-forward network in model.block has biases", "")
	}
}

// flag compares truth values.
func (c *comparison) flag(f fact, ours bool, at, field string) {
	if f.value == ours {
		return
	}
	c.differ(f, fmt.Sprint(ours), at)
	if field != "" {
		c.set[field] = fmt.Sprint(f.value)
	}
}

// plain compares a number that is 0 in models without the thing.
func (c *comparison) plain(f fact, ours float64) {
	if v, _ := f.value.(float64); !sameNumber(v, ours) {
		c.differ(f, show(ours), nodes)
	}
}

// attention compares what is said of attention, RoPE's frequencies aside.
func (c *comparison) attention(f fact) {
	a := &c.info.Architecture.Attention
	v, _ := f.value.(float64)
	switch f.about {
	case ofHeads:
		c.size(f, a.Heads, when(a.Heads, c.info.Heads, "model.n_heads"))
	case ofKVHeads:
		c.size(f, a.KVHeads, when(a.KVHeads, c.info.KVHeads, "model.n_kv_heads"))
	case ofHeadDim:
		_, dim := c.set["model.dim"]
		if _, heads := c.set["model.n_heads"]; f.implied && (dim || heads) {
			return
		}
		c.size(f, a.HeadDim, when(a.HeadDim, c.info.HeadDim, "model.head_dim"))
	case ofRotated, ofRotatedFraction:
		c.rotated(f, v)
	case ofWindow:
		// A window as wide as the context hides nothing.
		ours := a.Window
		if ours >= c.info.Context {
			ours = 0
		}
		if theirs := v; theirs >= float64(c.info.Context) && ours == 0 || theirs == float64(ours) {
			return
		}
		c.differ(f, fmt.Sprint(a.Window), "the window of attention in model.block (0: none)")
		// Shorter texts never leave the window.
		if v > 0 && a.Window == 0 {
			c.set["model.context"] = show(v)
		}
	case ofScoreScale:
		usual := a.Scale
		if usual == 0 {
			usual = 1 / math.Sqrt(float64(a.HeadDim))
		}
		if !sameNumber(v, usual) {
			c.differ(f, show(usual), "the scale of scores in model.block")
		}
	case ofScoreCap:
		c.plain(f, a.SoftCap)
	case ofQKNorm:
		if f.value != a.QKNorm {
			c.differ(f, fmt.Sprintf("%q", a.QKNorm), `the norm of queries and keys in model.block ("": none)`)
		}
	case ofQKVBias:
		c.flag(f, a.QKVBias, "model.qkv_bias", "model.qkv_bias")
	case ofOutBias:
		c.flag(f, a.OutBias, "whether attention's output projection in model.block has a bias", "")
	}
}

// rotated compares how many channels of a head RoPE turns. In a file with other
// heads, whole heads are as many as that file's.
func (c *comparison) rotated(f fact, v float64) {
	a := &c.info.Architecture.Attention
	ours := float64(a.Rotated)
	width := float64(a.HeadDim)
	if w, ok := c.said.number(ofHeadDim); ok {
		width = w
	}
	if a.Rotated == a.HeadDim {
		ours = width
	}
	if f.about == ofRotatedFraction {
		v = float64(int(v * width))
	}
	if v != ours {
		c.differ(f, fmt.Sprintf("%s of %s", show(ours), show(width)), "the number of channels of a head that RoPE turns in model.block")
	}
}
