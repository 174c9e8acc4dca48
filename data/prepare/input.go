package prepare

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
)

// InputError is broken input: a line that is not JSON, a compressed file that
// ends too early, a document too large to handle.
type InputError struct {
	File   string
	Line   int   // line of the file, 0 when it has none
	Col    int   // byte of the line, 0 when unknown
	Offset int64 // byte of the file as stored, -1 when Line says where, or for the file as a whole
	Err    error
}

// Error prints FILE:LINE:COL, or FILE: offset N where there are no lines.
func (e *InputError) Error() string {
	s := e.File
	if e.Line > 0 {
		s += fmt.Sprintf(":%d", e.Line)
		if e.Col > 0 {
			s += fmt.Sprintf(":%d", e.Col)
		}
	} else if e.Offset >= 0 {
		s += fmt.Sprintf(": offset %d", e.Offset)
	}
	return s + ": " + e.Err.Error()
}

// Unwrap leads to what was wrong, such as io.ErrUnexpectedEOF.
func (e *InputError) Unwrap() error { return e.Err }

// mostDoc bounds a document and a line: both are held in memory whole.
const mostDoc = 1 << 30

// input is an open file, decompressed.
type input struct {
	file *inputFile
	r    *bufio.Reader // the text
	// Kept beside r because an error's position is one in the file as stored.
	stored *bufio.Reader // the file as it is
	raw    *counter
	close  func()
	off    int64  // bytes of text that line has read
	buf    []byte // scratch of readAll and of long lines
	most   int    // mostDoc; less in tests
	packed bool   // r decompresses
	alien  *alien // what the file is, if it is no text
	note   string // what a user should know of reading it; may be empty
}

// counter counts what was read of a file as stored.
type counter struct {
	r    io.Reader
	hash hash.Hash // of what was read
	n    int64
	tell func(n int) // progress
	err  error       // of the file itself, not of what is in it
}

// Read counts, and remembers an error of the disk: a decompressor would report
// it as bad data.
func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	if c.hash != nil {
		c.hash.Write(b[:n])
	}
	if n > 0 && c.tell != nil {
		c.tell(n)
	}
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

// openInput opens a file. Whether it is compressed is told by its first bytes.
// tell is called with every piece read, for progress in bytes as stored.
func openInput(f *inputFile, tell func(n int)) (*input, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, err // names the file already
	}
	raw := &counter{r: file, hash: sha256.New(), tell: tell}
	in, err := newInput(f, raw)
	if err != nil {
		defer file.Close()
		// What is not what was listed need not be what it seems.
		if e := (&input{file: f, raw: raw}).verify(); e != nil {
			return nil, e
		}
		return nil, err
	}
	// The decompressor first, then the file below it.
	inner := in.close
	in.close = func() { inner(); file.Close() }
	return in, nil
}

// newInput puts a decompressor in front if the bytes ask for one.
func newInput(f *inputFile, raw *counter) (*input, error) {
	stored := bufio.NewReaderSize(raw, 1<<16)
	in := &input{file: f, stored: stored, raw: raw, close: func() {}, most: mostDoc}
	if err := in.decompress(); err != nil {
		return nil, err
	}
	return in, nil
}

// readAs hands over the documents of the file, and makes sure that it was the
// file of the plan. Broken input may be skipped, and one that changed meanwhile
// never.
func (in *input) readAs(k *kind, emit emitFunc) error {
	var err error
	if !k.anything {
		err = in.recognise()
	}
	if err == nil {
		err = k.read(in, emit)
	}
	var bad *InputError
	if err != nil && !errors.As(err, &bad) {
		return err
	}
	if e := in.verify(); e != nil {
		return e
	}
	return err
}

// verify reads what is left of the file as stored and makes sure that it is the
// file that was listed: the key of the set is made of its contents.
func (in *input) verify() error {
	if _, err := io.Copy(io.Discard, in.raw); err != nil {
		return fmt.Errorf("%s: %w", in.file.path, err)
	}
	if in.raw.n != in.file.size || !bytes.Equal(in.raw.hash.Sum(nil), in.file.sum[:]) {
		return changed(in.file)
	}
	return nil
}

// fault turns an error of reading into one with a position. Errors of the file
// system stay what they are: no --skip-bad may hide a failing disk.
func (in *input) fault(err error) error {
	if in.raw.err != nil {
		return fmt.Errorf("%s: %w", in.file.path, in.raw.err)
	}
	if in.packed || in.r == nil {
		err = in.explain(err)
	}
	// What was read of the file less what waits in the buffer.
	return &InputError{File: in.file.path, Offset: in.raw.n - int64(in.stored.Buffered()), Err: err}
}

// readAll returns the whole text, valid until the next call.
// An empty file is an empty text.
func (in *input) readAll() ([]byte, error) {
	buf := bytes.NewBuffer(in.buf[:0])
	// One byte more than allowed tells too long from just long enough.
	n, err := buf.ReadFrom(io.LimitReader(in.r, int64(in.most)+1))
	in.buf = buf.Bytes()
	if err != nil {
		return nil, in.fault(err)
	}
	if n > int64(in.most) {
		return nil, &InputError{File: in.file.path, Offset: -1, Err: fmt.Errorf("more than %d bytes in one document", in.most)}
	}
	return in.buf, nil
}

// line returns the next line without its newline, valid until the next call,
// and io.EOF when there is none. A line longer than mostDoc is skipped and
// reported as errLong.
// Lines of text end with a newline, or with the file; a CR stays with the text.
func (in *input) line() ([]byte, error) {
	in.buf = in.buf[:0]
	long := false
	for {
		// The common line lies in the reader's buffer and is returned from
		// there, without a copy.
		part, err := in.r.ReadSlice('\n')
		in.off += int64(len(part))
		// One more, for the newline.
		if len(in.buf)+len(part) > in.most+1 {
			// Read on to its end: the next line has to begin where a line
			// begins.
			long = true
			in.buf = in.buf[:0]
		}
		switch {
		case err == bufio.ErrBufferFull:
			if !long {
				in.buf = append(in.buf, part...)
			}
			continue
		case err == io.EOF && len(in.buf)+len(part) == 0 && !long:
			return nil, io.EOF
		case err != nil && err != io.EOF:
			return nil, in.fault(err)
		case long:
			return nil, errLong
		case len(in.buf) > 0:
			in.buf = append(in.buf, part...)
			part = in.buf
		}
		return bytes.TrimSuffix(part, []byte("\n")), nil
	}
}

// errLong is about one document; the file goes on after it.
var errLong = errors.New("line is longer than a document may be")
