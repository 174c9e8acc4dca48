package eval

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"time"

	"github.com/google/go-jsonnet"
)

// ChildName is the zeroth argument of a child. A program whose name it is not
// never notices the init function below.
const ChildName = "llamac: jsonnet evaluator"

// Exit statuses of a child that passed a limit. They differ from Go's own 2.
const (
	exitTime   = 81
	exitMemory = 82
	exitOutput = 83
)

// maxFrames bounds Jsonnet's own call stack. The shipped specs need about 30;
// the default of 500 would let a Go stack grow past maxGoStack.
const maxFrames = 200

// maxGoStack bounds one goroutine, in bytes: Go ends the process beyond it, and the parent says
// what that means.
const maxGoStack = 64 << 20

// init is where a child begins and ends. It is an init function, and not a
// call that main must make, so that any program that imports package specs can
// load one: a test binary has no main to change.
func init() {
	if len(os.Args) != 1 || os.Args[0] != ChildName {
		return
	}
	if err := child(json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func child(in *json.Decoder, out *json.Encoder) error {
	var req request
	if err := in.Decode(&req); err != nil {
		return err
	}
	// The interpreter recurses on the Go stack for much that is no call in
	// Jsonnet.
	debug.SetMaxStack(maxGoStack)
	debug.SetMemoryLimit(req.Limits.Memory * 3 / 4) // collect hard before giving up
	// The watch must run beside an evaluation that never yields.
	runtime.GOMAXPROCS(max(2, runtime.GOMAXPROCS(0)))
	go watch(req.Limits)

	// The child opens no file: it asks the parent for each, over its standard
	// output and input. So a sandbox needs no more rights than a pipe.
	imp := newImporter(req.Overrides, func(from, path string) (r importReply, err error) {
		if err = out.Encode(message{Import: &importRequest{from, path}}); err != nil {
			return r, err
		}
		if err = in.Decode(&r); err != nil {
			return r, err
		}
		if r.Err != "" {
			err = errors.New(r.Err)
		}
		return r, err
	})
	res := evaluate(&req, imp)
	// A document can be far larger than the memory that it took to make.
	if len(res.Doc) > req.Limits.Output {
		os.Exit(exitOutput)
	}
	return out.Encode(message{Result: res})
}

// watch ends the process when it has run or grown too much. A spec's garbage
// is collected before that: only what is alive counts in the end.
func watch(l Limits) {
	start := time.Now()
	s := []metrics.Sample{
		// What the system has given, less what was returned to it.
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	for {
		// Memory can grow by some megabytes between two looks; the limit allows
		// for that.
		time.Sleep(2 * time.Millisecond)
		metrics.Read(s)
		if int64(s[0].Value.Uint64()-s[1].Value.Uint64()) > l.Memory {
			os.Exit(exitMemory)
		}
		if time.Since(start) > l.Time {
			os.Exit(exitTime)
		}
	}
}

// evaluate checks the document and its imports statically, evaluates it, and
// maps its fields to positions.
func evaluate(req *request, imp *importer) (res *Result) {
	res = new(Result)
	vm := jsonnet.MakeVM()
	vm.MaxStack = maxFrames
	vm.Importer(imp)
	var trace limitedBuffer
	vm.SetTraceOut(&trace)

	// What can be seen without evaluating is reported first: a syntax error
	// makes everything else noise.
	files, failures := loadAll(vm, req.File, req.Overrides)
	if len(failures) > 0 {
		res.Failures = failures
		return res
	}
	main := wrap(req.File, req.Overrides)
	doc, err := evaluateSnippet(vm, main)
	if err == nil {
		res.Doc = json.RawMessage(doc)
	} else {
		p := pieces{vm: vm, main: main}
		res.Doc = p.salvage(err)
		res.Failures = p.failures
	}
	// Also of a document that failed: its other fields are still decoded.
	res.Positions = positions(files, req.File, req.Overrides)
	res.Trace = trace.String()
	return res
}

// wrap is the expression whose value is the document with its overrides. A
// document that is no object is replaced by the name of its type.
func wrap(file string, overrides []Override) string {
	var b strings.Builder
	fmt.Fprintf(&b, "local d = import %s; if std.isObject(d) then d", quote(file))
	for _, o := range overrides {
		fmt.Fprintf(&b, " + (import %s)", quote(o.Label))
	}
	b.WriteString(" else std.type(d)")
	return b.String()
}

// quote writes a Jsonnet string: JSON's syntax is a part of Jsonnet's.
func quote(s string) string {
	b, _ := json.Marshal(s) // a string cannot fail
	return string(b)
}

// evaluateSnippet evaluates code that has no file: what it imports is relative
// to nothing.
func evaluateSnippet(vm *jsonnet.VM, code string) (string, error) {
	node, err := jsonnet.SnippetToAST("", code)
	if err != nil {
		return "", err
	}
	return vm.Evaluate(node)
}
