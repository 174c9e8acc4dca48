package passes

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/plan"
)

// Menu is all that a layer may store, with the cost of each choice: what
// plan_checkpoint chooses from under a budget. Making it once serves any number
// of budgets.
//
// Nothing in it depends on the budget, and neither do the prices on each other.
// A menu answers one question at a time: it keeps the solver's memory.
type Menu struct {
	Layers int
	Units  [][]string // values that are stored or left out together, by name
	Joined [][]string // of these the ones that need not be together, but are since there are too many; nil if the menu is complete
	Sets   int        // of units, that plan differently
	Work   int64      // of all answers so far, in choices for a layer that were looked at
	Priced int        // of these the ones that were planned; the others were beaten by what they need at least

	points []point // none better than another in every respect, by above, largest first
	bare   []point // the whole stack without the layers' inputs, from large and cheap to small and dear
	head   int64   // bytes that the program takes above all blocks, outside of the layers
	least  int64   // bytes that the arena has in any case

	f, bwd *ir.Func
	units  []*ir.Value // by bit of a mask

	memory // of the solver
}

// point is one choice for a layer; of bare ones, for all layers.
type point struct {
	mask  int   // units that are stored, one bit each
	size  int64 // bytes of the layer's block
	above int64 // bytes that forward and backward of the layer need above it
	flops int64 // recomputed
	peak  int64 // of bare ones: bytes of the arena
}

// mostUnits bounds the menu to 262,144 sets. Nearly all of them are beaten
// before they are planned.
const mostUnits = 18

// mostValues is how many single values a set can hold apart.
const mostValues = 62

// ErrNoMenu says that the policy auto cannot choose for a module.
var ErrNoMenu = errors.New("a budget needs one stack of equal layers and its backward")

// NewMenu prices every choice with the planner itself: for each the backward
// is made, the program scheduled and its memory placed. A set is left out only
// if what it needs at least (see bounds) is no better than what another takes.
// The unit's module is bound and differentiated, as it comes before
// plan_checkpoint, and is left as it is. A panic in planning comes from
// NewMenu, not from its goroutines. The error is ErrNoMenu if there is nothing
// to choose from.
func NewMenu(u *Unit) (*Menu, error) {
	step := u.Module.Func("micro_step")
	// One segment, as the pass itself is what makes more of them; one backward,
	// as a stack that is only run forward stores nothing.
	if len(u.Module.Stacks) != 1 || len(u.Module.Stacks[0].Segments) != 1 || u.Module.Stacks[0].Segments[0].Backward == nil || step == nil {
		return nil, fmt.Errorf("plan_checkpoint: %w", ErrNoMenu)
	}
	// The functions are read and never written from here on: every choice is
	// made on copies, side by side.
	s := u.Module.Stacks[0]
	m := &Menu{Layers: s.Layers(), f: s.Segments[0].Forward, bwd: s.Segments[0].Backward}
	sizes := Sizes(u.Module)
	m.units = unitsOf(m.f, sizes)
	groups := joinUnits(m.units, min(mostValues, cmp.Or(u.Config.Units, mostUnits)), sizes)
	for _, g := range groups {
		names := m.names(g)
		m.Units = append(m.Units, names)
		if g&(g-1) != 0 {
			m.Joined = append(m.Joined, names)
		}
	}
	all, policies := m.policySets()
	if err := m.otherPrograms(u.Module, all); err != nil {
		return nil, err
	}
	if err := m.fill(u.Module, step, groups, all, policies, u.Config.Audit); err != nil {
		return nil, fmt.Errorf("plan_checkpoint: %w", err)
	}
	return m, nil
}

// fill prices the sets that any union of groups gives, and those of the fixed
// policies, so that none of these is better than the menu.
//
// Sets are planned in the order of what they recompute, so that all that could
// beat a set comes before it, some at a time on all processors. Which set is
// left out does not depend on how many there are.
func (m *Menu) fill(module *ir.Module, step *ir.Func, groups []int, all int, policies []int, audit bool) error {
	b := newBounds(m, Sizes(module))
	seen := map[int]bool{}
	var sets []bound
	add := func(mask int) {
		if s := b.of(mask); !seen[s.mask] {
			seen[s.mask] = true
			sets = append(sets, s)
		}
	}
	for k := range 1 << len(groups) {
		mask := 0
		for i, g := range groups {
			if k>>i&1 == 1 {
				mask |= g
			}
		}
		add(mask)
	}
	for _, mask := range policies {
		add(mask)
	}
	m.Sets = len(sets)
	// Of equal sets the one that stores least memory comes first.
	slices.SortFunc(sets, func(a, b bound) int {
		return cmp.Or(cmp.Compare(a.flops, b.flops), cmp.Compare(a.size, b.size), cmp.Compare(a.top, b.top), cmp.Compare(a.mask, b.mask))
	})
	first, err := m.price(module, step, all, true)
	if err != nil {
		return err
	}
	others := m.least
	m.head, m.least = first.head, max(others, first.least)
	nothing := first.flops // with everything stored nothing is made again
	var points []point
	for len(sets) > 0 {
		var jobs []job
		for len(sets) > 0 && len(jobs) < 16 {
			s := sets[0]
			sets = sets[1:]
			if audit || !slices.ContainsFunc(points, s.beatenBy) {
				jobs = append(jobs, job{bound: s, input: true})
			}
			if !s.input && (audit || !slices.ContainsFunc(m.bare, func(p point) bool { return s.bareBeatenBy(p, m.Layers) })) {
				jobs = append(jobs, job{bound: s})
			}
		}
		if err := m.priceAll(module, step, jobs); err != nil {
			return err
		}
		for _, j := range jobs {
			p := j.point
			p.flops -= nothing
			if audit && !j.bound.holds(p, j.input, m.Layers) {
				return fmt.Errorf("storing %v takes %+v, at least %+v was expected", m.names(j.bound.mask), p, j.bound)
			}
			if j.input {
				points = append(points, p)
			} else if p.peak = max(p.peak, others); !slices.ContainsFunc(m.bare, func(q point) bool { return q.peak <= p.peak && q.flops <= p.flops }) {
				m.bare = append(m.bare, p)
			}
		}
		m.Priced += len(jobs)
	}
	m.points = undominated(points)
	return nil
}

// job is a set to be priced, and its price.
type job struct {
	bound bound
	input bool // whether the layers' inputs are stored
	priced
}

// priceAll prices sets on all processors. A panic of any of them is the
// caller's, who knows how to report it.
func (m *Menu) priceAll(module *ir.Module, step *ir.Func, jobs []job) error {
	procs := min(runtime.GOMAXPROCS(0), len(jobs))
	errs, panics := make([]error, procs), make([]any, procs)
	var wait sync.WaitGroup
	for w := range procs {
		wait.Add(1)
		go func() {
			defer wait.Done()
			defer func() {
				if r := recover(); r != nil {
					panics[w] = fmt.Errorf("%v\n%s", r, debug.Stack())
				}
			}()
			for i := w; i < len(jobs) && errs[w] == nil; i += procs {
				jobs[i].priced, errs[w] = m.price(module, step, jobs[i].bound.mask, jobs[i].input)
			}
		}()
	}
	wait.Wait()
	for _, p := range panics {
		if p != nil {
			panic(p)
		}
	}
	return errors.Join(errs...)
}

// withLayers is the module with all layers of one choice. The forward's nodes
// are those of the original: only what it stores is its own.
func (m *Menu) withLayers(module *ir.Module, mask int, input bool) *ir.Module {
	f, bwd := *m.f, ir.CloneFunc(m.bwd, m.bwd.Name)
	recompute(&f, bwd, m.kept(&f, mask), input)
	k := *module
	k.Stacks = []*ir.Stack{{Name: module.Stacks[0].Name, Segments: []ir.Segment{{From: 0, To: m.Layers, Forward: &f, Backward: bwd}}}}
	return &k
}

// otherPrograms finds what the programs without a backward need of the arena.
// They run the layers as they are once it is settled what is stored: what
// nothing reads is gone by then. The choice itself does not matter to them.
func (m *Menu) otherPrograms(module *ir.Module, mask int) error {
	module = m.withLayers(module, mask, true)
	s := newScheduler(&Unit{Module: module, Plan: &plan.Plan{}, Stats: Stats{}})
	for _, f := range module.Funcs {
		if f.Role != ir.RoleMain || f.Name == "micro_step" {
			continue
		}
		q, err := s.program(f)
		if err != nil {
			return fmt.Errorf("plan_checkpoint: @%s: %w", f.Name, err)
		}
		// eval and update; neither has a loop that runs in reverse, so no
		// choice of stored values changes them.
		m.least = max(m.least, placeScratch(q))
	}
	return nil
}

// priced is a point, and what the program needs outside of the layers, which
// is the same for all.
type priced struct {
	point
	head, least int64
}

// price plans the program with the same choice for all layers. Since
// placeTight keeps layers apart, a layer needs the same above its block beside
// layers of another choice.
func (m *Menu) price(module *ir.Module, step *ir.Func, mask int, input bool) (priced, error) {
	s := newScheduler(&Unit{Module: m.withLayers(module, mask, input), Plan: &plan.Plan{}, Stats: Stats{}})
	s.draft = true
	q, err := s.program(step)
	if err != nil {
		return priced{}, err
	}
	p := priced{point: point{mask: mask}}
	q.Walk(func(it plan.Item) {
		if l, ok := it.(*plan.Loop); ok && l.Reverse {
			for _, it := range l.Body {
				if l, ok := it.(*plan.Launch); ok {
					p.flops += l.FLOPs
				}
			}
		}
	})
	if !placeSaved(q, m.Layers) { // nothing is stored, or no gradient comes as far as the layers
		p.least = placeScratch(q)
		p.peak = p.least
		return p, nil
	}
	p.size = q.SavedPerLayer
	top := int64(m.Layers) * q.SavedPerLayer
	for _, ph := range placeTight(q, m.Layers) {
		p.peak = max(p.peak, ph.need)
		switch {
		case ph.loop:
			p.above = max(p.above, ph.need-top)
		case ph.base == 0:
			p.least = max(p.least, ph.need)
		default:
			p.head = max(p.head, ph.need-top)
		}
	}
	return p, nil
}

// kept are the values of f, the layer or its copy, that a set stores, the
// layer's input among them.
func (m *Menu) kept(f *ir.Func, mask int) map[*ir.Value]bool {
	keep := map[*ir.Value]bool{f.Params[0]: true}
	for u, v := range m.units {
		if mask>>u&1 == 1 {
			keep[v] = true
		}
	}
	for i, n := range m.f.Nodes {
		for j, r := range n.Results {
			if keep[r] {
				keep[f.Nodes[i].Results[j]] = true
			}
		}
	}
	return keep
}

// variant copies the layer's functions and makes them store the units of a
// mask, and the layer's input in any case or only if it is read.
func (m *Menu) variant(mask int, name, backward string, input bool) (f, bwd *ir.Func) {
	f, bwd = ir.CloneFunc(m.f, name), ir.CloneFunc(m.bwd, backward)
	recompute(f, bwd, m.kept(f, mask), input)
	return f, bwd
}

// names are those of the values of a set.
func (m *Menu) names(mask int) (names []string) {
	for u, v := range m.units {
		if mask>>u&1 == 1 {
			names = append(names, v.Name)
		}
	}
	return names
}

// undominated drops the points for which another is no worse in any respect:
// its block is no larger, it needs no more up to its own top, and recomputes
// no more. The block alone matters to layers above, the sum to this one.
//
// By FLOPs first: whatever is in the list already recomputes no more than p, so
// that only two respects are left to compare. Of points that are equal in all
// the smallest mask stays.
func undominated(points []point) []point {
	slices.SortFunc(points, func(a, b point) int {
		return cmp.Or(cmp.Compare(a.flops, b.flops), cmp.Compare(a.size, b.size), cmp.Compare(a.above, b.above), cmp.Compare(a.mask, b.mask))
	})
	var out []point
	for _, p := range points {
		if !slices.ContainsFunc(out, func(q point) bool { return q.size <= p.size && q.size+q.above <= p.size+p.above }) {
			out = append(out, p)
		}
	}
	slices.SortStableFunc(out, func(a, b point) int { return cmp.Compare(b.above, a.above) })
	return out
}
