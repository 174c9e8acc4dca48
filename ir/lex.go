package ir

import (
	"fmt"

	"github.com/llamac/llamac/internal/diag"
)

type tokenKind uint8

const (
	eof    tokenKind = iota
	word             // a name: letters, digits, "_", "." and "-" inside
	number           // -1, 0.5, 1e-05, -inf
	quoted           // a Go string literal
	symbol           // one of %$!@()[]{}:,=*_ or ->
	bad
)

type token struct {
	kind tokenKind
	text string
	pos  diag.Pos
}

func (t token) String() string {
	if t.kind == eof {
		return "the end of the file"
	}
	return fmt.Sprintf("%q", t.text)
}

// lexer cuts the text form into tokens. Comments run from // to the line's end.
type lexer struct {
	file      string
	src       []byte
	i         int
	line, col int
}

func (l *lexer) peek(k int) byte {
	if l.i+k < len(l.src) {
		return l.src[l.i+k]
	}
	return 0
}

func (l *lexer) step(n int) {
	for range n {
		if l.src[l.i] == '\n' {
			l.line, l.col = l.line+1, 0
		}
		l.i++
		l.col++
	}
}

func (l *lexer) scan() token {
	for l.i < len(l.src) {
		switch c := l.src[l.i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			l.step(1)
			continue
		case c == '/' && l.peek(1) == '/':
			for l.i < len(l.src) && l.src[l.i] != '\n' {
				l.step(1)
			}
			continue
		}
		break
	}
	t := token{pos: diag.Pos{File: l.file, Line: l.line, Col: l.col}}
	if l.i >= len(l.src) {
		return t
	}
	n := 1
	switch c := l.src[l.i]; {
	case letter(c):
		t.kind = word
		for letter(l.peek(n)) || digit(l.peek(n)) || (l.peek(n) == '.' || l.peek(n) == '-' && l.peek(n+1) != '>') && (letter(l.peek(n+1)) || digit(l.peek(n+1))) {
			n++
		}
		if n == 1 && c == '_' {
			t.kind = symbol
		}
	case digit(c), c == '-' && (digit(l.peek(1)) || l.peek(1) == 'i'):
		t.kind = number
		for letter(l.peek(n)) || digit(l.peek(n)) || l.peek(n) == '.' || (l.peek(n) == '-' || l.peek(n) == '+') && l.peek(n-1) == 'e' {
			n++
		}
	case c == '"':
		t.kind = quoted
		for l.peek(n) != '"' && l.peek(n) != '\n' && l.peek(n) != 0 {
			if l.peek(n) == '\\' {
				n++
			}
			n++
		}
		n++
		if l.i+n > len(l.src) || l.src[l.i+n-1] != '"' {
			t.kind, n = bad, 1
		}
	case c == '-' && l.peek(1) == '>':
		t.kind, n = symbol, 2
	case indexByte("%$!@()[]{}:,=*", c):
		t.kind = symbol
	default:
		t.kind = bad
	}
	t.text = string(l.src[l.i : l.i+n])
	l.step(n)
	return t
}

func letter(c byte) bool { return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func digit(c byte) bool  { return '0' <= c && c <= '9' }

func indexByte(s string, c byte) bool {
	for i := range len(s) {
		if s[i] == c {
			return true
		}
	}
	return false
}
