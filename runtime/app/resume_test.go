package app

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/weights"
)

// spec makes the bigram model's info that of a spec with some fields.
func spec(hash string, fields string) func(*env) {
	return func(e *env) {
		e.info.SpecHash = strings.Repeat(hash, 32)
		e.info.SpecJSON = `{"name":"bigram","model":{"dim":256,"n_heads":1},` + fields + `}`
		bindFake(&e.info)
	}
}

func read(t *testing.T, dir string) settings {
	t.Helper()
	s, found, err := (&runDir{path: dir}).readSettings()
	if err != nil || !found {
		t.Fatal(found, err)
	}
	return s
}

// stoppedAt makes a run that fails in a step.
func stoppedAt(t *testing.T, dir string, step int, change func(*env)) {
	t.Helper()
	train(t, dir, func(e *env) {
		change(e)
		broken(func(micro int) int {
			if micro > 2*(step-1) {
				return 1
			}
			return 0
		})(e)
	}).want(t, 1)
}

const old = `"doc":"x","optim":{"lr":0.05},"train":{"steps":40,"seed":1,"save_every":3}`

// TestResumeChanged goes on under specs that differ.
func TestResumeChanged(t *testing.T) {
	whole := t.TempDir()
	train(t, whole, spec("ab", old)).want(t, 0)
	t.Run("free", func(t *testing.T) {
		dir := t.TempDir()
		stoppedAt(t, dir, 11, spec("ab", old))
		now := spec("cd", `"doc":"another","optim":{"lr":5e-2},"train":{"steps":40,"seed":1,"save_every":3,"keep":{"last":2}}`)
		train(t, dir, now, "--resume").want(t, 0)
		if a, b := history(t, dir), history(t, whole); a[39].Loss != b[39].Loss {
			t.Errorf("loss %v, want %v", a[39].Loss, b[39].Loss)
		}
		if s := read(t, dir); s.SpecHash != strings.Repeat("cd", 32) || len(s.Changes) != 0 || !strings.Contains(string(s.SpecJSON), "another") {
			t.Errorf("settings %+v", s)
		}
	})
	t.Run("recipe", func(t *testing.T) {
		dir := t.TempDir()
		stoppedAt(t, dir, 11, spec("ab", old))
		now := func(e *env) {
			e.info.Recipe.LR = 0.01
			spec("cd", strings.Replace(old, "0.05", "0.01", 1))(e)
		}
		before := folder(t, dir)
		train(t, dir, now, "--resume").want(t, 2, dir+": the run goes by another recipe than specs/bigram.jsonnet:", "optim.lr was 0.05 and is 0.01", "--resume --accept-changes goes on with the new values")
		if after := folder(t, dir); len(after) != len(before) || after["run.json"] != before["run.json"] {
			t.Error("the refusal changed the folder")
		}
		train(t, dir, now, "--resume", "--accept-changes").want(t, 0, "from step 10 on optim.lr is 0.01 instead of 0.05")
		s := read(t, dir)
		if want := (change{9, "optim.lr", "0.05", "0.01"}); len(s.Changes) != 1 || s.Changes[0] != want {
			t.Errorf("changes %+v", s.Changes)
		}
		if h := history(t, dir); h[9].LR > 0.011 || h[8].LR < 0.04 {
			t.Errorf("rates %v and %v", h[8].LR, h[9].LR)
		}
		// Accepted once.
		train(t, dir, now, "--resume").want(t, 0)
		// Back is a change again.
		train(t, dir, spec("ab", old), "--resume").want(t, 2, "optim.lr was 0.01 and is 0.05")
	})
	t.Run("batch", func(t *testing.T) {
		dir := t.TempDir()
		stoppedAt(t, dir, 11, spec("ab", old))
		now := func(e *env) {
			e.info.Recipe.Accum = 4
			spec("cd", strings.Replace(old, `"steps"`, `"accum":4,"steps"`, 1))(e)
		}
		train(t, dir, now, "--resume", "--accept-changes").want(t, 0)
		c, err := weights.ReadCheckpointState(filepath.Join(dir, "checkpoints", "step-00000040.safetensors"))
		if h := history(t, dir); err != nil || c.Sequences != 9*4+31*8 || h[39].Tokens != 24*c.Sequences {
			t.Errorf("%d sequences, %d tokens (%v)", c.Sequences, h[39].Tokens, err)
		}
		train(t, dir, now, "--resume", "--steps", "42").want(t, 0)
	})
	t.Run("steps", func(t *testing.T) {
		dir := t.TempDir()
		train(t, dir, spec("ab", old), "--steps", "6").want(t, 0)
		longer := func(e *env) {
			e.info.Recipe.Steps = 60
			spec("cd", strings.Replace(old, "40", "60", 1))(e)
		}
		train(t, dir, longer, "--resume").want(t, 2, "train.steps was 40 and is 60")
		train(t, dir, longer, "--resume", "--steps", "8").want(t, 0, "was to take 6 steps and now takes 8")
	})
	t.Run("seed", func(t *testing.T) {
		dir := t.TempDir()
		stoppedAt(t, dir, 11, spec("ab", old))
		train(t, dir, spec("cd", strings.Replace(old, `"seed":1`, `"seed":2`, 1)), "--resume", "--accept-changes").want(t, 2, "another seed is another run", "--set train.seed=1")
	})
	t.Run("model", func(t *testing.T) {
		dir := t.TempDir()
		stoppedAt(t, dir, 11, spec("ab", old))
		other := func(e *env) {
			spec("cd", old)(e)
			e.info.SpecJSON = strings.Replace(e.info.SpecJSON, `"n_heads":1`, `"n_heads":2`, 1)
		}
		train(t, dir, other, "--resume", "--accept-changes").want(t, 1, "model.n_heads is 1 in the checkpoint", "--set model.n_heads=1 follows the checkpoint")
		call(t, other, "generate", "--run", dir, "--prompt", "x").want(t, 1, "model.n_heads is 1")
		file := filepath.Join(dir, "checkpoints", "step-00000009.safetensors")
		call(t, other, "generate", "--weights", file, "--prompt", "x").want(t, 1, "model.n_heads is 1")
		train(t, t.TempDir(), other, "--init", file).want(t, 1, "model.n_heads is 1")
		call(t, spec("ef", `"doc":"y","optim":{"lr":3}`), "generate", "--run", dir, "--prompt", "x", "-n", "3").want(t, 0)
	})
	t.Run("data", func(t *testing.T) {
		dir := t.TempDir()
		stoppedAt(t, dir, 11, spec("ab", old))
		now := func(e *env) {
			spec("ab", old)(e)
			e.open = func(dir string, s settings) (feed, error) {
				f, err := openFake(dir, s)
				f.(*fakeFeed).identity = "another"
				return f, err
			}
		}
		train(t, dir, now, "--resume").want(t, 1, "the data set is not the one", "--accept-changes")
		train(t, dir, now, "--resume", "--accept-changes").want(t, 0)
		if s := read(t, dir); s.DataHash != "another" || len(s.Changes) != 1 || s.Changes[0].Path != "data" {
			t.Errorf("settings %+v", s)
		}
		train(t, dir, now, "--resume").want(t, 0)
	})
}

// TestResumeWithoutSettings goes on where only the checkpoints were copied, and
// loses none of them.
func TestResumeWithoutSettings(t *testing.T) {
	from, dir, whole := t.TempDir(), t.TempDir(), t.TempDir()
	train(t, whole, spec("ab", old)).want(t, 0)
	stoppedAt(t, from, 11, spec("ab", old))
	if err := os.CopyFS(filepath.Join(dir, "checkpoints"), os.DirFS(filepath.Join(from, "checkpoints"))); err != nil {
		t.Fatal(err)
	}
	train(t, dir, spec("ab", old)).want(t, 2, "already holds a run at step 9")
	train(t, dir, spec("ab", old), "--resume").want(t, 0, "made anew from what", "step-00000009.safetensors says", "resumed  after step 9")
	if a, b := folder(t, dir), folder(t, whole); a["checkpoints/step-00000040.safetensors"] != b["checkpoints/step-00000040.safetensors"] {
		t.Error("the run ends otherwise")
	}
	// Nobody knows why it was kept.
	if n := filepath.Join("checkpoints", "step-00000006.safetensors"); !exists(filepath.Join(dir, n)) {
		t.Errorf("%s is gone", n)
	}
	if s := read(t, dir); s.Seed != 1 || s.Steps != 40 || len(s.SpecJSON) == 0 || s.DataHash == "" {
		t.Errorf("settings %+v", s)
	}
}

// TestFolders refuses folders that are not what they are taken for, and leaves
// them as they are.
func TestFolders(t *testing.T) {
	base := t.TempDir()
	run := filepath.Join(base, "mine")
	train(t, run, nil, "--steps", "6").want(t, 0)
	file := filepath.Join(base, "file")
	os.WriteFile(file, []byte("x"), 0o666)
	train(t, file, nil).want(t, 2, "--run="+file+": is a file")
	train(t, filepath.Join(base, "mien"), nil, "--resume").want(t, 2, "there is no such folder to resume; runs are in "+run)
	train(t, "", nil).want(t, 2, "--run=")

	damaged := func(content string) result {
		os.WriteFile(filepath.Join(run, "run.json"), []byte(content), 0o666)
		return train(t, run, nil, "--resume")
	}
	damaged("").want(t, 1, "run.json: is damaged", "move it away, and --resume makes it anew")
	damaged(`{"format": 99, "version": "v9"}`).want(t, 1, "has format 99", "v9")

	os.Remove(filepath.Join(run, "run.json"))
	os.RemoveAll(filepath.Join(run, "checkpoints"))
	before := folder(t, run)
	for _, args := range [][]string{nil, {"--resume"}} {
		train(t, run, nil, args...).want(t, 2, "holds metrics.jsonl of a run and no checkpoint of it")
	}
	if after := folder(t, run); len(after) != len(before) || after["metrics.jsonl"] != before["metrics.jsonl"] {
		t.Error("the refusal changed the folder")
	}
}

// TestForeignFiles leaves alone what lies in checkpoints/ and is not the run's.
func TestForeignFiles(t *testing.T) {
	dir := t.TempDir()
	stoppedAt(t, dir, 11, func(*env) {})
	at := func(name string) string { return filepath.Join(dir, "checkpoints", name) }
	names := []string{"step-00000002.safetensors", "step-7.safetensors", "best.safetensors", "model.safetensors.tmp", "notes.txt"}
	for _, n := range names {
		os.WriteFile(at(n), []byte("mine"), 0o666)
	}
	train(t, dir, nil, "--resume").want(t, 0)
	for _, n := range names {
		if b, err := os.ReadFile(at(n)); string(b) != "mine" {
			t.Errorf("%s: %q, %v", n, b, err)
		}
	}
}

// TestSkipStep passes over a batch, and a later part of the run does the same.
func TestSkipStep(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	for _, dir := range []string{one, two} {
		stoppedAt(t, dir, 11, func(*env) {})
	}
	train(t, one, nil, "--skip-step", "11").want(t, 2, "add --resume")
	train(t, one, nil, "--resume", "--skip-step", "9").want(t, 2, "has read that batch")
	train(t, one, nil, "--resume", "--skip-step", "x").want(t, 2, "--skip-step=x")
	train(t, one, nil, "--resume", "--skip-step", "11:9223372036854775807").want(t, 2, "--skip-step=11:9223372036854775807: ")
	train(t, one, nil, "--resume", "--skip-step", "11:2").want(t, 0, "step 11 passes over the data of 2 steps")
	// Killed before and after the step that skips: the record replays it.
	train(t, two, broken(func(int) int { return 1 }), "--resume", "--skip-step", "11:2").want(t, 1)
	train(t, two, broken(func(m int) int {
		if m > 8 {
			return 1
		}
		return 0
	}), "--resume").want(t, 1)
	train(t, two, nil, "--resume").want(t, 0)
	sameRun(t, two, one)
	c, err := weights.ReadCheckpointState(filepath.Join(one, "checkpoints", "step-00000040.safetensors"))
	if err != nil || c.Sequences != 42*4 {
		t.Errorf("%d sequences (%v), want %d", c.Sequences, err, 42*4)
	}
	whole := t.TempDir()
	train(t, whole, nil).want(t, 0)
	if a, b := history(t, one), history(t, whole); a[9].Loss != b[9].Loss || a[10].Loss == b[10].Loss || a[10].Tokens != b[10].Tokens {
		t.Errorf("losses %v and %v, without a skip %v and %v", a[9].Loss, a[10].Loss, b[9].Loss, b[10].Loss)
	}
}

// TestKeep keeps the newest, the ones of every so many steps, and the best.
func TestKeep(t *testing.T) {
	dir := t.TempDir()
	r := train(t, dir, func(e *env) {
		e.info.Recipe.KeepLast, e.info.Recipe.KeepEvery, e.info.Recipe.KeepBest = 3, 10, true
		e.info.Recipe.LR, e.info.Recipe.MinRatio, e.info.Recipe.Warmup = 20, 1, 0 // diverges
		bindFake(&e.info)
	})
	r.want(t, 0)
	best, low := 0, math.Inf(1)
	for _, h := range history(t, dir) {
		if h.ValLoss != nil && *h.ValLoss < low {
			best, low = h.Step, *h.ValLoss
		}
	}
	if best == 40 || best == 0 {
		t.Fatalf("the best is of step %d: nothing to keep", best)
	}
	got, err := (&runDir{path: dir}).checkpoints()
	want := []int{40, 39, 36, 30, 20, 10, best}
	slices.Sort(want)
	slices.Reverse(want)
	if err != nil || !slices.Equal(got, slices.Compact(want)) {
		t.Errorf("checkpoints %v, want %v (%v)", got, want, err)
	}
	r.want(t, 0, "best     "+(&runDir{path: dir}).checkpointPath(best))
}

// brokenUpdate leaves NaN behind a step whose gradients were finite.
type brokenUpdate struct {
	*fakeTrainer
	at int
}

func (b *brokenUpdate) Update(h model.Hyper) float64 {
	n := b.fakeTrainer.Update(h)
	if h.Step == b.at {
		b.of(b.m, 1)[2] = float32(math.NaN())
	}
	return n
}

// TestBrokenState saves nothing that is not finite, and reads none of it.
func TestBrokenState(t *testing.T) {
	dir := t.TempDir()
	train(t, dir, func(e *env) {
		info := e.info
		e.info.NewTrainer = func(model.Options) (model.Trainer, error) { return &brokenUpdate{newFakeTrainer(info), 12}, nil }
	}).want(t, 1, "step 12: nothing is saved", "adam.m.bias is NaN at element 2", "--skip-step 12", "last good checkpoint is "+filepath.Join(dir, "checkpoints", "step-00000009.safetensors"))

	info := fakeInfo()
	f := newFakeTrainer(info)
	weights.Init(info, 1, f.p, 1)
	f.of(f.p, 0)[5] = float32(math.Inf(1))
	file := filepath.Join(t.TempDir(), "nan.safetensors")
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := weights.WriteCheckpoint(out, info, weights.Checkpoint{SpecHash: info.SpecHash}, f.p, f.m, f.v); err != nil {
		t.Fatal(err)
	}
	out.Close()
	train(t, t.TempDir(), nil, "--init", file).want(t, 1, "table is infinite at element 5")
	call(t, nil, "generate", "--weights", file, "--prompt", "x").want(t, 1, "table is infinite at element 5")
}

// TestSettings holds what a run can be made again from.
func TestSettings(t *testing.T) {
	dir := t.TempDir()
	train(t, dir, func(e *env) {
		spec("ab", old)(e)
		e.getenv = func(name string) string {
			return map[string]string{"LLAMAC_SET": `["optim.lr=0.05"]`}[name]
		}
	}, "--steps", "3").want(t, 0)
	s := read(t, dir)
	var doc map[string]any
	if err := json.Unmarshal(s.SpecJSON, &doc); err != nil || doc["doc"] != "x" {
		t.Errorf("spec %s, %v", s.SpecJSON, err)
	}
	if s.Format != settingsFormat || !slices.Equal(s.Set, []string{"optim.lr=0.05"}) || s.Go == "" || s.Started == "" || s.Version == "" ||
		s.TokenizerHash == "" || s.DataHash == "" || !slices.Contains(s.Args, "--steps") || s.Seed != 1 || s.Steps != 3 {
		t.Errorf("settings %+v", s)
	}
	train(t, dir, spec("ab", old), "--resume").want(t, 0, "all 3 steps were done already", "--resume --steps 6 goes on")
}
