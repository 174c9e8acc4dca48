package eval

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestParsePath(t *testing.T) {
	field := func(name string) Step { return Step{Field: name} }
	for _, c := range []struct {
		in   string
		want []Step
	}{
		{"a", []Step{field("a")}},
		{"a.b_1.c", []Step{field("a"), field("b_1"), field("c")}},
		{"a[0]", []Step{field("a"), {Element: true}}},
		{"a[12][3].b", []Step{field("a"), {Index: 12, Element: true}, {Index: 3, Element: true}, field("b")}},
		{`a["layers.N.x"]`, []Step{field("a"), field("layers.N.x")}},
		{`a["q\"]"].b`, []Step{field("a"), field(`q"]`), field("b")}},
		{`["two words"]`, []Step{field("two words")}},
	} {
		got, err := ParsePath(c.in)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v", c.in, got, err)
		}
		if p := pathOf(got); p != c.in {
			t.Errorf("%s prints as %s", c.in, p)
		}
	}
	for _, in := range []string{"", ".", "a.", ".a", "a..b", "[0]", "a[", "a[]", "a[x]", "a[-1]", "a[+1]", "a[01]", "a[1.5]", "a[0]b", "1a", "a b",
		"a['x']", `a["x]`, `a["x"`, "a.[0]", "a[99999999999999999999]"} {
		if got, err := ParsePath(in); err == nil {
			t.Errorf("%q is the path %+v", in, got)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	f.Add(`data.sources[0].paths["x"]`)
	f.Fuzz(func(t *testing.T, s string) {
		path, err := ParsePath(s)
		if err != nil {
			return
		}
		again, err := ParsePath(pathOf(path))
		if err != nil || !reflect.DeepEqual(path, again) {
			t.Fatalf("%q is %+v and then %+v, %v", s, path, again, err)
		}
	})
}

// set makes an override as the command line does.
func set(t *testing.T, path, value string) Override {
	t.Helper()
	steps, err := ParsePath(path)
	if err != nil {
		t.Fatal(err)
	}
	return Override{Label: OverridePrefix + path + "=" + value, Path: steps, Value: json.RawMessage(value)}
}

// Overrides reach into lists as they do into objects: the rest stays, what is
// computed follows, and the places of what they do not touch are kept.
func TestOverrideElements(t *testing.T) {
	texts := map[string]string{"main.jsonnet": `{
  list: [
    { a: 1, twice: 2 * self.a, deep: { x: 1, y: [1, 2] } },
    { a: 10, twice: 2 * self.a },
  ],
  sum: self.list[0].a + self.list[1].a,
  nested: [[1, 2], [3, 4]],
  scalar: 5,
  '50%': [1],
}
`}
	res := run(t, texts, set(t, "list[0].a", "7"), set(t, "list[0].deep.y[1]", `"new"`), set(t, "nested[1][0]", "30"), set(t, "list[1]", `{"a": 3}`),
		set(t, `["50%"][0]`, "2"))
	const want = `{"50%":[2],"list":[{"a":7,"deep":{"x":1,"y":[1,"new"]},"twice":14},{"a":3}],"nested":[[1,2],[30,4]],"scalar":5,"sum":10}`
	if got := compact(t, res.Doc); got != want || len(res.Failures) > 0 {
		t.Errorf("got %s, %v\nwant %s", got, res.Failures, want)
	}
	got := map[string]string{}
	for _, p := range res.Positions {
		got[p.Path] = p.Value.String()
	}
	for path, want := range map[string]string{
		"list":              "main.jsonnet:2:9",
		"list[0].a":         "--set list[0].a=7",
		"list[0].twice":     "main.jsonnet:3:20",
		"list[0].deep.y[0]": "main.jsonnet:3:50",
		"list[0].deep.y[1]": `--set list[0].deep.y[1]="new"`,
		"list[1]":           `--set list[1]={"a": 3}`,
		"list[1].twice":     "",
		"nested[1][0]":      "--set nested[1][0]=30",
		"nested[1][1]":      "main.jsonnet:7:24",
	} {
		if got[path] != want {
			t.Errorf("%s is at %q, want %q", path, got[path], want)
		}
	}

	// The last of two wins, here the whole list, and so it does for places.
	res = run(t, texts, set(t, "nested[1][0]", "30"), set(t, "nested", "[[8],[9]]"))
	if got := compact(t, res.Doc); !strings.Contains(got, `"nested":[[8],[9]]`) {
		t.Errorf("got %s", got)
	}
	for _, p := range res.Positions {
		if p.Path == "nested[1][0]" && strings.Contains(p.Value.String(), "30") {
			t.Errorf("%s is at %s, which a later override replaces", p.Path, p.Value)
		}
	}
	res = run(t, texts, set(t, "nested", "[[8],[9]]"), set(t, "nested[1][0]", "30"))
	if got := compact(t, res.Doc); !strings.Contains(got, `"nested":[[8],[30]]`) {
		t.Errorf("got %s", got)
	}
}

// What is not there to be reached into is an error of the flag.
func TestOverrideElementsFail(t *testing.T) {
	texts := map[string]string{"main.jsonnet": `{ list: [{ a: 1 }, 2], inner: { list: [] }, '50%': [1] }`}
	for _, c := range []struct{ path, want string }{
		{"list[2]", "list has 2 elements, counted from 0"},
		{"list[2].a", "list has 2 elements, counted from 0"},
		{"inner.list[0]", "inner.list has 0 elements, counted from 0"},
		{"list[1].a", "list[1] is no object"},
		{"list[0].a[0]", "list[0].a is no list"},
		{"lits[0].a", "there is no lits to reach into"},
		{"inner.lits[0]", "there is no inner.lits to reach into"},
		{"inner[0]", "inner is no list"},
		{`["50%"][1]`, `["50%"] has 1 elements, counted from 0`},
	} {
		o := set(t, c.path, "1")
		res := run(t, texts, o)
		if len(res.Failures) != 1 || res.Failures[0].Err.Error() != o.Label+": "+c.want {
			t.Errorf("%s: %+v, want %q", c.path, res.Failures, c.want)
		}
	}
}
