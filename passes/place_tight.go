package passes

import (
	"cmp"
	"slices"

	"github.com/llamac/llamac/plan"
)

// phase is a piece of a program between whose ends the same layers are
// stored: a loop over layers, or what lies between two loops.
type phase struct {
	plan.Span
	loop bool
	base int64 // where the blocks end of the layers that are stored
	need int64 // bytes from the arena's start that this phase takes
}

// placeTight places scratch so that the arena's peak is the largest sum of
// what lives at one time, with every layer's scratch as low as its block
// allows:
//
//	            backward of layer l                   later, of layer 0
//	| layer 0 | ... | layer l | scratch |      | layer 0 | scratch |
//	                                    | handed on |                 | handed on |
//
// A buffer that lives in one loop only, or between two, is placed upwards from
// the blocks of the layers that are stored then: those up to the loop's last
// layer. One that lives longer, such as the gradient that the backward hands
// from layer to layer, lies at the arena's end, where it is in nobody's way.
// What a phase needs above its blocks then depends on nothing outside of it:
//
//	peak = max over phases of  blocks + scratch of the phase + what lives longer
//
// and that is what plan_checkpoint counts with. For the same reason what layers
// read from outside, such as a mask made of the tokens, stays until the last
// layer's backward, whether layers of this choice read it there or not: beside
// others that do it would stay too. It returns the phases.
func placeTight(q *plan.Program, layers int) []*phase {
	lives := q.Lives(layers)
	phases := phasesOf(lives)
	local := make([][]*slot, len(phases))
	var long []*slot
	for _, b := range q.Buffers {
		if b.Region != plan.Scratch {
			continue
		}
		s := &slot{buffer: b, bytes: align(b.Bytes, plan.Align), life: lives.Spans[b]}
		if loops := lives.Loops; len(loops) > 0 && s.life.First < loops[0].First && s.life.Last >= loops[0].First {
			s.life.Last = max(s.life.Last, loops[len(loops)-1].Last)
		}
		// In one phase alone from birth to death. What crosses a boundary
		// between phases is placed from the arena's end.
		i := slices.IndexFunc(phases, func(p *phase) bool { return p.First <= s.life.First && s.life.Last <= p.Last })
		if i < 0 {
			long = append(long, s)
			continue
		}
		s.floor = lives.Floor(s.life)
		local[i] = append(local[i], s)
	}
	// From the arena's end downwards in the order of birth, so that what lives
	// longest lies outermost.
	slices.SortStableFunc(long, func(a, b *slot) int { return cmp.Compare(a.life.First, b.life.First) })
	firstFit(long)
	// How far the long-lived reach down from the end, for each time. Local
	// slots lie below that, in what is left.
	above := make([]int64, len(lives.Taken)) // by time: bytes at the arena's end in use
	for _, s := range long {
		for t := s.life.First; t <= s.life.Last; t++ {
			above[t] = max(above[t], s.at+s.bytes)
		}
	}
	var peak int64
	// The need of a phase is what is stored, what it has for itself, and what
	// lives longer, at the worst of its times. Only then the arena's end is
	// known, and offsets from the end become offsets from the start.
	for i, p := range phases {
		for t := p.First; t <= p.Last; t++ {
			p.need = max(p.need, lives.Taken[t]+above[t])
		}
		if len(local[i]) > 0 {
			p.need = max(p.need, placePhase(local[i], above))
		}
		peak = max(peak, p.need)
	}
	for _, s := range long {
		s.buffer.Offset = peak - s.at - s.bytes
	}
	for _, slots := range local {
		for _, s := range slots {
			s.buffer.Offset = s.at
		}
	}
	q.ScratchBytes = peak - q.SavedBytes
	return phases
}

// placePhase places the slots of one phase below what lives longer.
//
// The bound is the same as in load, with the long-lived counted in: at each
// birth the sum of those alive, from the lowest of their floors.
func placePhase(slots []*slot, above []int64) int64 {
	highest := func(s *slot) int64 {
		var most int64
		for t := s.life.First; t <= s.life.Last; t++ {
			most = max(most, above[t])
		}
		return most
	}
	over := make(map[*slot]int64, len(slots))
	var least int64
	for _, s := range slots {
		over[s] = highest(s)
		least = max(least, s.floor+s.bytes+over[s])
		live, floor := above[s.life.First], s.floor
		for _, o := range slots {
			if o.life.First <= s.life.First && s.life.First <= o.life.Last {
				live += o.bytes
				floor = min(floor, o.floor)
			}
		}
		least = max(least, floor+live)
	}
	return arrange(slots, least, func(slots []*slot) int64 {
		var peak int64
		for _, s := range slots {
			peak = max(peak, s.at+s.bytes+over[s])
		}
		return peak
	})
}

// phasesOf cuts a program's time at the beginnings and ends of loops.
func phasesOf(lives *plan.Lives) []*phase {
	var out []*phase
	// An empty stretch, as between two loops that follow each other, is no
	// phase.
	add := func(first, last int, loop bool) {
		if first <= last {
			out = append(out, &phase{Span: plan.Span{First: first, Last: last}, loop: loop, base: lives.Base[first]})
		}
	}
	next := 0
	for _, l := range lives.Loops {
		add(next, l.First-1, false)
		add(l.First, l.Last, true)
		next = l.Last + 1
	}
	add(next, len(lives.Taken)-1, false)
	return out
}
