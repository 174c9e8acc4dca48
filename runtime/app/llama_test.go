package app

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llamac/llamac/runtime/model"
)

// storyDecoder runs llama2.c's stories260K, written from the formulas in
// float64, a token at a time: enough to check that weights, tokenizer, BOS,
// sampler and stream together write what llama2.c writes.
type storyDecoder struct {
	info   model.Info
	params []float32
	w      map[string][]float32
	k, v   [][][]float64 // layer, position
	length int
}

func storyInfo() model.Info {
	info := model.Info{Name: "stories", Dim: 64, Layers: 5, Heads: 8, KVHeads: 4, HeadDim: 8, FFNDim: 172, Vocab: 512, Context: 512,
		Recipe: model.Recipe{BOS: true, TopP: 1}, Memory: model.Memory{Prefill: 16, MaxSequences: 1}}
	offset := 0
	add := func(name string, shape ...int) {
		w := model.Weight{Name: name, Meta: name + ".weight", Shape: shape, Offset: offset}
		if name[len(name)-2:] == "wq" || name[len(name)-2:] == "wk" {
			w.Rope, w.RopeHeads = "interleaved", shape[0]/info.HeadDim
		}
		offset += w.Len()
		info.Weights = append(info.Weights, w)
	}
	add("tok_embeddings", 512, 64)
	for l := range info.Layers {
		layer := "layers." + string(rune('0'+l)) + "."
		add(layer+"attention_norm", 64)
		add(layer+"attention.wq", 64, 64)
		add(layer+"attention.wk", 32, 64)
		add(layer+"attention.wv", 32, 64)
		add(layer+"attention.wo", 64, 64)
		add(layer+"ffn_norm", 64)
		add(layer+"feed_forward.w1", 172, 64)
		add(layer+"feed_forward.w2", 64, 172)
		add(layer+"feed_forward.w3", 172, 64)
	}
	add("norm", 64)
	info.NewDecoder = func(model.Options) (model.Decoder, error) {
		d := &storyDecoder{info: info, params: make([]float32, offset), w: map[string][]float32{},
			k: make([][][]float64, info.Layers), v: make([][][]float64, info.Layers)}
		for _, w := range info.Weights {
			d.w[w.Name] = d.params[w.Offset : w.Offset+w.Len()]
		}
		return d, nil
	}
	return info
}

func (d *storyDecoder) Params() []float32       { return d.params }
func (d *storyDecoder) Len(int) int             { return d.length }
func (d *storyDecoder) Reset(int)               { d.length = 0 }
func (d *storyDecoder) Fork(dst, src int) error { return nil }
func (d *storyDecoder) Close()                  {}

func (d *storyDecoder) Step(tokens, seqs, want []int32, logits []float32) error {
	for i, id := range tokens {
		row := d.token(id)
		for j, w := range want {
			if int(w) == i {
				copy(logits[j*d.info.Vocab:(j+1)*d.info.Vocab], row)
			}
		}
	}
	return nil
}

func (d *storyDecoder) token(id int32) []float32 {
	const dim, hd = 64, 8
	pos := d.length
	d.length++
	embed := d.w["tok_embeddings"]
	x := make([]float64, dim)
	for i := range x {
		x[i] = float64(embed[int(id)*dim+i])
	}
	for l := range d.info.Layers {
		w := func(name string) []float32 { return d.w["layers."+string(rune('0'+l))+"."+name] }
		n := rms(x, w("attention_norm"))
		q, k, v := times(w("attention.wq"), n), times(w("attention.wk"), n), times(w("attention.wv"), n)
		turn(q, pos)
		turn(k, pos)
		d.k[l], d.v[l] = append(d.k[l][:pos], k), append(d.v[l][:pos], v)
		o := make([]float64, dim)
		for h := range d.info.Heads {
			p, sum, g := make([]float64, pos+1), 0.0, h/2*hd
			for t := range p {
				for i := range hd {
					p[t] += q[h*hd+i] * d.k[l][t][g+i]
				}
				p[t] = math.Exp(p[t] / math.Sqrt(hd))
				sum += p[t]
			}
			for t := range p {
				for i := range hd {
					o[h*hd+i] += p[t] / sum * d.v[l][t][g+i]
				}
			}
		}
		plus(x, times(w("attention.wo"), o))
		n = rms(x, w("ffn_norm"))
		gate, up := times(w("feed_forward.w1"), n), times(w("feed_forward.w3"), n)
		for i, g := range gate {
			gate[i] = g / (1 + math.Exp(-g)) * up[i]
		}
		plus(x, times(w("feed_forward.w2"), gate))
	}
	out := make([]float32, d.info.Vocab)
	for i, y := range times(embed, rms(x, d.w["norm"])) {
		out[i] = float32(y)
	}
	return out
}

func rms(x []float64, w []float32) []float64 {
	sum, y := 0.0, make([]float64, len(x))
	for _, v := range x {
		sum += v * v
	}
	for i, v := range x {
		y[i] = v / math.Sqrt(sum/float64(len(x))+1e-5) * float64(w[i])
	}
	return y
}

func times(w []float32, x []float64) []float64 {
	y := make([]float64, len(w)/len(x))
	for i := range y {
		for j, v := range x {
			y[i] += float64(w[i*len(x)+j]) * v
		}
	}
	return y
}

func plus(x, y []float64) {
	for i := range x {
		x[i] += y[i]
	}
}

// turn is RoPE with interleaved pairs, heads of 8.
func turn(x []float64, pos int) {
	for i := 0; i < len(x); i += 2 {
		s, c := math.Sincos(float64(pos) * math.Pow(10000, -float64(i%8)/8))
		x[i], x[i+1] = x[i]*c-x[i+1]*s, x[i]*s+x[i+1]*c
	}
}

// TestStory writes llama2.c's expected text, to the letter, and goes on from a
// prompt as from the same text written by itself.
func TestStory(t *testing.T) {
	root := os.Getenv("LLAMAC_ASSETS")
	if root == "" {
		t.Skip("LLAMAC_ASSETS not set: weights/stories260K")
	}
	dir := filepath.Join(root, "weights", "stories260K")
	want, err := os.ReadFile(filepath.Join(dir, "expected_greedy_200.txt"))
	if err != nil {
		t.Fatal(err)
	}
	stories := func(e *env) { e.info = storyInfo() }
	args := []string{"--weights", filepath.Join(dir, "stories260K.bin"), "--tokenizer", filepath.Join(dir, "tok512.bin"), "--temperature", "0"}
	r := generate(t, stories, append(args, "-n", "200")...)
	r.want(t, 0)
	if r.out != string(want) {
		t.Errorf("got\n%s\nwant\n%s", r.out, want)
	}
	// A prompt longer than one prefill; its end must be that of a token.
	prompt := string(want[:100])
	r = generate(t, stories, append(args, "-n", "20", "--prompt", prompt)...)
	r.want(t, 0)
	if len(r.out) < 120 || r.out != string(want[:len(r.out)]) {
		t.Errorf("prompt %q: got\n%s", prompt, r.out)
	}
	// Its tokenizer lies beside it.
	r = generate(t, stories, args[0], args[1], "--temperature", "0", "-n", "200")
	r.want(t, 0)
	// This description has no architecture to compare, which warnings say.
	if r.out != string(want) || strings.Contains(r.err, "tokenizer: ") || strings.Contains(r.err, "a second") {
		t.Errorf("%q\n%s", r.err, r.out)
	}
	hf := filepath.Join(root, "weights", "stories260K_hf_f32")
	generate(t, stories, "--weights", hf).want(t, 2, "--tokenizer: the model's vocabulary of 512 is not that of bytes", "there is none in or beside "+hf)
	// Of the same size as none of these, or not.
	other := filepath.Join(root, "tokenizer", "train", "botchan_bpe1000.model")
	generate(t, stories, append(args[:2:2], "--tokenizer", other)...).want(t, 2, "--tokenizer="+other+": the weights belong to another tokenizer, "+filepath.Join(dir, "tok512.bin"), "--accept-tokenizer")
	generate(t, stories, append(args[:2:2], "--tokenizer", other, "--accept-tokenizer")...).want(t, 1, "the tokenizer has 1000 ids, the model's vocabulary 512")
}
