// Package sample runs a model's programs over given numbers and collects every
// result. Package fuzz runs it on a plan, and a program that it generates runs
// it on the code for the same plan: the results must have the same bits.
//
// It knows the contract of package runtime/model and nothing of the compiler, so
// that what a generated program links is what it links in earnest.
package sample

import (
	"encoding/gob"
	"fmt"
	"os"
	"path/filepath"

	"github.com/llamac/llamac/runtime/model"
)

// In is what a model is given.
type In struct {
	Params          []float32   // the whole arena, in the plan's layout
	Tokens, Targets []int32     // of one micro-batch, [B, T]; both are valid ids
	Starts          []int32     // of documents; nil for a model that does not read them
	Hyper           model.Hyper // of the one update
	Steps           []Step      // of the decoder; nil for a model without one
	Logits          int         // numbers of a step's logits, at most
}

// Step is one step of a decoder: tokens, the sequence of each, and the tokens
// whose logits are wanted, by their places in the list.
type Step struct{ Tokens, Seqs, Want []int32 }

// Out is what came of it. Whole arenas are kept, so that a number written to a
// place that belongs to no weight shows as well.
type Out struct {
	Losses           []float32 // of both micro-batches and of an evaluation between
	Grads            []float32 // before the update
	Params           []float32 // after it
	Moment1, Moment2 []float32
	Norm             float64   // of the gradients
	Logits           []float32 // of all steps
}

// Run trains one step of two micro-batches, and decodes. decoder may be nil.
func Run(t model.Trainer, decoder model.Decoder, in In) (Out, error) {
	var out Out
	copy(t.Params(), in.Params)
	batch, turned := model.Batch{Tokens: in.Tokens, Targets: in.Targets, Starts: in.Starts}, model.Batch{Tokens: in.Targets, Targets: in.Tokens, Starts: in.Starts}
	// Evaluation in between reads other tokens: it must leave the gradients
	// alone, which the second micro-batch adds to.
	out.Losses = append(out.Losses, t.MicroStep(batch, true), t.Eval(turned), t.MicroStep(batch, false))
	out.Grads = append(out.Grads, t.Grads()...)
	out.Norm = t.Update(in.Hyper)
	out.Params = append(out.Params, t.Params()...)
	m, v := t.Moments()
	out.Moment1, out.Moment2 = append(out.Moment1, m...), append(out.Moment2, v...)
	if decoder == nil {
		return out, nil
	}
	// The update has changed the trainer's weights; the decoder starts from
	// those that were given.
	copy(decoder.Params(), in.Params)
	logits := make([]float32, in.Logits)
	for i, s := range in.Steps {
		clear(logits) // rows that are not wanted stay 0
		if err := decoder.Step(s.Tokens, s.Seqs, s.Want, logits); err != nil {
			return out, fmt.Errorf("step %d: %w", i, err)
		}
		out.Logits = append(out.Logits, logits...)
	}
	return out, nil
}

// Main runs models: NAME.in in the folder that the command line names becomes
// NAME.out. It ends the program with status 1 at the first that fails.
// Its caller is a main function that the test writes.
func Main(models map[string]*model.Info) {
	for name, info := range models {
		if err := file(filepath.Join(os.Args[1], name), info); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
			os.Exit(1)
		}
	}
}

// file runs one model. Two workers must give the bits of the one that ran the
// plan.
func file(path string, info *model.Info) error {
	var in In
	if err := Read(path+".in", &in); err != nil {
		return err
	}
	t, err := info.NewTrainer(model.Options{Workers: 2})
	if err != nil {
		return err
	}
	defer t.Close()
	// A package compiled for training alone has no decoder, and then no steps
	// were drawn.
	var d model.Decoder
	if info.NewDecoder != nil && in.Steps != nil {
		if d, err = info.NewDecoder(model.Options{Workers: 2}); err != nil {
			return err
		}
		defer d.Close()
	}
	out, err := Run(t, d, in)
	if err != nil {
		return err
	}
	return Write(path+".out", out)
}

// Read reads an In or an Out from a file. Gob keeps every bit of a float.
func Read(path string, to any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return gob.NewDecoder(f).Decode(to)
}

// Write keeps an In or an Out in a file.
func Write(path string, x any) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := gob.NewEncoder(f).Encode(x); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
