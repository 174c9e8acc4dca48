//go:build unix && !solaris && !aix

package app

import (
	"errors"
	"os"
	"syscall"
)

// lockFile takes an advisory lock. It belongs to the open file, so it ends with
// the process, however that ends.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, err
	}
	// Without waiting: who holds it may train for days.
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		f.Close()
		return nil, errLocked
	}
	return f, nil // a file system without locks must not stop a run
}
