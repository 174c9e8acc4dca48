package app

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/llamac/llamac/weights"
)

// The run that is killed: a checkpoint after every step, and all that a run
// writes at least twice.
const killedRecipe = `{"Steps": 4, "SaveEvery": 1, "EvalEvery": 2, "SampleEvery": 2}`

// A killer ends its own process, as a power cut would, at the n-th thing that it
// does: a micro-batch, or an operation on a file that it writes, of which a
// write comes half as far. So a test can have every moment, and each of them
// again.
type killer struct{ done, at int }

func newKiller() *killer {
	at, _ := strconv.Atoi(os.Getenv(childVariable + "_KILL"))
	return &killer{at: at}
}

// last reports whether what is about to be done is the last thing.
func (k *killer) last() bool {
	k.done++
	return k.done == k.at
}

func (k *killer) die() {
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		p.Kill()
	}
	select {} // the signal is on its way
}

func (k *killer) count() {
	if k.last() {
		k.die()
	}
}

func (k *killer) create(path string) (outFile, error) {
	k.count()
	f, err := createFile(path)
	return &killedFile{f, k}, err
}

// killedFile is a file whose operations count.
type killedFile struct {
	outFile
	k *killer
}

func (f *killedFile) Write(b []byte) (int, error) {
	if f.k.last() {
		f.outFile.Write(b[:len(b)/2])
		f.k.die()
	}
	return f.outFile.Write(b)
}

func (f *killedFile) WriteAt(b []byte, at int64) (int, error) {
	if f.k.last() {
		f.outFile.WriteAt(b[:len(b)/2], at)
		f.k.die()
	}
	return f.outFile.WriteAt(b, at)
}

func (f *killedFile) Sync() error  { f.k.count(); return f.outFile.Sync() }
func (f *killedFile) Close() error { f.k.count(); return f.outFile.Close() }

// child prepares a process that trains the bigram model into a folder; set are
// settings of TestMain, NAME=VALUE.
func child(t *testing.T, dir string, set []string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0], append([]string{"train", "--data", "x", "--run", dir}, args...)...)
	c.Env = append(os.Environ(), childVariable+"=1", childVariable+"_RECIPE="+killedRecipe)
	for _, s := range set {
		c.Env = append(c.Env, childVariable+"_"+s)
	}
	return c
}

// undisturbed makes the run that others are compared with.
func undisturbed(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := child(t, dir, nil).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// resumed completes a run.
func resumed(t *testing.T, dir string) {
	t.Helper()
	if out, err := child(t, dir, nil, "--resume").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// killed starts or goes on with a run and kills it at its n-th thing; false if
// it had come to its end before.
func killed(t *testing.T, dir string, n int) bool {
	t.Helper()
	out, err := child(t, dir, []string{"KILL=" + strconv.Itoa(n)}, "--resume").CombinedOutput()
	if err == nil {
		return false
	}
	exit := (*exec.ExitError)(nil)
	if !errors.As(err, &exit) || runtime.GOOS != "windows" && exit.ExitCode() != -1 { // -1: by a signal
		t.Fatalf("killed at %d: %v\n%s", n, err, out)
	}
	wholeFiles(t, dir)
	return true
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
			if !strings.HasPrefix(content, "{") {
				t.Errorf("run.json is torn: %q", content)
			}
		default: // a sample: every character of the prompt and of the text is a byte
			if len(content) != 5+12 {
				t.Errorf("%s is torn: %q", name, content)
			}
		}
	}
}

// TestKill kills a run at each thing that it does, in a folder of its own each
// time: no file is torn, and going on completes, bit for bit, the run that
// nobody disturbed.
func TestKill(t *testing.T) {
	t.Parallel()
	whole := undisturbed(t)
	const workers = 4 // most of the time is waiting for the disk
	var kills atomic.Int32
	t.Run("all", func(t *testing.T) {
		for w := range workers {
			t.Run(strconv.Itoa(w), func(t *testing.T) {
				t.Parallel()
				for n := 1 + w; !t.Failed(); n += workers {
					dir := t.TempDir()
					if !killed(t, dir, n) {
						break
					}
					kills.Add(1)
					resumed(t, dir)
					if sameRun(t, dir, whole); t.Failed() {
						t.Fatalf("killed at %d", n)
					}
				}
			})
		}
	})
	t.Logf("killed at each of %d things", kills.Load())
	if kills.Load() < 90 {
		t.Errorf("the run does only %d things", kills.Load())
	}
}

// TestKillAgain kills one run again and again, each time a little later than
// what it takes to come to its next checkpoint.
func TestKillAgain(t *testing.T) {
	t.Parallel()
	whole, dir := undisturbed(t), t.TempDir()
	kills := 0
	for n := 2; killed(t, dir, n); n += 3 {
		kills++
	}
	resumed(t, dir)
	sameRun(t, dir, whole)
	t.Logf("killed %d times", kills)
	if kills < 8 {
		t.Errorf("killed only %d times", kills)
	}
}

// interruptible skips where a process cannot be sent a signal.
func interruptible(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("windows has no signals to send")
	}
}

// heldLine is what a process says when it waits.
const heldLine = "-- held --"

// A heldChild is a process that waits in its n-th micro-batch.
type heldChild struct {
	*exec.Cmd
	t     *testing.T
	input io.Closer
	lines *bufio.Scanner
	seen  strings.Builder
}

// hold starts a child and returns when it waits in its n-th micro-batch.
func hold(t *testing.T, dir string, n int) *heldChild {
	t.Helper()
	c := &heldChild{Cmd: child(t, dir, []string{"HOLD=" + strconv.Itoa(n)}, "--resume"), t: t}
	input, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.input, c.lines, c.Stderr = input, bufio.NewScanner(out), c.Stdout
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill() })
	c.until(heldLine)
	return c
}

// until reads output to the line with a text; "" reads all that is left.
func (c *heldChild) until(text string) {
	c.t.Helper()
	for c.lines.Scan() {
		c.seen.WriteString(c.lines.Text() + "\n")
		if text != "" && strings.Contains(c.lines.Text(), text) {
			return
		}
	}
	if text != "" {
		c.t.Fatalf("%q was never said:\n%s", text, c.seen.String())
	}
}

// TestInterrupt stops a run in the middle of a step with each signal: at the
// step's end, with a checkpoint of that very step, status 128 + its number and a word on how to
// go on.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	interruptible(t)
	whole, dir := undisturbed(t), t.TempDir()
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if signal.Ignored(sig) { // these tests run under nohup, say
			continue
		}
		before := len(stepsOf(dir))
		c := hold(t, dir, 1)
		c.Process.Signal(sig)
		c.until("stopping after this step")
		c.input.Close()
		c.until("")
		c.Wait()
		if got, want := c.ProcessState.ExitCode(), 128+int(sig.(syscall.Signal)); got != want {
			t.Fatalf("%v: status %d, want %d\n%s", sig, got, want, c.seen.String())
		}
		for _, want := range []string{"stopped  after step", "train --run " + dir + " --resume"} {
			if !strings.Contains(c.seen.String(), want) {
				t.Errorf("%v: output lacks %q:\n%s", sig, want, c.seen.String())
			}
		}
		saved, _ := (&runDir{path: dir}).checkpoints()
		if steps := len(stepsOf(dir)); steps != before+1 || len(saved) == 0 || saved[0] != steps {
			t.Errorf("%v: at step %d of %d, checkpoints %v", sig, before, steps, saved)
		}
	}
	resumed(t, dir)
	sameRun(t, dir, whole)
}

// TestSecondInterrupt leaves at once, though the step does not end.
func TestSecondInterrupt(t *testing.T) {
	t.Parallel()
	interruptible(t)
	dir := t.TempDir()
	c := hold(t, dir, 1)
	c.Process.Signal(os.Interrupt)
	c.until("stopping after this step")
	time.Sleep(400 * time.Millisecond) // two signals at once count as one
	c.Process.Signal(os.Interrupt)
	c.until("")
	c.Wait()
	if code := c.ProcessState.ExitCode(); code != 130 {
		t.Errorf("status %d, want 130", code)
	}
	if steps := len(stepsOf(dir)); steps != 0 {
		t.Errorf("%d steps were done", steps)
	}
	wholeFiles(t, dir)
}

// stepsOf reads what metrics.jsonl holds at the moment.
func stepsOf(dir string) []record {
	m := &metrics{path: filepath.Join(dir, "metrics.jsonl")}
	m.load(1 << 30)
	return m.history
}
