package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// inFolder is a folder with something to complete.
func inFolder(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, name := range []string{"mine.jsonnet", "case.txtar", "notes.txt", ".hidden.jsonnet", "specs/sub.jsonnet", "data/x.txt", "plan/x"} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestComplete(t *testing.T) {
	parser, err := kong.New(&cli{}, kong.Name("llamac"), kong.Vars{"version": ""})
	if err != nil {
		t.Fatal(err)
	}
	inFolder(t)
	for _, c := range []struct{ words, want string }{
		{"pl", "plan"},
		{"t", "tokenizer train"},
		{"help pl", "plan"},
		{"help data ", "prepare sample stats"},
		{"data ", "prepare sample stats"},
		{"data pre", "prepare"},
		{"plan go", "gopher"},
		{"plan m", "mine.jsonnet"},
		{"plan specs/", "specs/sub.jsonnet"},
		{"plan spe", "specs/"},
		{"plan .h", ".hidden.jsonnet"},
		{"bisect c", "case.txtar"},
		{"train gopher --st", "--steps"},
		{"train --st", "--steps"},
		{"train gopher -st", "-steps"},
		{"train gopher ", ""}, // nothing follows
		{"train --steps 5 go", "gopher"},
		{"train --steps=5 go", "gopher"},
		{"train --resume go", "gopher"},
		{"train -steps 5 go", "gopher"},
		{"train gopher --run d", "data/"},
		{"build gopher -o n", "notes.txt"},
		{"inspect 7b --mode t", "train"},
		{"inspect 7b --mode=t", "--mode=train"},
		{"compile 7b --disable-pass fuse_q", "fuse_qkv"},
		{"compile 7b --stop-after=fuse_ro", "--stop-after=fuse_rope"},
		{"compile 7b --set optim", "optim.lr="},
		{"init sto", "stories15m stories260k"},
		{"cache c", "clean"},
		{"cache clean --d", "--data --dry-run"},
		{"cache --j", "--json"},
		{"completion z", "zsh"},
		{"--vers", "--version"},
		{"plan --vers", "--version"},
		{"unheard ", ""},
		{"plan --unheard x", ""},
		{"plan --unheard=x", ""},
	} {
		if got := strings.Join(complete(parser.Model.Node, strings.Split(c.words, " ")), " "); got != c.want {
			t.Errorf("%q: %q, want %q", c.words, got, c.want)
		}
	}
	// Whatever the words, there is an answer.
	for _, words := range [][]string{{""}, {"-"}, {"--"}, {"="}, {"--="}, {"plan", "--set", ""}, {"help", ""}, {"data", "x", "y", ""}, {"tokenizer", "encode", "--model", "~/"}} {
		complete(parser.Model.Node, words)
	}
}

// Every flag that names a pass, a file or one of a few words is completed with
// what it takes; so is every SPEC.
func TestCompleteEverySpec(t *testing.T) {
	parser, err := kong.New(&cli{}, kong.Name("llamac"), kong.Vars{"version": ""})
	if err != nil {
		t.Fatal(err)
	}
	specs := 0
	var walk func(n *kong.Node, path []string)
	walk = func(n *kong.Node, path []string) {
		for i, p := range n.Positional {
			if i == 0 && p.Name == "spec" {
				specs++
				if got := complete(parser.Model.Node, append(slices.Clone(path), "65")); !slices.Equal(got, []string{"65b"}) {
					t.Errorf("%v 65: %q", path, got)
				}
			}
		}
		for _, c := range n.Children {
			walk(c, append(slices.Clone(path), c.Name))
		}
	}
	walk(parser.Model.Node, nil)
	if specs < 8 {
		t.Errorf("%d commands take a spec", specs)
	}
}

// bash is asked as a press of the key asks it.
func TestCompletionBash(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("bash not found")
	}
	inFolder(t)
	for _, c := range []struct{ words, want string }{
		{"'pl'", "plan"},
		{"'plan' 'gop'", "gopher"},
		{"'plan' 'mi'", "mine.jsonnet"},
		{"'train' 'gopher' '--resu'", "--resume"},
		{"'inspect' '7b' '--mode' '=' 'inf'", "infer"},
		{"'inspect' '7b' '--mode' '='", "infer train"},
		{"'data' ''", "prepare sample stats"},
	} {
		script := "source <(llamac completion bash)\nCOMP_WORDS=(llamac " + c.words + ")\nCOMP_CWORD=$((${#COMP_WORDS[@]}-1))\n_llamac\necho \"${COMPREPLY[*]}\"\ncomplete -p llamac"
		out, err := exec.Command("bash", "-uc", script).CombinedOutput()
		if got, want := string(out), c.want+"\ncomplete -F _llamac llamac\n"; err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", c.words, got, err, want)
		}
	}
}

// The other shells at least read their scripts.
func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		out, err := exec.Command("llamac", "completion", shell).Output()
		if err != nil || len(out) < 100 || string(out) != completionScripts[shell] {
			t.Errorf("%s: %v\n%s", shell, err, out)
		}
		if _, err := exec.LookPath(shell); err != nil {
			continue
		}
		file := filepath.Join(t.TempDir(), "completion")
		if err := os.WriteFile(file, out, 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(shell, "-n", file).CombinedOutput(); err != nil {
			t.Errorf("%s -n: %v\n%s", shell, err, out)
		}
	}
}
