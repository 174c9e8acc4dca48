// Package codegen prints plans as programs. A target decides how a launch
// looks in its language; what runs when and where its operands lie is the
// plan's.
package codegen

import (
	"fmt"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/plan"
	"github.com/llamac/llamac/specs"
)

// Target prints one kind of program.
type Target interface {
	Name() string
	Doc() string
	// Generate prints the package's files, sorted by name.
	Generate(Input) ([]File, error)
	// Unsupported says why the target has no kernel for an op of the IR, or
	// is empty. Plans with such launches are refused before Generate is called.
	Unsupported(op string) string
}

// Input is what a target prints.
// The spec is there for names, the recipe and positions of errors; what is
// computed is all in the plan.
type Input struct {
	Spec    *specs.Spec
	Plan    *plan.Plan
	Package string // name of the generated package
	Runtime string // import path in front of /runtime/cpu, /runtime/model, ...
	Version string // of llamac
	Tests   Tests
}

// Tests says which tests a target prints beside the program.
type Tests int

const (
	NoTests      Tests = iota
	LayoutTests        // shapes and counts: for models too large to run
	NumericTests       // also results, against an oracle's in testdata
)

// File is one generated file.
type File struct {
	Name string
	Data []byte
}

// Emitter receives a program's items in order. Streams and signals are on the
// launches; a target that builds graphs adds a node at each call, one that
// prints source adds a line.
type Emitter interface {
	Launch(*plan.Launch, Place) error
	Copy(*plan.Copy, Place) error
	Comm(*plan.Comm, Place) error
	// Loop begins a loop over layers and End ends it. They are not called
	// when loops are unrolled.
	Loop(*plan.Loop) error
	End(*plan.Loop) error
}

// Place is where in a loop an item stands.
type Place struct {
	Loop  *plan.Loop // nil outside
	Layer int        // of an unrolled loop, else -1
}

// Emit walks a program. With unroll each loop's body is emitted once a layer,
// in the order in which the layers run, as launches of a device graph are.
// A target never decides an order: two targets that print the same plan do the
// same work in the same order.
func Emit(p *plan.Program, e Emitter, unroll bool) error {
	return emit(p.Items, e, unroll, Place{Layer: -1})
}

// emit walks the items of a program or of a loop's body.
func emit(items []plan.Item, e Emitter, unroll bool, at Place) error {
	for _, it := range items {
		var err error
		switch x := it.(type) {
		case *plan.Launch:
			if err = e.Launch(x, at); err != nil {
				err = &ir.ValueError{Value: x.Name, Err: err} // what no target can do, the spec asked for
			}
		case *plan.Copy:
			err = e.Copy(x, at)
		case *plan.Comm:
			err = e.Comm(x, at)
		case *plan.Loop:
			err = emitLoop(x, e, unroll)
		default:
			err = fmt.Errorf("codegen: item %T", it)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// emitLoop hands a loop over as one, or layer by layer.
func emitLoop(l *plan.Loop, e Emitter, unroll bool) error {
	if !unroll {
		if err := e.Loop(l); err != nil {
			return err
		}
		if err := emit(l.Body, e, unroll, Place{l, -1}); err != nil {
			return err
		}
		return e.End(l)
	}
	// The backward's loop runs downwards.
	for i := range l.To - l.From {
		layer := l.From + i
		if l.Reverse {
			layer = l.To - 1 - i
		}
		if err := emit(l.Body, e, unroll, Place{l, layer}); err != nil {
			return err
		}
	}
	return nil
}
