package prepare

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/llamac/llamac/data"
)

// A file's text may change in many ways that leave name, size and time as they
// were. None of them may pass for the old text, with a memory of hashes that is
// as full as it can be.
func TestChangedTextIsNoticed(t *testing.T) {
	const before, after = "the cat sat on the mat\n", "THE DOG LAY BY THE LOG\n"
	old := time.Now().Add(-3 * time.Hour)
	write := func(t *testing.T, path string) {
		must(t, os.WriteFile(path, []byte(after), 0o666))
		must(t, os.Chtimes(path, old, old))
	}
	ways := map[string]func(t *testing.T, dir, path string){
		"written, and the time set back": func(t *testing.T, dir, path string) { write(t, path) },
		"an older file moved there": func(t *testing.T, dir, path string) {
			write(t, dir+"/new")
			must(t, os.Rename(dir+"/new", path))
		},
		"removed and copied with its time": func(t *testing.T, dir, path string) {
			must(t, os.Remove(path))
			write(t, path)
		},
		"written through a hard link": func(t *testing.T, dir, path string) {
			must(t, os.Link(path, dir+"/link"))
			write(t, dir+"/link")
		},
		"a link that leads elsewhere": func(t *testing.T, dir, path string) {
			write(t, dir+"/new")
			must(t, os.Remove(path))
			must(t, os.Symlink(dir+"/new", path))
		},
		"another folder under the name": func(t *testing.T, dir, path string) {
			must(t, os.Rename(filepath.Dir(path), dir+"/away"))
			must(t, os.Mkdir(filepath.Dir(path), 0o777))
			write(t, path)
		},
	}
	if rsync, err := exec.LookPath("rsync"); err == nil {
		ways["rsync -t --inplace"] = func(t *testing.T, dir, path string) {
			write(t, dir+"/new")
			must(t, exec.Command(rsync, "-I", "-t", "--inplace", dir+"/new", path).Run())
		}
	}
	for what, way := range ways {
		t.Run(what, func(t *testing.T) {
			if runtime.GOOS == "windows" && strings.Contains(what, "link") {
				t.Skip("links need rights here")
			}
			dir := t.TempDir()
			put(t, dir, "text/a.txt", []byte(before))
			path := filepath.Join(dir, "text", "a.txt")
			must(t, os.Chtimes(path, old, old))
			cfg := Config{Sources: []Source{{Name: "s", Share: 1, Kind: "files", Paths: []string{"text/*"}}}, Tokenizer: byteTok{},
				Base: dir, CacheDir: t.TempDir(), HashDir: t.TempDir(), now: func() time.Time { return time.Now().Add(time.Hour) }}
			text := func() (string, string) {
				set := run(t, cfg)
				key, docs, err := Texts(context.Background(), cfg)
				must(t, err)
				for text, err := range docs {
					must(t, err)
					if string(text) != docsOf(t, set)[0].text {
						t.Errorf("the vocabulary is learned from %q, the set holds %q", text, docsOf(t, set)[0].text)
					}
				}
				return docsOf(t, set)[0].text, key
			}
			text() // so that the memory is full
			got, key := text()
			if got != before {
				t.Fatalf("the set holds %q", got)
			}
			// A tick of the file system's clock, which the real settled waits for
			// many times over.
			time.Sleep(20 * time.Millisecond)
			way(t, dir, path)
			got, now := text()
			if got != after || now == key {
				t.Errorf("the set holds %q, want %q; the key changed: %v", got, after, now != key)
			}
		})
	}
}

// What was written less than a minute ago may be written again within the same
// tick of the clock: nothing is remembered of it.
func TestRacyFilesAreNotRemembered(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.txt", []byte("one"))
	clock := time.Now()
	cfg := Config{Sources: []Source{{Name: "s", Share: 1, Kind: "files", Paths: []string{"*"}}}, Base: dir, HashDir: t.TempDir(),
		now: func() time.Time { return clock }}
	known := func() int {
		_, err := Inputs(context.Background(), cfg)
		must(t, err)
		return len(openMemory(&cfg).known)
	}
	st, err := os.Stat(dir + "/a.txt")
	must(t, err)
	if _, trusted := identify(dir+"/a.txt", st); !trusted {
		if clock = clock.Add(time.Hour); known() != 0 {
			t.Error("a hash is remembered where ctime means nothing")
		}
		return
	}
	for _, c := range []struct {
		after time.Duration
		want  int
	}{{-time.Hour, 0}, {0, 0}, {settled / 2, 0}, {2 * settled, 1}} {
		clock = st.ModTime().Add(c.after)
		if got := known(); got != c.want {
			t.Errorf("%v after the change %d hashes are remembered, want %d", c.after, got, c.want)
		}
	}
	// The memory may be anything.
	names, err := filepath.Glob(cfg.HashDir + "/*")
	must(t, err)
	for _, junk := range []string{"", "x", "00 1 2 3 4 5 \"a\"\n", strings.Repeat("f", 64) + " 1 2 3 4 5 \"" + dir + "/a.txt\"\n"} {
		must(t, os.WriteFile(names[0], []byte(junk), 0o666))
		list, err := Inputs(context.Background(), cfg)
		must(t, err)
		// printf one | sha256sum
		if len(list) != 1 || list[0].SHA256 != "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed" {
			t.Errorf("with a memory of %q: %+v", junk, list)
		}
	}
}

// Two projects whose files have the same names, sizes and times.
func TestSetsOfEqualNames(t *testing.T) {
	cache, hashes := t.TempDir(), t.TempDir()
	old := time.Now().Add(-time.Hour)
	for _, text := range []string{"aaaa", "bbbb"} {
		dir := t.TempDir()
		put(t, dir, "x.txt", []byte(text))
		must(t, os.Chtimes(dir+"/x.txt", old, old))
		cfg := Config{Sources: []Source{{Name: "s", Share: 1, Kind: "files", Paths: []string{"*"}}}, Tokenizer: byteTok{},
			Base: dir, CacheDir: cache, HashDir: hashes}
		set := run(t, cfg)
		if got := docsOf(t, set)[0].text; got != text {
			t.Errorf("the set holds %q, want %q", got, text)
		}
		in, err := data.ReadInputs(set.Dir)
		must(t, err)
		if len(in) != 1 || in[0].Name != "x.txt" || in[0].Size != 4 || in[0].Source != "s" {
			t.Errorf("inputs are %+v", in)
		}
	}
}

// A file that changes between listing and reading, or while it is read.
func TestFileChangesMeanwhile(t *testing.T) {
	for what, change := range map[string]func(path string) error{
		"cut":                func(path string) error { return os.Truncate(path, 3) },
		"longer":             func(path string) error { return os.WriteFile(path, []byte("one two three and more"), 0o666) },
		"other text":         func(path string) error { return os.WriteFile(path, []byte("one TWO three"), 0o666) },
		"gone":               os.Remove,
		"broken, so skipped": func(path string) error { return os.WriteFile(path, []byte("\x1f\x8bxyz"), 0o666) },
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, "a.txt", []byte("one two three"))
			cfg := Config{Sources: []Source{{Name: "s", Share: 1, Kind: "files", Paths: []string{"*"}}}, Tokenizer: byteTok{},
				Base: dir, OutDir: t.TempDir(), SkipBad: true}
			must(t, cfg.check())
			p, err := newPlan(context.Background(), &cfg)
			must(t, err)
			must(t, change(dir+"/a.txt"))
			err = (&runner{cfg: &cfg, plan: p, dir: cfg.OutDir, progress: newTracker(nil)}).run(context.Background())
			if err == nil || !strings.Contains(err.Error(), "a.txt: ") {
				t.Errorf("error is %v", err)
			}
			if _, err := data.ReadManifest(cfg.OutDir); err == nil {
				t.Error("there is a set")
			}
		})
	}
}

// A set in the cache that was cut, or whose bytes changed, is made again and told
// of; one that the user named is left as it is.
func TestDamagedSet(t *testing.T) {
	for what, damage := range map[string]func(b []byte) []byte{
		"cut":         func(b []byte) []byte { return b[:len(b)-9] },
		"a token":     func(b []byte) []byte { b[256] ^= 1; return b },
		"a header":    func(b []byte) []byte { b[20] ^= 1; return b },
		"no contents": func(b []byte) []byte { return nil },
	} {
		for _, cached := range []bool{true, false} {
			dir := t.TempDir()
			put(t, dir, "a.txt", []byte("some text"))
			var notes []string
			cfg := Config{Sources: []Source{{Name: "s", Share: 1, Kind: "files", Paths: []string{"a.txt"}}}, Tokenizer: byteTok{}, Base: dir,
				OnNote: func(s string) { notes = append(notes, s) }}
			if cfg.OutDir = t.TempDir(); cached {
				cfg.OutDir, cfg.CacheDir = "", t.TempDir()
			}
			set := run(t, cfg)
			want := files(t, set.Dir)
			shard := filepath.Join(set.Dir, "s-00000.train.tok")
			b, err := os.ReadFile(shard)
			must(t, err)
			// Beside and renamed: the old set is still mapped.
			must(t, os.WriteFile(shard+".new", damage(b), 0o666))
			must(t, os.Rename(shard+".new", shard))
			_, err = Run(context.Background(), cfg, nil)
			if !cached {
				if err == nil || !strings.Contains(err.Error(), "the set is damaged, remove it to prepare it again: "+shard) {
					t.Errorf("%s: error is %v", what, err)
				}
				continue
			}
			must(t, err)
			same(t, what, files(t, set.Dir), want)
			if len(notes) != 1 || !strings.Contains(notes[0], "damaged and made again: "+shard) {
				t.Errorf("%s: notes are %q", what, notes)
			}
		}
	}
}
