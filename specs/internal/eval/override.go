package eval

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A Step leads from a value to one inside of it: to a field by its name, or to
// an element of an array by its index.
type Step struct {
	Field   string
	Index   int
	Element bool // Index counts, not Field
}

// ParsePath reads a path as Field and Elem print it: model.dim,
// data.sources[0].share, names.hf["layers.N.attention.wq"].
func ParsePath(s string) ([]Step, error) {
	var path []Step
	for rest := s; rest != ""; {
		switch {
		case rest[0] == '[':
			step, n, err := bracket(rest)
			if err != nil {
				return nil, err
			}
			path, rest = append(path, step), rest[n:]
		default:
			// A dot stands between two fields, not in front of the first.
			if len(path) > 0 {
				if rest[0] != '.' {
					return nil, fmt.Errorf("%q follows a bracket", rest[:1])
				}
				rest = rest[1:]
			}
			n := strings.IndexAny(rest, ".[")
			if n < 0 {
				n = len(rest)
			}
			if !identifier(rest[:n]) {
				return nil, fmt.Errorf("%q is no name of a field", rest[:n])
			}
			path, rest = append(path, Step{Field: rest[:n]}), rest[n:]
		}
	}
	// The document is an object.
	if len(path) == 0 || path[0].Element {
		return nil, errors.New("it must begin with a field")
	}
	return path, nil
}

// bracket reads [3] or ["a name"] and gives its length.
func bracket(s string) (step Step, n int, err error) {
	if quoted, err := strconv.QuotedPrefix(s[1:]); err == nil && quoted[0] == '"' {
		name, err := strconv.Unquote(quoted)
		if n = 1 + len(quoted); err == nil && strings.HasPrefix(s[n:], "]") {
			return Step{Field: name}, n + 1, nil
		}
	}
	n = strings.IndexByte(s, ']')
	if n < 0 {
		return step, 0, errors.New("a bracket is open")
	}
	i, err := strconv.Atoi(s[1:n])
	// Not "+1", "-1" or "01": an index is spelt in one way.
	if err != nil || strconv.Itoa(i) != s[1:n] || i < 0 {
		return step, 0, fmt.Errorf("%s is no index of a list, which count from 0, nor a name in double quotes", s[:n+1])
	}
	return Step{Index: i, Element: true}, n + 1, nil
}

// pathOf prints a path.
func pathOf(steps []Step) (path string) {
	for _, s := range steps {
		if s.Element {
			path = Elem(path, s.Index)
		} else {
			path = Field(path, s.Field)
		}
	}
	return path
}

// within tells whether a path leads to the value at another or below it.
func within(path, of string) bool {
	rest, ok := strings.CutPrefix(path, of)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// intoList tells whether an override changes an element of a list.
func (o Override) intoList() bool {
	for _, s := range o.Path {
		if s.Element {
			return true
		}
	}
	return false
}

// source is the override as a Jsonnet object: { "a"+: { "b": value } }. Every
// level but the last adds to what is there, as a spec's own +: does.
//
// Jsonnet has no such sum for lists, so that one that is reached into is
// computed anew from what it was, super.a, with one element changed.
func (o Override) source() string { return o.object(0) }

// object is an object that changes what the steps from i on lead to; the first
// of them is a field.
func (o Override) object(i int) string {
	name := quote(o.Path[i].Field)
	if i+1 == len(o.Path) {
		return "{ " + name + ": " + string(o.Value) + " }"
	}
	if !o.Path[i+1].Element {
		return "{ " + name + "+: " + o.object(i+1) + " }"
	}
	missing := quote(fmt.Sprintf("there is no %s to reach into", pathOf(o.Path[:i+1])))
	return fmt.Sprintf("{ %s: if %s in super then (%s)(super[%s]) else error %s }", name, name, o.list(i+1), name, missing)
}

// list is a function from the list of which step i is an element to the changed
// one.
func (o Override) list(i int) string {
	path, at := pathOf(o.Path[:i]), o.Path[i].Index
	var changed string
	switch {
	case i+1 == len(o.Path):
		changed = string(o.Value)
	case o.Path[i+1].Element:
		changed = fmt.Sprintf("(%s)(e)", o.list(i+1))
	default:
		changed = fmt.Sprintf("if std.isObject(e) then e + %s else error %s", o.object(i+1), quote(pathOf(o.Path[:i+1])+" is no object"))
	}
	return fmt.Sprintf("function(l) if !std.isArray(l) then error %s else if std.length(l) <= %d then error (%s %% std.length(l)) else std.mapWithIndex(function(i, e) if i == %d then %s else e, l)",
		quote(path+" is no list"), at, quote(strings.ReplaceAll(path, "%", "%%")+" has %d elements, counted from 0"), at, changed)
}
