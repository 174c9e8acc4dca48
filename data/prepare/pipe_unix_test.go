//go:build unix

package prepare

import (
	"path/filepath"
	"syscall"
	"testing"
)

// A pipe is never read: opening one waits for a writer.
func TestPipe(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.txt", []byte("x"))
	pipe := filepath.Join(dir, "p.txt")
	must(t, syscall.Mkfifo(pipe, 0o666))
	for pattern, want := range map[string]string{"*.txt": "a.txt", ".": "a.txt", "p.txt": `source "a": ` + pipe + ": not a file but a pipe"} {
		if got, _ := listed(t, Config{Base: dir}, []string{pattern}); got != want {
			t.Errorf("%s: %s, want %s", pattern, got, want)
		}
	}
}
