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

	"github.com/llamac/llamac/internal/compile"
	"github.com/llamac/llamac/internal/gobuild"
	"github.com/llamac/llamac/passes"
)

// passFlags choose and show passes.
type passFlags struct {
	DisablePass []string `help:"Leave a pass out; may be repeated." placeholder:"PASS"`
	StopAfter   string   `help:"Stop after a pass and write its module to standard output." placeholder:"PASS"`
	DumpAfter   string   `help:"Write the module after a pass, after all, or after each that changes it." placeholder:"PASS|all|change"`
	DumpDir     string   `help:"Folder of the dumps." default:"." type:"path"`
}

// check looks whether the passes that the flags name are there: modes are the
// pipelines that will run.
func (f *passFlags) check(modes []string) error {
	for _, name := range f.DisablePass {
		if !slices.Contains(passes.Names(), name) {
			return noPass("disable-pass", name)
		}
		for _, m := range modes {
			if required(m, name) {
				return usagef("--disable-pass=%s: mode %s requires this pass", name, m)
			}
		}
	}
	if d := f.DumpAfter; d != "" && d != "all" && d != "change" && !slices.Contains(passes.Names(), d) {
		return noPass("dump-after", d)
	}
	if f.StopAfter == "" {
		return nil
	}
	if !slices.Contains(passes.Names(), f.StopAfter) {
		return noPass("stop-after", f.StopAfter)
	}
	for _, m := range modes {
		if slices.Contains(names(pipelines[m]), f.StopAfter) && !slices.Contains(f.DisablePass, f.StopAfter) {
			return nil
		}
	}
	return usagef("--stop-after=%s: this pass does not run (mode %s)", f.StopAfter, strings.Join(modes, ", "))
}

func noPass(flag, name string) error {
	return usagef("--%s=%s: no such pass; there are %s", flag, name, strings.Join(passes.Names(), ", "))
}

// pipelines are the passes of each mode.
var pipelines = map[string][]passes.Pass{"train": passes.Train, "infer": passes.Infer}

func names(pipeline []passes.Pass) []string {
	var list []string
	for _, p := range pipeline {
		list = append(list, p.Name)
	}
	return list
}

// required tells whether a mode's pipeline cannot do without a pass.
func required(mode, name string) bool {
	return slices.ContainsFunc(pipelines[mode], func(p passes.Pass) bool { return p.Name == name && p.Required })
}

// observer writes dumps.
func (f *passFlags) observer(report func(error)) func(string, passes.Report) {
	last := map[string]string{}
	return func(mode string, r passes.Report) {
		text := r.Unit.Module.String()
		if r.Unit.Plan != nil && r.Pass.Name == "plan_memory" {
			text = r.Unit.Plan.String()
		}
		changed := text != last[mode]
		last[mode] = text
		if f.DumpAfter == "all" || f.DumpAfter == r.Pass.Name || f.DumpAfter == "change" && changed {
			name := filepath.Join(f.DumpDir, fmt.Sprintf("%s-%02d-%s.ir", mode, r.Number, r.Pass.Name))
			header := fmt.Sprintf("// after %s: %s\n// %s\n", r.Pass.Name, r.Pass.Doc, r.Stats)
			report(gobuild.WriteFile(name, []byte(header+text)))
		}
		if f.StopAfter == r.Pass.Name {
			fmt.Print(text)
		}
	}
}

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
		if pipelines[m] == nil {
			return usagef("--mode=%s: no such mode; there are train, infer", m)
		}
	}
	if err := c.check(c.Mode); err != nil {
		return err
	}
	if err := checkTargets(c.Target); err != nil {
		return err
	}
	s, err := c.load()
	if err != nil {
		return err
	}
	var dumpErr error
	o := compile.Options{Modes: c.Mode, Targets: c.Target, Disable: c.DisablePass, StopAfter: c.StopAfter,
		Observe: c.observer(func(err error) {
			if dumpErr == nil {
				dumpErr = err
			}
		})}
	where, err := c.place(s.Name)
	if err != nil {
		return err
	}
	if where != "" {
		o.Runtime = gobuild.Runtime(where)
	}
	r, err := compile.Spec(s, o)
	if err != nil {
		return err
	}
	if dumpErr != nil {
		return dumpErr
	}
	if c.StopAfter != "" {
		return nil
	}
	if c.Out != "" {
		if err := c.write(where, s.Name, r); err != nil {
			return err
		}
	}
	fig := compile.Figures(s, r)
	if c.JSON {
		return printJSON(fig)
	}
	fmt.Printf("%s: %s parameters, %d layers; %d lines of Go in %d files", s.Name, compile.Count(fig.Params), s.Model.Layers, fig.Lines, fig.Files)
	if c.Out != "" {
		fmt.Printf(" in %s", c.Out)
	}
	fmt.Println()
	return nil
}

// place is the import path of what will be written, in front of the runtime
// that comes with it: a module of its own, or a folder of the module that it
// lies in. It is empty where that is llamac, whose runtime is there already.
func (c *compileCmd) place(name string) (string, error) {
	switch {
	case c.Standalone:
		return name, nil
	case c.Out == "" || c.StopAfter != "":
		return "", nil
	}
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
	return m.Write(c.Out)
}

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

func printJSON(v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := os.Stdout.Write(b.Bytes())
	return err
}
