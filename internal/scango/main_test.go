package main

import (
	"strings"
	"testing"
)

func TestJudge(t *testing.T) {
	for src, want := range map[string]string{
		"func f() int {\n\treturn 1\n}\n":            "",
		"func f() int {\n\treturn 1\n}\nvar x = \"a": "", // cut off
		"func f() int {\n\treturn 'ab'\n}\n":         "rune literal",
		"func f() int {\n\treturn 1\n":               "no block",
		"func f() {}\n":                              "no return",
		"return {}\n":                                "no func",
		"":                                           "no func",
	} {
		if got := judge([]byte(src)); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", src, got, want)
		}
	}
}
