package app

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/llamac/llamac/weights"
)

// The run that is killed: a checkpoint after every step, so that kills often
// fall into the writing of files.
const killedRecipe = `{"Steps": 70, "SaveEvery": 1, "EvalEvery": 5, "SampleEvery": 7}`

// child prepares a process that trains the bigram model into a folder.
func child(t *testing.T, dir string, delay time.Duration, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0], append([]string{"train", "--data", "x", "--run", dir}, args...)...)
	c.Env = append(os.Environ(), childVariable+"=1", childVariable+"_RECIPE="+killedRecipe, childVariable+"_DELAY="+delay.String())
	return c
}

// wholeFiles fails if a file of a run that was just killed is torn.
func wholeFiles(t *testing.T, dir string) {
	t.Helper()
	for name, content := range folder(t, dir) {
		switch {
		case strings.HasSuffix(name, temporary), name == "lock", name == "metrics.jsonl":
		case strings.HasPrefix(name, "checkpoints/"):
			p := make([]float32, fakeArena)
			if _, err := weights.ReadCheckpoint(filepath.Join(dir, name), fakeInfo(), p, p, p); err != nil {
				t.Error(err)
			}
		case name == "loss.svg":
			wellFormed(t, []byte(content))
		case name == "run.json":
			if !strings.HasSuffix(content, "}\n") {
				t.Errorf("run.json is torn: %q", content)
			}
		default: // a sample: every character of the prompt and of the text is a byte
			if len(content) != 5+12 {
				t.Errorf("%s is torn: %q", name, content)
			}
		}
	}
}

// TestKill kills the process 20 times at random moments; what the last one
// completes is, bit for bit, the run that nobody disturbed.
func TestKill(t *testing.T) {
	t.Parallel()
	whole, dir := t.TempDir(), t.TempDir()
	if out, err := child(t, whole, 0).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1)) // another moment each time: any must do
	kills := 0
	for kills < 20 {
		c := child(t, dir, 2*time.Millisecond, "--resume")
		var out bytes.Buffer
		c.Stdout, c.Stderr = &out, &out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(10+r.IntN(60)) * time.Millisecond)
		c.Process.Kill()
		if c.Wait() == nil {
			break // it was done before: the machine is fast
		}
		if c.ProcessState.ExitCode() > 0 {
			t.Fatalf("after %d kills: %s", kills, out.String())
		}
		kills++
		wholeFiles(t, dir)
	}
	steps, _ := (&runDir{path: dir}).checkpoints()
	t.Logf("killed %d times, checkpoints at steps %v", kills, steps)
	if out, err := child(t, dir, 0, "--resume").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	sameRun(t, dir, whole)
}

// interruptible skips where a process cannot be sent a signal.
func interruptible(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("windows has no signals to send")
	}
}

// TestInterrupt stops a run with each signal: at a step's end, with a
// checkpoint of that very step, status 0 and a word on how to go on.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	interruptible(t)
	whole, dir := t.TempDir(), t.TempDir()
	if out, err := child(t, whole, 0).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if signal.Ignored(sig) { // these tests run under nohup, say
			continue
		}
		c := child(t, dir, 10*time.Millisecond, "--resume")
		var out bytes.Buffer
		c.Stdout, c.Stderr = &out, &out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		waitForStep(t, dir, len(stepsOf(dir)))
		c.Process.Signal(sig)
		if err := c.Wait(); err != nil {
			t.Fatalf("%v: %v\n%s", sig, err, out.String())
		}
		for _, want := range []string{"stopping after this step", "stopped  after step", "train --run " + dir + " --resume"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%v: output lacks %q:\n%s", sig, want, out.String())
			}
		}
		done := stepsOf(dir)
		saved, _ := (&runDir{path: dir}).checkpoints()
		if len(saved) == 0 || saved[0] != len(done) {
			t.Errorf("%v: checkpoints %v after step %d", sig, saved, len(done))
		}
	}
	if out, err := child(t, dir, 0, "--resume").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	sameRun(t, dir, whole)
}

// TestSecondInterrupt leaves at once, though the step is long.
func TestSecondInterrupt(t *testing.T) {
	t.Parallel()
	interruptible(t)
	dir := t.TempDir()
	c := child(t, dir, 5*time.Second)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	// It is in its first step once the first checkpoint is reported; the
	// handler is installed a moment later.
	read := make([]byte, 4096)
	for seen := ""; !strings.Contains(seen, "step 0: saved"); {
		n, err := out.Read(read)
		if err != nil {
			t.Fatal(err, seen)
		}
		seen += string(read[:n])
	}
	time.Sleep(100 * time.Millisecond)
	begin := time.Now()
	c.Process.Signal(os.Interrupt)
	time.Sleep(400 * time.Millisecond)
	c.Process.Signal(os.Interrupt)
	c.Wait()
	if code := c.ProcessState.ExitCode(); code != 1 {
		t.Errorf("status %d, want 1", code)
	}
	if d := time.Since(begin); d > 4*time.Second {
		t.Errorf("left after %v", d)
	}
	wholeFiles(t, dir)
}

// stepsOf reads what metrics.jsonl holds at the moment.
func stepsOf(dir string) []record {
	m := &metrics{path: filepath.Join(dir, "metrics.jsonl")}
	m.load(1 << 30)
	return m.history
}

// waitForStep waits until a run has gone a little further.
func waitForStep(t *testing.T, dir string, from int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); len(stepsOf(dir)) < from+2; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no step in ten seconds")
		}
	}
}
