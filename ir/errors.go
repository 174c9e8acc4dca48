package ir

import "fmt"

// ValueError is what is wrong with one value of a module. Passes and targets
// report with it what a model asks for and they cannot do. They know no file;
// whoever built the module can find by the value's name what was written there,
// since passes derive names from those that they replace.
type ValueError struct {
	Value string // its name: attn.q, d.attn.q, attn.q.again
	Err   error
}

func (e *ValueError) Error() string { return e.Err.Error() }

// Unwrap gives the error without the value.
func (e *ValueError) Unwrap() error { return e.Err }

// Errorf is an error about the value. The text should name it as well, for
// readers of a module without a file.
func (v *Value) Errorf(format string, args ...any) error {
	return &ValueError{v.Name, fmt.Errorf(format, args...)}
}
