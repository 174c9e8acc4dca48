package inspect

import (
	"errors"
	"fmt"
	"strings"

	"github.com/llamac/llamac/internal/compile"
	"github.com/llamac/llamac/internal/diag"
	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/ir/build"
	"github.com/llamac/llamac/passes"
	"github.com/llamac/llamac/specs"
)

// collector gathers the page while the compiler runs.
// It lives for one page and both pipelines.
type collector struct {
	page    *page
	index   map[string]int // of lines
	pipe    *pipeline
	costs   coster
	last    *snapshot
	visible *column         // the last column that shows anything new
	old     map[string]bool // programs of pipelines before this one
}

// collect compiles the spec and looks on.
// The compiler runs once, or twice where a target refuses: nothing is kept of
// the first attempt.
func collect(s *specs.Spec, o Options) (*page, error) {
	// nil is every target, [] is none.
	r, p, err := observe(s, o, nil)
	var list diag.List
	var one *diag.Error
	if errors.As(err, &list) || errors.As(err, &one) {
		// A target that refuses the spec leaves everything before it.
		note := err.Error()
		if r, p, err = observe(s, o, []string{}); err == nil {
			p.Note = note
		}
	}
	if err != nil {
		return nil, err
	}
	// The same numbers as compile --json prints.
	p.Figure = compile.Figures(s, r)
	for _, d := range r.Plan.Dims {
		p.Sizes = append(p.Sizes, size{d.Name, d.Size})
	}
	for _, w := range r.Plan.Weights {
		t := ir.Type{DType: w.DType}
		for _, d := range w.Dims {
			t.Dims = append(t.Dims, ir.Const(d))
		}
		p.Weights = append(p.Weights, weight{w.Name, t.String(), w.Layers, w.DType.Bytes(w.Offset), w.DType.Bytes(w.Stride), t.Bytes()})
	}
	for _, f := range r.Files {
		// plan.txt is in the columns; model.go holds the layout of the weights, which the page has.
		if strings.HasSuffix(f.Name, ".go") && f.Name != "model.go" {
			p.Sources = append(p.Sources, source{f.Name, strings.Split(strings.TrimSuffix(string(f.Data), "\n"), "\n")})
		}
	}
	// Only now: programs need the plan with everything placed.
	for _, pipe := range p.Pipelines {
		m := r.Train
		if pipe.Mode == "infer" {
			m = r.Infer
		}
		if err := programs(p, pipe, m, r.Plan); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// observe compiles with both pipelines and makes their columns.
// An error of the looking itself comes after the compiler's own.
func observe(s *specs.Spec, o Options, targets []string) (*compile.Result, *page, error) {
	c := &collector{index: map[string]int{}, old: map[string]bool{}}
	c.page = &page{Name: s.Name, Doc: s.Doc, File: s.File, Version: compile.Version, Layers: s.Model.Layers}
	var failed error
	// look is called after each pass, in the middle of the compilation, and
	// must not change what it sees.
	look := func(mode string, r passes.Report) {
		if c.pipe == nil || c.pipe.Mode != mode {
			if err := c.begin(s, mode, r.Unit); err != nil && failed == nil {
				failed = err
			}
		}
		c.after(r)
	}
	r, err := compile.Spec(s, compile.Options{Disable: o.Disable, Targets: targets, Observe: look})
	if err == nil {
		err = failed
	}
	return r, c.page, err
}

// begin starts a pipeline with the graph as the spec describes it.
// The first column is no pass's: it shows what ir/build made of the spec.
func (c *collector) begin(s *specs.Spec, mode string, u *passes.Unit) error {
	c.pipe = &pipeline{Mode: mode, Places: map[string][]place{}}
	c.page.Pipelines = append(c.page.Pipelines, c.pipe)
	// The second pipeline adds to the plan of the first, whose programs its
	// columns need not show again. Tables are both's.
	c.costs, c.last, c.visible = newCoster(u.Config), nil, nil
	if u.Plan != nil {
		for _, q := range u.Plan.Programs {
			if q.Name != "tables" {
				c.old[q.Name] = true
			}
		}
	}
	// The compiler's own module has been through the first pass already.
	source := build.Train
	if mode == "infer" {
		source = build.Infer
	}
	// Built a second time, which costs little.
	m, err := source(s)
	if err != nil {
		return err
	}
	c.add(&column{Pass: "spec", Doc: "The spec's nodes as primitives, before any pass."}, c.module(m))
	return nil
}

// after adds the column of a pass.
func (c *collector) after(r passes.Report) {
	col := &column{Pass: r.Pass.Name, Doc: r.Pass.Doc}
	for _, x := range stats(r.Stats) {
		// plan_memory also counts the programs of the pipeline before.
		if _, q, _ := strings.Cut(x.Rule, "."); x.Count > 0 && !c.old[q] {
			col.Stats = append(col.Stats, x)
		}
	}
	// From schedule on, the plan is what passes work on.
	if r.Unit.Plan != nil && (r.Pass.Name == "schedule" || c.last.plan) {
		s := c.plan(r.Unit.Plan)
		s.cost = c.costs.main(r.Unit.Module)
		c.add(col, s)
	} else {
		c.add(col, c.module(r.Unit.Module))
	}
}

// add compares a snapshot with the one before and appends its column. A pass
// that changed nothing has a column without blocks; its neighbours are compared
// across it.
func (c *collector) add(col *column, s *snapshot) {
	col.Plan, col.Blocks = s.plan, s.blocks
	c.pipe.Columns = append(c.pipe.Columns, col)
	// The text form is complete, so equal texts are equal graphs.
	if c.last != nil && c.last.text == s.text {
		col.Same, col.Blocks = true, nil
		col.Nodes, col.FLOPs, col.Moved = c.visible.Nodes, c.visible.FLOPs, c.visible.Moved
		return
	}
	col.Nodes, col.FLOPs, col.Moved = s.nodes, s.cost.FLOPs, s.cost.Bytes
	// Between graph and plan no line stays the same, and that says nothing.
	if c.last != nil && c.last.plan == s.plan {
		compare(col, c.last.blocks, s.blocks, c.page.Lines)
		if !s.plan {
			col.Fates = fates(c.last, s)
		}
	}
	c.last, c.visible = s, col
}

// line stores a text once and gives its index. The same text may do different
// work: training and inference have other sizes.
// Most lines stand in many columns.
func (c *collector) line(text string, cost ir.Cost) int {
	key := fmt.Sprint(text, cost)
	if i, ok := c.index[key]; ok {
		return i
	}
	// Numbers are given in the order of first appearance, so that a page is the
	// same bytes every time.
	i := len(c.page.Lines)
	c.index[key] = i
	c.page.Lines = append(c.page.Lines, &line{text, cost.FLOPs, cost.Bytes})
	return i
}

// plain stores a line without work.
func (c *collector) plain(text string) int { return c.line(text, ir.Cost{}) }
