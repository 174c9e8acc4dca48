// Command recite trains a model inside a program: it learns its own source and
// then goes on from its middle by heart.
//
//	go generate ./...   llamac writes internal/mymodel, the runtime included
//	go run .            train, recite
//	go run . info       the command line that comes with every model
package main

import (
	_ "embed"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"slices"

	"example.com/recite/internal/mymodel"
)

//go:generate llamac compile specs/my.jsonnet -o internal/mymodel

//go:embed main.go
var text []byte // tokens are bytes

func main() {
	// The package brings a whole command line along; with arguments it takes
	// over.
	if len(os.Args) > 1 {
		mymodel.Main()
	}
	weights, err := train()
	if err == nil {
		err = recite(weights, text[len(text)/2:][:16])
	}
	if err != nil {
		log.Fatal(err)
	}
}

// train runs the spec's steps over random windows of the text.
func train() ([]float32, error) {
	t, err := mymodel.NewTrainer(mymodel.Options{})
	if err != nil {
		return nil, err
	}
	defer t.Close()
	// What the spec says of learning rates, steps and the like.
	r := mymodel.Info.Recipe
	mymodel.Init(t.Params(), r.Seed)
	// Seeded by the spec: two runs give the same weights, bit for bit.
	random := rand.New(rand.NewPCG(r.Seed, 0))
	// One micro-batch: B sequences of T tokens each, row after row.
	tokens := make([]int32, mymodel.B*mymodel.T)
	targets := make([]int32, len(tokens))
	for step := 1; step <= r.Steps; step++ {
		for b := range mymodel.B {
			from := random.IntN(len(text) - mymodel.T)
			for i := range mymodel.T {
				tokens[b*mymodel.T+i] = int32(text[from+i])
				targets[b*mymodel.T+i] = int32(text[from+i+1])
			}
		}
		loss := t.MicroStep(mymodel.Batch{Tokens: tokens, Targets: targets}, true)
		// One micro-batch makes a step here; with several, GradScale would be
		// one over their number.
		t.Update(mymodel.Hyper{
			Step: step, LR: rate(r.LR, step, r.Warmup, r.Steps), Beta1: r.Beta1, Beta2: r.Beta2,
			Eps: r.Eps, WeightDecay: r.WeightDecay, Clip: r.Clip, GradScale: 1,
		})
		if step == 1 || step%50 == 0 {
			fmt.Printf("step %3d  loss %.3f nats a byte\n", step, loss)
		}
	}
	return slices.Clone(t.Params()), nil
}

// rate rises over the warmup and falls to nothing at the end.
func rate(peak float64, step, warmup, steps int) float64 {
	return peak * min(float64(step)/float64(warmup), float64(steps-step)/float64(steps-warmup))
}

// recite goes on from a prompt with the likeliest bytes.
func recite(weights []float32, prompt []byte) error {
	d, err := mymodel.NewDecoder(mymodel.Options{Params: weights})
	if err != nil {
		return err
	}
	defer d.Close()
	// One row: the decoder writes only those that are asked for.
	logits := make([]float32, mymodel.Vocab)
	var token int32
	for i := range mymodel.Context {
		// The prompt goes in byte by byte, then what comes out goes in again.
		if i < len(prompt) {
			token = int32(prompt[i])
		}
		fmt.Printf("%c", token)
		if err := d.Step([]int32{token}, []int32{0}, []int32{0}, logits); err != nil {
			return err
		}
		token = int32(slices.Index(logits, slices.Max(logits)))
	}
	fmt.Println()
	return nil
}
