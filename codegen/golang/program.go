package golang

import (
	"fmt"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/llamac/llamac/codegen"
	"github.com/llamac/llamac/plan"
)

// printed is one program turned into Go.
//
// It is printed twice over: the lines first, and then, when it is known which
// variables they use, the declarations in front of them.
type printed struct {
	p      *printer
	main   []string
	mainU  map[string]bool
	bodies []layerFunc
	trace  []traceSection
}

// print emits a program: the lines of its method, and a method for each loop's
// body.
//
// live names the sizes that vary; nil where all are constants.
func (g *generator) print(q *plan.Program, scratch string, live map[string]string) (*printed, error) {
	p := &printer{g: g, prog: q, live: live, scratch: scratch, fields: newNames(), uses: map[string]bool{}}
	if err := codegen.Emit(q, &goEmitter{p}, false); err != nil {
		return nil, err
	}
	return &printed{p: p, main: p.out, mainU: p.uses, bodies: p.bodies, trace: p.trace}, nil
}

// goEmitter prints loops as loops.
//
// Unrolled layers would be as readable as a table of numbers, so this target
// asks Emit for loops.
type goEmitter struct{ p *printer }

func (e *goEmitter) Launch(l *plan.Launch, _ codegen.Place) error { return e.p.Launch(l) }
func (e *goEmitter) Copy(c *plan.Copy, _ codegen.Place) error     { return e.p.Copy(c) }
func (e *goEmitter) Comm(c *plan.Comm, _ codegen.Place) error {
	return fmt.Errorf("target go: %s: one process has nothing to communicate with", c.Op)
}

// The lines of the body are collected apart; End puts them into a method.
func (e *goEmitter) Loop(l *plan.Loop) error {
	p := e.p
	p.outer, p.outerU = p.out, p.uses
	p.out, p.uses, p.loop = nil, map[string]bool{}, l
	return nil
}

// End puts the loop's body into a method of its own and its call into the
// program.
func (e *goEmitter) End(l *plan.Loop) error {
	p := e.p
	f := layerFunc{name: methodName(p.prog, l), lines: p.out, uses: p.uses, reverse: l.Reverse, saved: p.block}
	f.doc = fmt.Sprintf("%s runs @%s of the IR for layer l.", f.name, l.Func)
	p.bodies = append(p.bodies, f)
	p.out, p.uses, p.loop = p.outer, p.outerU, nil
	args := "l"
	// mode is the one local variable of the program that a layer needs and that
	// is no input.
	for _, name := range []string{"mode"} {
		if f.uses[name] {
			args += ", " + name
			p.uses[name] = true
		}
	}
	// Inputs and live sizes come as arguments, in a fixed order that
	// layerMethods repeats.
	for _, a := range p.layerInputs(f) {
		args += ", " + a
	}
	// A segment of a single layer needs no loop.
	if l.To == l.From+1 && p.g.in.Plan.Layers() > 1 {
		p.line("t.%s(%d%s)", f.name, l.From, strings.TrimPrefix(args, "l"))
		return nil
	}
	// The backward goes down. The bounds are the segment's, and the last layer
	// is named where it is the model's.
	if l.Reverse {
		p.line("for l := %d; l >= %d; l-- {", l.To-1, l.From)
	} else if l.From == 0 {
		p.line("for l := range %s {", layersExpr(p.g, l.To))
	} else {
		p.line("for l := %d; l < %s; l++ {", l.From, layersExpr(p.g, l.To))
	}
	p.line("t.%s(%s)", f.name, args)
	p.line("}")
	return nil
}

func layersExpr(g *generator, to int) string {
	if to == g.in.Plan.Layers() {
		return "Layers"
	}
	return fmt.Sprint(to)
}

// methodName is layer, layerBwd, evalLayer, decodeLayer.
//
// The training program's names are the shortest, as it is read the most; others
// carry the program's name.
func methodName(q *plan.Program, l *plan.Loop) string {
	if q.Name == "micro_step" {
		return ident(l.Func)
	}
	return ident(q.Name + "." + l.Func)
}

// layerInputs are the program's inputs and live sizes that a layer's method
// takes as arguments.
//
// They are found in the printed text, since kernels decide what they mention.
func (p *printer) layerInputs(f layerFunc) []string {
	var out []string
	text := strings.Join(f.lines, "\n")
	for _, b := range p.prog.Inputs {
		if hasWord(text, ident(b.Name)) {
			out = append(out, ident(b.Name))
		}
	}
	for _, sym := range []string{"N", "R"} {
		if e, ok := p.live[sym]; ok && hasWord(text, e) {
			out = append(out, e)
		}
	}
	return out
}

// hasWord reports whether a name occurs in lines of code, comments aside.
//
// A name inside of another, or behind a dot, is another name: so words keep
// their dots.
func hasWord(text, name string) bool {
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, "//") {
			continue
		}
		// Whatever cannot be part of a name or a selector ends a word.
		for _, w := range strings.FieldsFunc(line, func(r rune) bool {
			return !(r == '_' || r == '.' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z')
		}) {
			if w == name {
				return true
			}
		}
	}
	return false
}

// prelude declares the local variables that the lines use. saved is what the
// layer stores.
//
// The short names keep calls on one line: d is the device, b the scratch, w and
// g the layer's weights and gradients, s what it stores and next what the next
// layer stores.
func (p *printer) prelude(uses map[string]bool, saved string) []string {
	var lines []string
	add := func(name, expr string) {
		if uses[name] {
			lines = append(lines, name+" := "+expr)
		}
	}
	add("d", "t.dev")
	add("b", "&t."+p.scratch)
	add("w", "&t.w.layers[l]")
	add("g", "&t.g.layers[l]")
	add("s", "&"+saved)
	// There is one more element than layers, for the result of the last.
	add("next", "&t.saved[l+1]")
	return lines
}

// layerMethods prints the methods of a program's loops.
func (g *generator) layerMethods(f *jen.File, r *printed, receiver string) {
	for _, m := range r.bodies {
		// l is always the first argument.
		params := []jen.Code{jen.Id("l").Int()}
		if m.uses["mode"] {
			params = append(params, jen.Id("mode").Qual(g.cpu(), "Mode"))
		}
		for _, a := range r.p.layerInputs(m) {
			// Sizes are int, inputs are the ids and positions of the program,
			// int32 as data has them.
			if a == r.p.live["N"] || a == r.p.live["R"] {
				params = append(params, jen.Id(a).Int())
			} else {
				params = append(params, jen.Id(a).Index().Int32())
			}
		}
		f.Comment(m.doc)
		f.Func().Params(jen.Id("t").Op("*").Id(receiver)).Id(m.name).Params(params...).
			Block(g.body(append(r.p.prelude(m.uses, m.saved), m.lines...))...)
		f.Line()
	}
}

// scratchType prints the struct of a program's scratch buffers and the lines
// that point them into the arena.
func (g *generator) scratchType(f *jen.File, r *printed, typ, doc string) []string {
	// Buffers of other regions have their structs elsewhere, and a buffer that
	// no line mentions needs no field.
	var fields []jen.Code
	var lines []string
	for _, b := range r.p.prog.Buffers {
		name, ok := r.p.fields.of[b]
		if b.Region != plan.Scratch || !ok {
			continue
		}
		fields = append(fields, jen.Id(name).Index().Float32().Comment(shape(b.Dims)))
		// Offsets and sizes of the plan are bytes.
		lines = append(lines, fmt.Sprintf("%s: act[%d:][:%d],", name, b.Offset/4, b.Bytes/4))
	}
	f.Comment(doc)
	f.Type().Id(typ).Struct(fields...)
	f.Line()
	return lines
}

// traceVar prints the list of a program's launches.
//
// A section in a loop counts once a layer, in the loop's direction; without a
// loop, once.
func (g *generator) traceVar(f *jen.File, r *printed, name string) {
	var rows []jen.Code
	for _, t := range r.trace {
		var quoted []string
		for _, n := range t.nodes {
			quoted = append(quoted, fmt.Sprintf("%q", n))
		}
		s := "Nodes: []string{" + strings.Join(quoted, ", ") + "}"
		if t.loop != nil {
			s = fmt.Sprintf("Layers: %d, Reverse: %v, ", t.loop.To-t.loop.From, t.loop.Reverse) + s
			// From is left out where it is 0, so that packages with one segment
			// keep their bytes.
			if t.loop.From > 0 {
				s = fmt.Sprintf("From: %d, ", t.loop.From) + s
			}
		}
		rows = append(rows, jen.Line().Values(jen.Id(s)))
	}
	f.Comment(name + " leads from a launch's number back to the node of the IR.")
	f.Var().Id(name).Op("=").Qual(g.modelPkg(), "Trace").Values(append(rows, jen.Line())...)
	f.Line()
}
