package modeltest

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llamac/llamac/runtime/model"
)

// Seeds with which the oracle's results in testdata were made.
//
// They stand here and not in testdata, as both sides import them: the
// interpreter when it writes testdata, the generated test when it reads it.
const (
	WeightSeed = 1
	TokenSeed  = 2
	TargetSeed = 3
)

// tolerance is the largest difference from the float64 oracle, relative to the
// largest element of the tensor: the reductions of a twin have below 100 terms
// of relative error 2⁻²⁴, a gradient passes some ten of them.
const tolerance = 1e-4

// CheckLayout checks the base table: weights lie in order of their names'
// layers without overlap, matrices start at cache lines or behind their pack's
// last member, and their elements add up to Params.
//
// Generated packages have few lines of test, all of which call here: what is
// checked can be bettered without generating anything anew.
func CheckLayout(t *testing.T, info *model.Info) {
	t.Helper()
	ws := slices.Clone(info.Weights)
	slices.SortFunc(ws, func(a, b model.Weight) int { return a.Offset - b.Offset })
	var params int64
	end := 0
	for _, w := range ws {
		if w.Offset < end {
			t.Errorf("%s at %d overlaps what ends at %d", w.Name, w.Offset, end)
		}
		// 16 numbers are a line of 64 bytes.
		if w.Offset != end && w.Offset%16 != 0 {
			t.Errorf("%s at %d is neither behind its neighbour nor at a cache line", w.Name, w.Offset)
		}
		end = w.Offset + w.Len()
		params += int64(w.Len())
	}
	if params != info.Params {
		t.Errorf("weights have %d elements, Info.Params says %d", params, info.Params)
	}
	// The arena may be padded behind the last weight, never too short.
	if int64(4*end) > info.Memory.Weights {
		t.Errorf("weights end at byte %d of %d", 4*end, info.Memory.Weights)
	}
}

// CheckLLaMA checks the number of parameters against the closed form of the
// LLaMA architecture: L(2h² + 2h·kv + 3hf + 2h) + 2Vh + h, one Vh less when
// the embedding is tied.
func CheckLLaMA(t *testing.T, info *model.Info, tied bool) {
	t.Helper()
	h, f, v, l := int64(info.Dim), int64(info.FFNDim), int64(info.Vocab), int64(info.Layers)
	kv, q := int64(info.KVHeads*info.HeadDim), int64(info.Heads*info.HeadDim)
	// q is h for every LLaMA, but the head size may be given apart.
	want := l*(2*h*q+2*h*kv+3*h*f+2*h) + 2*v*h + h
	if tied {
		want -= v * h
	}
	if info.Params != want {
		t.Errorf("%d parameters, want %d", info.Params, want)
	}
}

// CheckTrainer compares one micro-batch with the oracle's loss and gradients,
// and checks that it adds to gradients when told to, allocates nothing, and
// gives the same bits for any number of workers. Gradients start out as NaN:
// the first micro-batch must not read them.
//
// NaN is the poison: a sum with it stays NaN, whichever kernel reads it.
func CheckTrainer(t *testing.T, info *model.Info) {
	t.Helper()
	want, err := ReadF32(filepath.Join("testdata", "grads.f32"))
	if err != nil {
		t.Fatal(err)
	}
	scalars, err := ReadF32(filepath.Join("testdata", "loss.f32"))
	if err != nil {
		t.Fatal(err)
	}
	in := Batch(info, TokenSeed, TargetSeed)
	var first []float32
	// More workers than the machine has cores are fine, and numbers that do not
	// divide the work evenly are the ones that would show a cut by workers.
	for _, workers := range []int{1, 2, 3, 5} {
		tr, err := info.NewTrainer(model.Options{Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		Fill(tr.Params(), info.Weights, WeightSeed)
		// Only where weights lie: the gaps between them belong to nobody.
		for _, w := range info.Weights {
			for i := range w.Len() {
				tr.Grads()[w.Offset+i] = float32(math.NaN())
			}
		}
		// Eval runs the same forward over other buffers.
		for _, loss := range []float32{tr.MicroStep(in, true), tr.Eval(in)} {
			if d := math.Abs(float64(loss - scalars[0])); d > 1e-5 {
				t.Errorf("%d workers: loss %v, want %v", workers, loss, scalars[0])
			}
		}
		grads := slices.Clone(tr.Grads())
		// The first number of workers is held to the oracle, the others to the
		// first, bit for bit.
		if first == nil {
			first = grads
			compare(t, info, grads, want, 1)
		} else if i := firstDifference(first, grads); i >= 0 {
			t.Errorf("%d workers: gradient %d is %v, with 1 worker %v", workers, i, grads[i], first[i])
		}
		// A slice with room behind it must not be read beyond its end.
		short := in
		short.Tokens = in.Tokens[:5]
		if got := panicOf(func() { tr.MicroStep(short, true) }); !strings.HasPrefix(got, "model: Batch.Tokens has 5 tokens") {
			t.Errorf("a batch of 5 tokens: %q", got)
		}
		// A second micro-batch of the same tokens adds the same gradients:
		// exactly twice, up to rounding.
		tr.MicroStep(in, false)
		compare(t, info, tr.Grads(), want, 2)
		if a := testing.AllocsPerRun(3, func() { tr.MicroStep(in, false) }); a != 0 {
			t.Errorf("%d workers: a micro-batch allocates %v times", workers, a)
		}
		// The moments start at zero and the step is the first; no results are
		// looked at, as runtime/cpu tests the update itself.
		h := model.Hyper{Step: 1, LR: 1e-3, Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, WeightDecay: 0.1, Clip: 1, GradScale: 0.2}
		if a := testing.AllocsPerRun(3, func() { tr.Update(h) }); a != 0 {
			t.Errorf("%d workers: an update allocates %v times", workers, a)
		}
		tr.Close()
	}
}

// panicOf is what f panics with.
func panicOf(f func()) (msg string) {
	defer func() { msg = fmt.Sprint(recover()) }()
	f()
	return
}

// compare checks each weight's gradient against times the wanted one.
//
// Weights are compared one by one, each relative to its own largest element: in
// one norm over all, a small gradient that is wrong altogether would not show.
func compare(t *testing.T, info *model.Info, got, want []float32, times float32) {
	t.Helper()
	for _, w := range info.Weights {
		scaled := slices.Clone(want[w.Offset:][:w.Len()])
		for i := range scaled {
			scaled[i] *= times
		}
		diff, scale := MaxDiff(got[w.Offset:][:w.Len()], scaled)
		// Written so that NaN fails.
		if !(diff <= tolerance*scale) {
			t.Errorf("gradient of %s differs by %.3g of %.3g (%v micro-batches)", w.Name, diff, scale, times)
		}
	}
}

// Bits and not values are compared, so that NaN equals itself and -0 is not 0.
func firstDifference(a, b []float32) int {
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return i
		}
	}
	return -1
}

// CheckDecoder compares the logits of prefill and of decoding token by token
// with the oracle's full forward, at every position: sequences of different
// lengths side by side in one step, and one that shares another's prefix.
func CheckDecoder(t *testing.T, info *model.Info) {
	t.Helper()
	if _, err := info.NewDecoder(model.Options{Params: make([]float32, 5)}); err == nil {
		t.Error("an arena of 5 numbers is taken for the weights")
	}
	want, err := ReadF32(filepath.Join("testdata", "logits.f32"))
	if err != nil {
		t.Fatal(err)
	}
	// testdata has the logits of every position of one micro-batch, [batch, T,
	// V]; decoding must give them in any order and company.
	batch, T, V := info.Recipe.MicroBatch, info.Context, info.Vocab
	tokens := Tokens(batch*T, V, TokenSeed)
	d, err := info.NewDecoder(model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	Fill(d.Params(), info.Weights, WeightSeed)
	// Room for 64 rows, which is more than a step here asks for.
	logits := make([]float32, 64*V)
	check := func(what string, got []float32, row, at int) {
		t.Helper()
		diff, scale := MaxDiff(got, want[(row*T+at)*V:][:V])
		if !(diff <= tolerance*scale) {
			t.Errorf("%s: logits of sequence %d at %d differ by %.3g of %.3g", what, row, at, diff, scale)
		}
	}
	step := func(ids, seqs, rows []int32) {
		t.Helper()
		if err := d.Step(ids, seqs, rows, logits); err != nil {
			t.Fatal(err)
		}
	}

	// Ragged prefill: sequence b starts with 3+5b tokens, all in one step.
	var ids, seqs, rows []int32
	for b := range batch {
		// Different lengths, so that positions, sequences and rows of the
		// result are three different numbers.
		for i := range 3 + 5*b {
			ids, seqs = append(ids, tokens[b*T+i]), append(seqs, int32(b))
			rows = append(rows, int32(len(rows)))
		}
	}
	step(ids, seqs, rows)
	k := 0
	for b := range batch {
		for i := range 3 + 5*b {
			check("prefill", logits[k*V:][:V], b, i)
			k++
		}
	}
	// All go on together, one token each, until the shortest is done.
	// Each sequence is at a position of its own here.
	for i := 0; d.Len(batch-1) < T; i++ {
		ids, seqs, rows = ids[:0], seqs[:0], rows[:0]
		for b := range batch {
			ids, seqs, rows = append(ids, tokens[b*T+d.Len(b)]), append(seqs, int32(b)), append(rows, int32(b))
		}
		step(ids, seqs, rows)
		for b := range batch {
			check("decode", logits[b*V:][:V], b, d.Len(b)-1)
		}
	}
	// A fork shares the prefix and must not disturb its origin.
	d.Reset(0)
	// Not a whole number of cache blocks: the last block is shared half full,
	// and must be copied when either side writes on.
	half := T/2 + 1
	seqs = make([]int32, half)
	step(tokens[:half], seqs, []int32{int32(half - 1)})
	check("prefix", logits[:V], 0, half-1)
	if err := d.Fork(1, 0); err != nil {
		t.Fatal(err)
	}
	// Another token than the origin's: if both wrote to one block, the origin's
	// logits would change.
	step([]int32{tokens[half] ^ 1}, []int32{1}, []int32{0}) // goes another way
	step([]int32{tokens[half]}, []int32{0}, []int32{0})
	check("behind a fork", logits[:V], 0, half)
	one := []int32{0}
	for i := half + 1; i < T; i++ {
		step(tokens[i:i+1], one, one)
		check("behind a fork", logits[:V], 0, i)
	}
	d.Reset(0)
	// Caches, scratch and results were allocated before the first token.
	if a := testing.AllocsPerRun(3, func() {
		if err := d.Step(tokens[:1], one, one, logits); err != nil {
			panic(fmt.Sprint(err))
		}
	}); a != 0 {
		t.Errorf("a token allocates %v times", a)
	}
}
