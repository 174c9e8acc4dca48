// Package passes holds the compiler's passes and the table that orders them.
//
// A pass is a row: a name, a line of documentation, a function over a Unit,
// and the invariants it requires and establishes. The verifier runs after
// every pass. Nothing registers itself; the tables below are the pipelines.
package passes

import (
	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/plan"
)

// Unit is what a pipeline works on.
type Unit struct {
	Module *ir.Module
	Plan   *plan.Plan // nil until schedule
	Config Config
	Stats  Stats // of the pass that runs
}

// Stats counts what a pass did, by rule: "fuse_rope.interleaved" fired twice.
type Stats map[string]int

// Pass is one row of a pipeline.
type Pass struct {
	Name     string
	Doc      string // one line
	Run      func(*Unit) error
	Required bool // cannot be disabled
}

// Config is a compilation's choices.
type Config struct {
	Mode string // "train" or "infer"
}
