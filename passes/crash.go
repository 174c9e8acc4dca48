package passes

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// Crash is a panic inside of a pass, or of the verifier behind it: a bug of
// the compiler. Run panics with one.
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
		if r := recover(); r != nil {
			panic(&Crash{p.Name, number, r, debug.Stack()})
		}
	}()
	if err := p.Run(u); err != nil {
		return err
	}
	if err := verify(); err != nil {
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
func Named(pipeline []Pass, names []string) ([]Pass, error) {
	var found []Pass
next:
	for _, name := range names {
		for _, p := range pipeline {
			if p.Name == name {
				found = append(found, p)
				continue next
			}
		}
		return nil, fmt.Errorf("no pass %q", name)
	}
	return found, nil
}
