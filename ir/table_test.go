package ir_test

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/ir/interp"
)

// TestTable walks the op table and names every hole: a new row is done when
// this test no longer complains about it.
func TestTable(t *testing.T) {
	uses := map[string][]*ir.Node{}
	for _, s := range samples(t) {
		if ir.Lookup(s.op) == nil {
			t.Errorf("%s: @%s is named after no op", s.file, s.name)
			continue
		}
		uses[s.op] = append(uses[s.op], s.node(t))
	}
	rejected := map[string]bool{}
	for _, c := range invalidCases(t) {
		op, _, _ := strings.Cut(c.name, ".")
		rejected[op] = true
	}
	for _, op := range ir.Ops {
		t.Run(op.Name, func(t *testing.T) {
			for _, hole := range holes(op, uses[op.Name]) {
				t.Error(hole)
			}
			if !rejected[op.Name] {
				t.Errorf("no ill-typed case in testdata/invalid is named %s.…", op.Name)
			}
		})
	}
}

// holes lists what is missing in an op's row and in the samples of it.
func holes(op *ir.Op, samples []*ir.Node) (list []string) {
	missing := func(miss bool, format string, args ...any) {
		if miss {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	missing(op.Doc == "" || !strings.HasSuffix(op.Doc, "."), "Doc %q is not a sentence", op.Doc)
	missing(op.Infer == nil, "no Infer")
	missing((op.Grad == nil) == (op.NoGrad == ""), "exactly one of Grad and NoGrad must be set")
	missing(op.Group == ir.Gradient && op.Grad != nil, "a gradient that is differentiated")
	missing(op.Group == ir.Fused && op.Expand == nil, "fused, but has no Expand")
	missing(op.Effect != ir.Pure && op.Grad != nil, "has an effect and a gradient")
	missing(!interp.Has(op.Name), "no reference kernel in ir/interp")
	missing(len(op.Results) == 0 && op.Effect == ir.Pure, "has neither results nor an effect")

	seen := map[string]bool{}
	for i, name := range slices.Concat(op.Operands, op.Results) {
		plain := strings.TrimSuffix(strings.TrimSuffix(name, "?"), "...")
		missing(plain == "" && name != "...", "operand or result %d has no name", i)
		missing(seen[plain] && plain != "", "the name %s stands for two operands or results", plain)
		missing(strings.HasSuffix(name, "...") && i != len(op.Operands)-1 && name != "...", "%s is not the last operand", name)
		seen[plain] = true
	}
	for _, a := range op.Attrs {
		missing(a.Doc == "", "attribute %s has no Doc", a.Name)
	}
	for r, o := range op.InPlace {
		missing(r >= len(op.Results) || o >= len(op.Operands), "InPlace %d: %d is out of range", r, o)
	}

	missing(len(samples) == 0, "no sample in testdata/samples")
	for _, a := range op.Attrs {
		missing(!slices.ContainsFunc(samples, func(n *ir.Node) bool { _, ok := n.Attrs[a.Name]; return ok }),
			"no sample sets attribute %s", a.Name)
		missing(a.Default != nil && !slices.ContainsFunc(samples, func(n *ir.Node) bool { _, ok := n.Attrs[a.Name]; return !ok }),
			"no sample leaves attribute %s at its default", a.Name)
	}
	for i, name := range op.Operands {
		if strings.HasSuffix(name, "?") {
			missing(!slices.ContainsFunc(samples, func(n *ir.Node) bool { return n.Has(i) }), "no sample has operand %s", name)
			missing(!slices.ContainsFunc(samples, func(n *ir.Node) bool { return !n.Has(i) }), "no sample lacks operand %s", name)
		}
		if strings.HasSuffix(name, "...") {
			missing(!slices.ContainsFunc(samples, func(n *ir.Node) bool { return len(n.Operands) > len(op.Operands) }),
				"no sample has more than one %s", name)
		}
	}
	return list
}

// TestSamplesRoundTrip prints each file of samples back to its own bytes, its
// comments aside, and does so again once dimensions are bound.
func TestSamplesRoundTrip(t *testing.T) {
	done := map[string]bool{}
	for _, s := range samples(t) {
		if done[s.file] {
			continue
		}
		done[s.file] = true
		src, err := os.ReadFile(s.file)
		if err != nil {
			t.Fatal(err)
		}
		var want strings.Builder
		for line := range strings.Lines(string(src)) {
			if !strings.HasPrefix(line, "//") {
				want.WriteString(line)
			}
		}
		if got := s.m.String(); got != want.String() {
			t.Errorf("%s prints as\n%s", s.file, firstDifference(got, want.String()))
		}
		bound := ir.Clone(s.m, sizes).String()
		if got := parse(t, s.file+" bound", bound).String(); got != bound {
			t.Errorf("%s, bound, prints as\n%s", s.file, firstDifference(got, bound))
		}
	}
}

// firstDifference shows the first line in which two texts differ.
func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		a, b := "", ""
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			return fmt.Sprintf("line %d:\n got %s\nwant %s", i+1, a, b)
		}
	}
	return "(no difference)"
}

// TestSampleCosts: work is never negative, views and control are free, and all
// that reads or writes memory moves bytes.
func TestSampleCosts(t *testing.T) {
	for _, s := range samples(t) {
		b := s
		b.m = ir.Clone(s.m, sizes)
		b.f = b.m.Func(s.name)
		n := b.node(t)
		c := ir.NodeCost(n)
		free := n.Op.View || n.Op.Group == ir.Control || len(n.Operands)+len(n.Results) == 0
		if c.FLOPs < 0 || c.Bytes < 0 || (c.Bytes == 0) != free {
			t.Errorf("%s: cost %+v", s.name, c)
		}
	}
}

// TestSamplesRun runs every sample, checks that results are finite, and that
// what the row promises holds: commutative ops commute, buffers that may be
// taken over have the result's type, elementwise ops broadcast.
func TestSamplesRun(t *testing.T) {
	for _, s := range samples(t) {
		if !s.runs(t) {
			continue
		}
		out := runSample(t, s)
		for i, x := range out {
			for _, v := range x.F {
				// A query that sees no key has the logarithm of an empty sum.
				if hidden := s.f.Results[i].Name == "lse" && math.IsInf(v, -1); !hidden && !(math.Abs(v) < 1e6) {
					t.Errorf("%s: %s holds %g", s.name, s.f.Results[i], v)
				}
			}
		}
		n := s.node(t)
		for r, o := range n.Op.InPlace {
			// Binary ops broadcast: the scheduler looks at sizes before it lets
			// one take over an operand.
			if n.Has(o) && !n.Results[r].Type.Equal(n.In(o)) && !(n.Op.Elementwise && len(n.Operands) == 2) {
				t.Errorf("%s: result %d may take over operand %d, whose type is %s and not %s", s.name, r, o, n.In(o), n.Results[r].Type)
			}
		}
		if n.Op.View && n.In(0).Bind(sizes).Bytes() != n.Results[0].Type.Bind(sizes).Bytes() {
			t.Errorf("%s: a view of another size", s.name)
		}
		if n.Op.Commutative {
			n.Operands[0], n.Operands[1] = n.Operands[1], n.Operands[0]
			if d := interp.MaxDiff(out[0], runSample(t, s)[0]); d != 0 {
				t.Errorf("%s does not commute: %g", s.name, d)
			}
		}
	}
}
