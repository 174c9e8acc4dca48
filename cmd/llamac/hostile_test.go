package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// hostileValues are what no flag expects, or what some take and others cannot.
var hostileValues = []string{"", "-", "0", "-1", "1e309", "NaN", "Inf", "9999999999999999999", strings.Repeat("a", 5000), "\xff\xfe", ".", os.DevNull, "missing", "a=b", "[", "{}"}

// hostileCall is one call of llamac with a value that one of its flags, or a
// positional argument, does not expect.
type hostileCall struct{ args []string }

// hostileCalls are all of them, by the command line's own model: what is added to
// it is tried as well.
func hostileCalls(t *testing.T) (calls []hostileCall) {
	parser, err := kong.New(&cli{}, kong.Name("llamac"), kong.Vars{"version": ""})
	if err != nil {
		t.Fatal(err)
	}
	var walk func(n *kong.Node, path []string)
	walk = func(n *kong.Node, path []string) {
		for _, child := range n.Children {
			walk(child, append(slices.Clone(path), child.Name))
		}
		if len(n.Children) > 0 {
			return
		}
		// What the command needs beside the flag: a spec where it takes one, and an
		// end to a training.
		var positional, needed []string
		for _, p := range n.Positional {
			if p.Name == "spec" {
				positional = append(positional, "local.jsonnet")
			} else if p.Required {
				positional = append(positional, "missing")
			}
		}
		for _, f := range n.Flags {
			switch {
			case f.Name == "steps":
				needed = append(needed, "--steps=1")
			case f.Required:
				needed = append(needed, "--"+f.Name+"=missing")
			}
		}
		for _, v := range hostileValues {
			for i := range positional {
				p := slices.Clone(positional)
				p[i] = v
				calls = append(calls, hostileCall{slices.Concat(path, needed, []string{"--"}, p)})
			}
			for _, f := range n.Flags {
				if f.Name == "help" || f.IsBool() {
					continue
				}
				// The last of two wins, so the value comes behind what is needed.
				calls = append(calls, hostileCall{slices.Concat(path, needed, []string{"--" + f.Name + "=" + v}, positional)})
			}
		}
	}
	walk(parser.Model.Node, nil)
	if len(calls) < 1000 {
		t.Fatalf("found %d calls: the walk does not see the commands", len(calls))
	}
	return calls
}

// hostile runs one in so many of the calls. Each has to end, in some seconds and
// with one of the three statuses, and without a trace of goroutines.
func hostile(t *testing.T, every int) {
	needGo(t)
	spec, err := os.ReadFile(filepath.Join(specDir(t), "testdata", "pocket.jsonnet"))
	if err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	for i, call := range hostileCalls(t) {
		// Flags lie behind each other for one value: an odd step reaches all.
		if i%every != 0 {
			continue
		}
		dir := t.TempDir()
		for name, text := range map[string][]byte{"pocket.jsonnet": spec, "local.jsonnet": []byte(localPocket)} {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := writeCorpus(dir); err != nil {
			t.Fatal(err)
		}
		const patience = 60 * time.Second // the first call builds
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		c := exec.CommandContext(ctx, "llamac", call.args...)
		var out bytes.Buffer
		c.Dir, c.Stdout, c.Stderr = dir, &out, &out
		c.Env = append(os.Environ(), "LLAMAC_CACHE="+cache)
		// What is cleaned must not be built anew for each call.
		if call.args[0] == "cache" {
			c.Env = append(c.Env, "LLAMAC_CACHE="+dir)
		}
		err := c.Run()
		late := ctx.Err() != nil
		cancel()
		shown := fmt.Sprintf("llamac %.300q", call.args)
		if st, err := os.Stat(os.DevNull); err != nil || st.Mode().IsRegular() {
			t.Fatalf("%s replaced %s", shown, os.DevNull)
		}
		var exit *exec.ExitError
		switch {
		case late:
			t.Errorf("%s: no answer in %v", shown, patience)
		case err != nil && (!errors.As(err, &exit) || exit.ExitCode() < 1 || exit.ExitCode() > 2):
			t.Errorf("%s: %v\n%.2000s", shown, err, out.Bytes())
		case bytes.Contains(out.Bytes(), []byte("panic:")) || bytes.Contains(out.Bytes(), []byte("goroutine ")) || bytes.Contains(out.Bytes(), []byte("bug of llamac")):
			t.Errorf("%s:\n%.2000s", shown, out.Bytes())
		case err != nil && len(bytes.TrimSpace(out.Bytes())) == 0:
			t.Errorf("%s: %v, and not a word", shown, err)
		}
	}
}

// TestHostileFlags tries some of the calls; all are among the slow tests.
func TestHostileFlags(t *testing.T) {
	hostile(t, 7)
}
