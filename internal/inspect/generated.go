package inspect

import (
	"slices"
	"strings"

	"github.com/llamac/llamac/plan"
)

// sourceOf names the file that target go prints a program to.
var sourceOf = map[string]string{
	"tables": "tables.go", "micro_step": "train.go", "eval": "train.go", "update": "train.go", "decode": "infer.go",
}

// generatedLines finds the call of each launch. Target go prints the IR's line
// above the call, a program's own launches first and then the bodies of its
// loops, in order; so one walk down each file meets them all.
func generatedLines(p *page, pipe *pipeline, pl *plan.Plan) {
	next := map[string]int{} // file -> line to go on from
	for _, q := range pl.Programs {
		name := sourceOf[q.Name]
		file := slices.IndexFunc(p.Sources, func(s source) bool { return s.Name == name })
		i := slices.IndexFunc(pipe.Programs, func(d *program) bool { return d.Name == q.Name })
		// Not printed by a target, or of the other pipeline.
		if file < 0 || i < 0 {
			continue
		}
		texts := launchesOf(q)
		lines := p.Sources[file].Lines
		var last *launch
		for _, at := range printingOrder(q) {
			x := pipe.Programs[i].Launches[at]
			// It belongs to the call before it, and is printed as a part of
			// that.
			if strings.HasPrefix(texts[at].Text, "...") && last != nil {
				x.File, x.Line, x.Count = last.File, last.Line, last.Count
				continue
			}
			// The whole line is compared: texts of different nodes differ in
			// their results' names.
			for n := next[name]; n < len(lines); n++ {
				if strings.TrimSpace(lines[n]) != "// "+texts[at].Text {
					continue
				}
				x.File, x.Line, x.Count = file, n, 1
				// A launch may be several calls: strided copies, one for each
				// part.
				for n+x.Count < len(lines) && isCall(lines[n+x.Count]) {
					x.Count++
				}
				next[name] = n + x.Count
				last = x
				break
			}
		}
	}
}

// isCall reports whether a line of generated code goes on with a launch.
// Loops, ends and comments begin the next thing.
func isCall(line string) bool {
	t := strings.TrimSpace(line)
	return t != "" && t != "}" && !strings.HasPrefix(t, "//") && !strings.HasPrefix(t, "for l ") && !strings.HasPrefix(t, "return ")
}

// printingOrder lists indices of a program's launches in the order of the
// generated file: outside of loops, then loop by loop.
func printingOrder(q *plan.Program) []int {
	// Loops become methods below the program's own.
	var outside, inside []int
	n := 0
	for _, it := range q.Items {
		switch x := it.(type) {
		case *plan.Launch:
			outside = append(outside, n)
			n++
		case *plan.Loop:
			walkPlan(x.Body, groupLayer, func(*plan.Launch, string) {
				inside = append(inside, n)
				n++
			})
		}
	}
	return append(outside, inside...)
}
