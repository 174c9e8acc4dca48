package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/llamac/llamac/runtime/model"
	"github.com/llamac/llamac/runtime/schedule"
	"github.com/llamac/llamac/weights"
)

// result is what a command did.
type result struct {
	status   int
	out, err string
}

// call runs a command of the bigram binary in this process.
func call(t *testing.T, change func(*env), args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	e := newEnv(fakeInfo())
	e.stdout, e.stderr, e.open, e.fast = &out, &errs, openFake, true
	e.memory = func() (limit, bool) { return limit{1 << 30, "of a test's memory"}, true }
	e.peak = func(int) (float64, bool) { return 0, false }
	if change != nil {
		change(e)
	}
	status := e.run(args)
	return result{status, out.String(), errs.String()}
}

func train(t *testing.T, dir string, change func(*env), args ...string) result {
	t.Helper()
	return call(t, change, append([]string{"train", "--data", "x", "--run", dir}, args...)...)
}

func (r result) want(t *testing.T, status int, parts ...string) {
	t.Helper()
	if r.status != status {
		t.Fatalf("status %d, want %d\n%s%s", r.status, status, r.out, r.err)
	}
	for _, p := range parts {
		if !strings.Contains(r.out+r.err, p) {
			t.Errorf("output lacks %q:\n%s%s", p, r.out, r.err)
		}
	}
}

// broken makes the trainer misbehave at a micro-step.
func broken(how func(micro int) int) func(*env) {
	return func(e *env) {
		info := e.info
		e.info.NewTrainer = func(model.Options) (model.Trainer, error) {
			f := newFakeTrainer(info)
			f.broken = how
			return f, nil
		}
	}
}

// timeless is a line of metrics without what depends on the clock.
func timeless(line []byte) string {
	var m map[string]any
	if json.Unmarshal(line, &m) != nil {
		return "torn: " + string(line)
	}
	for _, k := range []string{"seconds", "tokens_per_s", "mfu", "started", "args"} {
		delete(m, k)
	}
	b, _ := json.Marshal(m)
	return string(b)
}

// folder reads all files of a run, times left out.
func folder(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if name == "metrics.jsonl" {
			var lines []string
			for line := range bytes.SplitSeq(bytes.TrimSuffix(b, []byte("\n")), []byte("\n")) {
				lines = append(lines, timeless(line))
			}
			b = []byte(strings.Join(lines, "\n"))
		}
		if name == "run.json" {
			b = []byte(timeless(b))
		}
		files[filepath.ToSlash(name)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// sameRun fails unless two folders hold the same run, bit for bit.
func sameRun(t *testing.T, got, want string) {
	t.Helper()
	a, b := folder(t, got), folder(t, want)
	for name := range b {
		if _, ok := a[name]; !ok {
			t.Errorf("%s is missing", name)
		} else if a[name] != b[name] {
			t.Errorf("%s differs", name)
		}
	}
	for name := range a {
		if _, ok := b[name]; !ok {
			t.Errorf("%s should not be there", name)
		}
	}
}

func history(t *testing.T, dir string) []record {
	t.Helper()
	m := &metrics{path: filepath.Join(dir, "metrics.jsonl")}
	if _, err := m.load(math.MaxInt); err != nil {
		t.Fatal(err)
	}
	return m.history
}

// TestTrain makes a whole run and checks each of its files.
func TestTrain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "run")
	r := train(t, dir, func(e *env) { e.peak = func(int) (float64, bool) { return 1e9, true } })
	r.want(t, 0, "bigram · 66.0 k parameters", "40 steps of 96 tokens", "1.06 MiB of 1.00 GiB available", "bits per byte", "generate --run "+dir)

	info := fakeInfo()
	h := history(t, dir)
	if len(h) != 40 {
		t.Fatalf("%d records, want 40", len(h))
	}
	rate := schedule.Cosine{Peak: 0.05, MinRatio: 0.1, Warmup: 4, Decay: 40}
	evaluated := 0
	for i, x := range h {
		if x.Step != i+1 || x.Tokens != int64(96*(i+1)) || x.LR != rate.LR(i+1) || x.GradNorm <= 0 || x.TokensPerS <= 0 {
			t.Errorf("record %+v", x)
		}
		if want := x.TokensPerS * 6 * 256 / 1e9; math.Abs(x.MFU-want) > 1e-12 {
			t.Errorf("step %d: MFU %v, want %v", x.Step, x.MFU, want)
		}
		if x.ValLoss != nil {
			evaluated++
		}
	}
	if evaluated != 5 || h[39].ValLoss == nil {
		t.Errorf("evaluated %d times, want 5, the last at the end", evaluated)
	}
	if first := h[0].Loss; math.Abs(first-math.Log(256)) > 0.05 {
		t.Errorf("the first loss is %v, want about ln 256", first)
	}
	if h[39].Loss > 4 || *h[39].ValLoss > 3.5 {
		t.Errorf("the losses end at %v and %v", h[39].Loss, *h[39].ValLoss)
	}
	checkValidation(t, dir, h[39])
	checkFirstStep(t, h[0])

	files := folder(t, dir)
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	want := []string{"checkpoints/step-00000039.safetensors", "checkpoints/step-00000040.safetensors", "lock", "loss.svg", "metrics.jsonl", "run.json"}
	for _, step := range []int{16, 32, 40} {
		for i := range 3 {
			want = append(want, fmt.Sprintf("samples/step-%08d-%d.txt", step, i+1))
		}
	}
	if !slices.Equal(names, want) {
		t.Errorf("files %q\nwant %q", names, want)
	}
	for name, text := range files {
		if strings.HasPrefix(name, "samples/") && (!strings.HasPrefix(text, "func ") || len(text) != 5+12) {
			t.Errorf("%s: %q", name, text)
		}
	}
	if wellFormed(t, []byte(files["loss.svg"]))["circle"] != 5 {
		t.Error("loss.svg does not show five evaluations")
	}
	c, err := weights.ReadCheckpointState(filepath.Join(dir, "checkpoints", "step-00000040.safetensors"))
	if err != nil || c.Step != 40 || c.Steps != 40 || c.Sequences != 160 || c.Seed != 1 || c.SpecHash != info.SpecHash {
		t.Errorf("state %+v, %v", c, err)
	}
}

// checkFirstStep computes the first loss and gradient norm anew, from initial
// weights and the training sequences 0 to 3.
func checkFirstStep(t *testing.T, first record) {
	t.Helper()
	f := newFakeTrainer(fakeInfo())
	weights.Init(f.info, 1, f.p, 1)
	in, err := openFake("x", settings{context: fakeContext, seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	loss, seq := 0.0, make([]int32, fakeContext+1)
	for micro := range 2 {
		var tokens, targets []int32
		for row := range 2 {
			in.(*fakeFeed).Sequence(int64(2*micro+row), seq)
			tokens, targets = append(tokens, seq[:fakeContext]...), append(targets, seq[1:]...)
		}
		loss += float64(f.MicroStep(model.Batch{Tokens: tokens, Targets: targets}, micro == 0)) / 2
	}
	norm := f.Update(model.Hyper{Step: 1, GradScale: 0.5, Beta1: 0.9, Beta2: 0.95})
	if first.Loss != loss || first.GradNorm != norm {
		t.Errorf("step 1: loss %v and norm %v, want %v and %v", first.Loss, first.GradNorm, loss, norm)
	}
}

// checkValidation computes the validation loss and the bits per byte of the
// last step anew from the checkpoint, sequence by sequence.
func checkValidation(t *testing.T, dir string, last record) {
	t.Helper()
	f := newFakeTrainer(fakeInfo())
	if _, err := weights.ReadCheckpoint(filepath.Join(dir, "checkpoints", "step-00000040.safetensors"), f.info, f.p, nil, nil); err != nil {
		t.Fatal(err)
	}
	in, err := openFake("x", settings{context: fakeContext})
	if err != nil {
		t.Fatal(err)
	}
	nats, n, size := 0.0, 0, 0
	seq := make([]int32, fakeContext+1)
	const want = 6 // three micro-batches of two
	for i := range want {
		b, _ := in.Validation(i*in.ValidationLen()/want, seq)
		size += b
		tokens := slices.Clone(seq[:fakeContext])
		for j := range tokens {
			tokens[j] = max(tokens[j], 0)
		}
		counted := 0
		for _, y := range seq[1:] {
			if y >= 0 {
				counted++
			}
		}
		nats += float64(f.Eval(model.Batch{Tokens: tokens, Targets: seq[1:]})) * float64(counted)
		n += counted
	}
	// Losses are rounded to float32 once a micro-batch.
	if got := nats / float64(n); math.Abs(got-*last.ValLoss) > 1e-6*got {
		t.Errorf("validation loss %v, want %v", *last.ValLoss, got)
	}
	if got := nats / math.Ln2 / float64(size); math.Abs(got-*last.BitsPerByte) > 1e-6*got {
		t.Errorf("bits per byte %v, want %v", *last.BitsPerByte, got)
	}
}

// TestRefusals wants a status and a clear sentence for each wrong call.
func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	train(t, dir, nil, "--steps", "6").want(t, 0)
	for _, c := range []struct {
		name   string
		change func(*env)
		args   []string
		status int
		want   []string
	}{
		{"exists", nil, nil, 2, []string{dir + ": already holds a run at step 6", "--resume"}},
		{"spec", func(e *env) { e.info.SpecHash = strings.Repeat("cd", 32) }, []string{"--resume"}, 1,
			[]string{"step-00000006.safetensors: the checkpoint was written by another specification (bigram, hash abababababab)", "this is bigram, hash cdcdcdcdcdcd"}},
		{"seed", nil, []string{"--resume", "--seed", "2"}, 2, []string{"--seed=2: the run in " + dir + " has seed 1"}},
		{"data", func(e *env) {
			e.open = func(dir string, s settings) (feed, error) {
				f, err := openFake(dir, s)
				f.(*fakeFeed).identity = "another"
				return f, err
			}
		}, []string{"--resume"}, 1, []string{"the data set is not the one that the run"}},
		{"memory", func(e *env) {
			e.memory = func() (limit, bool) { return limit{1 << 20, "under the limit of cgroup /x"}, true }
		}, []string{"--run", t.TempDir()}, 1,
			[]string{"bigram needs 1.06 MiB of memory to train (weights 256 KiB, gradients 256 KiB, moments 512 KiB, activations 64.0 KiB), and 1.00 MiB is left under the limit of cgroup /x", "train.micro_batch"}},
		{"vocabulary", func(e *env) { e.info.Vocab = 300 }, []string{"--run", t.TempDir()}, 2, []string{"--tokenizer: the model's vocabulary of 300 is not that of bytes"}},
		{"tokenizer", nil, []string{"--run", t.TempDir(), "--tokenizer", "/nowhere"}, 1, []string{"/nowhere"}},
		{"no data", nil, []string{"--run", t.TempDir(), "--data", ""}, 2, []string{"--data: train needs a prepared data set"}},
		{"steps", nil, []string{"--steps", "0"}, 2, []string{"--steps=0"}},
		{"workers", nil, []string{"--workers", "-1"}, 2, []string{"--workers=-1"}},
		{"flag", nil, []string{"--nonsense"}, 2, []string{"nonsense", "-h lists the flags"}},
		{"number", nil, []string{"--steps", "many"}, 2, []string{`"many"`, "steps"}},
		{"argument", nil, []string{"surplus"}, 2, []string{"surplus: unexpected argument"}},
		{"init", nil, []string{"--run", t.TempDir(), "--init", "/no/weights"}, 1, []string{"/no/weights"}},
		{"mode", func(e *env) { e.info.NewTrainer = nil }, nil, 1, []string{"compiled without training"}},
		{"folder", nil, []string{"--run", "train_test.go/run"}, 1, []string{"train_test.go"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := train(t, dir, c.change, c.args...)
			r.want(t, c.status, c.want...)
			if !strings.Contains(r.err, c.want[0]) {
				t.Errorf("the error is not on standard error:\n%s", r.out)
			}
		})
	}
	call(t, nil).want(t, 2, "train", "generate", "info")
	call(t, nil, "fly").want(t, 2, "fly: no such command")
	call(t, nil, "--help").want(t, 0, "66.0 k parameters")
	call(t, nil, "train", "-h").want(t, 0, "-resume", "prepared data set")
}

// TestMemoryRefusedBeforeAllocation never reaches the trainer.
func TestMemoryRefusedBeforeAllocation(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	r := train(t, dir, func(e *env) {
		e.info.Memory.Moments = 1 << 40
		e.info.NewTrainer = func(model.Options) (model.Trainer, error) {
			t.Error("the trainer was made")
			return nil, errors.New("made")
		}
	})
	r.want(t, 1, "bigram needs 1.00 TiB of memory to train")
	if _, err := os.Stat(dir); err == nil {
		t.Error("the run's folder was made")
	}
}

// TestSamplesDoNotFit trains without samples rather than not at all.
func TestSamplesDoNotFit(t *testing.T) {
	dir := t.TempDir()
	r := train(t, dir, func(e *env) { e.info.Memory.KVCache = 1 << 30 }, "--steps", "2")
	r.want(t, 0, "no samples: beside training they need 1.00 GiB")
	if s, _ := filepath.Glob(filepath.Join(dir, "samples", "*")); len(s) > 0 {
		t.Errorf("samples %v", s)
	}
}

// TestPeak shows no share of a peak that could not be measured, nor one above 1: the
// machine was busy when the run began, and the run says so once.
func TestPeak(t *testing.T) {
	r := train(t, t.TempDir(), func(e *env) { e.peak = func(int) (float64, bool) { return 1e9, false } })
	r.want(t, 0, "no MFU: the machine is busy")
	dir := t.TempDir()
	r = train(t, dir, func(e *env) { e.peak = func(int) (float64, bool) { return 1e-3, true } })
	r.want(t, 0, "machine  one worker a processor, MFU is of 0.00 MFLOP/s: multiply-adds in registers, measured now")
	if n := strings.Count(r.out, "no MFU from here on: step 1 did "); n != 1 {
		t.Errorf("said %d times:\n%s", n, r.out)
	}
	b, err := os.ReadFile(filepath.Join(dir, "metrics.jsonl"))
	if err != nil || strings.Contains(string(b), "mfu") {
		t.Errorf("%v: %s", err, b)
	}
}

// TestLock refuses a second process in the same folder.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	d := &runDir{path: dir}
	if err := d.open(); err != nil {
		t.Fatal(err)
	}
	train(t, dir, nil).want(t, 1, dir+": another process is training in this folder")
	d.close()
	train(t, dir, nil, "--steps", "1").want(t, 0)
}

// TestNotFinite stops at a loss or a gradient that is not finite, names the
// node, and leaves the run as it was before that step.
func TestNotFinite(t *testing.T) {
	for _, c := range []struct {
		name string
		how  int
		want []string
	}{
		{"loss", 1, []string{"step 11: the loss is NaN: the first result that is not finite is that of layer 3: %attn.q (micro-batch 2 of 2)"}},
		{"gradient", 2, []string{"step 11: the gradient's norm is +Inf: the first result that is not finite is that of layer 3: %attn.q (backward) (micro-batch 1 of 2)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, whole := t.TempDir(), t.TempDir()
			r := train(t, dir, broken(func(micro int) int {
				if micro >= 22 { // the second of step 11
					return c.how
				}
				return 0
			}))
			r.want(t, 1, append(c.want, "the last good checkpoint is "+filepath.Join(dir, "checkpoints", "step-00000009.safetensors"), "From there the same step would come to the same end", "--set optim.lr=0.025", "--resume --accept-changes", "--resume --skip-step 11")...)
			if h := history(t, dir); len(h) != 10 {
				t.Errorf("%d records, want 10", len(h))
			}
			// What was wrong repaired, the run goes on as if nothing had been.
			train(t, dir, nil, "--resume").want(t, 0)
			train(t, whole, nil).want(t, 0)
			sameRun(t, dir, whole)
		})
	}
}

// limited is a disk that holds so many bytes of files more.
type limited struct {
	outFile
	left *int
}

func (l *limited) Write(b []byte) (int, error) {
	if len(b) > *l.left {
		n, _ := l.outFile.Write(b[:*l.left])
		*l.left = 0
		return n, &os.PathError{Op: "write", Path: "disk", Err: syscall.ENOSPC}
	}
	*l.left -= len(b)
	return l.outFile.Write(b)
}

// TestDiskFull lets the disk fill up within a checkpoint, a sample and other
// files: a clear error, nothing half-written, and the run can go on.
func TestDiskFull(t *testing.T) {
	whole := t.TempDir()
	train(t, whole, nil).want(t, 0)
	one := int(weights.CheckpointSize(fakeInfo()))
	for _, room := range []int{100, one / 2, one + 2000, 3*one + one/3, 6*one + 5000} {
		dir := t.TempDir()
		left := room
		r := train(t, dir, func(e *env) {
			e.create = func(path string) (outFile, error) {
				f, err := createFile(path)
				return &limited{f, &left}, err
			}
		})
		r.want(t, 1, "not written: no space left on device")
		for name, content := range folder(t, dir) {
			if strings.HasSuffix(name, ".tmp") {
				t.Errorf("room %d: %s is left behind", room, name)
			}
			if strings.HasPrefix(name, "checkpoints/") {
				p := make([]float32, fakeArena)
				if _, err := weights.ReadCheckpoint(filepath.Join(dir, name), fakeInfo(), p, p, p); err != nil {
					t.Error(err)
				}
			}
			if content == "" && name != "lock" && name != "metrics.jsonl" {
				t.Errorf("room %d: %s is empty", room, name)
			}
		}
		train(t, dir, nil, "--resume").want(t, 0)
		sameRun(t, dir, whole)
	}
}

// TestWriteWhole looks at a file's place while it is being written anew, and
// after that failed: the old content stands there until the new is whole.
func TestWriteWhole(t *testing.T) {
	d := &runDir{path: t.TempDir(), create: createFile}
	path := d.join("file")
	holds := func(want string) {
		t.Helper()
		if b, err := os.ReadFile(path); string(b) != want || err != nil {
			t.Errorf("the file holds %q (%v), want %q", b, err, want)
		}
	}
	if err := d.writeBytes(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	failed := errors.New("no")
	for _, end := range []error{failed, nil} {
		err := d.write(path, func(f outFile) error {
			f.Write([]byte("new "))
			holds("old")
			f.Write([]byte("content"))
			holds("old")
			return end
		})
		if !errors.Is(err, end) {
			t.Errorf("error %v, want %v", err, end)
		}
		if end != nil {
			holds("old")
		}
	}
	holds("new content")
	if left, _ := filepath.Glob(d.join("*.tmp")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestTorn damages files of a stopped run as a failing disk would.
func TestTorn(t *testing.T) {
	whole := t.TempDir()
	train(t, whole, nil).want(t, 0)
	stopped := func() string {
		dir := t.TempDir()
		train(t, dir, broken(func(micro int) int {
			if micro > 22 {
				return 1
			}
			return 0
		})).want(t, 1)
		return dir
	}
	newest, before := filepath.Join("checkpoints", "step-00000009.safetensors"), filepath.Join("checkpoints", "step-00000006.safetensors")
	damage := func(dir, name string, f func([]byte) []byte) {
		path := filepath.Join(dir, name)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f(b), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	half := func(b []byte) []byte { return b[:len(b)/2] }
	flip := func(b []byte) []byte { b[len(b)-77] ^= 4; return b }
	for _, c := range []struct {
		name   string
		damage func(dir string)
		want   []string
	}{
		{"half a checkpoint", func(dir string) { damage(dir, newest, half) }, []string{newest, "trying the one before", "resumed  after step 6"}},
		{"a flipped bit", func(dir string) { damage(dir, newest, flip) }, []string{"the checksum does not match the content; trying the one before"}},
		{"an empty checkpoint", func(dir string) { damage(dir, newest, func([]byte) []byte { return nil }) }, []string{"trying the one before"}},
		{"metrics", func(dir string) { damage(dir, "metrics.jsonl", func(b []byte) []byte { return b[:len(b)-5] }) }, nil},
		{"garbage behind the metrics", func(dir string) {
			damage(dir, "metrics.jsonl", func(b []byte) []byte { return append(b, "{\"step\":11,\n\x00\x00"...) })
		}, nil},
		{"temporary files", func(dir string) {
			for _, name := range []string{"loss.svg.tmp", "checkpoints/step-00000012.safetensors.tmp", "samples/step-00000016-1.txt.tmp"} {
				os.WriteFile(filepath.Join(dir, name), []byte("torn"), 0o666)
			}
		}, nil},
		{"a sample of a later step", func(dir string) {
			os.WriteFile(filepath.Join(dir, "samples", "step-00000011-1.txt"), []byte("later"), 0o666)
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := stopped()
			c.damage(dir)
			train(t, dir, nil, "--resume").want(t, 0, c.want...)
			// Put aside, not removed.
			gone := os.Remove(filepath.Join(dir, newest+aside))
			if broke := strings.Contains(c.name, "checkpoint") || strings.Contains(c.name, "bit"); broke != (gone == nil) {
				t.Errorf("the damaged checkpoint: %v", gone)
			}
			sameRun(t, dir, whole)
		})
	}
	t.Run("all checkpoints", func(t *testing.T) {
		dir := stopped()
		damage(dir, newest, half)
		damage(dir, before, flip)
		train(t, dir, nil, "--resume").want(t, 1, "none of its 2 checkpoints verifies")
	})
}

// TestResumeFinished has nothing to do and changes nothing.
func TestResumeFinished(t *testing.T) {
	dir, whole := t.TempDir(), t.TempDir()
	train(t, whole, nil).want(t, 0)
	train(t, dir, nil).want(t, 0)
	train(t, dir, nil, "--resume").want(t, 0, "resumed  after step 40")
	sameRun(t, dir, whole)
}

// TestResumeLonger extends a run, and says what that changes.
func TestResumeLonger(t *testing.T) {
	dir := t.TempDir()
	train(t, dir, nil, "--steps", "6").want(t, 0)
	train(t, dir, nil, "--resume", "--steps", "8").want(t, 0, "was to take 6 steps and now takes 8")
	if h := history(t, dir); len(h) != 8 {
		t.Errorf("%d records", len(h))
	}
	train(t, dir, nil, "--resume").want(t, 0, "step 8")
}

// TestSeeds gives other weights and data for another seed, the same for the
// same.
func TestSeeds(t *testing.T) {
	loss := func(args ...string) float64 {
		dir := t.TempDir()
		train(t, dir, nil, append(args, "--steps", "3")...).want(t, 0)
		return history(t, dir)[2].Loss
	}
	a, b, c := loss(), loss("--seed", "1"), loss("--seed", "2")
	if a != b || a == c {
		t.Errorf("losses %v, %v and %v", a, b, c)
	}
}

// TestInit starts from the weights of a checkpoint.
func TestInit(t *testing.T) {
	from, dir := t.TempDir(), t.TempDir()
	train(t, from, nil).want(t, 0)
	train(t, dir, nil, "--steps", "1", "--init", filepath.Join(from, "checkpoints", "step-00000040.safetensors")).want(t, 0)
	if a := history(t, dir)[0].Loss; a > 4 {
		t.Errorf("the first loss is %v, as if from random weights", a)
	}
}

// TestJSON prints nothing but objects, a line each.
func TestJSON(t *testing.T) {
	r := train(t, t.TempDir(), nil, "--json")
	r.want(t, 0)
	events := map[string]int{}
	for line := range strings.Lines(r.out) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		events[m["event"].(string)]++
	}
	want := map[string]int{"start": 1, "step": 40, "sample": 9, "checkpoint": 15, "done": 1}
	if fmt.Sprint(events) != fmt.Sprint(want) {
		t.Errorf("events %v, want %v", events, want)
	}
}
