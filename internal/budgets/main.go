// Command budgets measures what recomputation costs in time: it compiles a
// spec's training at several budgets between the smallest and that of storing
// everything, builds the generated programs into one binary, and runs one
// micro-batch of each in turn, so that whatever else the machine does meets all.
//
//	go run ./internal/budgets -rounds 7 internal/budgets/m15.jsonnet
//
// A row is a budget: bytes of the arena, FLOPs recomputed, and medians of
// forward and backward in seconds of one thread, by the clock on the wall and by
// that of the processor, which other work on the machine moves less.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/llamac/llamac/codegen"
	"github.com/llamac/llamac/internal/compile"
	"github.com/llamac/llamac/internal/gobuild"
	"github.com/llamac/llamac/specs"
)

var rounds = flag.Int("rounds", 7, "micro-batches at each budget")

// fractions are the budgets' places between the smallest, 0, and that with
// which nothing is recomputed, 1. PyTorch's activation_memory_budget counts
// between what it takes for these two as well, so rows can stand side by side.
var fractions = []float64{0, 0.25, 0.5, 0.75, 1}

func main() {
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: budgets [-rounds N] SPEC")
		os.Exit(2)
	}
	if err := run(flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run compiles, builds and measures. The programs are those that llamac compile
// writes for a spec of policy auto with that budget: nothing in them is made for
// the measurement.
func run(spec string) error {
	s, err := specs.Load(spec, specs.Options{})
	if err != nil {
		return err
	}
	menu, err := compile.Menu(s, compile.Options{})
	if err != nil {
		return err
	}
	// Between these two lies everything that a budget can change.
	low, high := menu.Minimum(), menu.Maximum()
	// The module is built and run in a folder that is gone afterwards.
	dir, err := os.MkdirTemp("", "llamac-budgets")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// One module with one copy of the runtime and a package a budget: gobuild
	// makes it around a package model without files, whose place the packages of
	// the budgets take.
	const module = "budgets"
	var all *gobuild.Module
	var imports, rows strings.Builder
	for i, x := range fractions {
		name := fmt.Sprintf("b%d", i)
		r, err := compile.Spec(s, compile.Options{Checkpoint: "auto", Budget: low + int64(x*float64(high-low)), Package: name, Runtime: gobuild.Runtime(module)})
		if err != nil {
			return err
		}
		if all == nil {
			if all, err = gobuild.New(module, name, []codegen.File{}); err != nil {
				return err
			}
		}
		for _, f := range r.Files {
			all.Files[name+"/"+f.Name] = f.Data
		}
		// What the harness prints of a budget is what the plan says of itself;
		// the arena is what the program allocates.
		fmt.Fprintf(&imports, "\t\"%s/%s\"\n", module, name)
		fmt.Fprintf(&rows, "\t{%g, %d, %d, %d, &%s.Info},\n", x, r.Checkpoint.Peak, len(r.Checkpoint.Segments), r.Checkpoint.FLOPs, name)
	}
	all.Files["main.go"] = fmt.Appendf(nil, harness, imports.String(), rows.String(), *rounds)
	// As llamac build does it: without cgo, without a network, with the flags
	// of a release.
	if err := all.Write(dir); err != nil {
		return err
	}
	bin := filepath.Join(dir, "run")
	if err := gobuild.Build(dir, bin); err != nil {
		return err
	}
	c := exec.Command(bin)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	return c.Run()
}

// harness is the program that runs them, with the imports, the rows and the
// number of rounds to be filled in. The first round warms up and is not counted.
//
// All budgets get the same weights, which need not be good ones: the time of a
// dense model does not depend on them as long as numbers are normal. That all
// plans give one and the same loss is printed, so that a plan that computes
// something else would show.
//
// The processor's time is that of the whole process. One worker and no
// allocation in a step leave nothing else to run beside it.
const harness = `package main

import (
	"fmt"
	"slices"
	"syscall"
	"time"

%s	"budgets/internal/llamac/runtime/model"
)

var budgets = []struct {
	fraction     float64
	arena        int64
	segments     int
	flops        int64
	info         *model.Info
}{
%s}

func processor() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func main() {
	var trainers []model.Trainer
	for _, b := range budgets {
		t, err := b.info.NewTrainer(model.Options{Workers: 1})
		if err != nil {
			panic(err)
		}
		for i := range t.Params() {
			t.Params()[i] = float32(i*7919%%1009)/20000 - 0.025
		}
		trainers = append(trainers, t)
	}
	info := budgets[0].info
	n := info.Recipe.MicroBatch * info.Context
	tokens, targets := make([]int32, n), make([]int32, n)
	for i := range n {
		tokens[i], targets[i] = int32(i*31%%info.Vocab), int32(i*17%%info.Vocab)
	}
	wall, own := make([][]float64, len(budgets)), make([][]float64, len(budgets))
	losses := map[float32]bool{}
	for round := range %d + 1 {
		for i, t := range trainers {
			start, before := time.Now(), processor()
			losses[t.MicroStep(model.Batch{Tokens: tokens, Targets: targets}, true)] = true
			if round > 0 {
				wall[i] = append(wall[i], time.Since(start).Seconds())
				own[i] = append(own[i], (processor() - before).Seconds())
			}
		}
	}
	fmt.Printf("%%d parameters, %%d tokens, %%d different losses\n", len(trainers[0].Params()), n, len(losses))
	fmt.Println("fraction  arena bytes  segments  recomputed FLOPs  wall s  processor s")
	for i, b := range budgets {
		median := func(x []float64) float64 { slices.Sort(x); return x[len(x)/2] }
		fmt.Printf("%%8.2f  %%11d  %%8d  %%16d  %%6.3f  %%11.3f\n", b.fraction, b.arena, b.segments, b.flops, median(wall[i]), median(own[i]))
	}
}
`
