package fuzz

import (
	"strings"
	"testing"
)

// TestBadCases: what is wrong with an edited case is said with its line, before
// anything runs. A word that is not known would otherwise change what is checked.
func TestBadCases(t *testing.T) {
	good := string(loadSmall(t, "tiny_gqa.jsonnet").Format("fine"))
	if _, err := ParseCase("c.txtar", []byte(good)); err != nil {
		t.Fatal(err)
	}
	line := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %q in\n%.500s", old, good)
		}
		return strings.Replace(good, old, new, 1)
	}
	for _, c := range []struct{ text, want string }{
		{line("seed 1\n", "seeed 1\n"), `c.txtar:case:4: unknown word "seeed"`},
		{line("seed 1\n", "seed -1\n"), `c.txtar:case:4: seed "-1": want a number`},
		{line("B 2\n", "B 0\n"), `c.txtar:case:1: B "0": want a number from 1`},
		{line("B 2\n", "B 1000000\n"), "together more than 65536"},
		{line("B 2\n", ""), "c.txtar:case: B is 0, the module has it in ["},
		{line("T 8\n", "T 3000000000000\n"), `c.txtar:case:2: T "3000000000000": want a number from 1`},
		{line("extra true\n", "extra banana\n"), `c.txtar:case:5: extra "banana": true or false`},
		{line("extra true\n", "disable nonsense\n"), `c.txtar:case:5: disable "nonsense": no such pass`},
		{line("extra true\n", "compute f8\n"), `c.txtar:case:5: compute "f8": bf16 or f16`},
		{line("vocab 61\n", "vocab 0\n"), `c.txtar:case:3: vocab "0": want a number from 1`},
		{line("vocab 61\n", "vocab 62\n"), "takes ids below 61"},
	} {
		if _, err := ParseCase("c.txtar", []byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}
