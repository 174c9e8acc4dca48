package passes

import (
	"math"
	"math/bits"
	"slices"

	"github.com/llamac/llamac/ir"
)

// unitsOf lists what a layer may store beside its input, in the order of the
// forward: the values that its backward reads, and all from which those can be
// made again. Any set of units may be stored, for what is missing follows from
// the layer's input.
//
// Views are what they show. Each value is a unit, also where one kernel makes
// several: the planner stores any of them alone, and then the kernel may run
// again for the others, or later than it would without it. A value that is read
// only to make another of its size is left out in favour of that one: storing q
// after its rotation takes the bytes of q and saves the rotation.
func unitsOf(f *ir.Func, sizes map[string]int64) []*ir.Value {
	relevant, readers := neededBy(f)
	direct := readDirectly(f)
	bytes := func(v *ir.Value) int64 { return v.Type.Bind(sizes).Bytes() }
	var units []*ir.Value
	for _, n := range f.Nodes {
		for _, v := range n.Results {
			if relevant[v] && (direct[v] || len(readers[v]) != 1 || bytes(readers[v][0]) != bytes(v)) {
				units = append(units, v)
			}
		}
	}
	return units
}

// neededBy gives the values that the backward of f reads and all from which
// those can be made again, the layer's input aside, and for each the values
// that are made of it.
func neededBy(f *ir.Func) (relevant map[*ir.Value]bool, readers map[*ir.Value][]*ir.Value) {
	x := f.Params[0]
	invariant := setOf(f.Params[1:])
	relevant, readers = map[*ir.Value]bool{}, map[*ir.Value][]*ir.Value{}
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
	return relevant, readers
}

// joinUnits stores or leaves out together what is smallest, until there are at
// most so many groups of units. Each is given by the bits of its units.
func joinUnits(units []*ir.Value, most int, sizes map[string]int64) []int {
	var groups []int
	var bytes []int64
	for i, v := range units {
		groups, bytes = append(groups, 1<<i), append(bytes, v.Type.Bind(sizes).Bytes())
	}
	smallest := func() int {
		at, least := 0, int64(math.MaxInt64)
		for i, n := range bytes {
			if n < least {
				at, least = i, n
			}
		}
		return at
	}
	for len(groups) > most {
		i := smallest()
		g, n := groups[i], bytes[i]
		groups, bytes = slices.Delete(groups, i, i+1), slices.Delete(bytes, i, i+1)
		i = smallest()
		groups[i] |= g
		bytes[i] += n
	}
	slices.SortFunc(groups, func(a, b int) int { return bits.TrailingZeros(uint(a)) - bits.TrailingZeros(uint(b)) })
	return groups
}

// policySets gives the sets that the fixed policies store, the one that stores
// all that the backward reads first and by itself too. What they store and is
// no unit becomes one, beside those that can be chosen.
func (m *Menu) policySets() (all int, policies []int) {
	for _, keep := range []map[*ir.Value]bool{readDirectly(m.f), keepLinear(m.f), {}} {
		mask := 0
		for _, n := range m.f.Nodes {
			for _, v := range n.Results {
				if !keep[v] {
					continue
				}
				i := slices.Index(m.units, v)
				if i < 0 {
					i = len(m.units)
					m.units = append(m.units, v)
				}
				mask |= 1 << i
			}
		}
		policies = append(policies, mask)
	}
	return policies[0], policies
}
