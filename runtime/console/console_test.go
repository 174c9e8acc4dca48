package console

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestWord(t *testing.T) {
	for _, c := range []struct{ in, unix, windows string }{
		{"specs/my.jsonnet", "specs/my.jsonnet", "specs/my.jsonnet"},
		{`specs\my.jsonnet`, `'specs\my.jsonnet'`, `specs\my.jsonnet`},
		{"", "''", `""`},
		{"a b", "'a b'", `"a b"`},
		{"it's", `'it'\''s'`, `"it's"`},
		{`say "x"`, `'say "x"'`, `"say \"x\""`},
		{"data.sources[0].share=1", "'data.sources[0].share=1'", `"data.sources[0].share=1"`},
		{"~x", "'~x'", `"~x"`},
		{"50%", "50%", `"50%"`},
	} {
		if got := word(c.in, false); got != c.unix {
			t.Errorf("%q: %s, want %s", c.in, got, c.unix)
		}
		if got := word(c.in, true); got != c.windows {
			t.Errorf("%q on Windows: %s, want %s", c.in, got, c.windows)
		}
	}
}

func TestProgram(t *testing.T) {
	dir := t.TempDir()
	self, other := filepath.Join(dir, "self"), filepath.Join(dir, "other")
	for _, f := range []string{self, other} {
		if err := os.WriteFile(f, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	exe := func() (string, error) { return self, nil }
	found := func(at string) func(string) (string, error) {
		return func(string) (string, error) {
			if at == "" {
				return "", errors.New("not found")
			}
			return at, nil
		}
	}
	for _, c := range []struct{ arg, onPath, want string }{
		{"llamac", self, "llamac"},
		{"/usr/bin/llamac", self, "llamac"},
		{"./llamac", "", "./llamac"},
		{"./llamac", other, "./llamac"}, // of this name the shell finds another
		{"/opt/llamac", other, "/opt/llamac"},
		{"llamac", "", self},
		{"llamac", other, self},
	} {
		if got := program(filepath.FromSlash(c.arg), exe, found(c.onPath)); got != filepath.FromSlash(c.want) {
			t.Errorf("called as %s with %q on the path: %s, want %s", c.arg, c.onPath, got, c.want)
		}
	}
}

func TestOutput(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	o := NewOutput(f)
	if _, err := o.WriteString("x"); err != nil || o.Err() != nil {
		t.Fatal(err, o.Err())
	}
	f.Close()
	if _, err := o.Write([]byte("y")); err == nil || !errors.Is(o.Err(), os.ErrClosed) {
		t.Errorf("after closing: %v, remembered %v", err, o.Err())
	}
}
