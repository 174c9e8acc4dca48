package compile

import (
	"errors"
	"fmt"
	"strings"

	"github.com/llamac/llamac/codegen"
	"github.com/llamac/llamac/internal/diag"
	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/plan"
	"github.com/llamac/llamac/specs"
)

// placed gives what a pass or a target says about a value the place of the
// spec's node that the value comes from, so that it is the spec's error and not
// the compiler's. Other errors get the file alone.
func placed(s *specs.Spec, what string, err error) error {
	if what != "" {
		err = fmt.Errorf("%s: %w", what, err)
	}
	var v *ir.ValueError
	if errors.As(err, &v) {
		if n := origin(s.Model.Network, v.Value); n != nil {
			return s.Errorf(n.Path, "%v", err)
		}
	}
	return fmt.Errorf("%s: %w", s.File, err)
}

// unsupported refuses a plan with launches that the target has no kernel for: all
// of them at once, each at the node that it comes from.
func unsupported(s *specs.Spec, pl *plan.Plan, t codegen.Target) error {
	var errs diag.List
	told := map[string]bool{}
	var walk func(items []plan.Item)
	walk = func(items []plan.Item) {
		for _, it := range items {
			switch x := it.(type) {
			case *plan.Loop:
				walk(x.Body)
			case *plan.Launch:
				// What lowering makes up itself, such as kv_write, is no op of the IR.
				if told[x.Op] || ir.Lookup(x.Op) == nil {
					continue
				}
				if why := t.Unsupported(x.Op); why != "" {
					told[x.Op] = true
					errs = append(errs, s.Errorf(nodePath(s, x.Name), "target %s cannot run %s: %s", t.Name(), x.Op, why))
				}
			}
		}
	}
	for _, p := range pl.Programs {
		walk(p.Items)
	}
	return errs.Err()
}

// nodePath is the field of the node that a value comes from, the document itself
// if there is none.
func nodePath(s *specs.Spec, value string) string {
	if n := origin(s.Model.Network, value); n != nil {
		return n.Path
	}
	return ""
}

// origin is the node that a value was named after, in the list or inside of a
// repetition, or nil. A node's values begin with its name: %attn.o.rows comes
// from attn.o, and so does its gradient %d.attn.o.rows. Of nodes attn and attn.o
// it is the longer one.
func origin(list []specs.Node, value string) *specs.Node {
	value = strings.TrimPrefix(value, "d.")
	var best *specs.Node
	for i := range list {
		n := &list[i]
		if inner := origin(n.Body, value); inner != nil {
			n = inner
		} else if value != n.Name && !strings.HasPrefix(value, n.Name+".") {
			continue
		}
		if best == nil || len(n.Name) > len(best.Name) {
			best = n
		}
	}
	return best
}
