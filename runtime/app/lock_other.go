//go:build !windows && (!unix || solaris || aix)

package app

import "os"

// lockFile only makes the file: these systems have no lock in package syscall.
func lockFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
}
