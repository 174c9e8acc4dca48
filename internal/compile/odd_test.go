package compile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"

	"github.com/llamac/llamac/specs"
)

// oddSpecs are specs that a person may write and the library does not have.
// block and network are lists of nodes in Jsonnet; empty for the twin's own.
var oddSpecs = map[string]struct{ block, network string }{
	"no_attention": {block: `[
		node.rms_norm('n', 'x', 'norm1', 1e-5), node.linear('a', 'n', 'w1', 48), node.gelu('b', 'a'),
		node.linear('c', 'b', 'w2', 32), node.add('out', 'x', 'c')]`},
	"names_of_inputs": {network: `[
		node.embedding('want', 'tok_embeddings', m.dim), node.repeat('targets', 'want', m.n_layers, m.block),
		node.rms_norm('pos', 'targets', 'norm', 1e-5), node.linear('table', 'pos', 'output', m.vocab)]`},
	"names_of_starts": {block: `[
		node.linear('in', 'x', 'starts', 32), node.split_heads('starts', 'in', 4), node.rope('in.starts', 'starts'),
		node.matmul_nt('s', 'in.starts', 'in.starts'), node.scale('z', 's', 0.3), node.causal_mask('start', 'z'), node.softmax('p', 'start'),
		node.matmul('oh', 'p', 'starts'), node.merge_heads('o', 'oh'), node.add('out', 'x', 'o')]`},
	"names_of_go": {block: `[
		node.rms_norm('func', 'x', 'd', 1e-5), node.linear('range', 'func', 't', 32), node.tanh('mode', 'range'),
		node.linear('type', 'mode', 'w', 32), node.add('l', 'x', 'type')]`},
	"names_that_differ_in_signs": {block: `[
		node.rms_norm('a.b', 'x', 'w.a', 1e-5), node.linear('a_b', 'a.b', 'w_a', 32), node.tanh('a__b', 'a_b'),
		node.linear('a.b_c', 'a__b', 'w.a_b', 32), node.add('a_b.c', 'x', 'a.b_c')]`},
	"first_reads_its_result": {block: `[node.tanh('t', 'x'), node.linear('a', 't', 'w1', 32), node.add('out', 'x', 'a')]`},
	// Gradients that meet in a column of a pack with an accumulator not in place.
	"pack_of_gradients": {block: `[
		node.rms_norm('n', 'x', 'norm1', 1e-5), node.linear('a', 'n', 'wa', 32), node.linear('c', 'n', 'wc', 32),
		node.linear('t', 'a', 'wt', 32), node.linear('u', 'c', 'wu', 32), node.add('tu', 't', 'u'),
		node.add('s', 'a', 'x'), node.add('out', 's', 'tu')]`},
	"softmax_over_channels": {block: `[
		node.rms_norm('n', 'x', 'norm1', 1e-5), node.linear('a', 'n', 'w1', 48), node.softmax('p', 'a'),
		node.linear('b', 'p', 'w2', 32), node.add('out', 'x', 'b')]`},
	"result_is_not_added": {block: `[node.rms_norm('n', 'x', 'norm1', 1e-5), node.linear('out', 'n', 'w1', 32)]`},
	"small_numbers":       {block: `[node.scale('s', 'x', 1e-30), node.linear('a', 's', 'w1', 32), node.scale('z', 'a', -0.0), node.add('out', 'x', 'z')]`},
}

func oddSpec(t *testing.T, dir, name string, set ...string) *specs.Spec {
	t.Helper()
	o := oddSpecs[name]
	var fields []string
	if o.block != "" {
		fields = append(fields, "block: "+o.block)
	}
	if o.network != "" {
		fields = append(fields, "network: "+o.network)
	}
	src := "local node = import 'llamac/node.libsonnet';\nlocal twin = import 'llamac/twin.libsonnet';\ntwin { name: '" + name +
		"', doc: 'An odd spec.', model+: { local m = self, " + strings.Join(fields, ", ") + " } }\n"
	path := filepath.Join(dir, name+".jsonnet")
	if err := os.WriteFile(path, []byte(src), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := specs.Load(path, specs.Options{Set: set})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestOddSpecs compiles each odd spec under each checkpoint policy and
// type-checks what comes out, without writing it anywhere.
func TestOddSpecs(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	overlay := map[string][]byte{}
	var patterns []string
	dir := t.TempDir()
	for name := range oddSpecs {
		var set []string
		if name == "names_of_starts" {
			set = []string{"data.boundary=mask"}
		}
		s := oddSpec(t, dir, name, set...)
		for _, policy := range []string{"none", "keep-linear", "full"} {
			pkg := name + "_" + strings.ReplaceAll(policy, "-", "_")
			r, err := Spec(s, Options{Checkpoint: policy, Package: pkg})
			if err != nil {
				t.Errorf("%s, %s: %v", name, policy, err)
				continue
			}
			for _, f := range r.Files {
				if strings.HasSuffix(f.Name, ".go") {
					overlay[filepath.Join(root, "generated", "odd", pkg, f.Name)] = f.Data
				}
			}
			patterns = append(patterns, "./generated/odd/"+pkg)
		}
	}
	ps, err := packages.Load(&packages.Config{Mode: packages.LoadSyntax, Dir: root, Overlay: overlay}, patterns...)
	if err != nil {
		t.Fatal(err)
	}
	if len(ps) != len(patterns) {
		t.Errorf("%d packages loaded of %d", len(ps), len(patterns))
	}
	for _, p := range ps {
		for _, e := range p.Errors {
			t.Errorf("%v", e)
		}
	}
}

// TestRefused holds what a spec may ask for and does not get, with positions.
func TestRefused(t *testing.T) {
	for set, want := range map[string]string{
		"parallel.dp=2":         "--set parallel.dp=2: data parallelism is not there yet: dp 2",
		"parallel.sp=true":      "--set parallel.sp=true: sequence parallelism is not there yet",
		"precision.master=bf16": "--set precision.master=bf16: the optimiser's copy is f32, not bf16",
	} {
		_, err := Spec(load(t, "tiny_mha.jsonnet", set), Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("--set %s: got %v, want %q", set, err, want)
		}
	}
	// A mask of documents is put where the causal mask is.
	if _, err := Spec(oddSpec(t, t.TempDir(), "small_numbers", "data.boundary=mask"), Options{}); err == nil ||
		!strings.Contains(err.Error(), `--set data.boundary=mask: data.boundary is "mask", but the network has no causal_mask that could stop at documents`) {
		t.Errorf("documents without attention: got %v", err)
	}
	// Attention without softmax would mix the tokens of several sequences.
	dir := t.TempDir()
	oddSpecs["relu_attention"] = struct{ block, network string }{block: `[
		node.rms_norm('n', 'x', 'norm1', 1e-5), node.linear('q', 'n', 'wq', 32), node.split_heads('qh', 'q', 4),
		node.matmul_nt('s', 'qh', 'qh'), node.relu('p', 's'), node.matmul('oh', 'p', 'qh'), node.merge_heads('o', 'oh'), node.add('out', 'x', 'o')]`}
	s := oddSpec(t, dir, "relu_attention")
	delete(oddSpecs, "relu_attention")
	if _, err := Spec(s, Options{}); err == nil || !strings.Contains(err.Error(), "lets tokens see each other") {
		t.Errorf("attention without softmax: got %v", err)
	}
	if _, err := Spec(s, Options{Modes: []string{"train"}}); err != nil {
		t.Errorf("attention without softmax, training: %v", err)
	}
}
