package passes

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"testing"
)

// TestDoc keeps docs/passes.md what the pass tables say.
func TestDoc(t *testing.T) {
	var b bytes.Buffer
	fmt.Fprintln(&b, "# Passes")
	fmt.Fprintln(&b)
	fmt.Fprintln(&b, "Made from the tables in `passes/pipeline.go` by `go test ./passes -run TestDoc -update`. The verifier runs after every")
	fmt.Fprintln(&b, "pass. `llamac compile SPEC --dump-after all --dump-dir DIR` writes the module after each; `--disable-pass PASS` leaves one")
	fmt.Fprintln(&b, "out, unless it is required.")
	for _, p := range []struct {
		name   string
		doc    string
		passes []Pass
	}{
		{"Training", "From `@loss` to the programs `micro_step`, `eval` and `update`.", Train},
		{"Inference", "From `@logits` to the program `decode`.", Infer},
	} {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| | pass | what it does | required |\n|---|---|---|---|\n", p.name, p.doc)
		for i, x := range p.passes {
			required := ""
			if x.Required {
				required = "yes"
			}
			fmt.Fprintf(&b, "| %d | `%s` | %s | %s |\n", i+1, x.Name, x.Doc, required)
		}
	}
	const name = "../docs/passes.md"
	if *update {
		if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	old, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(old, b.Bytes()) {
		t.Errorf("%s is not what the tables say: go test ./passes -run TestDoc -update", name)
	}
}

// TestTables holds that pass names are unique in a pipeline and documented.
func TestTables(t *testing.T) {
	for _, table := range [][]Pass{Train, Infer} {
		var names []string
		for _, p := range table {
			if p.Name == "" || p.Doc == "" || p.Run == nil {
				t.Errorf("pass %q lacks a name, a line of documentation or a function", p.Name)
			}
			if slices.Contains(names, p.Name) {
				t.Errorf("two passes are named %s", p.Name)
			}
			names = append(names, p.Name)
		}
	}
}
