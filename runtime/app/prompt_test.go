package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPromptSources begins the same text from an argument, a file and standard
// input, byte for byte.
func TestPromptSources(t *testing.T) {
	dir, _ := trained(t)
	for _, prompt := range []string{"func", "func\n", "", "-", "a\xffb", "a\x00b"} {
		file := filepath.Join(t.TempDir(), "prompt.txt")
		if err := os.WriteFile(file, []byte(prompt), 0o666); err != nil {
			t.Fatal(err)
		}
		stdin := func(e *env) { e.stdin = strings.NewReader(prompt) }
		tail := []string{"--run", dir, "-n", "5", "--temperature", "0"}
		want := generate(t, nil, append(tail, "--prompt-file", file)...)
		want.want(t, 0)
		// What is no character shows as what stands for one.
		if !strings.HasPrefix(want.out, strings.ToValidUTF8(prompt, "\ufffd")) {
			t.Errorf("%q begins %q", prompt, want.out)
		}
		for _, flags := range [][]string{{"--prompt", "-"}, {"--prompt-file", "-"}} {
			if r := generate(t, stdin, append(tail, flags...)...); r.status != 0 || r.out != want.out {
				t.Errorf("%q by %v: %d %q %q, want %q", prompt, flags, r.status, r.out, r.err, want.out)
			}
		}
		if prompt == "-" {
			continue // which stands for standard input
		}
		if r := generate(t, nil, append(tail, "--prompt", prompt)...); r.out != want.out {
			t.Errorf("%q by --prompt: %q, want %q", prompt, r.out, want.out)
		}
	}
	generate(t, nil, "--run", dir, "--prompt", "a", "--prompt-file", "b").want(t, 2, "--prompt-file=b: give either")
	generate(t, nil, "--run", dir, "--prompt-file", "").want(t, 2, "--prompt-file=: names no file")
	generate(t, nil, "--run", dir, "--prompt-file", t.TempDir()).want(t, 2, "is a folder")
	generate(t, nil, "--run", dir, "--prompt-file", "nowhere/prompt.txt").want(t, 2, "--prompt-file=nowhere/prompt.txt: ")
	generate(t, func(e *env) { e.stdin = nil }, "--run", dir, "--prompt", "-").want(t, 2, "--prompt=-: there is no standard input")
}

// TestPromptUnread says that a file stands on standard input and nobody reads
// it.
func TestPromptUnread(t *testing.T) {
	dir, _ := trained(t)
	file := filepath.Join(t.TempDir(), "prompt.txt")
	if err := os.WriteFile(file, []byte("func"), 0o666); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	const warning = "warning: there is text on standard input"
	if r := generate(t, func(e *env) { e.stdin = in }, "--run", dir, "-n", "2"); !strings.Contains(r.err, warning) {
		t.Errorf("no prompt: %q", r.err)
	}
	if r := generate(t, func(e *env) { e.stdin = in }, "--run", dir, "-n", "2", "--prompt", "a"); strings.Contains(r.err, warning) {
		t.Errorf("a prompt was given: %q", r.err)
	}
}

// TestHostileNumbers gives every number among the flags what is none, or none
// that helps: the call is wrong, and the answer begins with the flag's name.
func TestHostileNumbers(t *testing.T) {
	dir, _ := trained(t)
	values := []string{"NaN", "Inf", "-Inf", "-1", "1e309", "-1e309", "", "x", strings.Repeat("9", 400)}
	for flag, more := range map[string][]string{
		"temperature": nil, "top-p": {"0", "-0.5", "1.0001", "1e300"}, "top-k": {"1.5", "99999999999999999999"}, "n": {"1.5", "99999999999999999999"},
		"workers": {"1.5", "99999999999999999999"}, "seed": {"1.5", "99999999999999999999"},
	} {
		for _, v := range append(more, values...) {
			r := generate(t, nil, "--run", dir, "--prompt", "a", "--"+flag, v)
			if r.status != 2 || !strings.Contains(r.err, "-"+flag) || r.out != "" {
				t.Errorf("--%s=%.20q: status %d, %q", flag, v, r.status, r.err)
			}
		}
	}
	for flag, more := range map[string][]string{"steps": {"0", "1.5", "9223372036854775807"}, "workers": {"1.5"}, "seed": {"1.5"}} {
		for _, v := range append(more, values...) {
			r := train(t, t.TempDir(), nil, "--"+flag, v)
			if r.status != 2 || !strings.Contains(r.err, "-"+flag) {
				t.Errorf("train --%s=%.20q: status %d, %q", flag, v, r.status, r.err)
			}
		}
	}
}

// TestManyWorkers takes as many as run at a time, and says so.
func TestManyWorkers(t *testing.T) {
	dir, _ := trained(t)
	r := generate(t, nil, "--run", dir, "--prompt", "a", "-n", "2", "--workers", "100000")
	r.want(t, 0)
	if !strings.HasPrefix(r.err, "warning: --workers=100000: ") {
		t.Errorf("%q", r.err)
	}
}

// TestSampleLength says before the first step what of the samples does not fit.
func TestSampleLength(t *testing.T) {
	train(t, t.TempDir(), func(e *env) { e.info.Recipe.SampleTokens = 1000 }).want(t, 0, "samples end after 20 tokens, where the model's context of 24 is full: train.sample.tokens is 1000")
	r := train(t, t.TempDir(), func(e *env) { e.info.Recipe.SamplePrompt = strings.Repeat("a", 25) })
	r.want(t, 2, "train.sample.prompt: has 25 tokens, the model's context is 24")
	if strings.Contains(r.out, "loss") {
		t.Errorf("steps were taken:\n%s", r.out)
	}
	// As many as fit is no news.
	if r := train(t, t.TempDir(), func(e *env) { e.info.Recipe.SampleTokens = 20 }); strings.Contains(r.out, "samples end") {
		t.Error(r.out)
	}
}

// TestSampleNever writes no sample where the spec says never, after the last
// step neither.
func TestSampleNever(t *testing.T) {
	dir := t.TempDir()
	train(t, dir, func(e *env) { e.info.Recipe.SampleEvery = 0 }).want(t, 0)
	if found, _ := filepath.Glob(filepath.Join(dir, sampleDir, "*")); len(found) > 0 {
		t.Errorf("%q were written", found)
	}
	// And with a number that the run does not reach, after the last one.
	dir = t.TempDir()
	train(t, dir, func(e *env) { e.info.Recipe.SampleEvery = 1000 }).want(t, 0)
	if found, _ := filepath.Glob(filepath.Join(dir, sampleDir, "step-00000040-*")); len(found) != 3 {
		t.Errorf("%q were written, want 3 after the last step", found)
	}
}
