package compile

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/tools/txtar"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/passes"
	"github.com/llamac/llamac/plan"
	"github.com/llamac/llamac/specs"
)

// Crash is a bug of the compiler that a compilation ran into, with the file
// that runs it again.
type Crash struct {
	*passes.Crash
	File string // reproducer; empty if there is none
	Lost error  // why there is none
}

func (c *Crash) Error() string {
	first, _, _ := strings.Cut(c.Crash.Error(), "\n")
	if c.Lost != nil {
		return fmt.Sprintf("this is a bug of llamac: %s\nthe module before the pass, which would run it again, could not be written: %v", first, c.Lost)
	}
	return fmt.Sprintf("this is a bug of llamac: %s\nthe module before the pass is in %s; `llamac replay` with that file runs it again", first, c.File)
}

func (c *Crash) Unwrap() error { return c.Crash }

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
	c.File, c.Lost = reproducer(s, o, mode, crash)
	return c
}

// crashConfig is a reproducer's file "crash.json": what runs over the module.
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
func reproducer(s *specs.Spec, o Options, mode string, c *passes.Crash) (string, error) {
	o.Observe = nil
	var before *plan.Plan
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
	at := c.Number - 1
	if crash, err := passes.Caught(u, o.Pipelines[mode][:at]); crash != nil || err != nil {
		return "", fmt.Errorf("the passes before it did not run again: %v, %w", crash, err)
	}
	k := crashConfig{Mode: mode, Checkpoint: u.Config.Checkpoint, Budget: u.Config.Budget, Units: u.Config.Units, Compute: u.Config.Compute, Dims: u.Config.Dims, Capacity: u.Config.Capacity, Disable: u.Config.Disable}
	for _, p := range o.Pipelines[mode][at:] {
		k.Passes = append(k.Passes, p.Name)
	}
	if u.Config.Shuffle != 0 {
		k.Shuffle = u.Config.Shuffle + uint64(at) // passes count from there
	}
	config, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return "", err
	}
	a := &txtar.Archive{Comment: fmt.Appendf(nil, "llamac %s, %s, %s: %s\n\n%s\n", Version, s.File, mode, c.Error(), c.Stack)}
	a.Files = []txtar.File{{Name: "crash.json", Data: append(config, '\n')}, {Name: "module.ir", Data: []byte(u.Module.String())}}
	if u.Plan != nil {
		a.Files = append(a.Files, txtar.File{Name: "plan.txt", Data: []byte(u.Plan.String())})
	}
	return leave("llamac-crash-*.txtar", txtar.Format(a))
}

// IsReproducer reports whether a text is a reproducer of a crash.
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
		case "plan.txt":
			u.Plan, err = plan.Parse(file+":"+f.Name, f.Data)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	rest, err := passes.Named(pipelines[k.Mode], k.Passes)
	if err != nil {
		return fmt.Errorf("%s: mode %q: %w", file, k.Mode, err)
	}
	if u.Module == nil {
		return fmt.Errorf("%s: no module.ir", file)
	}
	u.Config = passes.Config{Checkpoint: k.Checkpoint, Budget: k.Budget, Units: k.Units, Compute: k.Compute, Dims: k.Dims, Capacity: k.Capacity, Disable: k.Disable, Shuffle: k.Shuffle}
	crash, err := passes.Caught(u, rest)
	if crash != nil {
		return crash
	}
	return err
}
