package passes

import (
	"cmp"
	"slices"

	"github.com/llamac/llamac/plan"
)

// slot is a buffer to be placed: its size, when it lives, and how low it may
// lie.
//
// Offsets count bytes from wherever the caller measures: the arena's start for
// a phase of placeTight, its end for what outlives a phase, the end of the
// stored blocks in placeScratch.
type slot struct {
	buffer *plan.Buffer
	bytes  int64 // a multiple of plan.Align
	life   plan.Span
	floor  int64
	at     int64
}

// arrange gives each slot an offset such that no two that live together overlap,
// and returns the peak as the given measure has it, which cannot be below
// least.
//
// Slots are taken in some order, each to the lowest free offset. The first
// order is by size, largest first, which nearly always reaches the largest sum
// of slots alive at one time, below which no placement can be. Where it does
// not, other orders are tried, and then the slot that ends highest is moved to
// the front, again and again: what was hardest to place goes first (Joslin and
// Clements, "Squeaky wheel" optimization, 1999). The best placement wins, the
// earliest of equals.
//
// There is no exact answer to be had cheaply: dynamic storage allocation is
// NP-complete (Garey and Johnson 1979, SR2). But the bound is, and a placement
// that meets it is known to be optimal; so the search stops there.
func arrange(slots []*slot, least int64, measure func([]*slot) int64) int64 {
	order := slices.Clone(slots)
	// The sort is stable, and so are those below: slots of one size keep the
	// order in which the plan has its buffers, and the same plan gets the same
	// offsets.
	slices.SortStableFunc(order, func(a, b *slot) int { return cmp.Compare(b.bytes, a.bytes) })
	firstFit(order)
	best := measure(slots)
	if best <= least {
		return best
	}
	kept := make([]int64, len(slots))
	keep := func() {
		for i, s := range slots {
			kept[i] = s.at
		}
	}
	keep()
	try := func(order []*slot) bool {
		firstFit(order)
		if peak := measure(slots); peak < best {
			best = peak
			keep()
		}
		return best <= least
	}
	// The four orders are those by birth, by death, by length of life and by
	// area. Each is a guess at what makes a buffer hard to place.
	length := func(s *slot) int { return s.life.Last - s.life.First }
	for _, by := range []func(a, b *slot) int{
		func(a, b *slot) int { return cmp.Compare(a.life.First, b.life.First) },
		func(a, b *slot) int { return cmp.Compare(b.life.Last, a.life.Last) },
		func(a, b *slot) int { return cmp.Compare(length(b), length(a)) },
		func(a, b *slot) int { return cmp.Compare(b.bytes*int64(1+length(b)), a.bytes*int64(1+length(a))) },
	} {
		o := slices.Clone(order)
		slices.SortStableFunc(o, by)
		// Moving slots to the front may go in circles, so the rounds are
		// bounded by the number of slots and not by progress.
		for range 2 * len(o) {
			if try(o) {
				break
			}
			i := highest(o)
			s := o[i]
			// copy moves overlapping memory correctly: the i slots in front of
			// s go one place back and keep their order.
			copy(o[1:], o[:i])
			o[0] = s
		}
		if best <= least {
			break
		}
	}
	for i, s := range slots {
		s.at = kept[i]
	}
	return best
}

// firstFit places slots in order, each at the lowest offset where no earlier
// one that lives at the same time lies.
func firstFit(order []*slot) {
	busy := make([]*slot, 0, len(order))
	for i, s := range order {
		busy = busy[:0]
		// Only slots that live at the same time can be in the way. The others
		// may lie anywhere, also on the same bytes: that is where memory is
		// shared.
		for _, d := range order[:i] {
			if d.life.Meets(s.life) {
				busy = append(busy, d)
			}
		}
		slices.SortFunc(busy, func(a, b *slot) int { return cmp.Compare(a.at, b.at) })
		s.at = s.floor
		for _, d := range busy {
			// busy is sorted by offset and s only rises, so the first gap that
			// is large enough is the lowest. One that ends below s is stepped
			// over by max.
			if s.at+s.bytes <= d.at {
				break
			}
			s.at = max(s.at, d.at+d.bytes)
		}
	}
}

// extent is the highest end of a slot.
func extent(slots []*slot) int64 {
	var peak int64
	for _, s := range slots {
		peak = max(peak, s.at+s.bytes)
	}
	return peak
}

func highest(slots []*slot) int {
	top := 0
	for i, s := range slots {
		if s.at+s.bytes > slots[top].at+slots[top].bytes {
			top = i
		}
	}
	return top
}

// load is the largest sum of slots alive at one time, each above its floor: no
// placement has a lower peak.
func load(slots []*slot) int64 {
	var most int64
	for _, a := range slots {
		// The slots alive at one time only become more where one is born, so
		// the births are all the times that need to be looked at.
		var live, floor int64
		floor = a.floor
		for _, b := range slots {
			if b.life.First <= a.life.First && a.life.First <= b.life.Last {
				live += b.bytes
				// The slots alive then could lie from the lowest of their
				// floors on, never below it: a bound however they are arranged.
				floor = min(floor, b.floor)
			}
		}
		most = max(most, floor+live, a.floor+a.bytes)
	}
	return most
}
