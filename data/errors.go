package data

import "fmt"

// Error is damage or disagreement found in a file of a set.
type Error struct {
	File   string
	Offset int64 // byte of the file where the trouble is; -1 for the file as a whole
	Msg    string
	Err    error // the cause, may be nil
}

func (e *Error) Error() string {
	s := e.File + ": "
	if e.Offset >= 0 {
		s += fmt.Sprintf("offset %d: ", e.Offset)
	}
	s += e.Msg
	if e.Err != nil {
		if e.Msg != "" {
			s += ": "
		}
		s += e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// fileErr makes an Error about a place in a file.
func fileErr(file string, offset int64, format string, args ...any) *Error {
	return &Error{File: file, Offset: offset, Msg: fmt.Sprintf(format, args...)}
}
