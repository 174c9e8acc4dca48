package specs

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/llamac/llamac/internal/diag"
	"github.com/llamac/llamac/specs/internal/eval"
)

// Options modify a Load.
type Options struct {
	// Set overrides fields, each "path=value" as in "optim.lr=1e-3",
	// "checkpoint.policy=full" or, into a list, "data.sources[0].share=0.5".
	// A value that is JSON is taken as JSON, any other as a string. Fields
	// computed from an overridden one follow it.
	Set []string
	// FS is where the spec and its relative imports are read, such as
	// ShippedFS; nil for the disk. Imports of "llamac/..." always come from
	// the library inside the program.
	FS fs.FS
	// Limits bound the evaluation; zero fields have defaults.
	Limits Limits
	// Trace receives what std.trace prints; nil drops it.
	Trace io.Writer
}

// Limits bound the time, the memory and the output of an evaluation.
type Limits = eval.Limits

// Load evaluates, decodes and validates the spec at path.
//
// The error is a diag.List of everything that is wrong. The evaluation runs in
// a child process (see package eval), so a spec without end costs a few
// seconds and never the caller.
func Load(path string, opts Options) (*Spec, error) {
	var errs diag.List
	// Bad ones are reported with the spec's own errors, and left out.
	overrides := parseSets(opts.Set, &errs)
	// Of the three stages, evaluation, decoding and rules, a later one only
	// sees what the earlier ones let through.
	res, err := eval.Run(path, overrides, files{opts.FS}.read, opts.Limits)
	if err != nil {
		var d *diag.Error
		if !errors.As(err, &d) {
			d = &diag.Error{Pos: diag.Pos{File: path}, Msg: err.Error()}
		}
		errs = append(errs, d)
		return nil, errs.Err()
	}
	if opts.Trace != nil && res.Trace != "" {
		io.WriteString(opts.Trace, res.Trace)
	}
	// Traced from the syntax tree, since values do not know where they were
	// written.
	at := newLocator(path, res.Positions)
	errs = append(errs, userFailures(res.Failures, at)...)
	s := &Spec{File: path, at: at}
	if len(res.Doc) > 0 {
		errs = append(errs, s.decode(res.Doc, res.Failures)...)
	}
	if len(errs) == 0 {
		// A failure inside the library is a consequence of a wrong field
		// that decoding has reported; if it has not, it must be told.
		errs = append(errs, libraryFailures(res.Failures, at)...)
	}
	if err := errs.Err(); err != nil {
		return nil, err
	}
	s.Pos = func(path string) diag.Pos { pos, _ := at.value(path); return pos }
	return s, nil
}

// Errorf makes a diagnostic about the field at path, for problems found after
// loading. It points at the user's file, with a note when the value comes from
// the library.
func (s *Spec) Errorf(path, format string, args ...any) *diag.Error {
	pos, note := diag.Pos{File: s.File}, ""
	if s.at != nil { // nil in a Spec that no file was loaded for
		pos, note = s.at.value(path)
	}
	return &diag.Error{Pos: pos, Msg: fmt.Sprintf(format, args...), Note: note}
}

// decode fills s from the evaluated document.
func (s *Spec) decode(doc json.RawMessage, failures []eval.Failure) diag.List {
	var v any
	if err := json.Unmarshal(doc, &v); err != nil {
		return diag.List{s.Errorf("", "the evaluated spec is not JSON: %v", err)}
	}
	m, ok := v.(map[string]any)
	if !ok {
		// The evaluator gives the name of the type in place of a value
		// that is no object.
		return diag.List{s.Errorf("", "a spec must be an object, not %s", article(fmt.Sprint(v)))}
	}
	d := &decoder{at: s.at, bad: map[string]bool{}, partial: map[string]bool{}}
	for _, f := range failures {
		d.bad[f.Path] = true
	}
	d.spec(m, s)
	d.check(s)
	if len(d.errs) == 0 && len(failures) == 0 {
		// Only of a good spec: the hash is the identity of its checkpoints and
		// must never stand for half a document.
		s.JSON = canonical(m)
		sum := sha256.Sum256(s.JSON)
		s.Hash = hex.EncodeToString(sum[:])
	}
	return d.errs
}

// canonical prints a document with sorted keys, an indent of two spaces and
// the shortest numbers that read back the same.
func canonical(m map[string]any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(m); err != nil {
		panic(err) // it was JSON a moment ago
	}
	return b.Bytes()
}

// userFailures are those raised in a file that the user can mend.
func userFailures(failures []eval.Failure, at *locator) (errs diag.List) {
	for _, f := range failures {
		if !f.Library {
			errs = append(errs, locateFailure(f, at))
		}
	}
	return errs
}

// libraryFailures are the rest.
func libraryFailures(failures []eval.Failure, at *locator) (errs diag.List) {
	for _, f := range failures {
		if f.Library {
			errs = append(errs, locateFailure(f, at))
		}
	}
	return errs
}

// locateFailure gives a failure without a position of its own that of its field.
func locateFailure(f eval.Failure, at *locator) *diag.Error {
	e := f.Err
	if e.Pos == (diag.Pos{}) {
		pos, note := at.value(f.Path)
		e.Pos = pos
		if e.Note == "" {
			e.Note = note
		}
		if f.Path != "" {
			e.Msg = f.Path + ": " + e.Msg
		}
	}
	return &e
}

// parseSets turns "path=value" into overrides.
func parseSets(sets []string, errs *diag.List) []eval.Override {
	var out []eval.Override
	seen := map[string]bool{}
	for _, set := range sets {
		label := eval.OverridePrefix + set
		path, value, ok := strings.Cut(set, "=")
		if !ok {
			errs.Add(diag.Pos{File: label}, "has no =; write path=value, as in optim.lr=1e-3")
			continue
		}
		steps, err := eval.ParsePath(path)
		if err != nil {
			errs.Add(diag.Pos{File: label}, "%q is not a path: %v; write optim.lr, or data.sources[0].paths for a field of a list's first element", path, err)
			continue
		}
		// The same twice is once.
		if seen[label] {
			continue
		}
		seen[label] = true
		raw := json.RawMessage(value)
		// policy=full is meant as a string, dim=64 as a number; a string of
		// digits needs quotes.
		if !json.Valid(raw) {
			raw, _ = json.Marshal(value)
		}
		out = append(out, eval.Override{Label: label, Path: steps, Value: raw})
	}
	return out
}
