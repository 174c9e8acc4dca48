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
	"sync"
)

// This file is what the command line needs: text in, ids out, line by line.

// LineOptions say how EncodeLines treats a text.
type LineOptions struct {
	BOS, EOS bool // put the tokenizer's BOS before each text, EOS after it, where the text has not become one there itself
	Whole    bool // all input is one text, line ends included
	Workers  int  // goroutines that encode; 0 is 1. The output does not depend on it.
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
	// Whole input: its line ends are part of the text and become ids.
	if opt.Whole {
		text, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		e := lineEncoder{t: t, opt: opt}
		_, err = w.Write(e.encode(nil, text))
		return err
	}
	return encodeBatches(t, r, w, opt)
}

// lineEncoder turns texts into lines of ids.
type lineEncoder struct {
	t   Tokenizer
	opt LineOptions
	ids []int32
}

// encode appends the line of one text to dst.
//
// The buffer of ids is the encoder's, so that a line allocates nothing once it
// has grown.
func (e *lineEncoder) encode(dst, text []byte) []byte {
	ids := e.ids[:0]
	if e.opt.BOS {
		ids = append(ids, e.t.BOS())
	}
	ids = e.t.Encode(ids, text)
	// A text that spells BOS or EOS out may have become it, and no model was
	// trained with two.
	if e.opt.BOS && len(ids) > 1 && ids[1] == e.t.BOS() {
		ids = ids[1:]
	}
	if n := len(ids); e.opt.EOS && (n == 0 || ids[n-1] != e.t.EOS() || n == 1 && e.opt.BOS) {
		ids = append(ids, e.t.EOS())
	}
	for i, id := range ids {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = strconv.AppendInt(dst, int64(id), 10)
	}
	e.ids = ids
	return append(dst, '\n')
}

// lineBatch is some lines on their way through a worker. Batches wait for each
// other in the order in which they were read, so that output is in order, too.
type lineBatch struct {
	text []byte // lines with their ends
	out  []byte
	done chan struct{}
}

// Large enough for handing it over to cost nothing.
const lineBatchSize = 256 << 10 // bytes of text

// encodeBatches reads batches of lines, lets workers encode them and writes the
// results in order. At most two batches a worker are under way.
func encodeBatches(t Tokenizer, r io.Reader, w io.Writer, opt LineOptions) error {
	// A batch goes into order first and to a worker then, so that the writer
	// meets batches as they were read; both channels are short, and the reader
	// waits when they are full.
	workers := max(opt.Workers, 1)
	work, order := make(chan *lineBatch, workers), make(chan *lineBatch, workers)
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			// Each with buffers of its own.
			e := lineEncoder{t: t, opt: opt}
			for b := range work {
				for rest := b.text; len(rest) > 0; {
					// The last line got its end when the batch was made.
					n := bytes.IndexByte(rest, '\n')
					b.out = e.encode(b.out, rest[:n])
					rest = rest[n+1:]
				}
				close(b.done)
			}
		})
	}
	// The writer goes on taking batches after an error, so that nobody waits
	// for it in vain; stop tells the reader.
	var failed error
	stop, written := make(chan struct{}), make(chan struct{})
	go func() {
		// In the order of reading: the writer waits for the batch that is next,
		// while later ones may be done.
		defer close(written)
		for b := range order {
			<-b.done
			if failed != nil {
				continue
			}
			// After an error nothing more is written, but batches are taken, or
			// the reader would wait for room for ever.
			if _, failed = w.Write(b.out); failed != nil {
				close(stop)
			}
		}
	}()
	// This goroutine reads.
	err := readBatches(r, func(b *lineBatch) bool {
		select {
		case <-stop:
			return false
		case order <- b:
			work <- b
			return true
		}
	})
	// No more work, then no more to write: the writer ends when the last batch
	// is written.
	close(work)
	close(order)
	running.Wait()
	<-written
	if err == nil {
		err = failed
	}
	return err
}

// readBatches hands over batches of whole lines until give returns false.
func readBatches(r io.Reader, give func(*lineBatch) bool) error {
	b := &lineBatch{done: make(chan struct{})}
	for line, err := range readLines(r) {
		if err != nil {
			return err
		}
		// A line without an end, the last of a file, is encoded like others.
		b.text = append(append(b.text, line...), '\n')
		if len(b.text) >= lineBatchSize {
			if !give(b) {
				return nil
			}
			b = &lineBatch{done: make(chan struct{})}
		}
	}
	if len(b.text) > 0 {
		give(b)
	}
	return nil
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
		// Lines are counted from 1 for messages.
		n++
		ids = ids[:0]
		// An empty line is an empty text: line numbers stay in step.
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
			// The buffer is full and no line end in sight.
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
			// A carriage return is part of the line.
			if !yield(bytes.TrimSuffix(line, []byte("\n")), nil) || err == io.EOF {
				return
			}
			long = long[:0]
		}
	}
}

// fileBlock is the size of the blocks in which Files reads, in bytes; longestLine
// is what a block grows to for the sake of one line.
const (
	fileBlock   = 1 << 20
	longestLine = 256 << 20
)

// Files yields the contents of text files for Train, in blocks of whole lines, so
// that no word is cut in two by the reading. A line of more than 256 MiB is an
// error, so that memory is bounded on any input. Errors name the file.
func Files(paths ...string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		buf := make([]byte, fileBlock)
		for _, path := range paths {
			if !yieldFile(path, &buf, yield) {
				return
			}
		}
	}
}

// yieldFile yields one file and says whether to go on. buf serves all files.
func yieldFile(path string, buf *[]byte, yield func([]byte, error) bool) bool {
	f, err := os.Open(path)
	if err != nil {
		yield(nil, err)
		return false
	}
	defer f.Close()
	held := 0 // bytes at the start of buf that belong to an unfinished line
	at := int64(0)
	for {
		if held == len(*buf) {
			if held >= longestLine {
				yield(nil, fmt.Errorf("%s: offset %d: a line of more than %d bytes", path, at-int64(held), longestLine))
				return false
			}
			*buf = append(*buf, make([]byte, len(*buf))...)
		}
		n, err := f.Read((*buf)[held:])
		at += int64(n)
		n += held
		if err != nil && err != io.EOF {
			yield(nil, err)
			return false
		}
		if err == io.EOF {
			// What is left at the end of a file is its last line.
			return n == 0 || yield((*buf)[:n], nil)
		}
		// Looking at what is new only: a long line comes in many pieces.
		end := held + bytes.LastIndexByte((*buf)[held:n], '\n') + 1
		if end == held {
			held = n
			continue
		}
		if !yield((*buf)[:end], nil) {
			return false
		}
		// The beginning of the next line, or nothing.
		held = copy(*buf, (*buf)[end:n])
	}
}
