package fuzz

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/llamac/llamac/passes"
	"github.com/llamac/llamac/plan"
)

// TestForgiven spoils the first plan that is compared and no other, as a
// decision that float32 takes otherwise does: a small difference is forgiven, a
// large one and NaN are not, and neither is one that nothing else acquits.
func TestForgiven(t *testing.T) {
	for _, c := range []struct {
		name    string
		eps     float64 // of the norms of the first plan
		refuse  bool    // the other plans
		forgive bool
	}{
		{"small", 2e-3, false, true},
		{"large", 0.5, false, false},
		{"NaN", math.NaN(), false, false},
		{"refused", 2e-3, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := NewChecker()
			defer k.Device.Close()
			k.Train = insert(k.Train, "schedule", passes.Pass{Name: "planted", Run: func(u *passes.Unit) error {
				if k.Counts["cases"] > 1 {
					if c.refuse {
						return fmt.Errorf("plans hold one")
					}
					return nil
				}
				u.Plan.Program("micro_step").Walk(func(it plan.Item) {
					if l, ok := it.(*plan.Launch); ok && l.Attrs["eps"] != nil {
						l.Attrs = map[string]any{"eps": c.eps}
					}
				})
				return nil
			}})
			err := k.Check(loadSmall(t, "tiny_gqa.jsonnet"))
			if (err == nil) != c.forgive || k.Counts[forgiven] != map[bool]int{true: 1}[c.forgive] {
				t.Errorf("%.300v, %v", err, k.Counts)
			}
			if err != nil && !strings.Contains(err.Error(), "exec: loss") {
				t.Errorf("%.300v", err)
			}
		})
	}
	for _, c := range []struct {
		what         string
		all, allowed int
	}{{forgiven, 20, 1}, {forgiven, 1500, 2}, {forgiven, 10000, 11}, {enlarged, 20, 0}, {enlarged, 15000, 1}, {enlarged, 100000, 10}} {
		if err := TooManyForgiven(map[string]int{"cases": c.all, c.what: c.allowed}); err != nil {
			t.Errorf("%d of %d: %v", c.allowed, c.all, err)
		}
		if err := TooManyForgiven(map[string]int{"cases": c.all, c.what: c.allowed + 1}); err == nil {
			t.Errorf("%d of %d are %q", c.allowed+1, c.all, c.what)
		}
	}
}
