package inspect

import (
	"slices"
	"strings"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/plan"
)

// snapshot is a graph or a plan at one point, as a column shows it and as the
// next column is compared with it. The compiler goes on to change the graph
// itself.
// Rows hold numbers of lines, not text: most lines stand in many columns.
type snapshot struct {
	// As the text form has it, by which two columns are told to be equal.
	text   string
	plan   bool
	blocks []*block
	nodes  int
	cost   ir.Cost // of one run of the main program
	// In the order in which they are defined.
	values  []string
	readers map[string][]string // key of a value -> keys of what its readers make
}

// Groups of values: names are the function's own, and the functions of a layer,
// forward and backward, share theirs.
const (
	groupMain  = "m"
	groupLayer = "l"
)

// key identifies a value in all columns: the group and the name with its
// sigil, "l%attn.q". Weights and state are the model's: "$norm", "!kv".
func key(group, name string) string {
	if strings.HasPrefix(name, "%") {
		return group + name
	}
	return name
}

// groupOf tells whose names a function uses.
func groupOf(f *ir.Func) string {
	if f.Role == ir.RoleMain {
		return groupMain
	}
	return groupLayer
}

// module takes a snapshot of a graph.
// Readers are noted for fates, which follows a value through them once it is
// gone.
func (c *collector) module(m *ir.Module) *snapshot {
	text := m.String()
	s := &snapshot{text: text, readers: map[string][]string{}, cost: c.costs.main(m)}
	// The first line names the module, which the page's title does.
	head, _, _ := strings.Cut(text, "\n\n")
	s.blocks = c.declarations(strings.Split(head, "\n")[1:])
	known := map[string]bool{} // parameters of the backward are the forward's values
	add := func(k string) {
		if !known[k] {
			known[k] = true
			s.values = append(s.values, k)
		}
	}
	// Functions in the module's order; the compiler keeps forward before
	// backward.
	for _, f := range m.Funcs {
		g := groupOf(f)
		head, _, _ := strings.Cut(f.String(), "\n") // with parameters, saves and results
		b := &block{Name: "@" + f.Name, Group: g, Head: &row{c.plain(head), 0, -1}}
		s.blocks = append(s.blocks, b)
		// What a layer's forward saved is read by its backward under the same
		// name.
		for _, p := range append(slices.Clone(f.Params), f.Saved...) {
			add(key(g, p.String()))
		}
		for _, n := range f.Nodes {
			s.nodes++
			// What a reader of an operand finds next when it follows the value.
			var makes []string
			for _, r := range n.Results {
				makes = append(makes, key(g, r.String()))
				add(key(g, r.String()))
			}
			if len(makes) == 0 { // what it does is done to a weight or to state
				for _, v := range n.Operands {
					if v != nil && !v.Local() {
						makes = append(makes, v.String())
					}
				}
			}
			for _, v := range n.Operands {
				if v != nil && v.Local() {
					k := key(g, v.String())
					s.readers[k] = append(s.readers[k], makes...)
				}
			}
			b.Rows = append(b.Rows, row{c.line(n.String(), c.costs.node(n)), 0, -1})
		}
	}
	return s
}

// declarations makes blocks of the lines in front of functions and programs:
// sizes to read, weights to look up.
// The page folds both away.
func (c *collector) declarations(lines []string) []*block {
	sizes, weights := &block{Name: "sizes"}, &block{Name: "weights"}
	for _, l := range lines {
		b := sizes
		if strings.HasPrefix(l, "weight ") || strings.HasPrefix(l, "state ") {
			b = weights
		}
		b.Rows = append(b.Rows, row{c.plain(l), 0, -1})
	}
	return []*block{sizes, weights}
}

// plan takes a snapshot of a plan: of the programs that this pipeline makes.
// The IR's lines above launches stay out; each launch says what it computes.
// It goes by the plan's text and asks the plan itself only for FLOPs.
func (c *collector) plan(p *plan.Plan) *snapshot {
	text := p.String()
	s := &snapshot{text: text, plan: true}
	// The text form separates programs by an empty line, and nothing else.
	parts := strings.Split(strings.TrimSuffix(text, "\n"), "\n\n")
	s.blocks = c.declarations(strings.Split(parts[0], "\n")[1:])
	for i, part := range parts[1:] {
		q := p.Programs[i]
		if c.old[q.Name] {
			continue // the other pipeline's columns have it
		}
		lines := strings.Split(strings.TrimSuffix(part, "\n}"), "\n")
		b := &block{Name: q.Name, Group: groupMain, Head: &row{c.plain(lines[0]), 0, -1}}
		s.blocks = append(s.blocks, b)
		launches := launchesOf(q) // in the order of the text
		for _, l := range lines[1:] {
			var cost ir.Cost
			flags := 0
			if strings.HasPrefix(l, "    ") { // names in a loop's body are the layer's
				flags = flagLayer
			}
			// Lines are read as text: the page shows them so, and their order
			// is the plan's.
			switch word, _, _ := strings.Cut(strings.TrimSpace(l), " "); word {
			case "//":
				continue
			case "launch":
				s.nodes++
				// A launch knows its work; what it moves depends on the kernel.
				cost.FLOPs = launches[0].FLOPs
				launches = launches[1:]
			}
			b.Rows = append(b.Rows, row{c.line(strings.TrimPrefix(l, "  "), cost), flags, -1})
		}
	}
	return s
}

// launchesOf lists a program's launches in order.
// Bodies of loops come once, where the loop stands.
func launchesOf(q *plan.Program) []*plan.Launch {
	var list []*plan.Launch
	q.Walk(func(it plan.Item) {
		if l, ok := it.(*plan.Launch); ok {
			list = append(list, l)
		}
	})
	return list
}

// defines lists what a line of a graph or of a plan defines: names of results,
// "buffer %x", "weight $w"; nothing for a line that only does something.
func defines(text string) []string {
	t := strings.TrimSpace(text)
	// The first word says what a line of a plan is. Lines of graphs begin with
	// a name.
	word, rest, _ := strings.Cut(t, " ")
	switch word {
	case "buffer", "weight", "state":
		name, _, _ := strings.Cut(rest, ":")
		return []string{word + " " + name}
	case "dim", "arena", "stack":
		name, _, _ := strings.Cut(rest, " ")
		return []string{word + " " + name}
	// What they write has a line of its own, the buffer's.
	case "launch", "copy", "loop", "return", "}":
		return nil
	}
	results, _, ok := strings.Cut(t, " = ")
	if !ok || !strings.HasPrefix(t, "%") {
		return nil
	}
	return strings.Split(results, ", ")
}
