package app

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/runtime/sample"
	"github.com/llamac/llamac/tokenizer"
	"github.com/llamac/llamac/weights"
)

func generate(t *testing.T, change func(*env), args ...string) result {
	t.Helper()
	return call(t, change, append([]string{"generate"}, args...)...)
}

// trained makes a run and returns its folder and its last checkpoint.
func trained(t *testing.T) (dir, checkpoint string) {
	t.Helper()
	dir = t.TempDir()
	train(t, dir, nil).want(t, 0)
	return dir, filepath.Join(dir, "checkpoints", "step-00000040.safetensors")
}

// greedy follows the bigram table by hand.
func greedy(t *testing.T, checkpoint string, last byte, n int) string {
	t.Helper()
	f := newFakeTrainer(fakeInfo())
	if err := weights.Load(f.info, checkpoint, f.p); err != nil {
		t.Fatal(err)
	}
	var out []byte
	row := make([]float32, fakeVocab)
	for range n {
		fakeLogits(f.of(f.p, 0), f.of(f.p, 1), f.of(f.p, 2), int32(last), row)
		best := 0
		for i, x := range row {
			if x > row[best] {
				best = i
			}
		}
		last = byte(best)
		out = append(out, last)
	}
	return string(out)
}

// TestGenerateGreedy writes what the table says, from a run and from a file,
// and nothing else to standard output.
func TestGenerateGreedy(t *testing.T) {
	dir, checkpoint := trained(t)
	prompt := "func main" // longer than the decoder takes at once
	want := prompt + greedy(t, checkpoint, 'n', 10)
	for _, from := range [][]string{{"--run", dir}, {"--weights", checkpoint}} {
		r := generate(t, nil, append(from, "--prompt", prompt, "-n", "10", "--temperature", "0")...)
		r.want(t, 0)
		if r.out != want || r.err != "" {
			t.Errorf("%v: %q and %q, want %q", from, r.out, r.err, want)
		}
		r = generate(t, nil, append(from, "--prompt", prompt, "-n", "10", "--temperature", "0", "--stats")...)
		if r.out != want || !strings.HasPrefix(r.err, "prompt: 9 tokens in ") || strings.Count(r.err, "\n") != 1 {
			t.Errorf("%v: %q and %q with --stats", from, r.out, r.err)
		}
	}
	if r := generate(t, nil, "--run", dir, "--prompt", prompt, "-n", "0"); r.out != prompt {
		t.Errorf("no new tokens: %q", r.out)
	}
	// An empty prompt begins after a line's end, which is not shown.
	if r := generate(t, nil, "--run", dir, "-n", "5", "--temperature", "0"); r.out != greedy(t, checkpoint, '\n', 5) {
		t.Errorf("empty prompt: %q", r.out)
	}
}

// TestGenerateSeed draws the same text for a seed, mostly another without.
func TestGenerateSeed(t *testing.T) {
	dir, _ := trained(t)
	text := func(args ...string) string {
		r := generate(t, nil, append([]string{"--run", dir, "--prompt", "x", "-n", "20", "--temperature", "1", "--top-p", "1"}, args...)...)
		r.want(t, 0)
		return r.out
	}
	if first, second := text("--seed", "5"), text("--seed", "5"); first != second {
		t.Errorf("a seed gave two texts: %q, %q", first, second)
	}
	seen := map[string]bool{}
	for range 5 {
		seen[text()] = true
	}
	if len(seen) < 4 {
		t.Errorf("five calls without a seed gave %d texts", len(seen))
	}
	if text("--seed", "5", "--top-k", "1") != text("--temperature", "0") {
		t.Error("the most probable token of one is not the most probable")
	}
}

// TestGenerateContext stops where the model's context ends: the last token
// that fits is fed, and the one it predicts still shown.
func TestGenerateContext(t *testing.T) {
	dir, _ := trained(t)
	for _, n := range []int{1, 5, fakeContext} {
		r := generate(t, nil, "--run", dir, "--prompt", strings.Repeat("a", n), "-n", "1000", "--temperature", "0")
		r.want(t, 0)
		if want := fmt.Sprintf("warning: the model's context of 24 tokens is full: %d of 1000 tokens were written\n", fakeContext+1-n); !strings.Contains(r.err, want) {
			t.Errorf("prompt of %d: %q, want %q", n, r.err, want)
		}
		if len(r.out) != fakeContext+1 {
			t.Errorf("prompt of %d: %d bytes, want %d", n, len(r.out), fakeContext+1)
		}
	}
	generate(t, nil, "--run", dir, "--prompt", strings.Repeat("a", fakeContext+1)).want(t, 2, "--prompt: has 25 tokens, the model's context is 24")
}

// TestGenerateRefusals wants a clear sentence for each wrong call.
func TestGenerateRefusals(t *testing.T) {
	dir, checkpoint := trained(t)
	for _, c := range []struct {
		change func(*env)
		args   []string
		status int
		want   string
	}{
		{nil, []string{"--run", "/nowhere"}, 2, "/nowhere: holds no checkpoint; train first"},
		{nil, []string{"--run", dir, "--weights", checkpoint}, 2, "--weights: give either"},
		{nil, []string{"--weights", "main.go"}, 1, "main.go: offset 0: not recognised"},
		{nil, []string{"--run", dir, "--temperature", "-1"}, 2, "--temperature=-1"},
		{nil, []string{"--run", dir, "--temperature", "NaN"}, 2, "--temperature=NaN"},
		{nil, []string{"--run", dir, "--top-p", "2"}, 2, "--top-p=2"},
		{nil, []string{"--run", dir, "--top-k", "-2"}, 2, "--top-k=-2"},
		{nil, []string{"--run", dir, "-n", "-2"}, 2, "--n=-2"},
		{nil, []string{"--run", dir, "--tokenizer", "main.go"}, 1, "main.go: not a tokenizer"},
		{func(e *env) { e.info.NewDecoder = nil }, []string{"--run", dir}, 1, "compiled without inference"},
		{func(e *env) { e.info.SpecHash = "other" }, []string{"--run", dir}, 1, "another specification"},
		{func(e *env) { e.memory = func() (limit, bool) { return limit{1000, "of nothing"}, true } }, []string{"--run", dir}, 1,
			"bigram needs 264 KiB of memory to write text (weights 256 KiB, activations 4.00 KiB, KV cache 4.00 KiB), and 1000 bytes is left of nothing"},
	} {
		r := generate(t, c.change, c.args...)
		r.want(t, c.status, c.want)
		if r.out != "" {
			t.Errorf("%v: standard output holds %q", c.args, r.out)
		}
	}
	b, _ := os.ReadFile(checkpoint)
	os.WriteFile(checkpoint, b[:1000], 0o666)
	generate(t, nil, "--run", dir, "--prompt", "a").want(t, 0, "trying the one before")
}

// endless is the byte tokenizer with an end of text.
type endless struct {
	tokenizer.Tokenizer
	eos int32
}

func (e endless) EOS() int32 { return e.eos }

// TestTextsSideBySide writes the same texts together as one by one, in caches
// of any size, ended texts among them.
func TestTextsSideBySide(t *testing.T) {
	_, checkpoint := trained(t)
	tok := endless{tokenizer.Byte(), -1}
	write := func(side, blocks, count int) [][]int32 {
		info := fakeInfo()
		info.Memory.KVBlocks = blocks
		bindFake(&info)
		dec, err := info.NewDecoder(model.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := weights.Load(info, checkpoint, dec.Params()); err != nil {
			t.Fatal(err)
		}
		g := newGenerator(&info, dec, side)
		texts := make([]*text, count)
		for i := range texts {
			texts[i] = &text{draws: sample.Config{Temperature: 1, Seed: uint64(i)}}
		}
		prompt, _ := promptIDs(tok, true, "func f")
		if err := g.write(tok, prompt, texts, 100); err != nil {
			t.Fatalf("side %d, blocks %d: %v", side, blocks, err)
		}
		var ids [][]int32
		for _, x := range texts {
			ids = append(ids, x.ids)
		}
		return ids
	}
	// The model learned from this package's own source, so which texts have which
	// letter changes with it: the end is one that about half of them have.
	var in [fakeVocab]int
	for _, ids := range write(1, 100, 10) {
		slices.Sort(ids)
		for _, id := range slices.Compact(ids) {
			in[id]++
		}
	}
	for id, n := range in {
		if tok.eos < 0 || math.Abs(float64(n)-5) < math.Abs(float64(in[tok.eos])-5) {
			tok.eos = int32(id)
		}
	}
	want := write(1, 100, 10)
	ended := 0
	for _, ids := range want {
		switch {
		case ids[len(ids)-1] == tok.eos:
			ended++
		case len(ids) != fakeContext+1:
			t.Errorf("a text of %d tokens", len(ids))
		}
		if i := slices.Index(ids, tok.eos); i >= 0 && i != len(ids)-1 {
			t.Errorf("a text goes on after its end: %v", ids)
		}
	}
	if ended == 0 || ended == len(want) {
		t.Errorf("%d of %d texts ended: the test shows nothing", ended, len(want))
	}
	for _, c := range [][2]int{{2, 100}, {3, 100}, {4, 100}, {9, 100}, {4, 12}, {4, 7}, {4, 4}} {
		got := write(c[0], c[1], 10)
		for i := range want {
			if !slices.Equal(got[i], want[i]) {
				t.Errorf("%d side by side, %d blocks: text %d is %v, want %v", c[0], c[1], i, got[i], want[i])
			}
		}
	}
}

// TestDecoderWithOwnWeights samples through a decoder that does not take the
// trainer's arena.
func TestDecoderWithOwnWeights(t *testing.T) {
	whole, dir := t.TempDir(), t.TempDir()
	train(t, whole, nil).want(t, 0)
	train(t, dir, func(e *env) {
		info := e.info
		e.info.NewDecoder = func(model.Options) (model.Decoder, error) { return info.NewDecoder(model.Options{}) }
	}).want(t, 0)
	sameRun(t, dir, whole)
}

// TestPromptIDs puts BOS where the recipe and the vocabulary have one.
func TestPromptIDs(t *testing.T) {
	for _, c := range []struct {
		bos    bool
		id     int32
		prompt string
		want   []int32
		hidden int
	}{
		{true, 1, "ab", []int32{1, 'a', 'b'}, 0},
		{true, 1, "", []int32{1}, 0},
		{false, 1, "a", []int32{'a'}, 0},
		{true, -1, "a", []int32{'a'}, 0},
		{true, -1, "", []int32{'\n'}, 1},
	} {
		ids, hidden := promptIDs(began{tokenizer.Byte(), c.id}, c.bos, c.prompt)
		if !slices.Equal(ids, c.want) || hidden != c.hidden {
			t.Errorf("%+v: %v, %d", c, ids, hidden)
		}
	}
}

type began struct {
	tokenizer.Tokenizer
	bos int32
}

func (b began) BOS() int32 { return b.bos }

// TestInfo prints the description.
func TestInfo(t *testing.T) {
	call(t, nil, "info").want(t, 0, "bigram: 66,048 parameters", "1.06 MiB: weights 256 KiB, gradients 256 KiB, moments 512 KiB, activations 64.0 KiB", "40 steps of 96 tokens")
	r := call(t, nil, "info", "--json")
	r.want(t, 0, `"params": 66048`, `"Name": "table"`)
	if !bytes.HasPrefix([]byte(r.out), []byte("{")) {
		t.Errorf("not JSON: %s", r.out)
	}
}
