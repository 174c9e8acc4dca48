package llamac_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/llamac/llamac/internal/compile"
	"github.com/llamac/llamac/passes"
	"github.com/llamac/llamac/specs"
)

var update = flag.Bool("update", false, "write the quoted blocks of documents anew")

// TestQuotes keeps the blocks of ARCHITECTURE.md that quote the compiler what
// the compiler says. A block's first line tells what it quotes:
//
//	```ir after=PASS func=NAME match=REGEXP    lines of a function after a pass
//	```plan program=NAME match=REGEXP          lines of the finished plan
//	```jsonnet file=PATH match=REGEXP          lines of a file
//	```go file=PATH match=REGEXP
//
// match is a regular expression over lines; a long match selects whole
// passages as "FROM...TO". All compile specs/tiny_gqa.jsonnet.
func TestQuotes(t *testing.T) {
	s, err := specs.Load(filepath.Join("specs", "tiny_gqa.jsonnet"), specs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	after := map[string]string{}
	r, err := compile.Spec(s, compile.Options{Observe: func(mode string, r passes.Report) {
		if mode == "train" {
			after[r.Pass.Name] = r.Unit.Module.String()
		} else {
			after["infer."+r.Pass.Name] = r.Unit.Module.String()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	const name = "ARCHITECTURE.md"
	doc, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?ms)^```(ir|plan|jsonnet|go) ([a-z]+=[^\n]*)\n(.*?)^```$")
	count := 0
	got := block.ReplaceAllStringFunc(string(doc), func(b string) string {
		m := block.FindStringSubmatch(b)
		count++
		args := arguments(m[2])
		var text string
		switch m[1] {
		case "ir":
			module, ok := after[args["after"]]
			if !ok {
				t.Errorf("no pass %q", args["after"])
			}
			text = section(module, "func @"+args["func"]+" ")
		case "plan":
			text = section(r.Plan.String(), "program "+args["program"]+" ")
		default:
			src, err := os.ReadFile(filepath.FromSlash(args["file"]))
			if err != nil {
				t.Error(err)
			}
			text = string(src)
		}
		lines := matching(text, args["match"])
		if lines == "" {
			t.Errorf("nothing matches %q in %s", args["match"], m[2])
		}
		return fmt.Sprintf("```%s %s\n%s```", m[1], m[2], lines)
	})
	if count == 0 {
		t.Errorf("%s quotes nothing", name)
	}
	if got == string(doc) {
		return
	}
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s quotes what is no longer so: go test . -run TestQuotes -update", name)
}

// arguments splits "a=x b=y z": a value runs to the next name.
func arguments(s string) map[string]string {
	args := map[string]string{}
	names := regexp.MustCompile(`(?:^| )([a-z]+)=`)
	at := names.FindAllStringSubmatchIndex(s, -1)
	for i, m := range at {
		end := len(s)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		args[s[m[2]:m[3]]] = s[m[1]:end]
	}
	return args
}

// section is the part of a text from the line with a prefix to the closing
// brace.
func section(text, prefix string) string {
	i := strings.Index("\n"+text, "\n"+prefix)
	if i < 0 {
		return ""
	}
	rest := text[i:]
	if j := strings.Index(rest, "\n}\n"); j >= 0 {
		rest = rest[:j+3]
	}
	return rest
}

// matching keeps the lines that a pattern matches, or the passages from a line
// that FROM matches to one that TO matches.
func matching(text, pattern string) string {
	from, to, passage := strings.Cut(pattern, "...")
	first, last := regexp.MustCompile(from), regexp.MustCompile(to)
	inside := false
	var b strings.Builder
	for _, l := range strings.Split(text, "\n") {
		switch {
		case inside:
			b.WriteString(l + "\n")
			inside = !last.MatchString(l)
		case first.MatchString(l):
			b.WriteString(l + "\n")
			inside = passage
		}
	}
	return b.String()
}
