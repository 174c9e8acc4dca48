// Package data reads a prepared training set: the token shards of every source
// of a mixture, drawn as one stream of sequences of the context length.
//
// A set is a folder that package data/prepare wrote:
//
//	manifest.json          what is in it: sources, counts, checksums, tokenizer
//	token-bytes.bin        bytes of text that each token id stands for
//	NAME-00000.train.tok   shards: tokens, a table of documents, their names
//	NAME-00000.val.tok     documents held out for validation
//
// The stream is a pure function of (set, context, seed, n). Nothing in it
// depends on how many readers, ranks or workers there are, nor on where a run
// was stopped, so resuming is asking for the next n:
//
//	set, err := data.Open("corpus")
//	st, err := set.Stream(data.StreamConfig{Context: 256, Seed: 1})
//	seq := make([]int32, 257)
//	st.Sequence(n, seq) // inputs seq[:256], targets seq[1:]
//
// Which source gives sequence n follows from the shares by largest remainder
// (mixture.go); which window of that source, from a permutation drawn afresh
// for every epoch (permute.go). A source's documents lie end to end, each with
// its BOS and EOS when the set was prepared with them.
//
// The package uses the standard library only and knows nothing of tokenizers
// beyond ids, a hash and the number of bytes that a token stands for.
package data
