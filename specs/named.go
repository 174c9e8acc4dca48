package specs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/llamac/llamac/internal/diag"
)

// ShippedPrefix begins the path of a spec inside the program, as in
// "llamac:gopher.jsonnet". Load takes such a path, and positions show it.
const ShippedPrefix = "llamac:"

const ending = ".jsonnet"

// ShippedNames are the names by which Find knows the specs inside the program:
// "gopher" for gopher.jsonnet.
func ShippedNames() []string {
	var names []string
	for _, file := range Shipped() {
		names = append(names, strings.TrimSuffix(file, ending))
	}
	return names
}

// Find gives the path that Load takes for what a user typed: a file that is
// there, with or without its ending, or else the name of a shipped spec. The
// error, a diag.List, names those that may have been meant.
//
// A folder or a program, such as the binary that was built of the spec, can be
// no spec and so does not hide one. A path that leads nowhere never stands for a
// shipped spec of the same base name: who typed it has another file in mind.
func Find(arg string) (path string, err error) {
	name := strings.TrimSuffix(arg, ending)
	whole := name != arg
	switch {
	case isText(arg) || strings.HasPrefix(arg, ShippedPrefix):
		return arg, nil
	case !whole && isText(arg+ending):
		return arg + ending, nil
	case slices.Contains(ShippedNames(), name):
		return ShippedPrefix + name + ending, nil
	}
	// Of what is there Load says what is wrong with it.
	if _, err := os.Stat(arg); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return arg, nil
	}
	msg := "no such file"
	bare := !whole && !strings.ContainsAny(arg, `/\`)
	if bare {
		msg += ", and llamac has no spec of this name inside"
	}
	switch near := nearNames(name); {
	case len(near) > 0 && bare:
		msg += "; did you mean " + strings.Join(near, " or ") + "?"
	case len(near) > 0:
		msg += "; did you mean " + strings.Join(near, " or ") + ", inside llamac?"
	case bare:
		msg += "; there are " + strings.Join(ShippedNames(), ", ")
	}
	return "", diag.List{{Pos: diag.Pos{File: arg}, Msg: msg}}
}

// isText tells whether a file is there that a person may have written.
func isText(name string) bool {
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(name)
	if err != nil {
		return true // Load will say why it cannot be read
	}
	defer f.Close()
	head := make([]byte, 512)
	n, _ := f.Read(head)
	head = head[:n]
	// The last character may be cut.
	for range utf8.UTFMax {
		if utf8.Valid(head) || len(head) == 0 {
			break
		}
		head = head[:len(head)-1]
	}
	return n == 0 || len(head) > 0 && !slices.Contains(head, 0)
}

// nearNames are the shipped names that a misspelt one may mean: a slip of some
// letters, or other words around it, as in llama65b or specs/65B.
func nearNames(name string) []string {
	fold := func(s string) string {
		return strings.NewReplacer("_", "", "-", "", ".", "", " ", "").Replace(strings.ToLower(s))
	}
	name = filepath.Base(filepath.ToSlash(name))
	// More than one may be meant.
	var near []string
	for _, c := range ShippedNames() {
		// What stands in front is a family's name, as in llama65b; what is
		// missing behind, a size.
		if fold(c) == fold(name) || len(c) > 1 && strings.HasSuffix(fold(name), fold(c)) || len(name) > 3 && strings.HasPrefix(fold(c), fold(name)) {
			near = append(near, c)
		}
	}
	if s := suggest(name, ShippedNames()); s != "" && len(near) == 0 {
		near = append(near, s)
	}
	return near
}

// Dir is the folder that relative paths in the spec are meant from, those of
// data and of the tokenizer: its own, or for a spec inside the program the
// current one.
func (s *Spec) Dir() string {
	if strings.HasPrefix(s.File, ShippedPrefix) {
		return "."
	}
	return filepath.Dir(s.File)
}

// readShipped reads a spec inside the program, or a file beside it that it
// imports.
func readShipped(name string) (string, []byte, error) {
	data, err := shipped.ReadFile(name)
	if err != nil {
		return "", nil, fmt.Errorf("llamac has no %s inside; there are %s", name, strings.Join(Shipped(), ", "))
	}
	return ShippedPrefix + name, data, nil
}
