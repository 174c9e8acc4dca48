package gobuild

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// plant writes a file into a cache and makes it and its folder so old.
func plant(t *testing.T, age time.Duration, text string, path ...string) {
	t.Helper()
	name := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-age)
	for _, p := range []string{name, filepath.Dir(name)} {
		if err := os.Chtimes(p, at, at); err != nil {
			t.Fatal(err)
		}
	}
}

const module = made + "module m\n"

// Only what llamac has written is listed, and so removed: LLAMAC_CACHE may name
// a folder with other things in folders of the same names.
func TestEntries(t *testing.T) {
	cache := t.TempDir()
	day := 24 * time.Hour
	plant(t, 3*day, module, cache, "build", "m-0123456789abcdef", "go.mod")
	plant(t, 2*day, "{\n  \"format\": \"llamac data 2\"", cache, "data", "0123456789abcdef", "manifest.json")
	plant(t, 1*day, "model", cache, "tokenizer", "m-300-0123456789abcdef.model")
	plant(t, 4*day, "shard", cache, "data", "fedcba9876543210", "work", "x-00000.train.tok") // interrupted
	at := time.Now().Add(-4 * day)
	if err := os.Chtimes(filepath.Join(cache, "data", "fedcba9876543210"), at, at); err != nil {
		t.Fatal(err)
	}
	plant(t, 5*day, "shard", cache, "data", "fedcba9876543211", "x-00000.train.tok")
	plant(t, 5*day, "{}", cache, "data", "fedcba9876543211", ".tmp-manifest.json-77")

	plant(t, day, "module theirs\n", cache, "build", "theirs-0123456789abcdef", "go.mod")
	plant(t, day, module, cache, "build", "unhashed", "go.mod")
	plant(t, day, "{}", cache, "data", "00000000000000ff", "manifest.json")
	plant(t, day, "a photo", cache, "data", "00000000000000aa", "photo.jpg")
	plant(t, day, "shard", cache, "data", "00000000000000bb", "x-00000.train.tok")
	plant(t, day, "a photo", cache, "data", "00000000000000bb", "photo.jpg")
	plant(t, day, "shard", cache, "data", "00000000000000cc", "work", "x-00000.train.tok")
	plant(t, day, "a photo", cache, "data", "00000000000000cc", "work", "photo.jpg")
	plant(t, day, "x", cache, "data", "notes.txt")
	plant(t, day, "x", cache, "tokenizer", "llama.model")
	plant(t, day, "x", cache, "elsewhere", "m-0123456789abcdef", "go.mod")
	outside := t.TempDir()
	plant(t, day, module, outside, "go.mod")
	if err := os.Symlink(outside, filepath.Join(cache, "build", "link-0123456789abcdef")); err != nil {
		t.Logf("without links: %v", err)
	}

	list, err := Entries(cache)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		got = append(got, fmt.Sprintf("%s %s %d %.0f", e.Kind, e.Name, e.Bytes, time.Since(e.Used).Hours()))
	}
	want := []string{"data fedcba9876543211 7 120", "data fedcba9876543210 5 96", fmt.Sprintf("build m-0123456789abcdef %d 72", len(module)), "data 0123456789abcdef 29 48", "tokenizer m-300-0123456789abcdef.model 5 24"}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
	for _, e := range list {
		if done, err := e.Remove(); !done || err != nil {
			t.Errorf("%s: %v, %v", e.Path, done, err)
		}
	}
	for _, kept := range []string{"build/theirs-0123456789abcdef/go.mod", "build/unhashed/go.mod", "data/00000000000000ff/manifest.json", "data/00000000000000aa/photo.jpg", "data/00000000000000bb/photo.jpg", "data/00000000000000cc/work/photo.jpg", "data/notes.txt", "tokenizer/llama.model", "elsewhere/m-0123456789abcdef/go.mod"} {
		if _, err := os.Stat(filepath.Join(cache, filepath.FromSlash(kept))); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(outside, "go.mod")); err != nil {
		t.Error(err)
	}
	if list, err := Entries(filepath.Join(cache, "none")); len(list) > 0 || err != nil {
		t.Errorf("a cache that is not there has %v, %v", list, err)
	}
}

// What is in use stays.
func TestUse(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("LLAMAC_CACHE", cache)
	plant(t, 100*time.Hour, module, cache, "build", "m-0123456789abcdef", "go.mod")
	dir := filepath.Join(cache, "build", "m-0123456789abcdef")
	e := Entry{Kind: "build", Path: dir}
	if e.Held() {
		t.Error("nobody holds it yet")
	}
	Use(dir)
	list, err := Entries(cache)
	if err != nil || len(list) != 1 || time.Since(list[0].Used) > time.Minute {
		t.Errorf("after its use: %+v, %v", list, err)
	}
	if !e.Held() {
		t.Skip("this system has no locks")
	}
	if done, err := e.Remove(); done || err != nil {
		t.Errorf("removed in use: %v, %v", done, err)
	}
	uses.held[dir].Close()
	delete(uses.held, dir)
	if done, err := e.Remove(); !done || err != nil {
		t.Errorf("not removed: %v, %v", done, err)
	}
	// A folder outside, such as one of -o, is nobody's entry.
	outside := filepath.Join(t.TempDir(), "data", "0123456789abcdef")
	Use(outside)
	if uses.held[outside] != nil {
		t.Errorf("%s is held", outside)
	}
}

// Of many builds those go that were not used for the longest time, and none of
// the last hour.
func TestPrune(t *testing.T) {
	cache := t.TempDir()
	for i := range keepBuilds + 8 {
		plant(t, time.Duration(i)*20*time.Minute, module, cache, "build", fmt.Sprintf("m-%016x", i), "go.mod")
	}
	plant(t, 1000*time.Hour, "x", cache, "tokenizer", "m-300-0123456789abcdef.model")
	prune(cache, time.Now())
	list, err := Entries(cache)
	if err != nil || len(list) != keepBuilds+1 {
		t.Fatalf("%d entries, %v", len(list), err)
	}
	if name := list[1].Name; name != fmt.Sprintf("m-%016x", keepBuilds-1) {
		t.Errorf("the oldest that is left is %s", name)
	}
	// All are of the last hour.
	for i := range 2 * keepBuilds {
		plant(t, time.Duration(i)*time.Second, module, cache, "build", fmt.Sprintf("new-%016x", i), "go.mod")
	}
	prune(cache, time.Now())
	list, err = Entries(cache)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range list {
		if time.Since(e.Used) <= time.Hour && e.Kind == "build" {
			n++
		}
	}
	if n < 2*keepBuilds {
		t.Errorf("%d builds of the last hour are left", n)
	}
}
