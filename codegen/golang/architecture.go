package golang

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/llamac/llamac/internal/architecture"
)

// architecture prints what the nodes of the spec compute, part by part. What a
// model does not have is not said.
func (g *generator) architecture() jen.Code {
	// By reflection, so that a field added to model.Architecture is printed too.
	v := reflect.ValueOf(architecture.Of(g.in.Spec))
	var lines []jen.Code
	for i := range v.NumField() {
		if f := v.Field(i); !f.IsZero() {
			lines = append(lines, jen.Line().Add(g.body([]string{v.Type().Field(i).Name + ": " + goLiteral(f)})[0]))
		}
	}
	return jen.Qual(g.modelPkg(), "Architecture").Values(append(lines, jen.Line())...)
}

// goLiteral prints a value of package model's types, without fields that are
// zero.
func goLiteral(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Struct:
		return v.Type().String() + fieldsOf(v)
	case reflect.Slice:
		// The elements' type stands in front of all of them.
		var elems []string
		for i := range v.Len() {
			elems = append(elems, fieldsOf(v.Index(i)))
		}
		return v.Type().String() + "{" + strings.Join(elems, ", ") + "}"
	case reflect.String:
		return fmt.Sprintf("%q", v.Interface())
	}
	return fmt.Sprint(v.Interface())
}

// fieldsOf prints a struct's fields in braces.
func fieldsOf(v reflect.Value) string {
	var fields []string
	for i := range v.NumField() {
		if f := v.Field(i); !f.IsZero() {
			fields = append(fields, v.Type().Field(i).Name+": "+goLiteral(f))
		}
	}
	return "{" + strings.Join(fields, ", ") + "}"
}
