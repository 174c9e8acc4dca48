package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Each phase has a line when it begins; then come as many as there is time for.
func TestProgressLine(t *testing.T) {
	for _, c := range []struct {
		terminal bool
		want     string
	}{
		{false, "one 0\none 10\ntwo 12\ntwo 22\n"},
		{true, "\r\x1b[Kone 0\r\x1b[Kone 1\r\x1b[Kone 10\r\x1b[Ktwo 12\r\x1b[Ktwo 22"},
	} {
		var out strings.Builder
		at := time.Unix(0, 0)
		l := &progressLine{w: &out, now: func() time.Time { return at }, terminal: func() bool { return c.terminal }}
		for _, step := range []struct {
			second float64
			format string
		}{{0, "one %d"}, {0.01, "one %d"}, {1, "one %d"}, {10, "one %d"}, {12, "two %d"}, {12.05, "two %d"}, {22, "two %d"}} {
			at = time.Unix(0, int64(step.second*1e9))
			l.show(step.format, int(step.second))
		}
		if out.String() != c.want {
			t.Errorf("terminal %v: %q, want %q", c.terminal, &out, c.want)
		}
	}
}

// A log has the name of a phase before its first figures, a terminal has them at
// once.
func TestProgressBegun(t *testing.T) {
	for terminal, want := range map[bool]string{false: "reading\nreading: 2 MB\nlearning\n", true: "\r\x1b[Kreading: 0 MB\r\x1b[Kreading: 1 MB\r\x1b[Kreading: 2 MB\r\x1b[Klearning: 0"} {
		var out strings.Builder
		at := time.Unix(0, 0)
		l := &progressLine{w: &out, now: func() time.Time { return at }, terminal: func() bool { return terminal }}
		for i := range 3 {
			l.begun("reading", "reading: %d MB", i)
			at = at.Add(6 * time.Second)
		}
		l.begun("learning", "learning: %d", 0)
		if out.String() != want {
			t.Errorf("terminal %v: %q, want %q", terminal, &out, want)
		}
	}
}

// Without a terminal every phase of a first run says on standard error that it
// has begun, and a second run, which finds everything, says nothing. Standard
// output is the run's own, and with --json there is nothing else.
func TestProgressWithoutTerminal(t *testing.T) {
	needGo(t)
	dir := t.TempDir()
	if err := writePocket(specDir(t), dir); err != nil {
		t.Fatal(err)
	}
	run := func(cache string, args ...string) (stdout, stderr string) {
		t.Helper()
		c := exec.Command("llamac", append([]string{"train", "local.jsonnet", "--steps", "1", "--set", "tokenizer.kind=bpe", "--set", "model.vocab=300"}, args...)...)
		c.Dir = dir
		c.Env = append(os.Environ(), "LLAMAC_CACHE="+filepath.Join(dir, cache))
		var out, err strings.Builder
		c.Stdout, c.Stderr = &out, &err
		if e := c.Run(); e != nil {
			t.Fatalf("%v: %v\n%s", args, e, &err)
		}
		// Which a machine that is busy with other tests may take long over.
		return out.String(), regexp.MustCompile(`(?m)^compiling pocket.*\n`).ReplaceAllString(err.String(), "")
	}
	out, log := run("cache")
	phases := regexp.MustCompile(`(?s)^building pocket with go build.*\nreading text for the vocabulary\n(reading .*\n)?learning the vocabulary\n(learning .*\n)?preparing data\n(preparing data \[.*\n)?$`)
	if !phases.MatchString(log) || strings.ContainsAny(log, "\r\x1b") {
		t.Errorf("a first run says\n%s", log)
	}
	if strings.Contains(out, "building") || !strings.Contains(out, "pocket") {
		t.Errorf("standard output has\n%s", out)
	}
	// Standard error of generate can be compared: a build that is done soon has no
	// line there, nor have speeds.
	c := exec.Command("llamac", "generate", "local.jsonnet", "--set", "tokenizer.kind=bpe", "--set", "model.vocab=300", "-n", "4")
	c.Dir = dir
	c.Env = append(os.Environ(), "LLAMAC_CACHE="+filepath.Join(dir, "fresh"))
	var said strings.Builder
	c.Stderr = &said
	if err := c.Run(); err != nil || regexp.MustCompile(`(?m)^(compiling|building) .*: \d{2,} s\n`).ReplaceAllString(said.String(), "") != "" {
		t.Errorf("generate: %v, and says\n%s", err, &said)
	}
	if _, log := run("cache", "--run", "second"); log != "" {
		t.Errorf("a second run says\n%s", log)
	}
	if out, log := run("other", "--run", "third", "--json"); log != "" || !strings.HasPrefix(out, "{") {
		t.Errorf("with --json a first run says\n%sand prints\n%s", log, out)
	}
}
