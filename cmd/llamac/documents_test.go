package main

import (
	"flag"
	"go/build/constraint"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The documents are held to what they say: every command line of llamac in them
// is run as it stands, in a folder that looks like the repository's root but
// holds less to learn, and every command and flag that they mention is looked
// up. Calls of go take too long, and are looked up as well: that the packages,
// tests and flags are there. Other programs are run elsewhere or not at all, and
// listed with the reason.

// documents are the files with commands for users, from the repository's root.
var documents = []string{"README.md", "ARCHITECTURE.md", "RATIONALE.md", "docs/*.md", "examples/main.go"}

// elsewhere are the command lines that another test runs, or none can, and why.
var elsewhere = map[string]string{
	"go test ./...":     "runs this test",
	"go generate ./...": "examples: internal/gobuild's TestExample runs it",
	"go run .":          "examples: internal/gobuild's TestExample runs it",
	"go run . info":     "examples: internal/gobuild's TestExample runs it",
	"go run ./internal/budgets -rounds 7 internal/budgets/m15.jsonnet": "measures for minutes",
	"python3 internal/budgets/pytorch.py 7":                            "needs PyTorch 2",
}

// replaced stands for what a reader fills in.
var replaced = strings.NewReplacer(
	"go run ./cmd/llamac ", "llamac ", // this binary: to build another takes longer than all commands
	"SPEC", "local.jsonnet",
	"FILE.html", "page.html", "FILE.svg", "curve.svg", "FILE.txtar", "case.txtar",
	"--dump-dir DIR", "--dump-dir dumps",
	"--dump-dir D ", "--dump-dir dumps ",
	"-o DIR", "-o out",
	"-o D ", "-o out ",
	"--disable-pass PASS", "--disable-pass fuse_qkv",
)

// smallGopher makes of the shipped gopher, whose shapes it keeps, a run of
// seconds: its commands work on it as they are written.
const smallGopher = `(import 'whole/gopher.jsonnet') {
  model+: { vocab: 320, context: 64 },
  train+: { micro_batch: 1, steps: 2, save_every: 2, eval: { every: 2, batches: 1 }, sample+: { every: 2, count: 1, tokens: 8 } },
  schedule+: { warmup: 1 },
  data+: { sources: [{ name: 'text', share: 1, kind: 'files', paths: ['../corpus/*.txt'] }], validation: 0.2 },
}
`

// A saying is a command that a document has.
type saying struct {
	doc, text string
	mention   bool // in running text, not on a line of its own
}

var (
	shBlock   = regexp.MustCompile("(?ms)^```(?:sh|console|bash)\n(.*?)^```$")
	anyBlock  = regexp.MustCompile("(?ms)^```.*?^```$")
	span      = regexp.MustCompile("`([^`]+)`")
	command   = regexp.MustCompile(`^(?:[A-Z_]+=\S+ )*(?:go (?:run|test|build|install|generate|vet)|llamac|git|apt-get|pip|python3?)(?: |$)`)
	generated = regexp.MustCompile(`(?m)^//go:generate (llamac .*)$`)
)

// sayings finds the commands of a document. Lines of commands stand in blocks
// of language sh: elsewhere this test would not see them, so it complains.
func sayings(t *testing.T, doc, text string) (list []saying) {
	add := func(s string, mention bool) {
		list = append(list, saying{doc, strings.TrimSpace(s), mention})
	}
	for _, m := range generated.FindAllStringSubmatch(text, -1) {
		add(m[1], false)
	}
	if strings.HasSuffix(doc, ".go") {
		for line := range strings.Lines(text) {
			if s, ok := strings.CutPrefix(line, "//\t"); ok && command.MatchString(s) {
				s, _, _ = strings.Cut(s, "   ")
				add(s, false)
			}
		}
		return list
	}
	for _, m := range shBlock.FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(m[1]) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				add(line, false)
			}
		}
	}
	text = anyBlock.ReplaceAllString(text, "")
	for line := range strings.Lines(text) {
		if s, ok := strings.CutPrefix(line, "    "); ok && command.MatchString(strings.TrimSpace(s)) {
			t.Errorf("%s: %q stands in no block of language sh", doc, strings.TrimSpace(s))
		}
	}
	for _, m := range span.FindAllStringSubmatch(strings.ReplaceAll(text, "\n", " "), -1) {
		if command.MatchString(m[1]) || strings.HasPrefix(m[1], "--") {
			add(m[1], true)
		}
	}
	return list
}

// TestDocuments runs or looks up every command of the documents and of
// llamac --help.
func TestDocuments(t *testing.T) {
	needGo(t)
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("sh not found")
	}
	root := filepath.Dir(specDir(t))
	help := newHelp(t)
	found := map[string]bool{} // commands run elsewhere
	for _, pattern := range documents {
		docs, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil || len(docs) == 0 {
			t.Fatalf("no document %s: %v", pattern, err)
		}
		for _, name := range docs {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			doc, _ := filepath.Rel(root, name)
			list := sayings(t, filepath.ToSlash(doc), string(text))
			if len(list) > 0 {
				t.Run(doc, func(t *testing.T) { follow(t, root, list, help, found) })
			}
		}
	}
	t.Run("help", func(t *testing.T) {
		var list []saying
		for line := range strings.Lines(help.of(t, "")) {
			if s := strings.TrimSpace(line); strings.HasPrefix(line, "  ") && strings.HasPrefix(s, "llamac ") {
				list = append(list, saying{"llamac --help", s, false})
			}
		}
		if len(list) == 0 {
			t.Error("llamac --help shows no example")
		}
		follow(t, root, list, help, found)
	})
	filtered := strings.Contains(flag.Lookup("test.run").Value.String(), "/")
	for cmd := range elsewhere {
		if !found[cmd] && !filtered {
			t.Errorf("no document has %q any more", cmd)
		}
	}
}

// follow does what a document says, from its first line to its last.
func follow(t *testing.T, root string, list []saying, help *helpTexts, found map[string]bool) {
	var dir string // made when a command needs it
	for _, s := range list {
		text := replaced.Replace(s.text + " ")
		words := strings.Fields(text)
		whole := strings.Contains(text, ".jsonnet") || len(words) > 1 && words[1] == "doctor"
		switch {
		case elsewhere[s.text] != "":
			found[s.text] = true
		case strings.HasPrefix(text, "--"):
			help.hasFlag(t, s)
		case s.mention && len(words) == 2 && (words[0] == "go" || words[0] == "git"):
			// "go generate", "git checkout", the tool and not a call of it
		case words[0] == "llamac" && s.mention && !whole:
			help.has(t, s)
		case words[0] == "llamac":
			if dir == "" || s.mention { // what is mentioned is no next step
				dir = playground(t, root)
			}
			c := exec.Command("sh", "-c", text)
			c.Dir = dir
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("%s says\n\t%s\nwhich gives %v:\n%s", s.doc, s.text, err, out)
			}
		default:
			if err := goCommand(root, s.text); err != "" {
				t.Errorf("%s says\n\t%s\nbut %s", s.doc, s.text, err)
			}
		}
	}
}

// playground is a folder in which the documents' commands work: the shipped
// specs, gopher among them but small, the spec of README as specs/my.jsonnet,
// and text to learn.
func playground(t *testing.T, root string) string {
	t.Helper()
	dir := t.TempDir()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	specs := filepath.Join(dir, "specs")
	check(os.CopyFS(specs, os.DirFS(filepath.Join(root, "specs"))))
	check(os.MkdirAll(filepath.Join(specs, "whole"), 0o755))
	check(os.Rename(filepath.Join(specs, "gopher.jsonnet"), filepath.Join(specs, "whole", "gopher.jsonnet")))
	check(os.WriteFile(filepath.Join(specs, "gopher.jsonnet"), []byte(smallGopher), 0o644))
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	check(err)
	own := regexp.MustCompile("(?ms)^```jsonnet\n(.*?)^```$").FindSubmatch(readme)
	if own == nil {
		t.Fatal("README.md shows no spec")
	}
	check(os.WriteFile(filepath.Join(specs, "my.jsonnet"), own[1], 0o644))
	check(os.WriteFile(filepath.Join(dir, "my.jsonnet"), own[1], 0o644))
	// The name of a shipped spec means this file.
	check(os.WriteFile(filepath.Join(dir, "gopher.jsonnet"),
		[]byte("(import 'specs/gopher.jsonnet') { data+: { sources: [super.sources[0] { paths: ['corpus/*.txt'] }] } }\n"), 0o644))
	failed, err := os.ReadFile(filepath.Join(root, "internal", "fuzz", "testdata", "number_with_axes.txtar")) // and mended
	check(err)
	check(os.WriteFile(filepath.Join(dir, "case.txtar"), failed, 0o644))
	check(os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module github.com/llamac/llamac\n"), 0o644))
	check(writePocket(filepath.Join(root, "specs"), dir))
	return dir
}

// helpTexts are what llamac says about its commands, by their names.
type helpTexts struct {
	texts map[string]string
	names []string // of the commands
}

func newHelp(t *testing.T) *helpTexts {
	h := &helpTexts{texts: map[string]string{}}
	for _, m := range regexp.MustCompile(`(?m)^  ([a-z][a-z ]*?)(?: <spec>)?  +[A-Z]`).FindAllStringSubmatch(h.of(t, ""), -1) {
		h.names = append(h.names, m[1])
	}
	if len(h.names) < 8 {
		t.Fatalf("llamac --help lists %q", h.names)
	}
	return h
}

// of is the help of a command, or of llamac if name is "".
func (h *helpTexts) of(t *testing.T, name string) string {
	t.Helper()
	if _, ok := h.texts[name]; !ok {
		out, err := exec.Command("llamac", append(strings.Fields(name), "--help")...).Output()
		if err != nil {
			t.Fatalf("llamac %s --help: %v", name, err)
		}
		h.texts[name] = string(out)
	}
	return h.texts[name]
}

// has checks the mention of a command: that there is one, with these flags.
func (h *helpTexts) has(t *testing.T, s saying) {
	t.Helper()
	words := strings.Fields(s.text)[1:]
	var name []string
	for len(words) > 0 && !strings.HasPrefix(words[0], "-") {
		name, words = append(name, words[0]), words[1:]
	}
	text := h.of(t, strings.Join(name, " "))
	for _, w := range words {
		if flag, _, _ := strings.Cut(w, "="); strings.HasPrefix(w, "-") && !flagIn(text, flag) {
			t.Errorf("%s mentions %q: there is no %s", s.doc, s.text, flag)
		}
	}
}

// hasFlag checks the mention of a flag alone: some command has it.
func (h *helpTexts) hasFlag(t *testing.T, s saying) {
	t.Helper()
	flag, _, _ := strings.Cut(strings.Fields(s.text)[0], "=")
	if !slices.ContainsFunc(h.names, func(name string) bool { return flagIn(h.of(t, name), flag) }) {
		t.Errorf("%s mentions %s, which no command has", s.doc, flag)
	}
}

func flagIn(help, flag string) bool {
	return regexp.MustCompile(`(?m)(^|[ ,])` + regexp.QuoteMeta(flag) + `([ =,]|$)`).MatchString(help)
}

// goCommand says what is wrong with a call of go test, run, install or generate:
// too slow to be run, but the packages, functions and flags that it names must
// be there. What calls another program is wrong, since nothing here checks it.
func goCommand(root, text string) string {
	var dirs, flags []string
	patterns := map[string]string{}
	tags := ""
	words := strings.Fields(strings.ReplaceAll(text, "'", ""))
	for len(words) > 0 && strings.Contains(words[0], "=") {
		words = words[1:] // variables of the environment
	}
	if len(words) < 2 || words[0] != "go" && words[0] != "llamac" {
		return "no test runs it or looks it up: add it to those that are listed with a reason"
	}
	kinds := map[string]string{"-run": "Test", "-bench": "Benchmark", "-fuzz": "Fuzz"}
	for i := 2; i < len(words); i++ {
		w := words[i]
		switch {
		case kinds[w] != "" && i+1 < len(words):
			if i++; words[i] != "-" {
				patterns[kinds[w]] = words[i]
			}
		case w == "-tags" && i+1 < len(words):
			i++
			tags = words[i]
		case w == "-cpu" || w == "-timeout" || w == "-count":
			i++
		case strings.HasPrefix(w, "."):
			dirs = append(dirs, filepath.Join(root, filepath.FromSlash(strings.TrimSuffix(w, "/..."))))
		case w != "-v" && strings.HasPrefix(w, "-"):
			flags = append(flags, strings.TrimPrefix(w, "-"))
		}
	}
	var all strings.Builder
	for _, dir := range dirs {
		files, _ := filepath.Glob(filepath.Join(dir, "*.go"))
		if len(files) == 0 {
			return "there is no package " + dir
		}
		for _, name := range files {
			src, err := os.ReadFile(name)
			if err == nil && built(string(src), tags) {
				all.Write(src)
			}
		}
	}
	src := all.String()
	for kind, pattern := range patterns {
		want, err := regexp.Compile(pattern)
		if err != nil {
			return err.Error()
		}
		names := regexp.MustCompile(`(?m)^func (`+kind+`\w*)\(`).FindAllStringSubmatch(src, -1)
		if !slices.ContainsFunc(names, func(m []string) bool { return want.MatchString(m[1]) }) {
			return "no " + kind + " is called " + pattern
		}
	}
	for _, f := range flags {
		if !strings.Contains(src, `"`+f+`"`) {
			return "there is no flag -" + f
		}
	}
	if words[0] == "go" && (words[1] == "run" || words[1] == "install") && !strings.Contains(src, "\nfunc main() {") {
		return "there is no main function"
	}
	return ""
}

// built reports whether a file is compiled with the given tag.
func built(src, tag string) bool {
	for line := range strings.Lines(src) {
		if expr, err := constraint.Parse(strings.TrimSpace(line)); err == nil {
			return expr.Eval(func(t string) bool { return t == tag || t == "linux" || t == "unix" || t == "amd64" })
		}
		if strings.HasPrefix(line, "package ") {
			break
		}
	}
	return true
}

// TestSayings holds the reading of documents to what stands in one.
func TestSayings(t *testing.T) {
	doc := "Type `llamac plan\nSPEC` or `--json`, not `go_source`.\n\n```sh\n# first\nllamac doctor   # now\n```\n\n" +
		"```go\n//go:generate llamac compile a.jsonnet -o b\n```\n"
	var got []string
	for _, s := range sayings(t, "x.md", doc) {
		got = append(got, s.text)
	}
	want := []string{"llamac compile a.jsonnet -o b", "llamac doctor   # now", "llamac plan SPEC", "--json"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	root := filepath.Dir(specDir(t))
	for text, ok := range map[string]bool{
		"go test ./data":                                true,
		"go test ./date":                                false,
		"go test -run - -bench Sequence ./data":         true,
		"go test -run Sequins ./data":                   false,
		"go test -fuzz FuzzHeader ./data":               true,
		"A=b go test -tags slow -run Gophers ./data":    false,
		"go test . -run TestQuotes -update":             true,
		"go test . -run TestQuotes -upgrade":            false,
		"go test ./data/prepare -run GoDist":            false, // built with a tag
		"go test -tags slow -run GoDist ./data/prepare": true,
		"go run ./internal/scango":                      true,
		"go run ./internal/scan":                        false,
		"pip install torch":                             false, // nothing checks it
		"A=b git":                                       false,
		"apt-get install golang":                        false,
		"go":                                            false,
		"go test -tags":                                 false,
	} {
		if err := goCommand(root, text); (err == "") != ok {
			t.Errorf("%s: %q", text, err)
		}
	}
}
