// Package specs loads a llamac specification: a Jsonnet file that describes
// one model, the recipe that trains it and the data it learns from.
//
// Load evaluates the file in a sandbox, decodes it strictly and validates it.
// Every problem is reported as file:line:col with the offending value, and all
// of them are reported in one run. The package knows nothing of the IR: it
// hands over plain values, and package ir/build turns them into a graph.
package specs

import "github.com/llamac/llamac/internal/diag"

// Spec is one evaluated, validated specification.
type Spec struct {
	Name       string // a Go identifier in lower case, such as "gopher"; names the generated package
	Doc        string // one or two sentences, for headers and --help
	Model      Model
	Train      Train
	Optim      Optim
	Schedule   Schedule
	Data       Data
	Tokenizer  Tokenizer
	Checkpoint Checkpoint
	Precision  Precision
	Parallel   Parallel
	Names      Names

	File string // path the spec was loaded from, as the user wrote it
	Hash string // sha256, in hex, of JSON: the evaluated document after --set
	JSON []byte // the evaluated document, canonical (sorted keys, two-space indent)

	// Pos gives the source position of a field path such as "model.dim" or
	// "model.block[3].out", for diagnostics found after loading.
	Pos func(path string) diag.Pos

	at *locator // behind Pos and Errorf
}

// Model holds the sizes of a decoder-only transformer and its architecture as
// a list of nodes. Letters in brackets are those of the papers.
type Model struct {
	Dim     int     // width of the residual stream [h]
	Layers  int     // [L]; spec key n_layers
	Heads   int     // query heads [a]; spec key n_heads
	KVHeads int     // key/value heads; equal to Heads without grouped queries; spec key n_kv_heads
	FFNDim  int     // hidden width of the feed-forward network [f]; spec key ffn_dim
	Vocab   int     // [V]
	Context int     // longest sequence [s]
	NormEps float64 // epsilon inside RMSNorm; spec key norm_eps
	Rope    Rope
	Tie     bool // output projection shares the embedding's weight
	QKVBias bool // spec key qkv_bias
	HeadDim int  // Dim/Heads unless the spec says otherwise; spec key head_dim
	InitStd float64
	Block   []Node // one layer: reads "x", the last node is its result
	Network []Node // the whole: reads "tokens", contains one repeat of Block, the last node is the logits
}

// Rope describes rotary position embedding (Su et al. 2021).
type Rope struct {
	Theta   float64 // base of the frequencies, 10000 in LLaMA
	Layout  string  // "interleaved" (Meta: pairs 2i, 2i+1) or "half" (Hugging Face: i, i+d/2)
	Scaling RopeScaling
}

// RopeScaling stretches the frequencies for contexts longer than trained.
// Kind "none" leaves them alone; "linear" divides positions by Factor;
// "llama3" is the piecewise rule of Llama 3.1.
type RopeScaling struct {
	Kind            string
	Factor          float64
	LowFreqFactor   float64
	HighFreqFactor  float64
	OriginalContext int
}

// Node is one node of Model.Block or Model.Network, as a constructor of
// specs/lib/node.libsonnet made it. Kind selects a row of Kinds, which lists
// the fields that the kind takes.
// Fields that a kind does not take are zero.
type Node struct {
	Kind   string
	Name   string // unique in its list; a value of the IR carries it: %attn.q
	Inputs []string
	Weight string // name of the weight, without the layer's number: "attention.wq"; empty if the kind has none
	Bias   string
	Out    int     // output width of linear and embedding
	Value  float64 // the number of scale, add_scalar, pow; eps of norms; width of window_mask
	Heads  int     // split_heads; times of repeat_kv
	Layers int     // repeat
	Body   []Node  // repeat: Model.Block
	Std    float64 // standard deviation of the initial weight, 0 for the model's init_std
	Shard  string  // "" none, "column" (output split), "row" (input split): tensor parallelism
	Path   string  // field path of this node in the document, for diagnostics
}

// Train says how much is trained and in which portions.
type Train struct {
	MicroBatch int // sequences in one forward and backward
	Accum      int // micro-batches accumulated into one step
	Steps      int
	Seed       uint64
	Eval       Eval
	SaveEvery  int // steps between checkpoints; 0 for the last step only
	Keep       Keep
	Sample     Sample
}

// Keep says which checkpoints of a run stay.
type Keep struct {
	Last  int  // so many newest
	Every int  // those of every so many steps for good; 0 for none
	Best  bool // that of the lowest validation loss, which is saved when it is found
}

// Eval says when and on how much held-out data the model is evaluated.
type Eval struct {
	Every   int // steps; 0 for after the last one only
	Batches int // micro-batches of validation data; 0 for no evaluation
}

// Sample says what the training run writes as samples of its own text.
type Sample struct {
	Every       int // steps, and the last one; 0 for never
	Count       int
	Tokens      int
	Prompt      string
	Temperature float64
	TopP        float64
}

// Optim is AdamW (Loshchilov and Hutter 2019) with global-norm clipping.
type Optim struct {
	LR          float64 // peak learning rate
	Beta1       float64
	Beta2       float64
	Eps         float64
	WeightDecay float64 // applied to matrices, not to norms
	Clip        float64 // global gradient norm; 0 for none
}

// Schedule is linear warm-up, then a cosine to MinRatio of the peak.
type Schedule struct {
	Warmup   int     // steps
	MinRatio float64 // 0.1 in the paper
	Decay    int     // step at which the cosine ends; 0 for Train.Steps
}

// Data is the training mixture. Shares must sum to 1.
type Data struct {
	Sources    []Source
	Validation float64 // share of documents held out whole, chosen by hash of their name
	Dedup      bool    // drop documents equal to an earlier one
	Boundary   string  // attention across documents in one sequence: "cross" (the paper's packing) or "mask"
	Tokens     float64 // token budget of the paper's recipe, for reports; 0 when Steps rules
}

// Source is one component of the mixture.
type Source struct {
	Name     string
	Share    float64
	Kind     string   // "files", "jsonl", "wet", "go_source", "go_docs"
	Paths    []string // globs; "$GOROOT" is expanded; may be empty for the Go kinds
	Exclude  []string
	Field    string // jsonl: the field with the text
	MaxBytes int64  // stop after this many bytes of text; 0 for all
	Epochs   float64
	Dedup    bool
}

// Tokenizer says how text becomes tokens.
type Tokenizer struct {
	Kind  string // "byte" (256 ids), "bpe" (trained on the mixture), "file", "none" (the model is fed ids: tests)
	Path  string // "file": a tokenizer.model, tokenizer.bin, tokenizer.json or GGUF
	Vocab int    // pieces of "bpe"; at most Model.Vocab
	BOS   bool   // put BOS before each document
	EOS   bool   // put EOS after each document
	// A control token that a document spells out, such as <|endoftext|>, becomes
	// that token; otherwise it is text like any other.
	Specials bool
}

// Checkpoint chooses which activations the backward finds stored.
type Checkpoint struct {
	Policy string  // "none", "full", "keep-linear", "auto"
	Budget float64 // bytes of the activation arena, for "auto"
}

// Precision names the dtypes of a run: "f32", "bf16" or "f16".
// The master copy is what AdamW updates; matrix products read a copy in the
// compute type.
type Precision struct {
	Compute string // activations and the weights that GEMMs read
	Master  string // optimiser's copy
}

// Parallel gives the degrees of each kind of parallelism.
type Parallel struct {
	TP   int  // tensor (Megatron)
	SP   bool // sequence parallel norms and residuals (Korthikanti et al. 2022)
	DP   int  // data
	Zero int  // 0 or 1: optimiser state sharded over data-parallel ranks
}

// Names maps weight names to those of other formats. A key is a weight name
// such as "layers.N.attention.wq", N standing for the layer's number.
type Names struct {
	HF   map[string]string
	GGUF map[string]string
	Meta map[string]string
}
