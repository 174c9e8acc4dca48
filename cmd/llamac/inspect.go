package main

import (
	"bytes"
	"fmt"

	"github.com/llamac/llamac/internal/gobuild"
	"github.com/llamac/llamac/internal/inspect"
)

// inspectCmd shows the compiler's work: as text what each pass changed, or as a
// page everything at once.
type inspectCmd struct {
	specFlags
	Out         string   `short:"o" help:"Write a page to look at in a browser: both pipelines, pass by pass, the plan, the memory and the generated code." type:"path" placeholder:"FILE.html"`
	Mode        string   `help:"Without -o: pipeline to print, train (by default) or infer." default:"" enum:",train,infer"`
	All         bool     `help:"Without -o: also print passes that changed nothing."`
	DisablePass []string `help:"Leave a pass out; may be repeated." placeholder:"PASS"`
}

func (c *inspectCmd) Run() error {
	// The page shows both pipelines; text is one at a time, since a diff of two
	// would be read as one.
	modes := []string{"train", "infer"}
	switch {
	case c.Out != "" && (c.Mode != "" || c.All):
		return usagef("--mode and --all choose what is printed; the page of -o has everything")
	case c.Out == "":
		if c.Mode == "" {
			c.Mode = "train"
		}
		modes = []string{c.Mode}
	}
	// The same rules as for compile: a pass that a pipeline needs stays.
	if err := (&passFlags{DisablePass: c.DisablePass}).check(modes); err != nil {
		return err
	}
	s, err := c.load()
	if err != nil {
		return err
	}
	if err := notSpec(c.Out, s); err != nil {
		return err
	}
	// Mode and All say nothing about a page, which has everything.
	o := inspect.Options{Disable: c.DisablePass, Mode: c.Mode, All: c.All}
	if c.Out == "" {
		return inspect.Text(stdout, s, o)
	}
	// Whole in memory, at most a few megabytes, and written only when nothing
	// can fail any more.
	var page bytes.Buffer
	if err := inspect.HTML(&page, s, o); err != nil {
		return err
	}
	// A browser that has the page open never sees half of a new one.
	if err := gobuild.WriteFile(c.Out, page.Bytes()); err != nil {
		return err
	}
	// Rounded up, so that nothing has 0 kB.
	fmt.Fprintf(stdout, "%s: %d kB, open it in a browser\n", c.Out, (page.Len()+999)/1000)
	return nil
}
