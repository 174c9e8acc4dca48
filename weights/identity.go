package weights

import (
	"fmt"
	"math"
	"strings"

	"github.com/llamac/llamac/runtime/console"
	"github.com/llamac/llamac/runtime/model"
)

// sameModel compares what a checkpoint says of its model with the program's
// spec, field by field: weights are numbers that mean something under the fields
// of class IdentityField alone, while shapes agree for many others.
func sameModel(path, name, hash, spec string, info model.Info) error {
	if hash == info.SpecHash {
		return nil
	}
	if spec == "" || info.SpecJSON == "" {
		return &SpecError{path, fmt.Sprintf("the checkpoint was written by another specification (%s, hash %.12s); this is %s, hash %.12s, and the file records no more of its own than the hash: give the very spec and --set that it was trained with",
			name, hash, info.Name, info.SpecHash)}
	}
	changes, err := model.Changes(spec, info.SpecJSON)
	if err != nil {
		return bad(path, 8, "spec_json: %v", err)
	}
	changes = model.OfClass(changes, model.IdentityField)
	if len(changes) == 0 {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "the checkpoint is of another model than %s:", info.SpecFile)
	follow := ""
	for i, c := range changes {
		const most = 12 // of another model nearly all nodes differ
		if i == most {
			fmt.Fprintf(&b, "\n\tand %d more", len(changes)-most)
			break
		}
		fmt.Fprintf(&b, "\n\t%s is %s in the checkpoint (its spec_json) and %s in %s", c.Path, orNone(c.Old), orNone(c.New), info.SpecFile)
		// Nodes are not set one by one.
		if c.Old != "" && !strings.Contains(c.Path, "[") {
			follow += " --set " + console.Word(c.Path+"="+c.Old)
		}
	}
	if follow != "" {
		fmt.Fprintf(&b, "\n%s follows the checkpoint", strings.TrimSpace(follow))
	}
	return &SpecError{path, b.String()}
}

// orNone is a value for a sentence.
func orNone(v string) string {
	if v == "" {
		return "not given"
	}
	return v
}

// CheckFinite fails if a weight, or one of Adam's moments in the same layout,
// is NaN or infinite: what follows from such a state is NaN for ever.
func CheckFinite(path string, info model.Info, arenas ...[]float32) error {
	prefixes := []string{"", firstMoment, secondMoment}
	for a, arena := range arenas {
		if arena == nil {
			continue
		}
		for i := range info.Weights {
			w := &info.Weights[i]
			for j, x := range arena[w.Offset : w.Offset+w.Len()] {
				if x-x != 0 {
					return bad(path, -1, "%s%s is %v at element %d: these numbers are of a training that broke", prefixes[a], w.Name, printable(x), j)
				}
			}
		}
	}
	return nil
}

func printable(x float32) string {
	if math.IsNaN(float64(x)) {
		return "NaN"
	}
	return "infinite"
}
