package prepare

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/llamac/llamac/data"
)

// TestMain lets the test binary be the program that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("PREPARE_TEST_DIR"); dir != "" {
		cfg := corpusConfig(dir, os.Getenv("PREPARE_TEST_OUT"))
		cfg.Tokenizer = byteTok{delay: 50 * time.Microsecond}
		if _, err := Run(context.Background(), cfg, nil); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// wholeOrAbsent checks what may stand in a folder whose preparation was cut
// off: whole units under their names, temporary files, and no manifest unless
// the set is complete.
func wholeOrAbsent(t *testing.T, dir string) {
	t.Helper()
	for name := range files(t, dir) {
		path := filepath.Join(dir, name)
		if strings.HasSuffix(name, ".tok") && !strings.Contains(name, tempPrefix) {
			s, err := data.OpenShard(path)
			if err != nil {
				t.Errorf("a torn shard: %v", err)
				continue
			}
			if err := s.Verify(); err != nil {
				t.Errorf("a torn shard: %v", err)
			}
			s.Close()
		}
	}
	if _, err := os.Stat(filepath.Join(dir, data.ManifestFile)); err == nil {
		set, err := data.Open(dir)
		if err != nil {
			t.Errorf("a manifest without its set: %v", err)
			return
		}
		set.Close()
	}
}

// Killed at any moment, a preparation goes on where it stopped and ends with
// the same bytes.
func TestKilledRunIsResumed(t *testing.T) {
	dir := t.TempDir()
	corpus(t, dir)
	cfg := corpusConfig(dir, t.TempDir())
	_, err := Run(context.Background(), cfg, nil)
	must(t, err)
	want := files(t, cfg.OutDir)

	exe, err := os.Executable()
	must(t, err)
	program := func(out string) *exec.Cmd {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), "PREPARE_TEST_DIR="+dir, "PREPARE_TEST_OUT="+out)
		return cmd
	}
	begin := time.Now()
	must(t, program(t.TempDir()).Run())
	whole := time.Since(begin)
	rng := rand.New(rand.NewPCG(50, 51))
	kills := 0
	for trial := range 3 {
		out := t.TempDir()
		for attempt := 0; ; attempt++ {
			if attempt > 60 {
				t.Fatal("the preparation makes no progress between kills")
			}
			cmd := program(out)
			must(t, cmd.Start())
			// Later each time, so that one gets through on a busy machine too.
			after := time.Duration(rng.Int64N(int64(whole))) + time.Duration(attempt)*whole/20
			timer := time.AfterFunc(after, func() { cmd.Process.Kill() })
			err := cmd.Wait()
			timer.Stop()
			wholeOrAbsent(t, out)
			if err == nil {
				break
			}
			kills++
		}
		got := files(t, out)
		same(t, fmt.Sprintf("killed run %d", trial), got, want)
	}
	t.Logf("killed %d times", kills)
	if kills == 0 {
		t.Error("no run was killed before it ended")
	}
}

// Interrupted by the caller, too; and what was done is not done again.
func TestInterruptedRunIsResumed(t *testing.T) {
	dir := t.TempDir()
	corpus(t, dir)
	cfg := corpusConfig(dir, t.TempDir())
	_, err := Run(context.Background(), cfg, nil)
	must(t, err)
	want := files(t, cfg.OutDir)

	for after := 1; after <= 4; after++ {
		cfg := corpusConfig(dir, t.TempDir())
		ctx, cancel := context.WithCancel(context.Background())
		before := runtime.NumGoroutine()
		_, err := Run(ctx, cfg, func(p Progress) {
			if p.Units >= after {
				cancel()
			}
		})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("interrupted after %d units, Run returns %v", after, err)
		}
		for n := 0; runtime.NumGoroutine() > before && n < 100; n++ {
			time.Sleep(time.Millisecond)
		}
		if n := runtime.NumGoroutine(); n > before {
			t.Errorf("%d goroutines are left over", n-before)
		}
		for name := range files(t, cfg.OutDir) {
			if strings.Contains(name, tempPrefix) {
				t.Errorf("an interrupted run leaves %s behind", name)
			}
		}
		wholeOrAbsent(t, cfg.OutDir)
		first := Progress{}
		_, err = Run(context.Background(), cfg, func(p Progress) {
			if first.UnitsTotal == 0 {
				first = p
			}
		})
		must(t, err)
		if first.Units < after || first.Bytes == 0 {
			t.Errorf("after %d units the next run begins with %d of %d", after, first.Units, first.UnitsTotal)
		}
		same(t, fmt.Sprintf("interrupted after %d units", after), files(t, cfg.OutDir), want)
	}
}

// fullDisk fails all writes once so many bytes were written, as a disk does
// that fills up.
type fullDisk struct {
	tempFile
	left *atomic.Int64
}

func (f fullDisk) Write(b []byte) (int, error) {
	if f.left.Add(-int64(len(b))) < 0 {
		n, _ := f.tempFile.Write(b[:len(b)/2])
		return n, syscall.ENOSPC
	}
	return f.tempFile.Write(b)
}

func (f fullDisk) Sync() error {
	if f.left.Load() < 0 {
		return syscall.ENOSPC // as network file systems report it
	}
	return f.tempFile.Sync()
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	corpus(t, dir)
	cfg := corpusConfig(dir, t.TempDir())
	_, err := Run(context.Background(), cfg, nil)
	must(t, err)
	want := files(t, cfg.OutDir)
	for _, room := range []int64{0, 1000, 30000, 100000, 200000} {
		cfg := corpusConfig(dir, t.TempDir())
		var left atomic.Int64
		left.Store(room)
		cfg.create = func(path string) (tempFile, error) {
			f, err := createTemp(path)
			return fullDisk{f, &left}, err
		}
		_, err := Run(context.Background(), cfg, nil)
		if !errors.Is(err, syscall.ENOSPC) || !strings.HasPrefix(err.Error(), "writing "+cfg.OutDir) {
			t.Errorf("with room for %d bytes the error is %v", room, err)
		}
		for name := range files(t, cfg.OutDir) {
			if strings.Contains(name, tempPrefix) {
				t.Errorf("a full disk leaves %s behind", name)
			}
		}
		wholeOrAbsent(t, cfg.OutDir)
		cfg.create = nil
		_, err = Run(context.Background(), cfg, nil)
		must(t, err)
		same(t, "after a full disk", files(t, cfg.OutDir), want)
	}
}

// A finished set is taken as it is; its shares follow the spec; another spec
// does not overwrite it; and new input makes it anew.
func TestReuse(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	corpus(t, dir)
	cfg := corpusConfig(dir, t.TempDir())
	_, err := Run(ctx, cfg, nil)
	must(t, err)
	want := files(t, cfg.OutDir)

	cfg.Tokenizer = failTok{t}
	_, err = Run(ctx, cfg, nil)
	must(t, err)
	same(t, "prepared twice", files(t, cfg.OutDir), want)

	cfg.Sources[0].Share, cfg.Sources[1].Share = 0.5, 0.5
	cfg.Sources[1].Epochs = 2.5
	_, err = Run(ctx, cfg, nil)
	must(t, err)
	set, err := data.Open(cfg.OutDir)
	must(t, err)
	if s := set.Manifest.Sources; s[0].Share != 0.5 || s[1].Epochs != 2.5 {
		t.Errorf("the manifest keeps shares %g, epochs %g", s[0].Share, s[1].Epochs)
	}
	set.Close()

	cfg.Tokenizer = byteTok{}
	for what, change := range map[string]func(c *Config){
		"tokenizer":  func(c *Config) { c.Tokenizer = byteTok{name: "other"} },
		"validation": func(c *Config) { c.Validation = 0.2 },
		"BOS":        func(c *Config) { c.AddBOS = false },
		"max_bytes":  func(c *Config) { c.Sources = append([]Source{}, c.Sources...); c.Sources[0].MaxBytes = 100 },
		"files":      func(c *Config) { c.Sources = append([]Source{}, c.Sources...); c.Sources[0].Exclude = []string{"a/*"} },
	} {
		c := cfg
		change(&c)
		if _, err := Run(ctx, c, nil); err == nil || !strings.Contains(err.Error(), "holds a set made ") {
			t.Errorf("another %s: error is %v", what, err)
		}
		c.OutDir, c.CacheDir = "", t.TempDir()
		out, err := Run(ctx, c, nil)
		must(t, err)
		if filepath.Dir(out) != c.CacheDir {
			t.Errorf("the cached set is %s", out)
		}
	}

	// A file of the same size and age: the set is another's, and stays.
	old := files(t, cfg.OutDir)
	var name string
	for n := range files(t, dir) {
		if strings.HasSuffix(n, ".txt") && (name == "" || n < name) {
			name = n
		}
	}
	path := filepath.Join(dir, name)
	body, err := os.ReadFile(path)
	must(t, err)
	st, err := os.Stat(path)
	must(t, err)
	body[0] ^= 1
	must(t, os.WriteFile(path, body, 0o666))
	must(t, os.Chtimes(path, st.ModTime(), st.ModTime()))
	if _, err = Run(ctx, cfg, nil); err == nil || !strings.HasSuffix(err.Error(), "holds a set made from other text: 1 file changed (text: "+
		strings.TrimPrefix(name, "text/")+"); remove it or name another folder") {
		t.Errorf("after a change of text: error is %v", err)
	}
	same(t, "after a change of text", files(t, cfg.OutDir), old)
	body[0] ^= 1
	must(t, os.WriteFile(path, body, 0o666))

	must(t, os.Remove(filepath.Join(cfg.OutDir, "text-00000.train.tok")))
	if _, err := Run(ctx, cfg, nil); err == nil || !strings.Contains(err.Error(), "the set is damaged, remove it to prepare it again") {
		t.Errorf("a set without a shard: error is %v", err)
	}
}

// Progress is told by one goroutine at a time, never goes back, and ends with
// everything done.
func TestProgress(t *testing.T) {
	dir := t.TempDir()
	corpus(t, dir)
	cfg := corpusConfig(dir, t.TempDir())
	cfg.Sources[1].MaxBytes = 0
	var mu sync.Mutex
	var last Progress
	_, err := Run(context.Background(), cfg, func(p Progress) {
		if !mu.TryLock() {
			t.Error("two reports at a time")
			return
		}
		defer mu.Unlock()
		if p.Bytes < last.Bytes || p.Units < last.Units || p.Tokens < last.Tokens || p.Elapsed < last.Elapsed {
			t.Errorf("%+v comes after %+v", p, last)
		}
		last = p
	})
	must(t, err)
	if last.Phase != "done" || last.Units != last.UnitsTotal || last.Bytes != last.BytesTotal || last.Docs == 0 || last.Units == 0 {
		t.Errorf("the last report is %+v", last)
	}
	set, err := data.Open(cfg.OutDir)
	must(t, err)
	defer set.Close()
	var tokens int64
	for _, s := range set.Stats() {
		tokens += s.Train.Tokens + s.HeldOut.Tokens + s.Duplicates.Tokens
	}
	if last.Tokens != tokens {
		t.Errorf("%d tokens are reported, %d are there", last.Tokens, tokens)
	}
}
