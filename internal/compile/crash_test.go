package compile

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/passes"
	"github.com/llamac/llamac/specs"
)

// planted is a pipeline with one more pass behind a named one.
func planted(mode, behind string, run func(*passes.Unit) error) map[string][]passes.Pass {
	p := slices.Clone(Pipelines[mode])
	at := slices.IndexFunc(p, func(p passes.Pass) bool { return p.Name == behind }) + 1
	all := map[string][]passes.Pass{"train": passes.Train, "infer": passes.Infer}
	all[mode] = slices.Insert(p, at, passes.Pass{Name: "planted", Run: run, Required: true})
	return all
}

// TestCrash plants passes that panic or break the module: the compiler gives
// an error with the path of a file that runs it again.
func TestCrash(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for _, c := range []struct {
		name, mode, behind, want string
		run                      func(*passes.Unit) error
	}{
		{"panics", "train", "fuse_rope", "pass planted: index 7", func(u *passes.Unit) error {
			panic("index 7")
		}},
		{"dereferences nil", "infer", "bind", "nil pointer", func(u *passes.Unit) error {
			u.Module.Weight("no such weight").Layers++
			return nil
		}},
		{"breaks the module", "train", "differentiate", "it broke the module", func(u *passes.Unit) error {
			f := u.Module.Func("micro_step")
			f.Nodes = f.Nodes[1:]
			return nil
		}},
		{"panics when scheduled", "infer", "schedule", "pass planted: program decode", func(u *passes.Unit) error {
			panic("program " + u.Plan.Program("decode").Name)
		}},
		{"panics while prices are found on all processors", "train", "bind", "no such op", func(u *passes.Unit) error {
			// Made again, the node is looked up by its name.
			f := u.Module.Stacks[0].Segments[0].Forward
			n := f.Nodes[len(f.Nodes)-3]
			op := *n.Op
			op.Name = "no such op"
			n.Op = &op
			_, err := passes.NewMenu(u)
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := load(t, "tiny_gqa.jsonnet")
			pipelines := planted(c.mode, c.behind, c.run)
			_, err := Spec(s, Options{Pipelines: pipelines, Shuffle: 3})
			var crash *Crash
			if !errors.As(err, &crash) || crash.Pass != "planted" || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), crash.File) {
				t.Fatalf("got %v", err)
			}
			text, err := os.ReadFile(crash.File)
			if err != nil {
				t.Fatal(err)
			}
			if !IsReproducer(text) || !strings.Contains(string(text), "crash_test.go") { // the stack
				t.Fatalf("the reproducer is\n%s", text)
			}
			var again *passes.Crash
			if err := Replay(crash.File, text, pipelines); !errors.As(err, &again) || again.Pass != "planted" || !strings.Contains(again.Error(), c.want) {
				t.Errorf("replayed: %v", err)
			}
			// With the bug mended the rest of the pipeline runs.
			mended := planted(c.mode, c.behind, func(*passes.Unit) error { return nil })
			if err := Replay(crash.File, text, mended); err != nil {
				t.Errorf("replayed with the bug mended: %v", err)
			}
		})
	}
}

// TestReplayBeginsBefore: what a reproducer holds is the module in front of
// the pass, not what is left behind it.
func TestReplayBeginsBefore(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s := load(t, "tiny_mha.jsonnet")
	want := ""
	pipelines := planted("train", "cleanup", func(u *passes.Unit) error {
		want = u.Module.String()
		u.Module.Func("loss").Nodes = nil
		panic("half done")
	})
	_, err := Spec(s, Options{Pipelines: pipelines})
	var crash *Crash
	if !errors.As(err, &crash) {
		t.Fatalf("got %v", err)
	}
	text, err := os.ReadFile(crash.File)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := ir.Parse("want", []byte(want)); err != nil || !strings.Contains(string(text), m.String()) {
		t.Errorf("the reproducer lacks the module before the pass (%v):\n%s", err, text)
	}
}

// TestCrashUnwritten: where no file can be written the error says so, and does
// not send anybody to one.
func TestCrashUnwritten(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "missing"))
	bug := func(*passes.Unit) error { panic("a bug of a pass") }
	for name, o := range map[string]Options{
		"in a pass": {Pipelines: planted("train", "bind", bug)},
		"elsewhere": {Observe: func(string, passes.Report) { panic("a bug of the printer") }},
	} {
		_, err := Spec(load(t, "tiny_gqa.jsonnet"), o)
		if err == nil || !strings.Contains(err.Error(), "a bug of") || !strings.Contains(err.Error(), "could not be written: open ") ||
			strings.Contains(err.Error(), "replay") || strings.Contains(err.Error(), " in no file") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCrashElsewhere: a panic outside of the passes leaves the evaluated spec,
// which compiles to the same by itself.
func TestCrashElsewhere(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s := load(t, "tiny_gqa.jsonnet", "model.n_layers=3")
	_, err := Spec(s, Options{Observe: func(mode string, r passes.Report) {
		if mode == "infer" {
			panic("a bug of the printer")
		}
	}})
	if err == nil || !strings.Contains(err.Error(), "this is a bug of llamac: a bug of the printer") {
		t.Fatalf("got %v", err)
	}
	file := regexp.MustCompile(`[^ ]*llamac-crash-[0-9]*\.jsonnet`).FindString(err.Error())
	text, readErr := os.ReadFile(file)
	if readErr != nil || !strings.Contains(string(text), "crash_test.go") {
		t.Fatalf("%v: the file is\n%s", readErr, text)
	}
	again, loadErr := specs.Load(file, specs.Options{})
	if loadErr != nil {
		t.Fatal(loadErr)
	}
	if string(again.JSON) != string(s.JSON) {
		t.Errorf("evaluated again, it is another spec:\n%s\n%s", again.JSON, s.JSON)
	}
	want, err := Spec(s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Spec(again, Options{})
	if err != nil || got.Plan.String() != want.Plan.String() {
		t.Errorf("compiled, its plan differs: %v", err)
	}
}

func TestReplayMistakes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"-- crash.json --\n{\"Mode\": \"train\", \"Passes\": [\"no_such\"]}\n", `no pass "no_such"`},
		{"-- crash.json --\n{\"Mode\": \"train\", \"Passes\": [\"cleanup\"]}\n", "no module.ir"},
		{"-- crash.json --\n{\"Mode\": \"train\", \"Passes\": []}\n-- module.ir --\nmodule m\n", "names no passes"},
		{"-- crash.json --\n{\"Mode\": 3}\n", "cannot unmarshal"},
		{"-- crash.json --\n{}\n-- module.ir --\nmodul m\n", "module.ir:1:1"},
	} {
		if err := Replay("f.txtar", []byte(c.text), nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.text, err, c.want)
		}
	}
}
