package prepare

import (
	"bytes"
	"strings"
)

// kind is a kind of source: which files it takes, how a file falls into
// documents, and how a document becomes text.
type kind struct {
	paths []string               // where a source without Paths looks
	keep  func(name string) bool // which files are taken; nil for all

	// read cuts a file into documents. It runs alone for a unit, so what is
	// costly belongs into text, which runs in the workers.
	read func(in *input, emit emitFunc) error

	whole bool // a document is a file, and has its name

	// anything is set for kinds that tell by themselves what they leave out.
	anything bool

	// text turns a document as read into the text to train on; nil keeps it.
	text func(s *Source, d *rawDoc) (text []byte, use verdict, err error)
}

// emitFunc takes a document. The body is copied.
type emitFunc func(d rawDoc) error

// rawDoc is a document as it stands in its file.
type rawDoc struct {
	file *inputFile
	name string // decides whether it is held out
	body []byte
	line int    // its line in the file, 0 when it has none
	off  int64  // its byte in the decompressed file
	why  string // it is left out, if that is worth telling
}

// verdict is what becomes of a document.
type verdict int

const (
	use     verdict = iota
	leaveIt         // the kind of source excludes it
)

// kinds are the kinds of sources of a spec.
var kinds = map[string]*kind{
	"files":     {whole: true, read: readWhole, text: plainText},
	"jsonl":     {read: readLines, text: jsonText},
	"wet":       {read: readWARC},
	"go_source": {paths: []string{"$GOROOT/src"}, keep: keepGoSource, anything: true, whole: true, read: readWhole, text: goSource},
	"go_docs":   {paths: []string{"$GOROOT/src"}, keep: keepGoDocs, anything: true, whole: true, read: readWhole, text: goDocs},
}

// readWhole makes a whole file one document.
func readWhole(in *input, emit emitFunc) error {
	body, err := in.readAll()
	if err != nil {
		return err
	}
	return emit(rawDoc{file: in.file, name: in.file.name, body: body})
}

// plainText leaves out files that are not text: a folder of source code has
// pictures beside it. A NUL near the beginning is the sign that git and grep go
// by. A byte order mark is no part of the text.
func plainText(_ *Source, d *rawDoc) ([]byte, verdict, error) {
	if a := alienOf(d.body[:min(len(d.body), mostHead)]); a != nil {
		d.why = a.what
		return nil, leaveIt, nil
	}
	return bytes.TrimPrefix(d.body, []byte("\ufeff")), use, nil
}

// inFolder reports whether a file lies below a folder of this name.
func inFolder(name, folder string) bool {
	return strings.HasPrefix(name, folder+"/") || strings.Contains(name, "/"+folder+"/")
}
