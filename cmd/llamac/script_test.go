package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScript runs testdata/script: what a user types, and what must come of
// it. Scripts find
//
//	$SPECS             the shipped specs
//	$BIN               the folder of the command llamac
//	exits N CMD ...    runs a command that must end with status N
//	project            writes local.jsonnet, a small model with a corpus
//
// -update-scripts rewrites the outputs that they compare with.
func TestScript(t *testing.T) {
	specs := specDir(t)
	bin, err := exec.LookPath("llamac")
	if err != nil {
		t.Fatal(err)
	}
	goCache, _ := exec.Command("go", "env", "GOCACHE").Output() // scripts that build skip without go
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("SPECS", specs)
			env.Setenv("BIN", filepath.Dir(bin))
			env.Setenv("LLAMAC_CACHE", os.Getenv("LLAMAC_CACHE"))
			env.Setenv("GOCACHE", strings.TrimSpace(string(goCache)))
			env.Setenv("GOPROXY", "off")
			env.Setenv("GOTOOLCHAIN", "local")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits,
			"project": func(ts *testscript.TestScript, neg bool, args []string) {
				ts.Check(writePocket(specs, ts.Getenv("WORK")))
			},
		},
	})
}

// exits runs a command and compares its exit status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%s: status %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}
