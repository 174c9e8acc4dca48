// Command run writes generated/ anew; go generate calls it. It removes what no
// package makes any more.
package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/llamac/llamac/internal/generate"
	"github.com/llamac/llamac/internal/gobuild"
)

// main runs where go generate does, the folder of the file that holds the directive,
// generated/.
func main() {
	// The module's folder; another one is given where a test wants it.
	root := ".."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	if err := run(root); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run makes all packages, then removes what is left over.
func run(root string) error {
	made := map[string]bool{}
	for _, p := range generate.Packages {
		// In memory first: a package that does not compile leaves the folder as
		// it was.
		files, err := p.Files(root)
		if err != nil {
			return err
		}
		for name, data := range files {
			// Also files that did not change: they are not written again, and
			// must not be removed below.
			made[filepath.FromSlash(name)] = true
			if err := gobuild.WriteFile(filepath.Join(root, "generated", name), data); err != nil {
				return err
			}
		}
	}
	dir := filepath.Join(root, "generated")
	// A package that is renamed or no longer made must not stay behind and pass
	// its tests. Files of generated/ itself are written by hand, and Foreign's
	// by other programs.
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err == nil && path == filepath.Join(dir, generate.Foreign):
			return fs.SkipDir
		case err != nil || d.IsDir() || filepath.Dir(path) == dir:
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err == nil && !made[rel] {
			err = os.Remove(path)
		}
		return err
	})
}
