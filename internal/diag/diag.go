// Package diag holds source positions and the diagnostics that carry them.
// Everything that can be wrong with what a user wrote is reported as an Error
// with a place, and as many as there are in one run: who mends a spec wants to
// see all of it at once. Errors of the machine (a full disk, a missing file)
// are plain errors and end the work.
package diag

import (
	"fmt"
	"sort"
	"strings"
)

// Pos is a position in a file. Line and Col start at 1; 0 means unknown.
type Pos struct {
	File      string
	Line, Col int
}

// String prints file:line:col, leaving out what is unknown.
func (p Pos) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Col == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// Error is one problem at one place.
// Its text is "file:line:col: message", the form that editors and terminals
// turn into links.
type Error struct {
	Pos  Pos
	Msg  string
	Note string // a second line, such as where a default was set; may be empty
}

func (e *Error) Error() string {
	s := e.Msg
	if p := e.Pos.String(); p != "" {
		s = p + ": " + s
	}
	if e.Note != "" {
		s += "\n\t" + e.Note
	}
	return s
}

// List collects the problems of one run.
// It is an error itself: commands tell it from others by its type and end with
// status 2, the call is wrong, where other failures have 1.
type List []*Error

// Add appends a problem.
func (l *List) Add(pos Pos, format string, args ...any) {
	*l = append(*l, &Error{Pos: pos, Msg: fmt.Sprintf(format, args...)})
}

// Err returns nil for an empty list, and otherwise the list sorted by position
// with exact repetitions removed.
func (l List) Err() error {
	if len(l) == 0 {
		return nil
	}
	s := append(List(nil), l...)
	// Stable, so that two problems of one place stay in the order in which they
	// were found: the first is often the cause of the second.
	sort.SliceStable(s, func(i, j int) bool {
		a, b := s[i].Pos, s[j].Pos
		if a.File != b.File {
			return a.File < b.File
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Col < b.Col
	})
	// One mistake is often met on several ways, a bad field by each node that
	// reads it. Equal in every part is equal to the reader.
	seen := make(map[Error]bool, len(s))
	out := s[:0]
	for _, e := range s {
		if !seen[*e] {
			seen[*e] = true
			out = append(out, e)
		}
	}
	return out
}

// Error prints one problem a line.
func (l List) Error() string {
	lines := make([]string, len(l))
	for i, e := range l {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}
