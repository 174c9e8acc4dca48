package data

import "fmt"

// Error is damage or disagreement found in a file of a set.
// Errors of the system, such as a missing file, are passed on as they are; what
// is an Error means that bytes on the disk are not what was written, or not
// what the caller expects.
type Error struct {
	File   string
	Offset int64 // byte of the file where the trouble is; -1 for the file as a whole
	Msg    string
	Err    error // the cause, may be nil
}

// Error prints FILE: offset N: what: cause.
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

// Unwrap lets errors.Is find the system's error, as fs.ErrNotExist for a set
// that was never finished.
func (e *Error) Unwrap() error { return e.Err }

// fileErr makes an Error about a place in a file.
func fileErr(file string, offset int64, format string, args ...any) *Error {
	return &Error{File: file, Offset: offset, Msg: fmt.Sprintf(format, args...)}
}
