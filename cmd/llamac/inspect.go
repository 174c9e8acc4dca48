package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/llamac/llamac/internal/compile"
	"github.com/llamac/llamac/passes"
)

type inspectCmd struct {
	specFlags
	Mode string `help:"Pipeline: train or infer." default:"train" enum:"train,infer"`
	All  bool   `help:"Also show passes that changed nothing."`
}

// Run prints the graph after every pass that changed it, as the lines that
// went and came.
func (c *inspectCmd) Run() error {
	s, err := c.load()
	if err != nil {
		return err
	}
	last := ""
	_, err = compile.Spec(s, compile.Options{Modes: []string{c.Mode}, Targets: []string{}, Observe: func(_ string, r passes.Report) {
		text := r.Unit.Module.String()
		if r.Unit.Plan != nil {
			text = r.Unit.Plan.String()
		}
		switch {
		case last == "":
			fmt.Printf("== %s: %s\n   %s\n%s", r.Pass.Name, r.Pass.Doc, statsLine(r.Stats), text)
		case text != last:
			fmt.Printf("== %s: %s\n   %s\n", r.Pass.Name, r.Pass.Doc, statsLine(r.Stats))
			if strings.HasPrefix(text, "plan") && !strings.HasPrefix(last, "plan") {
				fmt.Print(text)
			} else {
				diffLines(os.Stdout, last, text)
			}
		case c.All:
			fmt.Printf("== %s: no change\n", r.Pass.Name)
		}
		last = text
	}})
	return err
}
