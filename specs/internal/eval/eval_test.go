package eval

import (
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// run evaluates main.jsonnet of a set of files; a name that begins with lib/
// is a file of the library.
func run(t *testing.T, texts map[string]string, overrides ...Override) *Result {
	t.Helper()
	res, err := Run("main.jsonnet", overrides, func(from, path string) (string, []byte, error) {
		if text, ok := texts[path]; ok {
			if lib, ok := strings.CutPrefix(path, "lib/"); ok {
				path = LibraryPrefix + lib
			}
			return path, []byte(text), nil
		}
		return "", nil, errors.New("no such file")
	}, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestPositions(t *testing.T) {
	res := run(t, map[string]string{
		"main.jsonnet": `local base = import 'base.libsonnet';
local lib = import 'lib/lib.libsonnet';
local pick = { chosen: { p: 1 } };

base + lib.part + {
  local here = { deep: [1, { q: 2 }] },
  a: 1,
  'b c': 2,
  nested+: { y: self.x, z: 3 },
  replaced: { only: 1 },
  list+: [30],
  'from local': here,
  'from index': pick.chosen,
  'from self': self.nested,
  made: lib.make(7),
  elems: [lib.make(8), { own: lib.make(9) }],
  both: if self.a > 0 then { yes: 1 } else { no: 2 },
  computed: [i for i in [1, 2]],
  ['dyn' + 'amic']: 1,
} + {
  wrapped: base.nested + super.nested,
}
`,
		"base.libsonnet": `{
  a: 0,
  nested: { x: 1, y: 0 },
  replaced: { gone: 1 },
  list: [10, 20],
  unset: { u: 1 },
}
`,
		"lib/lib.libsonnet": `{
  part:: { from_lib: 5 },
  make(n):: { n: n, kind: 'k' },
}
`,
	}, Override{Label: OverridePrefix + "nested.z=4", Path: []Step{{Field: "nested"}, {Field: "z"}}, Value: json.RawMessage("4")})
	if len(res.Failures) > 0 {
		t.Fatal(res.Failures[0])
	}
	got := map[string]string{}
	for _, p := range res.Positions {
		if _, dup := got[p.Path]; dup {
			t.Errorf("%s has two positions", p.Path)
		}
		got[p.Path] = p.Name.String() + " " + p.Value.String()
	}
	m := func(line string) string { return "main.jsonnet:" + line }
	want := map[string]string{
		"":                         m("5:1 ") + m("5:1"),
		"a":                        m("7:3 ") + m("7:6"),
		`["b c"]`:                  m("8:3 ") + m("8:10"),
		"nested":                   m("9:3 ") + m("9:12"),
		"nested.x":                 "base.libsonnet:3:13 base.libsonnet:3:16",
		"nested.y":                 m("9:14 ") + m("9:17"),
		"nested.z":                 "--set nested.z=4 --set nested.z=4",
		"replaced":                 m("10:3 ") + m("10:13"),
		"replaced.only":            m("10:15 ") + m("10:21"),
		"list":                     m("11:3 ") + m("11:10"),
		"list[0]":                  "base.libsonnet:5:10 base.libsonnet:5:10",
		"list[1]":                  "base.libsonnet:5:14 base.libsonnet:5:14",
		"list[2]":                  m("11:11 ") + m("11:11"),
		`["from local"]`:           m("12:3 ") + m("12:17"),
		`["from local"].deep`:      m("6:18 ") + m("6:24"),
		`["from local"].deep[0]`:   m("6:25 ") + m("6:25"),
		`["from local"].deep[1]`:   m("6:28 ") + m("6:28"),
		`["from local"].deep[1].q`: m("6:30 ") + m("6:33"),
		`["from index"]`:           m("13:3 ") + m("13:17"),
		`["from index"].p`:         m("3:26 ") + m("3:29"),
		`["from self"]`:            m("14:3 ") + m("14:16"),
		`["from self"].x`:          "base.libsonnet:3:13 base.libsonnet:3:16",
		`["from self"].y`:          m("9:14 ") + m("9:17"),
		`["from self"].z`:          "--set nested.z=4 --set nested.z=4",
		"made":                     m("15:3 ") + m("15:9"),
		"made.n":                   "<llamac>/lib.libsonnet:3:15 <llamac>/lib.libsonnet:3:18",
		"made.kind":                "<llamac>/lib.libsonnet:3:21 <llamac>/lib.libsonnet:3:27",
		"elems":                    m("16:3 ") + m("16:10"),
		"elems[0]":                 m("16:11 ") + m("16:11"), // and nothing below: a constructor's
		"elems[1]":                 m("16:24 ") + m("16:24"),
		"elems[1].own":             m("16:26 ") + m("16:31"),
		"elems[1].own.n":           "<llamac>/lib.libsonnet:3:15 <llamac>/lib.libsonnet:3:18",
		"elems[1].own.kind":        "<llamac>/lib.libsonnet:3:21 <llamac>/lib.libsonnet:3:27",
		"both":                     m("17:3 ") + m("17:9"),
		"both.yes":                 m("17:30 ") + m("17:35"),
		"both.no":                  m("17:46 ") + m("17:50"),
		"computed":                 m("18:3 ") + m("18:13"),
		"wrapped":                  m("21:3 ") + m("21:12"),
		"wrapped.x":                "base.libsonnet:3:13 base.libsonnet:3:16",
		"wrapped.y":                m("9:14 ") + m("9:17"),
		"wrapped.z":                m("9:25 ") + m("9:28"),
		"unset":                    "base.libsonnet:6:3 base.libsonnet:6:10",
		"unset.u":                  "base.libsonnet:6:12 base.libsonnet:6:15",
		"from_lib":                 "<llamac>/lib.libsonnet:2:12 <llamac>/lib.libsonnet:2:22",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Documents that refer to themselves end the tracing.
func TestPositionsEnd(t *testing.T) {
	for _, code := range []string{
		`local a = a + a; { x: 1, y:: a }`,
		`local f(n) = f(n + 1) + f(n + 2); { x: 1, y:: f(0) }`,
		`local o = { p: self + self }; { x: 1, y:: o }`,
		`{ x: 1, y:: $ }`,
		`{ x: 1, y:: [self.y, self.y] }`,
		`local a = b, b = a; { x: 1, y:: a }`,
		`local o = { [k]: o for k in ['a', 'b'] }; { x: 1, y:: o }`,
		`{ x: 1, y:: super.y + super.y }`,
		`{ x: 1, local y = self.z.y, z:: y.z }`,
		`(import 'main.jsonnet') { x: 1 }`,
	} {
		texts := map[string]string{"main.jsonnet": code}
		res := run(t, texts)
		if strings.Contains(code, "import") {
			continue // it fails, and the tracing has ended
		}
		found := false
		for _, p := range res.Positions {
			found = found || p.Path == "x" && p.Value.Line == 1
		}
		if len(res.Failures) > 0 || string(res.Doc) == "" || !found {
			t.Errorf("%s: x is not placed; failures %v", code, res.Failures)
		}
	}
}

// What still can be evaluated is, level by level, and each failure has its
// path.
func TestSalvage(t *testing.T) {
	res := run(t, map[string]string{"main.jsonnet": `{
  good: 1,
  bad: error 'one',
  inner: { good: [1, 2], bad: 1 / 0, deeper: { bad: self.none, good: 'x' } },
  list: [1, error 'two'],
  hidden:: error 'never seen',
}
`})
	if got, want := compact(t, res.Doc), `{"good":1,"inner":{"deeper":{"good":"x"},"good":[1,2]}}`; got != want {
		t.Errorf("the rest is %s, want %s", got, want)
	}
	var got []string
	for _, f := range res.Failures {
		got = append(got, f.Path+" "+f.Err.Error())
	}
	want := []string{
		"bad main.jsonnet:3:8: one",
		"inner.bad main.jsonnet:4:31: Division by zero.",
		"inner.deeper.bad main.jsonnet:4:53: Field does not exist: none",
		"list main.jsonnet:5:13: two",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A failure inside the library is told at the user's call, with a note; one
// that no frame of the user's leads to is marked.
func TestLibraryFailure(t *testing.T) {
	res := run(t, map[string]string{
		"main.jsonnet":      "local lib = import 'lib/lib.libsonnet';\nlib { a: lib.half('x') }\n",
		"lib/lib.libsonnet": "{\n  half(x):: x / 2,\n  b: self.c / 2,\n  c:: 'y',\n}\n",
	})
	var got []string
	for _, f := range res.Failures {
		mark := " user "
		if f.Library {
			mark = " library "
		}
		got = append(got, f.Path+mark+f.Err.Error())
	}
	const msg = "Unexpected type string, expected number\n\traised at <llamac>/lib.libsonnet:"
	want := []string{"a user main.jsonnet:2:10: " + msg + "2:13", "b library " + msg + "3:6"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func compact(t *testing.T, doc json.RawMessage) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(doc, &v); err != nil {
		t.Fatal(err)
	}
	b, _ := json.Marshal(v)
	return string(b)
}

func TestPath(t *testing.T) {
	for _, c := range []struct{ path, parent string }{
		{Field("", "model"), ""},
		{Field("model", "dim"), "model"},
		{Elem(Field("model", "block"), 3), "model.block"},
		{Field(Elem("model.block", 12), "out"), "model.block[12]"},
		{Field("names.hf", "layers.N.wq"), "names.hf"},
		{Field("", "two words"), ""},
		{"", ""},
	} {
		if got := Parent(c.path); got != c.parent {
			t.Errorf("Parent(%s) = %s, want %s", c.path, got, c.parent)
		}
	}
	if got := Field("a", "b c"); got != `a["b c"]` {
		t.Errorf("got %s", got)
	}
	// Names with brackets and dots lose more than one step, and end at "".
	for p := Field("x", `a].b["c`); p != ""; {
		next := Parent(p)
		if len(next) >= len(p) {
			t.Fatalf("Parent(%s) = %s", p, next)
		}
		p = next
	}
}

// How a child dies says which limit was passed.
func TestVerdict(t *testing.T) {
	status := func(code string) error { return exec.Command("sh", "-c", code).Run() }
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no shell to make exit statuses with")
	}
	for _, c := range []struct{ code, stderr, want string }{
		{"exit 81", "", "takes longer than 5s"},
		{"exit 82", "", "more than 512 MiB of memory"},
		{"exit 83", "", "larger than 4 MiB"},
		{"kill -9 $$", "", "more than 512 MiB of memory"},
		{"exit 2", "runtime: goroutine stack exceeds 67108864-byte limit\nfatal error: stack overflow", "nests too deeply"},
		{"exit 2", "fatal error: runtime: out of memory\n", "more than 512 MiB"},
		{"exit 2", "runtime: cannot allocate memory", "more than 512 MiB"},
		{"exit 1", "EOF\nmore", "the Jsonnet evaluator failed: EOF"},
		{"exit 0", "", "the Jsonnet evaluator failed: talk"},
	} {
		got := verdict("x", Limits{}.withDefaults(), nil, status(c.code), c.stderr, errors.New("talk"))
		if !strings.HasPrefix(got.Error(), "x:1:1: ") || !strings.Contains(got.Msg, c.want) {
			t.Errorf("%s, %q: got %q, want %q", c.code, c.stderr, got, c.want)
		}
	}
}
