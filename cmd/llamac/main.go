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
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/llamac/llamac/internal/compile"
	"github.com/llamac/llamac/internal/diag"
	"github.com/llamac/llamac/runtime/console"
	"github.com/llamac/llamac/runtime/cpu"
	"github.com/llamac/llamac/specs"
)

// cli is the command line; the fields' tags are its help.
// The order is that of the help.
type cli struct {
	Compile    compileCmd    `cmd:"" help:"Compile a spec to Go source."`
	Build      buildCmd      `cmd:"" help:"Compile a spec and build one self-contained binary."`
	Train      trainCmd      `cmd:"" help:"Train the model of a spec."`
	Generate   generateCmd   `cmd:"" help:"Write text with a trained model."`
	Plan       planCmd       `cmd:"" help:"Show what a model needs: parameters, memory, work."`
	Inspect    inspectCmd    `cmd:"" help:"Show the graph after every pass."`
	Bisect     bisectCmd     `cmd:"" help:"Find the pass after which a model computes something else."`
	Replay     replayCmd     `cmd:"" help:"Run a crash or a failing case of the compiler again."`
	Tokenizer  tokenizerCmd  `cmd:"" help:"Encode, decode, describe and learn vocabularies."`
	Data       dataCmd       `cmd:"" help:"Prepare a spec's data, and look at it."`
	Specs      specsCmd      `cmd:"" help:"List the specs that are inside llamac."`
	Init       initCmd       `cmd:"" help:"Write a spec to start from."`
	Cache      cacheCmd      `cmd:"" help:"List and clean the cache of builds, data sets and vocabularies."`
	Doctor     doctorCmd     `cmd:"" help:"Show what this machine has and what will be used."`
	Help       helpCmd       `cmd:"" help:"Show what a command takes, as its --help does."`
	Completion completionCmd `cmd:"" help:"Print a script that completes commands, flags, specs and files in a shell."`
	Version    versionCmd    `cmd:"" help:"Show the version."`

	ShowVersion kong.VersionFlag `name:"version" help:"Show the version."`
}

// about stands above the list of commands; its examples are run by a test.
const about = `Compiles Jsonnet specs of LLaMA models into readable Go programs that train and run them.

  llamac train gopher
  llamac generate gopher --prompt 'func main() {'
  llamac compile 65b -o out
  llamac plan my.jsonnet

A SPEC is a .jsonnet file or the name of one that is inside llamac; llamac specs lists these, llamac init writes one of
your own.
`

// specFlags are what every command takes that reads a spec.
type specFlags struct {
	Spec string   `arg:"" help:"Specification, a .jsonnet file or the name of one that is inside llamac."`
	Set  []string `help:"Override a field of the spec, the value in JSON or else a string: optim.lr=1e-3, checkpoint.policy=full, data.sources[0].paths='[\"text/*.txt\"]'." placeholder:"PATH=VALUE" sep:"none"`
}

// load reads the spec with its overrides. Its errors carry places, and end with
// status 2.
func (f *specFlags) load() (*specs.Spec, error) { return loadSpec(f.Spec, f.Set) }

// loadSpec reads the spec that a user means by an argument: every command that
// takes one comes here, so that a name means the same to all of them.
func loadSpec(arg string, set []string) (*specs.Spec, error) {
	path, err := specs.Find(arg)
	if err != nil {
		return nil, err
	}
	return specs.Load(path, specs.Options{Set: set})
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
	var stopped errInterrupted
	switch {
	case err == nil:
		return 0
	case errors.As(err, &stopped):
		return 128 + int(stopped.signal)
	case errors.As(err, &child):
		return max(1, child.status)
	case errors.As(err, &usage), errors.As(err, &list), errors.As(err, &one):
		return 2
	}
	return 1
}

// stdout is where all commands print. What did not arrive there makes their
// status 1: a plan that went to a full disk must not look like a plan. A test
// holds that no command prints around it.
var stdout = console.NewOutput(os.Stdout)

func main() {
	status := run(os.Args[1:])
	if err := stdout.Err(); err != nil && status == 0 {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

// run does what the arguments say and gives the exit status.
func run(args []string) int {
	var c cli
	help := io.Writer(stdout)
	// Nobody asked for help with an empty line, so it is the answer to a wrong
	// call, as go gives it.
	bare := len(args) == 0
	if bare {
		help = os.Stderr
	}
	left := -1 // the status with which kong wants to leave, for help and version
	// The struct is the whole grammar: a panic here is a mistake in its tags.
	parser, err := kong.New(&c, kong.Name("llamac"), kong.Description(about),
		kong.Writers(help, os.Stderr), kong.Exit(func(status int) { left = status }),
		kong.Vars{"version": "llamac " + compile.Version},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}))
	if err != nil {
		panic(err)
	}
	if bare {
		args = []string{"--help"}
	}
	// One text for both ways to ask.
	if len(args) > 0 && args[0] == "help" {
		args = append(args[1:], "--help")
	}
	// kong leaves in the middle of parsing where help is asked for.
	ctx, err := parser.Parse(twoDashes(parser.Model, args))
	switch {
	case bare:
		return 2
	case stdout.Err() != nil: // kong takes it for a wrong call
		return 0
	case left >= 0:
		return left
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		fmt.Fprintf(os.Stderr, "%s shows what it takes\n", helpOf(err))
		return 2
	}
	// Before any command makes a device, also in a program that it starts.
	if err = cpu.CheckISA(); err != nil {
		err = errUsage{err}
	} else {
		err = ctx.Run()
	}
	// The child has said it.
	if err != nil && !errors.As(err, new(errChild)) {
		fmt.Fprintln(os.Stderr, err)
	}
	return status(err)
}

// helpOf is the command that shows the help of the command whose call is wrong.
func helpOf(err error) string {
	// As far as kong has understood it.
	call := self()
	var wrong *kong.ParseError
	if errors.As(err, &wrong) && wrong.Context != nil {
		for _, p := range wrong.Context.Path {
			if p.Command != nil {
				call += " " + p.Command.Name
			}
		}
	}
	return call + " --help"
}

// twoDashes gives long flags that are written with one dash their second: the
// programs that llamac makes take both, as all of Go's do.
func twoDashes(model *kong.Application, args []string) []string {
	// The flags of all commands: which is meant is not known yet, and none has
	// a name that is letters of another's.
	long := map[string]bool{}
	var collect func(*kong.Node)
	collect = func(n *kong.Node) {
		for _, f := range n.Flags {
			long[f.Name] = true
		}
		for _, c := range n.Children {
			collect(c)
		}
	}
	collect(model.Node)
	out := slices.Clone(args)
	for i, a := range out {
		// All behind it is arguments.
		if a == "--" {
			break
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(a, "-"), "=")
		if len(name) > 1 && long[name] && strings.HasPrefix(a, "-") {
			out[i] = "-" + a
		}
	}
	return out
}

// helpCmd is for the list of commands: main turns it into --help.
type helpCmd struct {
	Command []string `arg:"" optional:"" help:"Command, such as data prepare."`
}

// versionCmd prints one line that scripts can cut.
type versionCmd struct{}

func (versionCmd) Run() error {
	fmt.Fprintln(stdout, "llamac", compile.Version)
	return nil
}
