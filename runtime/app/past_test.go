package app

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/llamac/llamac/runtime/cpu"
)

// TestLateLock begins and resumes where another process trained between the look
// at the folder and the lock: its work is not removed.
func TestLateLock(t *testing.T) {
	done := t.TempDir()
	train(t, done, nil).want(t, 0)
	meanwhile := func(dir string) func(*env) {
		return func(e *env) {
			first := true
			e.now = func() time.Time {
				// The settings ask for the time behind the look.
				if first && exists(filepath.Join(dir, "marked")) {
					first = false
					if err := os.CopyFS(dir, os.DirFS(done)); err != nil {
						t.Error(err)
					}
				}
				return time.Now()
			}
		}
	}
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{{nil, 2, "already holds a run at step 40"}, {[]string{"--resume"}, 0, "all 40 steps were done already"}} {
		dir := t.TempDir()
		os.WriteFile(filepath.Join(dir, "marked"), nil, 0o666)
		train(t, dir, meanwhile(dir), c.args...).want(t, c.status, c.want)
		os.Remove(filepath.Join(dir, "marked"))
		if steps, _ := (&runDir{path: dir}).checkpoints(); !slices.Contains(steps, 40) || len(history(t, dir)) != 40 {
			t.Errorf("%v: %v, %d lines", c.args, steps, len(history(t, dir)))
		}
	}
}

// TestForeignFolder begins no run where it would write over files of other
// programs that have the names of its own.
func TestForeignFolder(t *testing.T) {
	for _, name := range []string{"tokenizer.model", "tokenizer.json", "run.json", "loss.svg", "inputs.txt"} {
		for _, args := range [][]string{nil, {"--resume"}} {
			dir := t.TempDir()
			file := filepath.Join(dir, name)
			os.WriteFile(file, []byte(`{"theirs": 1}`), 0o666)
			r := train(t, dir, nil, args...)
			r.want(t, r.status, file)
			if b, err := os.ReadFile(file); r.status == 0 || string(b) != `{"theirs": 1}` {
				t.Errorf("%s %v: status %d, %q (%v)", name, args, r.status, b, err)
			}
		}
	}
	// The checkpoints of a run beside a tokenizer that is not theirs.
	greek := letters(t, alphabet('α', 200))
	from, dir := t.TempDir(), t.TempDir()
	train(t, from, madeWith(t, greek), "--tokenizer", greek, "--steps", "3").want(t, 0)
	if err := os.CopyFS(filepath.Join(dir, "checkpoints"), os.DirFS(filepath.Join(from, "checkpoints"))); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "tokenizer.json")
	os.WriteFile(file, []byte("theirs"), 0o666)
	train(t, dir, madeWith(t, greek), "--resume", "--steps", "6").want(t, 2, file+": is not the tokenizer that the checkpoints hold")
	if b, err := os.ReadFile(file); string(b) != "theirs" {
		t.Errorf("%q, %v", b, err)
	}
	os.Remove(file)
	train(t, dir, madeWith(t, greek), "--resume", "--steps", "6").want(t, 0)
}

// TestKeptBefore removes no checkpoint that an earlier train.keep has kept.
func TestKeptBefore(t *testing.T) {
	dir := t.TempDir()
	keep := func(every string) func(*env) {
		return func(e *env) {
			e.info.Recipe.KeepEvery = map[string]int{"5": 5, "0": 0}[every]
			spec("ab"+every, strings.Replace(old, `"save_every"`, `"keep":{"every":`+every+`},"save_every"`, 1))(e)
		}
	}
	stoppedAt(t, dir, 22, keep("5"))
	train(t, dir, keep("0"), "--resume", "--steps", "30").want(t, 0)
	train(t, dir, keep("0"), "--resume", "--steps", "40").want(t, 0)
	steps, err := (&runDir{path: dir}).checkpoints()
	for _, n := range []int{5, 10, 15, 20} {
		if !slices.Contains(steps, n) {
			t.Errorf("the checkpoint of step %d is gone: %v (%v)", n, steps, err)
		}
	}
	if slices.Contains(steps, 30) {
		t.Errorf("checkpoints %v: those of the new rule are kept as by the old", steps)
	}
}

// TestRemeasured looks for the best anew where losses are of other text, and
// keeps the old one.
func TestRemeasured(t *testing.T) {
	dir := t.TempDir()
	best := func(e *env) { e.info.Recipe.KeepBest = true; spec("ab", old)(e) }
	stoppedAt(t, dir, 22, best)
	before, _ := (&runDir{path: dir}).checkpoints()
	other := func(e *env) {
		best(e)
		e.open = func(dir string, s settings) (feed, error) {
			f, err := openFake(dir, s)
			f.(*fakeFeed).identity = "another"
			return f, err
		}
	}
	train(t, dir, other, "--resume", "--accept-changes").want(t, 0)
	if s := read(t, dir); s.MeasuredFrom != before[0] || s.KeptUntil != before[0] {
		t.Errorf("settings %+v, newest checkpoint was of step %d", s, before[0])
	}
	after, _ := (&runDir{path: dir}).checkpoints()
	for _, n := range before {
		if !slices.Contains(after, n) {
			t.Errorf("the checkpoint of step %d is gone: %v", n, after)
		}
	}
}

// TestResumeFlags refuses flags that a run which goes on would pass over.
func TestResumeFlags(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	train(t, other, nil, "--steps", "3").want(t, 0)
	train(t, dir, nil, "--steps", "6").want(t, 0)
	train(t, dir, nil, "--resume", "--init", other).want(t, 2, "--init="+other+": the run in "+dir+" began with random weights")
	train(t, dir, nil, "--resume", "--steps", "4").want(t, 2, "--steps=4: the run in "+dir+" has taken 6 already")
	if s := read(t, dir); s.Steps != 6 || s.Init != "" {
		t.Errorf("settings %+v", s)
	}
	tuned := t.TempDir()
	train(t, tuned, nil, "--steps", "3", "--init", other).want(t, 0)
	train(t, tuned, nil, "--resume", "--steps", "4", "--init", other).want(t, 0)
}

// TestOtherMachine says where a run goes on with other last bits, and that once.
func TestOtherMachine(t *testing.T) {
	dir := t.TempDir()
	stoppedAt(t, dir, 11, func(*env) {})
	b, err := os.ReadFile(filepath.Join(dir, "run.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil || m["isa"] == "" || m["go"] == "" {
		t.Fatalf("%s (%v)", b, err)
	}
	m["isa"], m["version"] = "sse9", "v0.0.0-older"
	b, _ = json.Marshal(m)
	os.WriteFile(filepath.Join(dir, "run.json"), b, 0o666)
	train(t, dir, nil, "--resume").want(t, 0, `from step 10 on isa is "`+cpu.ISA()+`" instead of "sse9"`, `from step 10 on llamac is "v0.0.0-test" instead of "v0.0.0-older"`)
	s := read(t, dir)
	if s.ISA != cpu.ISA() || s.Version != "v0.0.0-test" || len(s.Changes) != 2 {
		t.Errorf("settings %+v", s)
	}
	if r := train(t, dir, nil, "--resume", "--steps", "41"); r.status != 0 || strings.Contains(r.out+r.err, "instead of") {
		t.Errorf("status %d\n%s%s", r.status, r.out, r.err)
	}
}

// TestRebuiltInputs keeps the list of files of a run that is made anew.
func TestRebuiltInputs(t *testing.T) {
	dir, set := t.TempDir(), t.TempDir()
	os.WriteFile(filepath.Join(set, "inputs.txt"), []byte("the list"), 0o666)
	call(t, nil, "train", "--data", set, "--run", dir, "--steps", "3").want(t, 0)
	for _, name := range []string{"run.json", "inputs.txt"} {
		os.Remove(filepath.Join(dir, name))
	}
	call(t, nil, "train", "--data", set, "--run", dir, "--resume", "--steps", "6").want(t, 0)
	if b, err := os.ReadFile(filepath.Join(dir, "inputs.txt")); string(b) != "the list" {
		t.Errorf("%q, %v", b, err)
	}
}
