package passes

import (
	"cmp"
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
	least := m.minimum()
	for _, p := range m.bare {
		least = min(least, p.peak)
	}
	return least
}

// minimum is the smallest budget with the layers' inputs stored.
func (m *Menu) minimum() int64 {
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
func (m *Menu) Maximum() int64 {
	c, err := m.Solve(math.MaxInt64 / 2)
	if err != nil {
		panic(err)
	}
	return c.Peak
}

// solveBare finds the cheapest stack without the layers' inputs that fits, of
// equally cheap ones the one that takes least, or nil if none does.
func (m *Menu) solveBare(budget int64) *point {
	var best *point
	for i := range m.bare {
		p := &m.bare[i]
		if p.peak <= budget && (best == nil || cmp.Or(cmp.Compare(p.flops, best.flops), cmp.Compare(p.size, best.size), cmp.Compare(p.peak, best.peak)) < 0) {
			best = p
		}
	}
	return best
}

// size is the sum of the layers' blocks.
func (m *Menu) size(n []int) (bytes int64) {
	for i, k := range n {
		bytes += int64(k) * m.points[i].size
	}
	return bytes
}

func (m *Menu) flops(n []int) int64 {
	var f int64
	for i, k := range n {
		f += int64(k) * m.points[i].flops
	}
	return f
}

// state is some layers, from the first on, of points up to one: what they
// store and recompute, and how they came about.
type state struct {
	size, flops int64
	way         int32
}

// laid is the last layer of a state: its point, and the way to the layers below.
//
// The ways form a tree towards the first layer: those with the same beginning
// share it, and only the winner's is walked back. They are numbers in a list and
// no pointers, which millions of would keep the garbage collector busy.
type laid struct{ from, point int32 }

// memory is what a search fills, kept for the next one: a curve is hundreds of
// searches, and each may look at a million states.
type memory struct {
	hulls        []lower // of the points from each on, which no budget changes
	reach        [][]state
	ways         []laid
	more, merged []state
}

// solve finds the cheapest layers that fit, of equally cheap ones those that
// store least, or nil if none fit.
//
// How many states have to be looked at depends on how much they may cost: 3 to 280
// times as many with a guess that is a thousandth above the answer. So the search starts with what a mixture of fractions of layers would
// cost and little more, and allows more until it finds something (Korf 1985).
func (m *Menu) solve(budget int64) []int {
	known := m.good(budget)
	if known == nil {
		return nil
	}
	high := float64(m.flops(known))
	if m.hulls == nil {
		for i := range m.points {
			m.hulls = append(m.hulls, m.hull(i))
		}
	}
	whole := m.hulls[0].from(m.end(budget), m.Layers, high)
	low := min(high, whole.least(state{}))
	for _, part := range []float64{1.0 / 128, 1.0 / 8} {
		if n := m.search(budget, low+part*(high-low)); n != nil {
			return n
		}
	}
	return m.search(budget, high)
}

// end is how far blocks may reach, all together: what lies outside of the layers
// still has to fit, and the topmost layer needs at least the least above its
// block, which is the last point's.
func (m *Menu) end(budget int64) int64 {
	return budget - max(m.head, m.points[len(m.points)-1].above)
}

// search finds the cheapest layers that fit and cost at most so much, or nil.
//
// It goes through the points in the order of the layers and keeps, for each
// number of layers so far, the states of which none has both a smaller base and
// a lower cost: whatever can stand on the others can stand on these. A state is
// dropped as soon as even the best mixture of the remaining points, fractions
// of layers allowed and only the last constraint kept, would cost too much.
func (m *Menu) search(budget int64, most float64) []int {
	if m.reach == nil {
		m.reach = make([][]state, m.Layers+1)
	}
	reach, ways := m.reach, append(m.ways[:0], laid{-1, -1})
	for k := range reach {
		reach[k] = reach[k][:0]
	}
	reach[0] = append(reach[0], state{})
	more, merged := m.more, m.merged
	defer func() {
		m.ways, m.more, m.merged = ways, more, merged
		m.Work += int64(len(ways)) + int64(len(m.points))*int64(m.Layers)
	}()
	end := m.end(budget)
	for i, p := range m.points {
		bound := m.hulls[i]
		// A state was held to the bound when it was made.
		same := i > 0 && bound.equal(m.hulls[i-1])
		// k goes upwards, and reach[k+1] receives what was just made from
		// reach[k]: a state may take the point i any number of times, as in a
		// knapsack with unlimited copies. Points before i are closed for good,
		// which keeps layers in their order.
		for k := range m.Layers {
			rest := m.Layers - k
			kept := reach[k][:0]
			more = more[:0]
			still, then := bound.from(end, rest, most), bound.from(end, rest-1, most)
			for _, s := range reach[k] {
				if !same && !still.below(s) {
					continue
				}
				kept = append(kept, s)
				// Above the topmost layer of this point nothing of the layers
				// below has to be checked again: their needs were met when they
				// were added.
				t := state{s.size + p.size, s.flops + p.flops, int32(len(ways))}
				if t.size+p.above <= budget && t.size <= end && then.below(t) {
					more, ways = append(more, t), append(ways, laid{s.way, int32(i)})
				}
			}
			reach[k] = kept
			if len(more) > 0 {
				merged = front(merged[:0], reach[k+1], more)
				reach[k+1], merged = merged, reach[k+1]
			}
		}
	}
	n := make([]int, len(m.points))
	// The front is sorted by size with costs falling, so its last state is the
	// cheapest, and the smallest of the equally cheap.
	done := reach[m.Layers]
	if len(done) == 0 {
		return nil
	}
	for w := ways[done[len(done)-1].way]; w.point >= 0; w = ways[w.from] {
		n[w.point]++
	}
	return n
}

// front merges two lists in the order of size, each without a state that
// another betters, into one such list, which it appends to out.
//
// After that costs strictly fall with size in the list. Of two equal states
// that of a is kept, which came first.
func front(out, a, b []state) []state {
	flops := int64(math.MaxInt64) // of the last
	for len(a)+len(b) > 0 {
		var s state
		if len(b) == 0 || len(a) > 0 && (a[0].size < b[0].size || a[0].size == b[0].size && a[0].flops <= b[0].flops) {
			s, a = a[0], a[1:]
		} else {
			s, b = b[0], b[1:]
		}
		if s.flops < flops {
			out, flops = append(out, s), s.flops
		}
	}
	return out
}

// lower is the lower convex hull of points: the least cost of a mixture by its
// mean size.
type lower struct{ size, flops []float64 }

func (h lower) equal(g lower) bool {
	return slices.Equal(h.size, g.size) && slices.Equal(h.flops, g.flops)
}

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

// prospect asks of states, the smallest first, whether so many more layers may
// bring them to a cost of at most the given one within end bytes of blocks.
type prospect struct {
	lower
	end, rest, share float64 // share is a little more than 1/rest
	most             float64
	corner           int     // the first that is at least as large as what the state before could have
	slope            float64 // of the line towards it
}

// rounding is more than the relative error of what prospect computes. Layers may
// be larger by so much, so that a state that is exactly as good as asked for is
// not dropped for an error, even where that is one of zero.
const rounding = 1e-12

func (h lower) from(end int64, rest int, most float64) prospect {
	return prospect{h, float64(end), float64(rest), (1 + rounding) / float64(rest), most / (1 - rounding), len(h.size), 0}
}

func (p *prospect) below(s state) bool { return p.least(s) <= p.most }

// least is the least cost of a state with the layers that remain, or +Inf.
func (p *prospect) least(s state) float64 {
	if p.rest == 0 {
		return float64(s.flops)
	}
	// The mean size that the remaining layers may have, which falls from state to
	// state. If even the smallest point is larger there is no way, and if the
	// largest corner is smaller the cheapest point is free.
	x := (p.end - float64(s.size)) * p.share
	if x < p.size[0] {
		return math.Inf(1)
	}
	for p.corner > 0 && p.size[p.corner-1] >= x {
		p.corner--
		p.slope = 0
		if i := p.corner; i > 0 {
			p.slope = (p.flops[i] - p.flops[i-1]) / (p.size[i] - p.size[i-1])
		}
	}
	i := max(p.corner-1, 0) // x is just the smallest if no corner is before it
	return float64(s.flops) + p.rest*(p.flops[i]+(x-p.size[i])*p.slope)
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
		m.Work += int64(len(n))
		if c := m.flops(n); c < cost && m.fits(n, budget) {
			best, cost = slices.Clone(n), c
			return true
		}
		return false
	}
	m.Work += int64(len(m.points)) * int64(len(m.points)) * int64(m.Layers) / 2
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
