package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/llamac/llamac/data"
	"github.com/llamac/llamac/weights"
)

// A run folder:
//
//	run.json                           what the run was started with
//	metrics.jsonl                      one line a step
//	loss.svg                           the loss curve
//	samples/step-00000200-1.txt        text that the model wrote
//	checkpoints/step-00000200.safetensors
//	tokenizer.*                        a copy of the tokenizer's file
//	inputs.txt                         the files that the text was made from
//	lock                               held while a process trains here
//
// Everything but metrics.jsonl is written beside its place and renamed, so a
// name always stands for a whole file.
type runDir struct {
	path   string
	create func(path string) (outFile, error)
	fast   bool // tests: wait neither for the disk nor for a lock
	lock   *os.File
}

const (
	lockPatience  = 2 * time.Second
	checkpointDir = "checkpoints"
	sampleDir     = "samples"
	temporary     = ".tmp"
	aside         = ".damaged"
)

// outFile is a file that is being written.
// Tests put files in its place that fail, or that end the process.
type outFile interface {
	io.Writer
	io.WriterAt
	Sync() error
	Close() error
}

// createFile is how files of a run are made outside tests.
func createFile(path string) (outFile, error) { return os.Create(path) }

// join is the path of something in the folder.
func (d *runDir) join(name ...string) string {
	return filepath.Join(append([]string{d.path}, name...)...)
}

// seen is what decides how a run goes on, to tell whether it has changed.
func (d *runDir) seen() (string, error) {
	steps, err := d.checkpoints()
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(d.join(settingsFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return fmt.Sprint(steps, string(b)), nil
}

// open makes the folder and takes its lock, which the system gives back even
// when the process is killed.
func (d *runDir) open() error {
	for _, sub := range []string{checkpointDir, sampleDir} {
		if err := os.MkdirAll(d.join(sub), 0o777); err != nil {
			return err
		}
	}
	lock, err := lockFile(d.join("lock"))
	// A process that was just killed may take a moment to be gone.
	for end := time.Now().Add(lockPatience); errors.Is(err, errLocked) && !d.fast && time.Now().Before(end); lock, err = lockFile(d.join("lock")) {
		time.Sleep(50 * time.Millisecond)
	}
	if errors.Is(err, errLocked) {
		return fmt.Errorf("%s: another process is training in this folder", d.path)
	}
	if err != nil {
		return err
	}
	d.lock = lock
	return nil
}

// close gives the lock back.
//
// The file stays: removing it would let another process lock a name that is no
// longer there.
func (d *runDir) close() {
	if d.lock != nil {
		d.lock.Close()
	}
}

var errLocked = errors.New("locked")

// write makes a file appear whole, or not at all: its content reaches the disk
// before its name does.
func (d *runDir) write(path string, content func(outFile) error) error {
	tmp := path + temporary
	// One name for all attempts: what a killed run left is overwritten.
	f, err := d.create(tmp)
	if err != nil {
		return err
	}
	err = content(f)
	if err == nil && !d.fast {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		// A disk that is full gets its space back.
		os.Remove(tmp)
		return fmt.Errorf("%s: not written: %w", path, bare(err))
	}
	if d.fast {
		return nil
	}
	return syncDir(filepath.Dir(path))
}

// bare drops the path of the temporary file from an error of package os.
func bare(err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	return err
}

// syncDir makes a rename lasting. File systems that cannot are not an error.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%s: %w", dir, bare(err))
	}
	return nil
}

// writeBytes writes a small file whole.
func (d *runDir) writeBytes(path string, b []byte) error {
	return d.write(path, func(f outFile) error {
		_, err := f.Write(b)
		return err
	})
}

// checkpointPath names the checkpoint of a step.
func (d *runDir) checkpointPath(step int) string {
	return d.join(checkpointDir, fmt.Sprintf("step-%08d.safetensors", step))
}

// checkpoints lists the steps that have one, newest first.
func (d *runDir) checkpoints() ([]int, error) {
	entries, err := os.ReadDir(d.join(checkpointDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var steps []int
	for _, e := range entries {
		if s, ok := stepOf(e.Name(), ".safetensors"); ok {
			steps = append(steps, s)
		}
	}
	// Not by the names' order: nine digits would come before eight.
	slices.Sort(steps)
	slices.Reverse(steps)
	return steps, nil
}

// stepOf reads the number of "step-00000200.safetensors".
// The zeros in front are for people's listings.
func stepOf(name, suffix string) (int, bool) {
	s, ok := strings.CutSuffix(name, suffix)
	if !ok {
		return 0, false
	}
	if s, ok = strings.CutPrefix(s, "step-"); !ok {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	// No other spelling of a number: its file would be looked for under this one.
	return n, err == nil && n >= 0 && s == fmt.Sprintf("%08d", n)
}

// save writes a checkpoint and removes those that are no longer kept, once the
// new one has been read back.
//
// keeps is asked with the number of newer checkpoints, the new one included.
// Later steps of an abandoned attempt are not counted, and clean removes them on
// resuming. What is no checkpoint of this run is left alone.
func (d *runDir) save(step int, keeps func(step, rank int) bool, content func(outFile) error) (string, error) {
	path := d.checkpointPath(step)
	// The new one is whole before an old one goes.
	if err := d.write(path, content); err != nil {
		return path, err
	}
	steps, err := d.checkpoints()
	if err != nil {
		return path, err
	}
	rank, verified := 0, false
	for _, s := range steps {
		if s > step { // left behind by a run that was resumed from before it
			continue
		}
		if !keeps(s, rank) {
			if !verified {
				if err := weights.VerifyCheckpoint(path); err != nil {
					return path, fmt.Errorf("%w: no older checkpoint is removed", err)
				}
				verified = true
			}
			if err := d.removeOwn(s, path); err != nil {
				return path, err
			}
		}
		rank++
	}
	return path, nil
}

// removeOwn removes the checkpoint of a step if it is one of the run that wrote
// another file.
func (d *runDir) removeOwn(step int, other string) error {
	path := d.checkpointPath(step)
	mine, err := weights.ReadCheckpointState(other)
	if err != nil {
		return err
	}
	c, err := weights.ReadCheckpointState(path)
	if err != nil || c.Step != step || c.Name != mine.Name || c.Seed != mine.Seed || c.Tokenizer != mine.Tokenizer {
		return nil // somebody's file, or a damaged one
	}
	return os.Remove(path)
}

// newest finds the newest checkpoint that verifies, by reading it. Damaged
// ones are reported and passed over; one of another specification is an error.
func (d *runDir) newest(read func(path string) (weights.Checkpoint, error), damaged func(error)) (c weights.Checkpoint, found bool, err error) {
	steps, err := d.checkpoints()
	if err != nil {
		return c, false, err
	}
	for _, s := range steps {
		c, err = read(d.checkpointPath(s))
		var broken *weights.FormatError
		switch {
		case err == nil:
			return c, true, nil
		// Another model, or a file that cannot be read: an older one would be
		// no better.
		case !errors.As(err, &broken):
			return c, false, err
		}
		damaged(err)
	}
	if len(steps) > 0 {
		return c, false, fmt.Errorf("%s: none of its %s verifies", d.join(checkpointDir), plural(len(steps), "checkpoint"))
	}
	return c, false, nil
}

// clean removes what a run that goes on from a step must not find: its own
// temporary files and samples of later steps, which would be taken for its own.
// step -1 removes everything. A checkpoint of a later step is one that did not
// verify: it is put aside under another name, for it may be all that is left of
// hours of work.
func (d *runDir) clean(step int) error {
	// Nothing else in the folder is looked at.
	for _, sub := range []string{"", checkpointDir, sampleDir} {
		entries, err := os.ReadDir(d.join(sub))
		if err != nil {
			return err
		}
		for _, e := range entries {
			whole, torn := strings.CutSuffix(e.Name(), temporary)
			stale := torn && ownName(sub, whole) || step < 0 && e.Name() == "loss.svg"
			switch sub {
			case checkpointDir:
				s, ok := stepOf(e.Name(), ".safetensors")
				if ok && step >= 0 && s > step && !e.IsDir() {
					path := d.join(sub, e.Name())
					to := path + aside
					for i := 2; exists(to); i++ { // of an earlier time
						to = fmt.Sprintf("%s%s-%d", path, aside, i)
					}
					if err := os.Rename(path, to); err != nil {
						return err
					}
					continue
				}
				stale = stale || ok && s > step
			case sampleDir:
				name, _, ok := cutLast(e.Name(), "-")
				s, numbered := stepOf(name, "")
				stale = stale || ok && numbered && s > step
			}
			if stale && !e.IsDir() {
				if err := os.Remove(d.join(sub, e.Name())); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// ownName tells whether a run writes files of a name in a folder of its own.
func ownName(sub, name string) bool {
	switch sub {
	case checkpointDir:
		_, ok := stepOf(name, ".safetensors")
		return ok
	case sampleDir:
		name, _, ok := cutLast(name, "-")
		_, numbered := stepOf(name, "")
		return ok && numbered
	}
	return name == settingsFile || name == "loss.svg" || name == data.InputsFile || strings.HasPrefix(name, "tokenizer")
}

// cutLast is strings.Cut around the last occurrence.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
