// Package sample runs a model's programs over given numbers and collects every
// result. Package fuzz runs it on a plan, and a program that it generates runs
// it on the code for the same plan: the results must have the same bits.
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
	Params          []float32
	Tokens, Targets []int32 // of one micro-batch
	Hyper           model.Hyper
	Steps           []Step // of the decoder
	Logits          int    // numbers of a step's logits, at most
}

// Step is one step of a decoder.
type Step struct{ Tokens, Seqs, Want []int32 }

// Out is what came of it.
type Out struct {
	Losses, Grads, Params, Moment1, Moment2 []float32
	Norm                                    float64
	Logits                                  []float32
}

// Run trains one step of two micro-batches, and decodes. decoder may be nil.
func Run(t model.Trainer, decoder model.Decoder, in In) (Out, error) {
	var out Out
	copy(t.Params(), in.Params)
	out.Losses = append(out.Losses, t.MicroStep(in.Tokens, in.Targets, true), t.Eval(in.Targets, in.Tokens), t.MicroStep(in.Tokens, in.Targets, false))
	out.Grads = append(out.Grads, t.Grads()...)
	out.Norm = t.Update(in.Hyper)
	out.Params = append(out.Params, t.Params()...)
	m, v := t.Moments()
	out.Moment1, out.Moment2 = append(out.Moment1, m...), append(out.Moment2, v...)
	if decoder == nil {
		return out, nil
	}
	copy(decoder.Params(), in.Params)
	logits := make([]float32, in.Logits)
	for i, s := range in.Steps {
		clear(logits)
		if err := decoder.Step(s.Tokens, s.Seqs, s.Want, logits); err != nil {
			return out, fmt.Errorf("step %d: %w", i, err)
		}
		out.Logits = append(out.Logits, logits...)
	}
	return out, nil
}

// Main runs models: NAME.in in the folder that the command line names becomes
// NAME.out.
func Main(models map[string]*model.Info) {
	for name, info := range models {
		if err := file(filepath.Join(os.Args[1], name), info); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
			os.Exit(1)
		}
	}
}

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

// Read and Write keep an In or an Out in a file.
func Read(path string, to any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return gob.NewDecoder(f).Decode(to)
}

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
