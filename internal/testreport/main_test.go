package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	const skip = `{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:7: LLAMAC_ASSETS not set: x.bin\n"}
{"Action":"skip","Package":"p","Test":"TestA"}
`
	const pass = `{"Action":"pass","Package":"p","Test":"TestB"}
`
	const fail = `{"Action":"output","Package":"p","Test":"TestC","Output":"c_test.go:1: wrong\n"}
{"Action":"fail","Package":"p","Test":"TestC"}
`
	for _, c := range []struct {
		name, in string
		known    string
		ok       bool
		says     string
	}{
		{"a pass", pass, "", true, "1 passed, 0 failed, 0 skipped"},
		{"a known skip", pass + skip, "p.TestA: LLAMAC_ASSETS not set", true, "p.TestA: LLAMAC_ASSETS not set: x.bin\n"},
		{"an unknown skip", pass + skip, "p.TestA: no GPU", false, "NOT ON THE LIST"},
		{"a failure", pass + fail, "", false, "c_test.go:1: wrong"},
		{"nothing", "", "", false, "no test ran"},
		{"a panic of the package", pass + `{"Action":"output","Package":"p","Output":"panic: x\n"}` + "\n" + `{"Action":"fail","Package":"p"}` + "\n", "", false, "panic: x"},
		{"a broken build", pass + `{"Action":"build-output","ImportPath":"q","Output":"q.go:1: no\n"}` + "\n" + `{"Action":"build-fail","ImportPath":"q"}` + "\n", "", false, "q.go:1: no"},
	} {
		var b bytes.Buffer
		list, err := parseKnown("skips", c.known)
		if err != nil {
			t.Fatal(err)
		}
		ok, err := report(strings.NewReader(c.in), &b, list)
		if err != nil || ok != c.ok || !strings.Contains(b.String(), c.says) {
			t.Errorf("%s: ok %v, err %v, output:\n%s", c.name, ok, err, b.String())
		}
	}
}

// TestKnown: a line is for one test, with its subtests, and one reason.
func TestKnown(t *testing.T) {
	list, err := parseKnown("x", "# comment\n\na/b.TestOne: no disk\n.TestRoot: no net\na/b.TestTwo/deep: no disk\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		pkg, test, reason string
		want              bool
	}{
		{module + "/a/b", "TestOne", "no disk", true},
		{module + "/a/b", "TestOne", "no disk in drive A", true},
		{module + "/a/b", "TestOne/sub/sub", "no disk", true},
		{module, "TestRoot", "no net", true},
		{module + "/a/b", "TestTwo/deep", "no disk", true},
		{module + "/a/b", "TestTwo", "no disk", false},
		{module + "/a/b", "TestTwo/deeper", "no disk", false},
		{module + "/a/b", "TestOneMore", "no disk", false},
		{module + "/a/b", "TestOne", "there is no disk", false},
		{module + "/a/b/c", "TestOne", "no disk", false},
		{module + "/b", "TestOne", "no disk", false},
		{"a/b", "TestOne", "no net", false},
	} {
		if got := list.has(key{c.pkg, c.test}, c.reason); got != c.want {
			t.Errorf("%s.%s: %s: %v, want %v", c.pkg, c.test, c.reason, got, c.want)
		}
	}
	for _, bad := range []string{"no disk", "a/b.TestOne", "a/b.TestOne:", "a/b: no disk"} {
		if _, err := parseKnown("x", "\n"+bad); err == nil || !strings.HasPrefix(err.Error(), "x:2: ") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestReason: a test's log is not its reason to skip.
func TestReason(t *testing.T) {
	lines := []string{"=== RUN   TestA\n", "    a_test.go:3: took 3 s\n", "    a_test.go:7: no disk: A\n", "--- SKIP: TestA (0.00s)\n"}
	if got := reason(lines); got != "no disk: A" {
		t.Errorf("got %q", got)
	}
}
