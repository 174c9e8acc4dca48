package passes

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/ir/build"
	"github.com/llamac/llamac/plan"
	"github.com/llamac/llamac/specs"
)

// odd are specs by name where not the layers decide the arena's peak, but what
// lies behind them while all their blocks are stored, or in front of them when
// none is.
var odd = map[string]string{
	"behind": `local node = import 'llamac/node.libsonnet';
local twin = import 'llamac/twin.libsonnet';
twin { name: '%s', doc: 'Wide behind the layers.', model+: { local m = self, network: [
  node.embedding('h', 'tok_embeddings', m.dim),
  node.repeat('layers', 'h', m.n_layers, m.block),
  node.linear('wide', 'layers', 'up', 2048),
  node.silu('act', 'wide'),
  node.linear('narrow', 'act', 'down', m.dim),
  node.rms_norm('n', 'narrow', 'norm', m.norm_eps),
  node.linear('logits', 'n', 'output', m.vocab),
] } }`,
	"before": `local node = import 'llamac/node.libsonnet';
local twin = import 'llamac/twin.libsonnet';
twin { name: '%s', doc: 'Wide in front of the layers.', model+: { local m = self, network: [
  node.embedding('e', 'tok_embeddings', m.dim),
  node.linear('wide', 'e', 'up', 2048),
  node.silu('act', 'wide'),
  node.linear('h', 'act', 'down', m.dim),
  node.repeat('layers', 'h', m.n_layers, m.block),
  node.rms_norm('n', 'layers', 'norm', m.norm_eps),
  node.linear('logits', 'n', 'output', m.vocab),
] } }`,
}

// boundUnit is a spec's training module as it comes before plan_checkpoint.
func boundUnit(t testing.TB, spec string, set ...string) *Unit {
	t.Helper()
	file := filepath.Join("..", "specs", spec+".jsonnet")
	if text, ok := odd[spec]; ok {
		file = filepath.Join(t.TempDir(), spec+".jsonnet")
		if err := os.WriteFile(file, []byte(fmt.Sprintf(text, spec)), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	s, err := specs.Load(file, specs.Options{Set: set})
	if err != nil {
		t.Fatal(err)
	}
	m, err := build.Train(s)
	if err != nil {
		t.Fatal(err)
	}
	u := &Unit{Module: m, Config: Config{StopAfter: Bind.Name, Compute: s.Precision.Compute, Checkpoint: "auto",
		Dims: map[string]int64{"B": int64(s.Train.MicroBatch), "T": int64(s.Model.Context)}}}
	if err := Run(u, Train); err != nil {
		t.Fatal(err)
	}
	return u
}

func menu(t testing.TB, u *Unit) *Menu {
	t.Helper()
	m, err := NewMenu(u)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// planned runs the passes behind plan_checkpoint with the given sets stored,
// one a layer and each layer a segment of its own, and gives the arena and the
// work of the backward.
func planned(t testing.TB, u *Unit, m *Menu, masks []int) (arena, flops int64) {
	t.Helper()
	k := *u.Module
	k.Funcs = slices.DeleteFunc(slices.Clone(k.Funcs), func(f *ir.Func) bool { return f.Role != ir.RoleMain })
	s := &ir.Stack{Name: u.Module.Stacks[0].Name}
	for l, mask := range masks {
		name := fmt.Sprintf("layer.%d", l)
		f, bwd := m.variant(mask, name, name+".bwd", true)
		s.Segments = append(s.Segments, ir.Segment{From: l, To: l + 1, Forward: f, Backward: bwd})
		k.Funcs = append(k.Funcs, f, bwd)
	}
	k.Stacks = []*ir.Stack{s}
	if err := ir.Verify(&k); err != nil {
		t.Fatal(err)
	}
	v := &Unit{Module: &k, Config: Config{Checkpoint: "auto"}, Stats: Stats{}}
	for _, p := range []Pass{Schedule, PlanMemory} { // which verifies the plan
		if err := p.Run(v); err != nil {
			t.Fatalf("%v: %v", masks, err)
		}
	}
	return v.Plan.Arena("act.train"), backwardFLOPs(v.Plan)
}

// backwardFLOPs is the work of the layers' backward.
func backwardFLOPs(p *plan.Plan) (flops int64) {
	for _, it := range p.Program("micro_step").Items {
		if l, ok := it.(*plan.Loop); ok && l.Reverse {
			for _, it := range l.Body {
				if x, ok := it.(*plan.Launch); ok {
					flops += x.FLOPs * int64(l.To-l.From)
				}
			}
		}
	}
	return flops
}

// choice is one way to fill the layers, as the passes plan it.
type choice struct{ arena, flops int64 }

// againstBruteForce compares the solver with all choices on every budget at
// which any of them begins to fit, and just below it.
func againstBruteForce(t *testing.T, m *Menu, choices []choice) {
	t.Helper()
	var budgets []int64
	smallest := choices[0].arena
	for _, c := range choices {
		budgets = append(budgets, c.arena, c.arena-1)
		smallest = min(smallest, c.arena)
	}
	slices.Sort(budgets)
	last := int64(-1)
	for _, budget := range slices.Compact(budgets) {
		want := int64(-1)
		for _, c := range choices {
			if c.arena <= budget && (want < 0 || c.flops < want) {
				want = c.flops
			}
		}
		got, err := m.Solve(budget)
		var small *BudgetError
		switch {
		case want < 0:
			if !errors.As(err, &small) || small.Minimum != smallest {
				t.Errorf("%d bytes: got %v, want an error that names %d", budget, err, smallest)
			}
		case err != nil:
			t.Errorf("%d bytes: %v, want %d FLOPs", budget, err, want)
		case got.FLOPs != want || got.Peak > budget:
			t.Errorf("%d bytes: got %d FLOPs in %d bytes, want %d FLOPs", budget, got.FLOPs, got.Peak, want)
		case last >= 0 && got.FLOPs > last:
			t.Errorf("%d bytes: %d FLOPs, with fewer bytes %d", budget, got.FLOPs, last)
		default:
			last = got.FLOPs
		}
	}
}

// TestBudgetOneLayer plans every set of values that one layer may store with
// the passes themselves: on every budget the solver must find the cheapest.
func TestBudgetOneLayer(t *testing.T) {
	for _, spec := range []string{"tiny_gqa", "testdata/parallel", "testdata/meeting"} {
		u := boundUnit(t, spec, "model.n_layers=1")
		m := menu(t, u)
		var all []choice
		for mask := range 1 << len(m.units) {
			arena, flops := planned(t, u, m, []int{mask})
			all = append(all, choice{arena, flops})
		}
		nothing := all[len(all)-1].flops
		for i := range all {
			all[i].flops -= nothing
		}
		t.Logf("%s: %d sets of %v, %d of them undominated", spec, len(all), m.Units, len(m.points))
		againstBruteForce(t, m, all)
	}
}

// TestBudgetSeveralLayers does the same for stacks of two to four layers: every
// way to give the layers one of four to six sets, in every order.
func TestBudgetSeveralLayers(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		spec           string
		layers, points int
	}{{"tiny_gqa", 2, 6}, {"tiny_gqa", 3, 6}, {"tiny_gqa", 4, 4}, {"testdata/qknorm", 3, 5}, {"behind", 2, 4}, {"before", 2, 4}} {
		u := boundUnit(t, c.spec, fmt.Sprintf("model.n_layers=%d", c.layers))
		m := menu(t, u)
		// Sets that recompute everything, much and little, and a random one,
		// which may well be dominated by another.
		masks := []int{0, 1<<len(m.units) - 1, rng.IntN(1 << len(m.units))}
		for len(masks) < c.points {
			if p := m.points[rng.IntN(len(m.points))]; !slices.Contains(masks, p.mask) {
				masks = append(masks, p.mask)
			}
		}
		var points []point
		for _, mask := range masks {
			p, err := m.price(u.Module, u.Module.Func("micro_step"), mask, true)
			if err != nil {
				t.Fatal(err)
			}
			_, nothing := planned(t, u, m, slices.Repeat([]int{masks[1]}, c.layers))
			p.flops -= nothing / int64(c.layers)
			points = append(points, p.point)
		}
		m.points = undominated(points)
		var all []choice
		n := make([]int, c.layers)
		for more := true; more; {
			layers := make([]int, c.layers)
			for i, k := range n {
				layers[i] = masks[k]
			}
			arena, flops := planned(t, u, m, layers)
			all = append(all, choice{arena, flops})
			more = false
			for i := range n {
				if n[i]++; n[i] < len(masks) {
					more = true
					break
				}
				n[i] = 0
			}
		}
		nothing := all[0].flops
		for _, x := range all {
			nothing = min(nothing, x.flops)
		}
		for i := range all {
			all[i].flops -= nothing
		}
		t.Logf("%s: %d ways to fill %d layers", c.spec, len(all), c.layers)
		againstBruteForce(t, m, all)
	}
}

// TestBudgetRandom compares the solver with brute force on menus made up at
// random, where sizes and needs pull in all directions: costs, then bytes
// stored, then the smallest budget. Numbers go up to terabytes and 2^47 FLOPs,
// where float64 no longer tells neighbours apart in products; budgets are those
// at which an answer just fits, too; and each menu is asked many times.
func TestBudgetRandom(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for round := range 400 {
		// Multiples of a unit, and then a little more, so that sums differ little.
		unit, work := int64(64)<<rng.IntN(31), int64(1)<<rng.IntN(42)
		bytes := func(n int64) int64 { return unit*rng.Int64N(n) + 64*rng.Int64N(2) }
		m := &Menu{Layers: 1 + rng.IntN(5), head: bytes(40), least: bytes(60)}
		var points []point
		for i := range 2 + rng.IntN(5) {
			points = append(points, point{mask: i, size: 64 + bytes(12), above: bytes(30), flops: work*rng.Int64N(50) + rng.Int64N(2)})
		}
		type filled struct{ peak, size, flops int64 }
		var all []filled
		var fill func(l int, base, peak, flops int64)
		fill = func(l int, base, peak, flops int64) {
			if l == m.Layers {
				all = append(all, filled{max(peak, base+m.head, m.least), base, flops})
				return
			}
			for _, p := range points {
				fill(l+1, base+p.size, max(peak, base+p.size+p.above), flops+p.flops)
			}
		}
		fill(0, 0, 0, 0)
		m.points = undominated(slices.Clone(points))
		smallest := all[0].peak
		for _, x := range all {
			smallest = min(smallest, x.peak)
		}
		if got := m.Minimum(); got != smallest {
			t.Fatalf("round %d: minimum %d, want %d", round, got, smallest)
		}
		for range 40 {
			budget := smallest - 64 + bytes(80)
			if rng.IntN(2) == 0 {
				budget = all[rng.IntN(len(all))].peak - 64*rng.Int64N(2)
			}
			want := filled{size: -1}
			for _, x := range all {
				if x.peak <= budget && (want.size < 0 || x.flops < want.flops || x.flops == want.flops && x.size < want.size) {
					want = x
				}
			}
			n := m.solve(budget)
			if (n == nil) != (want.size < 0) {
				t.Fatalf("round %d, %d bytes: got %v, want %v", round, budget, n, want)
			}
			if n == nil {
				continue
			}
			var size int64
			for i, k := range n {
				size += int64(k) * m.points[i].size
			}
			if m.flops(n) != want.flops || size != want.size || m.peak(n) > budget || !m.fits(n, budget) {
				t.Fatalf("round %d, %d bytes: got %d FLOPs with %d stored, want %v", round, budget, m.flops(n), size, want)
			}
		}
	}
}

// TestBudget65B solves the paper's largest model at a hundred budgets: the cost
// falls as the budget rises, no budget is exceeded, and one answer with all its
// preparation is there within a second.
func TestBudget65B(t *testing.T) {
	u := boundUnit(t, "65b")
	var m *Menu
	var low, high int64
	best := time.Hour
	for range 3 { // of three, since other work may hold one up
		start := time.Now()
		m = menu(t, u)
		low, high = m.Minimum(), m.Maximum()
		if _, err := m.Solve(low + (high-low)/2); err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(start))
	}
	t.Logf("%v for one budget of %d layers, %d sets", best, m.Layers, m.Sets)
	if best > time.Second {
		t.Errorf("%v for one budget", best)
	}
	// RATIONALE.md and docs/benchmarks.md have these.
	if m.Sets != 2048 || len(m.points) != 30 || m.Priced != 226 {
		t.Errorf("%d sets, %d of them planned and %d left", m.Sets, m.Priced, len(m.points))
	}
	segments := 0
	last := int64(-1)
	for i := range int64(101) {
		budget := low + (high-low)*i/100
		c, err := m.Solve(budget)
		if err != nil {
			t.Fatal(err)
		}
		if c.Peak > budget || last >= 0 && c.FLOPs > last {
			t.Errorf("%d bytes: %d FLOPs in %d bytes, before %d FLOPs", budget, c.FLOPs, c.Peak, last)
		}
		last = c.FLOPs
		segments = max(segments, len(c.Segments))
	}
	if segments != 4 {
		t.Errorf("up to %d segments, RATIONALE.md says 4", segments)
	}
	if last != 0 {
		t.Errorf("%d FLOPs with %d bytes", last, high)
	}
}

// BenchmarkMenu prices all that a layer of 65B may store.
func BenchmarkMenu(b *testing.B) {
	u := boundUnit(b, "65b")
	for b.Loop() {
		menu(b, u)
	}
}

// BenchmarkSolve finds the answer for 65B and one budget after the other.
func BenchmarkSolve(b *testing.B) {
	m := menu(b, boundUnit(b, "65b"))
	low, high := m.Minimum(), m.Maximum()
	i := int64(0)
	for b.Loop() {
		if _, err := m.Solve(low + (high-low)*(i*37%100)/100); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
