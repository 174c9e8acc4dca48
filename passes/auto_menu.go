package passes

import (
	"cmp"
	"fmt"
	"math"
	"runtime"
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
type Menu struct {
	Layers int
	Units  [][]string // values that are stored or left out together, by name
	points []point    // none better than another in every respect, by above, largest first
	head   int64      // bytes that the program takes above all blocks, outside of the layers
	least  int64      // bytes that the arena has in any case

	f, bwd *ir.Func
	units  [][]*ir.Value
}

// point is one choice for a layer.
//
// Sizes are multiples of plan.Align, as the planner rounds every buffer up to
// it.
type point struct {
	mask  int   // units that are stored, one bit each
	size  int64 // bytes of the layer's block
	above int64 // bytes that forward and backward of the layer need above it
	flops int64 // recomputed
}

// Each unit doubles the number of plans to be made, and a plan takes about as
// long whatever it stores.
// mostUnits bounds the menu to 4096 points.
const mostUnits = 12

// NewMenu prices every choice with the planner itself: for each the backward
// is made, the program scheduled and its memory placed. The unit's module is
// bound and differentiated, as it comes before plan_checkpoint, and is left as
// it is.
func NewMenu(u *Unit) (*Menu, error) {
	step := u.Module.Func("micro_step")
	// One segment, as the pass itself is what makes more of them; one backward,
	// as a stack that is only run forward stores nothing.
	if len(u.Module.Stacks) != 1 || len(u.Module.Stacks[0].Segments) != 1 || u.Module.Stacks[0].Segments[0].Backward == nil || step == nil {
		return nil, fmt.Errorf("plan_checkpoint: a budget needs one stack of equal layers and its backward")
	}
	// The functions are read and never written from here on: every choice is
	// made on copies, side by side.
	s := u.Module.Stacks[0]
	m := &Menu{Layers: s.Layers(), f: s.Segments[0].Forward, bwd: s.Segments[0].Backward}
	m.units = joinUnits(unitsOf(m.f, Sizes(u.Module)), cmp.Or(u.Config.Units, mostUnits), Sizes(u.Module))
	for _, values := range m.units {
		var names []string
		for _, v := range values {
			names = append(names, v.Name)
		}
		m.Units = append(m.Units, names)
	}
	if err := m.otherPrograms(u.Module); err != nil {
		return nil, err
	}
	// Worker w takes the masks w, w+k, w+2k and so on. Each writes places of
	// its own in all and errs, so no lock is needed, and since results are
	// found by mask their order does not depend on the number of workers.
	all := make([]priced, 1<<len(m.units))
	errs := make([]error, runtime.GOMAXPROCS(0))
	var wait sync.WaitGroup
	for w := range errs {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for mask := w; mask < len(all) && errs[w] == nil; mask += len(errs) {
				all[mask], errs[w] = m.price(u.Module, step, mask)
			}
		}()
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("plan_checkpoint: %w", err)
		}
	}
	// The reverse loop's FLOPs are those of the gradients and of what is made
	// again. The last mask stores every unit, so its FLOPs are the gradients
	// alone and the difference is the recomputation. p is a copy: all keeps the
	// subtrahend as it was.
	var points []point
	for _, p := range all {
		p.flops -= all[len(all)-1].flops // with everything stored nothing is made again
		points = append(points, p.point)
	}
	// What lies outside of the layers does not see what they store, so any of
	// the plans tells it.
	m.head = all[0].head
	m.least = max(m.least, all[0].least)
	m.points = undominated(points)
	return m, nil
}

// withLayers is the module with all layers of one choice.
func (m *Menu) withLayers(module *ir.Module, mask int) *ir.Module {
	f, bwd := m.variant(mask, m.f.Name, m.bwd.Name)
	// A shallow copy: only the stack is another one. The main functions call
	// stacks by name, and so run the variant.
	k := *module
	k.Stacks = []*ir.Stack{{Name: module.Stacks[0].Name, Segments: []ir.Segment{{From: 0, To: m.Layers, Forward: f, Backward: bwd}}}}
	return &k
}

// otherPrograms finds what the programs without a backward need of the arena.
// They use the same arena as micro_step, one after the other, and store
// nothing: their scratch begins at the arena's start. They run the layers as
// they are once it is settled what is stored: what nothing reads is gone by
// then. The choice itself does not matter to them.
func (m *Menu) otherPrograms(module *ir.Module) error {
	module = m.withLayers(module, 0)
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
func (m *Menu) price(module *ir.Module, step *ir.Func, mask int) (priced, error) {
	s := newScheduler(&Unit{Module: m.withLayers(module, mask), Plan: &plan.Plan{}, Stats: Stats{}})
	// A draft leaves out what costs time and has no bearing on sizes: the text
	// of every launch and the tables of constants.
	s.draft = true
	q, err := s.program(step)
	if err != nil {
		return priced{}, err
	}
	p := priced{point: point{mask: mask}}
	if !placeSaved(q, m.Layers) { // no gradient comes as far as the layers
		p.least = placeScratch(q)
		return p, nil
	}
	p.size = q.SavedPerLayer
	// A phase's need counts from the arena's start and holds for the time when
	// the most layers are stored. Over a loop, and between the forward's loop
	// and the backward's, those are all L of them; what exceeds their blocks is
	// the price.
	top := int64(m.Layers) * q.SavedPerLayer
	phases := placeTight(q, m.Layers)
	for _, ph := range phases {
		switch {
		case ph.loop:
			p.above = max(p.above, ph.need-top)
		// No layer is stored yet, or none is stored any more: this part of the
		// program bounds the arena on its own.
		case ph.base == 0:
			p.least = max(p.least, ph.need)
		default:
			p.head = max(p.head, ph.need-top)
		}
	}
	// The body of a loop is listed once, so the sum is that of one layer.
	q.Walk(func(it plan.Item) {
		if l, ok := it.(*plan.Loop); ok && l.Reverse {
			for _, it := range l.Body {
				if l, ok := it.(*plan.Launch); ok {
					p.flops += l.FLOPs
				}
			}
		}
	})
	return p, nil
}

// variant copies the layer's functions and makes them store the units of a
// mask beside the layer's input.
//
// The copies have their nodes and results in the same order as the originals:
// positions tell which value is which.
func (m *Menu) variant(mask int, name, backward string) (f, bwd *ir.Func) {
	f, bwd = ir.CloneFunc(m.f, name), ir.CloneFunc(m.bwd, backward)
	keep := map[*ir.Value]bool{f.Params[0]: true}
	for i, n := range m.f.Nodes {
		for j, r := range n.Results {
			for u, values := range m.units {
				if mask>>u&1 == 1 && slices.Contains(values, r) {
					keep[f.Nodes[i].Results[j]] = true
				}
			}
		}
	}
	// Every layer stores its input in this space, so that a segment that stores
	// nothing else still has something to begin from.
	recompute(f, bwd, keep, true)
	return f, bwd
}

// unitsOf lists what a layer may store beside its input, in the order of the
// forward: the values that its backward reads, and all from which those can be
// made again. Any set of units may be stored, for what is missing follows from
// the layer's input.
//
// Views are what they show. The results of one node are one unit, since
// making one of them again makes all; so is a pack, which is one buffer. A
// value that is read only to make another of its size is left out in favour of
// that one: storing q after its rotation takes the bytes of q and saves the
// rotation.
func unitsOf(f *ir.Func, sizes map[string]int64) [][]*ir.Value {
	x := f.Params[0]
	direct := readDirectly(f)
	invariant := setOf(f.Params[1:])
	relevant := map[*ir.Value]bool{}
	readers := map[*ir.Value][]*ir.Value{}
	// need collects what the backward needs, directly or to make something else
	// again, and for each such value which others are made of it. It ends at
	// what is there in any case: the layer's input, what is the same for all
	// layers, weights, and what depends on constants alone.
	var need func(v *ir.Value)
	need = func(v *ir.Value) {
		if relevant[v] || v == x || invariant[v] || !v.Local() || fromConstants(v) {
			return
		}
		relevant[v] = true
		for _, o := range recomputeInputs(v) {
			if o == nil {
				continue
			}
			if o = underViews(o); !slices.Contains(readers[o], v) {
				readers[o] = append(readers[o], v)
			}
			need(o)
		}
	}
	for _, v := range f.Saved {
		need(underViews(v))
	}
	bytes := func(v *ir.Value) int64 { return v.Type.Bind(sizes).Bytes() }
	// instead moves up from a value that serves only to make one other of its
	// size. A value that the backward reads itself stays: storing the other
	// would not spare it.
	instead := func(v *ir.Value) *ir.Value {
		for !direct[v] && len(readers[v]) == 1 && bytes(readers[v][0]) == bytes(v) {
			v = readers[v][0]
		}
		return v
	}
	var units [][]*ir.Value
	// Two values may move up to the same one, which is listed once.
	taken := map[*ir.Value]bool{}
	for _, n := range f.Nodes {
		var unit []*ir.Value
		for _, r := range n.Results {
			if !relevant[r] || n.Op.View || taken[instead(r)] {
				continue
			}
			taken[instead(r)] = true
			unit = append(unit, instead(r))
			if n.Op.Rederive != nil { // its other results can be made of the first
				units = append(units, unit)
				unit = nil
			}
		}
		if unit != nil {
			units = append(units, unit)
		}
	}
	return units
}

// joinUnits stores or leaves out together what is smallest, until there are at
// most so many units.
//
// The answer stays exact in the space that is left. Those with the fewest bytes
// are joined because deciding about them one by one can gain the least.
func joinUnits(units [][]*ir.Value, most int, sizes map[string]int64) [][]*ir.Value {
	smallest := func() int {
		at, least := 0, int64(math.MaxInt64)
		for i, unit := range units {
			var n int64
			for _, v := range unit {
				n += v.Type.Bind(sizes).Bytes()
			}
			if n < least {
				at, least = i, n
			}
		}
		return at
	}
	for len(units) > most {
		i := smallest()
		small := units[i]
		units = slices.Delete(units, i, i+1)
		i = smallest()
		units[i] = append(units[i], small...)
	}
	return units
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
