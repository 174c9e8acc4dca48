package build_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llamac/llamac/ir/build"
	"github.com/llamac/llamac/specs"
)

// TestRotatedWeights builds layers with all that may meet a rotation, and looks at
// which weights move with it, and in how many heads: 0 where nothing may move.
// Heads are 4 of 8 channels.
func TestRotatedWeights(t *testing.T) {
	const begin = `
		local twin = import 'llamac/twin.libsonnet';
		local node = import 'llamac/node.libsonnet';
		twin { name: 'between', model+: { block: [
			node.linear('v', 'x', 'wv', 32, bias='bv'), node.split_heads('vh', 'v', 4),
			node.linear('q', 'x', 'wq', 32, bias='bq'), node.split_heads('qh', 'q', 4),`
	const keys = "node.linear('k', 'x', 'wk', 32), node.split_heads('kh', 'k', 4),"
	// The scores of r and kr.
	const end = `
			node.matmul_nt('s', 'r', 'kr'), node.softmax('p', 's'), node.matmul('a', 'p', 'vh'),
			node.merge_heads('o', 'a'), node.linear('out', 'o', 'wo', 32) ] } }`
	for _, c := range []struct{ name, nodes, rotated string }{
		{"plain", keys + "node.rope('r', 'qh'), node.rope('kr', 'kh'),", "wq:4 bq:4 wk:4"},
		{"keys alone", keys + "node.scale('r', 'qh', 2), node.rope('kr', 'kh'),", "wq:4 bq:4 wk:4"},
		{"queries alone", keys + "node.rope('r', 'qh'), node.scale('kr', 'kh', 2),", "wq:4 bq:4 wk:4"},
		{"neither", keys + "node.scale('r', 'qh', 3), node.scale('kr', 'kh', 2),", ""},
		{"norm of heads", keys + "node.rms_norm('n', 'qh', 'g', 1e-5), node.rope('r', 'n'), node.rope('kr', 'kh'),", "wq:4 bq:4 wk:4 g:1"},
		{"norm behind", keys + "node.rope('r1', 'qh'), node.layer_norm('r', 'r1', 'g', 1e-5, bias='gb'), node.rope('kr', 'kh'),", "wq:4 bq:4 wk:4 g:1 gb:1"},
		{"norm of all heads", "node.rms_norm('n', 'q', 'g', 1e-5), node.split_heads('nh', 'n', 4), node.rope('r', 'nh')," + keys + "node.rope('kr', 'kh'),", "wq:4 bq:4 g:4 wk:4"},
		{"grouped", "node.linear('k', 'x', 'wk', 16, bias='bk'), node.split_heads('kh', 'k', 2), node.rope('kr1', 'kh'), node.repeat_kv('kr', 'kr1', 2), node.rope('r', 'qh'),", "wq:4 bq:4 wk:2 bk:2"},
		{"a gate", keys + "node.linear('z', 'x', 'wz', 32), node.sigmoid('zs', 'z'), node.mul('qz', 'q', 'zs'), node.split_heads('zh', 'qz', 4), node.rope('r', 'zh'), node.rope('kr', 'kh'),", "wq:4 bq:4 wk:4 wz:4"},
		{"one factor", keys + "node.linear('z', 'x', 'wz', 1), node.mul('qz', 'q', 'z'), node.split_heads('zh', 'qz', 4), node.rope('r', 'zh'), node.rope('kr', 'kh'),", "wq:4 bq:4 wk:4"},
		{"keys are values", "node.rope('r', 'qh'), node.rope('kr', 'vh'),", "wv:0 bv:0 wq:0 bq:0 wo:0"},
		{"two projections", keys + "node.linear('q2', 'q', 'wq2', 32), node.split_heads('q2h', 'q2', 4), node.rope('r', 'q2h'), node.rope('kr', 'kh'),", "wk:4 wq2:4"},
		{"heads of two widths", keys + "node.split_heads('q2', 'q', 8), node.matmul_nt('s2', 'q2', 'q2'), node.rope('r', 'qh'), node.rope('kr', 'kh'),", "wq:0 bq:0 wk:0"},
		{"rotated in two widths", keys + "node.split_heads('q2', 'q', 2), node.rope('q2r', 'q2'), node.rope('r', 'qh'), node.rope('kr', 'kh'),", "wq:0 bq:0 wk:0"},
		{"a mask over channels", keys + "node.causal_mask('m', 'qh'), node.rope('r', 'm'), node.rope('kr', 'kh'),", "wq:0 bq:0 wk:0"},
		{"the layer's input", keys + "node.add('y', 'q', 'x'), node.split_heads('yh', 'y', 4), node.rope('r', 'yh'), node.rope('kr', 'kh'),", "tok_embeddings:0 wv:0 wq:0 bq:0 wk:0 wo:0 norm:0 output:0"},
		{"a mixture", keys + "node.matmul_nt('s0', 'qh', 'kh'), node.softmax('p0', 's0'), node.matmul('a0', 'p0', 'vh'), node.rope('r', 'a0'), node.rope('kr', 'kh'),", "wv:0 bv:0 wq:0 bq:0 wk:0 wo:0"},
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
					rotated = append(rotated, fmt.Sprintf("%s:%d", w.Name, w.Heads))
				}
			}
			if got := strings.Join(rotated, " "); got != c.rotated {
				t.Errorf("rotated: %q, want %q", got, c.rotated)
			}
		})
	}
}
