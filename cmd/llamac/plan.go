package main

import (
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/llamac/llamac/internal/compile"
)

type planCmd struct {
	specFlags
	Full bool `help:"Print the whole plan: every launch of every program."`
	JSON bool `help:"Print every figure as JSON." name:"json"`
}

// policies are the checkpoint policies in the order of what they store.
var policies = []string{"none", "keep-linear", "full"}

func (c *planCmd) Run() error {
	s, err := c.load()
	if err != nil {
		return err
	}
	r, err := compile.Spec(s, compile.Options{Targets: []string{}})
	if err != nil {
		return err
	}
	if c.Full {
		fmt.Print(r.Plan)
		return nil
	}
	fig := compile.Figures(s, r)
	saved := map[string]compile.Figure{}
	for _, p := range policies {
		q, err := compile.Spec(s, compile.Options{Checkpoint: p, Modes: []string{"train"}, Targets: []string{}})
		if err != nil {
			return err
		}
		saved[p] = compile.Figures(s, q)
	}
	if c.JSON {
		return printJSON(struct {
			compile.Figure
			Policies map[string]compile.Figure `json:"policies"`
		}{fig, saved})
	}
	fmt.Printf("%s: %s\n\n", s.Name, s.Doc)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	row := func(name, value string) { fmt.Fprintf(w, "%s\t%s\n", name, value) }
	row("parameters", fmt.Sprintf("%d (%s)", fig.Params, compile.Count(fig.Params)))
	row("training FLOPs a token", fmt.Sprintf("%.4g (causal attention counted half)", float64(fig.FLOPsPerToken)))
	row("tokens a step", fmt.Sprintf("%d = %d sequences x %d accumulated x %d tokens", fig.Tokens, s.Train.MicroBatch, s.Train.Accum, s.Model.Context))
	row("steps", fmt.Sprintf("%d, %.3g tokens", fig.Steps, float64(fig.Steps)*float64(fig.Tokens)))
	row("memory, training", size(fig.Arenas["weights"]+fig.Arenas["grads"]+fig.Arenas["moment1"]+fig.Arenas["moment2"]+fig.Arenas["act.train"]))
	for _, a := range r.Plan.Arenas {
		row("  "+a.Name, size(a.Bytes))
	}
	w.Flush()
	fmt.Printf("\nactivations by checkpoint policy (this spec: %s)\n", s.Checkpoint.Policy)
	fmt.Fprintln(w, "  policy\tstored a layer\tarena")
	for _, p := range policies {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", p, size(saved[p].SavedPerLayer), size(saved[p].Arenas["act.train"]))
	}
	return w.Flush()
}

// size prints bytes in the unit that leaves three or four digits, and exactly.
func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	x, u := float64(n), 0
	for x >= 1024 && u < len(units)-1 {
		x, u = x/1024, u+1
	}
	if u == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.4g %s", x, units[u])
}
