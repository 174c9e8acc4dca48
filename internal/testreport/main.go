// Command testreport reads the output of go test -json, prints failures with
// their output, every skip with its reason, slow packages, and a closing
// count. It fails on a failed test, on a run without any, and on a skip that the
// list of known skips does not have: a test that silently stopped to run looks
// like one that passes.
//
//	go test -json ./... | go run ./internal/testreport -skips .ci/skips.txt
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
)

// event is a line of go test -json.
// Test is empty for what concerns a whole package.
type event struct {
	Action, Package, Test, Output string
	ImportPath                    string // of build-output lines
	Elapsed                       float64
}

func main() {
	skips := flag.String("skips", "", "file with the skips that are known: \"package.Test: beginning of the reason\" a line, the package below "+module)
	flag.Parse()
	var list known
	if *skips != "" {
		b, err := os.ReadFile(*skips)
		if err == nil {
			list, err = parseKnown(*skips, string(b))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	ok, err := report(os.Stdin, os.Stdout, list)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}

// report reads events and says whether all is well.
// The order of events is that of the go command: packages run side by side, so
// lines of different tests alternate, and output is collected by test.
func report(r io.Reader, w io.Writer, list known) (bool, error) {
	type skip struct {
		key
		reason string
	}
	// Kept until a test ends: what passes says nothing.
	output := map[key][]string{}
	var passed, failed, skipped int
	// Failures come at the end, below the long list of times, where a reader of
	// a log looks first.
	var bad []string
	var skips []skip
	// Seconds by package, its build not counted.
	times := map[string]float64{}
	// What the compiler said, by package.
	build := map[string][]string{}
	sc := bufio.NewScanner(r)
	// A failing comparison can print megabytes in one line.
	sc.Buffer(make([]byte, 1<<20), 1<<26)
	for sc.Scan() {
		var e event
		if json.Unmarshal(sc.Bytes(), &e) != nil {
			// Such as "go: downloading ...": it is not JSON and not an error.
			fmt.Fprintln(w, sc.Text()) // what the go command says itself
			continue
		}
		k := key{e.Package, e.Test}
		switch e.Action {
		case "build-output":
			build[e.ImportPath] = append(build[e.ImportPath], e.Output)
		// Its tests never start, so nothing else would fail.
		case "build-fail":
			failed++
			bad = append(bad, e.ImportPath+" does not build\n"+strings.Join(build[e.ImportPath], ""))
		case "output":
			output[k] = append(output[k], e.Output)
		case "pass":
			if e.Test != "" {
				passed++
			} else {
				times[e.Package] = e.Elapsed
			}
			delete(output, k)
		// A skip may hide a failure on the one machine that has what the test
		// needs, so each has to be known by name.
		case "skip":
			if e.Test == "" {
				continue // a package without tests
			}
			skipped++
			skips = append(skips, skip{k, reason(output[k])})
		case "fail":
			// A package fails with each of its tests, and then has nothing to
			// say itself; if it has, it panicked or its TestMain failed.
			if e.Test != "" || len(output[k]) > 0 {
				bad = append(bad, e.Package+"."+e.Test+"\n"+strings.Join(output[k], ""))
			}
			if e.Test != "" {
				failed++
			} else {
				times[e.Package] = e.Elapsed
				// A package that fails without a failing test: it panicked, or
				// its TestMain ended it.
				if failed == 0 {
					failed++
				}
			}
		}
	}
	if err := sc.Err(); err != nil {
		return false, err
	}
	fmt.Fprintln(w, "time by package:")
	pkgs := make([]string, 0, len(times))
	for p := range times {
		pkgs = append(pkgs, p)
	}
	// The slowest first.
	sort.Slice(pkgs, func(i, j int) bool { return times[pkgs[i]] > times[pkgs[j]] })
	// The suite has a budget of minutes, and this is where to look when it runs
	// out.
	for _, p := range pkgs[:min(len(pkgs), 12)] {
		fmt.Fprintf(w, "  %7.1f s  %s\n", times[p], p)
	}
	// Skips that nobody knows of.
	unknown := 0
	if len(skips) > 0 {
		sort.Slice(skips, func(i, j int) bool { return skips[i].String() < skips[j].String() })
		fmt.Fprintln(w, "skipped:")
		for _, s := range skips {
			// Every skip is shown, known ones too: a list that only grows is a
			// smell.
			mark := ""
			if !list.has(s.key, s.reason) {
				mark = "   <- NOT ON THE LIST"
				unknown++
			}
			fmt.Fprintf(w, "  %s: %s%s\n", s.key, s.reason, mark)
		}
	}
	for _, b := range bad {
		fmt.Fprintf(w, "FAILED %s\n", b)
	}
	// Nothing to fail is not success: a wrong pattern, or no tests at all.
	if passed == 0 {
		fmt.Fprintln(w, "no test ran")
	}
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", passed, failed, skipped)
	return failed == 0 && unknown == 0 && passed > 0, nil
}

// reason is what a skipped test said last: what it said before is its log.
func reason(lines []string) string {
	last := "no reason given"
	for _, l := range lines {
		l = strings.TrimSpace(l)
		if strings.HasPrefix(l, "===") || strings.HasPrefix(l, "---") || l == "" {
			continue
		}
		if i := strings.Index(l, ".go:"); i >= 0 {
			if j := strings.Index(l[i:], ": "); j >= 0 {
				l = l[i+j+2:]
			}
		}
		last = l
	}
	return last
}

// module is the import path in front of the packages.
const module = "github.com/llamac/llamac"

// key names a test.
type key struct{ pkg, test string }

// String is the name as lists of skips have it.
// The module's path is left out: it is the same for all.
func (k key) String() string {
	return strings.TrimPrefix(strings.TrimPrefix(k.pkg, module), "/") + "." + k.test
}

// known are the beginnings of the reasons for which a test, by its String, may
// skip.
type known map[string][]string

// parseKnown reads a list of skips; name is its file's, for errors.
// Empty lines and lines that begin with # are for people.
func parseKnown(name, text string) (known, error) {
	list := known{}
	for i, l := range strings.Split(text, "\n") {
		if l = strings.TrimSpace(l); l == "" || strings.HasPrefix(l, "#") {
			continue
		}
		test, reason, ok := strings.Cut(l, ": ")
		if !ok || !strings.Contains(test, ".Test") || reason == "" {
			return nil, fmt.Errorf("%s:%d: want package.Test: reason", name, i+1)
		}
		list[test] = append(list[test], reason)
	}
	return list, nil
}

// has reports whether a test may skip for a reason. What holds for a test holds
// for its subtests.
func (list known) has(k key, reason string) bool {
	// From the subtest outwards, test by test.
	for name := k.String(); ; {
		for _, r := range list[name] {
			if strings.HasPrefix(reason, r) {
				return true
			}
		}
		i := strings.LastIndexByte(name, '/')
		if i < strings.Index(name, ".Test") { // the rest is the package's path
			return false
		}
		name = name[:i]
	}
}
