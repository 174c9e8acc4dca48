package prepare

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// keepGoSource takes Go files that belong to the tree itself. Tests are taken:
// Exclude: ["*_test.go"] leaves them out.
func keepGoSource(name string) bool {
	return strings.HasSuffix(name, ".go") && !inFolder(name, "vendor") && !inFolder(name, "testdata")
}

// keepGoDocs takes Go files for their comments, and text files. Test data of a
// package is not for reading, but a tree's own testdata holds whole books:
// src/testdata/Isaac.Newton-Opticks.txt.
func keepGoDocs(name string) bool {
	if strings.HasSuffix(name, ".go") {
		return keepGoSource(name) && !strings.HasSuffix(name, "_test.go")
	}
	if dir := path.Dir(name); dir != "testdata" && dir != "src/testdata" && inFolder(name, "testdata") {
		return false
	}
	return !inFolder(name, "vendor") && (strings.HasSuffix(name, ".md") || strings.HasSuffix(name, ".txt"))
}

// goSource leaves out generated files and tables of numbers, as the LLaMA
// paper drops files of GitHub by their share of alphanumeric characters.
func goSource(_ *Source, d *rawDoc) ([]byte, verdict, error) {
	if generated(d.body) || tableOfNumbers(d.body) {
		return nil, leaveIt, nil
	}
	return d.body, use, nil
}

// tableOfNumbers reports whether more than a tenth of a file is digits: in the
// Go distribution these are 5% of the files and half of all digits.
func tableOfNumbers(src []byte) bool {
	digits := 0
	// Bytes are enough: digits are ASCII.
	for _, c := range src {
		if '0' <= c && c <= '9' {
			digits++
		}
	}
	return digits*10 > len(src)
}

// generated looks for the line by which Go tools know generated files
// (https://go.dev/s/generatedcode): "// Code generated ... DO NOT EDIT.", before
// the package clause.
// Files of hundred thousand lines are common among these, and nobody writes
// like that.
func generated(src []byte) bool {
	for len(src) > 0 {
		var line []byte
		line, src, _ = bytes.Cut(src, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		if bytes.HasPrefix(line, []byte("// Code generated ")) && bytes.HasSuffix(line, []byte(" DO NOT EDIT.")) {
			return true
		}
		if bytes.HasPrefix(line, []byte("package ")) {
			return false
		}
	}
	return false
}

// goDocs turns a Go file into the prose of its documentation: the package
// comment and those of exported declarations, in their order, as paragraphs.
// Other files must read like English.
//
// It goes file by file, not package by package, so that a document has the
// name of the file whose text it repeats: of a file that is held out of the
// source code, the comments are held out as well.
func goDocs(_ *Source, d *rawDoc) ([]byte, verdict, error) {
	if !strings.HasSuffix(d.file.name, ".go") {
		if !english(d.body) {
			return nil, leaveIt, nil
		}
		return d.body, use, nil
	}
	if generated(d.body) {
		return nil, leaveIt, nil
	}
	// The parser of the toolchain that llamac was built with; comments are all
	// that is wanted.
	f, err := parser.ParseFile(token.NewFileSet(), "", d.body, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, leaveIt, nil // not Go of this toolchain
	}
	var p prose
	p.add(f.Doc)
	// Methods count as functions: their names begin with a capital or do not.
	for _, decl := range f.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Name.IsExported() {
				p.add(decl.Doc)
			}
		case *ast.GenDecl:
			p.group(decl)
		}
	}
	// A line or two are a fragment rather than a document.
	if p.b.Len() < 200 {
		return nil, leaveIt, nil
	}
	return p.b.Bytes(), use, nil
}

// prose collects comments with an empty line between them.
type prose struct{ b bytes.Buffer }

// add appends a comment without its marks. Text drops directives such as
// //go:build.
func (p *prose) add(c *ast.CommentGroup) {
	text := strings.TrimSpace(c.Text()) // of a comment in /* */, the space after the star too
	if text == "" {
		return
	}
	if p.b.Len() > 0 {
		p.b.WriteByte('\n')
	}
	p.b.WriteString(text)
	p.b.WriteByte('\n')
}

// group adds the comments of a declaration of constants, variables or types.
func (p *prose) group(decl *ast.GenDecl) {
	// The comment above the parentheses speaks for all, and is taken if any of
	// the names inside can be seen from outside.
	docs := []*ast.CommentGroup{decl.Doc}
	exported := false
	for _, spec := range decl.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Name.IsExported() {
				exported = true
				docs = append(docs, spec.Doc)
			}
		case *ast.ValueSpec:
			for _, n := range spec.Names {
				if n.IsExported() {
					exported = true
					docs = append(docs, spec.Doc)
					break
				}
			}
		}
	}
	if !exported {
		return
	}
	for _, c := range docs {
		p.add(c)
	}
}

// englishWords are the commonest words of English, which make up about a
// quarter of any prose and next to nothing of tables, test vectors or code.
var englishWords = map[string]bool{
	"the": true, "of": true, "and": true, "to": true, "in": true, "is": true, "that": true, "it": true,
	"for": true, "as": true, "with": true, "be": true, "by": true, "on": true, "are": true, "this": true,
	"not": true, "or": true, "from": true, "which": true, "an": true, "if": true, "at": true, "will": true,
}

// english reports whether text reads like English prose: at least 500 bytes,
// UTF-8, most of it letters and spaces, every seventh word a common one.
func english(text []byte) bool {
	if len(text) < 500 || !utf8.Valid(text) {
		return false
	}
	// A quarter of a megabyte tells what the rest is.
	text = text[:min(len(text), 1<<18)]
	plain, all := 0, 0
	for _, r := range string(text) {
		all++
		if unicode.IsLetter(r) || r == ' ' || r == '\n' {
			plain++
		}
	}
	common, words := 0, 0
	for _, w := range bytes.Fields(text) {
		words++
		if len(w) <= 5 && englishWords[strings.ToLower(string(w))] {
			common++
		}
	}
	// Books and read-mes pass; tables and test vectors do not.
	return plain*10 >= all*8 && common*7 >= words
}
