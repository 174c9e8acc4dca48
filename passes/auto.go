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
	Maximum  int64               `json:"maximum_bytes"`    // more changes nothing
	Peak     int64               `json:"peak_bytes"`       // that there are
	FLOPs    int64               `json:"recomputed_flops"` // in one micro-batch
	Inputs   bool                `json:"stores_inputs"`    // of layers, beside what segments say
	Joined   [][]string          `json:"joined,omitempty"` // values that could be stored apart and were not tried so
	Segments []CheckpointSegment `json:"segments"`
}

// CheckpointSegment is a range of layers [From, To) that store the same.
type CheckpointSegment struct {
	From   int      `json:"from"`
	To     int      `json:"to"`
	Stored []string `json:"stored"`             // beside the layer's input, if those are stored
	Bytes  int64    `json:"bytes_a_layer"`      // of a layer's block
	Above  int64    `json:"bytes_above"`        // that one of the layers needs above its block
	FLOPs  int64    `json:"recomputed_a_layer"` // for a layer
	Base   int64    `json:"base"`               // where the segment's first block lies
	mask   int
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
// any set of its units (unitsOf); and any layer may have any set. Or no layer's
// input is stored, and all store the same set, from which all that the
// backward reads can be made. The budget is the arena's peak as plan_memory
// places it. The answer is exact in this space: every set is priced by the
// planner, unless it cannot be better than one that is, and solve finds the
// cheapest layers that fit. Of equally cheap answers it takes the one that
// stores least. If there are more units than mostUnits, the smallest are joined,
// and the fixed policies are choices beside what is left: auto is never worse
// than any of them.
//
// Layers that store the same become a segment of the stack with functions of
// its own, from @layer of the first layers to @layer.2 and so on: the code
// grows with what is different, never with the number of layers.
func planBudget(u *Unit) error {
	m, err := NewMenu(u)
	if err != nil {
		return err
	}
	if u.Checkpoint, err = m.Solve(u.Config.Budget); err != nil {
		return err
	}
	u.Checkpoint.Minimum, u.Checkpoint.Maximum = m.Minimum(), m.Maximum()
	stack := u.Module.Stacks[0]
	var segments []ir.Segment
	var forward, backward []*ir.Func
	for i, s := range u.Checkpoint.Segments {
		name, back := m.f.Name, m.bwd.Name
		if i > 0 {
			name = fmt.Sprintf("%s.%d", m.f.Name, i+1)
			back = name + ".bwd"
		}
		f, bwd := m.variant(s.mask, name, back, u.Checkpoint.Inputs)
		segments = append(segments, ir.Segment{From: s.From, To: s.To, Forward: f, Backward: bwd})
		forward, backward = append(forward, f), append(backward, bwd)
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
	u.Stats["choices"] = m.Sets
	u.Stats["priced"] = m.Priced
	u.Stats["undominated"] = len(m.points)
	return nil
}

// Solve finds what to store under a budget, or a *BudgetError. The answer's
// Minimum and Maximum are left to the caller, who may want many answers.
func (m *Menu) Solve(budget int64) (*Checkpoints, error) {
	n := m.solve(budget)
	b := m.solveBare(budget)
	c := &Checkpoints{Budget: budget, Joined: m.Joined}
	switch {
	case n == nil && b == nil:
		return nil, &BudgetError{budget, m.Minimum()}
	case n == nil || b != nil && (b.flops*int64(m.Layers) < m.flops(n) || b.flops*int64(m.Layers) == m.flops(n) && b.size*int64(m.Layers) < m.size(n)):
		c.Peak, c.FLOPs = b.peak, b.flops*int64(m.Layers)
		c.Segments = []CheckpointSegment{m.segment(*b, 0, m.Layers, 0)}
		return c, nil
	}
	c.Inputs, c.Peak, c.FLOPs = true, m.peak(n), m.flops(n)
	var base int64
	from := 0
	for i, k := range n {
		if k > 0 {
			c.Segments = append(c.Segments, m.segment(m.points[i], from, from+k, base))
			from += k
			base += int64(k) * m.points[i].size
		}
	}
	return c, nil
}

func (m *Menu) segment(p point, from, to int, base int64) CheckpointSegment {
	return CheckpointSegment{From: from, To: to, Stored: m.names(p.mask), Bytes: p.size, Above: p.above, FLOPs: p.flops, Base: base, mask: p.mask}
}
