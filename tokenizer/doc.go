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
package tokenizer
