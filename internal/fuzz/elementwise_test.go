package fuzz

import (
	"strings"
	"testing"

	"github.com/llamac/llamac/ir"
)

// oneOp is a model around one elementwise op. It works on %a = x² + 1/2, on
// which roots, logarithms and powers are tame, and on the learned %b; what it
// makes is added to x, which so has a gradient beside that of an op without one.
const oneOp = `-- case --
B 3
T 5
vocab 7
seed 1
extra true
-- train.ir --
module one
dim B in [1, 64]
dim T in [1, 64]
weight $emb: f32[7, 6] {decay = true}
weight $emb2: f32[7, 6] {decay = true}
weight $out: f32[7, 6] {decay = true}

func @loss main(%tokens: i32[B, T], %targets: i32[B, T]) -> (%loss) {
  %half = const() {values = [0.5]} : f32[]
  %x = gather($emb, %tokens) : f32[B, T, 6]
  %b = gather($emb2, %tokens) : f32[B, T, 6]
  %xx = square(%x) : f32[B, T, 6]
  %a = add(%xx, %half) : f32[B, T, 6]
OP
  %h = add(%x, %y) : f32[B, T, 6]
  %logits = linear(%h, $out) : f32[B, T, 7]
  %loss = cross_entropy(%logits, %targets) : f32[]
}
`

// TestElementwise takes every elementwise op of the table through the compiler
// in a model that trains: its row, its gradient and its kernel against the
// interpreter. A new row is in it by itself.
func TestElementwise(t *testing.T) {
	c := NewChecker()
	defer c.Device.Close()
	for _, op := range ir.Ops {
		const numbers, truths = " : f32[B, T, 6]", " : bool[B, T, 6]"
		var body string
		switch comparison := strings.Contains(op.NoGrad, "truth"); {
		case !op.Elementwise || op.Name == "cast":
			continue
		case op.Name == "where":
			body = "  %c = less(%a, %b)" + truths + "\n  %y = where(%c, %a, %b)" + numbers
		case comparison:
			body = "  %c = " + op.Name + "(%a, %b)" + truths + "\n  %y = where(%c, %a, %b)" + numbers
		case len(op.Operands) == 1:
			body = "  %y = " + op.Name + "(%a)" + numbers
		default:
			body = "  %y = " + op.Name + "(%a, %b)" + numbers
		}
		k, err := ParseCase(op.Name, []byte(strings.Replace(oneOp, "OP", body, 1)))
		if err != nil {
			t.Error(err)
			continue
		}
		if err := c.Check(k); err != nil {
			t.Errorf("%s: %v", op.Name, err)
		}
	}
	if c.Counts["checked"] < 30 || c.Counts["checked"] != c.Counts["cases"] {
		t.Errorf("counted %v", c.Counts)
	}
}
