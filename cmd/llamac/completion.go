package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/llamac/llamac/passes"
	"github.com/llamac/llamac/specs"
)

// completionCmd prints a script for a shell. The scripts know nothing of the
// commands: they ask llamac with each press of the key, by the words so far, so
// that they stay right when llamac is a new one.
type completionCmd struct {
	Shell string   `arg:"" enum:"bash,zsh,fish,words" help:"bash, zsh or fish: load it with source <(llamac completion bash), the same for zsh, or llamac completion fish | source."`
	Words []string `arg:"" optional:"" passthrough:"" hidden:"" help:"With words in the place of a shell: the words of a call, the last one unfinished."`
}

func (c *completionCmd) Run(k *kong.Context) error {
	if c.Shell != "words" {
		fmt.Fprint(stdout, completionScripts[c.Shell])
		return nil
	}
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	if len(words) == 0 {
		words = []string{""}
	}
	for _, w := range complete(k.Model.Node, words) {
		fmt.Fprintln(stdout, w)
	}
	return nil
}

// completionScripts put what llamac answers in front of the shell. A folder and
// a flag that waits for its value are not done, so that no blank follows.
var completionScripts = map[string]string{
	"bash": `# Completion of llamac for bash: source <(llamac completion bash)
_llamac() {
  local words=("${COMP_WORDS[@]:1:COMP_CWORD}") IFS=$'\n'
  # bash takes --flag=value for three words.
  local last=${#words[@]}
  if (( last >= 2 )) && [[ ${words[last-1]} == '=' ]]; then
    words=("${words[@]:0:last-1}" '')
  elif (( last >= 3 )) && [[ ${words[last-2]} == '=' ]]; then
    words=("${words[@]:0:last-2}" "${words[last-1]}")
  fi
  COMPREPLY=($("${COMP_WORDS[0]}" completion words -- "${words[@]}" 2>/dev/null))
  # Only paths are quoted as such: a command may have the name of a folder.
  [[ ${COMPREPLY[*]} == */* ]] && compopt -o filenames 2>/dev/null
  if (( ${#COMPREPLY[@]} == 1 )) && [[ ${COMPREPLY[0]} == */ || ${COMPREPLY[0]} == *= ]]; then
    compopt -o nospace 2>/dev/null
  fi
  return 0
}
complete -F _llamac llamac
`,
	"zsh": `#compdef llamac
# Completion of llamac for zsh: source <(llamac completion zsh)
_llamac() {
  local -a answers folders
  answers=("${(@f)$("${words[1]}" completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  folders=("${(@M)answers:#*/}")
  answers=("${(@)answers:#*/}")
  answers=("${(@)answers:#}")
  (( ${#answers} )) && compadd -- "${answers[@]}"
  (( ${#folders} )) && compadd -S '' -- "${folders[@]}"
}
compdef _llamac llamac
`,
	"fish": `# Completion of llamac for fish: llamac completion fish | source
function __llamac_words
  set -l words (commandline -opc) (commandline -ct)
  $words[1] completion words -- $words[2..-1] 2>/dev/null
end
complete -c llamac -f -a '(__llamac_words)'
`,
}

// complete lists what the last of some words may become, in alphabetical order.
func complete(node *kong.Node, words []string) []string {
	last := words[len(words)-1]
	words = words[:len(words)-1]
	if len(words) > 0 && words[0] == "help" && node.Parent == nil {
		words = words[1:] // which takes the commands themselves
	}
	// Down to the command that the words name, past its flags.
	args := 0
	var waiting *kong.Flag // a flag whose value comes next
	for _, w := range words {
		switch {
		case waiting != nil:
			waiting = nil
		case strings.HasPrefix(w, "-"):
			name, _, given := strings.Cut(strings.TrimLeft(w, "-"), "=")
			if f := flagOf(node, name); f != nil && !given && !f.IsBool() {
				waiting = f
			}
		default:
			if c := childOf(node, w); c != nil && args == 0 {
				node = c
			} else {
				args++
			}
		}
	}
	var list []string
	switch name, value, given := strings.Cut(last, "="); {
	case waiting != nil:
		list = values(waiting.Value, last)
	case given && strings.HasPrefix(name, "-"):
		f := flagOf(node, strings.TrimLeft(name, "-"))
		if f == nil {
			return nil
		}
		for _, v := range values(f.Value, value) {
			list = append(list, name+"="+v)
		}
	case strings.HasPrefix(last, "-"):
		list = flags(node, last)
	case len(node.Children) > 0 && args == 0 && !isDefault(node, last):
		for _, c := range node.Children {
			if !c.Hidden {
				list = append(list, c.Name)
			}
		}
	case args < len(node.Positional):
		list = values(node.Positional[args], last)
	}
	list = slices.DeleteFunc(list, func(s string) bool { return !strings.HasPrefix(s, last) })
	slices.Sort(list)
	return slices.Compact(list)
}

// isDefault tells whether a word cannot be a command below node but belongs to
// one that need not be named.
func isDefault(node *kong.Node, word string) bool {
	return node.DefaultCmd != nil && strings.HasPrefix(word, "-")
}

func childOf(node *kong.Node, name string) *kong.Node {
	for _, c := range node.Children {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// flagOf finds a flag of a command, or of what it is part of.
func flagOf(node *kong.Node, name string) *kong.Flag {
	for n := node; n != nil; n = n.Parent {
		for _, f := range n.Flags {
			if f.Name == name || f.Short != 0 && string(f.Short) == name {
				return f
			}
		}
	}
	if node.DefaultCmd != nil && node.DefaultCmd != node {
		return flagOf(node.DefaultCmd, name)
	}
	return nil
}

// flags lists the flags of a command with as many dashes as the word has, which
// may be one.
func flags(node *kong.Node, word string) (list []string) {
	dashes := "--"
	if len(word) > 1 && word[1] != '-' {
		dashes = "-"
	}
	nodes := []*kong.Node{node}
	for n := node.Parent; n != nil; n = n.Parent {
		nodes = append(nodes, n)
	}
	if node.DefaultCmd != nil {
		nodes = append(nodes, node.DefaultCmd)
	}
	for _, n := range nodes {
		for _, f := range n.Flags {
			if f.Hidden {
				continue
			}
			list = append(list, dashes+f.Name)
			if f.Short != 0 {
				list = append(list, "-"+string(f.Short))
			}
		}
	}
	return list
}

// values lists what a flag or an argument may be: the names that it takes, and
// files where it takes files.
func values(v *kong.Value, word string) (list []string) {
	for _, e := range v.EnumSlice() {
		if e != "" && e != "words" {
			list = append(list, e)
		}
	}
	switch {
	case len(list) > 0:
		return list
	case v.Name == "spec", v.Name == "file" && v.Flag == nil:
		return append(files(word, ".jsonnet", ".txtar"), specs.ShippedNames()...)
	case v.Name == "name" && v.Flag == nil:
		return specs.ShippedNames()
	case strings.HasSuffix(v.Name, "-pass"), v.Name == "stop-after", v.Name == "dump-after":
		return passes.Names()
	case v.Name == "set":
		return sets()
	// A run's folder is passed on as it was typed, so it is no path of kong's.
	case v.Tag.Type == "path", v.Name == "run":
		return files(word)
	}
	return nil
}

// sets are the beginnings of overrides that are common.
func sets() []string {
	return []string{"checkpoint.policy=", "checkpoint.budget=", "model.context=", "model.dim=", "model.n_layers=", "model.vocab=", "optim.lr=", "schedule.warmup=",
		"tokenizer.kind=", "tokenizer.path=", "train.accum=", "train.micro_batch=", "train.save_every=", "train.steps="}
}

// files lists those that a word may become, with one of the endings if there are
// any, and folders with a slash behind. Hidden ones must be asked for.
func files(word string, endings ...string) (list []string) {
	dir, base := filepath.Split(word)
	at := dir
	if at == "" {
		at = "."
	} else if home, err := os.UserHomeDir(); err == nil && strings.HasPrefix(at, "~/") {
		at = filepath.Join(home, at[2:])
	}
	entries, err := os.ReadDir(at)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") && !strings.HasPrefix(base, ".") {
			continue
		}
		// A link may lead to a folder.
		if info, err := os.Stat(filepath.Join(at, name)); err == nil && info.IsDir() {
			list = append(list, dir+name+"/")
		} else if len(endings) == 0 || slices.Contains(endings, filepath.Ext(name)) {
			list = append(list, dir+name)
		}
	}
	return list
}
