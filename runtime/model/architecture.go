package model

// Architecture is what the model computes, in the terms in which files of
// others speak of theirs: package weights compares the two. It was derived from
// the nodes of the spec. A part that has a form which is not recognised is left
// at its zero value, and then nothing is known of that part.
type Architecture struct {
	// Block is "sequential" for x + attention(norm(x)) and then r + ffn(norm(r)),
	// "parallel" for x + attention(norm(x)) + ffn(norm(x)), either between a
	// plain embedding and norm and projection at the end; "" for any other form.
	Block     string
	Norms     []Norm // each kind and eps once; those of queries and keys included
	Attention Attention
	FFN       FFN
	Rope      Rope
	Tied      bool    // the output projection is the embedding's weight
	SoftCap   float64 // logits are c·tanh(logits/c); 0 for none
}

// Norm is a kind of normalisation and its epsilon.
type Norm struct {
	Kind string  // "rms" or "layer"
	Eps  float64 // under the root
	At   string  // field of the spec: "model.norm_eps", or those of the nodes
}

// Attention is the self-attention of a layer. Heads is 0 where it was not
// recognised.
type Attention struct {
	Heads, KVHeads, HeadDim int
	Rotated                 int     // channels of a head that RoPE turns: HeadDim, or 0 without RoPE
	Window                  int     // positions that a token sees, itself included; 0 for all before it
	Scale                   float64 // of the scores where it is not 1/sqrt(HeadDim), else 0
	SoftCap                 float64 // scores are c·tanh(scores/c); 0 for none
	QKNorm                  string  // of queries and keys before RoPE: "head" for each head, "whole" for all together, "" for none
	QKVBias, OutBias        bool
}

// FFN is the feed-forward network of a layer. Activation is "" where it was not
// recognised.
type FFN struct {
	Dim        int
	Activation string // kind of the spec's node: "silu", "gelu", "gelu_tanh", "relu", ...; "relu2" for its square
	Gated      bool   // down(activation(gate(x)) · up(x)), else down(activation(up(x)))
	Bias       bool
}

// Rope is the rotary position embedding.
type Rope struct {
	Theta   float64
	Layout  string // "interleaved" or "half"
	Scaling RopeScaling
}

// RopeScaling stretches the frequencies. The zero value leaves them alone.
type RopeScaling struct {
	Kind                          string // "", "linear" or "llama3"
	Factor                        float64
	LowFreqFactor, HighFreqFactor float64 // llama3's
	OriginalContext               int     // llama3's
}
