package eval

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/google/go-jsonnet"

	"github.com/llamac/llamac/internal/diag"
)

// maxPieces and maxLevels bound how many fields of a failing document are
// tried one by one, and how deep: the document may hold itself.
const (
	maxPieces = 400
	maxLevels = 4
)

// pieces evaluates a document that fails as a whole field by field, so that one
// run reports every failing field and the rest can still be validated.
// Jsonnet stops at its first error, and so would the user's day.
type pieces struct {
	vm       *jsonnet.VM
	main     string
	failures []Failure
	tried    int
}

// salvage returns the fields that can be evaluated, and notes a failure for
// each of the others. whole is the error of the whole document.
// The fields that are left are validated like any others, so one run tells of
// both kinds of mistakes.
func (p *pieces) salvage(whole error) json.RawMessage {
	// The name that eval binds.
	doc := p.object("d", "", 1)
	if len(p.failures) == 0 { // not even its fields can be listed, or an assertion holds only piecewise
		p.failures = []Failure{failure("", whole)}
	}
	if doc == nil {
		return nil
	}
	b, err := json.Marshal(doc)
	if err != nil {
		return nil
	}
	return b
}

// object evaluates the visible fields of the object that expr denotes. It
// returns nil when expr is none.
// It descends only where a field fails, so a good document costs one evaluation
// and a bad one a few more.
func (p *pieces) object(expr, path string, level int) map[string]json.RawMessage {
	var names []string
	out, err := p.eval("std.objectFields(" + expr + ")")
	if err != nil || json.Unmarshal(out, &names) != nil {
		return nil
	}
	doc := map[string]json.RawMessage{}
	for _, name := range names {
		sub, subPath := expr+"["+quote(name)+"]", Field(path, name)
		// Most fields evaluate at the first try, with all that is below.
		out, err := p.eval(sub)
		if err == nil {
			doc[name] = out
			continue
		}
		// Each try evaluates the document anew: slow, but only ever done for a
		// spec that is wrong.
		if p.tried > maxPieces {
			break
		}
		before := len(p.failures)
		var inner map[string]json.RawMessage
		if level < maxLevels {
			inner = p.object(sub, subPath, level+1)
		}
		if inner != nil {
			if b, err := json.Marshal(inner); err == nil {
				doc[name] = b
			}
		}
		// Nothing below it failed by itself, so it is the field that fails.
		if len(p.failures) == before {
			p.failures = append(p.failures, failure(subPath, err))
			if inner != nil {
				delete(doc, name)
			}
		}
	}
	return doc
}

// eval evaluates expr inside an array, because the interpreter calls a function
// that stands at the top.
// Documents are objects, which the array's only element is.
func (p *pieces) eval(expr string) (json.RawMessage, error) {
	p.tried++
	out, err := evaluateSnippet(p.vm, "local d = "+p.main+"; ["+expr+"]")
	if err != nil {
		return nil, err
	}
	var one [1]json.RawMessage
	err = json.Unmarshal([]byte(out), &one)
	return one[0], err
}

// failure describes a runtime error. The position is that of the innermost
// frame in a file of the user's; a library's frame further in is a note.
func failure(path string, err error) Failure {
	f := Failure{Path: path}
	var rt jsonnet.RuntimeError
	if !errors.As(err, &rt) {
		msg, _, _ := strings.Cut(err.Error(), "\n")
		f.Err.Msg = "the Jsonnet interpreter failed: " + strings.TrimPrefix(msg, "(CRASH) ")
		return f
	}
	f.Err.Msg = rt.Msg
	switch {
	// Two messages of the interpreter speak of its insides; they are put in the
	// words of a spec's author.
	case strings.HasPrefix(rt.Msg, "max stack frames exceeded"):
		f.Err.Msg = "evaluation nests too deeply: a recursion without end?"
	case strings.HasPrefix(rt.Msg, "couldn't manifest function"):
		f.Err.Msg = "a function cannot be a value of a spec; hide the field with ::"
	}
	var user, library diag.Pos
	// Outermost first.
	for _, frame := range rt.StackTrace {
		pos := position(&frame.Loc)
		switch {
		case pos.File == "" || pos.File == "<std>":
		case strings.HasPrefix(pos.File, LibraryPrefix):
			library = pos
		default:
			user, library = pos, diag.Pos{}
		}
	}
	// The innermost of the user's frames is where the user can do something.
	f.Err.Pos = user
	if library != (diag.Pos{}) {
		f.Err.Note = "raised at " + library.String()
		f.Library = user == (diag.Pos{})
	}
	return f
}
