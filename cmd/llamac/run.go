package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/llamac/llamac/internal/compile"
	"github.com/llamac/llamac/internal/corpus"
	"github.com/llamac/llamac/internal/gobuild"
	"github.com/llamac/llamac/runtime/console"
	"github.com/llamac/llamac/specs"
)

// buildCmd makes a program to take along: it needs neither llamac nor Go, and
// holds all three commands.
type buildCmd struct {
	specFlags
	Out string `short:"o" help:"Binary to write." required:"" type:"path" placeholder:"BIN"`
}

func (c *buildCmd) Run() error {
	s, err := c.load()
	if err != nil {
		return err
	}
	if err := notSpec(c.Out, s); err != nil {
		return err
	}
	bin, err := binary(s, 0)
	if err != nil {
		return err
	}
	// Copied, not moved: the cache keeps its own for the next run.
	data, err := os.ReadFile(bin)
	if err != nil {
		return err
	}
	if err := gobuild.WriteFile(c.Out, data); err != nil {
		return err
	}
	// WriteFile makes files of data. A device keeps its own mode.
	if st, err := os.Stat(c.Out); err != nil || !st.Mode().IsRegular() {
		return err
	}
	if err := os.Chmod(c.Out, 0o755); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: %d MB, runs on its own\n", c.Out, len(data)>>20)
	return nil
}

// silent is the patience of who wants to hear nothing.
const silent = -1

// binary compiles and builds a spec in the cache, and says so on standard error if
// that takes longer than a listener's patience; a terminal shows it at once. The second time it is found there, so that train and generate
// start at once.
func binary(s *specs.Spec, patience time.Duration) (string, error) {
	// Most specs compile before anybody would read it, and a log needs no line
	// of it; auto takes its time.
	end := func() {}
	if patience != silent {
		end = working("compiling "+s.Name, quickly(max(relog, patience)))
	}
	// In a module of its own, named after the spec.
	r, err := compile.Spec(s, compile.Options{Runtime: gobuild.Runtime(gobuild.ModulePath(s.Name))})
	end()
	if err != nil {
		return "", err
	}
	m, err := gobuild.New(gobuild.ModulePath(s.Name), s.Name, r.Files)
	if err != nil {
		return "", err
	}
	if patience != silent {
		m.OnBuild = func() func() {
			if drawable() {
				patience = 0
			}
			return working("building "+s.Name+" with go build, slow the first time", patience)
		}
	}
	return m.Binary(s.Name)
}

// trainCmd compiles, builds, prepares the data, and then becomes the generated
// program. Flags that the program has are passed on.
type trainCmd struct {
	specFlags
	RunDir  *string `name:"run" help:"Folder of the run." placeholder:"DIR"`
	Steps   *int    `help:"Optimiser steps of the whole run; the spec's by default." placeholder:"N"`
	Resume  bool    `help:"Go on from the newest checkpoint of the run."`
	Data    string  `help:"Prepared data set to use instead of the spec's sources as they are now." placeholder:"DIR" type:"path"`
	Changes bool    `name:"accept-changes" help:"With --resume: go on although fields of the recipe, or the data, changed."`
	Skip    *string `name:"skip-step" help:"With --resume: let step N pass over a batch, or over so many as N:TIMES says." placeholder:"N"`
	Init    string  `help:"Start from weights that generate --weights takes as well; a vocabulary that the spec has learned is then theirs." placeholder:"WEIGHTS" type:"path"`
	Accept  bool    `name:"accept-tokenizer" help:"Train the weights of --init on with another tokenizer than theirs."`
	Device  string  `help:"Where to compute: cpu." default:"cpu"`
	Workers *int    `help:"Goroutines of the kernels, 0 for one a processor; results do not depend on it." placeholder:"N"`
	Seed    *uint64 `help:"Seed of weights, data order and samples; the spec's by default." placeholder:"S"`
	JSON    bool    `help:"Print events as JSON lines." name:"json"`
}

func (c *trainCmd) Run() error {
	// The flag is there for what will come, and honest until then.
	if c.Device != "cpu" {
		return usagef("--device=%s: only cpu is there", c.Device)
	}
	if c.Steps != nil && *c.Steps < 1 {
		return usagef("--steps=%d: a run takes at least one step", *c.Steps)
	}
	if c.Workers != nil && *c.Workers < 0 {
		return usagef("--workers=%d: must not be negative", *c.Workers)
	}
	s, err := c.load()
	if err != nil {
		return err
	}
	// With --json standard error stays silent too, for those who read both.
	o, err := corpusOptions(!c.JSON)
	if err != nil {
		return err
	}
	if c.RunDir != nil && *c.RunDir == "" {
		return usagef("--run=: the run needs a folder")
	}
	run := filepath.Join("runs", s.Name)
	if c.RunDir != nil {
		run = *c.RunDir
	}
	if err := c.sameText(s, o, run); err != nil {
		return err
	}
	// Before any text is read: it is to become ids that the weights know.
	if o.Vocabulary, err = trainedVocabulary(s, o, run, c.Init, c.Resume, c.Accept, func(msg string) {
		if !c.JSON || strings.HasPrefix(msg, "warning: ") {
			fmt.Fprintln(os.Stderr, msg)
		}
	}); err != nil {
		return err
	}
	// Building takes longer than to see that it is for nothing.
	if err := corpus.Missing(s); err != nil && o.Vocabulary == "" {
		return err
	}
	patience := time.Duration(0)
	if c.JSON {
		patience = silent
	}
	bin, err := binary(s, patience)
	if err != nil {
		return err
	}
	dir, tok, err := c.text(s, o)
	if err != nil {
		return err
	}
	// The generated program does not know specs: it is told where its data lie.
	args := []string{"train", "--data", dir}
	// Bytes need no file.
	if tok != "" {
		args = append(args, "--tokenizer", tok)
	}
	// Only what was given: the program has its own defaults, from the spec that
	// it was compiled from.
	add := func(name, value string, given bool) {
		if given {
			args = append(args, "--"+name, value)
		}
	}
	if c.RunDir != nil {
		add("run", *c.RunDir, true)
	}
	args = append(args, given("steps", c.Steps)...)
	add("init", c.Init, c.Init != "")
	if c.Accept {
		args = append(args, "--accept-tokenizer")
	}
	args = append(args, given("workers", c.Workers)...)
	args = append(args, given("seed", c.Seed)...)
	// The run's folder remembers the rest.
	if c.Resume {
		args = append(args, "--resume")
	}
	if c.Changes {
		args = append(args, "--accept-changes")
	}
	args = append(args, given("skip-step", c.Skip)...)
	if c.JSON {
		args = append(args, "--json")
	}
	return execute(bin, c.Spec, c.Set, args)
}

// generateCmd becomes the generated program's command of that name.
type generateCmd struct {
	Spec        string   `arg:"" help:"Specification of the model, a .jsonnet file or the name of one that is inside llamac; it describes the weights, which are those of its run folder unless --weights names others."`
	Set         []string `help:"Override a field of the spec." placeholder:"PATH=VALUE" sep:"none"`
	RunDir      string   `name:"run" help:"Folder of the run." placeholder:"DIR" type:"path"`
	Weights     string   `help:"Weights to use instead of a run's: a file (safetensors, GGUF, PyTorch, llama2.c, a checkpoint) or a folder of Hugging Face's, Meta's or a run's." placeholder:"PATH" type:"path"`
	Tokenizer   string   `help:"Tokenizer file, where the weights have none inside or beside them." placeholder:"FILE" type:"path"`
	Accept      bool     `name:"accept-tokenizer" help:"Use --tokenizer, or the spec's, although the weights belong to another one, or although files contradict it on where texts begin and end."`
	Prompt      string   `help:"Text to go on from; - reads standard input."`
	PromptFile  string   `help:"File with the text to go on from, all its bytes; - reads standard input." placeholder:"FILE" type:"path"`
	N           int      `short:"n" help:"Tokens to write." default:"256" placeholder:"NEW_TOKENS"`
	Temperature *float64 `help:"0 takes the likeliest token; the spec's by default." placeholder:"T"`
	TopP        *float64 `help:"Draw from the likeliest tokens that make up this share; the spec's by default." placeholder:"P"`
	TopK        int      `help:"Draw from this many likeliest tokens, 0 for all." default:"0"`
	Seed        *uint64  `help:"Seed of the draws; another one each time by default." placeholder:"S"`
	Stats       bool     `help:"Print notes, speeds and the seed on standard error, as a terminal has them; elsewhere only warnings are there."`
}

func (c *generateCmd) Run() error {
	// Before the model is compiled. The program judges them as well, for those
	// who call it themselves.
	if err := c.check(); err != nil {
		return err
	}
	// The same overrides as at training time: they are part of the model's
	// identity.
	s, err := loadSpec(c.Spec, c.Set)
	if err != nil {
		return err
	}
	// Where nobody looks on, standard error holds what may be wrong, and a long
	// silence is.
	patience := 2 * relog
	if c.Stats {
		patience = 0
	}
	bin, err := binary(s, patience)
	if err != nil {
		return err
	}
	args := []string{"generate", "-n", strconv.Itoa(c.N), "--top-k", strconv.Itoa(c.TopK)}
	args = append(args, given("temperature", c.Temperature)...)
	args = append(args, given("top-p", c.TopP)...)
	args = append(args, given("seed", c.Seed)...)
	if c.Accept {
		args = append(args, "--accept-tokenizer")
	}
	if c.Stats {
		args = append(args, "--stats")
	}
	// The program does not know where the spec lies, from which its path is meant.
	if s.Tokenizer.Kind == "file" {
		args = append(args, "--spec-tokenizer", corpus.TokenizerPath(s))
	}
	// Flags of text: empty is the same as not given.
	for _, f := range [][2]string{{"prompt", c.Prompt}, {"prompt-file", c.PromptFile}, {"run", c.RunDir}, {"weights", c.Weights}, {"tokenizer", c.Tokenizer}} {
		if f[1] != "" {
			args = append(args, "--"+f[0], f[1])
		}
	}
	return execute(bin, c.Spec, c.Set, args)
}

// check judges the flags whose values are wrong for every model.
func (c *generateCmd) check() error {
	switch {
	case c.Prompt != "" && c.PromptFile != "":
		return usagef("--prompt-file=%s: give either a prompt or a file with one", c.PromptFile)
	case c.N < 0:
		return usagef("--n=%d: must not be negative", c.N)
	case c.Temperature != nil && !(*c.Temperature >= 0 && *c.Temperature <= math.MaxFloat64):
		return usagef("--temperature=%v: must be 0 or more", *c.Temperature)
	case c.TopP != nil && !(*c.TopP > 0 && *c.TopP <= 1):
		return usagef("--top-p=%v: must be greater than 0 and at most 1", *c.TopP)
	case c.TopK < 0:
		return usagef("--top-k=%d: must not be negative", c.TopK)
	}
	return nil
}

// given passes a flag on if it was given: otherwise the binary decides.
// A pointer, since 0 is a temperature.
func given[T any](name string, value *T) []string {
	if value == nil {
		return nil
	}
	return []string{"--" + name, fmt.Sprint(*value)}
}

// execute hands over to a generated binary: its output and exit status are the
// user's.
//
// LLAMAC_CALL and LLAMAC_SPEC tell it how llamac was called, for the hints that
// it prints. Nothing of llamac is left behind: memory, signals and the terminal
// belong to the run.
func execute(bin, spec string, set, args []string) error {
	// With slashes, which every system's llamac takes.
	call := console.Word(filepath.ToSlash(spec))
	for _, s := range set {
		call += " --set " + console.Word(s)
	}
	sets, err := json.Marshal(set)
	if err != nil {
		return err
	}
	// Itemised as well, for the record that a run keeps.
	return become(bin, args, append(os.Environ(), "LLAMAC_CALL="+self(), "LLAMAC_SPEC="+call, "LLAMAC_SET="+string(sets)))
}

// errInterrupted replaces whatever failed because of a signal. Its status is
// what shells give for one, which scripts can tell from a failure.
type errInterrupted struct{ signal syscall.Signal }

func (errInterrupted) Error() string { return "interrupted; the next run goes on from here" }

// interruptible is a context that ends at the first signal, which is its cause.
// A second one ends the process as usual, since nothing listens any more.
func interruptible() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		// A process under nohup ignores some of these on purpose.
		if !signal.Ignored(sig) {
			signal.Notify(signals, sig)
		}
	}
	go func() {
		select {
		case sig := <-signals:
			signal.Stop(signals)
			n, ok := sig.(syscall.Signal)
			if !ok {
				n = syscall.SIGINT
			}
			cancel(errInterrupted{n})
		case <-ctx.Done():
		}
	}()
	return ctx, func() { signal.Stop(signals); cancel(nil) }
}
