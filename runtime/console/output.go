package console

import (
	"os"
	"sync"
)

// Output is a file that remembers the first error of writing to it. Commands
// print without looking, and whoever ends the process asks once: a result that
// did not arrive is no success.
//
// A reader that has gone away, as head does, ends the process by SIGPIPE as that
// of any other command, since Go sees to it for standard output.
type Output struct {
	*os.File
	mu  sync.Mutex
	err error
}

// NewOutput wraps a file.
func NewOutput(f *os.File) *Output { return &Output{File: f} }

// Write writes to the file.
func (o *Output) Write(b []byte) (int, error) {
	n, err := o.File.Write(b)
	if err != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.err == nil {
			o.err = err
		}
	}
	return n, err
}

// WriteString is Write; the file's own would pass the memory by.
func (o *Output) WriteString(s string) (int, error) { return o.Write([]byte(s)) }

// Err is the first error, or nil.
func (o *Output) Err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}
