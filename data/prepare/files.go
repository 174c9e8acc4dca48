package prepare

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/llamac/llamac/data"
)

// workDir holds the units until the set is complete.
// Its files have the names that they will have in the set, so finishing is
// mostly linking.
const workDir = "work"

// tempFile is a file that is being written.
// Tests put a disk that fails in its place.
type tempFile interface {
	io.Writer
	io.WriterAt
	Sync() error
	Close() error
	Name() string
}

// createTemp makes a file in the folder of path, so that it can be renamed,
// under a name that no other run has.
func createTemp(path string) (tempFile, error) {
	// The rest of the name is random, so that two jobs at one unit do not meet.
	return os.CreateTemp(filepath.Dir(path), tempPrefix+filepath.Base(path)+"-*")
}

// tempPrefix marks files that belong to nobody once they are old.
const tempPrefix = ".tmp-"

// atomically writes a file that appears at path whole, with its contents on
// the disk, or not at all.
// A reader, or a run after a crash, finds the old file, the new one or none.
func (r *runner) atomically(path string, write func(f tempFile) error) (err error) {
	f, err := r.cfg.create(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			// The name that failed is one nobody has seen; tell the one
			// that was to be.
			err = fmt.Errorf("writing %s: %w", path, err)
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	// Before the rename: a crash after it must not leave a name without its
	// contents, which some file systems would.
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	// In one folder, so that the rename is a change of the name alone.
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// writeWhole writes a small file atomically.
func (r *runner) writeWhole(path string, b []byte) error {
	return r.atomically(path, func(f tempFile) error {
		_, err := f.Write(b)
		return err
	})
}

// syncDir makes a rename durable where folders can be synced.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// clean removes temporary files of runs that were killed. Those of a run that
// is alive grow all the time, so ten quiet minutes mean that nobody owns one.
// Errors mean that another run was faster.
func clean(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), tempPrefix) {
			continue
		}
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > 10*time.Minute {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// shardFile writes one shard to a temporary file and, when it holds documents,
// puts it in place.
// A unit without held-out documents has no file for them.
type shardFile struct {
	f    tempFile
	w    *data.Writer
	path string
}

// newShard begins the shard that is to be at path.
func (r *runner) newShard(path string) (*shardFile, error) {
	f, err := r.cfg.create(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	w, err := data.NewWriter(f, r.header())
	if err != nil {
		f.Close()
		os.Remove(f.Name())
		return nil, err
	}
	return &shardFile{f: f, w: w, path: path}, nil
}

// header is what all shards of the set have in common.
func (r *runner) header() data.Header {
	t := r.cfg.Tokenizer
	// -1: documents of this set carry none, whatever the tokenizer has.
	h := data.Header{Vocab: t.Vocab(), BOS: -1, EOS: -1, Tokenizer: t.Hash()}
	if r.cfg.AddBOS {
		h.BOS = t.BOS()
	}
	if r.cfg.AddEOS {
		h.EOS = t.EOS()
	}
	return h
}

// abandon removes what was written so far.
func (s *shardFile) abandon() {
	if s.f != nil {
		s.f.Close()
		os.Remove(s.f.Name())
		s.f = nil
	}
}

// finish puts the shard in place, and removes it when it is empty: then the
// header has no documents.
func (s *shardFile) finish() (h data.Header, err error) {
	defer s.abandon() // does nothing once the file has its name
	// A set has no empty shards: a source without held-out documents has no
	// such file.
	if s.w.Docs() == 0 {
		os.Remove(s.path) // of an earlier run with other input
		return data.Header{}, nil
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing %s: %w", s.path, err)
		}
	}()
	// From here on the steps are those of atomically: contents, sync, name,
	// folder.
	if h, err = s.w.Finish(); err != nil {
		return h, err
	}
	if err = s.f.Sync(); err != nil {
		return h, err
	}
	if err = s.f.Close(); err != nil {
		return h, err
	}
	if err = os.Rename(s.f.Name(), s.path); err != nil {
		return h, err
	}
	s.f = nil
	return h, syncDir(filepath.Dir(s.path))
}
