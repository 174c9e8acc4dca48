package passes

import (
	"fmt"
	"slices"

	"github.com/llamac/llamac/plan"
)

// PlanMemory gives every buffer its place. Stored activations form a stack of
// one block a layer from the arena's start; the result of the layers lies
// behind the last block, where another layer's input would, and scratch above
// that, or above the layers that are still stored then:
//
//	| layer 0 | layer 1 | ... | layer L-1 | x | scratch |
//	| layer 0 | layer 1 | scratch of layer 1's backward |
//
// Scratch buffers whose lives do not meet share memory. The peak is the largest
// sum of what lives at one time: see placeTight.
var PlanMemory = Pass{
	Name: "plan_memory", Doc: "Places buffers in arenas by their lifetimes.",
	Run: planMemory, Required: true,
}

func planMemory(u *Unit) error {
	p := u.Plan
	layers := p.Layers()
	for _, q := range p.Programs {
		switch {
		// Tables are made once and read by every program: none dies, so they
		// simply follow each other.
		case q.Name == "tables":
			var at int64
			for _, b := range q.Buffers {
				b.Offset = at
				at += align(b.Bytes, plan.Align)
			}
			q.ScratchBytes = at
		// Training stores activations; without them there is one scratch area
		// and no phases.
		case placeSaved(q, layers):
			placeTight(q, layers)
		default:
			q.ScratchBytes = placeScratch(q)
		}
		// Programs of one arena run one after the other and share it, so its
		// size is that of the largest.
		setArena(p, q.Arena, q.SavedBytes+q.ScratchBytes)
		u.Stats["saved."+q.Name] = int(q.SavedBytes)
		u.Stats["scratch."+q.Name] = int(q.ScratchBytes)
	}
	// State exists for every layer; a state outside of the layers counts as
	// one.
	for _, s := range p.State {
		setArena(p, s.Name, s.Bytes*int64(max(1, s.Layers)))
	}
	// plan_checkpoint priced the plan before it was made. If its sum is not
	// what came out, its choice was made on wrong numbers, and that is not to
	// be passed over.
	if c := u.Checkpoint; c != nil && p.Arena("act.train") != c.Peak {
		return fmt.Errorf("plan_memory: the arena has %d bytes, plan_checkpoint counted on %d", p.Arena("act.train"), c.Peak)
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

// placeSaved lays out the layers' blocks from the arena's start and reports
// whether there are any. In each the input comes first, so that the result of
// the last layer is the input of a layer that does not exist.
func placeSaved(q *plan.Program, layers int) bool {
	// The sums start anew, whether the program is priced or placed for good.
	inputs := carriedBuffers(q)
	q.SavedBytes, q.SavedPerLayer = 0, 0
	blocks := q.Blocks(layers)
	for _, k := range blocks {
		saved := k.Buffers
		slices.SortStableFunc(saved, func(a, b *plan.Buffer) int {
			switch {
			case inputs[a] == inputs[b]:
				return 0
			case inputs[a]:
				return -1
			}
			return 1
		})
		var block, tail int64
		for _, b := range saved {
			b.Offset = block
			block += align(b.Bytes, plan.Align)
			if inputs[b] {
				tail = block
			}
		}
		// A layer's buffer lies at Offset + layer·Stride. The block of the
		// segment's first layer begins at SavedBytes, so layer 0 of the formula
		// would lie before it by From blocks: the offset may be negative.
		for _, b := range saved {
			b.Stride = block
			b.Offset += q.SavedBytes - int64(k.From)*block
		}
		q.SavedBytes += int64(k.To-k.From) * block
		if k.To == layers {
			// Behind the last block there is room for one more input, which is
			// the result of the stack.
			q.SavedBytes += tail
		}
		// With one segment all blocks are alike; with several there is no such
		// number.
		if len(blocks) == 1 {
			q.SavedPerLayer = block
		}
	}
	return len(blocks) > 0
}

// carriedBuffers are the stored buffers that a layer writes for the next one.
//
// A layer's result is the next one's input, and as such is stored in the next
// block.
func carriedBuffers(q *plan.Program) map[*plan.Buffer]bool {
	found := map[*plan.Buffer]bool{}
	see := func(o plan.Operand) {
		if o.Layer == plan.NextLayer && o.Kind == plan.InBuffer {
			found[o.Buffer] = true
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

// scratchOf lists the program's scratch buffers with their lives.
func scratchOf(q *plan.Program) []*slot {
	var out []*slot
	for _, b := range q.Buffers {
		if b.Region == plan.Scratch {
			out = append(out, &slot{buffer: b, bytes: align(b.Bytes, plan.Align), life: plan.Span{First: b.First, Last: b.Last}})
		}
	}
	return out
}

// placeScratch places scratch above all that is stored and gives its peak.
func placeScratch(q *plan.Program) int64 {
	slots := scratchOf(q)
	// All floors are 0 here, so the load is the plain sum of what lives at one
	// time.
	peak := arrange(slots, load(slots), extent)
	for _, s := range slots {
		s.buffer.Offset = q.SavedBytes + s.at
	}
	return peak
}

// LargestLive is the largest sum of scratch buffers alive at one time: no
// placement can need less.
func LargestLive(q *plan.Program) int64 { return load(scratchOf(q)) }
