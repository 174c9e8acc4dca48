package weights

import (
	"fmt"
	"math"
	"testing"

	"github.com/llamac/llamac/runtime/model"
)

// gap is what the test models leave between weights, to see that nobody
// writes there.
const gap = 3

// llama describes a LLaMA of the given sizes as generated code does.
func llama(dim, layers, heads, kvHeads, ffn, vocab, context int, tied bool, rope string) model.Info {
	info := model.Info{Name: "tiny", SpecHash: "0123456789abcdef0123", Dim: dim, Layers: layers, Heads: heads, KVHeads: kvHeads,
		HeadDim: dim / heads, FFNDim: ffn, Vocab: vocab, Context: context}
	offset := gap
	add := func(name, meta, hf, gguf string, rope string, ropeHeads int, shape ...int) {
		w := model.Weight{Name: name, Shape: shape, Offset: offset, Meta: meta, HF: hf, GGUF: gguf, Rope: rope, RopeHeads: ropeHeads}
		offset += w.Len() + gap
		info.Weights = append(info.Weights, w)
	}
	kv := kvHeads * dim / heads
	add("embed", "tok_embeddings.weight", "model.embed_tokens.weight", "token_embd.weight", "", 0, vocab, dim)
	for l := range layers {
		for _, r := range []struct {
			name, hf, gguf string
			rope           int
			shape          []int
		}{
			{"attention_norm", "input_layernorm", "attn_norm", 0, []int{dim}},
			{"attention.wq", "self_attn.q_proj", "attn_q", heads, []int{dim, dim}},
			{"attention.wk", "self_attn.k_proj", "attn_k", kvHeads, []int{kv, dim}},
			{"attention.wv", "self_attn.v_proj", "attn_v", 0, []int{kv, dim}},
			{"attention.wo", "self_attn.o_proj", "attn_output", 0, []int{dim, dim}},
			{"ffn_norm", "post_attention_layernorm", "ffn_norm", 0, []int{dim}},
			{"feed_forward.w1", "mlp.gate_proj", "ffn_gate", 0, []int{ffn, dim}},
			{"feed_forward.w2", "mlp.down_proj", "ffn_down", 0, []int{dim, ffn}},
			{"feed_forward.w3", "mlp.up_proj", "ffn_up", 0, []int{ffn, dim}},
		} {
			layout := ""
			if r.rope > 0 {
				layout = rope
			}
			add(fmt.Sprintf("layers.%d.%s", l, r.name), fmt.Sprintf("layers.%d.%s.weight", l, r.name),
				fmt.Sprintf("model.layers.%d.%s.weight", l, r.hf), fmt.Sprintf("blk.%d.%s.weight", l, r.gguf), layout, r.rope, r.shape...)
		}
	}
	add("norm", "norm.weight", "model.norm.weight", "output_norm.weight", "", 0, dim)
	info.Embedding, info.Output = "embed", "embed"
	info.Head = model.Names{HF: "lm_head.weight", GGUF: "output.weight", Meta: "output.weight"}
	if !tied {
		info.Output, info.Head = "output", model.Names{}
		add("output", "output.weight", "lm_head.weight", "output.weight", "", 0, vocab, dim)
	}
	return info
}

// arena makes the flat arena of a model, filled with NaN.
func arena(info model.Info) []float32 {
	last := info.Weights[len(info.Weights)-1]
	a := make([]float32, last.Offset+last.Len()+gap)
	for i := range a {
		a[i] = float32(math.NaN())
	}
	return a
}

// checkGaps fails when something wrote between the weights, or not all of them.
func checkGaps(t *testing.T, info model.Info, a []float32) {
	t.Helper()
	inside := make([]bool, len(a))
	for _, w := range info.Weights {
		for i := range w.Len() {
			inside[w.Offset+i] = true
			if a[w.Offset+i] != a[w.Offset+i] {
				t.Fatalf("%s[%d] was not written", w.Name, i)
			}
		}
	}
	for i, x := range a {
		if !inside[i] && x == x {
			t.Fatalf("element %d between the weights was written", i)
		}
	}
}

// forward computes the logits [T, vocab] of a LLaMA, slowly and in float64.
// It is written from the papers' formulas and shares nothing with the loader.
func forward(info model.Info, a []float32, tokens []int32, eps, theta float64) [][]float64 {
	weight := map[string][]float32{}
	for _, w := range info.Weights {
		weight[w.Name] = a[w.Offset : w.Offset+w.Len()]
	}
	half := info.Weights[2].Rope == "half"
	x := make([][]float64, len(tokens))
	for t, id := range tokens {
		x[t] = make([]float64, info.Dim)
		for i := range x[t] {
			x[t][i] = float64(weight["embed"][int(id)*info.Dim+i])
		}
	}
	hd, group := info.HeadDim, info.Heads/info.KVHeads
	for l := range info.Layers {
		w := func(name string) []float32 { return weight[fmt.Sprintf("layers.%d.%s", l, name)] }
		var q, k, v [][]float64
		for t := range x {
			n := norm(x[t], w("attention_norm"), eps)
			q = append(q, rotate(matvec(w("attention.wq"), n), t, hd, theta, half))
			k = append(k, rotate(matvec(w("attention.wk"), n), t, hd, theta, half))
			v = append(v, matvec(w("attention.wv"), n))
		}
		for t := range x {
			o := make([]float64, info.Dim)
			for h := range info.Heads {
				p := make([]float64, t+1)
				for u := range p {
					p[u] = dot(q[t][h*hd:(h+1)*hd], k[u][h/group*hd:(h/group+1)*hd]) / math.Sqrt(float64(hd))
				}
				softmax(p)
				for u, pu := range p {
					for i := range hd {
						o[h*hd+i] += pu * v[u][h/group*hd+i]
					}
				}
			}
			add(x[t], matvec(w("attention.wo"), o))
		}
		for t := range x {
			n := norm(x[t], w("ffn_norm"), eps)
			g, u := matvec(w("feed_forward.w1"), n), matvec(w("feed_forward.w3"), n)
			for i := range g {
				g[i] = g[i] / (1 + math.Exp(-g[i])) * u[i]
			}
			add(x[t], matvec(w("feed_forward.w2"), g))
		}
	}
	out := weight["output"]
	if out == nil {
		out = weight["embed"]
	}
	logits := make([][]float64, len(x))
	for t := range x {
		logits[t] = matvec(out, norm(x[t], weight["norm"], eps))
	}
	return logits
}

func norm(x []float64, w []float32, eps float64) []float64 {
	r := 1 / math.Sqrt(dot(x, x)/float64(len(x))+eps)
	y := make([]float64, len(x))
	for i := range x {
		y[i] = x[i] * r * float64(w[i])
	}
	return y
}

func rotate(x []float64, pos, hd int, theta float64, half bool) []float64 {
	for h := 0; h < len(x); h += hd {
		for i := range hd / 2 {
			a, b := h+2*i, h+2*i+1
			if half {
				a, b = h+i, h+i+hd/2
			}
			s, c := math.Sincos(float64(pos) * math.Pow(theta, -2*float64(i)/float64(hd)))
			x[a], x[b] = x[a]*c-x[b]*s, x[a]*s+x[b]*c
		}
	}
	return x
}

func matvec(w []float32, x []float64) []float64 {
	y := make([]float64, len(w)/len(x))
	for i := range y {
		for j, xj := range x {
			y[i] += float64(w[i*len(x)+j]) * xj
		}
	}
	return y
}

func dot(a, b []float64) float64 {
	s := 0.0
	for i := range a {
		s += a[i] * b[i]
	}
	return s
}

func add(x, y []float64) {
	for i := range x {
		x[i] += y[i]
	}
}

func softmax(x []float64) {
	top, sum := math.Inf(-1), 0.0
	for _, v := range x {
		top = math.Max(top, v)
	}
	for i, v := range x {
		x[i] = math.Exp(v - top)
		sum += x[i]
	}
	for i := range x {
		x[i] /= sum
	}
}
