package passes

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/ir/interp"
	"golang.org/x/tools/txtar"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "rewrite the expected parts of testdata")

var fusions = []Pass{FuseRMSNorm, FuseRope, FuseAttention, FuseSwiGLU, FuseQKV, FuseAddRMSNorm, FuseLinearXent}

// allFusions runs canonicalize and the fusions in the pipeline's order.
var allFusions = append([]Pass{Canonicalize}, fusions...)

// TestTxtar runs testdata/<pass>/*.txtar: in.ir goes in, out.ir comes out, the
// rules in stats have fired as often as they say, and both modules verify and
// compute the same. The folder "fusions" runs allFusions. Each case runs again
// with its nodes in five other orders.
func TestTxtar(t *testing.T) {
	for _, p := range allFusions {
		runFolder(t, p.Name, []Pass{p})
	}
	runFolder(t, "fusions", allFusions)
}

func runFolder(t *testing.T, folder string, list []Pass) {
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Errorf("no cases in testdata/%s (%v)", folder, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(folder+"/"+name, func(t *testing.T) { runCase(t, file, list) })
	}
}

func runCase(t *testing.T, file string, list []Pass) {
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]string{}
	for _, f := range a.Files {
		parts[f.Name] = string(f.Data)
	}
	if len(bytes.TrimSpace(a.Comment)) == 0 {
		t.Error("the first line does not say what is tested")
	}
	before := parse(t, file, parts["in.ir"])
	after := parse(t, file, parts["in.ir"])
	stats := runPasses(t, after, list)

	got := map[string]string{"in.ir": parts["in.ir"], "out.ir": after.String(), "stats": stats}
	if *update {
		a.Files = nil
		for _, name := range []string{"in.ir", "out.ir", "stats"} {
			a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(got[name])})
		}
		if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if d := cmp.Diff(parts, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if strings.HasSuffix(file, "_not.txtar") && stats != "none\n" {
		t.Errorf("a near miss was taken: %s", stats)
	}
	sameNumbers(t, before, after)

	want := inNameOrder(after)
	for seed := range uint64(5) {
		m := parse(t, file, parts["in.ir"])
		for _, f := range m.Funcs {
			ir.Shuffle(f, seed)
		}
		if s := runPasses(t, m, list); s != stats {
			t.Errorf("order %d: stats %q, in the order given %q", seed, s, stats)
		}
		if d := cmp.Diff(want, inNameOrder(m)); d != "" {
			t.Errorf("order %d changes the result: -given +shuffled\n%s", seed, d)
		}
	}
}

// TestWithoutOne leaves out one pass at a time: the others must still verify,
// keep the numbers, and find what does not build on the one left out. Five
// runs give the same text.
func TestWithoutOne(t *testing.T) {
	// What is not found without a pass: norms behind sums need the norm.
	needs := map[string]string{"fuse_rmsnorm": "fuse_add_rmsnorm"}
	files, _ := filepath.Glob(filepath.Join("testdata", "fusions", "*.txtar"))
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		src := string(a.Files[0].Data)
		all := fusionLines(runPasses(t, parse(t, file, src), allFusions))
		for i, left := range fusions {
			list := append([]Pass{Canonicalize}, slices.Delete(slices.Clone(fusions), i, i+1)...)
			text := ""
			for run := range 5 {
				m := parse(t, file, src)
				found := fusionLines(runPasses(t, m, list))
				for _, line := range all {
					pass, _, _ := strings.Cut(line, ":")
					if pass != left.Name && pass != needs[left.Name] && !slices.Contains(found, line) {
						t.Errorf("%s without %s: no longer %q", file, left.Name, line)
					}
				}
				if run == 0 {
					text = m.String()
					sameNumbers(t, parse(t, file, src), m)
				} else if m.String() != text {
					t.Errorf("%s without %s: run %d gives another text", file, left.Name, run)
				}
			}
		}
	}
}

// fusionLines are the lines of stats that fusions wrote.
func fusionLines(stats string) []string {
	return slices.DeleteFunc(strings.Split(stats, "\n"), func(line string) bool { return !strings.HasPrefix(line, "fuse_") })
}

func parse(t *testing.T, file, src string) *ir.Module {
	t.Helper()
	m, err := ir.Parse(file, []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	if err := ir.Verify(m); err != nil {
		t.Fatal(err)
	}
	return m
}

// runPasses runs passes on a module, verifies after each, and spells the
// stats, with the pass's name in front if there are several.
func runPasses(t rapid.TB, m *ir.Module, list []Pass) string {
	t.Helper()
	var lines []string
	for _, p := range list {
		u := &Unit{Module: m, Stats: Stats{}}
		if err := p.Run(u); err != nil {
			t.Fatalf("%s: %v", p.Name, err)
		}
		if err := ir.Verify(m); err != nil {
			t.Fatalf("after %s: %v\n%s", p.Name, err, m)
		}
		for _, rule := range slices.Sorted(maps.Keys(u.Stats)) {
			name := rule
			if len(list) > 1 {
				name = p.Name + ": " + rule
			}
			lines = append(lines, fmt.Sprintf("%s %d\n", name, u.Stats[rule]))
		}
	}
	if lines == nil {
		return "none\n"
	}
	return strings.Join(lines, "")
}

// inNameOrder prints a module with each function's nodes in the order that
// takes, of those whose operands are there, the one with the first name.
func inNameOrder(m *ir.Module) string {
	m = ir.Clone(m, nil)
	for _, f := range m.Funcs {
		done := map[*ir.Value]bool{nil: true}
		ready := func(n *ir.Node) bool {
			return !slices.ContainsFunc(n.Operands, func(v *ir.Value) bool { return v != nil && v.Def != nil && !done[v] })
		}
		name := func(n *ir.Node) string { return n.String() }
		var nodes []*ir.Node
		rest := slices.Clone(f.Nodes)
		for len(rest) > 0 {
			best := -1
			for i, n := range rest {
				if ready(n) && (best < 0 || name(n) < name(rest[best])) {
					best = i
				}
			}
			for _, r := range rest[best].Results {
				done[r] = true
			}
			nodes = append(nodes, rest[best])
			rest = slices.Delete(rest, best, best+1)
		}
		f.Nodes = nodes
	}
	return m.String()
}

// sameNumbers runs every function of two modules on the same random numbers
// and compares what they return.
func sameNumbers(t rapid.TB, before, after *ir.Module) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	dims := map[string]int64{}
	for i, d := range before.Dims {
		dims[d.Name] = min(max([]int64{2, 5, 3, 7}[i%4], d.Min), d.Max)
	}
	weights := interp.NewMachine(dims)
	weights.InitWeights(before, rng)
	for _, f := range before.Funcs {
		if inStack(before, f) { // runs where the stack does
			continue
		}
		var args []*interp.Tensor
		for _, p := range f.Params {
			b := p.Type.Bind(dims)
			shape := make([]int, b.Rank())
			for i, d := range b.Dims {
				shape[i] = int(d.N)
			}
			x := interp.New(b.DType, shape...).Random(rng)
			for i := range x.I {
				switch {
				case strings.HasPrefix(p.Name, "starts"): // of each query, at or before it
					x.I[i] = rng.Int64N(int64(i%shape[len(shape)-1] + 1))
				case p.Name == "start": // of each sequence
					x.I[i] = rng.Int64N(3)
				}
			}
			args = append(args, x)
		}
		run := func(m *ir.Module) []*interp.Tensor {
			machine := interp.NewMachine(dims)
			machine.Weights = weights.Weights
			out, err := machine.Run(m, f.Name, args...)
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		a, b := run(before), run(after)
		for i, x := range a {
			if x.F != nil && slices.ContainsFunc(x.F, func(y float64) bool { return math.IsNaN(y) }) {
				t.Fatalf("@%s: the reference of result %d is not a number", f.Name, i)
			}
			limit := 1e-10 * max(1, x.MaxAbs())
			if d := interp.MaxDiff(x, b[i]); !(d <= limit) {
				t.Errorf("@%s: result %d differs by %g after the pass, at most %g allowed", f.Name, i, d, limit)
			}
		}
	}
}

func inStack(m *ir.Module, f *ir.Func) bool {
	for _, s := range m.Stacks {
		if slices.ContainsFunc(s.Segments, func(seg ir.Segment) bool { return seg.Forward == f }) {
			return true
		}
	}
	return false
}
