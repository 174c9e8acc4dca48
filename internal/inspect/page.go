// Package inspect shows what the compiler does to a model: the graph after
// every pass, each value's way through the passes into the plan and to the
// generated line, and where buffers lie in memory and for how long.
//
// Text prints the passes as differences. HTML writes one page that needs
// nothing from anywhere: its data is compact JSON that this package makes, its
// script only draws.
//
//	spec ─▶ compile ─▶ columns      a snapshot after each pass      snapshot.go
//	                     │          compared with the one before    compare.go
//	                     ├────▶ programs     times, launches        programs.go
//	                     │      places       value ─▶ buffer        places.go
//	                     └────▶ generated    launch ─▶ line of Go   generated.go
//
// What the page knows of a value it knows by name: a value keeps its name
// through the passes, and one that a pass takes away is followed to the values
// that it was computed for. Nothing of this asks passes or targets to keep
// records for it: all is read off what they make, and tests compare it with
// that.
package inspect

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html"
	"io"

	"github.com/llamac/llamac/internal/compile"
	"github.com/llamac/llamac/specs"
)

// page is the data of the page. Keys are short because there are many.
type page struct {
	Name      string         `json:"name"`
	Doc       string         `json:"doc"`
	File      string         `json:"file"`
	Version   string         `json:"version"`
	Layers    int            `json:"layers"`
	Figure    compile.Figure `json:"figure"`
	Sizes     []size         `json:"sizes"`
	Weights   []weight       `json:"weights"`
	Lines     []*line        `json:"lines"`
	Pipelines []*pipeline    `json:"pipelines"`
	Sources   []source       `json:"sources"`
	Note      string         `json:"note,omitempty"` // why there is no generated code
}

// size is the number that a symbol of shapes stands for.
type size struct {
	Name string `json:"n"`
	Size int64  `json:"s"`
}

// weight is where a weight lies: layer l's at Offset + l·Stride bytes of the
// arena "weights", and the same for its gradient in "grads".
type weight struct {
	Name   string `json:"n"`
	Type   string `json:"t"`
	Layers int    `json:"l,omitempty"`
	Offset int64  `json:"o"`
	Stride int64  `json:"s,omitempty"`
	Bytes  int64  `json:"b"` // of one layer's tensor
}

// line is a line of text, stored once however many columns show it.
type line struct {
	Text  string `json:"t"`
	FLOPs int64  `json:"f,omitempty"` // of one run of the line
	Moved int64  `json:"m,omitempty"` // bytes of its operands and results
}

// pipeline is one table of passes with the programs that come out of it.
type pipeline struct {
	Mode     string             `json:"mode"`
	Columns  []*column          `json:"columns"`
	Programs []*program         `json:"programs"`
	Places   map[string][]place `json:"places"` // key of a value -> where it lies, a program each
}

// column is the graph, or the plan, after one pass.
type column struct {
	Pass    string              `json:"pass"`
	Doc     string              `json:"doc"`
	Stats   []stat              `json:"stats,omitempty"` // rules that fired
	Plan    bool                `json:"plan,omitempty"`
	Same    bool                `json:"same,omitempty"` // the pass changed nothing: blocks are the column's before
	Nodes   int                 `json:"nodes"`          // or launches
	FLOPs   int64               `json:"flops"`          // of one run of the main program
	Moved   int64               `json:"moved"`          // bytes that the nodes of that run read and write
	New     int                 `json:"new,omitempty"`
	Changed int                 `json:"changed,omitempty"`
	Gone    int                 `json:"gone,omitempty"`
	Blocks  []*block            `json:"blocks,omitempty"`
	Fates   map[string][]string `json:"fates,omitempty"` // value that the pass took away -> values it was for
}

type stat struct {
	Rule  string `json:"r"`
	Count int    `json:"n"`
}

// block is a function, a program of a plan, or declarations.
type block struct {
	Name  string `json:"name"`            // "@layer", "micro_step", "weights"
	Group string `json:"group,omitempty"` // in front of the values' names: see key
	Head  *row   `json:"head,omitempty"`
	Rows  []row  `json:"rows"`
}

// row is a line in a column: its index in Lines, flags, and for a changed line
// the one that it replaced, else -1. An array, since a page has some thousand.
type row [3]int

// Flags of a row.
const (
	flagNew     = 1 << iota // was not there before the pass
	flagChanged             // defines what another line defined before
	flagGone                // the next pass that changes something takes it away
	flagAltered             // the next pass that changes something rewrites it
	flagLayer               // in a plan: inside a loop over layers
)

// source is a generated file.
type source struct {
	Name  string   `json:"name"`
	Lines []string `json:"lines"`
}

//go:embed page.html
var shell []byte

//go:embed page.css
var style []byte

//go:embed columns.js
var columnsJS []byte

//go:embed follow.js
var followJS []byte

//go:embed memory.js
var memoryJS []byte

//go:embed page.js
var pageJS []byte

// HTML writes the page of a spec. The same spec gives the same bytes.
func HTML(w io.Writer, s *specs.Spec, o Options) error {
	p, err := collect(s, o)
	if err != nil {
		return err
	}
	data, err := json.Marshal(p) // escapes <, > and &: safe inside of a script element
	if err != nil {
		return err
	}
	// One script, not modules: a page opened from a file may not import.
	script := bytes.Join([][]byte{columnsJS, followJS, memoryJS, pageJS}, []byte("\n"))
	out := shell
	for _, part := range []struct {
		mark string
		text []byte
	}{{"/*style*/", style}, {"{{title}}", []byte(html.EscapeString(p.Name))}, {"/*script*/", script}, {"{{data}}", data}} {
		before, after, _ := bytes.Cut(out, []byte(part.mark))
		out = bytes.Join([][]byte{before, part.text, after}, nil)
	}
	_, err = w.Write(out)
	return err
}
