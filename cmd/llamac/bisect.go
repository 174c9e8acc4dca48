package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/llamac/llamac/internal/compile"
	"github.com/llamac/llamac/internal/fuzz"
	"github.com/llamac/llamac/internal/gobuild"
	"github.com/llamac/llamac/passes"
)

// bisectCmd finds the pass to blame for a model that computes something else
// once it is compiled. It takes a spec, since that is what a user has when a loss
// looks wrong, or a case, since that is what the fuzzer leaves.
type bisectCmd struct {
	File        string   `arg:"" help:"Specification, a .jsonnet file or the name of one that is inside llamac, or a failing case, a .txtar file."`
	Set         []string `help:"Override a field of the spec: path=value, the value in JSON." placeholder:"PATH=VALUE" sep:"none"`
	DisablePass []string `help:"Leave a pass out; may be repeated." placeholder:"PASS"`
	FullSize    bool     `help:"Keep the spec's sizes instead of small ones."`
	DumpDir     string   `help:"Folder for the module before and after the pass." default:"." type:"path"`
}

// Help is the text behind --help.
func (bisectCmd) Help() string {
	return "Compares what the graph computes before all passes with what it computes after each of them, in float64 and under every " +
		"checkpoint policy, auto with two budgets among them, and then with the plan run by llamac's own kernels. Where only the plan is wrong, the optional passes run " +
		"one after the other until it is. Prints the first pass after which a number differs and writes the module before and after it. " +
		"A spec is taken with few layers and small widths; random weights and tokens are drawn."
}

// Run ends with status 0 if nothing differs, and with 1 and the pass's name if
// something does, so that a script can bisect revisions with it as well.
func (c *bisectCmd) Run() error {
	// A name that no pass has would be left out in silence.
	for _, name := range c.DisablePass {
		if !slices.Contains(passes.Names(), name) {
			return noPass("disable-pass", name)
		}
	}
	k, err := c.load()
	if err != nil {
		return err
	}
	// A case may leave passes out already; those of the flag come on top.
	k.Disable = append(k.Disable, c.DisablePass...)
	// The checker runs the compiler's own pipelines, with the device that trains:
	// nothing here is a model of them.
	checker := fuzz.NewChecker()
	defer checker.Device.Close()
	found, err := checker.Bisect(k)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	// No difference is an answer too, and says what was compared.
	if found == nil {
		fmt.Fprintf(stdout, "%s: %d sequences of %d tokens: every pass, every checkpoint policy and the plans compute what the graph does\n", c.File, k.B, k.T)
		return nil
	}
	// Files, not the screen: a module has hundreds of lines, and what one wants
	// of two of them is their difference.
	for i, text := range []string{found.Before, found.After} {
		file := filepath.Join(c.DumpDir, []string{"before.ir", "after.ir"}[i])
		if err := gobuild.WriteFile(file, []byte(text)); err != nil {
			return err
		}
		fmt.Fprintln(stdout, "wrote", file)
	}
	return errors.New(found.String())
}

// load makes a case of the file. Of a spec it takes the smallest sizes with
// which that still loads: the interpreter is exact and slow, and what a pass does
// depends on the model's shape and not on its size.
func (c *bisectCmd) load() (*fuzz.Case, error) {
	// Cases hold modules of primitives as they were drawn. No spec stands behind
	// them, so that these flags have nothing to act on.
	if strings.HasSuffix(c.File, ".txtar") {
		if len(c.Set) > 0 {
			return nil, usagef("--set %s: %s is a case, which has no fields of a spec", c.Set[0], c.File)
		}
		if c.FullSize {
			return nil, usagef("--full-size: %s is a case, which has the size it has", c.File)
		}
		return fuzz.LoadCase(c.File)
	}
	s, err := loadSpec(c.File, c.Set)
	if err != nil || c.FullSize {
		if err != nil {
			return nil, err
		}
		return fuzz.FromSpec(s)
	}
	// The spec's own overrides come first: what the user asks for is kept as long
	// as the small sizes do not touch it.
	for _, set := range fuzz.Scales(s) {
		small, err := loadSpec(c.File, append(slices.Clone(c.Set), set...))
		if err == nil {
			return fuzz.FromSpec(small)
		}
	}
	return fuzz.FromSpec(s)
}

// replayCmd runs once more what llamac wrote about itself: the reproducer of a
// crash or a case of the fuzzer. What the file holds tells which.
type replayCmd struct {
	File string `arg:"" help:"Reproducer of a crash, or a failing case, a .txtar file."`
}

// Help is the text behind --help.
func (replayCmd) Help() string {
	return "Runs once more what a file holds that llamac wrote: the module before a pass that panicked and the passes from there on, or a " +
		"model that computed something else after compilation."
}

// Run ends with status 0 if the bug is gone.
func (c *replayCmd) Run() error {
	text, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	if compile.IsReproducer(text) {
		err := compile.Replay(c.File, text, nil)
		// The stack belongs to the message here: whoever replays a crash wants
		// to mend it.
		var crash *passes.Crash
		if errors.As(err, &crash) {
			return fmt.Errorf("%s: it crashes still: %w\n%s", c.File, err, crash.Stack)
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "%s: it does not crash any more\n", c.File)
		return nil
	}
	k, err := fuzz.ParseCase(c.File, text)
	if err != nil {
		return err
	}
	// A case in a range of seeds passes some stations, chosen by its seed. Here
	// it is alone, and there is time for all of them.
	k.Extra = true
	checker := fuzz.NewChecker()
	defer checker.Device.Close()
	if err := checker.Check(k); err != nil {
		what, _, _ := strings.Cut(err.Error(), "\n") // texts of modules and plans follow
		return fmt.Errorf("%s: %s", c.File, what)
	}
	// A case that was not compared to the end must not look as if it were fine.
	if checker.Counts["checked"] == 0 {
		for _, what := range slices.Sorted(maps.Keys(checker.Counts)) {
			if strings.HasPrefix(what, "wild: ") || strings.HasPrefix(what, "refused: ") {
				return fmt.Errorf("%s: not compared: %s", c.File, what)
			}
		}
	}
	fmt.Fprintf(stdout, "%s: nothing differs\n", c.File)
	return nil
}
