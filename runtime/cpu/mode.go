package cpu

// Mode says what a kernel does with the result it computes.
//
// Gradients of weights are the reason: the first micro-batch of a step
// overwrites them, the others add, and nobody has to clear memory.
type Mode uint8

const (
	Overwrite  Mode = iota // store it; what the result buffer held is never read
	Accumulate             // add it to what the result buffer holds
)

func (m Mode) String() string {
	if m == Accumulate {
		return "accumulate"
	}
	return "overwrite"
}
