package fuzz

import (
	"strings"
	"testing"

	"github.com/llamac/llamac/ir"
)

// oneOp is a model around one elementwise op. It works on %a, numbers of both
// signs up to about 2, and on the learned %b; what it makes is added to x, which
// so has a gradient beside that of an op without one.
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
  %two = const() {values = [2.0]} : f32[]
  %x = gather($emb, %tokens) : f32[B, T, 6]
  %b = gather($emb2, %tokens) : f32[B, T, 6]
OP
  %h = add(%x, %y) : f32[B, T, 6]
  %logits = linear(%h, $out) : f32[B, T, 7]
  %loss = cross_entropy(%logits, %targets) : f32[]
}
`

// positive are the ops that are tame on x² + 1/2, and not on numbers near 0.
var positive = map[string]bool{"log": true, "sqrt": true, "rsqrt": true, "pow": true, "reciprocal": true, "div": true}

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
		case op.Name == "div":
			body = "  %y = div(%b, %a)" + numbers
		default:
			body = "  %y = " + op.Name + "(%a, %b)" + numbers
		}
		a := "  %a = mul(%x, %two)" + numbers + "\n"
		if positive[op.Name] {
			a = "  %xx = square(%x)" + numbers + "\n  %a = add(%xx, %half)" + numbers + "\n"
		}
		body = a + body
		k, err := ParseCase(op.Name, []byte(strings.Replace(oneOp, "OP", body, 1)))
		if err != nil {
			t.Error(err)
			continue
		}
		before := c.Counts["checked"]
		if err := c.Check(k); err != nil {
			t.Errorf("%s: %v", op.Name, err)
		} else if c.Counts["checked"] != before+1 {
			t.Errorf("%s was not compared to the end: %v", op.Name, c.Counts)
		}
	}
	if c.Counts["checked"] < 30 {
		t.Errorf("counted %v", c.Counts)
	}
}
