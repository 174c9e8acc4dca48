package ir_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/llamac/llamac/ir"
)

// effects says what an op does beside computing results.
var effects = map[ir.Effect]string{
	ir.WritesGrad:     "adds to gradients of weights",
	ir.WritesState:    "updates its state operand",
	ir.WritesWeights:  "updates all weights and moments",
	ir.Communicates:   "talks to other devices",
	ir.ReadsGradients: "reads all gradients",
}

// TestDoc keeps docs/ops.md what the op table says.
func TestDoc(t *testing.T) {
	var b bytes.Buffer
	fmt.Fprintln(&b, "# Ops")
	fmt.Fprintln(&b)
	fmt.Fprintln(&b, "Made from the op table (`ir/ops_*.go`) by `go test ./ir -run TestDoc -update`. An operand in brackets may be absent, one")
	fmt.Fprintln(&b, "with dots repeats. A result in place may take over an operand's memory. `ir/interp` defines what each op computes.")
	for g := ir.Primitive; g <= ir.Collective; g++ {
		fmt.Fprintf(&b, "\n## %s\n\n| op | operands | results | attributes | meaning | gradient |\n|---|---|---|---|---|---|\n", g)
		for _, o := range ir.Ops {
			if o.Group != g {
				continue
			}
			var operands, attrs, results []string
			for _, x := range o.Operands {
				if s, ok := strings.CutSuffix(x, "?"); ok {
					x = "[" + s + "]"
				}
				operands = append(operands, x)
			}
			for i, r := range o.Results {
				if j, ok := o.InPlace[i]; ok {
					r += " in place of " + strings.Trim(o.Operands[j], "?.")
				}
				results = append(results, r)
			}
			for _, a := range o.Attrs {
				s := a.Name + " " + a.Kind.String()
				if a.Default != nil {
					s += " = " + ir.FormatAttr(a.Default)
				}
				attrs = append(attrs, s+": "+a.Doc)
			}
			grad := "rule"
			if o.Grad == nil {
				grad = "none: " + o.NoGrad
			}
			doc := strings.ReplaceAll(o.Doc, "|", `\|`)
			if o.Effect != ir.Pure {
				doc += " Effect: " + effects[o.Effect] + "."
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", o.Name, strings.Join(operands, ", "), strings.Join(results, ", "), strings.Join(attrs, "; "), doc, grad)
		}
	}
	const name = "../docs/ops.md"
	if *update {
		if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	old, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(old, b.Bytes()) {
		t.Errorf("%s is not what the table says: go test ./ir -run TestDoc -update", name)
	}
}
