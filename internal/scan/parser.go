package scan

import (
	"strconv"

	"github.com/llamac/llamac/internal/diag"
)

// Parser reads tokens one ahead. Its methods fail by unwinding to Recover.
//
// Unwinding by panic keeps grammars short: a method that returns has what it
// was asked for. No panic leaves this package's Recover, and those of others
// pass through it.
type Parser struct {
	lexer
	Tok  Token // the next token
	Errs diag.List
}

// New makes a parser at the first token of src.
func New(file string, src []byte) *Parser {
	p := &Parser{lexer: lexer{file: file, src: src, line: 1, col: 1}}
	p.Recover(nil, p.Next)
	return p
}

// bail unwinds to Recover.
// It is a type of its own so that a bug's panic is not taken for it.
type bail struct{}

// Recover runs f. If f fails, the parser goes on at the next token at the start
// of a line for which start holds, which may be the one that f failed at; a nil
// start skips to the end.
func (p *Parser) Recover(start func(Token) bool, f func()) {
	// Where f began: an error at the very first token must not be resumed at
	// that token, or nothing would ever move on.
	first := p.Tok.Pos
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		if _, ok := r.(bail); !ok {
			panic(r)
		}
		// Definitions begin in the first column in both text forms, so a line
		// that starts one is a safe place whatever was left open before it.
		begins := func() bool { return start != nil && p.Tok.Pos.Col == 1 && start(p.Tok) }
		if p.Tok.Kind != EOF && p.Tok.Pos != first && begins() {
			return
		}
		for {
			p.Tok = p.scan()
			if p.Tok.Kind == EOF || begins() {
				return
			}
		}
	}()
	f()
}

// Fail reports an error and unwinds.
func (p *Parser) Fail(pos diag.Pos, format string, args ...any) {
	p.Errs.Add(pos, format, args...)
	panic(bail{})
}

// Next reads a token.
func (p *Parser) Next() {
	p.Tok = p.scan()
	if p.Tok.Kind == Bad {
		// The parser goes on as if the file ended here; Recover scans beyond
		// it.
		t := p.Tok
		// A Bad token must not be accepted by anyone that asks for its text.
		p.Tok.Kind = EOF
		p.Fail(t.Pos, "unexpected %q", t.Text)
	}
}

// Is reports whether the next token is the given word or symbol.
// A string never counts: "x" in quotes is data, not the word x.
func (p *Parser) Is(text string) bool { return p.Tok.Kind != Quoted && p.Tok.Text == text }

// Want takes the given word or symbol.
func (p *Parser) Want(text string) {
	if !p.Is(text) {
		p.Fail(p.Tok.Pos, "found %s, want %q", p.Tok, text)
	}
	p.Next()
}

// Accept takes the given word or symbol if it is next.
func (p *Parser) Accept(text string) bool {
	if !p.Is(text) {
		return false
	}
	p.Next()
	return true
}

// Take takes a token of a kind.
// what names the token in the error, as in "a name of a dimension".
func (p *Parser) Take(k Kind, what string) Token {
	t := p.Tok
	if t.Kind != k {
		p.Fail(t.Pos, "found %s, want %s", t, what)
	}
	p.Next()
	return t
}

// Sigil takes a sign and the name behind it.
func (p *Parser) Sigil(sign, what string) Token {
	p.Want(sign)
	return p.Take(Word, what)
}

// Int takes an integer.
func (p *Parser) Int() int64 {
	t := p.Take(Number, "a number")
	n, err := strconv.ParseInt(t.Text, 10, 64)
	if err != nil {
		p.Fail(t.Pos, "%q is not an integer", t.Text)
	}
	return n
}

// Float takes a real number; inf and nan are among them.
func (p *Parser) Float() float64 {
	t := p.Tok
	if t.Kind != Number && !p.Is("inf") && !p.Is("nan") {
		p.Fail(t.Pos, "found %s, want a number", t)
	}
	p.Next()
	x, err := strconv.ParseFloat(t.Text, 64)
	if err != nil {
		p.Fail(t.Pos, "%q is not a number", t.Text)
	}
	return x
}

// Str takes a quoted string.
func (p *Parser) Str() string {
	t := p.Take(Quoted, "a string")
	s, err := strconv.Unquote(t.Text)
	if err != nil {
		p.Fail(t.Pos, "bad string %s", t.Text)
	}
	return s
}

// List takes items between the brackets open and end, separated by commas.
// A comma behind the last item is allowed, as in Go.
func (p *Parser) List(open, end string, item func()) {
	p.Want(open)
	for !p.Is(end) {
		item()
		if !p.Accept(",") {
			break
		}
	}
	p.Want(end)
}
