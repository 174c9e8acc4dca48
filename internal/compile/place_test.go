package compile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llamac/llamac/codegen/golang"
	"github.com/llamac/llamac/internal/diag"
	"github.com/llamac/llamac/specs"
)

// TestPlaced holds what passes find wrong with a model to the line of the spec
// that asked for it.
func TestPlaced(t *testing.T) {
	const attention = `local node = import 'llamac/node.libsonnet';
local twin = import 'llamac/twin.libsonnet';
twin { name: 'odd', doc: 'Attention that no decoder can have.', model+: { local m = self, block: [
  node.linear('a', 'x', 'wa', m.dim),
  node.split_heads('ah', 'a', 2),
  node.matmul_nt('s', 'ah', 'ah'),
MASK
  node.softmax('p', 'masked'),
  node.matmul('mixed', 'p', 'ah'),
  node.merge_heads('o', 'mixed'),
  node.add('out', 'x', 'o'),
] } }
`
	for mask, want := range map[string]string{
		"  node.scale('masked', 's', 0.5),":                                       "odd.jsonnet:6:3: ", // q·k is where tokens meet
		"  node.causal_mask('seen', 's'),\n  node.mul('masked', 'seen', 'seen'),": "odd.jsonnet:7:3: ",
	} {
		file := filepath.Join(t.TempDir(), "odd.jsonnet")
		if err := os.WriteFile(file, []byte(strings.Replace(attention, "MASK", mask, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := specs.Load(file, specs.Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = Spec(s, Options{})
		var d *diag.Error
		if !errors.As(err, &d) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error at %s", err, want)
		}
	}
}

// deaf is a target without kernels for two ops.
type deaf struct{ golang.Target }

func (deaf) Unsupported(op string) string {
	if op == "rope" || op == "swiglu" {
		return "no kernel"
	}
	return ""
}

// TestUnsupported holds that a target's missing kernels are told all at once, each
// at the node that needs it.
func TestUnsupported(t *testing.T) {
	s, err := specs.Load("../../specs/tiny_gqa.jsonnet", specs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Spec(s, Options{Targets: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := unsupported(s, r.Plan, golang.Target{}); err != nil {
		t.Errorf("target go: %v", err)
	}
	err = unsupported(s, r.Plan, deaf{})
	for _, want := range []string{"target go cannot run rope: no kernel", "target go cannot run swiglu: no kernel", "llama.libsonnet"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

// TestOrigin finds nodes by the names of values that passes made.
func TestOrigin(t *testing.T) {
	list := []specs.Node{
		{Name: "h"},
		{Name: "layers", Body: []specs.Node{{Name: "attn"}, {Name: "attn.o"}, {Name: "out"}}},
	}
	for value, want := range map[string]string{
		"h": "h", "d.h": "h", "attn.o.rows": "attn.o", "d.attn.o.rows.again": "attn.o", "attn.q": "attn", "layers": "layers", "attention": "", "d": "",
	} {
		got := ""
		if n := origin(list, value); n != nil {
			got = n.Name
		}
		if got != want {
			t.Errorf("%s comes from %q, want %q", value, got, want)
		}
	}
}
