package model

import "fmt"

// Generated code and package exec hold what they are handed to the sizes that
// were compiled in, in the same words.

// Arena is the weights arena that a model of n elements uses: Params, which must
// have that many, or a new one.
func (o Options) Arena(n int) ([]float32, error) {
	switch {
	case o.Params == nil:
		return make([]float32, n), nil
	case len(o.Params) != n:
		return nil, fmt.Errorf("Options.Params has %d elements, the model's weights take %d", len(o.Params), n)
	}
	return o.Params, nil
}

// Check panics if the batch is not one of n tokens of a vocabulary, and says
// which part of it is wrong. A wrong batch is a mistake in the program that made
// it, and computing with it would give a loss of something else.
func (in Batch) Check(n, vocab int) {
	if len(in.Tokens) != n {
		panic(fmt.Sprintf("model: Batch.Tokens has %d tokens, a micro-batch has %d", len(in.Tokens), n))
	}
	if len(in.Targets) != n {
		panic(fmt.Sprintf("model: Batch.Targets has %d tokens, a micro-batch has %d", len(in.Targets), n))
	}
	if in.Starts != nil && len(in.Starts) != n {
		panic(fmt.Sprintf("model: Batch.Starts has %d positions, a micro-batch has %d", len(in.Starts), n))
	}
	for i, id := range in.Tokens {
		if id < 0 || int(id) >= vocab {
			panic(fmt.Sprintf("model: Batch.Tokens[%d] is %d, the vocabulary has %d", i, id, vocab))
		}
	}
	for i, id := range in.Targets {
		if int(id) >= vocab {
			panic(fmt.Sprintf("model: Batch.Targets[%d] is %d, the vocabulary has %d", i, id, vocab))
		}
	}
}

// CheckStep reports arguments that a decoder of so many tokens and rows a step
// cannot take. Sequences are the cache's to judge.
func CheckStep(tokens, seqs, want []int32, logits []float32, maxTokens, maxRows, vocab int) error {
	n, rows := len(tokens), len(want)
	switch {
	case n == 0 || n > maxTokens:
		return fmt.Errorf("%d tokens in one step, want 1 to %d", n, maxTokens)
	case len(seqs) != n:
		return fmt.Errorf("%d tokens with %d sequences", n, len(seqs))
	case rows > maxRows:
		return fmt.Errorf("%d rows of logits wanted, at most %d", rows, maxRows)
	case len(logits) < rows*vocab:
		return fmt.Errorf("room for %d logits, %d rows of %d are wanted", len(logits), rows, vocab)
	}
	for i, id := range tokens {
		if id < 0 || int(id) >= vocab {
			return fmt.Errorf("tokens[%d] is %d, the vocabulary has %d", i, id, vocab)
		}
	}
	for i, w := range want {
		if w < 0 || int(w) >= n || i > 0 && w <= want[i-1] {
			return fmt.Errorf("want[%d] is %d: indices into %d tokens must rise", i, w, n)
		}
	}
	return nil
}
