package plan

import (
	"strings"

	"github.com/llamac/llamac/ir"
)

// Unsupported says why launches of an op cannot run where kernel says that there
// is no kernel for it, or is empty. It asks for ops of the IR, of which some never
// reach a plan: views are only other operands, stacks are loops, and packs are
// launches of linear.
func Unsupported(op string, kernel bool) string {
	o := ir.Lookup(op)
	switch {
	case kernel:
		return ""
	case o == nil:
		return "no such op"
	case o.View || o.Group == ir.Control || strings.HasPrefix(op, "linear_pack"):
		return "" // lowered by the scheduler
	case o.Group == ir.Collective:
		return "one process: nothing to communicate with"
	}
	return "no kernel"
}
