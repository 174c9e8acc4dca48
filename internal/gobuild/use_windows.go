package gobuild

import (
	"errors"
	"os"
	"syscall"
)

// lockUse opens a file that it shares with nobody, or with other readers. The
// system closes it with the process.
func lockUse(path string, alone bool) (*os.File, error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	share := uint32(syscall.FILE_SHARE_READ)
	if alone {
		share = 0
	}
	h, err := syscall.CreateFile(name, syscall.GENERIC_READ, share|syscall.FILE_SHARE_DELETE, nil, syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	const sharingViolation = syscall.Errno(32)
	switch {
	case errors.Is(err, sharingViolation):
		return nil, errInUse
	case err != nil && alone && errors.Is(err, syscall.ERROR_PATH_NOT_FOUND):
		return nil, nil
	case err != nil:
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}

// inherit does nothing: llamac waits for the program that it starts, and keeps
// its locks meanwhile.
func inherit(*os.File) {}
