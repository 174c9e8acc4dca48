package passes

import (
	"slices"

	"github.com/llamac/llamac/plan"
)

// PlanMemory gives every buffer its place. Stored activations form a stack of
// one block a layer from the arena's start; the result of the layers lies
// behind the last block, where another layer's input would, and scratch above
// that:
//
//	| layer 0 | layer 1 | ... | layer L-1 | x | scratch |
//
// Scratch buffers whose lives do not meet share memory. With equal layers the
// peak is the sum of what is stored plus the largest transient, wherever the
// scratch of one layer lies.
var PlanMemory = Pass{
	Name: "plan_memory", Doc: "Places buffers in arenas by their lifetimes.",
	Run: planMemory, Required: true,
}

func planMemory(u *Unit) error {
	p := u.Plan
	arenas := map[string]int64{}
	for _, a := range p.Arenas {
		arenas[a.Name] = a.Bytes
	}
	for _, q := range p.Programs {
		if q.Name == "tables" {
			var at int64
			for _, b := range q.Buffers {
				b.Offset = at
				at += align(b.Bytes, plan.Align)
			}
			q.ScratchBytes = at
		} else {
			placeSaved(p, q)
			q.ScratchBytes = placeScratch(q)
		}
		setArena(p, q.Arena, q.SavedBytes+q.ScratchBytes)
		u.Stats["saved."+q.Name] = int(q.SavedBytes)
		u.Stats["scratch."+q.Name] = int(q.ScratchBytes)
	}
	for _, s := range p.State {
		setArena(p, s.Name, s.Bytes*int64(max(1, s.Layers)))
	}
	return p.Verify()
}

// setArena makes an arena at least this large.
func setArena(p *plan.Plan, name string, bytes int64) {
	if bytes == 0 {
		return
	}
	for i := range p.Arenas {
		if p.Arenas[i].Name == name {
			p.Arenas[i].Bytes = max(p.Arenas[i].Bytes, bytes)
			return
		}
	}
	p.Arenas = append(p.Arenas, plan.Arena{Name: name, Bytes: bytes})
}

// placeSaved lays out the block of a layer. The input comes first, so that the
// result of the last layer is the input of a layer that does not exist.
func placeSaved(p *plan.Plan, q *plan.Program) {
	var saved []*plan.Buffer
	for _, b := range q.Buffers {
		if b.Region == plan.Saved {
			saved = append(saved, b)
		}
	}
	if len(saved) == 0 {
		return
	}
	input := carriedBuffer(q)
	slices.SortStableFunc(saved, func(a, b *plan.Buffer) int {
		switch {
		case a == input:
			return -1
		case b == input:
			return 1
		}
		return 0
	})
	var block, tail int64
	for _, b := range saved {
		b.Offset = block
		block += align(b.Bytes, plan.Align)
		if b == input {
			tail = block
		}
	}
	for _, b := range saved {
		b.Stride = block
	}
	q.SavedPerLayer = block
	q.SavedBytes = int64(p.Layers())*block + tail
}

// carriedBuffer is the stored buffer that a layer writes for the next one.
func carriedBuffer(q *plan.Program) *plan.Buffer {
	var found *plan.Buffer
	see := func(o plan.Operand) {
		if o.Layer == plan.NextLayer && o.Kind == plan.InBuffer {
			found = o.Buffer
		}
	}
	q.Walk(func(it plan.Item) {
		switch x := it.(type) {
		case *plan.Launch:
			for _, o := range x.Results {
				see(o)
			}
		case *plan.Copy:
			see(x.Dst)
		}
	})
	return found
}

// placeScratch places the largest buffers first, each at the lowest offset
// where no buffer that lives at the same time lies, and returns the peak.
func placeScratch(q *plan.Program) int64 {
	var todo, done []*plan.Buffer
	for _, b := range q.Buffers {
		if b.Region == plan.Scratch {
			todo = append(todo, b)
		}
	}
	slices.SortStableFunc(todo, func(a, b *plan.Buffer) int { return int(b.Bytes - a.Bytes) })
	var peak int64
	for _, b := range todo {
		var busy []*plan.Buffer
		for _, d := range done {
			if d.First <= b.Last && b.First <= d.Last {
				busy = append(busy, d)
			}
		}
		slices.SortFunc(busy, func(x, y *plan.Buffer) int { return int(x.Offset - y.Offset) })
		at := q.SavedBytes
		for _, d := range busy {
			if at+align(b.Bytes, plan.Align) <= d.Offset {
				break
			}
			at = max(at, d.Offset+align(d.Bytes, plan.Align))
		}
		b.Offset = at
		done = append(done, b)
		peak = max(peak, at+align(b.Bytes, plan.Align)-q.SavedBytes)
	}
	return peak
}

// LargestLive is the largest sum of scratch buffers alive at one time: no
// placement can need less.
func LargestLive(q *plan.Program) int64 {
	var most int64
	for _, a := range q.Buffers {
		var live int64
		for _, b := range q.Buffers {
			if b.Region == plan.Scratch && a.Region == plan.Scratch && b.First <= a.First && a.First <= b.Last {
				live += align(b.Bytes, plan.Align)
			}
		}
		most = max(most, live)
	}
	return most
}
