package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A run keeps what it was started with, also where llamac has made room for the
// program that trains.
func TestCacheInUse(t *testing.T) {
	needGo(t)
	if runtime.GOOS == "aix" || runtime.GOOS == "solaris" {
		t.Skip("no locks")
	}
	dir := t.TempDir()
	if err := writePocket(specDir(t), dir); err != nil {
		t.Fatal(err)
	}
	command := func(args ...string) *exec.Cmd {
		c := exec.Command("llamac", args...)
		c.Dir, c.Env = dir, append(os.Environ(), "LLAMAC_CACHE="+filepath.Join(dir, "cache"))
		return c
	}
	train := command("train", "local.jsonnet", "--steps", "100000000", "--json")
	out, err := train.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := train.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { train.Process.Kill(); train.Wait() }()
	steps := bufio.NewScanner(out)
	for steps.Scan() && !strings.Contains(steps.Text(), `"event":"step"`) {
	}
	go func() { // or the pipe would fill up
		for steps.Scan() {
		}
	}()
	clean := func() string {
		t.Helper()
		b, err := command("cache", "clean").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, b)
		}
		return string(b)
	}
	if got := clean(); !regexp.MustCompile(`^left data \w+, which a running program uses\nleft build pocket-\w+, which a running program uses\nremoved 0 entries, 0 B from`).MatchString(got) &&
		!regexp.MustCompile(`^left build pocket-\w+, which a running program uses\nleft data \w+, which a running program uses\nremoved 0 entries, 0 B from`).MatchString(got) {
		t.Errorf("while it runs:\n%s", got)
	}
	train.Process.Kill()
	train.Wait()
	time.Sleep(50 * time.Millisecond)
	if got := clean(); !strings.Contains(got, "removed 2 entries, ") {
		t.Errorf("after it has ended:\n%s", got)
	}
}

func TestDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{"": 0, "30d": 720 * time.Hour, "12h": 12 * time.Hour, "2w": 336 * time.Hour, "5m": 5 * time.Minute} {
		if got, err := duration(s); err != nil || got != want {
			t.Errorf("%s is %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"30", "d", "-1d", "1.5d", "1y", "999999w", "99999999d", "30 d"} {
		if got, err := duration(s); err == nil {
			t.Errorf("%s is %v", s, got)
		}
	}
}
