package data

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func input(source, name, sum string) Input {
	return Input{source, name, int64(len(sum)), strings.Repeat(sum, 64)[:64]}
}

func TestInputsRoundTrip(t *testing.T) {
	list := []Input{input("a", "x y.txt", "0"), input("a", "line\nend \"q\" é", "1"), input("b", "", "f")}
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, InputsFile), EncodeInputs(list), 0o666))
	got, err := ReadInputs(dir)
	must(t, err)
	if !reflect.DeepEqual(got, list) {
		t.Errorf("read %+v, want %+v", got, list)
	}
	for _, bad := range []string{"x\n", "00 1 a \"b\"\n", strings.Repeat("0", 64) + " one a \"b\"\n", strings.Repeat("0", 64) + " 1 a b\n"} {
		must(t, os.WriteFile(filepath.Join(dir, InputsFile), append(EncodeInputs(list[:1]), bad...), 0o666))
		if _, err := ReadInputs(dir); err == nil || !strings.Contains(err.Error(), InputsFile+": offset 79") {
			t.Errorf("%q: error is %v", bad, err)
		}
	}
}

func TestCompareInputs(t *testing.T) {
	a, b, c := input("s", "a", "1"), input("s", "b", "2"), input("s", "c", "3")
	a2 := input("s", "a", "4")
	for _, x := range []struct {
		before, now []Input
		want        string
	}{
		{[]Input{a, b}, []Input{b, a}, "nothing changed"},
		{[]Input{a, b}, []Input{a2, b}, "1 file changed (a)"},
		{[]Input{a}, []Input{a, b, c}, "2 were added (b, c)"},
		{[]Input{a, b, c}, []Input{a2}, "1 file changed (a), 2 are gone (b, c)"},
		{[]Input{a, a2}, []Input{a2, a}, "nothing changed"},
		{[]Input{a, a2}, []Input{a2}, "1 is gone (a)"},
		{[]Input{a}, []Input{input("t", "a", "1")}, "1 was added (t: a), 1 is gone (s: a)"},
		{nil, []Input{a, b, c, input("s", "d", "5"), input("s", "e", "5")}, "5 were added (a, b, c and 2 more)"},
	} {
		if got := CompareInputs(x.before, x.now); got.String() != x.want || got.None() != (x.want == "nothing changed") {
			t.Errorf("%v against %v: %v, want %s", x.before, x.now, got, x.want)
		}
	}
}
