package eval

import (
	"strconv"

	"github.com/google/go-jsonnet/ast"
)

// This file traces expressions to the literals that they denote, without
// evaluating them: through local names, imports, fields of objects, self,
// super, object sums and calls of functions. What depends on a computed value
// stays unknown. It is enough to find where a spec sets a field, for a spec is
// a sum of object literals.

// An expr is an expression in the scope where it is written. If parts is set
// it is the sum of them instead: the values of one field in several objects
// joined by +:. If obj is set it is that object.
// It is a value of the tracing: not computed, only known to be written there.
type expr struct {
	node  ast.Node
	sc    *scope
	parts []expr
	obj   object
}

// scope binds names. A scope inside an object knows what self and super are.
type scope struct {
	up    *scope
	vars  map[ast.Identifier]expr
	self  object
	super object
}

// lookup finds the innermost binding, as the language has it.
func (s *scope) lookup(id ast.Identifier) (expr, bool) {
	for ; s != nil; s = s.up {
		if e, ok := s.vars[id]; ok {
			return e, true
		}
	}
	return expr{}, false
}

// A layer is one object literal; an object is a sum of layers, the last one
// winning.
type (
	layer struct {
		lit *ast.DesugaredObject
		sc  *scope // around the literal
	}
	object []layer
)

// inside is the scope of the fields of layer i. It is made anew for each
// object that the literal becomes a part of: self differs.
// A literal that is used twice, as a library's base object is, has two
// different selfs.
func (o object) inside(i int) *scope {
	s := &scope{up: o[i].sc, vars: map[ast.Identifier]expr{}, self: o, super: o[:i:i]}
	for _, b := range o[i].lit.Locals {
		s.vars[b.Variable] = expr{node: b.Body, sc: s}
	}
	return s
}

// field collects the expressions that make up a field, the winner last; with
// +: there may be several. It is empty when no layer has the field.
// Names that are computed are skipped: nobody knows them without evaluating.
func (o object) field(name string) []expr {
	var out []expr
	// From the first layer to the last, as the sum is written.
	for i, l := range o {
		for _, f := range l.lit.Fields {
			if n, ok := f.Name.(*ast.LiteralString); ok && n.Value == name {
				// A plain colon hides what stands to the left.
				if !f.PlusSuper {
					out = nil
				}
				out = append(out, expr{node: f.Body, sc: o.inside(i)})
			}
		}
	}
	return out
}

// resolver counts its steps, so that a document made to grow without end in
// the tracing (but not in the evaluation, which has its own limits) stops.
type resolver struct {
	files *fileSet
	steps int
	depth int
}

const (
	// What runs out of steps only loses positions.
	maxSteps = 200_000
	maxDepth = 200
)

// enter counts the nesting of object, elements and call, through which a
// definition that refers to itself recurses.
func (r *resolver) enter() bool {
	r.depth++
	return r.depth <= maxDepth
}

func (r *resolver) leave() { r.depth-- }

// head follows names, imports, indexing and calls until a literal, a sum or a
// condition is reached.
// Every step counts, so two names that stand for each other end here as well.
func (r *resolver) head(e expr) (expr, bool) {
	for {
		if r.steps++; r.steps > maxSteps {
			return expr{}, false
		}
		if e.parts != nil || e.obj != nil {
			return e, true
		}
		ok := true
		switch n := e.node.(type) {
		case nil:
			return expr{}, false
		// Bindings see each other and themselves, so they are closed over the
		// scope that they are in.
		case *ast.Local:
			s := &scope{up: e.sc, vars: map[ast.Identifier]expr{}}
			if e.sc != nil {
				s.self, s.super = e.sc.self, e.sc.super
			}
			for _, b := range n.Binds {
				s.vars[b.Variable] = expr{node: b.Body, sc: s}
			}
			e = expr{node: n.Body, sc: s}
		case *ast.Var:
			e, ok = e.sc.lookup(n.Id)
		// A file has no scope but its own.
		case *ast.Import:
			root := r.files.imported(n)
			e, ok = expr{node: root}, root != nil
		// The whole object, with all layers: late binding, as in the
		// evaluation.
		case *ast.Self:
			if e.sc == nil || e.sc.self == nil {
				return expr{}, false
			}
			return expr{obj: e.sc.self}, true
		case *ast.Index:
			e, ok = r.index(expr{node: n.Target, sc: e.sc}, n.Index)
		case *ast.SuperIndex:
			if e.sc == nil || e.sc.super == nil {
				return expr{}, false
			}
			e, ok = r.index(expr{obj: e.sc.super}, n.Index)
		case *ast.Apply:
			e, ok = r.call(n, e.sc)
		default:
			return e, true
		}
		if !ok {
			return expr{}, false
		}
	}
}

// index follows a field or an element whose name stands in the text.
func (r *resolver) index(target expr, index ast.Node) (expr, bool) {
	switch ix := index.(type) {
	case *ast.LiteralString:
		o := r.object(target)
		for _, l := range o {
			// Looking through fields is work too.
			r.steps += len(l.lit.Fields)
		}
		parts := o.field(ix.Value)
		if len(parts) == 1 {
			return parts[0], true
		}
		return expr{parts: parts}, len(parts) > 0
	case *ast.LiteralNumber:
		elems, _ := r.elements(target)
		if i, err := strconv.Atoi(ix.OriginalString); err == nil && i >= 0 && i < len(elems) {
			return elems[i], true
		}
	}
	return expr{}, false
}

// call enters the body of a function with its parameters bound.
// Constructors of nodes are such functions: tracing through them finds the
// arguments, which stand in the user's file.
func (r *resolver) call(n *ast.Apply, caller *scope) (expr, bool) {
	defer r.leave()
	if !r.enter() {
		return expr{}, false
	}
	// The function's own scope is where it was written; arguments keep the
	// caller's.
	target, ok := r.head(expr{node: n.Target, sc: caller})
	if !ok {
		return expr{}, false
	}
	fn, ok := target.node.(*ast.Function)
	if !ok || len(n.Arguments.Positional) > len(fn.Parameters) {
		return expr{}, false
	}
	s := &scope{up: target.sc, vars: map[ast.Identifier]expr{}}
	if target.sc != nil {
		s.self, s.super = target.sc.self, target.sc.super
	}
	for i, p := range fn.Parameters {
		if i < len(n.Arguments.Positional) {
			s.vars[p.Name] = expr{node: n.Arguments.Positional[i].Expr, sc: caller}
		} else if p.DefaultArg != nil {
			// Defaults see the other parameters.
			s.vars[p.Name] = expr{node: p.DefaultArg, sc: s}
		}
	}
	for _, a := range n.Arguments.Named {
		s.vars[a.Name] = expr{node: a.Arg, sc: caller}
	}
	return expr{node: fn.Body, sc: s}, true
}

// object traces e to the layers of an object. Of a condition both branches are
// taken: at worst a position is given for a field that is not there.
// What is found may have layers that do not hold; a field's true value comes
// from the evaluation alone.
func (r *resolver) object(e expr) object {
	defer r.leave()
	if !r.enter() {
		return nil
	}
	e, ok := r.head(e)
	if !ok {
		return nil
	}
	if e.obj != nil {
		return e.obj
	}
	// Layers side by side, the later ones winning.
	both := func(es ...expr) (o object) {
		for _, e := range es {
			o = append(o, r.object(e)...)
			r.steps += len(o)
		}
		return o
	}
	if e.parts != nil {
		return both(e.parts...)
	}
	switch n := e.node.(type) {
	case *ast.DesugaredObject:
		return object{{n, e.sc}}
	case *ast.Binary:
		if n.Op == ast.BopPlus {
			return both(expr{node: n.Left, sc: e.sc}, expr{node: n.Right, sc: e.sc})
		}
	case *ast.Conditional:
		// The branch taken when the condition holds wins, for most conditions
		// in specs are of the form "if given".
		return both(expr{node: n.BranchFalse, sc: e.sc}, expr{node: n.BranchTrue, sc: e.sc})
	}
	return nil
}

// elements traces e to the elements of an array. complete is false when
// further elements may follow those returned.
// Comprehensions and std.map are computed, and end the list.
func (r *resolver) elements(e expr) (elems []expr, complete bool) {
	defer r.leave()
	if !r.enter() {
		return nil, false
	}
	e, ok := r.head(e)
	if !ok {
		return nil, false
	}
	// Arrays joined by +, as model.block + [...] is.
	parts := e.parts
	switch n := e.node.(type) {
	case *ast.Array:
		for _, el := range n.Elements {
			elems = append(elems, expr{node: el.Expr, sc: e.sc})
		}
		return elems, true
	case *ast.Binary:
		if n.Op == ast.BopPlus {
			parts = []expr{{node: n.Left, sc: e.sc}, {node: n.Right, sc: e.sc}}
		}
	}
	for _, p := range parts {
		sub, complete := r.elements(p)
		elems = append(elems, sub...)
		if r.steps += len(elems); !complete {
			return elems, false
		}
	}
	return elems, parts != nil
}
