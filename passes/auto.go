package passes

import (
	"fmt"
	"slices"

	"github.com/llamac/llamac/ir"
)

// Checkpoints is what plan_checkpoint chose under a budget.
type Checkpoints struct {
	Budget   int64               `json:"budget_bytes"`     // of the activation arena that there may be
	Minimum  int64               `json:"minimum_bytes"`    // with less there is no answer
	Peak     int64               `json:"peak_bytes"`       // that there are
	FLOPs    int64               `json:"recomputed_flops"` // in one micro-batch
	Segments []CheckpointSegment `json:"segments"`
}

// CheckpointSegment is a range of layers [From, To) that store the same.
type CheckpointSegment struct {
	From   int      `json:"from"`
	To     int      `json:"to"`
	Stored []string `json:"stored"`             // beside the layer's input
	Bytes  int64    `json:"bytes_a_layer"`      // of a layer's block
	Above  int64    `json:"bytes_above"`        // that one of the layers needs above its block
	FLOPs  int64    `json:"recomputed_a_layer"` // for a layer
	Base   int64    `json:"base"`               // where the segment's first block lies
}

// BudgetError says that a budget is too small for any choice of checkpoints.
type BudgetError struct{ Budget, Minimum int64 }

func (e *BudgetError) Error() string {
	return fmt.Sprintf("a budget of %d bytes is too small: the activations of a micro-batch need at least %d", e.Budget, e.Minimum)
}

// planBudget is the policy auto: of all ways to keep the activation arena
// within the budget it takes the one that recomputes least.
//
// What may be chosen: every layer's input is stored; beside it a layer stores
// any set of its units (unitsOf); and any layer may have any set. The budget is
// the arena's peak as plan_memory places it. The answer is exact in this space:
// every set is priced by the planner, and solve finds the cheapest layers that
// fit. Of equally cheap answers it takes the one that stores least.
//
// Layers that store the same become a segment of the stack with functions of
// its own, from @layer of the first layers to @layer.2 and so on: the code
// grows with what is different, never with the number of layers.
func planBudget(u *Unit) error {
	m, err := NewMenu(u)
	if err != nil {
		return err
	}
	n := m.solve(u.Config.Budget)
	if n == nil {
		return &BudgetError{u.Config.Budget, m.Minimum()}
	}
	// The numbers come from the prices in the menu. plan_memory compares the
	// peak with the arena that it gets and stops if they differ.
	u.Checkpoint = m.describe(n, u.Config.Budget)
	stack := u.Module.Stacks[0]
	var segments []ir.Segment
	var forward, backward []*ir.Func
	// Points stand in the order of the arena, those that need most above their
	// block first, so layer 0 is of the first point that is used at all. Every
	// layer computes the same function, whatever it stores: any assignment of
	// points to layers is legal.
	from := 0
	for i, k := range n {
		if k == 0 {
			continue
		}
		// The first segment keeps the plain names, so that a budget which all
		// layers meet in the same way gives the text that another policy would
		// have given.
		name, back := m.f.Name, m.bwd.Name
		if len(segments) > 0 {
			name = fmt.Sprintf("%s.%d", m.f.Name, len(segments)+1)
			back = name + ".bwd"
		}
		f, bwd := m.variant(m.points[i].mask, name, back)
		segments = append(segments, ir.Segment{From: from, To: from + k, Forward: f, Backward: bwd})
		forward, backward = append(forward, f), append(backward, bwd)
		from += k
		u.Stats["stored."+f.Name] = len(f.Saved)
	}
	// The variants stand where the one function stood: whoever reads the
	// module's text finds forward and backward in their usual places.
	replace := func(old *ir.Func, by []*ir.Func) {
		i := slices.Index(u.Module.Funcs, old)
		u.Module.Funcs = slices.Replace(u.Module.Funcs, i, i+1, by...)
	}
	replace(m.f, forward)
	replace(m.bwd, backward)
	// With more than one segment NewMenu would refuse the module from here on:
	// a unit is planned once.
	stack.Segments = segments
	u.Stats["choices"] = 1 << len(m.units)
	u.Stats["undominated"] = len(m.points)
	return nil
}

// Solve finds what to store under a budget, or a *BudgetError.
func (m *Menu) Solve(budget int64) (*Checkpoints, error) {
	n := m.solve(budget)
	if n == nil {
		return nil, &BudgetError{budget, m.Minimum()}
	}
	return m.describe(n, budget), nil
}

// describe is the answer with n[i] layers of point i.
func (m *Menu) describe(n []int, budget int64) *Checkpoints {
	c := &Checkpoints{Budget: budget, Minimum: m.Minimum(), Peak: m.peak(n), FLOPs: m.flops(n)}
	var base int64
	for i, k := range n {
		if k == 0 {
			continue
		}
		// The layers of the segment begin where those of the last one ended.
		p, from := m.points[i], 0
		if s := c.Segments; len(s) > 0 {
			from = s[len(s)-1].To
		}
		seg := CheckpointSegment{From: from, To: from + k, Bytes: p.size, Above: p.above, FLOPs: p.flops, Base: base}
		// A mask has one bit a unit; names are for people and for the JSON that
		// `llamac plan` writes.
		for u, names := range m.Units {
			if p.mask>>u&1 == 1 {
				seg.Stored = append(seg.Stored, names...)
			}
		}
		c.Segments = append(c.Segments, seg)
		base += int64(k) * p.size
	}
	return c
}
