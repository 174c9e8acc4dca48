package llamac_test

import (
	"cmp"
	"fmt"
	"go/scanner"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxLines is the size of a file at which it should have become two.
const maxLines = 700

// source is a Go file that somebody wrote: lines that hold nothing but a
// comment, and lines with code.
type source struct {
	name           string
	comments, code int
}

func (s source) ratio() float64 { return float64(s.comments) / float64(max(1, s.comments+s.code)) }

// written are the kinds of files that people write; made are the folders in
// which programs write some, with a header that says so.
var (
	written         = []string{".go", ".s", ".js", ".css", ".html", ".jsonnet", ".libsonnet", ".md", ".sh", ".py"}
	made            = regexp.MustCompile(`^(generated/.+|runtime/cpu/\w+_amd64\.(go|s))$`)
	generatedHeader = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)
)

// house reads the files that people wrote, testdata aside, and gives each file's
// number of lines, and of the Go files that are no tests what they consist of.
func house(t *testing.T) (lines map[string]int, list []source) {
	t.Helper()
	lines = map[string]int{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if d.IsDir() {
			if name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "runs") {
				return fs.SkipDir
			}
			return nil
		}
		if !slices.Contains(written, path.Ext(name)) {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil || made.MatchString(name) && generatedHeader.Match(text) {
			return err
		}
		lines[name] = strings.Count(string(text), "\n")
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			list = append(list, count(name, text))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) < 300 || len(list) < 200 {
		t.Fatalf("found %d files, %d of them Go", len(lines), len(list))
	}
	return lines, list
}

// count tells comments from code as Go's scanner does.
func count(name string, text []byte) source {
	files := token.NewFileSet()
	file := files.AddFile(name, -1, len(text))
	var s scanner.Scanner
	s.Init(file, text, nil, scanner.ScanComments)
	code, comment := map[int]bool{}, map[int]bool{}
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			break
		}
		lines := code
		if tok == token.COMMENT {
			lines = comment
		} else if tok == token.SEMICOLON && lit == "\n" {
			continue // put in by the scanner
		}
		for i := range 1 + strings.Count(lit, "\n") {
			lines[file.Line(pos)+i] = true
		}
	}
	for line := range code {
		delete(comment, line)
	}
	return source{name, len(comment), len(code)}
}

// TestFileSizes holds every file that people wrote to maxLines.
func TestFileSizes(t *testing.T) {
	lines, _ := house(t)
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		if lines[name] > maxLines {
			t.Errorf("%s has %d lines, at most %d: it wants to be two", name, lines[name], maxLines)
		}
	}
}

// wanted is the least share of comments in a package's code, tests aside: lines
// that are comment over lines that are not blank. The aim is 0.2 to 0.3 in each
// file; a package has its size, so the bound is on that.
const wanted = 0.2

// slack is how far a package may fall below it once it got there: one function
// more must not fail the test, a file without a comment should.
const slack = 0.01

// notYet lists the packages below it with a share that they must not fall
// under: whoever raises one to the bound takes it off the list.
var notYet = map[string]float64{}

// TestComments holds packages to their share of comments, and with -v shows the
// files that are far from the aim.
func TestComments(t *testing.T) {
	_, list := house(t)
	packages := map[string]source{}
	for _, s := range list {
		p := packages[path.Dir(s.name)]
		packages[path.Dir(s.name)] = source{path.Dir(s.name), p.comments + s.comments, p.code + s.code}
	}
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		ratio := packages[dir].ratio()
		floor, listed := notYet[dir]
		switch {
		case listed && ratio >= wanted:
			t.Errorf("%s has %.3f comments now: take it off the list of packages with too few", dir, ratio)
		case listed && ratio < floor:
			t.Errorf("%s has %.3f comments, had %.2f", dir, ratio, floor)
		case !listed && ratio < wanted-slack:
			t.Errorf("%s has %.3f comments, want %g", dir, ratio, wanted)
		}
	}
	for dir := range notYet {
		if packages[dir].name == "" {
			t.Errorf("%s is listed and not there", dir)
		}
	}
	var far strings.Builder
	outside := 0
	slices.SortFunc(list, func(a, b source) int { return cmp.Compare(a.ratio(), b.ratio()) })
	for _, s := range list {
		if r := s.ratio(); (r < 0.1 || r > 0.35) && s.code > 10 {
			fmt.Fprintf(&far, "%7.3f %5d of %5d  %s\n", r, s.comments, s.comments+s.code, s.name)
			outside++
		}
	}
	t.Logf("%d of %d files lie outside of 0.10 to 0.35:\n%s", outside, len(list), far.String())
}

// TestCount holds the counting to a file whose lines are known.
func TestCount(t *testing.T) {
	text := strings.Join([]string{
		"// one", "package p // code", "", "/* two", "three */", `var x = "// code" /* code`, `code */ + "y"`, "", "// four",
		"var y = `", "// code", "", "` // code", "",
	}, "\n")
	if s := count("x.go", []byte(text)); s.comments != 4 || s.code != 7 {
		t.Errorf("%d lines of comment, %d of code; want 4 and 7", s.comments, s.code)
	}
}
