package compile

import (
	"errors"
	"fmt"
	"strings"

	"github.com/llamac/llamac/ir"
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
