// Package tokenizer turns text into token ids and back, and learns
// vocabularies from text.
//
// It knows two families: byte-pair encoding as SentencePiece defines it, which
// LLaMA uses (Sennrich et al. 2016; Kudo and Richardson 2018), and byte-level
// byte-pair encoding as GPT-2 defined it, which LLaMA 3 and SmolLM use
// (Radford et al. 2019). It reads and writes SentencePiece's .model, llama2.c's
// tokenizer.bin, GGUF's tokenizer keys and Hugging Face's tokenizer.json, and
// it knows nothing of models or of training data's files.
//
//	t, err := tokenizer.Open("tokenizer.model")
//	ids := t.Encode(nil, []byte("Hello, world"))
//	text := t.Decode(nil, ids)
//
// The ids are exactly those of the original implementations, on any input.
// Encoding costs time linear in the text and allocates nothing but the result.
//
// # How encoding works
//
// Byte-pair encoding is defined by merging: of all neighbouring symbols that
// together spell a piece, the pair of the best rank becomes one symbol, the
// leftmost first among equals, until nothing merges. Done as defined, with a
// list and a heap, that costs n·log n steps that jump about in memory.
//
// This package looks for the result instead. Two symbols are compatible if,
// encoding just the two texts one after the other, they stay apart (rules.go
// decides that from how each of them comes into being). The encoding of a text
// is the one sequence of symbols in which all neighbours are compatible:
//
//   - It is such a sequence: no merge crosses a boundary between two symbols of
//     the result, so the merges within any two neighbours go as if they were
//     alone.
//   - There is no other. Suppose all neighbours of a sequence are compatible,
//     and follow the merging of the whole text. The first merge that crossed a
//     boundary would do so while all merges before it stayed within symbols, in
//     the order in which they go in those two symbols alone; so it would happen
//     there, too, and the two would not be compatible.
//
// Hence, at each place, encode.go takes the longest symbol that is compatible
// with the one before, shorter ones if it fails later, and never tries a place
// twice. On prose the first try nearly always holds. The argument needs nothing
// of the ranks, so it holds for scored pieces, listed merges, equal scores and
// pieces that no merging ever reaches alike; tests compare it with the
// definition on vocabularies made to break it.
//
// Words, cut where no piece reaches across, are remembered with their ids.
//
// # How learning works
//
// Train counts distinct words, lays each out once as a row of characters, and
// merges the most frequent pair until the vocabulary is full, keeping counts and
// places of all pairs up to date (train_merge.go). What it merges, what it does
// not, and how it breaks ties is SentencePiece's choice, found out from its
// source and held by tests against the program itself:
//
//   - pieces do not join scripts, nor spaces to what stands before them, nor
//     digits to anything when those are split;
//   - of equally frequent pairs, the one of fewer characters is first, then the
//     one of smaller bytes;
//   - aaa holds aa once (SentencePiece 0.1) or twice (0.2: CountOverlaps);
//   - a second way to spell a piece that exists does not merge any more.
package tokenizer
