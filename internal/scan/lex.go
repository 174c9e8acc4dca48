// Package scan cuts the text forms of modules and plans into tokens, and holds
// what their parsers share: expectations, positions, and going on after an
// error so that several show at once.
package scan

import (
	"fmt"
	"strings"

	"github.com/llamac/llamac/internal/diag"
)

type Kind uint8

const (
	EOF    Kind = iota
	Word        // a name: letters, digits, "_", "." and "-" inside
	Number      // -1, 0.5, 1e-05, -inf
	Quoted      // a Go string literal
	Symbol      // one of %$!@()[]{}:,=*&+<_ or ->
	Bad
)

type Token struct {
	Kind Kind
	Text string
	Pos  diag.Pos
}

func (t Token) String() string {
	switch t.Kind {
	case EOF:
		return "the end of the file"
	case Quoted:
		return "the string " + t.Text
	}
	return fmt.Sprintf("%q", t.Text)
}

// lexer cuts the text form into tokens. Comments run from // to the line's end.
type lexer struct {
	file      string
	src       []byte
	i         int
	line, col int

	// Comment is the text of the last comment before the next token, without
	// its slashes; empty if there is none.
	Comment string
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

func (l *lexer) scan() Token {
	l.Comment = ""
	for l.i < len(l.src) {
		switch c := l.src[l.i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			l.step(1)
			continue
		case c == '/' && l.peek(1) == '/':
			start := l.i
			for l.i < len(l.src) && l.src[l.i] != '\n' {
				l.step(1)
			}
			l.Comment = strings.TrimSpace(string(l.src[start+2 : l.i]))
			continue
		}
		break
	}
	t := Token{Pos: diag.Pos{File: l.file, Line: l.line, Col: l.col}}
	if l.i >= len(l.src) {
		return t
	}
	n := 1
	switch c := l.src[l.i]; {
	case letter(c):
		t.Kind = Word
		for letter(l.peek(n)) || digit(l.peek(n)) || (l.peek(n) == '.' || l.peek(n) == '-' && l.peek(n+1) != '>') && (letter(l.peek(n+1)) || digit(l.peek(n+1))) {
			n++
		}
		if n == 1 && c == '_' {
			t.Kind = Symbol
		}
	case digit(c), c == '-' && (digit(l.peek(1)) || l.peek(1) == 'i'):
		t.Kind = Number
		for letter(l.peek(n)) || digit(l.peek(n)) || l.peek(n) == '.' || (l.peek(n) == '-' || l.peek(n) == '+') && l.peek(n-1) == 'e' {
			n++
		}
	case c == '"':
		t.Kind = Quoted
		for l.peek(n) != '"' && l.peek(n) != '\n' && l.peek(n) != 0 {
			if l.peek(n) == '\\' {
				n++
			}
			n++
		}
		n++
		if l.i+n > len(l.src) || l.src[l.i+n-1] != '"' {
			t.Kind, n = Bad, 1
		}
	case c == '-' && l.peek(1) == '>':
		t.Kind, n = Symbol, 2
	case indexByte("%$!@()[]{}:,=*&+<", c):
		t.Kind = Symbol
	default:
		t.Kind = Bad
	}
	t.Text = string(l.src[l.i : l.i+n])
	l.step(n)
	return t
}

// IsName reports whether s is one Word.
func IsName(s string) bool {
	l := lexer{src: []byte(s)}
	t := l.scan()
	return t.Kind == Word && t.Text == s
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
