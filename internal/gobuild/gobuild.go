// Package gobuild turns generated files into Go modules and modules into
// binaries. A module holds the generated package, the runtime that it links
// with import paths rewritten, and a main function; it needs the standard
// library alone.
package gobuild

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"sort"
	"strings"

	"github.com/llamac/llamac"
	"github.com/llamac/llamac/codegen"
)

// own is the import path of llamac's packages in their own source.
const own = "github.com/llamac/llamac/"

// Prefix is where the runtime's packages stand inside a module.
const Prefix = "internal/llamac"

// Module is a module on disk in the making: paths with slashes to contents.
type Module struct {
	Path  string // module path: "gopher"
	Files map[string][]byte
}

// New makes a module of a generated package named pkg. Its files must have
// been generated with Runtime(module path).
func New(modulePath, pkg string, files []codegen.File) (*Module, error) {
	m := &Module{Path: modulePath, Files: map[string][]byte{}}
	m.Files["go.mod"] = []byte("module " + modulePath + "\n\ngo 1.26\n")
	for _, f := range files {
		m.Files[path.Join("model", f.Name)] = f.Data
	}
	m.Files["main.go"] = []byte(fmt.Sprintf(`// Command %s trains the model of package model and writes text with it.
package main

import (
	%q
	model %q
)

func main() { app.Main(model.Info) }
`, pkg, Runtime(modulePath)+"/runtime/app", modulePath+"/model"))
	return m, m.addRuntime()
}

// Inside makes a package of generated files for a module that is there already:
// the runtime stands below it, where the rest of that module cannot come to
// lean on it. The files must have been generated with Runtime(import path).
func Inside(importPath string, files []codegen.File) (*Module, error) {
	m := &Module{Path: importPath, Files: map[string][]byte{}}
	for _, f := range files {
		m.Files[f.Name] = f.Data
	}
	return m, m.addRuntime()
}

// ImportPath is the path by which a folder is imported: that of the module
// around it and the way from there. It is empty where no go.mod is above.
func ImportPath(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for root := dir; ; root = filepath.Dir(root) {
		src, err := os.ReadFile(filepath.Join(root, "go.mod"))
		switch {
		case err == nil:
			rel, err := filepath.Rel(root, dir)
			if err != nil {
				return "", err
			}
			module := moduleLine.FindSubmatch(src)
			if module == nil {
				return "", fmt.Errorf("%s: has no module line", filepath.Join(root, "go.mod"))
			}
			return path.Join(string(module[1]), filepath.ToSlash(rel)), nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", err
		case root == filepath.Dir(root):
			return "", nil
		}
	}
}

// moduleLine is the line of go.mod that names the module.
var moduleLine = regexp.MustCompile(`(?m)^\s*module\s+["` + "`" + `]?([^\s"` + "`" + `]+)`)

// Runtime is the import path in front of /runtime/cpu and its neighbours
// inside a module.
func Runtime(modulePath string) string { return modulePath + "/" + Prefix }

// addRuntime copies the runtime's source, tests aside, with its imports
// pointed at their new place.
func (m *Module) addRuntime() error {
	return fs.WalkDir(llamac.Sources, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, "_test.go") {
			return err
		}
		src, err := llamac.Sources.ReadFile(name)
		if err != nil {
			return err
		}
		if strings.HasSuffix(name, ".go") {
			src = bytes.ReplaceAll(src, []byte(`"`+own), []byte(`"`+Runtime(m.Path)+"/"))
		}
		m.Files[path.Join(Prefix, name)] = src
		return nil
	})
}

// Hash identifies the module's contents.
func (m *Module) Hash() string {
	names := make([]string, 0, len(m.Files))
	for n := range m.Files {
		names = append(names, n)
	}
	sort.Strings(names)
	h := sha256.New()
	for _, n := range names {
		fmt.Fprintf(h, "%s %d\n", n, len(m.Files[n]))
		h.Write(m.Files[n])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Write puts the module into a folder. Files that are there already with the
// same contents are left alone, so that go build finds nothing changed.
func (m *Module) Write(dir string) error {
	for name, data := range m.Files {
		if err := WriteFile(filepath.Join(dir, filepath.FromSlash(name)), data); err != nil {
			return err
		}
	}
	return nil
}

// WriteFile writes a file whole or not at all, with its folders.
func WriteFile(name string, data []byte) error {
	if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, data) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if e := tmp.Chmod(0o644); err == nil {
		err = e
	}
	if e := tmp.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}

// CacheDir is llamac's folder in the user's cache. LLAMAC_CACHE overrides it.
func CacheDir() (string, error) {
	if d := os.Getenv("LLAMAC_CACHE"); d != "" {
		return d, nil
	}
	d, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder: %w (set LLAMAC_CACHE)", err)
	}
	return filepath.Join(d, "llamac"), nil
}

// Binary builds the module in the cache, or finds it there, and gives the
// binary's path.
func (m *Module) Binary(name string) (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "build", name+"-"+m.Hash()[:16])
	bin := filepath.Join(dir, "bin", name+exe())
	if _, err := os.Stat(bin); err == nil {
		return bin, nil
	}
	if err := m.Write(dir); err != nil {
		return "", err
	}
	return bin, Build(dir, bin)
}

// Build runs go build in a module's folder. The binary appears whole or not at
// all.
func Build(dir, bin string) error {
	goTool, err := exec.LookPath("go")
	if err != nil {
		return fmt.Errorf("building needs the Go toolchain: %w", err)
	}
	bin, err = filepath.Abs(bin)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(bin), 0o755); err != nil {
		return err
	}
	tmp := fmt.Sprintf("%s.tmp%d", bin, os.Getpid())
	defer os.Remove(tmp)
	c := exec.Command(goTool, "build", "-trimpath", "-o", tmp, ".")
	c.Dir = dir
	// The module stands by itself, whatever workspace the caller is in.
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=mod")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("go build in %s: %w\n%s", dir, err, out)
	}
	return os.Rename(tmp, bin)
}

func exe() string {
	if os.PathSeparator == '\\' {
		return ".exe"
	}
	return ""
}
