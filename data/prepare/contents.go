package prepare

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A set is known by the contents of its input, so every preparation begins with
// the hash of every file. What makes that bearable is a memory of hashes: a file
// is not read again where nothing can have changed it since.
//
// Size and modification time cannot say that: cp -p, rsync -t, git checkout of an
// older commit, mv of an older file and touch -d set the time at will. The
// time of the last change of the inode, ctime, is the system's own, so a file
// is taken as unchanged when path, device, inode, size, mtime and ctime are
// those of the moment when it was hashed. Two cases are left:
//
//   - A write within the same tick of the clock, or through a mapping whose pages
//     the system has not written back, leaves ctime as it was. So nothing is
//     remembered of a file that changed less than settled ago.
//   - ctime on a network mount is another machine's clock, and a file system in
//     user space may do as it likes. So only local file systems are
//     trusted (stat_*.go), and everywhere else files are read.

// settled is how long a file must have been left alone before its hash is
// remembered: Linux writes pages of a mapping back within half a minute.
const settled = time.Minute

// fileID is what the system says about a file besides its contents.
type fileID struct {
	dev, ino           uint64
	size, mtime, ctime int64 // bytes, nanoseconds
}

// memory remembers hashes of files between runs, in one file for each list of
// patterns, so that a file that is added leaves the others known.
type memory struct {
	path  string
	mu    sync.Mutex
	known map[string]remembered
	now   func() time.Time
}

type remembered struct {
	id    fileID
	sum   [sha256.Size]byte
	asked bool // in this run
}

// openMemory reads what is known of the files of these sources. It never fails:
// whatever is not as it should be is not known.
func openMemory(cfg *Config) *memory {
	m := &memory{known: map[string]remembered{}, now: cfg.now}
	if m.now == nil {
		m.now = time.Now
	}
	base, err := filepath.Abs(cfg.Base)
	if cfg.HashDir == "" || err != nil {
		return m
	}
	h := sha256.New()
	fmt.Fprintf(h, "%q\n", base)
	for _, s := range cfg.Sources {
		fmt.Fprintf(h, "%q %q\n", s.Kind, s.Paths)
	}
	m.path = filepath.Join(cfg.HashDir, fmt.Sprintf("%x", h.Sum(nil)[:8]))
	b, err := os.ReadFile(m.path)
	if err != nil {
		return m
	}
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 7)
		if len(f) < 7 {
			continue
		}
		var r remembered
		var err [6]error
		r.id.dev, err[0] = strconv.ParseUint(f[1], 10, 64)
		r.id.ino, err[1] = strconv.ParseUint(f[2], 10, 64)
		r.id.size, err[2] = strconv.ParseInt(f[3], 10, 64)
		r.id.mtime, err[3] = strconv.ParseInt(f[4], 10, 64)
		r.id.ctime, err[4] = strconv.ParseInt(f[5], 10, 64)
		var path string
		path, err[5] = strconv.Unquote(f[6])
		n, e := hex.Decode(r.sum[:], []byte(f[0]))
		if e == nil && n == len(r.sum) && err == [6]error{} {
			m.known[path] = r
		}
	}
	return m
}

// save writes what is known of the files that were asked about, for the next
// run. Failing to costs time and no more.
func (m *memory) save() {
	if m.path == "" {
		return
	}
	var b bytes.Buffer
	for path, r := range m.known {
		if !r.asked {
			continue
		}
		fmt.Fprintf(&b, "%x %d %d %d %d %d %q\n", r.sum, r.id.dev, r.id.ino, r.id.size, r.id.mtime, r.id.ctime, path)
	}
	if os.MkdirAll(filepath.Dir(m.path), 0o777) != nil {
		return
	}
	f, err := createTemp(m.path)
	if err != nil {
		return
	}
	_, err = f.Write(b.Bytes())
	if e := f.Close(); err == nil && e == nil && os.Rename(f.Name(), m.path) == nil {
		return
	}
	os.Remove(f.Name())
}

// sum gives the hash of a file's contents, from memory where that is sound, and
// fills in its size.
func (m *memory) sum(ctx context.Context, f *inputFile) (fresh bool, err error) {
	key, err := filepath.Abs(f.path)
	if err != nil {
		return false, err
	}
	st, err := os.Stat(f.path)
	if err != nil {
		return false, err
	}
	id, trusted := identify(f.path, st)
	m.mu.Lock()
	r, ok := m.known[key]
	ok = ok && trusted && r.id == id
	if ok {
		r.asked = true
		m.known[key] = r
	}
	m.mu.Unlock()
	if ok {
		f.size, f.sum = id.size, r.sum
		return false, nil
	}
	before := m.now()
	if err := hashFile(ctx, f); err != nil {
		return true, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.known, key)
	if since := before.UnixNano() - id.ctime; trusted && since > int64(settled) {
		m.known[key] = remembered{id, f.sum, true}
	}
	return true, nil
}

// hashFile reads a file for its hash and its size.
func hashFile(ctx context.Context, f *inputFile) error {
	file, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer file.Close()
	before, err := file.Stat()
	if err != nil {
		return err
	}
	if !before.Mode().IsRegular() {
		return fmt.Errorf("%s: not a file but a %s", f.path, fileType(before.Mode()))
	}
	h := sha256.New()
	n, err := io.Copy(h, contextReader{ctx, file})
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	after, err := file.Stat()
	if err != nil {
		return err
	}
	if n != before.Size() || n != after.Size() || !after.ModTime().Equal(before.ModTime()) {
		return changed(f)
	}
	f.size = n
	h.Sum(f.sum[:0])
	return nil
}

// changed is the error about a file that is another one than when it was listed.
func changed(f *inputFile) error {
	return fmt.Errorf("%s: changed while it was read; run again once nothing writes to it", f.path)
}

// fileType names what is no regular file.
func fileType(m os.FileMode) string {
	switch {
	case m.IsDir():
		return "folder"
	case m&os.ModeNamedPipe != 0:
		return "pipe"
	case m&os.ModeSocket != 0:
		return "socket"
	case m&os.ModeDevice != 0:
		return "device"
	}
	return "special file"
}

// contextReader ends with its context: hashing a crawl takes minutes.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}

// hashInputs fills in sizes and hashes of all files, several at a time.
func hashInputs(ctx context.Context, cfg *Config, sources [][]inputFile) error {
	var all []*inputFile
	for _, files := range sources {
		for i := range files {
			all = append(all, &files[i])
		}
	}
	m := openMemory(cfg)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan *inputFile)
	var workers sync.WaitGroup
	var fresh sync.Once
	learned := false
	for range max(1, cfg.Workers) {
		workers.Go(func() {
			for f := range next {
				read, err := m.sum(ctx, f)
				if err != nil {
					cancel(err)
				}
				if read {
					fresh.Do(func() { learned = true })
				}
			}
		})
	}
feed:
	for _, f := range all {
		select {
		case next <- f:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	workers.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if learned {
		m.save()
	}
	return nil
}
