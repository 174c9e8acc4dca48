package tokenizer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strconv"
)

// This file is what the command line needs: text in, ids out, line by line.

// LineOptions say how EncodeLines treats a text.
type LineOptions struct {
	BOS, EOS bool // put the tokenizer's BOS before each text, EOS after it
	Whole    bool // all input is one text, line ends included
}

// EncodeLines reads lines and writes the ids of each, separated by spaces, one
// line a line. A line is a text without its line end, as for spm_encode.
func EncodeLines(t Tokenizer, r io.Reader, w io.Writer, opt LineOptions) error {
	switch {
	case opt.BOS && t.BOS() < 0:
		return errors.New("the tokenizer has no BOS")
	case opt.EOS && t.EOS() < 0:
		return errors.New("the tokenizer has no EOS")
	}
	// One slice of ids and one of text serve all lines.
	out := bufio.NewWriterSize(w, 1<<16)
	var ids []int32
	var line []byte
	encode := func(text []byte) error {
		ids = ids[:0]
		if opt.BOS {
			ids = append(ids, t.BOS())
		}
		ids = t.Encode(ids, text)
		if opt.EOS {
			ids = append(ids, t.EOS())
		}
		line = line[:0]
		for i, id := range ids {
			if i > 0 {
				line = append(line, ' ')
			}
			line = strconv.AppendInt(line, int64(id), 10)
		}
		_, err := out.Write(append(line, '\n'))
		return err
	}
	if opt.Whole {
		text, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if err := encode(text); err != nil {
			return err
		}
		return out.Flush()
	}
	for text, err := range readLines(r) {
		if err == nil {
			err = encode(text)
		}
		if err != nil {
			return err
		}
	}
	return out.Flush()
}

// DecodeLines reads lines of ids separated by spaces and writes the text of
// each, and a line end after it.
func DecodeLines(t Tokenizer, r io.Reader, w io.Writer) error {
	out := bufio.NewWriterSize(w, 1<<16)
	var ids []int32
	var text []byte
	n := 0
	for line, err := range readLines(r) {
		if err != nil {
			return err
		}
		n++
		ids = ids[:0]
		for _, f := range bytes.Fields(line) {
			id, err := strconv.ParseInt(string(f), 10, 32)
			if err != nil || id < 0 || id >= int64(t.Vocab()) {
				return fmt.Errorf("line %d: %q is not an id: a number from 0 to %d", n, f, t.Vocab()-1)
			}
			ids = append(ids, int32(id))
		}
		text = append(t.Decode(text[:0], ids), '\n')
		if _, err := out.Write(text); err != nil {
			return err
		}
	}
	return out.Flush()
}

// readLines yields the lines of r without their ends. Lines may have any
// length; a yielded slice is valid until the next.
func readLines(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		in := bufio.NewReaderSize(r, 1<<16)
		var long []byte
		for {
			part, err := in.ReadSlice('\n')
			if errors.Is(err, bufio.ErrBufferFull) {
				// Only long lines are copied together.
				long = append(long, part...)
				continue
			}
			line := part
			if len(long) > 0 {
				long = append(long, part...)
				line = long
			}
			if err != nil && err != io.EOF {
				yield(nil, err)
				return
			}
			if err == io.EOF && len(line) == 0 {
				return
			}
			if !yield(bytes.TrimSuffix(line, []byte("\n")), nil) || err == io.EOF {
				return
			}
			long = long[:0]
		}
	}
}

// fileBlock is the size of the blocks in which Files reads, in bytes.
const fileBlock = 1 << 20

// Files yields the contents of text files for Train, in blocks of whole lines.
// Of a line longer than a block, which Train leaves out anyhow, it yields the
// start, so that memory is bounded on any input. Errors name the file.
func Files(paths ...string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		buf := make([]byte, fileBlock)
		for _, path := range paths {
			if !yieldFile(path, buf, yield) {
				return
			}
		}
	}
}

// yieldFile yields one file and says whether to go on.
func yieldFile(path string, buf []byte, yield func([]byte, error) bool) bool {
	f, err := os.Open(path)
	if err != nil {
		yield(nil, err)
		return false
	}
	defer f.Close()
	held := 0         // bytes at the start of buf that belong to an unfinished line
	skipping := false // to the end of a line whose start has been yielded
	for {
		n, err := f.Read(buf[held:])
		n += held
		held = 0
		if err != nil && err != io.EOF {
			yield(nil, err)
			return false
		}
		// [begin, end) is what can be yielded: whole lines.
		begin, end := 0, bytes.LastIndexByte(buf[:n], '\n')+1
		if skipping {
			begin = bytes.IndexByte(buf[:n], '\n') + 1
			skipping = begin == 0
			if skipping {
				begin = n
			}
		}
		if err == io.EOF {
			return begin >= n || yield(buf[begin:n], nil)
		}
		switch {
		case skipping:
			continue
		case end == 0 && n == len(buf):
			skipping, end = true, n
		}
		if begin < end && !yield(buf[begin:end], nil) {
			return false
		}
		held = copy(buf, buf[max(begin, end):n])
	}
}
