package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestRunByGo(t *testing.T) {
	for file, want := range map[string]bool{
		"/tmp/go-build1234567/b001/exe/llamac": true,
		"/home/me/.cache/go-build/3f/3f0c5a7d1f0e9b8a7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b-d/llamac": true,
		"/usr/local/bin/llamac":     false,
		"/tmp/go-build/exe/llamac":  false,
		"/home/me/3f/llamac":        false,
		"/home/me/go-builds/llamac": false,
	} {
		if got := runByGo.MatchString(file); got != want {
			t.Errorf("%s: %v, want %v", file, got, want)
		}
	}
}

// Through go run a hint says go run, with the folder as it is from where the
// user stands; it works as it was printed.
func TestSelfThroughGoRun(t *testing.T) {
	needGo(t)
	root := filepath.Dir(specDir(t))
	for _, c := range []struct{ dir, pkg string }{{"", "./cmd/llamac"}, {"cmd", "./llamac"}, {"specs", "../cmd/llamac"}} {
		call := exec.Command("go", "run", c.pkg, "plan")
		call.Dir = filepath.Join(root, c.dir)
		call.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=mod")
		out, _ := call.CombinedOutput()
		if want := "go run " + c.pkg + " plan --help shows what it takes\n"; !strings.Contains(string(out), want) {
			t.Errorf("in %s: %s\nwant %s", c.dir, out, want)
		}
	}
}
