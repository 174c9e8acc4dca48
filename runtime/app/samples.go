package app

import (
	"fmt"

	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/runtime/rng"
	"github.com/llamac/llamac/runtime/sample"
)

// judgeSamples decides, before anything is allocated, whether the run can hold
// a decoder beside its trainer. Samples are worth no refusal.
func (s *session) judgeSamples() {
	// As compiled: the flags do not change samples.
	r := s.info.Recipe
	s.sampling = r.SampleEvery > 0 && r.SampleCount > 0 && r.SampleTokens > 0 && s.info.NewDecoder != nil
	if !s.sampling {
		return
	}
	// Both at once: the trainer's memory is not given back for a sample.
	needs := append(s.trainNeeds(), s.decodeNeeds()...)
	if s.haveKnown && total(needs) > s.have.bytes {
		s.sampling = false
		s.report.note(fmt.Sprintf("no samples: beside training they need %s, and %s is left %s",
			size(total(s.decodeNeeds())), size(s.have.bytes-total(s.trainNeeds())), s.have.by))
	}
}

// openSamples makes the decoder, on the trainer's own weights if it can.
func (s *session) openSamples() error {
	if !s.sampling {
		return nil
	}
	r := s.recipe
	// Now, not after the steps that come before the first sample.
	switch prompt, _ := promptIDs(s.tok, r.BOS, r.SamplePrompt); {
	case len(prompt) > s.info.Context:
		return usagef("train.sample.prompt: has %d tokens, the model's context is %d", len(prompt), s.info.Context)
	case r.SampleTokens > s.info.Context-len(prompt)+1:
		s.report.note(fmt.Sprintf("samples end after %s, where the model's context of %d is full: train.sample.tokens is %d",
			plural(s.info.Context-len(prompt)+1, "token"), s.info.Context, r.SampleTokens))
	}
	dec, err := s.info.NewDecoder(model.Options{Workers: s.flags.workers, Params: s.trainer.Params()})
	if err != nil {
		return err
	}
	s.samples = newGenerator(&s.info, dec, s.recipe.SampleCount)
	s.samples.ids, s.samples.ending = min(s.samples.ids, s.tok.Vocab()), s.ends
	return nil
}

// writeSamples lets the model write, as it is after the current step. Each
// text has a seed of its own, a function of run, step and number.
func (s *session) writeSamples() error {
	s.report.phase("writing samples", 0, 1)
	r := s.recipe
	// A decoder that could not share the trainer's arena has one of its own.
	if from, to := s.trainer.Params(), s.samples.dec.Params(); &from[0] != &to[0] {
		copy(to, from)
	}
	prompt, hidden := promptIDs(s.tok, r.BOS, r.SamplePrompt)
	texts := make([]*text, r.SampleCount)
	for i := range texts {
		// "text": apart from the streams of weights and data.
		const stream = 0x74657874
		// Step and number each have bits of their own: seeds of different steps
		// never meet.
		seed, _ := rng.New(r.Seed, stream).Bits(uint64(s.step)<<20 | uint64(i))
		texts[i] = &text{draws: sample.Config{Temperature: r.Temperature, TopP: r.TopP, Seed: seed}}
	}
	// Side by side, from one prompt.
	if err := s.samples.write(s.tok, prompt, texts, r.SampleTokens); err != nil {
		return fmt.Errorf("step %d: sample: %w", s.step, err)
	}
	// Written even if empty: a model may end a document at once.
	for i, t := range texts {
		path := s.dir.join(sampleDir, fmt.Sprintf("step-%08d-%d.txt", s.step, i+1))
		// Decoded without what was only there to begin with.
		written := s.tok.Decode(nil, t.ids[hidden:])
		if err := s.dir.writeBytes(path, written); err != nil {
			return err
		}
		s.report.sample(s.step, i+1, path, string(written))
	}
	return nil
}
