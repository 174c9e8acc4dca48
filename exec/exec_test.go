package exec_test

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llamac/llamac/codegen/golang"
	"github.com/llamac/llamac/exec"
	"github.com/llamac/llamac/generated/custom_gelu"
	"github.com/llamac/llamac/generated/custom_meeting"
	"github.com/llamac/llamac/generated/custom_parallel"
	"github.com/llamac/llamac/generated/custom_qknorm"
	"github.com/llamac/llamac/generated/stories260k_short"
	"github.com/llamac/llamac/generated/tiny_gqa"
	"github.com/llamac/llamac/generated/tiny_gqa_auto"
	"github.com/llamac/llamac/generated/tiny_gqa_full"
	"github.com/llamac/llamac/generated/tiny_gqa_mask"
	"github.com/llamac/llamac/generated/tiny_gqa_none"
	"github.com/llamac/llamac/generated/tiny_mha"
	"github.com/llamac/llamac/internal/generate"
	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/plan"
	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/runtime/model/modeltest"
)

// compiled are the generated packages that are small enough to run.
var compiled = map[string]*model.Info{
	"custom_gelu": &custom_gelu.Info, "custom_meeting": &custom_meeting.Info, "custom_parallel": &custom_parallel.Info,
	"custom_qknorm": &custom_qknorm.Info, "stories260k_short": &stories260k_short.Info,
	"tiny_gqa": &tiny_gqa.Info, "tiny_gqa_auto": &tiny_gqa_auto.Info, "tiny_gqa_full": &tiny_gqa_full.Info,
	"tiny_gqa_mask": &tiny_gqa_mask.Info, "tiny_gqa_none": &tiny_gqa_none.Info, "tiny_mha": &tiny_mha.Info,
}

// load parses the plan that a package was generated from.
func load(t testing.TB, pkg string) *plan.Plan {
	t.Helper()
	file := filepath.Join("..", "generated", pkg, "plan.txt")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Parse(file, text)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Verify(); err != nil {
		t.Fatal(err)
	}
	return p
}

// interpreted is the Info of a package whose programs exec runs.
func interpreted(t testing.TB, pkg string, poison bool) *model.Info {
	p, info := load(t, pkg), *compiled[pkg]
	options := func(o model.Options) exec.Options {
		return exec.Options{Options: o, Context: info.Context, Poison: poison}
	}
	info.NewTrainer = func(o model.Options) (model.Trainer, error) { return exec.NewTrainer(p, options(o)) }
	info.NewDecoder = func(o model.Options) (model.Decoder, error) { return exec.NewDecoder(p, options(o)) }
	return &info
}

func TestAllPackages(t *testing.T) {
	for _, p := range generate.Packages {
		if p.Numeric && compiled[p.Name] == nil {
			t.Errorf("generated/%s is not compared with", p.Name)
		}
	}
}

// sameBits compares two vectors bit for bit.
func sameBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d elements, generated code has %d", what, len(got), len(want))
	}
	for i := range got {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s: element %d is %v, generated code gives %v", what, i, got[i], want[i])
		}
	}
}

// TestTrainer runs two steps of two micro-batches beside generated code.
func TestTrainer(t *testing.T) {
	for pkg, info := range compiled {
		t.Run(pkg, func(t *testing.T) {
			want, err := info.NewTrainer(model.Options{Workers: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer want.Close()
			var all []model.Trainer
			for workers := 1; workers <= 3; workers++ {
				tr, err := interpreted(t, pkg, workers != 2).NewTrainer(model.Options{Workers: workers})
				if err != nil {
					t.Fatal(err)
				}
				defer tr.Close()
				all = append(all, tr)
				modeltest.Fill(tr.Params(), info.Weights, 5)
			}
			modeltest.Fill(want.Params(), info.Weights, 5)
			h := model.Hyper{LR: 1e-2, Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, WeightDecay: 0.1, Clip: 0.5, GradScale: 0.5}
			for i := range 4 {
				in := modeltest.Batch(info, uint64(2*i), uint64(2*i+1))
				in.Targets[i] = -1
				loss, eval := want.MicroStep(in, i%2 == 0), want.Eval(in)
				norm := 0.0
				if h.Step = 1 + i/2; i%2 == 1 {
					norm = want.Update(h)
				}
				for _, tr := range all {
					sameBits(t, "loss", []float32{tr.MicroStep(in, i%2 == 0), tr.Eval(in)}, []float32{loss, eval})
					if i%2 == 1 {
						if got := tr.Update(h); got != norm {
							t.Fatalf("norm %v, generated code has %v", got, norm)
						}
					}
					gm, gv := tr.Moments()
					wm, wv := want.Moments()
					sameBits(t, "gradients", tr.Grads(), want.Grads())
					sameBits(t, "parameters", tr.Params(), want.Params())
					sameBits(t, "first moments", gm, wm)
					sameBits(t, "second moments", gv, wv)
				}
			}
		})
	}
}

// TestDecoder feeds both sides the same random steps: sequences of any length,
// forks and resets.
func TestDecoder(t *testing.T) {
	for pkg, info := range compiled {
		t.Run(pkg, func(t *testing.T) {
			var all []model.Decoder
			for workers := 0; workers <= 3; workers++ {
				make := info.NewDecoder // generated, then interpreted
				if workers > 0 {
					make = interpreted(t, pkg, workers != 2).NewDecoder
				}
				d, err := make(model.Options{Workers: max(1, workers)})
				if err != nil {
					t.Fatal(err)
				}
				defer d.Close()
				modeltest.Fill(d.Params(), info.Weights, 5)
				all = append(all, d)
			}
			rng := rand.New(rand.NewPCG(1, 2))
			sequences := info.Memory.MaxSequences
			logits := make([][]float32, len(all))
			for i := range logits {
				logits[i] = make([]float32, 64*info.Vocab)
			}
			for range 40 {
				switch s := rng.IntN(sequences); rng.IntN(8) {
				case 0:
					for _, d := range all {
						d.Reset(s)
					}
					continue
				case 1:
					to := (s + 1 + rng.IntN(sequences-1)) % sequences
					for _, d := range all {
						if err := d.Fork(to, s); err != nil {
							t.Fatal(err)
						}
					}
					continue
				}
				n := 1 + rng.IntN(info.Memory.Prefill)
				tokens, seqs, want := make([]int32, n), make([]int32, n), []int32(nil)
				s := int32(rng.IntN(sequences))
				for i := range n {
					if rng.IntN(6) == 0 {
						s = int32(rng.IntN(sequences))
					}
					tokens[i], seqs[i] = int32(rng.IntN(info.Vocab)), s
					if rng.IntN(3) == 0 && len(want) < 64 {
						want = append(want, int32(i))
					}
				}
				first := all[0].Step(tokens, seqs, want, logits[0])
				for i, d := range all[1:] {
					err := d.Step(tokens, seqs, want, logits[i+1])
					if (err == nil) != (first == nil) || err != nil && err.Error() != first.Error() {
						t.Fatalf("error %v, generated code has %v", err, first)
					}
					for s := range sequences {
						if d.Len(s) != all[0].Len(s) {
							t.Fatalf("sequence %d has %d tokens, with generated code %d", s, d.Len(s), all[0].Len(s))
						}
					}
					sameBits(t, "logits", logits[i+1][:len(want)*info.Vocab], logits[0][:len(want)*info.Vocab])
				}
			}
		})
	}
}

// TestOracle holds exec itself to the oracle, and to allocating nothing.
func TestOracle(t *testing.T) {
	for _, p := range generate.Packages {
		if !p.Numeric {
			continue
		}
		t.Run(p.Name, func(t *testing.T) {
			info := interpreted(t, p.Name, true)
			t.Chdir(filepath.Join("..", "generated", p.Name))
			modeltest.CheckTrainer(t, info)
			modeltest.CheckDecoder(t, info)
		})
	}
}

// TestDiagnose looks for a node that is not finite with a weight that is not.
func TestDiagnose(t *testing.T) {
	info := compiled["tiny_gqa"]
	for _, weight := range []string{"", "tok_embeddings", "layers.1.feed_forward.w2", "norm"} {
		var names []string
		for _, info := range []*model.Info{info, interpreted(t, "tiny_gqa", false)} {
			tr, err := info.NewTrainer(model.Options{Workers: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer tr.Close()
			modeltest.Fill(tr.Params(), info.Weights, 5)
			for _, w := range info.Weights {
				if w.Name == weight {
					for i := range w.Len() {
						tr.Params()[w.Offset+i] = float32(math.Inf(1))
					}
				}
			}
			names = append(names, tr.Diagnose(modeltest.Batch(info, 1, 2)))
		}
		if names[0] != names[1] || (names[0] == "") != (weight == "") {
			t.Errorf("%s is infinite: found %q, generated code finds %q", weight, names[1], names[0])
		}
	}
}

// TestKernels holds that exec runs the ops that the Go target prints.
func TestKernels(t *testing.T) {
	for _, o := range ir.Ops {
		if got, want := exec.Unsupported(o.Name) == "", (golang.Target{}).Unsupported(o.Name) == ""; got != want {
			t.Errorf("%s: exec runs it: %v, target go prints it: %v", o.Name, got, want)
		}
	}
}

// TestPoison plants reads of dead memory in a plan, which must show.
func TestPoison(t *testing.T) {
	info := compiled["tiny_gqa"]
	loss := func(p *plan.Plan) (float32, []float32) {
		tr, err := exec.NewTrainer(p, exec.Options{Poison: true})
		if err != nil {
			t.Fatal(err)
		}
		defer tr.Close()
		modeltest.Fill(tr.Params(), info.Weights, 5)
		loss := tr.MicroStep(modeltest.Batch(info, 1, 2), true)
		return loss, tr.Grads()
	}
	for what, plant := range map[string]func(q *plan.Program){
		"a launch is missing": func(q *plan.Program) { q.Items = q.Items[1:] },
		"a launch reads a later buffer": func(q *plan.Program) {
			q.Items[1].(*plan.Loop).Body[0].(*plan.Launch).Args[0].Layer = plan.NextLayer
		},
		"two buffers in one place": func(q *plan.Program) {
			by := func(name string) *plan.Buffer {
				return q.Buffers[slices.IndexFunc(q.Buffers, func(b *plan.Buffer) bool { return b.Name == name })]
			}
			by("d.ffn.m").Offset = by("d.ffn.gu").Offset
		},
	} {
		p := load(t, "tiny_gqa")
		goodLoss, goodGrad := loss(p)
		plant(p.Program("micro_step"))
		if badLoss, badGrad := loss(p); badLoss == goodLoss && slices.Equal(badGrad, goodGrad) {
			t.Errorf("%s: loss and gradients are still the same", what)
		}
	}
}

// TestErrors holds what is reported instead of run.
func TestErrors(t *testing.T) {
	change := func(from, to string) *plan.Plan {
		text := load(t, "tiny_gqa").String()
		if !strings.Contains(text, from) {
			t.Fatalf("the plan has no %q", from)
		}
		p, err := plan.Parse("changed", []byte(strings.ReplaceAll(text, from, to)))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	trainer := func(p *plan.Plan) error { _, err := exec.NewTrainer(p, exec.Options{}); return err }
	decoder := func(p *plan.Plan) error { _, err := exec.NewDecoder(p, exec.Options{}); return err }
	for _, c := range []struct {
		err  error
		want string
	}{
		{trainer(change("program micro_step", "program other")), "exec: the plan has no program micro_step"},
		{decoder(change("program decode", "program other")), "exec: the plan has no program decode"},
		{trainer(change("$norm: f32[32] at", "$norm: bf16[32] at")), "exec: weight $norm is bf16, row_major: the kernels read f32, row_major"},
		{trainer(change("gather($tok_embeddings: f32[61, 32], %tokens: i32[B, T])", "gather($tok_embeddings: f32[61, 32], %h: f32[])")), "is not an input of 32-bit integers"},
		{trainer(change("launch out add(", "launch out all_reduce(")), "no kernel for all_reduce"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("got %v, want %q", c.err, c.want)
		}
	}
}
