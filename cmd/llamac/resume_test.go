package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/llamac/llamac/generated/pocket"
	"github.com/llamac/llamac/weights"
)

// project is a folder with the spec local.jsonnet and its corpus.
func project(t *testing.T) string {
	t.Helper()
	needGo(t)
	dir := t.TempDir()
	if err := writePocket(specDir(t), dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// train prepares llamac train in a project. The process becomes the trained
// model's own, so that a signal to it reaches what trains.
func train(project, run string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	c := exec.Command("llamac", append([]string{"train", "local.jsonnet", "--run", run}, args...)...)
	c.Dir = project
	out := new(bytes.Buffer)
	c.Stdout, c.Stderr = out, out
	return c, out
}

// trained runs llamac train to its end.
func trained(t *testing.T, project, run string, args ...string) {
	t.Helper()
	if c, out := train(project, run, args...); c.Run() != nil {
		t.Fatalf("%v: %v\n%s", c.Args, c.ProcessState, out)
	}
}

// outcome is what a run leaves behind: files to contents, without what depends
// on the machine and the hour.
func outcome(t *testing.T, run string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(run, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(run, path)
		if err != nil || name == "lock" || name == "loss.svg" {
			return err
		}
		b, err := os.ReadFile(path)
		switch name {
		case "metrics.jsonl":
			b = timeless(t, b)
		case "run.json": // but for when and how it was started
			var m map[string]json.RawMessage
			if err := json.Unmarshal(b, &m); err != nil {
				return err
			}
			delete(m, "started")
			delete(m, "args")
			if b, err = json.Marshal(m); err != nil {
				return err
			}
		}
		files[filepath.ToSlash(name)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// timeless drops the fields of metrics.jsonl that measure the machine.
func timeless(t *testing.T, metrics []byte) []byte {
	t.Helper()
	var out []byte
	for line := range bytes.Lines(metrics) {
		var rec map[string]json.RawMessage
		if err := json.Unmarshal(line, &rec); err != nil {
			t.Fatalf("metrics.jsonl: %v in %q", err, line)
		}
		for _, name := range []string{"seconds", "tokens_per_s", "mfu"} {
			delete(rec, name)
		}
		b, err := json.Marshal(rec)
		if err != nil {
			t.Fatal(err)
		}
		out = append(append(out, b...), '\n')
	}
	return out
}

// same compares two outcomes byte for byte.
func same(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for name := range want {
		if _, ok := got[name]; !ok {
			t.Errorf("%s: there is no %s", what, name)
		}
	}
	for name, g := range got {
		w, ok := want[name]
		if !ok {
			t.Errorf("%s: %s should not be there", what, name)
		} else if g != w {
			at := 0
			for at < min(len(g), len(w)) && g[at] == w[at] {
				at++
			}
			t.Errorf("%s: %s (%d bytes, want %d) differs from byte %d on", what, name, len(g), len(w), at)
		}
	}
	if !slices.ContainsFunc(keys(want), func(name string) bool { return strings.HasSuffix(name, ".safetensors") }) {
		t.Errorf("%s: no checkpoint to compare", what)
	}
}

func keys(m map[string]string) []string {
	var list []string
	for k := range m {
		list = append(list, k)
	}
	return list
}

// untorn fails if a file of a run that was just killed is not whole. A line of
// metrics.jsonl may be: what resumes drops it.
func untorn(t *testing.T, run string) {
	t.Helper()
	filepath.WalkDir(run, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // the run may not have begun
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		name := filepath.Base(path)
		switch {
		case filepath.Ext(name) == ".safetensors":
			err = weights.Load(pocket.Info, path, make([]float32, pocket.Info.Memory.Weights/4))
		case name == "run.json" && !json.Valid(b):
			err = fmt.Errorf("%s is torn: %q", name, b)
		case name == "loss.svg" && !bytes.HasSuffix(bytes.TrimSpace(b), []byte("</svg>")):
			err = fmt.Errorf("%s is torn", name)
		case strings.HasPrefix(name, "step-") && filepath.Ext(name) == ".txt" && len(b) == 0:
			err = fmt.Errorf("%s is torn", name)
		}
		if err != nil {
			t.Error(err)
		}
		return nil
	})
}

// steps counts the whole lines of a run's metrics.jsonl.
func steps(run string) int {
	b, _ := os.ReadFile(filepath.Join(run, "metrics.jsonl")) // not there before the first step
	return bytes.Count(b, []byte{'\n'})
}

// killAndResume trains a run of so many steps to its end, kills another one
// with a signal that nothing can catch, again and again, at another place each
// time, and resumes it: it must end with the very bytes of the first.
func killAndResume(t *testing.T, total, kills int) {
	if runtime.GOOS == "windows" {
		t.Skip("windows does not replace a process by another, so that killing llamac does not kill the run")
	}
	dir := project(t)
	whole, run := filepath.Join(dir, "whole"), filepath.Join(dir, "killed")
	length := fmt.Sprintf("--steps=%d", total)
	empty := func() { // what does not exist is not resumed
		if err := os.MkdirAll(run, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	empty()
	trained(t, dir, whole, length)
	want := outcome(t, whole)

	seed := uint64(time.Now().UnixNano()) // any moment must do
	t.Logf("moments of seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	killed := 0
	for killed < kills {
		c, out := train(dir, run, length, "--resume")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- c.Wait() }()
		goal := steps(run) + 1 + r.IntN(max(1, 2*(total-steps(run))/(kills-killed+1)))
		if killed%5 == 0 { // this one may not even have begun
			goal = 0
			time.Sleep(time.Duration(r.IntN(400)) * time.Millisecond)
		}
		err := error(nil)
		for ended := false; !ended && steps(run) < goal; {
			select {
			case err = <-done:
				done <- err
				ended = true
			case <-time.After(500 * time.Microsecond):
			}
		}
		time.Sleep(time.Duration(r.IntN(8000)) * time.Microsecond)
		c.Process.Kill()
		err = <-done
		switch {
		case err == nil: // done before the moment came: once more from the start
			same(t, "resumed", outcome(t, run), want)
			os.RemoveAll(run)
			empty()
			continue
		case c.ProcessState.Exited():
			t.Fatalf("after %d kills: %v\n%s", killed, err, out)
		}
		killed++
		t.Logf("killed after %d steps", steps(run))
		untorn(t, run)
		if t.Failed() {
			return
		}
	}
	trained(t, dir, run, length, "--resume")
	same(t, "resumed", outcome(t, run), want)
}

func TestKillAndResume(t *testing.T) {
	killAndResume(t, 60, 3)
}

// TestSameBits trains with the same seed again and with other numbers of
// workers; only another seed may change a bit.
func TestSameBits(t *testing.T) {
	dir := project(t)
	first := filepath.Join(dir, "first")
	trained(t, dir, first, "--steps=10")
	want := outcome(t, first)
	for _, arg := range []string{"--seed=1", "--workers=1", "--workers=2", "--workers=3"} {
		again := filepath.Join(dir, arg)
		trained(t, dir, again, "--steps=10", arg)
		same(t, arg, outcome(t, again), want)
	}
	other := filepath.Join(dir, "other")
	trained(t, dir, other, "--steps=10", "--seed=2")
	if got := outcome(t, other)["metrics.jsonl"]; got == want["metrics.jsonl"] {
		t.Error("another seed gives the same losses")
	}
}

// TestInterrupt stops a run that llamac started as Ctrl-C does: behind a step,
// with a checkpoint of it, status 130 and a word on how to go on.
func TestInterrupt(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("windows has no signals to send")
	}
	dir := project(t)
	run := filepath.Join(dir, "run")
	c, out := train(dir, run, "--steps=1000000")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); steps(run) < 4; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			c.Process.Kill()
			c.Wait()
			t.Fatalf("no step in a minute\n%s", out)
		}
	}
	c.Process.Signal(os.Interrupt)
	c.Wait()
	if got := c.ProcessState.ExitCode(); got != 130 {
		t.Errorf("status %d, want 130\n%s", got, out)
	}
	if want := "llamac train local.jsonnet --run " + run + " --resume"; !strings.Contains(out.String(), want) {
		t.Errorf("output lacks %q:\n%s", want, out)
	}
	last := filepath.Join(run, "checkpoints", fmt.Sprintf("step-%08d.safetensors", steps(run)))
	if err := weights.Load(pocket.Info, last, make([]float32, pocket.Info.Memory.Weights/4)); err != nil {
		t.Error(err)
	}
}
