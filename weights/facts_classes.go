package weights

// class is what an architecture's name stands for beyond the numbers that a file
// states, and what its program takes where a file states none. Names that are not
// here belong to models that compute something else, or that nobody has looked at.
type class struct {
	norm    string  // kind of the norms
	qkNorm  string  // as model.Attention has it
	act     string  // activation of the gated feed-forward network
	theta   float64 // RoPE's base; 0 where it is not to be assumed
	eps     float64 // of the norms
	kvHeads float64 // heads of keys and values; 0: as many as of queries
	headDim float64 // 0: dim over heads
	rotated float64 // fraction of a head's channels
	window  float64 // of attention, where it is not said; 0 for none

	windowed   bool   // the class has windows at all; others ignore the key
	windowUsed bool   // the key use_sliding_window decides whether there is one
	biased     bool   // projections to queries, keys and values always have biases
	biases     string // key that gives biases to them
	outBiased  bool   // and to attention's output as well
	mlpBiases  string // key that gives biases to the feed-forward network
	skipsRope  bool   // some layers have no RoPE unless the file says otherwise
}

// classes are the models that specs describe, by model_type of transformers 5.24's
// configuration classes, whose defaults these are; ministral3's RoPE is left out,
// since its default is a scaling that depends on other keys.
var classes = map[string]class{
	"llama":      {norm: "rms", act: "silu", theta: 10000, eps: 1e-6, rotated: 1, biases: "attention_bias", outBiased: true, mlpBiases: "mlp_bias"},
	"mistral":    {windowed: true, norm: "rms", act: "silu", theta: 10000, eps: 1e-6, rotated: 1, kvHeads: 8, window: 4096},
	"ministral":  {windowed: true, norm: "rms", act: "silu", theta: 10000, eps: 1e-6, rotated: 1, kvHeads: 8, window: 4096},
	"ministral3": {windowed: true, norm: "rms", act: "silu", eps: 1e-5, rotated: 1, kvHeads: 8, headDim: 128},
	"qwen2":      {windowed: true, norm: "rms", act: "silu", theta: 10000, eps: 1e-6, rotated: 1, kvHeads: 32, window: 4096, windowUsed: true, biased: true},
	"qwen3":      {windowed: true, norm: "rms", qkNorm: "head", act: "silu", theta: 10000, eps: 1e-6, rotated: 1, kvHeads: 32, headDim: 128, window: 4096, windowUsed: true, biases: "attention_bias", outBiased: true},
	"phi3":       {windowed: true, norm: "rms", act: "silu", theta: 10000, eps: 1e-5, rotated: 1},
	"stablelm":   {norm: "layer", act: "silu", theta: 10000, eps: 1e-5, rotated: 0.25, kvHeads: 32, biases: "use_qkv_bias"},
	"smollm3":    {windowed: true, norm: "rms", act: "silu", theta: 2000000, eps: 1e-6, rotated: 1, kvHeads: 4, windowUsed: true, biases: "attention_bias", outBiased: true, mlpBiases: "mlp_bias", skipsRope: true},
}

// classNames lists them for messages.
const classNames = "llama, mistral, ministral, ministral3, qwen2, qwen3, phi3, stablelm, smollm3"

// imply takes down what a class is by its name alone.
func (c class) imply(s *claims, name, at string) {
	s.add(ofNormKind, c.norm, name+", whose norms are of kind "+c.norm, at)
	s.add(ofQKNorm, c.qkNorm, name+normText(c.qkNorm), at)
	s.add(ofGated, true, name+", which has a gate", at)
	if c.biased {
		s.add(ofQKVBias, true, name+", which has biases of queries, keys and values", at)
		s.add(ofOutBias, false, name+", which has none", at)
	}
}

// normText says which norms queries and keys have.
func normText(kind string) string {
	if kind == "" {
		return ", which does not normalise queries and keys"
	}
	return ", which normalises queries and keys"
}
