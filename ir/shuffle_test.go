package ir_test

import (
	"strings"
	"testing"

	"github.com/llamac/llamac/ir"
)

const shuffled = `module m
dim N in [1, 8]
weight $w: f32[6]
weight $v: f32[6]

func @main main(%x: f32[6]) -> (%e) {
  %a = exp(%x) : f32[6]
  %b = neg(%x) : f32[6]
  grad_add(%a, $w)
  %c = add(%a, %b) : f32[6]
  grad_add(%b, $v)
  %d = mul(%c, %a) : f32[6]
  grad_add(%c, $w)
  %e = sub(%d, $w) : f32[6]
}
`

// TestShuffle checks that shuffled functions verify, keep effects in order,
// and that seeds give different orders.
func TestShuffle(t *testing.T) {
	orders := map[string]bool{}
	for seed := range uint64(50) {
		m, err := ir.Parse("shuffle", []byte(shuffled))
		if err != nil {
			t.Fatal(err)
		}
		ir.Shuffle(m.Funcs[0], seed)
		if err := ir.Verify(m); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		text := m.String()
		orders[text] = true
		at := -1
		for _, effect := range []string{"grad_add(%a, $w)", "grad_add(%b, $v)", "grad_add(%c, $w)"} {
			i := strings.Index(text, effect)
			if i < at {
				t.Fatalf("seed %d moves %s\n%s", seed, effect, text)
			}
			at = i
		}
		if strings.Count(text, "\n") != strings.Count(shuffled, "\n") {
			t.Fatalf("seed %d loses nodes\n%s", seed, text)
		}
		again, _ := ir.Parse("shuffle", []byte(shuffled))
		ir.Shuffle(again.Funcs[0], seed)
		if again.String() != text {
			t.Fatalf("seed %d gives two orders", seed)
		}
	}
	if len(orders) < 10 {
		t.Errorf("50 seeds give %d orders", len(orders))
	}
}
