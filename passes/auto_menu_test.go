package passes

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// smallSpecs are all specs whose training is small: every shipped spec and
// every one of testdata but for the paper's four sizes, of which one stands for
// all.
func smallSpecs(t testing.TB) []string {
	t.Helper()
	var out []string
	for _, pattern := range []string{"*.jsonnet", "testdata/*.jsonnet"} {
		files, err := filepath.Glob(filepath.Join("..", "specs", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			name := strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(f), "../specs/"), ".jsonnet")
			if !slices.Contains([]string{"13b", "33b", "65b"}, name) {
				out = append(out, name)
			}
		}
	}
	if len(out) < 12 {
		t.Fatalf("only %v", out)
	}
	return out
}

// everyValue is a menu's space without any grouping or choice of its own: each
// value that the backward reads, or from which one can be made again, by itself.
func everyValue(m *Menu) *Menu {
	wide := *m
	wide.units = nil
	relevant, _ := neededBy(m.f)
	for _, n := range m.f.Nodes {
		for _, v := range n.Results {
			if relevant[v] {
				wide.units = append(wide.units, v)
			}
		}
	}
	return &wide
}

// menuSample is how many random sets TestMenuHasAll plans where all are too
// many.
var menuSample = 512

// TestMenuHasAll plans sets of single values, all of them where there are few
// and random ones otherwise, and finds for each a point of the menu that is no
// worse in any respect. What bounds say of a set without planning it must hold.
func TestMenuHasAll(t *testing.T) {
	const most = 1 << 12
	rng := rand.New(rand.NewPCG(11, 12))
	for _, spec := range smallSpecs(t) {
		u := boundUnit(t, spec)
		m := menu(t, u)
		wide := everyValue(m)
		step := u.Module.Func("micro_step")
		k := len(wide.units)
		sets := 1 << k
		next := func(i int) int { return i }
		if sets > most { // of all sizes alike: few values, or all but a few
			sets = menuSample
			next = func(i int) int {
				mask, p := 0, rng.Float64()
				for u := range k {
					if rng.Float64() < p {
						mask |= 1 << u
					}
				}
				return mask
			}
		}
		all, err := wide.price(u.Module, step, 1<<k-1, true)
		if err != nil {
			t.Fatal(err)
		}
		b := newBounds(wide, Sizes(u.Module))
		bad := 0
		for i := range sets {
			mask := next(i)
			low := b.of(mask)
			p, err := wide.price(u.Module, step, mask, true)
			if err != nil {
				t.Fatal(err)
			}
			p.flops -= all.flops
			if !low.holds(p.point, true, m.Layers) {
				t.Errorf("%s: %v takes %+v, bounds are %+v", spec, wide.names(mask), p.point, low)
				bad++
			}
			if !slices.ContainsFunc(m.points, func(q point) bool {
				return q.size <= p.size && q.size+q.above <= p.size+p.above && q.flops <= p.flops
			}) {
				t.Errorf("%s: nothing on the menu is as good as %v: %d and %d bytes, %d FLOPs", spec, wide.names(mask), p.size, p.size+p.above, p.flops)
				bad++
			}
			if !low.input {
				p, err := wide.price(u.Module, step, mask, false)
				if err != nil {
					t.Fatal(err)
				}
				p.flops -= all.flops
				if !low.holds(p.point, false, m.Layers) {
					t.Errorf("%s: %v takes %+v without inputs, bounds are %+v", spec, wide.names(mask), p.point, low)
					bad++
				}
				if !slices.ContainsFunc(m.bare, func(q point) bool { return q.peak <= max(p.peak, m.least) && q.flops <= p.flops }) {
					t.Errorf("%s: without inputs nothing is as good as %v: %d bytes, %d FLOPs", spec, wide.names(mask), p.peak, p.flops)
					bad++
				}
			}
			if bad > 5 {
				break
			}
		}
		t.Logf("%s: %d sets of %d values; the menu has %d units, %d sets, %d planned, %d and %d left", spec, sets, k, len(m.Units), m.Sets, m.Priced, len(m.points), len(m.bare))
	}
}

// TestMenuJoined: also where units are joined because there are too many, auto
// recomputes no more than any fixed policy in the arena that this takes, and
// says what it joined.
func TestMenuJoined(t *testing.T) {
	for _, spec := range []string{"tiny_gqa", "testdata/gelu", "testdata/parallel", "testdata/qknorm", "testdata/meeting"} {
		type cost struct{ arena, flops int64 }
		var policies []cost
		for _, policy := range []string{"none", "keep-linear", "full"} {
			u := boundUnit(t, spec)
			u.Config = Config{Checkpoint: policy}
			u.Stats = Stats{}
			for _, p := range []Pass{PlanCheckpoint, Schedule, PlanMemory} {
				if err := p.Run(u); err != nil {
					t.Fatal(err)
				}
			}
			policies = append(policies, cost{u.Plan.Arena("act.train"), backwardFLOPs(u.Plan)})
		}
		for _, units := range []int{0, 1, 2, 3} {
			u := boundUnit(t, spec)
			u.Config.Units = units
			m := menu(t, u)
			if (units > 0) != (m.Joined != nil) || units > 0 && len(m.Units) > units {
				t.Errorf("%s: of at most %d units %v are joined", spec, units, m.Joined)
			}
			for i, p := range policies {
				c, err := m.Solve(p.arena)
				if err != nil || c.FLOPs > p.flops-policies[0].flops {
					t.Errorf("%s, %d units: policy %d recomputes %d FLOPs in %d bytes, auto %+v (%v)", spec, units, i, p.flops-policies[0].flops, p.arena, c, err)
				}
			}
		}
	}
}

// TestMenuPruned plans every set that a menu leaves out as beaten: what is
// left of all is the same, and every bound holds.
func TestMenuPruned(t *testing.T) {
	for _, c := range []struct {
		spec  string
		units int
	}{{"tiny_gqa", 0}, {"testdata/parallel", 0}, {"testdata/meeting", 0}, {"65b", 0}, {"testdata/qknorm", 9}, {"testdata/gelu", 10}} {
		u := boundUnit(t, c.spec)
		u.Config.Units = c.units
		m := menu(t, u)
		u.Config.Audit = true
		all := menu(t, u)
		if m.Priced >= all.Priced && m.Sets > 16 {
			t.Errorf("%s: %d sets were planned, without bounds %d", c.spec, m.Priced, all.Priced)
		}
		if !slices.Equal(m.points, all.points) || !slices.Equal(m.bare, all.bare) || m.head != all.head || m.least != all.least {
			t.Errorf("%s: the menu is %v and %v, planning all sets gives %v and %v", c.spec, m.points, m.bare, all.points, all.bare)
		}
	}
}
