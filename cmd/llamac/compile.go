package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/llamac/llamac/internal/compile"
	"github.com/llamac/llamac/internal/gobuild"
	"github.com/llamac/llamac/passes"
)

// passFlags choose and show passes.
// They are for people who look into the compiler; training needs none of them.
type passFlags struct {
	DisablePass []string `help:"Leave a pass out; may be repeated." placeholder:"PASS"`
	StopAfter   string   `help:"Stop after a pass and write its module to standard output." placeholder:"PASS"`
	DumpAfter   string   `help:"Write the module after a pass, after all, or after each that changes it." placeholder:"PASS|all|change"`
	DumpDir     string   `help:"Folder of the dumps." default:"." type:"path"`
}

// check looks whether the passes that the flags name are there: modes are the
// pipelines that will run.
// Everything is judged before the spec is read: a flag that is wrong needs no
// compilation to be told.
func (f *passFlags) check(modes []string) error {
	for _, name := range f.DisablePass {
		// A misspelt name would leave nothing out, and nobody would notice.
		if !slices.Contains(passes.Names(), name) {
			return noPass("disable-pass", name)
		}
		for _, m := range modes {
			if required(m, name) {
				return usagef("--disable-pass=%s: mode %s requires this pass", name, m)
			}
		}
	}
	if d := f.DumpAfter; d != "" && d != "all" && d != "change" {
		if err := f.runs("dump-after", d, modes); err != nil {
			return err
		}
	}
	if f.StopAfter != "" {
		return f.runs("stop-after", f.StopAfter, modes)
	}
	return nil
}

// runs looks whether a pass that a flag names is there and runs.
func (f *passFlags) runs(flag, name string, modes []string) error {
	if !slices.Contains(passes.Names(), name) {
		return noPass(flag, name)
	}
	for _, m := range modes {
		// One pipeline that gets there is enough: the other runs to its end.
		if slices.Contains(names(pipelines[m]), name) && !slices.Contains(f.DisablePass, name) {
			return nil
		}
	}
	return usagef("--%s=%s: this pass does not run (mode %s)", flag, name, strings.Join(modes, ", "))
}

// noPass lists what there is: there are some fifteen passes.
func noPass(flag, name string) error {
	return usagef("--%s=%s: no such pass; there are %s", flag, name, strings.Join(passes.Names(), ", "))
}

// pipelines are the passes of each mode.
var pipelines = map[string][]passes.Pass{"train": passes.Train, "infer": passes.Infer}

// names lists a pipeline.
func names(pipeline []passes.Pass) []string {
	var list []string
	for _, p := range pipeline {
		list = append(list, p.Name)
	}
	return list
}

// required tells whether a mode's pipeline cannot do without a pass.
// It depends on the mode: attention must be recognised where it gets a cache.
func required(mode, name string) bool {
	return slices.ContainsFunc(pipelines[mode], func(p passes.Pass) bool { return p.Name == name && p.Required })
}

// observer writes dumps.
// It is called after each pass, with the module as the pass left it. Names of
// dumps begin with mode and number, so that a folder lists them in the order of
// the pipeline: train-04-fuse_attention.ir.
func (f *passFlags) observer(report func(error)) func(string, passes.Report) {
	// By mode: two pipelines run one after the other.
	last := map[string]string{}
	return func(mode string, r passes.Report) {
		// Printed once for all uses: a dump, the comparison and standard
		// output.
		text := r.Unit.Module.String()
		// From there on the plan is what the compilation is about.
		if r.Unit.Plan != nil && r.Pass.Name == "plan_memory" {
			text = r.Unit.Plan.String()
		}
		changed := text != last[mode]
		last[mode] = text
		if f.DumpAfter == "all" || f.DumpAfter == r.Pass.Name || f.DumpAfter == "change" && changed {
			name := filepath.Join(f.DumpDir, fmt.Sprintf("%s-%02d-%s.ir", mode, r.Number, r.Pass.Name))
			// Comments, so that a dump can be parsed as it is.
			header := fmt.Sprintf("// after %s: %s\n// %s\n", r.Pass.Name, r.Pass.Doc, r.Stats)
			report(gobuild.WriteFile(name, []byte(header+text)))
		}
		if f.StopAfter == r.Pass.Name {
			fmt.Fprint(stdout, text)
		}
	}
}

// compileCmd writes a package, or stops on the way and shows the module.
type compileCmd struct {
	specFlags
	passFlags
	Out        string   `short:"o" help:"Folder for the generated package. Inside a Go module of yours the runtime that it needs comes to lie below it, in internal/." type:"path" placeholder:"DIR"`
	Target     []string `help:"Targets: go." default:"go"`
	Mode       []string `help:"Programs: train, infer." default:"train,infer"`
	Standalone bool     `help:"Write a whole module that builds by itself, with a command that trains and generates."`
	JSON       bool     `help:"Print every figure as JSON." name:"json"`
}

func (c *compileCmd) Run() error {
	for _, m := range c.Mode {
		// The flag takes a list, so kong cannot check it.
		if pipelines[m] == nil {
			return usagef("--mode=%s: no such mode; there are train, infer", m)
		}
	}
	// Errors of the call come in the order of the flags' importance, one at a
	// time.
	if err := c.check(c.Mode); err != nil {
		return err
	}
	if err := checkTargets(c.Target); err != nil {
		return err
	}
	switch {
	case len(c.Mode) == 0:
		return usagef("--mode: which? there are train, infer")
	case len(c.Target) == 0:
		return usagef("--target: which? there is go")
	case c.Standalone && c.Out == "":
		return usagef("--standalone: to which folder? -o DIR")
	case c.StopAfter != "" && c.JSON:
		return usagef("--stop-after prints the module, which is no JSON")
	}
	// The spec's errors are all told at once.
	s, err := c.load()
	if err != nil {
		return err
	}
	// Dumps are written in the middle of the pipeline, which has nowhere to
	// return an error to; the first one counts.
	var dumpErr error
	o := compile.Options{Modes: c.Mode, Targets: c.Target, Disable: c.DisablePass, StopAfter: c.StopAfter,
		Observe: c.observer(func(err error) {
			if dumpErr == nil {
				dumpErr = err
			}
		})}
	// Before compiling: the import paths in the code depend on it.
	where, err := c.place(s.Name)
	if err != nil {
		return err
	}
	if where != "" {
		o.Runtime = gobuild.Runtime(where)
	}
	// From here on nothing is wrong with the call: errors are the spec's or the
	// compiler's.
	r, err := compile.Spec(s, o)
	if err != nil {
		return err
	}
	if dumpErr != nil {
		return dumpErr
	}
	// The module has been printed; there is no package.
	if c.StopAfter != "" {
		return nil
	}
	if c.Out != "" {
		if err := c.write(where, s.Name, r); err != nil {
			return err
		}
	}
	fig := compile.Figures(s, r)
	// Every figure at once, for scripts that compare compilations.
	if c.JSON {
		return printJSON(fig)
	}
	// One line that shows at a glance whether the right spec was compiled.
	fmt.Fprintf(stdout, "%s: %s parameters, %d layers; %d lines of Go in %d files", s.Name, compile.Count(fig.Params), s.Model.Layers, fig.Lines, fig.Files)
	if c.Out != "" {
		fmt.Fprintf(stdout, " in %s\n", c.Out)
		return nil
	}
	// It must not look as if there were something to find now.
	fmt.Fprintln(stdout, "; nothing written: add -o DIR")
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	for _, f := range r.Files {
		fmt.Fprintf(w, "  %s\t%d lines\n", f.Name, bytes.Count(f.Data, []byte{'\n'}))
	}
	return w.Flush()
}

// place is the import path of what will be written, in front of the runtime
// that comes with it: a module of its own, or a folder of the module that it
// lies in. It is empty where that is llamac, whose runtime is there already.
// Generated code imports the runtime by its full path, so it has to be known
// where it will lie.
func (c *compileCmd) place(name string) (string, error) {
	switch {
	case c.Standalone:
		return gobuild.ModulePath(name), nil
	case c.Out == "" || c.StopAfter != "":
		return "", nil
	}
	// The folder need not exist yet: what counts is the module that it will be
	// in.
	host, err := gobuild.Enclosing(c.Out)
	if errors.Is(err, gobuild.ErrNoModule) {
		// To be read, or to go into llamac's own tree: it builds nowhere else.
		fmt.Fprintf(os.Stderr, "%s lies in no Go module: the package imports llamac's own runtime; --standalone writes a whole module\n", c.Out)
		return "", nil
	}
	if err != nil || host.Own() {
		return "", err
	}
	return host.ImportPath(c.Out)
}

// write puts the package where place has decided.
func (c *compileCmd) write(where, name string, r *compile.Result) error {
	var m *gobuild.Module
	var err error
	switch {
	case c.Standalone:
		m, err = gobuild.New(where, name, r.Files)
	case where != "":
		m, err = gobuild.Package(where, name, r.Files)
	default:
		m = gobuild.Bare(r.Files)
	}
	if err != nil {
		return err
	}
	err = m.Write(c.Out)
	if errors.As(err, new(gobuild.InTheWay)) {
		return usagef("%v\nnothing is written: take another folder for -o, or make room in this one", err)
	}
	return err
}

// checkTargets looks whether the targets are there.
func checkTargets(names []string) error {
	for _, n := range names {
		ok := false
		var have []string
		for _, t := range compile.Targets() {
			ok = ok || t.Name() == n
			have = append(have, t.Name())
		}
		if !ok {
			return usagef("--target=%s: no such target; there are %s", n, strings.Join(have, ", "))
		}
	}
	return nil
}

// printJSON writes for programs: indented all the same, for those who read over
// their shoulders.
func printJSON(v any) error {
	// Whole before anything is printed: half an object is worse than none.
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	// <s> is a token and no markup.
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := stdout.Write(b.Bytes())
	return err
}
