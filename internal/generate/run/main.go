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

func main() {
	root := ".."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	if err := run(root); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(root string) error {
	made := map[string]bool{}
	for _, p := range generate.Packages {
		files, err := p.Files(root)
		if err != nil {
			return err
		}
		for name, data := range files {
			made[filepath.FromSlash(name)] = true
			if err := gobuild.WriteFile(filepath.Join(root, "generated", name), data); err != nil {
				return err
			}
		}
	}
	dir := filepath.Join(root, "generated")
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
