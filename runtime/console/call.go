// Package console is what a command knows of the console that it was called
// from: how it was called, how the shell there quotes words, and whether what
// was printed has arrived.
package console

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Word quotes what a shell would take apart, so that a command in a message can
// be copied and typed.
func Word(s string) string { return word(s, runtime.GOOS == "windows") }

func word(s string, windows bool) string {
	// Letters that no shell gives a meaning to: all others are quoted, though
	// some need not be.
	plain := "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+./=,:@%"
	if windows {
		plain = strings.TrimSuffix(plain, "%") + `\`
	}
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	if windows {
		// cmd and PowerShell know these quotes; programs take \" for one inside.
		return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"`
	}
	// Quotes of a POSIX shell, in which only the quote itself is special.
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Line joins words to a command line.
func Line(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = Word(w)
	}
	return strings.Join(quoted, " ")
}

// Program is how the running program is called from the current folder: by its
// name where the shell finds it, else by the path that it was called with.
func Program() string {
	if len(os.Args) == 0 || os.Args[0] == "" {
		self, _ := os.Executable()
		return Word(self)
	}
	return Word(program(os.Args[0], os.Executable, exec.LookPath))
}

// program takes parts of the system, which tests replace.
func program(arg string, executable func() (string, error), look func(string) (string, error)) string {
	self, err := executable()
	if err != nil {
		return arg
	}
	name := filepath.Base(arg)
	// The shell may find another program of this name.
	if at, err := look(name); err == nil && same(at, self) {
		return name
	}
	// A path works as it stands; a name alone that the shell does not find was
	// made up by whoever started the program.
	if filepath.Base(arg) != arg {
		return arg
	}
	return self
}

// same tells whether two paths lead to one file.
func same(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}
