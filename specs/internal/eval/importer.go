package eval

import (
	"bytes"
	"fmt"

	"github.com/google/go-jsonnet"
)

// importer gives the interpreter what the parent read, and the overrides as
// files of their own.
// Every answer is kept: the interpreter, the static check and the tracing ask
// for the same files, and must see the same bytes.
type importer struct {
	ask      func(from, path string) (importReply, error)
	virtual  map[string]jsonnet.Contents // overrides by label
	resolved map[[2]string]string        // (from, path) to name
	contents map[string]jsonnet.Contents // by name
	failed   map[[2]string]error
}

func newImporter(overrides []Override, ask func(from, path string) (importReply, error)) *importer {
	imp := &importer{
		ask:      ask,
		virtual:  map[string]jsonnet.Contents{},
		resolved: map[[2]string]string{},
		contents: map[string]jsonnet.Contents{},
		failed:   map[[2]string]error{},
	}
	// Their text is a file to the interpreter, so that an error in one points
	// at the flag.
	for _, o := range overrides {
		imp.virtual[o.Label] = jsonnet.MakeContents(o.source())
	}
	return imp
}

// Import implements jsonnet.Importer.
// from is the name of the importing file as an earlier call returned it.
func (imp *importer) Import(from, path string) (jsonnet.Contents, string, error) {
	// Only the wrapping expression, which has no file, may name an override.
	if c, ok := imp.virtual[path]; ok && from == "" {
		return c, path, nil
	}
	key := [2]string{from, path}
	// Asked once, so that one missing file is one error.
	if err := imp.failed[key]; err != nil {
		return jsonnet.Contents{}, "", err
	}
	if name, ok := imp.resolved[key]; ok {
		return imp.contents[name], name, nil
	}
	// The parent opens the file, or does not.
	reply, err := imp.ask(from, path)
	if err != nil {
		imp.failed[key] = err
		return jsonnet.Contents{}, "", err
	}
	// The interpreter insists on one Contents value for one name.
	// Two paths may name one file.
	c, ok := imp.contents[reply.Name]
	if !ok {
		c = jsonnet.MakeContentsRaw(reply.Data)
		imp.contents[reply.Name] = c
	} else if !bytes.Equal(c.Data(), reply.Data) {
		return jsonnet.Contents{}, "", fmt.Errorf("%s changed while it was read", reply.Name)
	}
	imp.resolved[key] = reply.Name
	return c, reply.Name, nil
}
