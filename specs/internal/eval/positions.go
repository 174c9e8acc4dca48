package eval

import (
	"slices"
	"strings"

	"github.com/google/go-jsonnet/ast"

	"github.com/llamac/llamac/internal/diag"
)

const (
	maxPositions = 20_000
	maxPathDepth = 12 // a document may hold itself: { a: $ }
)

// positions traces the fields of the document with its overrides.
// What it finds is for messages alone; a field that it does not find has the
// position of what holds it.
func positions(files *fileSet, file string, overrides []Override) []Position {
	t := &tracer{resolver: resolver{files: files}}
	// Overrides are files of their own, by their labels.
	root := func(path string) expr {
		return expr{node: files.roots[files.imports[[2]string{"", path}]]}
	}
	main := root(file)
	at := valuePos(body(main.node), diag.Pos{})
	// The document itself, for what is said of it as a whole.
	t.out = append(t.out, Position{Path: "", Name: at, Value: at})
	// Layers of the spec and of all that it is a sum of.
	doc := t.object(main)
	// Added on the right, as the evaluation adds them.
	for _, o := range overrides {
		if !o.intoList() {
			doc = append(doc, t.object(root(o.Label))...)
		}
	}
	t.fields("", doc, 0)
	t.intoLists(overrides)
	return t.out
}

// intoLists gives what overrides of elements replace their place. The tracing
// cannot see it, since the list that they make is computed; and all that they
// leave alone keeps the place where it is written.
func (t *tracer) intoLists(overrides []Override) {
	for i, o := range overrides {
		path := pathOf(o.Path)
		// A later one may replace the whole list.
		if !o.intoList() || slices.ContainsFunc(overrides[i+1:], func(p Override) bool { return within(path, pathOf(p.Path)) }) {
			continue
		}
		// What was there had places below, which are gone.
		t.out = slices.DeleteFunc(t.out, func(p Position) bool { return within(p.Path, path) })
		at := diag.Pos{File: o.Label}
		t.out = append(t.out, Position{Path: path, Name: at, Value: at})
	}
}

// tracer collects positions while it walks the document's layers.
type tracer struct {
	resolver
	out []Position
}

// fields records each field of o and what lies below it.
func (t *tracer) fields(path string, o object, depth int) {
	if depth > maxPathDepth {
		return
	}
	// set holds the fields in the order of their first appearance.
	// A field that several layers set has one position, that of the winner.
	type setting struct {
		parts []expr
		pos   Position
	}
	var order []string
	set := map[string]*setting{}
	for i, l := range o {
		inside := o.inside(i)
		for _, f := range l.lit.Fields {
			name, ok := f.Name.(*ast.LiteralString)
			if !ok {
				continue // computed names are not traced
			}
			s := set[name.Value]
			if s == nil {
				s = new(setting)
				set[name.Value] = s
				order = append(order, name.Value)
			}
			if !f.PlusSuper {
				s.parts = nil
			}
			s.parts = append(s.parts, expr{node: f.Body, sc: inside})
			// Of the name and the value together; valuePos narrows it to the
			// value.
			at := position(&f.LocRange)
			if f.PlusSuper && isOverride(at.File) && s.pos != (Position{}) {
				continue // it only leads to what is overridden
			}
			s.pos = Position{Name: at, Value: valuePos(f.Body, at)}
		}
	}
	// Fields in their order, so that the list is the same at every run.
	for _, name := range order {
		s := set[name]
		s.pos.Path = Field(path, name)
		if len(t.out) >= maxPositions {
			return
		}
		t.out = append(t.out, s.pos)
		t.below(s.pos.Path, expr{parts: s.parts}, depth+1)
	}
}

// below records the fields or elements of the value e at path.
// The depth counts from the document, and ends walks through objects that hold
// themselves.
func (t *tracer) below(path string, e expr, depth int) {
	// Objects and arrays exclude each other; numbers and strings are neither.
	if o := t.object(e); len(o) > 0 {
		t.fields(path, o, depth)
		return
	}
	elems, _ := t.elements(e)
	for i, el := range elems {
		if len(t.out) >= maxPositions || depth > maxPathDepth {
			return
		}
		at := valuePos(el.node, diag.Pos{})
		p := Elem(path, i)
		t.out = append(t.out, Position{Path: p, Name: at, Value: at})
		if !t.constructed(el) {
			t.below(p, el, depth+1)
		}
	}
}

// constructed says whether e is a call of a function of the library, such as
// node.linear(...). What the function puts together has no better place than
// the call.
// Without this each field of a node would point into the library, at a line
// that the user never saw.
func (t *tracer) constructed(e expr) bool {
	call, ok := e.node.(*ast.Apply)
	if !ok {
		return false
	}
	target, ok := t.head(expr{node: call.Target, sc: e.sc})
	if !ok {
		return false
	}
	// A method has no place of its own in the tree, but its body has.
	fn, ok := target.node.(*ast.Function)
	return ok && strings.HasPrefix(fn.Body.Loc().FileName, LibraryPrefix)
}

// valuePos is where an expression begins, or otherwise: expressions made by
// the desugarer have no place of their own.
// otherwise is the place of the field's name.
func valuePos(n ast.Node, otherwise diag.Pos) diag.Pos {
	if n == nil {
		return otherwise
	}
	if p := position(n.Loc()); p != (diag.Pos{}) {
		return p
	}
	return otherwise
}

// body skips the local definitions at the head of a file.
// The place of a document is where its object begins, not its imports.
func body(n ast.Node) ast.Node {
	for {
		l, ok := n.(*ast.Local)
		if !ok {
			return n
		}
		n = l.Body
	}
}
