package eval

import (
	"fmt"
	"strings"

	"github.com/google/go-jsonnet"
	"github.com/google/go-jsonnet/ast"
	"github.com/google/go-jsonnet/toolutils"

	"github.com/llamac/llamac/internal/diag"
)

// OverridePrefix begins the labels of overrides, which are flags of the command
// line to their author.
const OverridePrefix = "--set "

// LibraryPrefix begins the names of files that came with llamac. A user's file
// cannot have such a name: the reader gives it only to embedded files.
const LibraryPrefix = "<llamac>/"

// fileSet holds the parsed files by name, and where each import leads.
type fileSet struct {
	roots   map[string]ast.Node
	imports map[[2]string]string // (file, path as written) to name
}

func (fs *fileSet) imported(n *ast.Import) ast.Node {
	return fs.roots[fs.imports[[2]string{n.Loc().FileName, n.File.Value}]]
}

// loadAll parses the document, its overrides and all that they import, and
// reports what can be seen without evaluating: syntax, unknown variables,
// missing files, tailstrict. Imports are literals in Jsonnet, so none is missed.
func loadAll(vm *jsonnet.VM, file string, overrides []Override) (*fileSet, []Failure) {
	fs := &fileSet{roots: map[string]ast.Node{}, imports: map[[2]string]string{}}
	var failures []Failure
	add := func(loc *ast.LocationRange, format string, args ...any) {
		failures = append(failures, Failure{Err: diag.Error{Pos: position(loc), Msg: fmt.Sprintf(format, args...)}})
	}
	// load and walk call each other.
	var load func(from, path string, at *ast.LocationRange)
	var walk func(n ast.Node)
	load = func(from, path string, at *ast.LocationRange) {
		node, name, err := vm.ImportAST(from, path)
		var static interface{ Loc() ast.LocationRange }
		switch {
		case err == nil:
		// The parser's errors carry a place; the reader's do not.
		case asStatic(err, &static):
			loc := static.Loc()
			add(&loc, "%s", staticMessage(err, &loc))
			return
		case at == nil: // the document itself: the reader's error has its name
			failures = append(failures, Failure{Err: diag.Error{Pos: diag.Pos{File: path}, Msg: err.Error()}})
			return
		default:
			add(at, "cannot import '%s': %v", path, err)
			return
		}
		fs.imports[[2]string{from, path}] = name
		// Two paths may lead to one file; an import in a circle is legal in
		// Jsonnet.
		if _, seen := fs.roots[name]; seen {
			return
		}
		fs.roots[name] = node
		walk(node)
	}
	walk = func(n ast.Node) {
		switch n := n.(type) {
		case *ast.Import:
			load(n.Loc().FileName, n.File.Value, n.Loc())
		case *ast.ImportStr:
			if _, err := vm.ResolveImport(n.Loc().FileName, n.File.Value); err != nil {
				add(n.Loc(), "cannot import '%s': %v", n.File.Value, err)
			}
		case *ast.ImportBin:
			add(n.Loc(), "importbin has no use in a spec")
		case *ast.Apply:
			// A tail call escapes the limit on the interpreter's
			// stack, and would be seen only when time or Go's own
			// stack runs out. No spec needs one.
			if n.TailStrict {
				add(n.Loc(), "tailstrict is not allowed in a spec")
			}
		}
		for _, c := range toolutils.Children(n) {
			walk(c)
		}
	}
	load("", file, nil)
	for _, o := range overrides {
		load("", o.Label, nil)
	}
	return fs, failures
}

// asStatic tells an error with a place by its method: the parser's types are
// internal to it.
func asStatic(err error, dst *interface{ Loc() ast.LocationRange }) bool {
	s, ok := err.(interface{ Loc() ast.LocationRange })
	if ok {
		*dst = s
	}
	return ok
}

// staticMessage strips the position that the parser prints before its message.
// Messages begin in lower case, as those of this program do.
func staticMessage(err error, loc *ast.LocationRange) string {
	msg := strings.TrimSpace(strings.TrimPrefix(err.Error(), loc.String()))
	return strings.ToLower(msg[:min(1, len(msg))]) + msg[min(1, len(msg)):]
}

// position is the beginning of a range. Overrides are one line that nobody
// wrote, so their label is position enough.
func position(loc *ast.LocationRange) diag.Pos {
	if loc == nil || !loc.IsSet() {
		return diag.Pos{}
	}
	if isOverride(loc.FileName) {
		return diag.Pos{File: loc.FileName}
	}
	return diag.Pos{File: loc.FileName, Line: loc.Begin.Line, Col: loc.Begin.Column}
}

// isOverride tells a label from the name of a file, which never begins with
// dashes and a space.
func isOverride(file string) bool { return strings.HasPrefix(file, OverridePrefix) }
