package prepare

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// readWARC reads a WET file: records of the WARC format (ISO 28500) of which
// those of type "conversion" hold a page's text. A document is named by its
// address.
//
//	WARC/1.0
//	WARC-Type: conversion
//	WARC-Target-URI: http://example.com/
//	Content-Length: 1234
//
//	1234 bytes of text, and two empty lines
func readWARC(in *input, emit emitFunc) error {
	w := warcReader{in: in}
	for {
		// In the decompressed text, to name a record that has no name.
		start := in.off
		h, err := w.header()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		// Read even if it is of no use: the next record begins behind it.
		body, err := w.body(h.length)
		if err != nil {
			return err
		}
		// The others describe the crawl.
		if h.kind != "conversion" {
			continue
		}
		name := h.uri
		if name == "" {
			name = h.id
		}
		if name == "" {
			name = in.file.name + ":" + strconv.FormatInt(start, 10)
		}
		if err := emit(rawDoc{file: in.file, name: name, body: body, off: start}); err != nil {
			return err
		}
	}
}

// warcHeader is what is of use in a record's header.
// length is in bytes, -1 while it is not known.
type warcHeader struct {
	kind, uri, id string
	length        int64
}

// warcReader reads records from the decompressed text; where one begins in the file is
// not known.
type warcReader struct {
	in   *input
	text []byte
}

// bad is a break in the format. Records have no mark to find the next one by,
// so the rest of the file is lost with it.
func (w *warcReader) bad(format string, args ...any) error {
	err := fmt.Errorf("at byte %d of the decompressed file: %w", w.in.off, fmt.Errorf(format, args...))
	return &InputError{File: w.in.file.path, Offset: -1, Err: err}
}

// mostHeader bounds a header line; real ones have some hundred bytes.
const mostHeader = 1 << 16

// line returns a header line without its CR and LF.
func (w *warcReader) line() ([]byte, error) {
	line, err := w.in.line()
	if err == nil && len(line) > mostHeader {
		return nil, w.bad("header line of %d bytes", len(line))
	}
	if errors.Is(err, errLong) {
		return nil, w.bad("header line of more than %d bytes", w.in.most)
	}
	return bytes.TrimSuffix(line, []byte("\r")), err
}

// header reads up to the empty line that ends a record's header. It returns
// io.EOF at the end of the file.
func (w *warcReader) header() (h warcHeader, err error) {
	line, err := w.line()
	for err == nil && len(line) == 0 {
		line, err = w.line() // the two empty lines after a record
	}
	if err != nil {
		return h, err
	}
	if !bytes.HasPrefix(line, []byte("WARC/")) {
		return h, w.bad("want a WARC record, found %.40q", line)
	}
	// The one field without which nothing can be read.
	h.length = -1
	for {
		line, err = w.line()
		if err == io.EOF {
			return h, w.bad("the file ends inside a record's header")
		}
		if err != nil {
			return h, err
		}
		if len(line) == 0 {
			break
		}
		key, value, ok := strings.Cut(string(line), ":")
		if !ok {
			return h, w.bad("header line %.40q has no colon", line)
		}
		value = strings.TrimSpace(value)
		// Names of fields have no case (ISO 28500, section 4).
		switch strings.ToLower(key) {
		case "warc-type":
			h.kind = value
		case "warc-target-uri":
			// Writers differ about the brackets.
			h.uri = strings.Trim(value, "<>")
		case "warc-record-id":
			h.id = strings.Trim(value, "<>")
		case "content-length":
			if h.length, err = strconv.ParseInt(value, 10, 64); err != nil || h.length < 0 {
				return h, w.bad("content length %.40q", value)
			}
		}
	}
	if h.length < 0 {
		return h, w.bad("a record without a content length")
	}
	// It would have to be held whole. No page is that long: this is damage.
	if h.length > int64(w.in.most) {
		return h, w.bad("a record of %d bytes, at most %d", h.length, w.in.most)
	}
	return h, nil
}

// body reads the n bytes of a record's content, valid until the next call.
func (w *warcReader) body(n int64) ([]byte, error) {
	buf := bytes.NewBuffer(w.text[:0])
	// Not sized by n at once: a false length must not allocate a gigabyte.
	got, err := buf.ReadFrom(io.LimitReader(w.in.r, n))
	w.text = buf.Bytes()
	w.in.off += got
	if err != nil {
		return nil, w.in.fault(err)
	}
	if got < n {
		return nil, w.bad("the file ends inside a record of %d bytes", n)
	}
	return w.text, nil
}
