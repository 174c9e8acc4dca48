package gobuild

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"
)

// An Entry is one thing in the cache that can be made again.
type Entry struct {
	Kind  string // of Kinds
	Name  string
	Path  string
	Bytes int64
	Used  time.Time // when it was made or last used
}

// Kinds are what the cache holds, each in a folder of the cache of that name.
var Kinds = []string{"build", "data", "tokenizer"}

// Names of entries end in a hash of what they were made of; vocabularies are
// files with the ending of their format behind it.
var hashed = map[string]*regexp.Regexp{
	"build":     regexp.MustCompile(`-[0-9a-f]{16}$`),
	"data":      regexp.MustCompile(`^[0-9a-f]{16}$`),
	"tokenizer": regexp.MustCompile(`-[0-9a-f]{16}\.(model|json|bin|gguf)$`),
}

// Entries lists what is in a cache folder, the longest unused first. Files that
// llamac has not written are none of them, so that nothing of anybody else is
// removed where LLAMAC_CACHE names a folder that has other uses.
func Entries(cache string) (list []Entry, err error) {
	for _, kind := range Kinds {
		found, err := os.ReadDir(filepath.Join(cache, kind))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, f := range found {
			e := Entry{Kind: kind, Name: f.Name(), Path: filepath.Join(cache, kind, f.Name())}
			if !hashed[kind].MatchString(e.Name) || !e.ours(f) {
				continue
			}
			if err := e.measure(); errors.Is(err, fs.ErrNotExist) {
				continue // somebody else has removed it meanwhile
			} else if err != nil {
				return nil, err
			}
			list = append(list, e)
		}
	}
	slices.SortStableFunc(list, func(a, b Entry) int { return a.Used.Compare(b.Used) })
	return list, nil
}

// ours tells by its contents whether llamac has made a file or folder. A link
// leads elsewhere, whatever it is called.
func (e *Entry) ours(f fs.DirEntry) bool {
	begins := func(name, with string) bool {
		b, err := os.ReadFile(filepath.Join(e.Path, name))
		return err == nil && bytes.HasPrefix(b, []byte(with))
	}
	switch e.Kind {
	case "build":
		return f.IsDir() && begins("go.mod", made)
	case "data":
		return f.IsDir() && (begins("manifest.json", "{\n  \"format\": \"llamac data ") || e.prepared())
	}
	return f.Type().IsRegular()
}

// ofSet matches what a preparation leaves in a set's folder and, until it is done,
// in the folder "work" below it.
var ofSet = regexp.MustCompile(`^((\.tmp-)?[A-Za-z0-9_-]+-[0-9]{5,}\.(train\.tok|val\.tok|json)(-[0-9]+)?|(\.tmp-)?(token-bytes\.bin|manifest\.json|inputs\.txt|tokenizer\.model)(-[0-9]+)?|\.tmp-[0-9]+)$`)

// prepared tells a data set that has no manifest yet, or lost it: nothing but
// shards and what belongs to them.
func (e *Entry) prepared() bool {
	shards := 0
	for _, sub := range []string{"", "work"} {
		files, err := os.ReadDir(filepath.Join(e.Path, sub))
		if err != nil && (sub == "" || !errors.Is(err, fs.ErrNotExist)) {
			return false
		}
		for _, f := range files {
			switch {
			case sub == "" && f.IsDir() && f.Name() == "work":
			case f.IsDir() || !ofSet.MatchString(f.Name()):
				return false
			case filepath.Ext(f.Name()) == ".tok" || sub != "":
				shards++
			}
		}
	}
	return shards > 0
}

// measure sums the sizes below an entry and finds its last use, which Use marks
// on the entry itself and work in progress on the files in it.
func (e *Entry) measure() error {
	return filepath.WalkDir(e.Path, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().IsRegular() {
			e.Bytes += info.Size()
		}
		// The runtime's source keeps no other time than that of the build.
		if info.ModTime().After(e.Used) {
			e.Used = info.ModTime()
		}
		return nil
	})
}

// Remove removes an entry unless a process uses it. done is false if one does.
func (e *Entry) Remove() (done bool, err error) {
	lock, err := lockUse(lockName(e.Path), true)
	if errors.Is(err, errInUse) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer lock.Close()
	if err := os.RemoveAll(e.Path); err != nil {
		return false, err
	}
	// Its lock would outlive it for ever. Whoever waits for this very file finds
	// nothing to use and makes the entry anew.
	os.Remove(lockName(e.Path))
	return true, nil
}

// Held reports whether a process uses the entry.
func (e *Entry) Held() bool {
	lock, err := lockUse(lockName(e.Path), true)
	if err == nil {
		lock.Close()
	}
	return errors.Is(err, errInUse)
}

// errInUse says that a process holds an entry.
var errInUse = errors.New("in use")

// lockName is the file whose lock is that of an entry: beside the kinds, for an
// entry may not be there yet.
func lockName(entry string) string {
	kind := filepath.Dir(entry)
	return filepath.Join(filepath.Dir(kind), "locks", filepath.Base(kind)+"-"+filepath.Base(entry))
}

// uses are the locks of this process, by entry.
var uses struct {
	sync.Mutex
	held map[string]*os.File
}

// Use marks an entry as used now, and as in use until this process ends or the
// one that KeepUses hands it on to. What is not in the cache is left alone, and
// a cache that cannot be written is used all the same.
func Use(path string) {
	cache, err := CacheDir()
	if err != nil || !slices.Contains(Kinds, filepath.Base(filepath.Dir(path))) || !sameFolder(filepath.Dir(filepath.Dir(path)), cache) {
		return
	}
	uses.Lock()
	defer uses.Unlock()
	if uses.held == nil {
		uses.held = map[string]*os.File{}
	}
	if uses.held[path] == nil {
		if os.MkdirAll(filepath.Join(cache, "locks"), 0o755) == nil {
			if f, err := lockUse(lockName(path), false); err == nil {
				uses.held[path] = f
			}
		}
	}
	now := time.Now()
	os.Chtimes(path, now, now)
}

func sameFolder(a, b string) bool {
	x, errX := filepath.Abs(a)
	y, errY := filepath.Abs(b)
	return errX == nil && errY == nil && x == y
}

// KeepUses lets the program that takes this process's place go on with its uses.
func KeepUses() {
	uses.Lock()
	defer uses.Unlock()
	for _, f := range uses.held {
		inherit(f)
	}
}

// Every set of compiled-in numbers is a build of its own, so a search over
// learning rates makes hundreds. Those that were not used for the longest time go
// when there are more than keepBuilds, but none of the last hour: another process
// may be about to start it.
const (
	keepBuilds = 32
	restBuilds = time.Hour
)

// prune keeps the number of builds down. It is no part of what was asked for, so
// that what fails is left for another time.
func prune(cache string, now time.Time) {
	list, err := Entries(cache)
	if err != nil {
		return
	}
	list = slices.DeleteFunc(list, func(e Entry) bool { return e.Kind != "build" })
	for i := 0; i < len(list)-keepBuilds; i++ {
		if now.Sub(list[i].Used) > restBuilds {
			list[i].Remove()
		}
	}
}
