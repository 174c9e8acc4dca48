package compile

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/tools/txtar"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/passes"
	"github.com/llamac/llamac/plan"
	"github.com/llamac/llamac/specs"
)

// Crash is a bug of the compiler that a compilation ran into, with the file
// that runs it again.
// To the person in front of the screen it says that the spec is not at fault.
type Crash struct {
	*passes.Crash
	File string // reproducer; empty if there is none
	Lost error  // why there is none
}

// The first line says what happened; the stack is in the file.
func (c *Crash) Error() string {
	first, _, _ := strings.Cut(c.Crash.Error(), "\n")
	if c.Lost != nil {
		return fmt.Sprintf("this is a bug of llamac: %s\nthe module before the pass, which would run it again, could not be written: %v", first, c.Lost)
	}
	return fmt.Sprintf("this is a bug of llamac: %s\nthe module before the pass is in %s; `llamac replay` with that file runs it again", first, c.File)
}

// So errors.As finds the *passes.Crash with its stack.
func (c *Crash) Unwrap() error { return c.Crash }

// caught, deferred, makes an error of a panic outside of the passes.
func caught(s *specs.Spec, err *error) {
	if bug := recover(); bug != nil {
		*err = elsewhere(s, bug, debug.Stack())
	}
}

// elsewhere makes an error of a panic outside of the passes, in what builds the
// graph or prints the program. Its reproducer is the spec as it was evaluated,
// which is a spec itself and needs no library, no overrides and no data.
func elsewhere(s *specs.Spec, r any, stack []byte) error {
	first, _, _ := strings.Cut(fmt.Sprint(r), "\n")
	var b strings.Builder
	fmt.Fprintf(&b, "// llamac %s: %v\n//\n", Version, first)
	for line := range strings.Lines(string(stack)) {
		b.WriteString("// " + line)
	}
	b.Write(s.JSON)
	file, err := leave("llamac-crash-*.jsonnet", []byte(b.String()+"\n"))
	if err != nil {
		return fmt.Errorf("%s: this is a bug of llamac: %s\nthe evaluated spec, which would run into it again, could not be written: %w\n%s", s.File, first, err, stack)
	}
	return fmt.Errorf("%s: this is a bug of llamac: %s\nthe evaluated spec and where it happened are in %s; `llamac compile` with that file runs into it again", s.File, first, file)
}

// leave writes a file of a new name to the temporary folder.
func leave(pattern string, data []byte) (file string, err error) {
	// Not beside the spec: a folder of specs is not for our bugs.
	f, err := os.CreateTemp("", pattern)
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	return f.Name(), nil
}

// guarded runs a mode's passes. A panic of theirs becomes an error that names a
// reproducer.
func guarded(s *specs.Spec, o Options, mode string, u *passes.Unit) error {
	crash, err := passes.Caught(u, o.Pipelines[mode])
	if crash == nil {
		return err
	}
	c := &Crash{Crash: crash}
	// A reproducer that cannot be made must not hide the crash.
	c.File, c.Lost = reproducer(s, o, mode, crash)
	return c
}

// crashConfig is a reproducer's file "crash.json": what runs over the module.
// With module and plan it is all that passes read, so that a replay needs neither the
// spec nor its imports.
type crashConfig struct {
	Mode       string
	Passes     []string // the one that crashed and those behind it
	Checkpoint string
	Units      int   `json:",omitempty"`
	Budget     int64 `json:",omitempty"`
	Compute    string
	Dims       map[string]int64
	Capacity   map[string]int64
	Disable    []string `json:",omitempty"`
	Shuffle    uint64   `json:",omitempty"`
}

// reproducer writes the unit as it was before the pass that crashed. Passes
// change a unit in place, so it is made again: what the compiler does, it does
// each time.
// The module is written as text: what its printer loses, a replay would not see, which
// the round trip of the tests excludes.
func reproducer(s *specs.Spec, o Options, mode string, c *passes.Crash) (string, error) {
	// Observers have seen these passes once.
	o.Observe = nil
	var before *plan.Plan
	// Inference continues the plan of training, so training runs again first.
	if mode == "infer" && (o.Modes == nil || len(o.Modes) > 1) {
		u, err := unit(s, o, "train")
		if err != nil {
			return "", err
		}
		if crash, err := passes.Caught(u, o.Pipelines["train"]); crash != nil || err != nil {
			return "", fmt.Errorf("training did not compile again: %v, %w", crash, err)
		}
		before = u.Plan
	}
	u, err := unit(s, o, mode)
	if err != nil {
		return "", err
	}
	u.Plan = before
	// Passes are numbered from 1 in reports.
	at := c.Number - 1
	if crash, err := passes.Caught(u, o.Pipelines[mode][:at]); crash != nil || err != nil {
		return "", fmt.Errorf("the passes before it did not run again: %v, %w", crash, err)
	}
	k := crashConfig{Mode: mode, Checkpoint: u.Config.Checkpoint, Budget: u.Config.Budget, Units: u.Config.Units, Compute: u.Config.Compute, Dims: u.Config.Dims, Capacity: u.Config.Capacity, Disable: u.Config.Disable}
	for _, p := range o.Pipelines[mode][at:] {
		k.Passes = append(k.Passes, p.Name)
	}
	if u.Config.Shuffle != 0 {
		// A pass's seed is the unit's plus the pass's number in its pipeline.
		k.Shuffle = u.Config.Shuffle + uint64(at) // passes count from there
	}
	config, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return "", err
	}
	// One text file, that can be mailed and read: what went wrong stands on top.
	a := &txtar.Archive{Comment: fmt.Appendf(nil, "llamac %s, %s, %s: %s\n\n%s\n", Version, s.File, mode, c.Error(), c.Stack)}
	// Replay reads these names.
	a.Files = []txtar.File{{Name: "crash.json", Data: append(config, '\n')}, {Name: "module.ir", Data: []byte(u.Module.String())}}
	// What the first mode left, or what schedule began.
	if u.Plan != nil {
		a.Files = append(a.Files, txtar.File{Name: "plan.txt", Data: []byte(u.Plan.String())})
	}
	return leave("llamac-crash-*.txtar", txtar.Format(a))
}

// IsReproducer reports whether a text is a reproducer of a crash.
// Cases of the fuzzer are txtar as well, with other files in them.
func IsReproducer(text []byte) bool {
	for _, f := range txtar.Parse(text).Files {
		if f.Name == "crash.json" {
			return true
		}
	}
	return false
}

// Replay runs a reproducer: the error is a *passes.Crash if the bug is there
// still, and what is wrong with the file or the module otherwise. The pipelines
// are those of Options.
// A file that was edited may ask for anything, so the module is verified first: a
// pass that fails on what does not verify has no bug.
func Replay(file string, text []byte, pipelines map[string][]passes.Pass) error {
	if pipelines == nil {
		pipelines = Pipelines
	}
	var k crashConfig
	u := &passes.Unit{}
	for _, f := range txtar.Parse(text).Files {
		var err error
		switch f.Name {
		case "crash.json":
			err = json.Unmarshal(f.Data, &k)
		case "module.ir":
			if u.Module, err = ir.Parse(file+":"+f.Name, f.Data); err == nil {
				err = ir.Verify(u.Module)
			}
		// Not verified: it is a plan under way.
		case "plan.txt":
			u.Plan, err = plan.Parse(file+":"+f.Name, f.Data)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	// By name, in the order of the file: today's pipeline may have other passes, and
	// an unknown name is an error.
	rest, err := passes.Named(pipelines[k.Mode], k.Passes)
	if err != nil {
		return fmt.Errorf("%s: mode %q: %w", file, k.Mode, err)
	}
	if u.Module == nil {
		return fmt.Errorf("%s: no module.ir", file)
	}
	// With nothing to run nothing can crash, which would look like a bug mended.
	if len(rest) == 0 {
		return fmt.Errorf("%s: crash.json names no passes", file)
	}
	u.Config = passes.Config{Checkpoint: k.Checkpoint, Budget: k.Budget, Units: k.Units, Compute: k.Compute, Dims: k.Dims, Capacity: k.Capacity, Disable: k.Disable, Shuffle: k.Shuffle}
	crash, err := passes.Caught(u, rest)
	if crash != nil {
		return crash
	}
	return err
}
