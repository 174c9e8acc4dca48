package inspect

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/llamac/llamac/internal/compile"
	"github.com/llamac/llamac/passes"
	"github.com/llamac/llamac/specs"
)

// Options are the choices of a look.
type Options struct {
	Disable []string // passes to leave out
	Mode    string   // pipeline that Text shows: "train" or "infer"
	All     bool     // Text names passes that changed nothing, too
}

// Text prints the graph after every pass that changed it, as the lines that
// went and came.
// The first column is printed whole; from there on only differences are, so
// that a few screens hold a pipeline.
func Text(w io.Writer, s *specs.Spec, o Options) error {
	// What the pass before left.
	last := ""
	_, err := compile.Spec(s, compile.Options{Modes: []string{o.Mode}, Targets: []string{}, Disable: o.Disable, Observe: func(_ string, r passes.Report) {
		text := r.Unit.Module.String()
		if r.Unit.Plan != nil {
			text = r.Unit.Plan.String()
		}
		switch {
		case last == "":
			fmt.Fprintf(w, "== %s: %s\n   %s\n%s", r.Pass.Name, r.Pass.Doc, r.Stats, text)
		case text != last:
			fmt.Fprintf(w, "== %s: %s\n   %s\n", r.Pass.Name, r.Pass.Doc, r.Stats)
			// A plan has no line in common with a graph.
			if strings.HasPrefix(text, "plan") && !strings.HasPrefix(last, "plan") {
				fmt.Fprint(w, text)
			} else {
				diffLines(w, last, text)
			}
		// Nobody needs these lines but who wonders whether a pass ran.
		case o.All:
			fmt.Fprintf(w, "== %s: no change\n", r.Pass.Name)
		}
		last = text
	}})
	return err
}

// stats lists the rules that fired by name.
// Sorted, since a map has no order.
func stats(s passes.Stats) []stat {
	var list []stat
	for k, n := range s {
		list = append(list, stat{k, n})
	}
	slices.SortFunc(list, func(a, b stat) int { return strings.Compare(a.Rule, b.Rule) })
	return list
}
