// Package scan cuts the text forms of modules and plans into tokens, and holds
// what their parsers share: expectations, positions, and going on after an
// error so that several show at once.
package scan

import (
	"fmt"
	"strings"

	"github.com/llamac/llamac/internal/diag"
)

// Kind says what a token is. There are no keywords: what a word means is for
// the parser, by where it stands, so that a new op needs nothing here.
type Kind uint8

const (
	EOF    Kind = iota
	Word        // a name: letters, digits, "_", "." and "-" inside
	Number      // -1, 0.5, 1e-05, -inf
	Quoted      // a Go string literal
	Symbol      // one of %$!@()[]{}:,=*&+<_ or ->
	Bad
)

// Token is a piece of the text with the place of its first byte. Text is the
// source itself, of a string with its quotes.
type Token struct {
	Kind Kind
	Text string
	Pos  diag.Pos
}

// String names the token in the sentence "found ..., want ...".
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
	file string
	src  []byte
	i    int
	// Of the next byte, from 1. Columns count bytes, as Go's compiler counts
	// them.
	line, col int

	// Comment is the text of the last comment before the next token, without
	// its slashes; empty if there is none.
	Comment string
}

// peek is the byte k places on, 0 behind the end: no token holds a 0, so loops
// need no second condition.
func (l *lexer) peek(k int) byte {
	if l.i+k < len(l.src) {
		return l.src[l.i+k]
	}
	return 0
}

// step goes on by n bytes and keeps the position true: nothing else moves i.
func (l *lexer) step(n int) {
	for range n {
		if l.src[l.i] == '\n' {
			l.line, l.col = l.line+1, 0
		}
		l.i++
		l.col++
	}
}

// scan cuts the next token. Each byte is looked at a bounded number of times,
// so hostile input costs linear time; what fits nothing comes out as Bad and is
// the parser's to report.
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
		// Names of values have dots and dashes inside ("attn.q",
		// "keep-linear"), never at the end: "a->b" is three tokens, and "x."
		// ends in a symbol.
		for letter(l.peek(n)) || digit(l.peek(n)) || (l.peek(n) == '.' || l.peek(n) == '-' && l.peek(n+1) != '>') && (letter(l.peek(n+1)) || digit(l.peek(n+1))) {
			n++
		}
		if n == 1 && c == '_' {
			t.Kind = Symbol
		}
	// A dash before a digit or before "inf" begins a number. No expression is
	// ever written in these forms, so there is no minus to confuse it with.
	case digit(c), c == '-' && (digit(l.peek(1)) || l.peek(1) == 'i'):
		t.Kind = Number
		for letter(l.peek(n)) || digit(l.peek(n)) || l.peek(n) == '.' || (l.peek(n) == '-' || l.peek(n) == '+') && l.peek(n-1) == 'e' {
			n++
		}
	case c == '"':
		t.Kind = Quoted
		// Only the end is looked for; strconv.Unquote judges the inside. A
		// string ends with its line: an unclosed quote spoils one line and not
		// the rest of the file.
		for l.peek(n) != '"' && l.peek(n) != '\n' && l.peek(n) != 0 {
			if l.peek(n) == '\\' {
				n++
			}
			n++
		}
		n++
		// Also true of a backslash that is the last byte, whose pair lies
		// behind the end.
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
// Printers ask before they write a name bare.
func IsName(s string) bool {
	l := lexer{src: []byte(s)}
	t := l.scan()
	return t.Kind == Word && t.Text == s
}

func letter(c byte) bool { return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func digit(c byte) bool  { return '0' <= c && c <= '9' }

// indexByte is strings.IndexByte for a handful of symbols, as a yes or no.
func indexByte(s string, c byte) bool {
	for i := range len(s) {
		if s[i] == c {
			return true
		}
	}
	return false
}
