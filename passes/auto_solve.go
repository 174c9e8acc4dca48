package passes

import (
	"math"
	"slices"

	"github.com/llamac/llamac/plan"
)

// Layers that store different things share one arena, and where a layer stands
// matters: while its backward runs, the blocks of the layers below it are
// stored and those above are free again. With base(l) the sum of the blocks
// below layer l,
//
//	peak = max( base(L) + head, max over l of  base(l) + size(l) + above(l) )
//
// Only how often each point is used has to be chosen. If layers i and j stand
// one on the other, i below, and above(i) < above(j), then changing places
// harms neither: j comes to stand lower, and i, now at the top of both, needs
//
//	base + size(j) + size(i) + above(i)  <  base + size(i) + size(j) + above(j)
//
// which was there before. So whatever fits in some order fits with the layers
// sorted by above, largest first (jobs with deadlines: Jackson's rule), and
// layers of one point are neighbours.

// fits reports whether the arena has room for the layers, n[i] of point i.
//
// Within a point the need grows from layer to layer by the block's size, so
// that the topmost of its layers decides for all of them.
func (m *Menu) fits(n []int, budget int64) bool {
	var base int64
	for i, k := range n {
		if k > 0 {
			base += int64(k) * m.points[i].size
			if base+m.points[i].above > budget {
				return false
			}
		}
	}
	return base+m.head <= budget && m.least <= budget
}

// peak is the smallest budget that the layers fit.
func (m *Menu) peak(n []int) int64 {
	var base int64
	peak := m.least
	for i, k := range n {
		if k > 0 {
			base += int64(k) * m.points[i].size
			peak = max(peak, base+m.points[i].above)
		}
	}
	return max(peak, base+m.head)
}

// lowest gives for a budget the layers that take the least room, or nil if
// none fit. From the first layer on, the smallest block that fits is best:
// with less below it, whatever fits above fits still.
//
// The layers come out in the order of the greedy choice, which need not be that
// of the points. fits then looks at the sorted order, which never needs more
// (see above).
func (m *Menu) lowest(budget int64) []int {
	n := make([]int, len(m.points))
	var base int64
	for range m.Layers {
		best := -1
		for i, p := range m.points {
			if base+p.size+p.above <= budget && (best < 0 || p.size < m.points[best].size) {
				best = i
			}
		}
		if best < 0 {
			return nil
		}
		n[best]++
		base += m.points[best].size
	}
	if !m.fits(n, budget) {
		return nil
	}
	return n
}

// Minimum is the smallest budget for which there is an answer.
func (m *Menu) Minimum() int64 {
	var low, high int64 = -1, 1 // in units of plan.Align, of which all sizes are multiples
	// Whether there is an answer can only change from no to yes as the budget
	// grows, so doubling finds an upper bound and bisection the least.
	for m.lowest(high*plan.Align) == nil {
		low, high = high, 2*high
	}
	for low+1 < high {
		if mid := (low + high) / 2; m.lowest(mid*plan.Align) == nil {
			low = mid
		} else {
			high = mid
		}
	}
	return high * plan.Align
}

// Maximum is the peak with nothing recomputed: a larger budget changes nothing.
// Half of the largest number is as good as no bound, and leaves room for sums
// with it.
func (m *Menu) Maximum() int64 { return m.peak(m.solve(math.MaxInt64 / 2)) }

func (m *Menu) flops(n []int) int64 {
	var f int64
	for i, k := range n {
		f += int64(k) * m.points[i].flops
	}
	return f
}

// state is some layers, from the first on, of points up to one: what they
// store and recompute, and how they came about.
//
// The states form a tree towards the first layer: those with the same beginning
// share it, and only the winner's way is walked back.
type state struct {
	size, flops int64
	from        *state
	point       int
}

// solve finds the cheapest layers that fit, of equally cheap ones those that
// store least, or nil if none fit.
//
// It goes through the points in the order of the layers and keeps, for each
// number of layers so far, the states of which none has both a smaller base and
// a lower cost: whatever can stand on the others can stand on these. A state is
// dropped as soon as even the best mixture of the remaining points, fractions
// of layers allowed and only the last constraint kept, could not make it
// cheaper than an answer already known.
func (m *Menu) solve(budget int64) []int {
	known := m.good(budget)
	if known == nil {
		return nil
	}
	// The cost to beat. States that could at best equal it stay, so that the
	// known answer's own way, or one at least as good, is always there in the
	// end.
	most := float64(m.flops(known))
	reach := make([][]*state, m.Layers+1)
	reach[0] = []*state{{point: -1}}
	for i, p := range m.points {
		bound := m.hull(i)
		// Blocks may reach up to where what lies outside of the layers still
		// fits, and the topmost layer, whatever it is of, needs at least the
		// least above its block.
		end := budget - m.head // of all blocks
		least := int64(math.MaxInt64)
		for _, q := range m.points[i:] {
			least = min(least, q.above)
		}
		end = min(end, budget-least)
		// k goes upwards, and reach[k+1] receives what was just made from
		// reach[k]: a state may take the point i any number of times, as in a
		// knapsack with unlimited copies. Points before i are closed for good,
		// which keeps layers in their order.
		for k := range m.Layers + 1 {
			rest := m.Layers - k
			reach[k] = slices.DeleteFunc(reach[k], func(s *state) bool {
				return rest > 0 && !bound.below(s, rest, end, most)
			})
			if rest == 0 {
				// All layers are placed: nothing can be added, and the state
				// waits as an answer.
				break
			}
			var more []*state
			for _, s := range reach[k] {
				t := &state{s.size + p.size, s.flops + p.flops, s, i}
				// Above the topmost layer of this point nothing of the layers
				// below has to be checked again: their needs were met when they
				// were added.
				if t.size+p.above <= budget && t.size <= end && (rest == 1 || bound.below(t, rest-1, end, most)) {
					more = append(more, t)
				}
			}
			reach[k+1] = front(reach[k+1], more)
		}
	}
	n := make([]int, len(m.points))
	// The front is sorted by size with costs falling, so its last state is the
	// cheapest, and the smallest of the equally cheap.
	done := reach[m.Layers]
	for s := done[len(done)-1]; s.from != nil; s = s.from {
		n[s.point]++
	}
	return n
}

// front merges two lists in the order of size, each without a state that
// another betters, into one such list.
//
// After that costs strictly fall with size in the list. Of two equal states
// that of a is kept, which came first.
func front(a, b []*state) []*state {
	if len(b) == 0 {
		return a
	}
	out := make([]*state, 0, len(a)+len(b))
	for len(a)+len(b) > 0 {
		var s *state
		if len(b) == 0 || len(a) > 0 && (a[0].size < b[0].size || a[0].size == b[0].size && a[0].flops <= b[0].flops) {
			s, a = a[0], a[1:]
		} else {
			s, b = b[0], b[1:]
		}
		if k := len(out); k == 0 || s.flops < out[k-1].flops {
			out = append(out, s)
		}
	}
	return out
}

// lower is the lower convex hull of points: the least cost of a mixture by its
// mean size.
type lower struct{ size, flops []float64 }

// hull is the lower hull of the points from i on.
func (m *Menu) hull(i int) lower {
	points := slices.Clone(m.points[i:])
	slices.SortFunc(points, func(a, b point) int {
		if a.size != b.size {
			return int(a.size - b.size)
		}
		return int(a.flops - b.flops)
	})
	var h lower
	for _, p := range points {
		x, y := float64(p.size), float64(p.flops)
		// With no less size and no less cost than the corner before it, a point
		// is in no mixture that is worth having.
		if k := len(h.size); k > 0 && y >= h.flops[k-1] {
			continue
		}
		for k := len(h.size); k > 1; k = len(h.size) {
			// Slopes are compared as products: nothing is divided, nothing
			// rounded by a division.
			// Drop the last corner unless it lies below the line around it.
			if (h.flops[k-1]-h.flops[k-2])*(x-h.size[k-2]) < (y-h.flops[k-2])*(h.size[k-1]-h.size[k-2]) {
				break
			}
			h.size, h.flops = h.size[:k-1], h.flops[:k-1]
		}
		h.size, h.flops = append(h.size, x), append(h.flops, y)
	}
	return h
}

// below reports whether so many more layers may bring a state to a cost of at
// most the given one within end bytes of blocks. Rounding is taken in its
// favour.
func (h lower) below(s *state, rest int, end int64, most float64) bool {
	// The mean size that the remaining layers may have. If even the smallest
	// point is larger there is no way, and if the largest corner is smaller the
	// cheapest point is free.
	x := float64(end-s.size) / float64(rest)
	if x < h.size[0] {
		return false
	}
	i, exact := slices.BinarySearch(h.size, x)
	var y float64
	switch {
	case exact || i == len(h.size):
		y = h.flops[min(i, len(h.size)-1)]
	default:
		t := (x - h.size[i-1]) / (h.size[i] - h.size[i-1])
		y = h.flops[i-1] + t*(h.flops[i]-h.flops[i-1])
	}
	// The interpolation is rounded a few times; the factor keeps a state that
	// is exactly as cheap as the known answer from being dropped for that.
	return (float64(s.flops)+float64(rest)*y)*(1-1e-12) <= most
}

// good finds layers that fit and are cheap, to measure others against: the
// best of all mixtures of two points, bettered by giving single layers another
// point as long as that helps.
//
// Nothing depends on its being best: a better bound only lets solve drop more
// states sooner.
func (m *Menu) good(budget int64) []int {
	best := m.lowest(budget)
	if best == nil {
		return nil
	}
	cost := m.flops(best)
	try := func(n []int) bool {
		if c := m.flops(n); c < cost && m.fits(n, budget) {
			best, cost = slices.Clone(n), c
			return true
		}
		return false
	}
	n := make([]int, len(m.points))
	for i, p := range m.points {
		for j := i; j < len(m.points); j++ {
			q := m.points[j]
			// k of the layers are of the second point; with k = 0 all are of
			// the first.
			for k := range m.Layers {
				// The quick part of what try looks at.
				a, b := int64(m.Layers-k), int64(k)
				if a*p.flops+b*q.flops >= cost || a*p.size+b*q.size+m.head > budget {
					continue
				}
				n[i] += m.Layers - k
				n[j] += k
				try(n)
				n[i], n[j] = 0, 0
			}
		}
	}
	// Every exchange that is kept lowers the cost, so this ends.
	for better := true; better; {
		better = false
		n = slices.Clone(best)
		for i := range n {
			for j := range n {
				if n[i] > 0 && i != j && m.points[j].flops < m.points[i].flops {
					n[i]--
					n[j]++
					better = try(n) || better
					n[i]++
					n[j]--
				}
			}
		}
	}
	return best
}
