package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/llamac/llamac/internal/compile"
	"github.com/llamac/llamac/passes"
	"github.com/llamac/llamac/plan"
)

// planCmd is llamac plan: what a model needs, found by compiling it for both
// modes without printing code. Nothing is estimated: parameters, bytes and FLOPs
// are those of the plan that a program would run.
type planCmd struct {
	specFlags
	Full  bool      `help:"Print the whole plan: every launch of every program." xor:"output"`
	JSON  bool      `help:"Print every figure as JSON." name:"json" xor:"output"`
	Curve curveFile `help:"Draw what every budget of activations costs in recomputation: FILE.svg, .png or .json." name:"checkpoint-curve" placeholder:"FILE" xor:"output"`
}

// Run prints one of four things: the plan itself, the curve of budgets to a file,
// all figures as JSON, or a page of them.
func (c *planCmd) Run() error {
	s, err := c.load()
	if err != nil {
		return err
	}
	if c.Curve != "" { // also of a budget that is too small to compile
		return writeCurve(s, string(c.Curve))
	}
	r, err := compile.Spec(s, compile.Options{Targets: []string{}})
	if err != nil {
		return err
	}
	// The same text as a generated package's plan.txt.
	if c.Full {
		fmt.Fprint(stdout, r.Plan)
		return nil
	}
	fig := compile.Figures(s, r)
	// The fixed policies are compiled too, to be compared with; they share the
	// spec's micro-batch and differ in training alone.
	saved := map[string]compile.Figure{}
	for _, p := range passes.Policies {
		q, err := compile.Spec(s, compile.Options{Checkpoint: p, Modes: []string{"train"}, Targets: []string{}})
		if err != nil {
			return err
		}
		f := compile.Figures(s, q)
		f.Checkpoint = p // not the spec's own
		saved[p] = f
	}
	if c.JSON {
		return printJSON(struct {
			compile.Figure
			Policies map[string]compile.Figure `json:"policies"`
		}{fig, saved})
	}
	// The rest is for people: numbers rounded, with their units, in columns.
	fmt.Fprintf(stdout, "%s: %s\n\n", s.Name, s.Doc)
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	// Names to the left, so that a line can be found by its beginning.
	row := func(name, value string) { fmt.Fprintf(w, "%s\t%s\n", name, value) }
	row("parameters", fmt.Sprintf("%d (%s)", fig.Params, compile.Count(fig.Params)))
	// The papers' convention, so that figures compare with theirs.
	row("training FLOPs a token", fmt.Sprintf("%.4g (causal attention counted half)", float64(fig.FLOPsPerToken)))
	row("tokens a step", fmt.Sprintf("%d = %d sequences x %d accumulated x %d tokens", fig.Tokens, s.Train.MicroBatch, s.Train.Accum, s.Model.Context))
	row("steps", fmt.Sprintf("%d, %.3g tokens", fig.Steps, float64(fig.Steps)*float64(fig.Tokens)))
	// Each program's own arenas: those of training and of inference are never
	// there at one time, but weights and tables, which both have.
	for _, use := range []string{"training", "inference"} {
		sumRows("memory, "+use, arenas(r.Plan, use), row)
	}
	w.Flush()
	fmt.Fprintf(stdout, "\nactivations by checkpoint policy (this spec: %s)\n", s.Checkpoint.Policy)
	// Tabs end columns, and two blanks set the table in.
	fmt.Fprintln(w, "  policy\tstored a layer\tarena\trecomputed")
	least := saved["none"].StepFLOPs // none recomputes nothing
	for _, p := range passes.Policies {
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", p, size(saved[p].SavedPerLayer), size(saved[p].Arenas["act.train"]), again(saved[p].StepFLOPs-least, least))
	}
	// Finding what auto can do takes up to a second, so it is shown where it was
	// found already. For another policy the row says how to ask for it.
	switch stacks := r.Train.Stacks; {
	case fig.Auto != nil:
		fmt.Fprintf(w, "  auto\tby budget\t%s to %s\t\n", size(fig.Auto.Minimum), size(fig.Auto.Maximum))
	case len(stacks) == 1 && len(stacks[0].Segments) == 1: // of equal layers, of which alone there are budgets
		fmt.Fprintln(w, "  auto\tby budget\tsee --checkpoint-curve\t")
	}
	w.Flush()
	// Only if the spec's own policy is auto.
	if fig.Auto != nil {
		return printAuto(fig.Auto, least)
	}
	return nil
}

// arenas lists what a use of the plan takes: "training" all but what the
// decoder's programs have to themselves, and "inference" all but the trainer's.
func arenas(p *plan.Plan, use string) (parts []part) {
	other := map[string][]string{
		"training":  {"act.infer", "kv"},
		"inference": {"grads", "moment1", "moment2", "master", "act.train"},
	}[use]
	for _, a := range p.Arenas {
		if !slices.Contains(other, a.Name) {
			parts = append(parts, part{a.Name, a.Bytes})
		}
	}
	return parts
}

// again prints recomputed work and its share of the work without it.
func again(flops, all int64) string {
	// The share tells how much more a micro-batch has to do.
	return fmt.Sprintf("%.4g FLOPs, %.3g %%", float64(flops), 100*float64(flops)/float64(all))
}

// printAuto shows what the policy auto chose: layers that store the same in a
// row, the first layers first. Bytes are exact, for they are what the program
// allocates; least is the work of a micro-batch with nothing recomputed.
func printAuto(c *passes.Checkpoints, least int64) error {
	fmt.Fprintf(stdout, "\ncheckpoints under a budget of %d bytes (%s)\n", c.Budget, size(c.Budget))
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "  peak\t%d bytes (%s)\n", c.Peak, size(c.Peak))
	fmt.Fprintf(w, "  smallest budget\t%d bytes (%s)\n", c.Minimum, size(c.Minimum))
	fmt.Fprintf(w, "  recomputed\t%s of a micro-batch\n\n", again(c.FLOPs, least))
	// All layers store their inputs, or none does.
	beside := "stored beside the layer's input"
	if !c.Inputs {
		beside = "stored, the layer's input not"
	}
	fmt.Fprintln(w, "  layers\tbytes a layer\tFLOPs recomputed a layer\t"+beside)
	for _, s := range c.Segments {
		// An empty list is a choice too: the layer's input alone.
		stored := strings.Join(s.Stored, " ")
		if stored == "" {
			stored = "nothing"
		}
		// Both ends are included, as people count layers.
		fmt.Fprintf(w, "  %d to %d\t%d\t%.4g\t%s\n", s.From, s.To-1, s.Bytes, float64(s.FLOPs), stored)
	}
	// Where some values were not tried apart, the answer is the best of fewer
	// choices than there are. That must not pass for all of them.
	if err := w.Flush(); err != nil || c.Joined == nil {
		return err
	}
	var joined []string
	for _, names := range c.Joined {
		joined = append(joined, strings.Join(names, " "))
	}
	fmt.Fprintf(stdout, "\njoined: %s; exact among the rest\n", strings.Join(joined, ", "))
	return nil
}

// size prints bytes in the unit that leaves three or four digits, and exactly.
func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	// Powers of 1024, as the specs' budgets are given.
	x, u := float64(n), 0
	for x >= 1024 && u < len(units)-1 {
		x, u = x/1024, u+1
	}
	// Bytes have no fraction.
	if u == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.4g %s", x, units[u])
}
