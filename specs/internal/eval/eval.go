// Package eval evaluates one Jsonnet document in a child process, so that no
// document can hang, exhaust or crash the program that asks.
//
// Jsonnet is a whole programming language: a document may loop for ever, build
// a billion elements in one library call or recurse until the Go stack
// overflows, and the interpreter offers no way to stop it. A process can be
// stopped. Run therefore starts the running executable once more under the
// name ChildName; the init function in child.go takes over there, before main,
// and evaluates the document under limits of time, memory and stack. The child
// opens no files: it asks the parent for every import over its standard output
// and receives the bytes on its standard input.
//
// The package knows Jsonnet and nothing of llamac's schema. A Result is plain
// JSON, the failures found on the way, and the source position of every field
// path that could be traced statically.
package eval

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/llamac/llamac/internal/diag"
)

// Limits bound one evaluation. A zero field takes its default.
// The defaults are far above what any real spec needs.
type Limits struct {
	Time   time.Duration // of wall clock, default 5 s
	Memory int64         // bytes held by the child's Go runtime, default 512 MiB
	Output int           // bytes of the evaluated document, default 4 MiB
}

// withDefaults fills in what the caller left at zero.
func (l Limits) withDefaults() Limits {
	if l.Time == 0 {
		l.Time = 5 * time.Second
	}
	if l.Memory == 0 {
		l.Memory = 512 << 20
	}
	if l.Output == 0 {
		l.Output = 4 << 20
	}
	return l
}

// Override replaces one field or element of the document before it is
// manifested, so that fields computed from it follow.
type Override struct {
	Label string          // the file name in positions, such as "--set parallel.tp=8"
	Path  []Step          // from the top; the first is a field
	Value json.RawMessage // valid JSON
}

// Reader resolves an import written in file from, which is empty for the
// document itself. The same name must always give the same bytes.
type Reader func(from, path string) (name string, data []byte, err error)

// Result is what an evaluation found.
type Result struct {
	// Doc is the document as JSON. Parts that failed are left out; it is
	// empty when nothing could be evaluated.
	Doc       json.RawMessage `json:",omitempty"`
	Failures  []Failure
	Positions []Position
	Trace     string // output of std.trace
}

// Failure is an error at a field path; the path is empty for the document.
type Failure struct {
	Path    string
	Err     diag.Error // its Pos is zero when only the path is known
	Library bool       // raised in a file of the library, with no position in the user's files
}

// Position says where the field or element at Path is set: Name at its name,
// Value at the expression. Of several settings the one that wins is given.
type Position struct {
	Path        string
	Name, Value diag.Pos
}

// Messages between the two processes, one JSON value each.
type (
	request struct {
		File      string
		Overrides []Override
		Limits    Limits
	}
	message struct { // child to parent
		Import *importRequest `json:",omitempty"`
		Result *Result        `json:",omitempty"`
	}
	importRequest struct{ From, Path string }
	importReply   struct {
		Name string
		Data []byte
		Err  string
	}
)

// Run evaluates file under limits. The error, if any, is a *diag.Error: the
// document passed a limit, or no child could be started.
func Run(file string, overrides []Override, read Reader, limits Limits) (*Result, error) {
	limits = limits.withDefaults()
	self, err := os.Executable()
	if err != nil {
		return nil, fail(file, "the Jsonnet evaluator cannot find its own executable: %v", err)
	}
	// The child watches its own clock; the parent's is a second line of
	// defence, for a child too busy to look at it.
	ctx, cancel := context.WithTimeout(context.Background(), limits.Time+2*time.Second)
	defer cancel()
	// The same executable: the evaluator is always of this very version, and
	// nothing else has to be installed.
	cmd := exec.CommandContext(ctx, self)
	cmd.Args = []string{ChildName}
	cmd.WaitDelay = time.Second
	var stderr limitedBuffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fail(file, "the Jsonnet evaluator cannot start: %v", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fail(file, "the Jsonnet evaluator cannot start: %v", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fail(file, "the Jsonnet evaluator cannot start: %v", err)
	}
	// The talk ends with the result, or where the child died.
	res, talkErr := converse(stdin, stdout, request{file, overrides, limits}, read)
	if talkErr == nil {
		cmd.Process.Kill() // it has said all; do not wait for it to take itself down
		cmd.Wait()
		return res, nil
	}
	stdin.Close()
	waitErr := cmd.Wait()
	return nil, verdict(file, limits, ctx.Err(), waitErr, stderr.String(), talkErr)
}

// converse sends the request, serves the child's imports and returns its result.
func converse(w io.Writer, r io.Reader, req request, read Reader) (*Result, error) {
	enc := json.NewEncoder(w)
	// Output bounds the document; positions and failures are bounded by
	// the child's own budgets, well below this.
	dec := json.NewDecoder(io.LimitReader(r, int64(req.Limits.Output)+64<<20))
	if err := enc.Encode(req); err != nil {
		return nil, err
	}
	for {
		var m message
		if err := dec.Decode(&m); err != nil {
			return nil, err
		}
		if m.Result != nil {
			return m.Result, nil
		}
		if m.Import == nil {
			return nil, errors.New("empty message")
		}
		var reply importReply
		// The only place where a spec reaches the file system; the reader
		// decides what it may see.
		name, data, err := read(m.Import.From, m.Import.Path)
		if err != nil {
			reply.Err = err.Error()
		} else {
			reply.Name, reply.Data = name, data
		}
		if err := enc.Encode(reply); err != nil {
			return nil, err
		}
	}
}

// verdict turns the way a child died into an error that a spec's author
// understands.
func verdict(file string, limits Limits, timeout, wait error, stderr string, talk error) *diag.Error {
	code := 0
	var exit *exec.ExitError
	if errors.As(wait, &exit) {
		code = exit.ExitCode() // -1 when a signal killed it
	}
	// What Go's runtime says when it gives up is the only trace of some deaths.
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(stderr, w) {
				return true
			}
		}
		return false
	}
	switch {
	case code == exitTime || timeout != nil:
		return fail(file, "evaluation takes longer than %v: a loop without end, or far too much work", limits.Time)
	case code == exitOutput:
		return fail(file, "the evaluated document is larger than %s", size(int64(limits.Output)))
	case has("stack overflow", "stack exceeds"):
		return fail(file, "evaluation nests too deeply: a recursion without end, or far too many brackets")
	// A child that a signal ended, though not we sent it, met the
	// system's own memory limit.
	case code == exitMemory, code == -1, has("out of memory", "cannot allocate memory"):
		return fail(file, "evaluation needs more than %s of memory: it builds far too much", size(limits.Memory))
	}
	reason := strings.TrimSpace(stderr)
	if reason == "" {
		reason = talk.Error()
	}
	reason, _, _ = strings.Cut(reason, "\n")
	return fail(file, "the Jsonnet evaluator failed: %s", reason)
}

// fail points at the file's beginning: no line is to blame more than another.
func fail(file, format string, args ...any) *diag.Error {
	return &diag.Error{Pos: diag.Pos{File: file, Line: 1, Col: 1}, Msg: fmt.Sprintf(format, args...)}
}

// size prints a limit.
func size(n int64) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d bytes", n)
}

// limitedBuffer keeps the first 64 KiB: a Go program that overflows its stack
// says so in its first lines and may print megabytes after them.
type limitedBuffer struct{ bytes.Buffer }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if room := 64<<10 - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
