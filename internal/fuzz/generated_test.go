package fuzz

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/llamac/llamac/codegen"
	"github.com/llamac/llamac/codegen/golang"
	"github.com/llamac/llamac/exec"
	"github.com/llamac/llamac/internal/diag"
	"github.com/llamac/llamac/internal/fuzz/sample"
	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/passes"
	"github.com/llamac/llamac/plan"
	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/specs"
)

// TestGenerated compiles a few random models to Go, a third of them with layers
// that store different things, and holds what that computes to exec's results,
// bit for bit.
func TestGenerated(t *testing.T) { checkGenerated(t, 1, map[string]int{"graph": 6, "spec": 10}) }

// checkGenerated compiles n random models of each kind into one program.
func checkGenerated(t *testing.T, first uint64, n map[string]int) {
	if _, err := osexec.LookPath("go"); err != nil {
		t.Skip("go not found")
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	over := overlay{dir: dir, at: filepath.Join(root, "internal", "fuzz", "generated"), Replace: map[string]string{}}
	k := NewChecker()
	defer k.Device.Close()
	want := map[string]sample.Out{}
	cases := map[string]*Case{}
	for _, kind := range Kinds {
		for seed := first; n[kind.Name] > 0; seed++ {
			c := kind.Make(Random(seed))
			if len(c.Train.Dims) < 2 {
				continue // of a fixed batch or length: no spec has that
			}
			name := fmt.Sprintf("%s%d", kind.Name, seed)
			out, files, err := k.generate(c, seed%3 == 0, name, filepath.Join(dir, name))
			if err != nil {
				var refused Refusal
				if errors.As(err, &refused) || errors.Is(err, errWild) {
					continue
				}
				t.Fatalf("%s: %v", name, err)
			}
			n[kind.Name]--
			want[name], cases[name] = out, c
			for _, f := range files {
				over.add(t, name+"/"+f.Name, f.Data)
			}
		}
	}
	if k.Counts["several segments"] == 0 {
		t.Errorf("no model has layers that store different things: %v", k.Counts)
	}
	var imports, table strings.Builder
	for name := range want {
		fmt.Fprintf(&imports, "\t%q\n", "github.com/llamac/llamac/internal/fuzz/generated/"+name)
		fmt.Fprintf(&table, "\t\t%q: &%s.Info,\n", name, name)
	}
	over.add(t, "main.go", fmt.Appendf(nil, `package main

import (
%s	"github.com/llamac/llamac/internal/fuzz/sample"
	"github.com/llamac/llamac/runtime/model"
)

func main() {
	sample.Main(map[string]*model.Info{
%s	})
}
`, imports.String(), table.String()))
	program := filepath.Join(dir, "program")
	build := osexec.Command("go", "build", "-overlay", over.write(t), "-o", program, "./internal/fuzz/generated")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the generated code does not build: %v\n%s", err, out)
	}
	if out, err := osexec.Command(program, dir).CombinedOutput(); err != nil {
		t.Fatalf("the generated code: %v\n%s", err, out)
	}
	for name, w := range want {
		var got sample.Out
		if err := sample.Read(filepath.Join(dir, name+".out"), &got); err != nil {
			t.Fatal(err)
		}
		if err := sameOut(got, w); err != nil {
			t.Errorf("%s: %v\n%s", name, err, cases[name].Format("Generated code differs."))
		}
	}
}

// overlay adds files to the module for one build.
type overlay struct {
	dir, at string
	Replace map[string]string
}

func (o *overlay) add(t *testing.T, name string, data []byte) {
	t.Helper()
	file := filepath.Join(o.dir, strings.ReplaceAll(name, "/", "_"))
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	o.Replace[filepath.Join(o.at, filepath.FromSlash(name))] = file
}

func (o *overlay) write(t *testing.T) string {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(o.dir, "overlay.json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// segmented compiles a case under the policy auto, with the first of some
// budgets under which its layers store different things; nil if there is none.
func (k *Checker) segmented(c *Case) (*passes.Unit, error) {
	budgets, err := k.budgets(c)
	if err != nil || budgets == nil {
		return nil, err
	}
	for _, quarters := range []int64{4, 2, 6, 1, 3, 5, 7} { // of the way to budgets[1]
		u := &passes.Unit{Module: ir.Clone(c.Train, nil), Config: c.config("auto")}
		u.Config.Budget, u.Config.Units = budgets[0]+(budgets[1]-budgets[0])*quarters/4, fewUnits
		if err := passes.Run(u, k.Train); err != nil {
			return nil, err
		}
		if len(u.Checkpoint.Segments) > 1 {
			k.Counts["several segments"]++
			return u, nil
		}
	}
	return nil, nil
}

// generate compiles a case to a plan and to Go, and runs the plan over random
// numbers that it writes to path.in.
func (k *Checker) generate(c *Case, auto bool, name, path string) (out sample.Out, files []codegen.File, err error) {
	r, err := newReference(c) // leaves out what means nothing in float32
	if err != nil {
		return out, nil, refusal(err)
	}
	u, err := k.compile(c, passes.Policies[c.Seed%3], 0, nil)
	if err != nil {
		return out, nil, err
	}
	if auto {
		several, err := k.segmented(c)
		if err != nil {
			return out, nil, err
		}
		if several != nil {
			u = several
		}
	}
	p := u.Plan
	if c.Infer != nil {
		v := &passes.Unit{Module: ir.Clone(c.Infer, nil), Plan: p, Config: c.inferConfig(0)}
		if err := passes.Run(v, k.Infer); err != nil {
			return out, nil, refusal(err)
		}
	}
	t, err := exec.NewTrainer(p, exec.Options{Device: k.Device, Poison: true})
	if err != nil {
		return out, nil, refusal(err)
	}
	var d model.Decoder
	if c.Infer != nil {
		if d, err = exec.NewDecoder(p, exec.Options{Device: k.Device, Poison: true, Context: c.T}); err != nil {
			return out, nil, refusal(err)
		}
	}
	in := c.sampleIn(p, r)
	if err := sample.Write(path+".in", in); err != nil {
		return out, nil, err
	}
	if out, err = sample.Run(t, d, in); err != nil {
		return out, nil, err
	}
	s := &specs.Spec{Name: name, File: name + ".jsonnet", Pos: func(string) diag.Pos { return diag.Pos{} }}
	s.Model = specs.Model{Layers: p.Layers(), Vocab: c.Vocab, Context: c.T}
	s.Train.MicroBatch = c.B
	files, err = golang.Target{}.Generate(codegen.Input{Spec: s, Plan: p, Package: name, Runtime: "github.com/llamac/llamac", Version: "test"})
	return out, files, err
}

// sampleIn draws what a model is given.
func (c *Case) sampleIn(p *plan.Plan, r *reference) sample.In {
	in := sample.In{Params: make([]float32, p.Arena("weights")/4), Tokens: r.tokens, Targets: r.targets, Starts: r.starts,
		Hyper: model.Hyper{Step: 3, LR: 0.01, Beta1: 0.9, Beta2: 0.95, Eps: 1e-6, WeightDecay: 0.1, Clip: 0.5, GradScale: 0.5}}
	for _, w := range p.Weights {
		for l, x := range r.weights[w.Name] {
			copy(in.Params[w.At(l):], x.F32())
		}
	}
	in.Targets = append([]int32(nil), in.Targets...)
	for i, x := range in.Targets {
		in.Targets[i] = max(0, x) // eval reads them as tokens
	}
	if c.Infer == nil {
		return in
	}
	rng := rand.New(rand.NewPCG(c.Seed, 4))
	seqs, rows, tokens := int(c.Capacity["S"]), int(c.Capacity["R"]), int(c.Capacity["N"])
	in.Logits = rows * c.Vocab
	length := make([]int, seqs)
	for range 2 * seqs * c.T {
		var s sample.Step
		for range 1 + rng.IntN(tokens) {
			q := rng.IntN(seqs)
			if length[q] == c.T {
				continue
			}
			length[q]++
			s.Tokens, s.Seqs = append(s.Tokens, int32(rng.IntN(c.Vocab))), append(s.Seqs, int32(q))
			if len(s.Want) < rows && rng.IntN(2) == 0 {
				s.Want = append(s.Want, int32(len(s.Tokens)-1))
			}
		}
		if len(s.Tokens) > 0 {
			in.Steps = append(in.Steps, s)
		}
	}
	return in
}

// sameOut compares results bit for bit.
func sameOut(got, want sample.Out) error {
	if math.Float64bits(got.Norm) != math.Float64bits(want.Norm) {
		return fmt.Errorf("norm %v, exec has %v", got.Norm, want.Norm)
	}
	for _, x := range []struct {
		what      string
		got, want []float32
	}{{"losses", got.Losses, want.Losses}, {"gradients", got.Grads, want.Grads}, {"parameters", got.Params, want.Params},
		{"first moments", got.Moment1, want.Moment1}, {"second moments", got.Moment2, want.Moment2}, {"logits", got.Logits, want.Logits}} {
		if len(x.got) != len(x.want) {
			return fmt.Errorf("%d %s, exec has %d", len(x.got), x.what, len(x.want))
		}
		for i := range x.got {
			if math.Float32bits(x.got[i]) != math.Float32bits(x.want[i]) {
				return fmt.Errorf("%s: element %d is %v, exec has %v", x.what, i, x.got[i], x.want[i])
			}
		}
	}
	if len(got.Grads) == 0 {
		return fmt.Errorf("nothing was computed")
	}
	return nil
}
