package ir_test

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/llamac/llamac/ir"
)

// TestParseErrors holds the parser to its messages. A file "x.want" follows
// each text x.
func TestParseErrors(t *testing.T) {
	const name = "testdata/parse_errors.txtar"
	a, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, f := range a.Files {
		want[f.Name] = string(f.Data)
	}
	out := &txtar.Archive{Comment: a.Comment}
	for _, f := range a.Files {
		if strings.HasSuffix(f.Name, ".want") {
			continue
		}
		_, err := ir.Parse(f.Name, f.Data)
		if err == nil {
			t.Errorf("%s parses", f.Name)
			continue
		}
		got := err.Error() + "\n"
		if got != want[f.Name+".want"] && !*update {
			t.Errorf("%s:\n got\n%swant\n%s", f.Name, got, want[f.Name+".want"])
		}
		out.Files = append(out.Files, f, txtar.File{Name: f.Name + ".want", Data: []byte(got)})
	}
	if *update {
		if err := os.WriteFile(name, txtar.Format(out), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestParseFreely reads what the printer would have written otherwise: other
// spacing, comments, trailing commas, defaults spelled out.
func TestParseFreely(t *testing.T) {
	const src = `// A comment.
module m // and another
dim  T in[1,8]
weight $w:f32[2*T*3,T*T] {std=0.50,init=normal,}
func @f   main(%x: f32[ 2*3 , ], %c: bool[6],)->(%y,)
{ %a=reduce_sum(%x){keep=false,axes=[0,],}:f32[] %b = rms_norm(%x, %x) {eps = 1e-5} : f32[6]
  %y = where(%c, %b,
             %a) : f32[6] }
`
	const want = `module m
dim T in [1, 8]
weight $w: f32[6*T, T*T] {init = normal, std = 0.5}

func @f main(%x: f32[6], %c: bool[6]) -> (%y) {
  %a = reduce_sum(%x) {axes = [0]} : f32[]
  %b = rms_norm(%x, %x) {eps = 1e-05} : f32[6]
  %y = where(%c, %b, %a) : f32[6]
}
`
	if got := parse(t, "free", src).String(); got != want {
		t.Errorf("prints as\n%s", got)
	}
}

// TestPrintNumbers: reals print so that they read back to the same bits and
// stay apart from integers.
func TestPrintNumbers(t *testing.T) {
	const node = "%y = const() {values = [1.0, -0.0, 0.1, 1e-05, 1e+21, 5e-324, 1.7976931348623157e+308, inf, -inf, nan], shape = [10]} : f32[10]"
	const text = "module m\n\nfunc @f main() -> (%y) {\n  " + node + "\n}\n"
	if got := parse(t, "numbers", text).String(); got != text {
		t.Errorf("prints as\n%s", got)
	}
}
