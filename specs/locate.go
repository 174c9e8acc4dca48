package specs

import (
	"strings"

	"github.com/llamac/llamac/internal/diag"
	"github.com/llamac/llamac/specs/internal/eval"
)

// locator finds positions for field paths.
//
// A value may be written in the spec, in a file that it imports, on the command
// line, or in llamac's library. Users are shown their own files; a position in
// the library is only ever a note.
type locator struct {
	file   string
	byPath map[string]eval.Position
}

// newLocator indexes what the evaluator traced. The file is for what has no
// position at all.
func newLocator(file string, positions []eval.Position) *locator {
	l := &locator{file, make(map[string]eval.Position, len(positions))}
	for _, p := range positions {
		l.byPath[p.Path] = p
	}
	return l
}

// value is where the value at path is written, or what holds it in the user's
// files. If the value itself comes from the library, the note says where.
func (l *locator) value(path string) (pos diag.Pos, note string) {
	return l.find(path, func(p eval.Position) diag.Pos { return p.Value })
}

// name is the same for the field's name.
func (l *locator) name(path string) (pos diag.Pos, note string) {
	return l.find(path, func(p eval.Position) diag.Pos { return p.Name })
}

// find goes outwards from the path to the first place that the user wrote.
func (l *locator) find(path string, of func(eval.Position) diag.Pos) (pos diag.Pos, note string) {
	for {
		if p, ok := l.byPath[path]; ok {
			pos := of(p)
			if !strings.HasPrefix(pos.File, eval.LibraryPrefix) && pos != (diag.Pos{}) {
				return pos, note
			}
			if note == "" && pos != (diag.Pos{}) {
				note = "set at " + pos.String()
			}
			// Of what holds it only the value helps: its name says nothing
			// about the field.
			of = func(p eval.Position) diag.Pos { return p.Value }
		}
		if path == "" {
			return diag.Pos{File: l.file, Line: 1, Col: 1}, note
		}
		path = eval.Parent(path)
	}
}

// known says whether the path itself has a position.
func (l *locator) known(path string) bool {
	_, ok := l.byPath[path]
	return ok
}
