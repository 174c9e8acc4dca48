// Command scango says how many sample files read as Go: go/scanner finds no
// error in them, a cut-off last line aside, and they hold func, return and a
// block that closes. It is how docs/benchmarks.md judges what gopher writes.
//
//	go run ./internal/scango runs/gopher/samples/step-00001000-*.txt
package main

import (
	"bytes"
	"fmt"
	"go/scanner"
	"go/token"
	"os"
)

func main() {
	good := 0
	for _, name := range os.Args[1:] {
		src, err := os.ReadFile(name)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		// Each is named with its verdict, so that a reader can look at what was
		// counted.
		v := judge(src)
		if v == "" {
			good++
			v = "ok"
		}
		fmt.Printf("%s: %s\n", name, v)
	}
	fmt.Printf("%d of %d samples read as Go\n", good, len(os.Args)-1)
}

// judge says what keeps a text from reading as Go, or nothing.
// It is a judgement of shape, not of sense: a scanner knows tokens and strings,
// but neither types nor whether a call has a parenthesis too few.
func judge(src []byte) string {
	// A sample ends where its tokens ran out, often within a word.
	if i := bytes.LastIndexByte(src, '\n'); i >= 0 {
		src = src[:i+1]
	}
	file := token.NewFileSet().AddFile("", -1, len(src))
	var problem string
	var s scanner.Scanner
	// Comments are skipped; a string or a rune that does not end is an error,
	// which is what a wandering model writes.
	s.Init(file, src, func(pos token.Position, msg string) {
		// The first error is the cause of most that follow.
		if problem == "" {
			problem = fmt.Sprintf("line %d: %s", pos.Line, msg)
		}
	}, 0)
	// Counted because an empty text, or a list of constants, has no errors
	// either.
	var funcs, returns, depth, closed int
	for {
		_, tok, _ := s.Scan()
		switch tok {
		case token.EOF:
			switch {
			case problem != "":
				return problem
			case funcs == 0:
				return "no func"
			case returns == 0:
				return "no return"
			case closed == 0:
				return "no block that closes"
			}
			return ""
		case token.FUNC:
			funcs++
		case token.RETURN:
			returns++
		case token.LBRACE:
			depth++
		case token.RBRACE:
			// A brace that closes what the prompt opened counts as nothing, and
			// is no error: the text may begin anywhere.
			if depth > 0 {
				depth--
				closed++
			}
		}
	}
}
