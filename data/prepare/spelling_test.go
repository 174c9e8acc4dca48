package prepare

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// listed gives the names of a source's files, the notes, and the error.
func listed(t *testing.T, cfg Config, sources ...[]string) (names, notes string) {
	t.Helper()
	cfg.OnNote = func(s string) { notes += s + "\n" }
	for i, paths := range sources {
		cfg.Sources = append(cfg.Sources, Source{Name: string(rune('a' + i)), Share: 1, Kind: "files", Paths: paths})
	}
	list, err := Inputs(context.Background(), cfg)
	if err != nil {
		return err.Error(), notes
	}
	var all []string
	for _, in := range list {
		all = append(all, in.Name)
	}
	return strings.Join(all, " "), notes
}

func TestOneFileManySpellings(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.txt", []byte("x"))
	put(t, dir, "sub/b.txt", []byte("x"))
	abs := filepath.Join(dir, "a.txt")
	if got, notes := listed(t, Config{Base: dir}, []string{"a.txt", "./a.txt", abs, "sub/../a.txt", "*.txt"}); got != "a.txt" || notes != "" {
		t.Errorf("files %q, notes %q", got, notes)
	}
	if got, notes := listed(t, Config{Base: dir}, []string{"a.txt"}, []string{abs}); got != "a.txt a.txt" ||
		notes != `sources "a" and "b" both read 1 file (`+abs+")\n" {
		t.Errorf("files %q, notes %q", got, notes)
	}
	if runtime.GOOS == "windows" {
		return
	}
	must(t, os.Symlink("a.txt", filepath.Join(dir, "c.txt")))
	must(t, os.Symlink("sub", filepath.Join(dir, "link")))
	must(t, os.Link(abs, filepath.Join(dir, "hard.txt")))
	got, notes := listed(t, Config{Base: dir}, []string{"*.txt", "sub/*", "link/*"})
	if got != "a.txt b.txt hard.txt" || !strings.Contains(notes, "c.txt is "+abs) && !strings.Contains(notes, "and 1 more such: read once") {
		t.Errorf("files %q, notes %q", got, notes)
	}
	// A folder has its links to files too.
	if got, _ := listed(t, Config{Base: dir}, []string{"."}); got != "a.txt hard.txt sub/b.txt" {
		t.Errorf("files %q", got)
	}
}

func TestBracketsInNames(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"data[1].txt", "data1.txt", "[x]/a.txt", "x/b.txt", "open[.txt"} {
		put(t, dir, name, []byte(name))
	}
	for pattern, want := range map[string]string{
		"data[1].txt":   "data[1].txt",
		"data[12].txt":  "data1.txt",
		"**/data[1]*":   "data1.txt",
		"[x]/*":         "[x]/a.txt",
		"[x]/a.txt":     "a.txt",
		"[wx]/b.txt":    "x/b.txt",
		"open[.txt":     "open[.txt",
		"data\\[1].txt": "data[1].txt",
	} {
		if runtime.GOOS == "windows" && strings.Contains(pattern, "\\") {
			continue
		}
		if got, _ := listed(t, Config{Base: dir}, []string{pattern}); got != want {
			t.Errorf("%s: files %q, want %q", pattern, got, want)
		}
	}
}

func TestPathsThatAreNoFiles(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "x.txt/inner", []byte("x"))
	for pattern, want := range map[string]string{
		"korpus/**/*.txt": `source "a": no file matches ["korpus/**/*.txt"] in ` + dir + "; relative paths start at the folder of the spec, which that is",
		dir + "/*.md":     `source "a": no file matches ["` + dir + `/*.md"]`,
		"x.txt":           "inner",
		"*.txt":           `source "a": no file matches ["*.txt"] in ` + dir + "; relative paths start at the folder of the spec, which that is",
	} {
		if got, _ := listed(t, Config{Base: dir}, []string{pattern}); got != want {
			t.Errorf("%s: %s, want %s", pattern, got, want)
		}
	}
	if runtime.GOOS == "windows" {
		return
	}
	must(t, os.Symlink("circle", filepath.Join(dir, "circle")))
	for _, pattern := range []string{"circle", "circl*"} {
		if got, _ := listed(t, Config{Base: dir}, []string{pattern}); !strings.Contains(got, "too many levels of symbolic links") {
			t.Errorf("%s: %s", pattern, got)
		}
	}
}
