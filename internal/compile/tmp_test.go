package compile

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/llamac/llamac/internal/diag"
	"github.com/llamac/llamac/internal/oracle"
	"github.com/llamac/llamac/passes"
	"github.com/llamac/llamac/runtime/model/modeltest"
	"github.com/llamac/llamac/specs"
)

func tiny(kv int) *specs.Spec {
	m := specs.Model{Dim: 32, Layers: 2, Heads: 4, KVHeads: kv, FFNDim: 48, Vocab: 61, Context: 24, NormEps: 1e-5, HeadDim: 8, InitStd: 0.02,
		Rope: specs.Rope{Theta: 10000, Layout: "interleaved", Scaling: specs.RopeScaling{Kind: "none"}}}
	n := func(kind, name string, in []string, f func(*specs.Node)) specs.Node {
		x := specs.Node{Kind: kind, Name: name, Inputs: in}
		if f != nil {
			f(&x)
		}
		return x
	}
	lin := func(name, in, w string, out int) specs.Node {
		return n("linear", name, []string{in}, func(x *specs.Node) { x.Weight, x.Out = w, out })
	}
	norm := func(name, in, w string) specs.Node {
		return n("rms_norm", name, []string{in}, func(x *specs.Node) { x.Weight, x.Value = w, 1e-5 })
	}
	heads := func(kind, name, in string, h int) specs.Node {
		return n(kind, name, []string{in}, func(x *specs.Node) { x.Heads = h })
	}
	m.Block = []specs.Node{
		norm("attn.n", "x", "attention_norm"),
		lin("attn.q", "attn.n", "attention.wq", 32), lin("attn.k", "attn.n", "attention.wk", 8*kv), lin("attn.v", "attn.n", "attention.wv", 8*kv),
		heads("split_heads", "attn.qh", "attn.q", 4), heads("split_heads", "attn.kh", "attn.k", kv), heads("split_heads", "attn.vh", "attn.v", kv),
		n("rope", "attn.qr", []string{"attn.qh"}, nil), n("rope", "attn.kr", []string{"attn.kh"}, nil),
		heads("repeat_kv", "attn.kx", "attn.kr", 4/kv), heads("repeat_kv", "attn.vx", "attn.vh", 4/kv),
		n("matmul_nt", "attn.s", []string{"attn.qr", "attn.kx"}, nil),
		n("scale", "attn.ss", []string{"attn.s"}, func(x *specs.Node) { x.Value = 0.35355339059327373 }),
		n("causal_mask", "attn.sm", []string{"attn.ss"}, nil), n("softmax", "attn.p", []string{"attn.sm"}, nil),
		n("matmul", "attn.oh", []string{"attn.p", "attn.vx"}, nil), n("merge_heads", "attn.o", []string{"attn.oh"}, nil),
		lin("attn.out", "attn.o", "attention.wo", 32), n("add", "r", []string{"x", "attn.out"}, nil),
		norm("ffn.n", "r", "ffn_norm"), lin("ffn.g", "ffn.n", "feed_forward.w1", 48), lin("ffn.u", "ffn.n", "feed_forward.w3", 48),
		n("silu", "ffn.s", []string{"ffn.g"}, nil), n("mul", "ffn.m", []string{"ffn.s", "ffn.u"}, nil),
		lin("ffn.out", "ffn.m", "feed_forward.w2", 32), n("add", "out", []string{"r", "ffn.out"}, nil),
	}
	m.Network = []specs.Node{
		n("embedding", "x0", []string{"tokens"}, func(x *specs.Node) { x.Weight, x.Out = "tok_embeddings", 32 }),
		n("repeat", "h", []string{"x0"}, func(x *specs.Node) { x.Layers, x.Body = 2, m.Block }),
		norm("n", "h", "norm"), lin("logits", "n", "output", 61),
	}
	return &specs.Spec{Name: "tiny_gqa", Model: m, File: "specs/tiny.jsonnet", Hash: "0123456789abcdef", JSON: []byte("{}"),
		Train: specs.Train{MicroBatch: 3, Accum: 2, Steps: 10}, Checkpoint: specs.Checkpoint{Policy: "keep-linear"},
		Pos: func(p string) diag.Pos { return diag.Pos{File: p} }}
}

func TestTmp(t *testing.T) {
	s := tiny(2)
	r, err := Spec(s, Options{Observe: func(mode string, r passes.Report) {
		fmt.Println("==", mode, r.Pass.Name, r.Stats)
		if r.Pass.Name == os.Getenv("DUMP") {
			fmt.Println(r.Unit.Module)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Files {
		os.MkdirAll("../../generated/tiny_gqa", 0o755)
		os.WriteFile(filepath.Join("../../generated/tiny_gqa", f.Name), f.Data, 0o644)
	}
}

func TestGen(t *testing.T) {
	for _, kv := range []int{2} {
		s := tiny(kv)
		o, err := oracle.Run(s, 3)
		if err != nil {
			t.Fatal(err)
		}
		r, _ := Spec(s, Options{})
		fmt.Println("oracle loss", o.Loss)
		os.MkdirAll("../../generated/tiny_gqa/testdata", 0o755)
		os.WriteFile("../../generated/tiny_gqa/testdata/grads.f32", modeltest.EncodeF32(o.Arena(r.Plan)), 0o644)
		var lg []float32
		for _, x := range o.Logits {
			lg = append(lg, float32(x))
		}
		os.WriteFile("../../generated/tiny_gqa/testdata/logits.f32", modeltest.EncodeF32(lg), 0o644)
	}
}
