package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/llamac/llamac/internal/compile"
	"github.com/llamac/llamac/runtime/console"
	"github.com/llamac/llamac/specs"
)

// specsCmd lists what a SPEC may be without a file.
type specsCmd struct {
	JSON bool `help:"Print the list as JSON." name:"json"`
}

// Run loads and compiles them all, which takes a fraction of a second: the
// numbers are those of the models and stand nowhere else.
func (c *specsCmd) Run() error {
	type row struct {
		Name   string `json:"name"`
		Params int64  `json:"params"`
		Doc    string `json:"doc"`
	}
	var rows []row
	for _, name := range specs.ShippedNames() {
		s, err := loadSpec(specs.ShippedPrefix+name+".jsonnet", nil)
		if err != nil {
			return err
		}
		// Counted on the graph, as everywhere. Inference alone compiles in half
		// the time and has all weights.
		r, err := compile.Spec(s, compile.Options{Modes: []string{"infer"}, Targets: []string{}})
		if err != nil {
			return err
		}
		rows = append(rows, row{name, r.Plan.Params(), s.Doc})
	}
	if c.JSON {
		return printJSON(rows)
	}
	// A name first, for scripts that cut the line at its first blank.
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\n", r.Name, compile.Count(r.Params), r.Doc)
	}
	return w.Flush()
}

// template is what init writes for text of one's own. It is short enough to be
// read whole, and every field that most people change is in it; a test trains
// it as it stands.
//
//go:embed template.jsonnet
var template string

// initCmd writes a spec, and never over anything: with what a spec may say
// before one's eyes, the first of one's own is a matter of changing numbers.
type initCmd struct {
	Name string `arg:"" optional:"" help:"Spec inside llamac to copy; without one, a short spec for text of your own."`
	Out  string `short:"o" help:"File to write: NAME.jsonnet or my.jsonnet by default." type:"path" placeholder:"FILE"`
}

func (c *initCmd) Run() error {
	text, out := template, "my.jsonnet"
	// A shipped one keeps its name inside, so that it goes on with the same
	// runs.
	if c.Name != "" {
		name := strings.TrimSuffix(c.Name, ".jsonnet")
		if !slices.Contains(specs.ShippedNames(), name) {
			return usagef("%s: llamac has no spec of this name inside; there are %s\n%s starts a new one", c.Name, strings.Join(specs.ShippedNames(), ", "),
				self()+" init -o "+console.Word(filepath.ToSlash(name)+".jsonnet"))
		}
		b, err := fs.ReadFile(specs.ShippedFS(), name+".jsonnet")
		if err != nil {
			return err
		}
		text, out = string(b), name+".jsonnet"
	}
	if c.Out != "" {
		out = here(c.Out)
	}
	// Other commands find it by that.
	if filepath.Ext(out) != ".jsonnet" {
		return usagef("-o %s: a spec's file ends in .jsonnet", out)
	}
	// Two files in a folder are two models, with folders of runs of their own.
	if c.Name == "" {
		name := identifier(strings.TrimSuffix(filepath.Base(out), ".jsonnet"))
		text = strings.Replace(text, "name: 'my'", "name: '"+name+"'", 1)
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	// Only if it is not there, whoever else writes at this moment.
	// The flags say so to the system, which decides between two.
	f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return usagef("%s is there already and stays as it is; -o names another file", out)
	}
	if err != nil {
		return err
	}
	// The first error counts, and half a spec is none.
	_, err = f.WriteString(text)
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		os.Remove(out)
		return err
	}
	// The next command, to be typed as it stands.
	fmt.Fprintf(stdout, "%s: ", out)
	if c.Name == "" {
		fmt.Fprint(stdout, "put your text into corpus/ beside it, or change data.sources; then\n  ")
	} else {
		fmt.Fprint(stdout, "a copy; try\n  ")
	}
	// Most of the shipped models are too large to be trained at once.
	next := "plan"
	if c.Name == "" {
		next = "train"
	}
	fmt.Fprintf(stdout, "%s %s %s\n", self(), next, console.Word(filepath.ToSlash(out)))
	return nil
}

// here shortens a path that kong has made absolute to what the user typed, where
// that leads below the current folder.
func here(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	// Above it a path relative to the current folder is no shorter.
	rel, err := filepath.Rel(wd, path)
	if err != nil || strings.HasPrefix(rel, "..") {
		return path
	}
	return rel
}

// identifier makes a name that a spec may have of a file's name.
func identifier(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return unicode.ToLower(r)
		}
		return '_'
	}, s)
	// It names a Go package, which begins with a letter.
	if s = strings.Trim(s, "_"); s == "" || s[0] < 'a' {
		s = "my_" + s
	}
	return strings.TrimRight(s, "_")
}
