package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"

	"github.com/llamac/llamac/internal/gobuild"
	"github.com/llamac/llamac/runtime/console"
)

// ownCommand is the path of this command's package.
const ownCommand = "github.com/llamac/llamac/cmd/llamac"

// runByGo are the folders in which go run keeps what it has built: one for the
// call alone, or since Go 1.24 its cache, where a hash names each file's folder.
var runByGo = regexp.MustCompile(`/go-build[0-9]+/b[0-9]+/exe/[^/]+$|/[0-9a-f]{2}/[0-9a-f]{64}-d/[^/]+$`)

// self is how llamac is called again from the current folder, to be put in front
// of the arguments in a message.
//
// Whoever follows README types go run, and has no llamac that the shell finds:
// a hint that begins with llamac would not work there.
func self() string {
	file, err := os.Executable()
	if err != nil || !runByGo.MatchString(filepath.ToSlash(file)) {
		return console.Program()
	}
	return "go run " + console.Word(ownPackage())
}

// ownPackage is what go run takes for this command: its folder inside of
// llamac's module, the import path elsewhere.
func ownPackage() string {
	wd, err := os.Getwd()
	if err != nil {
		return ownCommand
	}
	// go run -C changes the folder as well, so that this one is where the next
	// call would stand.
	switch host, err := gobuild.Enclosing(wd); {
	case err == nil && host.Own():
		rel, err := filepath.Rel(wd, filepath.Join(host.Root, "cmd", "llamac"))
		if err != nil {
			return ownCommand
		}
		rel = filepath.ToSlash(rel)
		// Without the dots it would be a package of the standard library.
		if !strings.HasPrefix(rel, ".") {
			rel = "./" + rel
		}
		return rel
	// A module's own go.mod says which version it takes; elsewhere it is the
	// one that runs.
	case errors.Is(err, gobuild.ErrNoModule):
		if info, ok := debug.ReadBuildInfo(); ok && strings.HasPrefix(info.Main.Version, "v") {
			return ownCommand + "@" + info.Main.Version
		}
	}
	return ownCommand
}
