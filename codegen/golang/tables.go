package golang

import (
	"fmt"
	"strings"

	"github.com/dave/jennifer/jen"
)

// tables prints tables.go: what depends on constants alone.
//
// RoPE's cosines and sines are the largest of them.
func (g *generator) tables() (*jen.File, error) {
	q := g.in.Plan.Program("tables")
	f := g.file()
	// No layers, no live sizes, and no scratch: everything is written to the
	// tables themselves.
	r, err := g.print(q, "", nil)
	if err != nil {
		return nil, err
	}
	var fields []jen.Code
	// One allocation for all.
	lines := []string{fmt.Sprintf("a := make([]float32, %d)", g.in.Plan.Arena("tables")/4), "t := &tables{"}
	for _, b := range q.Buffers {
		name := g.tableNames.get(b, b.Name)
		fields = append(fields, jen.Id(name).Index().Float32().Comment(shape(b.Dims)))
		lines = append(lines, fmt.Sprintf("%s: a[%d:][:%d],", name, b.Offset/4, b.Bytes/4))
	}
	lines = append(lines, "}")
	for _, l := range r.main {
		// Here t is the struct of tables itself, and in the programs it is what
		// holds it.
		lines = append(lines, strings.ReplaceAll(l, "t.tables.", "t."))
	}
	f.Comment("tables are computed once: they depend on constants alone.")
	f.Type().Id("tables").Struct(fields...)
	f.Line()
	f.Func().Id("newTables").Params(jen.Id("d").Op("*").Qual(g.cpu(), "Device")).Op("*").Id("tables").
		Block(g.body(append(lines, "return t"))...)
	f.Line()
	g.declareVars(f)
	return f, nil
}

// readsTables reports whether a program reads a table.
//
// Lines are looked through, as only they know. The name cannot occur in
// anything else: it has two dots.
func (g *generator) readsTables(r *printed) bool {
	for _, l := range r.main {
		if strings.Contains(l, "t.tables.") {
			return true
		}
	}
	for _, b := range r.bodies {
		for _, l := range b.lines {
			if strings.Contains(l, "t.tables.") {
				return true
			}
		}
	}
	return false
}
