package prepare

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// readLines makes every line that is not blank a document, named by file and
// line.
// The object itself is taken apart later, by the workers: reading must keep up
// with all of them.
func readLines(in *input, emit emitFunc) error {
	// Lines are numbered as editors number them, blank ones included.
	for n := 1; ; n++ {
		// Where the line begins, for an error within it.
		off := in.off
		line, err := in.line()
		if err == io.EOF {
			return nil
		}
		d := rawDoc{file: in.file, line: n, off: off}
		switch {
		case err == errLong:
			// Passed on as an empty document, which is no JSON, so that it is
			// counted or reported in its turn.
			d.name = in.file.name + ":" + strconv.Itoa(n)
			err = emit(d)
		case err != nil:
			return err
		default:
			// A byte order mark, which some editors leave.
			if n == 1 {
				line = bytes.TrimPrefix(line, []byte("\ufeff"))
			}
			if len(bytes.TrimSpace(line)) == 0 {
				continue
			}
			d.name = in.file.name + ":" + strconv.Itoa(n)
			d.body = line
			err = emit(d)
		}
		if err != nil {
			return err
		}
	}
}

// jsonText takes the text out of one JSON object.
// An escape that is no character becomes U+FFFD, as encoding/json has it.
func jsonText(s *Source, d *rawDoc) ([]byte, verdict, error) {
	// The mark that readLines has set: a line without text never comes here.
	if len(d.body) == 0 {
		return nil, use, d.bad(0, errLong)
	}
	// encoding/json would put U+FFFD in its place.
	if at := invalidAt(d.body); at >= 0 {
		return nil, use, d.bad(at+1, errors.New("not UTF-8, which JSON must be"))
	}
	text, col, err := jsonField(d.body, s.Field)
	if err != nil {
		return nil, use, d.bad(col, err)
	}
	return []byte(text), use, nil
}

// bad is an error at this document.
func (d *rawDoc) bad(col int, err error) error {
	return &InputError{File: d.file.path, Line: d.line, Col: col, Offset: d.off, Err: err}
}

// jsonField returns the string at a field of an object. A name that the
// object has as it stands is taken first; otherwise dots lead into nested
// objects. col is the byte of a syntax error, from 1.
func jsonField(line []byte, field string) (text string, col int, err error) {
	// Only the top level is decoded: the other fields of a crawl's line, which
	// can be many, are scanned and not built.
	var object map[string]json.RawMessage
	if err := json.Unmarshal(line, &object); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return "", int(syntax.Offset), fmt.Errorf("not JSON: %w", err)
		}
		return "", 0, fmt.Errorf("not a JSON object but %s", jsonType(line))
	}
	// A name with a dot in it is rare, and is taken as it stands where the
	// object has it.
	value, ok := object[field]
	if !ok {
		first, rest, nested := strings.Cut(field, ".")
		if value, ok = object[first]; nested && ok {
			// A column inside the inner object would point nowhere.
			text, _, err := jsonField(value, rest)
			if err != nil {
				err = fmt.Errorf("field %q: %w", first, err)
			}
			return text, 0, err
		}
		return "", 0, fmt.Errorf("no field %q", field)
	}
	// A pointer, because null decodes into a string without an error.
	var s *string
	if err := json.Unmarshal(value, &s); err != nil || s == nil {
		return "", 0, fmt.Errorf("field %q is %s, want a string", field, jsonType(value))
	}
	return *s, 0, nil
}

// jsonType names the type of a JSON value by its first byte.
// The value is one that parsed, so its first byte is enough.
func jsonType(v []byte) string {
	v = bytes.TrimSpace(v)
	if len(v) == 0 {
		return "nothing"
	}
	switch v[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "true or false"
	case 'n':
		return "null"
	}
	return "a number"
}
