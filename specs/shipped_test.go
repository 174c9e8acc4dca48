package specs

import (
	"bytes"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-jsonnet/formatter"
)

func load(t *testing.T, name string, set ...string) *Spec {
	t.Helper()
	s, err := Load(name, Options{Set: set})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// weights are the shapes of a spec's weights, found by following the widths of
// values through its nodes.
func weights(t *testing.T, s *Spec) map[string][]int {
	t.Helper()
	m := &s.Model
	out := map[string][]int{}
	add := func(layers int, name string, shape ...int) {
		if layers > 0 {
			shape = append([]int{layers}, shape...)
		}
		if old, ok := out[name]; ok && !slices.Equal(old, shape) {
			t.Errorf("%s: weight %s has shapes %v and %v", s.File, name, old, shape)
		}
		out[name] = shape
	}
	var walk func(nodes []Node, given string, width, layers int) int
	walk = func(nodes []Node, given string, width, layers int) int {
		widths := map[string]int{given: width} // of the last axis; 0 where it is a length
		last := 0
		for _, n := range nodes {
			w := widths[n.Inputs[0]]
			switch n.Kind {
			case "embedding":
				add(layers, n.Weight, m.Vocab, n.Out)
				w = n.Out
			case "linear":
				add(layers, n.Weight, n.Out, w)
				if n.Bias != "" {
					add(layers, n.Bias, n.Out)
				}
				w = n.Out
			case "rms_norm", "layer_norm":
				add(layers, n.Weight, w)
				if n.Bias != "" {
					add(layers, n.Bias, w)
				}
			case "split_heads":
				if w%n.Heads != 0 {
					t.Errorf("%s: node %s splits %d into %d heads", s.File, n.Name, w, n.Heads)
				}
				w /= n.Heads
			case "merge_heads":
				w *= m.Heads
			case "matmul":
				w = widths[n.Inputs[1]]
			case "matmul_nt":
				w = 0
			case "repeat":
				w = walk(n.Body, "x", w, n.Layers)
			}
			widths[n.Name], last = w, w
		}
		return last
	}
	if got := walk(m.Network, "tokens", 0, 0); got != m.Vocab {
		t.Errorf("%s: the network ends in width %d, vocab is %d", s.File, got, m.Vocab)
	}
	return out
}

func params(t *testing.T, s *Spec) (total int64) {
	for _, shape := range weights(t, s) {
		n := int64(1)
		for _, d := range shape {
			n *= int64(d)
		}
		total += n
	}
	return total
}

// The paper's sizes: the parameters as the published files have them (FACTS
// §1), counted through the nodes and by the closed formula, and the recipe of
// table 2 and section 2.3.
func TestPaper(t *testing.T) {
	for _, c := range []struct {
		file, name string
		params     int64
		printed    float64 // billions in the paper, truncated
		lr, tokens float64
		steps      int
		eps        float64
		tp         []int // powers of two that divide, up to 16
	}{
		{"7b.jsonnet", "llama7b", 6_738_415_616, 6.7, 3e-4, 1.0e12, 238_419, 1e-6, []int{1, 2, 4, 8, 16}},
		{"13b.jsonnet", "llama13b", 13_015_864_320, 13.0, 3e-4, 1.0e12, 238_419, 1e-6, []int{1, 2, 4, 8}},
		{"33b.jsonnet", "llama33b", 32_528_943_616, 32.5, 1.5e-4, 1.4e12, 333_786, 1e-6, []int{1, 2, 4}},
		{"65b.jsonnet", "llama65b", 65_285_660_672, 65.2, 1.5e-4, 1.4e12, 333_786, 1e-5, []int{1, 2, 4, 8, 16}},
	} {
		s := load(t, c.file)
		m := &s.Model
		h, f, l, v := int64(m.Dim), int64(m.FFNDim), int64(m.Layers), int64(m.Vocab)
		if got := l*(4*h*h+3*h*f+2*h) + 2*v*h + h; got != c.params {
			t.Errorf("%s: %d parameters by formula, want %d", c.file, got, c.params)
		}
		if got := params(t, s); got != c.params {
			t.Errorf("%s: %d parameters by its nodes, want %d", c.file, got, c.params)
		}
		if got := math.Trunc(float64(c.params)/1e8) / 10; got != c.printed {
			t.Errorf("%s: %.1fB parameters, the paper prints %.1fB", c.file, got, c.printed)
		}
		// Meta's code: two thirds of four times the width, cut to an
		// integer, then up to a multiple of 256.
		if want := (2*(4*h)/3 + 255) / 256 * 256; f != want {
			t.Errorf("%s: ffn_dim %d, the code's rule gives %d", c.file, f, want)
		}
		if m.HeadDim != 128 || m.KVHeads != m.Heads || m.Vocab != 32000 || m.Context != 2048 || m.Tie || m.QKVBias || m.NormEps != c.eps {
			t.Errorf("%s: model is %+v", c.file, *m)
		}
		if m.Rope != (Rope{Theta: 10000, Layout: "interleaved", Scaling: RopeScaling{Kind: "none"}}) {
			t.Errorf("%s: rope is %+v", c.file, m.Rope)
		}
		if want := (Optim{LR: c.lr, Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, WeightDecay: 0.1, Clip: 1}); s.Optim != want {
			t.Errorf("%s: optim is %+v, want %+v", c.file, s.Optim, want)
		}
		if want := (Schedule{Warmup: 2000, MinRatio: 0.1}); s.Schedule != want {
			t.Errorf("%s: schedule is %+v, want %+v", c.file, s.Schedule, want)
		}
		if batch := s.Train.MicroBatch * s.Train.Accum * s.Parallel.DP * m.Context; s.Name != c.name || batch != 4_194_304 || s.Train.Steps != c.steps || s.Data.Tokens != c.tokens {
			t.Errorf("%s: name %s, %d tokens a step, %d steps, %g tokens", c.file, s.Name, batch, s.Train.Steps, s.Data.Tokens)
		}
		checkTable1(t, s)
		var tp []int
		for _, n := range []string{"1", "2", "4", "8", "16"} {
			if s, err := Load(c.file, Options{Set: []string{"parallel.tp=" + n}}); err == nil {
				tp = append(tp, s.Parallel.TP)
			}
		}
		if !slices.Equal(tp, c.tp) {
			t.Errorf("%s: tensor-parallel degrees %v, want %v", c.file, tp, c.tp)
		}
	}
}

// checkTable1 compares a spec's sources with table 1 of the paper.
func checkTable1(t *testing.T, s *Spec) {
	t.Helper()
	table := []struct {
		name          string
		share, epochs float64
	}{
		{"commoncrawl", 0.67, 1.10}, {"c4", 0.15, 1.06}, {"github", 0.045, 0.64}, {"wikipedia", 0.045, 2.45},
		{"books", 0.045, 2.23}, {"arxiv", 0.025, 1.06}, {"stackexchange", 0.02, 1.03},
	}
	if len(s.Data.Sources) != len(table) {
		t.Fatalf("%s: %d sources", s.File, len(s.Data.Sources))
	}
	for i, want := range table {
		got := s.Data.Sources[i]
		// The epochs of table 1 are for 1.4T tokens.
		epochs := want.epochs * s.Data.Tokens / 1.4e12
		if got.Name != want.name || got.Share != want.share || math.Abs(got.Epochs-epochs) > 1e-12 {
			t.Errorf("%s: source %+v, want %+v and %g epochs", s.File, got, want, epochs)
		}
	}
}

// The sum of table 1's sizes on disk is that of the paper's text, 4.75 TB.
func TestTable1Disk(t *testing.T) {
	var got struct{ Sum float64 }
	evaluate(t, "local m = import 'llamac/mixtures/llama.libsonnet'; { Sum: std.sum([s.disk_gb for s in m.table]) }", &got)
	if got.Sum != 4749 {
		t.Errorf("table 1 sums to %g GB, want 4749", got.Sum)
	}
}

// 33B has 52 heads: the error that the design promises, to the letter.
func TestTP8Of33B(t *testing.T) {
	_, err := Load("33b.jsonnet", Options{Set: []string{"parallel.tp=8"}})
	want := "--set parallel.tp=8: tp 8 does not divide n_heads 52\n\tmodel.n_heads is set at 33b.jsonnet:11:14"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// The small specs: sizes of the published models they stand for.
func TestSmall(t *testing.T) {
	for _, c := range []struct {
		file, name string
		params     int64
	}{
		{"stories260k.jsonnet", "stories260k", 260_032},
		{"stories15m.jsonnet", "stories15m", 15_191_712},
		{"smollm-135m.jsonnet", "smollm_135m", 134_515_008},
		{"smollm2-135m.jsonnet", "smollm2_135m", 134_515_008},
		{"tinyllama-1.1b.jsonnet", "tinyllama_1b", 1_100_048_384},
		{"gopher.jsonnet", "gopher", 3_737_856},
		{"tiny_mha.jsonnet", "tiny_mha", 2*(4*32*32+3*32*48+2*32) + 2*61*32 + 32},
		{"tiny_gqa.jsonnet", "tiny_gqa", 2*(2*32*32+2*16*32+3*32*48+2*32) + 2*61*32 + 32},
		{"testdata/parallel.jsonnet", "parallel", 2*(4*32*32+3*32*48+32) + 2*61*32 + 32},
		{"testdata/qknorm.jsonnet", "qknorm", 2*(4*32*32+3*32*48+2*32+2*8) + 2*61*32 + 32},
		{"testdata/gelu.jsonnet", "gelu", 2*(4*32*32+2*32*48+48+32+4*32) + 2*61*32 + 32},
	} {
		s := load(t, c.file)
		if got := params(t, s); got != c.params || s.Name != c.name {
			t.Errorf("%s: %s has %d parameters, want %s with %d", c.file, s.Name, got, c.name, c.params)
		}
		if s.Model.HeadDim*s.Model.Heads != s.Model.Dim {
			t.Errorf("%s: head_dim %d", c.file, s.Model.HeadDim)
		}
	}
}

// Every shipped spec loads from inside the program, under the name it has on
// disk, and gives what the file on disk gives.
func TestShipped(t *testing.T) {
	names := Shipped()
	if len(names) < 11 || !slices.Contains(names, "gopher.jsonnet") {
		t.Fatalf("Shipped() = %v", names)
	}
	packages := map[string]string{}
	for _, name := range names {
		s, err := Load(name, Options{FS: ShippedFS()})
		if err != nil {
			t.Error(err)
			continue
		}
		if disk := load(t, name); disk.Hash != s.Hash || !bytes.Equal(disk.JSON, s.JSON) {
			t.Errorf("%s: the embedded spec differs from the file", name)
		}
		if other := packages[s.Name]; other != "" {
			t.Errorf("%s and %s have the same name %s", name, other, s.Name)
		}
		packages[s.Name] = name
		if s.Doc == "" {
			t.Errorf("%s has no doc", name)
		}
		if s.File != name || len(s.Hash) != 64 {
			t.Errorf("%s: File %q, Hash %q", name, s.File, s.Hash)
		}
		if n := s.Model.Network; n[len(n)-1].Name != "logits" || n[1].Kind != "repeat" || n[1].Layers != s.Model.Layers || len(n[1].Body) != len(s.Model.Block) {
			t.Errorf("%s: network %+v", name, n)
		}
		for i, n := range s.Model.Block {
			if p := s.Pos(n.Path); p.File != name || p.Line == 0 {
				t.Errorf("%s: block[%d] is at %v", name, i, p)
			}
		}
	}
}

// The block's values and weights have the names that goldens, traces and name
// tables rely on.
func TestLlamaBlock(t *testing.T) {
	var got []string
	for _, n := range load(t, "tiny_gqa.jsonnet").Model.Block {
		line := n.Name + " = " + n.Kind + "(" + strings.Join(n.Inputs, ", ") + ")"
		if n.Weight != "" {
			line += " " + n.Weight
		}
		if n.Shard != "" {
			line += " " + n.Shard
		}
		got = append(got, line)
	}
	want := []string{
		"attn.n = rms_norm(x) attention_norm",
		"attn.q = linear(attn.n) attention.wq column",
		"attn.k = linear(attn.n) attention.wk column",
		"attn.v = linear(attn.n) attention.wv column",
		"attn.qh = split_heads(attn.q)",
		"attn.kh = split_heads(attn.k)",
		"attn.vh = split_heads(attn.v)",
		"attn.qr = rope(attn.qh)",
		"attn.kr = rope(attn.kh)",
		"attn.kx = repeat_kv(attn.kr)",
		"attn.vx = repeat_kv(attn.vh)",
		"attn.s = matmul_nt(attn.qr, attn.kx)",
		"attn.scaled = scale(attn.s)",
		"attn.masked = causal_mask(attn.scaled)",
		"attn.p = softmax(attn.masked)",
		"attn.oh = matmul(attn.p, attn.vx)",
		"attn.o = merge_heads(attn.oh)",
		"attn.out = linear(attn.o) attention.wo row",
		"r = add(x, attn.out)",
		"ffn.n = rms_norm(r) ffn_norm",
		"ffn.g = linear(ffn.n) feed_forward.w1 column",
		"ffn.u = linear(ffn.n) feed_forward.w3 column",
		"ffn.a = silu(ffn.g)",
		"ffn.m = mul(ffn.a, ffn.u)",
		"ffn.out = linear(ffn.m) feed_forward.w2 row",
		"out = add(r, ffn.out)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	block := load(t, "tiny_gqa.jsonnet").Model.Block
	if n := block[12]; n.Value != 1/math.Sqrt(8) {
		t.Errorf("attn.scaled has value %v, want 1/sqrt(8)", n.Value)
	}
	if n := block[9]; n.Heads != 2 {
		t.Errorf("attn.kx repeats %d times, want 2", n.Heads)
	}
	// Without grouping there is nothing to repeat.
	if n := len(load(t, "tiny_mha.jsonnet").Model.Block); n != len(want)-2 {
		t.Errorf("tiny_mha has %d nodes, want %d", n, len(want)-2)
	}
}

// Fields of the library: what differs between members of the LLaMA family.
func TestFamily(t *testing.T) {
	s := load(t, "tiny_gqa.jsonnet", "model.qkv_bias=true", "model.tie=true", "model.head_dim=10")
	w := weights(t, s)
	for name, want := range map[string][]int{
		"attention.wq": {2, 40, 32}, "attention.bq": {2, 40}, "attention.wk": {2, 20, 32}, "attention.bk": {2, 20},
		"attention.bv": {2, 20}, "attention.wo": {2, 32, 40}, "tok_embeddings": {61, 32},
	} {
		if !slices.Equal(w[name], want) {
			t.Errorf("%s has shape %v, want %v", name, w[name], want)
		}
	}
	if _, ok := w["output"]; ok {
		t.Error("a tied model has a weight output")
	}
	if s.Model.HeadDim != 10 || s.Model.Block[12].Value != 1/math.Sqrt(10) {
		t.Errorf("head_dim %d, scale %v", s.Model.HeadDim, s.Model.Block[12].Value)
	}
	s = load(t, "stories260k.jsonnet")
	for _, n := range s.Model.Block {
		switch std := 0.02 / math.Sqrt(10); n.Weight {
		case "attention.wo", "feed_forward.w2":
			if math.Abs(n.Std-std) > 1e-15 {
				t.Errorf("%s starts with deviation %v, want %v", n.Weight, n.Std, std)
			}
		default:
			if n.Std != 0 {
				t.Errorf("%s has a deviation of its own, %v", n.Weight, n.Std)
			}
		}
	}
}

// The names of the weights in other formats, for the four sizes as their
// published files have them.
func TestNames(t *testing.T) {
	s := load(t, "7b.jsonnet")
	rows := [][4]string{ // ours and Meta's, Hugging Face's, GGUF's
		{"tok_embeddings", "tok_embeddings.weight", "model.embed_tokens.weight", "token_embd.weight"},
		{"layers.N.attention_norm", "layers.N.attention_norm.weight", "model.layers.N.input_layernorm.weight", "blk.N.attn_norm.weight"},
		{"layers.N.attention.wq", "layers.N.attention.wq.weight", "model.layers.N.self_attn.q_proj.weight", "blk.N.attn_q.weight"},
		{"layers.N.attention.wk", "layers.N.attention.wk.weight", "model.layers.N.self_attn.k_proj.weight", "blk.N.attn_k.weight"},
		{"layers.N.attention.wv", "layers.N.attention.wv.weight", "model.layers.N.self_attn.v_proj.weight", "blk.N.attn_v.weight"},
		{"layers.N.attention.wo", "layers.N.attention.wo.weight", "model.layers.N.self_attn.o_proj.weight", "blk.N.attn_output.weight"},
		{"layers.N.ffn_norm", "layers.N.ffn_norm.weight", "model.layers.N.post_attention_layernorm.weight", "blk.N.ffn_norm.weight"},
		{"layers.N.feed_forward.w1", "layers.N.feed_forward.w1.weight", "model.layers.N.mlp.gate_proj.weight", "blk.N.ffn_gate.weight"},
		{"layers.N.feed_forward.w3", "layers.N.feed_forward.w3.weight", "model.layers.N.mlp.up_proj.weight", "blk.N.ffn_up.weight"},
		{"layers.N.feed_forward.w2", "layers.N.feed_forward.w2.weight", "model.layers.N.mlp.down_proj.weight", "blk.N.ffn_down.weight"},
		{"norm", "norm.weight", "model.norm.weight", "output_norm.weight"},
		{"output", "output.weight", "lm_head.weight", "output.weight"},
	}
	have := map[string]bool{}
	for name, shape := range weights(t, s) {
		if len(shape) > 0 && shape[0] == s.Model.Layers {
			name = "layers.N." + name
		}
		have[name] = true
	}
	for _, r := range rows {
		if !have[r[0]] {
			t.Errorf("the model has no weight %s", r[0])
		}
		delete(have, r[0])
		if got := [4]string{r[0], s.Names.Meta[r[0]], s.Names.HF[r[0]], s.Names.GGUF[r[0]]}; got != r {
			t.Errorf("names %v, want %v", got, r)
		}
	}
	if len(have) > 0 {
		t.Errorf("weights without names: %v", have)
	}
}

// Specs and libraries are formatted as go-jsonnet's formatter does by default.
func TestFormatted(t *testing.T) {
	count := 0
	check := func(fsys fs.FS) {
		err := fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, "sonnet") && !strings.HasSuffix(path, ".jsonnet") {
				return err
			}
			src, err := fs.ReadFile(fsys, path)
			if err != nil {
				return err
			}
			count++
			want, err := formatter.Format(path, string(src), formatter.DefaultOptions())
			if err != nil {
				return err
			}
			if diff := cmp.Diff(want, string(src)); diff != "" {
				t.Errorf("%s: -formatted +file:\n%s", path, diff)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	check(ShippedFS())
	check(os.DirFS("testdata"))
	if count < 18 {
		t.Errorf("only %d files were looked at", count)
	}
}
