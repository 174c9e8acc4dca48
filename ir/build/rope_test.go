package build_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llamac/llamac/ir/build"
	"github.com/llamac/llamac/specs"
)

// TestMarkRope builds layers with something between a projection and the
// rotation of its heads, and looks at which weights are recorded as rotated.
func TestMarkRope(t *testing.T) {
	const begin = `
		local twin = import 'llamac/twin.libsonnet';
		local node = import 'llamac/node.libsonnet';
		twin { name: 'between', model+: { block: [
			node.linear('q', 'x', 'wq', 32), node.split_heads('qh', 'q', 4),
			node.linear('v', 'x', 'wv', 32), node.split_heads('vh', 'v', 4),`
	const end = `
			node.merge_heads('o', 'r'), node.add('out', 'x', 'o') ] } }`
	for _, c := range []struct{ name, nodes, rotated string }{
		{"nothing", "node.rope('r', 'qh'),", "wq"},
		{"norm", "node.rms_norm('n', 'qh', 'g', 1e-5), node.rope('r', 'n'),", "wq"},
		{"repeat", "node.linear('k', 'x', 'wk', 16), node.split_heads('kh', 'k', 2), node.repeat_kv('kx', 'kh', 2), node.rope('r', 'kx'),", "wk"},
		{"mask", "node.causal_mask('m', 'qh'), node.rope('r', 'm'),", "wq"},
		{"product", "node.matmul_nt('s', 'qh', 'vh'), node.causal_mask('m', 's'), node.softmax('p', 'm'), node.matmul('a', 'p', 'vh'), node.rope('r', 'a'),", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "between.jsonnet")
			if err := os.WriteFile(file, []byte(begin+c.nodes+end), 0o666); err != nil {
				t.Fatal(err)
			}
			s, err := specs.Load(file, specs.Options{})
			if err != nil {
				t.Fatal(err)
			}
			m, err := build.Train(s)
			if err != nil {
				t.Fatal(err)
			}
			var rotated []string
			for _, w := range m.Weights {
				if w.Rope != "" {
					rotated = append(rotated, w.Name)
				}
			}
			if got := strings.Join(rotated, " "); got != c.rotated {
				t.Errorf("rotated: %q, want %q", got, c.rotated)
			}
		})
	}
}
