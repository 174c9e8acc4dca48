package gobuild

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// fakeGo answers go env from variables, and builds a "binary" that tells for
// what it was built; it counts its builds.
const fakeGo = `#!/bin/sh
case "$1" in
env) echo "$FAKE_VERSION $GOOS $GOARCH $GOAMD64" ;;
build)
	echo x >>"$FAKE_COUNT"
	echo "$FAKE_VERSION $GOOS $GOARCH $GOAMD64" >"$4" ;;
esac
`

// TestBinaryKey builds one module for several machines and by several Go
// versions in one cache: each gets its own, and the second time none is built.
func TestBinaryKey(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the stand-in for go is a shell script")
	}
	dir := t.TempDir()
	count := filepath.Join(dir, "count")
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte(fakeGo), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("LLAMAC_CACHE", filepath.Join(dir, "cache"))
	t.Setenv("FAKE_COUNT", count)
	settings := [][4]string{
		{"go1.26.8", "linux", "amd64", "v1"}, {"go1.26.9", "linux", "amd64", "v1"}, {"go1.26.8", "darwin", "amd64", "v1"},
		{"go1.26.8", "linux", "arm64", "v1"}, {"go1.26.8", "linux", "amd64", "v3"},
	}
	names := map[string]bool{}
	for range 2 {
		for _, s := range settings {
			for i, name := range []string{"FAKE_VERSION", "GOOS", "GOARCH", "GOAMD64"} {
				t.Setenv(name, s[i])
			}
			for _, source := range []string{"one", "two"} {
				m := &Module{Path: "m", Files: map[string][]byte{"go.mod": []byte("module m\n"), "main.go": []byte("package main // " + source + "\n")}}
				bin, err := m.Binary("m")
				if err != nil {
					t.Fatal(err)
				}
				got, err := os.ReadFile(bin)
				if want := s[0] + " " + s[1] + " " + s[2] + " " + s[3] + "\n"; err != nil || string(got) != want {
					t.Errorf("%v: got %q, %v", s, got, err)
				}
				names[bin] = true
			}
		}
	}
	builds, err := os.ReadFile(count)
	if want := 2 * len(settings); err != nil || len(builds) != 2*want || len(names) != want {
		t.Errorf("%d builds, %d binaries, %v; want %d", len(builds)/2, len(names), err, want)
	}
}
