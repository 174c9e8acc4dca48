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
		known    []string
		ok       bool
		says     string
	}{
		{"a pass", pass, nil, true, "1 passed, 0 failed, 0 skipped"},
		{"a known skip", pass + skip, []string{"LLAMAC_ASSETS not set"}, true, "p.TestA: LLAMAC_ASSETS not set: x.bin\n"},
		{"an unknown skip", pass + skip, []string{"no GPU"}, false, "NOT ON THE LIST"},
		{"a failure", pass + fail, nil, false, "c_test.go:1: wrong"},
		{"nothing", "", nil, false, "no test ran"},
		{"a panic of the package", pass + `{"Action":"output","Package":"p","Output":"panic: x\n"}` + "\n" + `{"Action":"fail","Package":"p"}` + "\n", nil, false, "panic: x"},
		{"a broken build", pass + `{"Action":"build-output","ImportPath":"q","Output":"q.go:1: no\n"}` + "\n" + `{"Action":"build-fail","ImportPath":"q"}` + "\n", nil, false, "q.go:1: no"},
	} {
		var b bytes.Buffer
		ok, err := report(strings.NewReader(c.in), &b, c.known)
		if err != nil || ok != c.ok || !strings.Contains(b.String(), c.says) {
			t.Errorf("%s: ok %v, err %v, output:\n%s", c.name, ok, err, b.String())
		}
	}
}
