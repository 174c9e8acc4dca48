// Command llamac compiles Jsonnet specifications of LLaMA models into Go
// programs that train them and write text with them.
//
// A command is a struct whose fields are its flags and whose Run does the work;
// the work itself is in internal/ and in the compiler's packages. Results go to
// standard output and everything else to standard error, so that output can be
// piped; train and generate hand over to the program that they have built.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/alecthomas/kong"

	"github.com/llamac/llamac/internal/compile"
	"github.com/llamac/llamac/internal/diag"
	"github.com/llamac/llamac/specs"
)

// cli is the command line; the fields' tags are its help.
// The order is that of the help.
type cli struct {
	Compile   compileCmd   `cmd:"" help:"Compile a spec to Go source."`
	Build     buildCmd     `cmd:"" help:"Compile a spec and build one self-contained binary."`
	Train     trainCmd     `cmd:"" help:"Train the model of a spec."`
	Generate  generateCmd  `cmd:"" help:"Write text with a trained model."`
	Plan      planCmd      `cmd:"" help:"Show what a model needs: parameters, memory, work."`
	Inspect   inspectCmd   `cmd:"" help:"Show the graph after every pass."`
	Bisect    bisectCmd    `cmd:"" help:"Find the pass after which a model computes something else."`
	Replay    replayCmd    `cmd:"" help:"Run a crash or a failing case of the compiler again."`
	Tokenizer tokenizerCmd `cmd:"" help:"Encode, decode, describe and learn vocabularies."`
	Data      dataCmd      `cmd:"" help:"Prepare a spec's data, and look at it."`
	Doctor    doctorCmd    `cmd:"" help:"Show what this machine has and what will be used."`
	Version   versionCmd   `cmd:"" help:"Show the version."`
}

// about stands above the list of commands; its examples are run by a test.
const about = `Compiles Jsonnet specs of LLaMA models into readable Go programs that train and run them.

  llamac train specs/gopher.jsonnet
  llamac generate specs/gopher.jsonnet --prompt 'func main() {'
  llamac compile specs/65b.jsonnet -o out
  llamac plan specs/65b.jsonnet
`

// specFlags are what every command takes that reads a spec.
type specFlags struct {
	Spec string   `arg:"" help:"Specification, a .jsonnet file."`
	Set  []string `help:"Override a field of the spec: path=value, the value in JSON." placeholder:"PATH=VALUE" sep:"none"`
}

// load reads the spec with its overrides. Its errors carry places, and end with
// status 2.
func (f *specFlags) load() (*specs.Spec, error) {
	return specs.Load(f.Spec, specs.Options{Set: f.Set})
}

// notSpec refuses to write over the spec that was read.
func notSpec(out string, s *specs.Spec) error {
	a, errA := os.Stat(out)
	b, errB := os.Stat(s.File)
	if errA == nil && errB == nil && os.SameFile(a, b) {
		return usagef("%s is the spec itself, which would be replaced", out)
	}
	return nil
}

// errUsage marks an error in the call itself.
type errUsage struct{ error }

// usagef makes an error that begins with the flag that is wrong.
func usagef(format string, args ...any) error { return errUsage{fmt.Errorf(format, args...)} }

// errChild is the failure of a program that was run in the place of llamac and
// has said itself what was wrong.
type errChild struct {
	error
	status int
}

// status is the exit status that an error means: 1 the work failed, 2 the call
// or the spec is wrong. A program run in the place of llamac passes its own on.
func status(err error) int {
	// Errors are told by their type, however often they were wrapped.
	var usage errUsage
	var list diag.List
	var one *diag.Error
	var child errChild
	switch {
	case err == nil:
		return 0
	case errors.As(err, &child):
		return max(1, child.status)
	case errors.As(err, &usage), errors.As(err, &list), errors.As(err, &one):
		return 2
	}
	return 1
}

func main() {
	var c cli
	// The struct is the whole grammar: a panic here is a mistake in its tags.
	parser, err := kong.New(&c, kong.Name("llamac"), kong.UsageOnError(),
		kong.Description(about),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}))
	if err != nil {
		panic(err)
	}
	// kong prints its own usage; the status is the same 2 as for errors that
	// Run finds in a call.
	ctx, err := parser.Parse(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "llamac: %v\n", err)
		os.Exit(2)
	}
	if err := ctx.Run(); err != nil {
		// The child has said it.
		if !errors.As(err, new(errChild)) {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(status(err))
	}
}

// versionCmd prints one line that scripts can cut.
type versionCmd struct{}

func (versionCmd) Run() error {
	fmt.Println("llamac", compile.Version)
	return nil
}
