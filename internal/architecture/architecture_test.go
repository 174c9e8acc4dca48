package architecture

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/specs"
)

func load(t *testing.T, file string, set ...string) model.Architecture {
	t.Helper()
	s, err := specs.Load(file, specs.Options{Set: set})
	if err != nil {
		t.Fatal(err)
	}
	return Of(s)
}

// twin is the architecture of specs/tiny_mha.
func twin() model.Architecture {
	return model.Architecture{
		Block:     "sequential",
		Norms:     []model.Norm{{Kind: "rms", Eps: 1e-5, At: "model.norm_eps"}},
		Attention: model.Attention{Heads: 4, KVHeads: 4, HeadDim: 8, Rotated: 8},
		FFN:       model.FFN{Dim: 48, Activation: "silu", Gated: true},
		Rope:      model.Rope{Theta: 10000, Layout: "interleaved"},
	}
}

func TestShipped(t *testing.T) {
	for _, c := range []struct {
		file string
		set  []string
		edit func(*model.Architecture)
	}{
		{"tiny_mha.jsonnet", nil, func(a *model.Architecture) {}},
		{"tiny_gqa.jsonnet", nil, func(a *model.Architecture) { a.Attention.KVHeads = 2 }},
		{"tiny_mha.jsonnet", []string{"model.tie=true", "model.qkv_bias=true", "model.norm_eps=1e-6", "model.head_dim=16", "model.rope.theta=5e5"}, func(a *model.Architecture) {
			a.Tied, a.Attention.QKVBias, a.Norms[0].Eps, a.Rope.Theta = true, true, 1e-6, 5e5
			a.Attention.HeadDim, a.Attention.Rotated = 16, 16
		}},
		// Numbers that the kind does not read are left out.
		{"tiny_mha.jsonnet", []string{"model.rope.scaling.kind=linear", "model.rope.scaling.factor=2", "model.rope.scaling.low_freq_factor=3"}, func(a *model.Architecture) {
			a.Rope.Scaling = model.RopeScaling{Kind: "linear", Factor: 2}
		}},
		{"testdata/qknorm.jsonnet", nil, func(a *model.Architecture) { a.Attention.QKNorm = "head" }},
		{"testdata/parallel.jsonnet", nil, func(a *model.Architecture) { a.Block = "parallel" }},
		{"testdata/gelu.jsonnet", nil, func(a *model.Architecture) {
			a.Norms = []model.Norm{{Kind: "layer", Eps: 1e-5, At: "model.norm_eps"}, {Kind: "rms", Eps: 1e-5, At: "model.norm_eps"}}
			a.FFN = model.FFN{Dim: 48, Activation: "gelu", Bias: true}
		}},
		// No attention and no feed-forward network: nothing is claimed.
		{"testdata/meeting.jsonnet", nil, func(a *model.Architecture) {
			a.Block, a.Attention, a.FFN = "", model.Attention{}, model.FFN{}
		}},
	} {
		want := twin()
		c.edit(&want)
		if got := load(t, filepath.Join("..", "..", "specs", c.file), c.set...); !reflect.DeepEqual(got, want) {
			t.Errorf("%s %v:\ngot  %+v\nwant %+v", c.file, c.set, got, want)
		}
	}
}

// TestForms edits one place of a block that is written out, and looks what is
// still claimed.
func TestForms(t *testing.T) {
	const block = `
local node = import 'llamac/node.libsonnet';
local twin = import 'llamac/twin.libsonnet';
twin { name: 't', doc: 't', model+: { local m = self, block: [
  node.rms_norm('n', 'x', 'norm1', EPS),
  node.linear('q', 'n', 'wq', 32), node.linear('k', 'n', 'wk', 16), node.linear('v', 'n', 'wv', 16),
  node.split_heads('qh', 'q', 4), node.split_heads('kh', 'k', 2), node.split_heads('vh', 'v', 2),
  node.rope('qr', 'qh'), node.rope('kr', 'kh'),
  node.repeat_kv('kx', 'kr', 2), node.repeat_kv('vx', 'vh', 2),
  node.matmul_nt('s', 'qr', 'kx'),
  SCORES
  node.softmax('p', 'masked'), node.matmul('oh', 'p', 'vx'), node.merge_heads('o', 'oh'),
  node.linear('out', 'o', 'wo', 32), node.add('r', 'x', 'out'),
  node.rms_norm('n2', 'r', 'norm2', m.norm_eps),
  FFN
  node.add('y', 'r', 'down'),
], NETWORK } }`
	const usual = `node.scale('sc', 's', 1 / std.sqrt(8)), node.causal_mask('masked', 'sc'),`
	const gated = `node.linear('g', 'n2', 'w1', 40), node.silu('a', 'g'), node.linear('u', 'n2', 'w3', 40), node.mul('m', 'u', 'a'), node.linear('down', 'm', 'w2', 32),`
	for _, c := range []struct {
		name, eps, scores, ffn, network string
		edit                            func(*model.Architecture)
	}{
		{"as it is", "1e-5", usual, gated, "", func(*model.Architecture) {}},
		{"eps of a node", "1e-3", usual, gated, "", func(a *model.Architecture) {
			a.Norms = []model.Norm{{Kind: "rms", Eps: 1e-3, At: "model.block[0].value"}, a.Norms[0]}
		}},
		{"window and scale", "1e-5", `node.scale('sc', 's', 0.5), node.window_mask('w', 'sc', 7), node.causal_mask('masked', 'w'),`, gated, "", func(a *model.Architecture) {
			a.Attention.Window, a.Attention.Scale = 7, 0.5
		}},
		{"cap of scores", "1e-5", `node.scale('sc', 's', 1 / std.sqrt(8) / 50), node.tanh('t', 'sc'), node.scale('c', 't', 50), node.causal_mask('masked', 'c'),`, gated, "", func(a *model.Architecture) {
			a.Attention.SoftCap = 50
		}},
		{"no mask", "1e-5", `node.scale('masked', 's', 1 / std.sqrt(8)),`, gated, "", func(a *model.Architecture) {
			a.Attention, a.Block = model.Attention{}, ""
		}},
		{"silu in two nodes", "1e-5", usual, `node.linear('g', 'n2', 'w1', 40), node.sigmoid('i', 'g'), node.mul('a', 'g', 'i'), node.linear('u', 'n2', 'w3', 40), node.mul('m', 'a', 'u'), node.linear('down', 'm', 'w2', 32),`, "", func(*model.Architecture) {}},
		{"relu squared", "1e-5", usual, `node.linear('g', 'n2', 'w1', 40), node.relu('i', 'g'), node.square('a', 'i'), node.linear('down', 'a', 'w2', 32),`, "", func(a *model.Architecture) {
			a.FFN = model.FFN{Dim: 40, Activation: "relu2"}
		}},
		{"a matrix more", "1e-5", usual, `node.linear('e', 'n2', 'we', 32), ` + gated, "", func(a *model.Architecture) { a.Block = "" }},
		{"a scaled embedding", "1e-5", usual, gated, `network: [node.embedding('h0', 'e', 32), node.scale('h', 'h0', 2), node.repeat('l', 'h', 2, m.block), node.rms_norm('f', 'l', 'n', 1e-5), node.linear('z', 'f', 'e', m.vocab)]`, func(a *model.Architecture) {
			a.Block, a.Tied = "", true
		}},
		{"capped logits", "1e-5", usual, gated, `network: [node.embedding('h', 'e', 32), node.repeat('l', 'h', 2, m.block), node.rms_norm('f', 'l', 'n', 1e-5), node.linear('z', 'f', 'o', m.vocab), node.scale('z1', 'z', 1 / 30), node.tanh('z2', 'z1'), node.scale('z3', 'z2', 30)]`, func(a *model.Architecture) { a.SoftCap = 30 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := block
			for _, r := range [][2]string{{"EPS", c.eps}, {"SCORES", c.scores}, {"FFN", c.ffn}, {"NETWORK", c.network}} {
				text = strings.Replace(text, r[0], r[1], 1)
			}
			file := filepath.Join(t.TempDir(), "t.jsonnet")
			if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
			want := twin()
			want.Attention.KVHeads, want.FFN.Dim = 2, 40
			c.edit(&want)
			if got := load(t, file); !reflect.DeepEqual(got, want) {
				t.Errorf("\ngot  %+v\nwant %+v", got, want)
			}
		})
	}
}
