// Package plan is the compiler's last form: a list of launches, loops and
// copies over arenas, which every target prints.
package plan

// Plan is the programs of one compiled model.
type Plan struct{}
