// Package model is the contract between generated code and the commands that
// drive it (runtime/app): generated code describes itself with an Info and
// offers a Trainer and a Decoder; the application owns data, schedule, files
// and everything a person sees.
package model

// Info describes a compiled model. Generated code holds one as a literal.
type Info struct {
	Name     string
	SpecFile string // path of the spec, relative, with forward slashes
	SpecHash string // sha256 of the evaluated spec
	SpecJSON string // the evaluated spec, compact: Recipe below is decoded from it at generation time
	Version  string // of the llamac that generated it

	Dim, Layers, Heads, KVHeads, HeadDim, FFNDim, Vocab, Context int

	Architecture Architecture // what is computed with these sizes

	Params        int64   // trained parameters, each tied weight counted once
	FLOPsPerToken float64 // model FLOPs of one training token, causal attention counted half: 6·(matmul params) + 6·L·h·s
	Weights       []Weight
	// Embedding and Output name the weight that tokens are looked up in and the
	// one that logits are multiplied by, which in a tied model are the same. Both
	// are empty where a network has no such weight.
	Embedding, Output string
	// Head is what files call the output projection of a tied model if they hold
	// one all the same.
	Head   Names
	Recipe Recipe
	Memory Memory

	// Masked says that attention in training stops at the documents of a packed
	// sequence: batches carry Starts.
	Masked bool

	// NewTrainer and NewDecoder allocate every arena of the plan, once. They
	// are nil in a package compiled without the mode.
	NewTrainer func(Options) (Trainer, error)
	NewDecoder func(Options) (Decoder, error)
}

// Options are the choices left to run time.
type Options struct {
	Workers int // goroutines of the kernels; 0 for GOMAXPROCS. Results do not depend on it.

	// Params, if not nil, is a weights arena to use instead of a new one: a
	// training run's own samples read the trainer's. A decoder may ignore it;
	// whoever passes it compares with what Params of the decoder returns.
	// Of another length than the arena has it is an error.
	Params []float32
}

// Weight is one tensor of the weights arena, row-major.
type Weight struct {
	Name   string // "layers.3.attention.wq"
	Shape  []int  // [out, in] for matrices
	Offset int    // of the first element in the flat arena, in elements
	Init   Init
	Decay  bool // subject to weight decay

	HF, GGUF, Meta string // names in other formats; empty if none

	// Rope is "interleaved" or "half" if the rows are rotated in pairs, those of a
	// projection of queries or keys or of a bias or a gain that meets it, else
	// empty. RopeHeads is the number of heads whose rows are permuted alike when
	// layouts are converted, 0 where that would not give the same model.
	Rope      string
	RopeHeads int
}

// Names are those of one tensor in other formats; empty if none.
type Names struct{ HF, GGUF, Meta string }

// Len is the number of elements.
func (w *Weight) Len() int {
	n := 1
	for _, d := range w.Shape {
		n *= d
	}
	return n
}

// Init says how a weight starts: kind "normal" (mean 0), "ones" or "zeros".
type Init struct {
	Kind string
	Std  float64
}

// Memory is what the plan says a run allocates, in bytes.
type Memory struct {
	Weights, Grads, Moments    int64
	TrainActivations           int64 // saved and scratch, the peak of the one activation arena
	SavedPerLayer              int64 // of the layer that stores most, where layers differ
	DecodeActivations, KVCache int64
	KVBlock, KVBlocks, Prefill int // tokens a cache block, blocks of the cache, token capacity of a prefill
	MaxSequences               int // sequences decoded together
}

// Recipe is the training recipe of the spec.
type Recipe struct {
	MicroBatch, Accum, Steps int
	Seed                     uint64
	LR, Beta1, Beta2, Eps    float64
	WeightDecay, Clip        float64
	Warmup, DecaySteps       int
	MinRatio                 float64
	EvalEvery, EvalBatches   int
	SaveEvery                int
	KeepLast, KeepEvery      int // of checkpoints: so many newest, and those of every so many steps; 0 for none
	KeepBest                 bool
	SampleEvery, SampleCount int
	SampleTokens             int
	SamplePrompt             string
	Temperature, TopP        float64
	BOS, EOS                 bool
}

// Hyper are the scalars of one optimiser step. Step counts from 1 and drives
// Adam's bias correction.
type Hyper struct {
	Step                  int
	LR, Beta1, Beta2, Eps float64
	WeightDecay, Clip     float64
	GradScale             float64 // gradients are multiplied by it first: 1/Accum
}

// Batch is one micro-batch of training, MicroBatch sequences of Context tokens,
// sequence after sequence.
type Batch struct {
	Tokens  []int32 // inputs
	Targets []int32 // what follows each; below 0 it is not counted

	// Starts is, for each token, the position in its sequence at which its
	// document begins: attention sees nothing before it. It is 0 in the rest of
	// a document that began in an earlier sequence. Only models with
	// Info.Masked read it, and take nil for sequences of one document each.
	Starts []int32
}

// Trainer runs the bound programs of training. It is not safe for concurrent
// use. No method allocates.
type Trainer interface {
	// Batches must be as Batch.Check has them: another one is a mistake of the
	// caller's, and panics with the part that is wrong.

	// MicroStep runs forward and backward over one micro-batch and returns
	// its mean loss in nats per token. The first micro-batch of a step
	// overwrites the gradients, the others add to them.
	MicroStep(in Batch, first bool) float32
	// Eval returns the mean loss of one micro-batch, in nats per token.
	Eval(in Batch) float32
	// Update applies one AdamW step and returns the global gradient norm
	// after GradScale and before clipping. When that norm is not finite it
	// changes nothing, so that Diagnose still sees the weights of the failure.
	Update(Hyper) float64
	// Params, Grads and Moments are the flat arenas; Weights' offsets apply
	// to each of them.
	Params() []float32
	Grads() []float32
	Moments() (m, v []float32)
	// Diagnose runs MicroStep once more, watching every launch, and names
	// the first IR node with a non-finite result ("layer 3: %attn.q"), or
	// returns "" when all are finite.
	Diagnose(in Batch) string
	// Counters reports what the kernels did since the last call.
	Counters() map[string]int64
	Close()
}

// Decoder runs the bound programs of inference over a block-wise KV cache.
// Sequences are numbered 0..MaxSequences-1.
type Decoder interface {
	// Params is the flat weights arena.
	Params() []float32
	// Step feeds tokens of one or more sequences, flat, each with its
	// sequence's number; the tokens of a sequence go to its next positions in
	// order. want names indices into tokens, rising; the logits that follow
	// token want[j] go to logits[j·Vocab : (j+1)·Vocab]. len(tokens) ≤ Prefill.
	// Step reports an error when the cache is full or a sequence passes
	// Context.
	Step(tokens, seqs, want []int32, logits []float32) error
	// Len is the number of tokens a sequence holds.
	Len(seq int) int
	// Reset frees a sequence.
	Reset(seq int)
	// Fork makes dst a copy of src that shares its cached blocks.
	Fork(dst, src int) error
	Close()
}
