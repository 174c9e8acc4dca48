package passes

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// Crash is a panic inside of a pass, or of the verifier behind it: a bug of
// the compiler. Run panics with one.
//
// An error that a pass returns speaks of the user's spec. A broken module does
// not: nothing that the user could write should lead to one, so it travels as a
// panic with all that a report needs.
type Crash struct {
	Pass   string
	Number int // of the pass in its pipeline, from 1
	Value  any // what it panicked with
	Stack  []byte
}

func (c *Crash) Error() string { return fmt.Sprintf("pass %s: %v", c.Pass, c.Value) }

// guard runs one pass and the verifier, and gives a panic of theirs the pass's
// name. A failing verifier is a panic with the module's text.
func guard(u *Unit, p Pass, number int, verify func() error) error {
	defer func() {
		// Deferred, this runs on top of the frames of the panic, so the stack
		// still shows where it was.
		if r := recover(); r != nil {
			panic(&Crash{p.Name, number, r, debug.Stack()})
		}
	}()
	if err := p.Run(u); err != nil {
		return err
	}
	if err := verify(); err != nil {
		// The text is of the module as the pass left it, unverified: that is
		// what has to be looked at.
		panic(fmt.Sprintf("it broke the module: %v\n%s", err, u.Module))
	}
	return nil
}

// Caught runs a pipeline and gives a crash, also a wrapped one, instead of
// panicking with it. Other panics, such as an observer's, go on.
func Caught(u *Unit, pipeline []Pass) (crash *Crash, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(error)
			if !ok || !errors.As(e, &crash) {
				panic(r)
			}
		}
	}()
	return nil, Run(u, pipeline)
}

// Named finds passes of a pipeline by their names, in the order of the names.
//
// A name that the pipeline does not have is an error and not left out: whoever
// replays passes must not be told that all went well when nothing ran.
func Named(pipeline []Pass, names []string) ([]Pass, error) {
	var found []Pass
next:
	for _, name := range names {
		for _, p := range pipeline {
			// Names are unique in a pipeline, so the first is the one.
			if p.Name == name {
				found = append(found, p)
				continue next
			}
		}
		return nil, fmt.Errorf("no pass %q", name)
	}
	return found, nil
}
