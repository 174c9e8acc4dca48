package ir

import "math/rand/v2"

// Shuffle puts a function's nodes into a random order in which every value is
// still defined before it is used and nodes with effects, or that touch state,
// keep their order. Passes must find the same in every such order; tests
// shuffle before each pass to hold them to it.
// Among the nodes that are ready each step takes any with the same probability,
// which does not make all orders equally likely but reaches each. The same seed
// gives the same order, so that a failure can be repeated.
func Shuffle(f *Func, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0x5eed))
	waits := make([]int, len(f.Nodes)) // operands not yet defined, the earlier effect included
	wakes := make([][]int, len(f.Nodes))
	index := map[*Node]int{}
	last := -1 // the latest node with an effect
	// The optimiser changes weights that no operand of its node names.
	barrier := -1 // the latest node that writes weights, which any node may read
	for i, n := range f.Nodes {
		index[n] = i
		// Twice the same pair counts twice on both sides, so nothing is lost.
		depend := func(j int) {
			waits[i]++
			wakes[j] = append(wakes[j], i)
		}
		// All that comes behind the update reads new weights.
		if barrier >= 0 {
			depend(barrier)
		}
		if n.Op.Effect == WritesWeights {
			// All that comes before it reads old ones.
			for j := range i {
				depend(j)
			}
			barrier = i
		}
		// State that a node reads counts as an effect too: another node's writing to
		// it shows in no operand. Readers keep their order among each other as well,
		// which is more than is needed.
		ordered := n.Op.Effect != Pure
		for _, x := range n.Operands {
			switch {
			case x == nil:
			case x.State != nil:
				ordered = true
			case x.Def != nil:
				depend(index[x.Def])
			}
		}
		if ordered {
			if last >= 0 {
				depend(last)
			}
			last = i
		}
	}
	// Kahn's algorithm, with a random choice from what is ready.
	var ready []int
	for i, w := range waits {
		if w == 0 {
			ready = append(ready, i)
		}
	}
	nodes := make([]*Node, 0, len(f.Nodes))
	for len(ready) > 0 {
		k := rng.IntN(len(ready))
		i := ready[k]
		// The last takes the place of the chosen one: the order in ready is of no
		// meaning.
		ready[k] = ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		nodes = append(nodes, f.Nodes[i])
		for _, j := range wakes[i] {
			if waits[j]--; waits[j] == 0 {
				ready = append(ready, j)
			}
		}
	}
	f.Nodes = nodes
}
