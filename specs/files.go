package specs

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/llamac/llamac/specs/internal/eval"
)

//go:embed *.jsonnet lib mixtures
var shipped embed.FS

// ShippedFS holds the specs that come with llamac, and their library, as they
// lie in the folder specs/: "gopher.jsonnet", "lib/llama.libsonnet".
func ShippedFS() fs.FS { return shipped }

// Shipped lists the specs of ShippedFS in alphabetical order.
func Shipped() []string {
	// Glob sorts.
	names, err := fs.Glob(shipped, "*.jsonnet")
	if err != nil {
		panic(err) // only a malformed pattern
	}
	return names
}

// LibraryPath begins the imports that are answered from inside the program:
// import 'llamac/llama.libsonnet' is specs/lib/llama.libsonnet, and
// import 'llamac/mixtures/llama.libsonnet' is specs/mixtures/llama.libsonnet.
// Shipped specs stand there as well: import 'llamac/gopher.jsonnet'.
const LibraryPath = "llamac/"

// maxFile is the largest file that a spec may import.
// The shipped ones have a few kilobytes; a megabyte of Jsonnet is a mistake.
const maxFile = 1 << 20

// files reads specs and imports: from a file system, or from the disk if fsys
// is nil.
type files struct{ fsys fs.FS }

// read implements eval.Reader.
// It runs in the parent. from is the file that holds the import, or empty for
// the spec itself; the name that it returns appears in every position of the
// file.
func (f files) read(from, name string) (string, []byte, error) {
	// Answered from inside the program even where a folder of that name exists:
	// a spec means the same on every machine.
	if lib, ok := strings.CutPrefix(name, LibraryPath); ok && from != "" {
		return library(path.Clean(lib))
	}
	if dir, ok := strings.CutPrefix(from, eval.LibraryPrefix); ok {
		return library(path.Join(path.Dir(dir), name))
	}
	// The specs inside are files like others to whoever reads a message about
	// them, so they are no part of the library.
	if name, ok := strings.CutPrefix(name, ShippedPrefix); ok && from == "" {
		return readShipped(path.Clean(name))
	}
	if dir, ok := strings.CutPrefix(from, ShippedPrefix); ok {
		return readShipped(path.Join(path.Dir(dir), name))
	}
	if from != "" {
		if path.IsAbs(name) || filepath.IsAbs(name) {
			return "", nil, errors.New("an import must be relative to the file that holds it")
		}
		if f.fsys != nil {
			name = path.Join(path.Dir(from), name)
		} else {
			name = filepath.Join(filepath.Dir(from), filepath.FromSlash(name))
		}
	}
	// Positions with this prefix are trusted to be the library's.
	if strings.HasPrefix(name, eval.LibraryPrefix) {
		return "", nil, errors.New("the name is reserved for llamac's own library")
	}
	data, err := f.load(name)
	return name, data, err
}

// library reads a file of the embedded library.
// There is no way out of it: names are looked up in an embedded file system,
// which knows no "..".
func library(name string) (string, []byte, error) {
	file := "lib/" + name
	// A spec may start from a shipped one: import 'llamac/gopher.jsonnet'.
	if strings.HasPrefix(name, "mixtures/") || strings.HasSuffix(name, ending) {
		file = name
	}
	data, err := shipped.ReadFile(file)
	if err != nil {
		return "", nil, fmt.Errorf("llamac's library has no %s", name)
	}
	return eval.LibraryPrefix + name, data, nil
}

// load reads a regular file of sane size. A device, a pipe or a disk image
// given by mistake must not be read to its end.
func (f files) load(name string) ([]byte, error) {
	var info fs.FileInfo
	var err error
	if f.fsys != nil {
		info, err = fs.Stat(f.fsys, name)
	} else {
		info, err = os.Stat(name)
	}
	// In words that fit behind a name: "mine.jsonnet: no such file".
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errors.New("no such file")
	case err != nil:
		return nil, cause(err)
	// The commonest slip: a folder instead of the spec in it.
	case info.IsDir():
		return nil, errors.New("is a folder")
	case !info.Mode().IsRegular():
		return nil, errors.New("is not a regular file")
	case info.Size() > maxFile:
		return nil, fmt.Errorf("has %d bytes, and a file of a spec may have %d", info.Size(), maxFile)
	}
	var r io.ReadCloser
	if f.fsys != nil {
		r, err = f.fsys.Open(name)
	} else {
		r, err = os.Open(name)
	}
	if err != nil {
		return nil, cause(err)
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxFile)) // it may have grown
	if err != nil {
		return nil, cause(err)
	}
	return data, nil
}

// cause strips the operation and the path, which the diagnostic has already.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
