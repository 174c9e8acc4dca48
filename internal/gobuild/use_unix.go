//go:build unix && !solaris && !aix

package gobuild

import (
	"errors"
	"os"
	"syscall"
)

// lockUse takes the lock of an entry for one alone or for many, without waiting.
// It belongs to the open file, so it ends with the last process that has it.
func lockUse(path string, alone bool) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		if alone && os.IsNotExist(err) { // no folder of locks: nobody has one
			return nil, nil
		}
		return nil, err
	}
	how := syscall.LOCK_SH
	if alone {
		how = syscall.LOCK_EX
	}
	if err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		f.Close()
		return nil, errInUse
	}
	return f, nil // a file system without locks must not stop anything
}

// inherit leaves a lock to the program that takes this process's place: a copy of
// the descriptor, unlike the one that Go has opened, is not closed then.
func inherit(f *os.File) { syscall.Dup(int(f.Fd())) }
