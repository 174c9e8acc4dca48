package app

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/llamac/llamac/data"
	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/runtime/rng"
	"github.com/llamac/llamac/tokenizer"
)

// The model of these tests is a bigram table over bytes, trained by AdamW: as
// small as a thing can be that still learns, and all of its arithmetic is in
// fixed order. It reads this package's own source.
const (
	fakeVocab   = 256
	fakeContext = 24
	fakeGap     = 5 // unused elements between the weights
)

func fakeInfo() model.Info {
	info := model.Info{
		Name: "bigram", SpecFile: "specs/bigram.jsonnet", SpecHash: strings.Repeat("ab", 32), Version: "v0.0.0-test",
		Dim: fakeVocab, Layers: 1, Heads: 1, KVHeads: 1, HeadDim: fakeVocab, FFNDim: 1, Vocab: fakeVocab, Context: fakeContext,
		Params: fakeVocab*fakeVocab + 2*fakeVocab, FLOPsPerToken: 6 * fakeVocab,
		Weights: []model.Weight{
			{Name: "table", Shape: []int{fakeVocab, fakeVocab}, Offset: fakeGap, Init: model.Init{Kind: "normal", Std: 0.02}, Decay: true},
			{Name: "bias", Shape: []int{fakeVocab}, Offset: 2*fakeGap + fakeVocab*fakeVocab, Init: model.Init{Kind: "zeros"}},
			{Name: "gain", Shape: []int{fakeVocab}, Offset: 3*fakeGap + fakeVocab*(fakeVocab+1), Init: model.Init{Kind: "ones"}},
		},
		Recipe: model.Recipe{MicroBatch: 2, Accum: 2, Steps: 40, Seed: 1, LR: 0.05, Beta1: 0.9, Beta2: 0.95, Eps: 1e-8,
			WeightDecay: 0.1, Clip: 1, Warmup: 4, MinRatio: 0.1, EvalEvery: 8, EvalBatches: 3, SaveEvery: 3, KeepLast: 2,
			SampleEvery: 16, SampleCount: 3, SampleTokens: 12, SamplePrompt: "func ", Temperature: 0.8, TopP: 0.9},
		Memory: model.Memory{Weights: 1 << 18, Grads: 1 << 18, Moments: 1 << 19, TrainActivations: 1 << 16,
			DecodeActivations: 1 << 12, KVCache: 1 << 12, KVBlock: 8, KVBlocks: 12, Prefill: 4, MaxSequences: 4},
	}
	bindFake(&info)
	return info
}

// bindFake gives an info the fake programs, bound to its present sizes.
func bindFake(info *model.Info) {
	bound := *info
	info.NewTrainer = func(model.Options) (model.Trainer, error) { return newFakeTrainer(bound), nil }
	info.NewDecoder = func(o model.Options) (model.Decoder, error) {
		d := &fakeDecoder{info: bound, params: o.Params}
		if d.params == nil {
			d.params = make([]float32, fakeArena)
		}
		return d, nil
	}
}

const fakeArena = 4*fakeGap + fakeVocab*(fakeVocab+2)

// fakeTrainer is the bigram model. Between the weights every arena holds NaN,
// which must neither be read nor saved.
type fakeTrainer struct {
	each       func(micro int) // called in each micro-batch
	info       model.Info
	p, g, m, v []float32
	micro      int                 // micro-steps so far
	delay      time.Duration       // of a micro-step
	broken     func(micro int) int // 1: the loss of this micro-step is NaN, 2: a gradient
	seen       func(in model.Batch, training bool)
	closed     bool
}

func newFakeTrainer(info model.Info) *fakeTrainer {
	t := &fakeTrainer{info: info}
	for _, a := range []*[]float32{&t.p, &t.g, &t.m, &t.v} {
		*a = make([]float32, fakeArena)
		for i := range *a {
			(*a)[i] = float32(math.NaN())
		}
		for _, w := range info.Weights {
			clear((*a)[w.Offset : w.Offset+w.Len()])
		}
	}
	return t
}

func (t *fakeTrainer) of(a []float32, weight int) []float32 {
	w := t.info.Weights[weight]
	return a[w.Offset : w.Offset+w.Len()]
}

func fakeLogits(table, bias, gain []float32, id int32, out []float32) {
	for j := range out {
		out[j] = gain[j] * (table[int(id)*fakeVocab+j] + bias[j])
	}
}

// pass computes the mean loss, and the gradient if wanted.
func (t *fakeTrainer) pass(tokens, targets []int32, gradient bool) float32 {
	table, bias, gain := t.of(t.p, 0), t.of(t.p, 1), t.of(t.p, 2)
	count, loss := 0, 0.0
	for _, y := range targets {
		if y >= 0 {
			count++
		}
	}
	row := make([]float32, fakeVocab)
	for i, y := range targets {
		if y < 0 {
			continue
		}
		fakeLogits(table, bias, gain, tokens[i], row)
		top, sum := row[0], 0.0
		for _, x := range row {
			top = max(top, x)
		}
		for _, x := range row {
			sum += math.Exp(float64(x - top))
		}
		loss -= float64(row[y]-top) - math.Log(sum)
		if !gradient {
			continue
		}
		for j, x := range row {
			d := float32(math.Exp(float64(x-top)) / sum / float64(count))
			if int32(j) == y {
				d -= 1 / float32(count)
			}
			at := int(tokens[i])*fakeVocab + j
			t.of(t.g, 2)[j] += d * (table[at] + bias[j])
			t.of(t.g, 0)[at] += d * gain[j]
			t.of(t.g, 1)[j] += d * gain[j]
		}
	}
	return float32(loss / float64(max(count, 1)))
}

func (t *fakeTrainer) MicroStep(in model.Batch, first bool) float32 {
	tokens, targets := in.Tokens, in.Targets
	if t.seen != nil {
		t.seen(in, true)
	}
	time.Sleep(t.delay)
	if len(tokens) != t.info.Recipe.MicroBatch*t.info.Context || len(targets) != len(tokens) {
		panic("micro-batch of another size")
	}
	if first {
		for i := range t.info.Weights {
			clear(t.of(t.g, i))
		}
	}
	t.micro++
	if t.each != nil {
		t.each(t.micro)
	}
	loss := t.pass(tokens, targets, true)
	if t.broken != nil {
		switch t.broken(t.micro) {
		case 1:
			return float32(math.NaN())
		case 2:
			t.of(t.g, 0)[3] = float32(math.Inf(1))
		}
	}
	return loss
}

func (t *fakeTrainer) Eval(in model.Batch) float32 {
	if t.seen != nil {
		t.seen(in, false)
	}
	return t.pass(in.Tokens, in.Targets, false)
}

func (t *fakeTrainer) Update(h model.Hyper) float64 {
	square := 0.0
	for i := range t.info.Weights {
		for _, g := range t.of(t.g, i) {
			square += float64(g) * h.GradScale * float64(g) * h.GradScale
		}
	}
	norm := math.Sqrt(square)
	if !finite(norm) {
		return norm
	}
	scale := h.GradScale
	if h.Clip > 0 && norm > h.Clip {
		scale *= h.Clip / norm
	}
	c1, c2 := 1-math.Pow(h.Beta1, float64(h.Step)), 1-math.Pow(h.Beta2, float64(h.Step))
	for i, w := range t.info.Weights {
		p, g, m, v := t.of(t.p, i), t.of(t.g, i), t.of(t.m, i), t.of(t.v, i)
		for j := range p {
			d := float64(g[j]) * scale
			x, mj, vj := float64(p[j]), h.Beta1*float64(m[j])+(1-h.Beta1)*d, h.Beta2*float64(v[j])+(1-h.Beta2)*d*d
			if w.Decay {
				x -= h.LR * h.WeightDecay * x
			}
			m[j], v[j] = float32(mj), float32(vj)
			p[j] = float32(x - h.LR*mj/c1/(math.Sqrt(vj/c2)+h.Eps))
		}
	}
	return norm
}

func (t *fakeTrainer) Params() []float32         { return t.p }
func (t *fakeTrainer) Grads() []float32          { return t.g }
func (t *fakeTrainer) Moments() (m, v []float32) { return t.m, t.v }
func (t *fakeTrainer) Counters() map[string]int64 {
	return map[string]int64{"launches": int64(t.micro)}
}
func (t *fakeTrainer) Close() { t.closed = true }

func (t *fakeTrainer) Diagnose(model.Batch) string {
	if t.broken != nil {
		t.micro++
		switch t.broken(t.micro) {
		case 1:
			return "layer 3: %attn.q"
		case 2:
			return "layer 3: %attn.q (backward)"
		}
	}
	return ""
}

// fakeDecoder decodes the bigram model and is strict about its limits.
type fakeDecoder struct {
	info   model.Info
	params []float32
	ids    [4][]int32
}

func (d *fakeDecoder) Params() []float32 { return d.params }
func (d *fakeDecoder) Len(seq int) int   { return len(d.ids[seq]) }
func (d *fakeDecoder) Reset(seq int)     { d.ids[seq] = d.ids[seq][:0] }
func (d *fakeDecoder) Close()            {}

func (d *fakeDecoder) Fork(dst, src int) error {
	d.ids[dst] = append(d.ids[dst][:0], d.ids[src]...)
	return nil
}

func (d *fakeDecoder) Step(tokens, seqs, want []int32, logits []float32) error {
	m := d.info.Memory
	if len(tokens) == 0 || len(tokens) > m.Prefill || len(seqs) != len(tokens) {
		return fmt.Errorf("step of %d tokens and %d sequences", len(tokens), len(seqs))
	}
	for i, id := range tokens {
		d.ids[seqs[i]] = append(d.ids[seqs[i]], id)
	}
	blocks := 0
	for _, ids := range d.ids {
		if len(ids) > d.info.Context {
			return errors.New("a sequence passes the context")
		}
		blocks += (len(ids) + m.KVBlock - 1) / m.KVBlock
	}
	if blocks > m.KVBlocks {
		return errors.New("the cache is full")
	}
	w := d.info.Weights
	part := func(i int) []float32 { return d.params[w[i].Offset : w[i].Offset+w[i].Len()] }
	for j, i := range want {
		fakeLogits(part(0), part(1), part(2), tokens[i], logits[j*fakeVocab:(j+1)*fakeVocab])
	}
	return nil
}

//go:embed *.go
var corpus embed.FS

// fakeFeed cuts sequences from this package's source; one file is held out.
type fakeFeed struct {
	train, held []byte
	context     int
	seed        uint64
	identity    string
}

func openFake(dir string, s settings) (feed, error) {
	f := &fakeFeed{context: s.context, seed: s.seed, identity: "corpus in " + dir}
	entries, err := corpus.ReadDir(".")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		b, err := corpus.ReadFile(e.Name())
		if err != nil {
			return nil, err
		}
		if e.Name() == "files.go" {
			f.held = b
		} else {
			f.train = append(f.train, b...)
		}
	}
	return f, nil
}

func (f *fakeFeed) Sequence(n int64, dst []int32) {
	at := int(rng.New(f.seed, 99).Float64(uint64(n)) * float64(len(f.train)-len(dst)))
	for i := range dst {
		dst[i] = int32(f.train[at+i])
	}
}

func (f *fakeFeed) Batches(first int64, rows int) batches {
	return &fakeBatches{f: f, next: first, rows: rows}
}

func (f *fakeFeed) Validation(i int, dst []int32) (int, error) {
	n := 0
	for j := range dst {
		dst[j] = -1
		if at := i*f.context + j; at < len(f.held) {
			dst[j] = int32(f.held[at])
			if j > 0 {
				n++
			}
		}
	}
	return n, nil
}

func (f *fakeFeed) ValidationStarts(int, []int32) error { panic("the bigram model reads no starts") }

func (f *fakeFeed) ValidationLen() int      { return (len(f.held) - 1 + f.context - 1) / f.context }
func (f *fakeFeed) Warnings(int64) []string { return nil }
func (f *fakeFeed) Identity() string        { return f.identity }
func (f *fakeFeed) Tokenizer() string       { return tokenizer.Byte().Hash() }
func (f *fakeFeed) Describe() string {
	return fmt.Sprintf("%s bytes of Go, %s held out", count(int64(len(f.train))), count(int64(len(f.held))))
}
func (f *fakeFeed) Close() error { return nil }

type fakeBatches struct {
	f    *fakeFeed
	next int64
	rows int
}

func (b *fakeBatches) Next() (model.Batch, error) {
	c := b.f.context
	seq := make([]int32, c+1)
	tokens, targets := make([]int32, b.rows*c), make([]int32, b.rows*c)
	for r := range b.rows {
		b.f.Sequence(b.next, seq)
		b.next++
		data.Split(seq, tokens[r*c:(r+1)*c], targets[r*c:(r+1)*c])
	}
	return model.Batch{Tokens: tokens, Targets: targets}, nil
}

func (b *fakeBatches) Close() {}

// TestMain runs the commands of a generated binary, with the bigram model,
// when a test (or a person, see childVariable) starts this binary as one.
func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "" {
		os.Exit(m.Run())
	}
	info := fakeInfo()
	if r := os.Getenv(childVariable + "_RECIPE"); r != "" {
		if err := json.Unmarshal([]byte(r), &info.Recipe); err != nil {
			panic(err)
		}
	}
	if n, err := strconv.Atoi(os.Getenv(childVariable + "_CONTEXT")); err == nil {
		info.Context, info.Memory.KVBlocks = n, n
	}
	bindFake(&info)
	kill := newKiller()
	hold, _ := strconv.Atoi(os.Getenv(childVariable + "_HOLD"))
	info.NewTrainer = func(model.Options) (model.Trainer, error) {
		t := newFakeTrainer(info)
		t.delay, _ = time.ParseDuration(os.Getenv(childVariable + "_DELAY"))
		t.each = func(micro int) {
			kill.count()
			if micro == hold { // until the test lets go of it
				fmt.Println(heldLine)
				os.Stdin.Read(make([]byte, 1))
			}
		}
		return t, nil
	}
	e := newEnv(info)
	e.create = kill.create
	e.fast = true // a killed process loses nothing that it gave to the system
	e.open = openFake
	e.peak = func(int) (float64, bool) { return 50e9, true }
	os.Exit(e.run(os.Args[1:]))
}

// childVariable makes the test binary a generated one. To look at it:
//
//	go test -c -o /tmp/bigram ./runtime/app && cd /tmp
//	export LLAMAC_APP_CHILD=1 LLAMAC_APP_CHILD_CONTEXT=320 LLAMAC_APP_CHILD_DELAY=5ms LLAMAC_APP_CHILD_RECIPE='{"Steps":
//	1000, "LR": 0.01, "Warmup": 50, "EvalEvery": 50, "SaveEvery": 25, "SampleEvery": 250, "SampleTokens": 300}'
//	./bigram train --data x --run /tmp/run
//
// _KILL=N ends it at the N-th thing that it does (see killer), _HOLD=N has it
// wait for its standard input in the N-th micro-batch.
const childVariable = "LLAMAC_APP_CHILD"
